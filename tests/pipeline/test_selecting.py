"""A private search from its charter to its bundle: one charge, the best trial released, and nothing told of the others."""

import json
import math
import re

import pytest

from charter.errors import BudgetError, CharterFileError, TrainingError
from charter.pipeline import learning, planning, run, selecting
from charter.privacy.accounting import BestOf, Sampled, epsilon
from charter.privacy.best_of import Numbers
from charter.privacy.ledger import Ledger
from charter.privacy.stream import SecretStream
from charter.release.report import as_json, render
from charter.release.report.sentences import translated
from charter.release.report.trials import settings_of
from charter.training import fitting
from charter.training.search import at_random

CHARTER = """\
name: private
data:
  source: reviews.csv
  inputs: {{text: text}}
  target: label
  split: {{test: 0.2, validation: 0.2}}
model: {{base: {base}, max_length: 32}}
task: {{use: classification}}
training:
  epochs: 1
  batch_size: 64
  learning_rate: 7.0e-4
  search: {{learning_rate: [1.0e-4, 1.0e-2], weight_decay: {{choices: [0, 0.01]}}, trials: 3, distribution: geometric}}
privacy: {{epsilon: 4, delta: 1.0e-3}}
audits: [{{use: performance, resamples: 100}}]
limits: [{{limit: macro_f1 >= 0.01, judge: point}}]
"""
KEY = SecretStream(bytes(range(32)))
"""A stream of which the number of trials is known here."""


def always(count):
    """In place of the number of trials that a search draws."""
    return lambda *_: count


@pytest.fixture
def asked(tiny_bert, reviews_csv):
    def write(**changed):
        text = CHARTER.format(base=tiny_bert)
        for old, new in changed.items():
            assert old in text
            text = text.replace(old, new)
        path = reviews_csv.parent / "charter.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def trials(monkeypatch):
    """Every trial that is made: its settings and its stream; their number is set to 4 here."""
    made = []
    original = learning.fit_model

    def watched(charter, settings, *args, **options):
        found = original(charter, settings, *args, **options)
        made.append((settings.learning_rate, options["stream"].key, found.plan.noise))
        return found

    monkeypatch.setattr(learning, "fit_model", watched)
    monkeypatch.setattr(Numbers, "drawn", always(4))
    return made


def told(result, metric):
    return next(one for one in result.record.findings if one.metric == metric)


def account_of(path):
    (account,) = Ledger(path.parent / "runs" / "ledger").statement().accounts
    return account


def test_the_best_of_independent_trials_is_released_and_the_whole_search_is_charged_once(asked, trials):
    path = asked()
    result = run(path)
    assert result.record.status == "released"
    rates, keys, noises = zip(*trials, strict=True)
    assert len(trials) == 5  # four trials, and the best again from its last checkpoint
    assert len(set(rates)) == len(set(keys)) == 4
    assert 7e-4 not in rates
    assert all(1e-4 <= one <= 1e-2 for one in rates)
    assert len(set(noises)) == 1
    assert settings_of(result.record).learning_rate == rates[-1]
    (charge,) = account_of(path).charges
    (search,) = charge.mechanisms
    assert search == BestOf(Sampled(search.run.rate, noises[0], search.run.steps), "geometric", 3.0)
    assert 3.9 < told(result, "epsilon").value <= 4.0
    assert account_of(path).spent == pytest.approx(told(result, "epsilon").value)
    assert told(result, "epsilon_of_one_trial").value == pytest.approx(epsilon(search.run, 1e-3))
    assert told(result, "epsilon_of_one_trial").value < 3.0
    outside = {
        one.slice["read"]: one.value for one in result.record.findings if one.metric == "rows_outside_epsilon"
    }
    assert outside["search"] == 80


def test_the_best_trial_is_that_with_the_highest_score_the_earliest_of_equals(asked, trials, monkeypatch):
    scores = iter([0.3, 0.8, 0.5, 0.8])
    monkeypatch.setattr(selecting, "score_of", lambda *_: next(scores))
    result = run(asked())
    assert trials[-1] == trials[1]
    assert told(result, "best_validation_score").value == 0.8


def test_nothing_is_told_of_the_other_trials_nor_how_many_there_were(asked, trials, monkeypatch):
    scores = {}
    score_of = selecting.score_of

    def watched(*args):
        found = score_of(*args) + math.pi * (len(scores) + 1) / 1000
        scores[found] = trials[-1]
        return found

    monkeypatch.setattr(selecting, "score_of", watched)
    path, events, bars = asked(), [], []
    result = run(path, on_event=events.append, on_progress=bars.append)
    best = max(scores)
    others = [one for score, one in scores.items() if score != best]
    assert len(others) == 3
    assert not [one for one in bars if one.stage == "train"]
    assert [one.text for one in events if one.stage == "train" and one.kind == "note"] == [selecting.UNTOLD]
    (train,) = (one for one in result.record.stages if one["name"] == "train")
    assert train["seconds"] == pytest.approx(told(result, "seconds").value, abs=0.01)
    assert not list((path.parent / "runs" / "work").iterdir())
    files = [one for one in path.parent.rglob("*") if one.is_file() and one.name != "charter.yaml"]
    said = b"\n".join(one.read_bytes() for one in files)
    for rate, key, _ in others:
        assert repr(rate).encode() not in said
        assert key not in said
        assert key.hex().encode() not in said
    for score in scores:
        assert (repr(score).encode() in said) == (score == best)
    assert not [one for one in files if "trial-" in str(one) or one.name == selecting.STATE]
    assert not [one for one in files if "tfevents" in one.name]
    shown = json.dumps(as_json(result.record))
    for stamp in (result.record.created, result.record.provenance["trained"]):
        assert stamp.endswith("T00:00:00Z")
    assert "search_seconds" not in shown


def test_a_killed_search_makes_the_same_trials_again_and_pays_nothing_more(asked, trials, monkeypatch):
    path = asked()
    monkeypatch.setattr(planning.SecretStream, "fresh", staticmethod(lambda: KEY))
    original, steps = fitting._Session.add, []

    def stop(session, step):
        original(session, step)
        steps.append(step.step)
        if len(steps) == 9:
            raise KeyboardInterrupt

    monkeypatch.setattr(fitting._Session, "add", stop)
    with pytest.raises(KeyboardInterrupt):
        run(path)
    before = list(trials)
    assert 0 < len(before) < 4
    (charge,) = account_of(path).charges
    assert not charge.settled
    monkeypatch.setattr(fitting._Session, "add", original)
    resumed = run(path)
    assert trials[: len(before)] == before
    assert len(trials) == 5
    (charge,) = account_of(path).charges
    assert charge.settled
    whole = run(path, store=path.parent / "whole")
    assert [one[:2] for one in trials[5:]] == [one[:2] for one in trials[:5]]
    for metric in ("best_validation_score", "macro_f1"):
        assert told(resumed, metric).value == told(whole, metric).value
    again = run(path)
    assert len(trials) == 10
    assert again.record.status == "released"
    assert len(account_of(path).charges) == 1


def test_a_search_whose_key_is_lost_begins_anew_and_pays_again(asked, trials, monkeypatch):
    path = asked()
    monkeypatch.setattr(learning, "selection_findings", lambda *_: 1 / 0)  # after the last trial
    with pytest.raises(ZeroDivisionError):
        run(path)
    first = list(trials)
    monkeypatch.undo()
    monkeypatch.setattr(Numbers, "drawn", always(2))
    (key,) = (path.parent / "runs").rglob(planning.KEY)
    key.unlink()
    result = run(path)
    assert settings_of(result.record).learning_rate not in [rate for rate, *_ in first]
    assert len(account_of(path).charges) == 2


def test_trials_that_fail_are_told_only_where_all_do(asked, monkeypatch):
    monkeypatch.setattr(Numbers, "drawn", always(3))
    original, seen = learning.fit_model, []

    def fails(charter, settings, *args, **options):
        seen.append(settings)
        if len(seen) == 1 or settings != seen[1]:
            raise TrainingError("the weights are no numbers any more")
        return original(charter, settings, *args, **options)

    path = asked()
    monkeypatch.setattr(learning, "fit_model", fails)
    result = run(path)
    assert settings_of(result.record).learning_rate == seen[1].learning_rate
    assert "no numbers any more" not in json.dumps(as_json(result.record))

    def fails_always(*args, **options):
        raise TrainingError("the weights are no numbers any more")

    monkeypatch.setattr(learning, "fit_model", fails_always)
    with pytest.raises(
        TrainingError, match=r"no trial of training.search ended with a model: the weights"
    ) as error:
        run(path, store=path.parent / "other")
    assert "3" not in str(error.value)


def test_a_search_that_passes_the_budget_of_its_data_is_refused_before_the_first_trial(asked, trials):
    path = asked(**{"  target: label": "  target: label\n  privacy_budget: {epsilon: 2, delta: 1.0e-3}"})
    with pytest.raises(BudgetError, match="refused, nothing was learned"):
        run(path)
    assert trials == []


def test_a_search_with_correlated_noise_is_one_gaussian_release_a_trial(asked, trials):
    path = asked(
        **{"delta: 1.0e-3": "delta: 1.0e-3, mechanism: matrix_factorisation", "trials: 3": "trials: 2"}
    )
    result = run(path)
    assert result.record.status == "released"
    assert 3.9 < told(result, "epsilon").value <= 4.0
    (charge,) = account_of(path).charges
    assert charge.mechanisms[0].run.steps == 1


def test_the_report_says_what_was_chosen_and_that_nothing_is_told_of_the_rest(asked, trials):
    result = run(asked())
    english, chinese = (render(result.record, language=one) for one in ("en", "zh"))
    assert "3 on average" in english
    assert "how many there were is told nobody" in english
    assert "平均 3 次" in chinese
    assert "so it is too high" in english
    assert result.record.created[:10] in english
    assert re.findall(r".* 00:00|.*UTC", english) == []
    said = {text for one in result.record.findings for text in (one.method, one.unit) if text}
    assert [text for text in said if translated(text) is None] == []
    assert translated(selecting.UNTOLD) is not None


def test_settings_are_drawn_alike_and_independently_over_the_whole_space(asked):
    from charter.spec import read

    space = read(asked()).training.search.space
    found = [
        at_random(space, SecretStream.reproducible(5).uniform(2, 9, number).tolist())
        for number in range(2000)
    ]
    rates = [one["learning_rate"] for one in found]
    assert min(rates) >= 1e-4
    assert max(rates) <= 1e-2
    assert sum(one < 1e-3 for one in rates) / len(rates) == pytest.approx(0.5, abs=0.05)
    low = [one["weight_decay"] == 0 for one in found if one["learning_rate"] < 1e-3]
    assert sum(low) / len(low) == pytest.approx(0.5, abs=0.07)


@pytest.mark.parametrize(
    ("old", "new", "at"),
    [
        ("trials: 3", "trials: 3, prune: median", "training.search.prune"),
        ("trials: 3", "trials: 3, epochs: [1, 3]", "training.search.epochs"),
        ("trials: 3", "trials: 3, batch_size: {choices: [32, 64]}", "training.search.batch_size"),
        ("trials: 3", "trials: 3, max_grad_norm: [0.5, 1]", "training.search.max_grad_norm"),
        (
            "trials: 3",
            "trials: 3, class_weights: {choices: [balanced, null]}",
            "training.search.class_weights",
        ),
        ("trials: 3", "trials: 1", "training.search.trials"),
        ("epochs: 1", "epochs: 0", "training.epochs"),
        ("privacy: {epsilon: 4, delta: 1.0e-3}", "privacy: null", "training.search.distribution"),
        ("distribution: geometric", "distribution: uniform", "training.search.distribution"),
    ],
)
def test_what_no_theorem_covers_is_refused_at_its_place(asked, old, new, at):
    with pytest.raises(CharterFileError) as refused:
        run(asked(**{old: new}))
    assert at in [one.path for one in refused.value.problems]
    assert len(refused.value.problems) == (1 if at != "training.epochs" else len(refused.value.problems))


def test_a_charter_with_a_private_search_reads_back_equal(asked):
    from charter.spec import check, parse_document, read, written

    charter = read(asked())
    assert charter.training.search.prune is None
    assert check(parse_document(written(charter), asked())) == charter

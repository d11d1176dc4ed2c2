"""Audits of the privacy claim in whole runs: siblings are made, kept apart from what is released, and reused."""

import json
import random
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
import pytest
from tests.conftest import review

from charter.pipeline import Result, claiming, run
from charter.release.judge import judge, released
from charter.runs.findings import Finding
from charter.spec.model import Privacy

CHARTER = """\
name: reviews
data:
  source: reviews.csv
  inputs: {{text: text}}
  target: label
  prepare: []
  split: {{test: 0.45, validation: 0.05, calibration: 0.05}}
model: {{base: "{base}", max_length: 32}}
task: {{use: classification}}
training: {{epochs: 1, batch_size: 16, learning_rate: 5.0e-3, keep: last}}
audits:
  - {{use: performance, resamples: 100}}
  - {{use: membership_inference, shadow_models: 2, attack: [loss, lira, lira_offline, rmia, rmia_offline]}}
  - {{use: privacy_lower_bound, canaries: 80}}
limits: [accuracy >= 0.3, membership_auc <= 0.999]
"""


@dataclass(frozen=True)
class Audited:
    """A run, the siblings that it asked for, what it told, and the run after it."""

    folder: Path
    result: Result
    siblings: list
    told: list
    again: Result
    events: list


@pytest.fixture(scope="module")
def audited(tiny_bert, tmp_path_factory):
    folder = tmp_path_factory.mktemp("claims")
    rng = random.Random(11)
    rows = [f"{review(rng, label)},{label}" for label in ("good", "bad") * 160]
    (folder / "reviews.csv").write_text("\n".join(["text,label", *rows]) + "\n", encoding="utf-8")
    charter = folder / "charter.yaml"
    charter.write_text(CHARTER.format(base=tiny_bert), encoding="utf-8")
    siblings, told, events, whole = [], [], [], claiming._trained

    def noted(making, sibling):
        siblings.append(sibling)
        return whole(making, sibling)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(claiming, "_trained", noted)
        result = run(charter, on_progress=told.append)
    return Audited(folder, result, siblings, told, run(charter, on_event=events.append), events)


def found(record, metric, **where):
    return next(one for one in record.findings if one.metric == metric and dict(one.slice) == where)


def test_siblings_are_made_and_told_of_and_nothing_but_their_answers_is_kept(audited):
    record = audited.result.record
    assert record.status == "released"
    made = {one["name"]: one["key"] for one in record.stages if one["name"].startswith(("shadow", "canary"))}
    assert list(made) == ["shadow 1", "shadow 2", "canary 1"]
    assert any("shadow model 2 of 2" in one.text for one in audited.told)
    for key in made.values():
        files = audited.folder / "runs" / "artefacts" / key / "files"
        assert {path.name for path in files.rglob("*") if path.is_file()} == {"answers.parquet"}
        assert not (audited.folder / "runs" / "work" / key).exists()


def test_a_second_run_trains_no_sibling_again(audited):
    assert {event.kind for event in audited.events} == {"reused"}
    assert audited.again.record.findings == audited.result.record.findings


def test_findings_say_with_how_many_models_and_canaries_they_were_made(audited):
    record = audited.result.record
    rate = found(record, "membership_tpr_at_1pct_fpr")
    assert rate.value is None
    assert rate.because.startswith("insufficient evidence: 144 non-members")
    assert rate.because.endswith("at least 1,000 are needed")
    auc = found(record, "membership_auc")
    assert "2 shadow models" in auc.method
    assert "the strongest of 5 attacks" in auc.method
    assert set(auc.attachment["attacks"]) == {"loss", "lira", "lira_offline", "rmia", "rmia_offline"}
    assert found(record, "membership_auc", attack="blind").value is not None
    bound = found(record, "epsilon_lower_bound")
    assert f"{bound.n} canaries (training rows with a wrong class)" in bound.method
    assert bound.attachment["largest"] > bound.value


def test_shadow_models_learn_from_as_many_rows_as_the_model_and_canaries_contradict_their_rows(audited):
    trained = pl.read_parquet(next((audited.folder / "runs").glob("artefacts/*/files/rows.parquet")))
    learned, tested = ((trained["_split"] == one).sum() for one in ("train", "test"))
    shadows = [one for one in audited.siblings if one.kind == "shadow"]
    assert len({one.seed for one in shadows}) == 2
    assert sum(one.rows.height for one in shadows) == pytest.approx(2 * learned, abs=2)
    assert all(one.asked.height == 2 * min(tested, learned) for one in shadows)
    canary = next(one for one in audited.siblings if one.kind == "canary")
    joined = canary.asked.join(trained, on="_row", suffix="_was")
    assert (joined["label"] != joined["label_was"]).all()
    assert (
        canary.rows.filter(pl.col("_row").is_in(canary.asked["_row"].implode())).height < canary.asked.height
    )


def test_a_lower_bound_above_the_claim_stops_the_release_whatever_the_limits(audited):
    record = audited.result.record
    shown = Finding("privacy_audit", "epsilon_lower_bound", 2.5, n=100, confidence=0.95, split="train")
    rest = [one for one in record.findings if one.metric != "epsilon_lower_bound"]
    rest.append(Finding("privacy", "epsilon", 0.95, split="train"))  # what training spent
    claimed = {
        epsilon: record.charter.model_copy(update={"privacy": Privacy(epsilon=epsilon, delta=1e-5)})
        for epsilon in (1.0, 8.0)
    }
    assert released(judge(record.charter, [*rest, shown]))  # it claims nothing
    assert released(judge(claimed[8.0], [*rest, shown]))
    refuted = judge(claimed[1.0], [*rest, shown])
    assert not released(refuted)
    assert [one.outcome for one in refuted if "epsilon is at least 2.5" in one.because] == ["broken"]
    assert released(judge(claimed[1.0], [*rest, replace(shown, value=0.9)]))


WRITER = """\
name: writer
data: {source: texts.jsonl, inputs: {text: text}, prepare: [], split: {test: 0.2, validation: 0.05}}
model: {architecture: {use: gpt2, n_embd: 32, n_layer: 2, n_head: 2}, tokenizer: {use: characters, size: 64}, max_length: 48}
task: {use: causal_language_modelling}
training: {epochs: 3, batch_size: 8, learning_rate: 5.0e-3, keep: last}
audits:
  - {use: performance, resamples: 100}
  - {use: extraction, canaries: 4, repetitions: [1, 40], words: 4, references: 200, prefix: 8, continuation: 8}
limits: [verbatim_continuation_rate <= 0.999]
"""


@pytest.mark.slow
def test_a_text_that_a_language_model_read_often_is_exposed(tmp_path):
    rng = random.Random(3)
    texts = [
        " ".join(rng.choice(["ab", "ba", "cab", "abc", "bc", "ca"]) for _ in range(12)) for _ in range(240)
    ]
    lines = "\n".join(json.dumps({"text": one}) for one in texts)
    (tmp_path / "texts.jsonl").write_text(lines, encoding="utf-8")
    (tmp_path / "charter.yaml").write_text(WRITER, encoding="utf-8")
    record = run(tmp_path / "charter.yaml").record
    once, often = (found(record, "canary_exposure", repeated=count) for count in ("1", "40"))
    assert often.value > once.value
    assert "among 200 texts made in the same way" in often.method
    learned, new = (found(record, "verbatim_continuation_rate", **where) for where in ({}, {"split": "test"}))
    assert learned.n >= 100
    assert new.n >= 30
    assert record.status == "released"

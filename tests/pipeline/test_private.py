"""A private run from its charter to its bundle: what is kept, what is told, and what is not."""

import stat
from dataclasses import replace

import polars as pl
import pytest

from charter import plugins, spec
from charter.errors import CharterFileError, DataError, ModelError
from charter.pipeline import planning, run
from charter.privacy.clipping import Flat
from charter.privacy.ledger import Ledger
from charter.privacy.private import Private
from charter.privacy.stream import SecretStream
from charter.release.report import render
from charter.release.report.sentences import translated
from charter.spec.privacy import READING_FORMS
from charter.tasks.classification import Classification

CHARTER = """\
name: private
data:
  source: reviews.csv
  inputs: {{text: text}}
  target: label
model: {{base: {base}, max_length: 32}}
task: {{use: classification}}
training: {{epochs: 2, batch_size: 64, learning_rate: 2.0e-3}}
privacy: {{epsilon: 4, delta: 1.0e-3{more}}}
audits: [{{use: performance, resamples: 100}}, {{use: calibration}}, {{use: membership_inference, attack: [loss]}}]
limits: [{{limit: macro_f1 >= 0.01, judge: point}}]
"""


@pytest.fixture
def asked(tiny_bert, reviews_csv):
    def write(more="", **changed):
        text = CHARTER.format(base=tiny_bert, more=more)
        for old, new in changed.items():
            text = text.replace(old, new)
        path = reviews_csv.parent / "charter.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def told(result, metric):
    return next(one for one in result.record.findings if one.area == "privacy" and one.metric == metric)


def test_a_private_run_tells_what_it_spent_and_no_statistic_of_its_training_rows(asked):
    shown = []
    result = run(asked(), on_progress=shown.append)
    assert result.record.status == "released"
    assert any(one.stage == "train" for one in shown)
    assert not [one.text for one in shown if "loss" in one.text or "nan" in one.text]
    spent = told(result, "epsilon")
    assert 3.9 < spent.value <= 4.0
    budget = result.record.verdicts[-1]
    assert budget.limit == "privacy: epsilon <= 4 at delta 0.001"
    assert budget.outcome == "kept"
    assert {one["kind"] for one in result.record.history} <= {"update", "evaluation"}
    assert not any(key for one in result.record.history for key in one if "loss" in key or "score" in key)
    assert not [one for one in result.record.findings if one.area == "baseline"]
    training = {one.metric for one in result.record.findings if one.area == "training"}
    assert not training & {"tokens", "unknown_tokens", "truncated_texts", "classes_not_trained"}
    outside = {
        one.slice["read"]: one.value for one in result.record.findings if one.metric == "rows_outside_epsilon"
    }
    counts = {
        one.slice["split"]: one.value
        for one in result.record.findings
        if (one.area, one.metric) == ("data", "rows") and set(one.slice) == {"split"}
    }
    assert outside["audits"] == counts["test"] == 60
    assert outside["digests"] == sum(counts.values())  # what the provenance holds of them
    assert outside["calibration"] == counts["calibration"] + counts["validation"]
    assert outside["audit membership_inference"] == counts["train"]
    assert not {"audit performance", "audit calibration"} & set(outside)
    page = render(result.record)
    assert "audit membership_inference, on the training rows" in page
    assert "differentially private at epsilon" in page
    chinese = render(result.record, language="zh")
    assert "训练满足差分隐私" in chinese
    assert "privacy loss" not in chinese


def test_the_key_is_kept_while_training_is_unfinished_and_gone_when_it_is_done(
    asked, monkeypatch, broken_off
):
    path = asked()
    seen = []
    with broken_off(3):
        run(path)
    keys = list((path.parent / "runs").rglob(planning.KEY))
    assert len(keys) == 1
    assert stat.S_IMODE(keys[0].stat().st_mode) == 0o600
    key = keys[0].read_bytes()
    destroy = planning.destroy_key
    monkeypatch.setattr(
        "charter.pipeline.learning.destroy_key",
        lambda work: (seen.append((work / planning.KEY).read_bytes()), destroy(work)),
    )
    result = run(path)
    assert seen == [key]  # it went on with the same stream
    held = [one for one in path.parent.rglob("*") if one.is_file()]
    assert len(held) > 20
    assert not [one for one in held if key in one.read_bytes() or key.hex().encode() in one.read_bytes()]
    assert result.record.status == "released"


def test_a_key_whose_destruction_was_broken_off_is_never_drawn_from_again(tmp_path, monkeypatch):
    key = planning._kept(tmp_path).key
    assert planning._kept(tmp_path).key == key

    def stop(*args, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr("pathlib.Path.unlink", stop)
        with pytest.raises(KeyboardInterrupt):
            planning.destroy_key(tmp_path)
    assert (tmp_path / planning.KEY).exists()
    assert planning.kept_key(tmp_path) is None
    again = planning._kept(tmp_path).key
    assert again not in (key, bytes(32))
    assert planning.kept_key(tmp_path) == again


def test_noise_from_the_seed_is_no_evidence_and_stops_the_release(asked):
    result = run(asked(", reproducible_noise: true"))
    assert result.record.status == "refused"
    assert result.record.verdicts[-1].outcome == "no evidence"
    assert "follow the charter's seed" in result.record.verdicts[-1].because
    assert "NOT private" in render(result.record)


def test_noise_that_hangs_together_needs_no_sampling_and_is_charged_as_one_release(asked):
    path = asked(", mechanism: matrix_factorisation, bands: 3")
    result = run(path)
    assert result.record.status == "released"
    assert 3.9 < told(result, "epsilon").value <= 4.0
    assert "no sampling, each unit in one update of every epoch" in told(result, "epsilon").method
    assert told(result, "noise_bands").value == 3
    assert not [one for one in result.record.findings if one.metric == "sampling_rate"]
    (account,) = Ledger(path.parent / "runs" / "ledger").statement().accounts
    assert account.spent == pytest.approx(told(result, "epsilon").value)
    page = render(result.record)
    assert "hangs together over 3 updates (matrix factorisation)" in page
    assert "by itself for each update (Poisson)" not in page
    page = render(result.record, language="zh")
    assert "在 3 次更新之间相互关联（矩阵分解）" in page
    assert "no sampling" not in page


def test_noise_that_hangs_together_is_the_same_when_it_goes_on(asked, broken_off):
    def weights(result):
        return (result.bundle / "model.safetensors").read_bytes()

    path = asked(", mechanism: matrix_factorisation, bands: 3, reproducible_noise: true")
    whole = weights(run(path, draft=True, store=path.parent / "other"))
    with broken_off(3):
        run(path, draft=True)
    assert weights(run(path, draft=True)) == whole


def test_all_rows_of_a_person_are_one_unit(asked, reviews_csv):
    lines = reviews_csv.read_text(encoding="utf-8").splitlines()
    people = ["person", *(f"p{number // 4}" for number in range(len(lines) - 1))]
    told_of = [f"{line},{person}" for line, person in zip(lines, people, strict=True)]
    reviews_csv.write_text("\n".join(told_of) + "\n", encoding="utf-8")
    path = asked(
        **{"  target: label": "  target: label\n  subject: person", "batch_size: 64": "batch_size: 16"}
    )
    result = run(path)
    assert 60 <= told(result, "privacy_units").value <= 80  # of 100 people with four rows each
    assert "persons are protected" in told(result, "epsilon").method
    ledger = Ledger(path.parent / "runs" / "ledger").statement()
    (account,) = ledger.accounts
    assert account.unit == "subject"
    assert len(account.charges) == 1
    assert account.spent == pytest.approx(told(result, "epsilon").value)


@pytest.mark.parametrize(
    ("batch_size", "rate", "advised"),
    [(1024, 1e-3, []), (32, 1e-3, ["batch_size 32"]), (32, 5e-5, ["batch_size 32", "learning_rate 5e-05"])],
)
def test_settings_under_which_noise_drowns_the_rows_are_advised_about(asked, batch_size, rate, advised):
    path = asked(
        **{"batch_size: 64, learning_rate: 2.0e-3": f"batch_size: {batch_size}, learning_rate: {rate:.1e}"}
    )
    plan = Private(batch_size, None, Flat(1.0), 1.0, 1e-5, SecretStream.reproducible(1))
    told = list(planning.private_advice(spec.read(path), plan, 5000, 100))
    assert [" ".join(one.split()[:2]) for one in told] == advised
    assert all(translated(one) for one in told)


def test_numbers_are_learned_within_bounds_that_no_row_was_read_for(asked, reviews_csv):
    rows = pl.read_csv(reviews_csv)
    rows.with_columns(label=pl.col("text").str.len_chars().cast(pl.Float64)).write_csv(reviews_csv)
    changed = {
        "macro_f1 >= 0.01": "mae <= 1000",
        "use: classification": "use: regression",
        ", {use: membership_inference, attack: [loss]}": "",
    }
    with pytest.raises(CharterFileError, match=r"say bounds: \[lowest, highest\]"):
        run(asked(**changed))
    changed["use: classification"] = "use: regression, bounds: [0, 200]"
    result = run(asked(**changed))
    assert result.record.status == "released"
    assert '"centre": 100.0' in (result.bundle / "charter" / "preparation.json").read_text(encoding="utf-8")


def test_few_updates_and_a_delta_that_promises_nothing_are_said(asked):
    notes = []
    more = {"delta: 1.0e-3": "delta: 0.01", "learning_rate: 2.0e-3": "learning_rate: 1.0e-8"}
    result = run(
        asked(**more), on_event=lambda event: notes.append(event.text) if event.kind == "note" else None
    )
    units = told(result, "privacy_units").value
    assert units >= 100
    assert any(f"delta 0.01 is no less than one over the {units:g} rows" in one for one in notes)
    assert any(f"updates: batch_size counts rows here, 64 of {units:g}" in one for one in notes)
    page = render(result.record)
    assert f"Delta 0.01 is no less than one over the {units:g} rows" in page
    assert "batches of 64 rows on average" in page
    assert all(translated(one) for one in notes)


def test_a_private_model_that_tells_no_row_from_another_is_said_to(asked):
    record = run(asked()).record

    def page(counts):
        findings = tuple(
            replace(one, attachment={**one.attachment, "counts": counts})
            if one.metric == "confusion"
            else one
            for one in record.findings
        )
        return render(replace(record, findings=findings))

    assert "gives the same answer, bad, to all 60 test rows" in page([[30, 0], [30, 0]])
    assert "gives the same answer" not in page([[29, 1], [30, 0]])


def test_a_budget_that_no_noise_keeps_is_refused_with_what_to_do(asked):
    path = asked(**{"epsilon: 4": "epsilon: 0.0001", "delta: 1.0e-3": "delta: 1.0e-9"})
    with pytest.raises(
        DataError, match=r"within epsilon 0.0001 at delta 1e-09; allow a larger epsilon"
    ) as refused:
        run(path)
    assert str(refused.value).startswith(f"{path}:{line_of(path, 'privacy:')}  privacy.epsilon: no noise")


def line_of(path, word):
    return next(place for place, one in enumerate(path.read_text().splitlines(), 1) if one.startswith(word))


@pytest.mark.parametrize(
    ("old", "new", "at"),
    [
        ("learning_rate: 2.0e-3", "learning_rate: 2.0e-3, early_stopping: 2", "training.early_stopping"),
        ("learning_rate: 2.0e-3", "learning_rate: 2.0e-3, class_weights: balanced", "training.class_weights"),
        ("learning_rate: 2.0e-3", "learning_rate: 2.0e-3, economies: true", "training.economies"),
        ("learning_rate: 2.0e-3", "learning_rate: 2.0e-3, compile: true", "training.compile"),
        ("batch_size: 64", "tokens_per_batch: 500", "training.tokens_per_batch"),
        ("learning_rate: 2.0e-3", "learning_rate: 2.0e-3, max_grad_norm: 0.5", "training.max_grad_norm"),
        ("  target: label", "  target: label\n  prepare: [{use: balance}]", "data.prepare[0]"),
        ("delta: 1.0e-3", "delta: 1.0e-3, unit: subject", "privacy.unit"),
        ("  target: label", "  target: label\n  prepare: [{use: label_noise}]", "data.prepare[0]"),
        ("delta: 1.0e-3", "delta: 1.0e-3, bands: 4", "privacy.bands"),
        (
            "delta: 1.0e-3",
            "delta: 1.0e-3, mechanism: matrix_factorisation, clipping: {use: adaptive}",
            "privacy.clipping",
        ),
        ("  target: label", "  target: label\n  prepare: 3", "data.prepare"),
        ("limits:", "release: {formats: [safetensors, openvino-int8]}\nlimits:", "release.formats[1]"),
        ("delta: 1.0e-3", "delta: 1.0e-3, clipping: {use: flatt}", "privacy.clipping.use"),
        ("delta: 1.0e-3", "delta: 1.0e-3, clipping: {use: flat, norm: -1}", "privacy.clipping.norm"),
    ],
)
def test_what_a_budget_would_not_hold_for_is_refused_at_its_place(asked, old, new, at):
    with pytest.raises(CharterFileError) as refused:
        run(asked(**{old: new}))
    assert [one.path for one in refused.value.problems] == [at]


def test_every_form_that_is_made_from_training_rows_is_refused_under_a_budget(asked, monkeypatch):
    reading = [name for name in plugins.names("exporter") if plugins.make("exporter", name, {}).reads_rows]
    assert tuple(reading) == READING_FORMS
    made = plugins.make("exporter", "safetensors", {})
    monkeypatch.setattr("charter.models.exports.safetensors", lambda: replace(made, reads_rows=True))
    with pytest.raises(ModelError, match="'safetensors' is made from training rows"):
        run(asked())


def test_a_task_of_whom_nobody_has_heard_whose_examples_meet_is_refused_too(asked, monkeypatch):
    monkeypatch.setattr(Classification, "mixes", True)
    with pytest.raises(DataError, match="classification compares each example with the others"):
        run(asked())

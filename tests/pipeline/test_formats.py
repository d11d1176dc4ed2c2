"""Several formats in one release: each is a model of its own, with its own evidence, verdicts and place in the bundle."""

import json
import random
import shutil

import pytest

import charter
from charter.audits.case import Answers
from charter.audits.forms import Form, Told, measure_form
from charter.data.columns import Columns
from charter.errors import BundleError, MissingExtraError, OptionError
from charter.pipeline import run
from charter.release.judge import judge, released
from charter.release.manifest import form_digests, read_manifest
from charter.release.report import render, summary
from charter.release.verification import verify
from charter.runs.digest import files_digest, folder_digest
from charter.runs.findings import Finding
from charter.spec.model import Charter

CHARTER = """\
name: reviews
data:
  source: reviews.csv
  inputs: {{text: text}}
  target: label
  split: {{test: 0.4, validation: 0.1, calibration: 0.2}}
model: {{base: "{base}", max_length: 32}}
task: {{use: classification}}
training: {{epochs: 4, batch_size: 16, learning_rate: 5.0e-3}}
audits: [{{use: performance, resamples: 100}}, {{use: calibration, resamples: 100}}]
limits: [accuracy >= 0.5, format_agreement >= 0.5, size <= 5, {{limit: latency <= 1000, judge: point}}]
release: {{formats: [safetensors, onnx-int8]}}
"""


def write_reviews(path):
    """400 reviews; in a fifth of them the telling word is of the other class, so that answers are wrong now and then."""
    rng = random.Random(11)
    lines = ["text,label"]
    for number in range(400):
        label = "good" if number % 2 else "bad"
        words = [rng.choice(["room", "crew", "the", "was", "very", "today"]) for _ in range(8)]
        told = label if rng.random() < 0.8 else {"good": "bad", "bad": "good"}[label]
        for _ in range(3):
            words[rng.randrange(8)] = rng.choice(["great", "kind"] if told == "good" else ["rude", "cold"])
        lines.append(f"{' '.join(words)},{label}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def both(tiny_bert, tmp_path_factory):
    """A run that releases two formats."""
    folder = tmp_path_factory.mktemp("formats")
    write_reviews(folder / "reviews.csv")
    (folder / "charter.yaml").write_text(CHARTER.format(base=tiny_bert), encoding="utf-8")
    return run(folder / "charter.yaml")


@pytest.fixture
def bundle(both, tmp_path):
    """A copy of the bundle, to be changed."""
    shutil.copytree(both.bundle, tmp_path / "bundle")
    return tmp_path / "bundle"


def test_each_format_lies_in_its_own_place_with_its_own_evidence(both):
    assert both.released
    manifest = read_manifest(both.bundle)
    assert list(manifest.forms) == ["safetensors", "onnx-int8"]
    assert manifest.forms["onnx-int8"] == folder_digest(both.bundle / "onnx-int8")
    assert form_digests(manifest) == manifest.forms
    for digest in manifest.forms.values():
        measured = {one.metric for one in both.record.findings if one.of == digest}
        assert {
            "accuracy",
            "expected_calibration_error",
            "temperature",
            "format_agreement",
            "latency",
            "size",
        } <= measured
    assert [one.form for one in both.record.verdicts] == ["safetensors", "onnx-int8"] * 4
    assert verify(both.bundle, None).ok


def test_each_format_has_the_temperature_of_its_own_answers(both):
    fitted = {name: one["temperature"] for name, one in both.record.provenance["exports"].items()}
    assert all(one["value"] != 1.0 and one["decisions"] > 0 for one in fitted.values())
    assert fitted["safetensors"]["nll_before"] != fitted["onnx-int8"]["nll_before"]


def test_the_engine_that_is_asked_for_answers_and_the_first_by_default(both):
    opened = charter.open_bundle(both.bundle)
    texts = ["the room was great", "the crew was rude today"]
    plain = charter.answer(opened, texts)
    exact = charter.answer(opened, texts, engine="safetensors", threads=1)
    graph = charter.open_answerer(opened, engine="onnx-int8", threads=1).answer_texts(texts)
    assert plain.equals(exact)
    assert plain["prediction"].to_list() == graph["prediction"].to_list()
    assert plain["probability"].to_list() != graph["probability"].to_list()
    with pytest.raises(OptionError, match="holds safetensors, onnx-int8"):
        charter.answer(opened, texts, engine="openvino")


def rewritten(bundle):
    """Make the manifest fit whatever the files now are, as a forger would."""
    path = bundle / "charter" / "manifest.json"
    manifest = json.loads(path.read_text())
    from charter.release.manifest import MANIFEST, read_content

    files = {name: one for name, one in read_content(bundle).digests.items() if name != MANIFEST}
    manifest |= {"files": files, "digest": files_digest(files)}
    manifest["forms"] = {
        "safetensors": manifest["forms"]["safetensors"], "onnx-int8": folder_digest(bundle / "onnx-int8")
    }  # fmt: skip
    path.write_text(json.dumps(manifest))


def wrong(bundle):
    return [line.text for line in verify(bundle, None).lines if not line.ok]


def test_a_graph_that_was_exchanged_has_no_evidence(bundle):
    graph = bundle / "onnx-int8" / "model.onnx"
    graph.write_bytes(graph.read_bytes() + b"\x00")
    assert "onnx-int8/model.onnx was changed" in wrong(bundle)
    rewritten(bundle)
    assert "there is no evidence of the very files of 'onnx-int8'" in wrong(bundle)
    with pytest.raises(BundleError, match="evidence"):
        charter.open_bundle(bundle)


def test_a_file_that_belongs_to_no_format_does_not_verify(bundle):
    (bundle / "onnx").mkdir()
    shutil.copy(bundle / "onnx-int8" / "model.onnx", bundle / "onnx" / "model.onnx")
    rewritten(bundle)
    assert wrong(bundle)


def test_a_bundle_of_the_format_before_still_opens(tiny_bert, tmp_path):
    write_reviews(tmp_path / "reviews.csv")
    text = CHARTER.format(base=tiny_bert).replace(", onnx-int8", "").replace("epochs: 4", "epochs: 2")
    (tmp_path / "charter.yaml").write_text(text, encoding="utf-8")
    packed = run(tmp_path / "charter.yaml", draft=True).bundle
    path = packed / "charter" / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["forms"]
    path.write_text(json.dumps({**manifest, "format": 1}))
    assert wrong(packed) == []
    assert list(charter.open_bundle(packed, allow_refused=True).forms) == ["safetensors"]


def test_a_format_whose_libraries_are_missing_is_told_before_any_work(tiny_bert, tmp_path, monkeypatch):
    write_reviews(tmp_path / "reviews.csv")
    (tmp_path / "charter.yaml").write_text(CHARTER.format(base=tiny_bert), encoding="utf-8")
    monkeypatch.setattr("charter.models.exports.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"format 'onnx-int8'.*charter\[onnx\]"):
        run(tmp_path / "charter.yaml")
    assert not (tmp_path / "runs").exists()


def finding(of, value):
    return Finding("performance", "accuracy", value, low=value - 0.01, high=value + 0.01, of=of, split="test")


def charter_of(*limits, risk="minimal"):
    data = {"source": "a.csv", "inputs": {"text": "text"}, "target": "label"}
    return Charter.model_validate(
        {"name": "a", "data": data, "model": {"base": "b"}, "task": {"use": "classification"}, "limits": limits,
         "purpose": {"risk": risk}}
    )  # fmt: skip


def test_one_format_that_breaks_a_limit_stops_the_release_of_all():
    verdicts = judge(
        charter_of("accuracy >= 0.8"),
        [finding("1", 0.9), finding("2", 0.7)],
        {"safetensors": "1", "int8": "2"},
    )
    assert [(one.form, one.outcome) for one in verdicts] == [("safetensors", "kept"), ("int8", "broken")]
    assert not released(verdicts)


def test_a_format_never_inherits_the_evidence_of_another():
    verdicts = judge(
        charter_of("accuracy >= 0.8", risk="limited"), [finding("1", 0.9)], {"safetensors": "1", "int8": "2"}
    )
    assert [(one.form, one.outcome) for one in verdicts] == [
        ("safetensors", "kept"), ("int8", "no evidence"), ("int8", "no evidence")
    ]  # fmt: skip


def test_the_report_shows_the_formats_side_by_side_in_both_languages(both):
    for language, word in (("en", "Released formats"), ("zh", "发布的格式")):
        page = render(both.record, language=language)
        assert word in page
        block = summary(both.record, language=language).formats
        assert [row[0] for row in block.rows] == ["safetensors", "onnx-int8"]


def test_agreement_is_the_share_of_test_rows_answered_alike(both):
    of_int8 = read_manifest(both.bundle).forms["onnx-int8"]
    told = {one.metric: one for one in both.record.findings if one.of == of_int8 and one.area == "export"}
    assert 0.9 <= told["format_agreement"].value <= 1.0
    assert (
        told["format_agreement"].low < told["format_agreement"].value or told["format_agreement"].value == 1.0
    )
    assert told["latency"].low <= told["latency"].value <= told["latency"].high


def test_a_disagreement_is_counted():
    import numpy as np
    import polars as pl

    from charter.tasks.classification import Classification

    rows = pl.DataFrame({"_row": range(100), "text": ["a"] * 100})
    first = [np.asarray([1.0, 0.0], dtype=np.float32)] * 100
    other = [np.asarray([0.0, 1.0], dtype=np.float32)] * 20 + first[20:]
    task = Classification(("x", "y"))
    found = measure_form(
        Form("of", 2_000_000, [1.0] * 19), Columns(inputs={"text": "text"}),
        own=Told(task, Answers(rows, other, "d")), first=Told(task, Answers(rows, first, "d")), seed=7,
    )  # fmt: skip
    agreement, latency, size = found
    assert agreement.value == 0.8
    assert 0.68 < agreement.low < 0.75
    assert latency.value is None and "19 rows" in latency.because
    assert size.value == 2.0

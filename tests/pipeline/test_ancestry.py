"""A released bundle as the base of another charter: its head, its lineage, and what is refused."""

import json
import random
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from charter import spec
from charter.errors import BundleError, CharterFileError, ModelError
from charter.models.base import attach, find_base
from charter.pipeline import continuing, run
from charter.release.report import render
from charter.release.verification import verify
from charter.tasks.classification import Classification

from ..conftest import review

CHARTER = """\
name: {name}
data: {{source: {data}, inputs: {{text: text}}, target: label, split: {{test: 0.3}}}}
model: {{base: "{base}", max_length: 32{model}}}
task: {{use: classification}}
training: {{epochs: {epochs}, batch_size: 16, learning_rate: 3.0e-3}}
audits: [{{use: performance, resamples: 200}}]
limits: ["{limit}"]
release: {{formats: [{formats}]}}
"""


def write(folder: Path, name: str, base: object, **asked: object) -> Path:
    settings = {
        "data": "first.csv",
        "model": "",
        "epochs": 3,
        "limit": "accuracy >= 0.02",
        "formats": "safetensors",
    }
    path = folder / f"{name}.yaml"
    path.write_text(CHARTER.format(name=name, base=base, **{**settings, **asked}), encoding="utf-8")
    return path


def write_rows(path: Path, labels: list[str], seed: int, count: int = 240) -> None:
    rng = random.Random(seed)
    lines = ["text,label"]
    for number in range(count):
        label = labels[number % len(labels)]
        text = f"{review(rng, 'good' if label in ('good', 'praise') else 'bad')} {'queue queue' if label == 'praise' else ''}"
        lines.append(f"{text},{label}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def first(tiny_bert, tmp_path_factory):
    """A folder with a released bundle `first` and data of the same and of more classes."""
    folder = tmp_path_factory.mktemp("ancestry")
    write_rows(folder / "first.csv", ["bad", "good"], 1)
    write_rows(folder / "same.csv", ["bad", "good"], 2)
    write_rows(folder / "more.csv", ["bad", "good", "praise"], 3)
    write_rows(folder / "other.csv", ["x", "y"], 4)
    result = run(write(folder, "first", tiny_bert))
    assert result.bundle is not None
    return folder


def test_a_kept_head_answers_as_the_bundle_did_before_any_update(first):
    task = Classification(labels=("bad", "good"))
    base = find_base("release/first", None, first)
    kept = attach(
        type(base)(base.reference, base.folder, base.digest, ("bad", "good")), task, seed=1, max_length=32
    )
    plain = AutoModelForSequenceClassification.from_pretrained(first / "release" / "first")
    ids = {"input_ids": torch.tensor([[2, 7, 9, 3]])}
    torch.testing.assert_close(kept.eval()(**ids).logits, plain.eval()(**ids).logits)
    assert not torch.allclose(
        attach(base, task, seed=1, max_length=32).eval()(**ids).logits, plain(**ids).logits
    )


def test_added_classes_keep_the_rows_of_the_old_ones(first):
    task = Classification(labels=("bad", "good", "praise"))
    base = find_base("release/first", None, first)
    grown = attach(
        type(base)(base.reference, base.folder, base.digest, ("bad", "good")), task, seed=1, max_length=32
    )
    plain = AutoModelForSequenceClassification.from_pretrained(first / "release" / "first")
    ids = {"input_ids": torch.tensor([[2, 7, 9, 3]])}
    torch.testing.assert_close(grown.eval()(**ids).logits[:, :2], plain.eval()(**ids).logits)
    assert grown.config.id2label == {0: "bad", 1: "good", 2: "praise"}


@pytest.mark.parametrize(
    ("data", "asked", "labels", "kept"),
    [
        ("same.csv", "", ["bad", "good"], True),
        ("more.csv", "", ["bad", "good", "praise"], True),
        ("other.csv", "", ["x", "y"], False),
        ("other.csv", ", head: keep", ["bad", "good", "x", "y"], True),
        ("same.csv", ", head: replace", ["bad", "good"], False),
    ],
)
def test_the_head_is_kept_where_the_classes_allow_or_the_charter_says(first, data, asked, labels, kept):
    result = run(write(first, "next", "release/first", data=data, model=asked, epochs=1))
    config = json.loads((result.bundle / "config.json").read_text())
    assert [config["id2label"][str(at)] for at in range(len(labels))] == labels
    assert (result.record.provenance["base"].get("head") == "kept") is kept
    assert verify(result.bundle, None).ok


def test_the_lineage_lists_every_ancestor_in_provenance_report_card_and_verification(first):
    run(write(first, "second", "release/first", data="same.csv", epochs=1))
    result = run(write(first, "third", "release/second", data="more.csv", epochs=1))
    listed = result.record.provenance["ancestors"]
    manifests = [
        json.loads((first / "release" / one / "charter/manifest.json").read_text())
        for one in ("second", "first")
    ]
    assert [(one["name"], one["digest"]) for one in listed] == [
        (one["name"], one["digest"]) for one in manifests
    ]
    assert [one["data"]["id"] for one in listed] == ["second", "first"]
    checked = [line.text for line in verify(result.bundle, None).lines]
    assert any("descends from 'second'" in line and "descends from 'first'" in line for line in checked)
    card = (result.bundle / "README.md").read_text(encoding="utf-8")
    assert "base_model:" not in card  # a folder is no name on the hub
    assert "goes on from the bundle `second`" in card and "which goes on from `first`" in card
    for language, words in (("en", "descends from"), ("zh", "由哪些发布包而来")):
        page = render(result.record, language=language)
        assert words in page and manifests[1]["digest"][:16] in page


def test_rows_that_the_base_learned_from_are_never_judged_on(first):
    """The same data split otherwise: most of its test rows are training rows of the base."""
    again = write(first, "otherwise", "release/first")
    text = again.read_text().replace("{test: 0.3}", "{test: 0.3, seed: 99}")
    again.write_text(text.replace("resamples: 200", "resamples: 200, minimum_n: 10"))
    result = run(again)
    left_out = next(one for one in result.record.findings if one.metric == "rows_known").value
    sizes = {one.slice.get("split"): one.value for one in result.record.findings if one.metric == "rows"}
    scored = next(
        one for one in result.record.findings if one.metric == "accuracy" and not one.slice and one.of
    )
    assert left_out > 30
    assert sizes["test"] == scored.n < 72
    assert f"Measured on {scored.n} rows" in render(result.record)
    assert "What earlier models learned from" in (result.bundle / "README.md").read_text()
    assert verify(result.bundle, None).ok


def test_data_that_is_split_alike_stays_as_it_is(first):
    result = run(write(first, "alike", "release/first"))
    assert all(one["name"] != "go on" for one in result.record.stages)
    assert not [one for one in result.record.findings if one.metric == "rows_known"]


def test_where_the_base_s_rows_are_not_at_hand_it_is_not_known_what_it_learned_from(first, tmp_path):
    notes = []
    result = run(
        write(first, "apart", "release/first", data="same.csv"),
        store=tmp_path,
        on_event=lambda event: notes.append(str(event)),
    )
    known = next(one for one in result.record.findings if one.metric == "rows_known")
    assert known.value is None and "not in this run store" in known.because
    assert any("were learned from before is not known" in note for note in notes)
    for language, words in (("en", "is not known: the rows of first"), ("zh", "不得而知：first 的数据行")):
        assert words in render(result.record, language=language)


def test_rows_too_many_to_be_compared_leave_it_not_known(first, monkeypatch):
    monkeypatch.setattr(continuing, "MOST_BYTES", 100)
    result = run(write(first, "large", "release/first", data="same.csv", epochs=1))
    known = next(one for one in result.record.findings if one.metric == "rows_known")
    assert known.value is None and known.because == "the rows of first are too many to be compared"


def test_a_bundle_that_was_changed_is_never_started_from(first, tmp_path):
    shutil.copytree(first, tmp_path / "copy")
    (tmp_path / "copy/release/first/config.json").write_text("{}")
    with pytest.raises(BundleError, match="not what was packed"):
        run(write(tmp_path / "copy", "next", "release/first"))


def test_a_refused_bundle_is_started_from_only_where_the_charter_says_so(first, tiny_bert):
    refused = run(write(first, "weak", tiny_bert, limit="accuracy >= 0.9999", epochs=1), draft=True)
    base = f"release/{refused.bundle.name}"
    with pytest.raises(CharterFileError, match="allow_refused: true"):
        spec.read(write(first, "next", base))
    with pytest.raises(CharterFileError, match="allow_refused: true"):
        run(write(first, "next", base))
    result = run(write(first, "next", base, model=", allow_refused: true", epochs=1))
    assert "refused" in (result.bundle / "README.md").read_text(encoding="utf-8")


def test_a_bundle_without_weights_that_learn_is_told_by_check(first, tiny_bert):
    pytest.importorskip("onnxruntime")
    run(write(first, "graph", tiny_bert, formats="onnx", epochs=1))
    with pytest.raises(CharterFileError, match="onnx only, and those can't learn on"):
        spec.read(write(first, "next", "release/graph"))


def test_a_head_that_is_not_there_is_not_kept(first, tiny_bert):
    with pytest.raises(CharterFileError, match="no released bundle"):
        spec.read(write(first, "next", tiny_bert, model=", head: keep"))
    path = write(first, "next", "release/first", model=", head: keep")
    path.write_text(
        path.read_text().replace(
            "{use: classification}", "{use: classification, descriptions: {bad: x, good: y}}"
        )
    )
    with pytest.raises(ModelError, match="can't go on yet"):
        run(path)


PRIVATE = "privacy: {epsilon: 8, delta: 1.0e-3}\n"


def test_no_privacy_is_promised_for_rows_that_the_base_learned_without_it(first):
    path = write(first, "hopeless", "release/first", epochs=1)
    path.write_text(path.read_text(encoding="utf-8") + PRIVATE, encoding="utf-8")
    with pytest.raises(ModelError, match="descends from 'first', which learned from data 'first' without"):
        run(path)
    named = path.read_text(encoding="utf-8").replace("source: first.csv", "source: same.csv, id: first")
    path.write_text(named, encoding="utf-8")  # a later version of the file
    with pytest.raises(ModelError, match="without privacy, so no noise now"):
        run(path)
    others = named.replace("id: first", "id: others")
    path.write_text(others, encoding="utf-8")
    once = run(path)
    assert once.record.status == "released"
    again = write(first, "again", "release/hopeless", epochs=1, data="same.csv")
    again.write_text(again.read_text(encoding="utf-8") + PRIVATE, encoding="utf-8")
    with pytest.raises(ModelError, match=r"'hopeless' learned from data 'others' .* does not have on record"):
        run(again, store=again.parent / "elsewhere")
    result = run(again)
    assert result.record.status == "released"
    assert [one["private"] for one in result.record.provenance["ancestors"]] == [True, False]
    assert "Its base hopeless learned from the same data before, within a budget of its own" in render(
        result.record
    )
    assert "within a budget of its own" not in render(once.record)
    assert "其基座 hopeless 此前已在自身的预算之内学习过同样的数据" in render(result.record, language="zh")

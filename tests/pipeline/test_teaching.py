"""Distillation from a charter to a bundle: a teacher of ours or a plain one, its answers made once, its name on record."""

import json
import shutil

import numpy as np
import polars as pl
import pytest
import torch
import transformers

from charter.errors import BundleError, CharterFileError, DataError, ModelError
from charter.models.inference import predict_outputs
from charter.pipeline import run
from charter.release.bundle import read_bundle
from charter.release.report import render
from charter.release.verification import verify
from charter.serving.answers import open_answerer
from charter.spec import read
from charter.spec.model import Charter

CHARTER = """\
name: {name}
data:
  source: reviews.csv
  inputs: {{text: text}}
  target: label
  split: {{test: 0.3, validation: 0.1, calibration: 0.1, seed: {split}}}
model: {{base: "{base}", max_length: 32}}
task: {{use: {task}}}
training: {{epochs: 2, batch_size: 16, learning_rate: 3.0e-3{objective}}}
audits: [{{use: performance, resamples: 100}}]
limits: ["accuracy >= 0.1"]
"""


def write(folder, base, name="student", *, objective="", split=7, task="classification"):
    (folder / name).mkdir(exist_ok=True)
    shutil.copyfile(folder / "reviews.csv", folder / name / "reviews.csv")
    if objective:
        objective = f", objective: {{use: distillation, {objective}}}"
    path = folder / name / "charter.yaml"
    said = {"base": base, "name": name, "objective": objective, "split": split, "task": task}
    path.write_text(CHARTER.format(**said), encoding="utf-8")
    return path


@pytest.fixture
def folder(reviews_csv):
    return reviews_csv.parent


@pytest.fixture
def teacher(tiny_bert, folder):
    return run(write(folder, tiny_bert, "teacher")).bundle


def test_a_student_of_a_released_bundle_says_whose_it_is_and_its_teacher_is_asked_once(
    tiny_bert, folder, teacher
):
    seen = []
    path = write(folder, tiny_bert, objective="teacher: ../teacher/release/teacher, weight: 0.8")
    result = run(path, on_event=lambda event: seen.append((event.kind, event.stage)))
    assert ("made", "teach") in seen
    assert verify(result.bundle, None).ok
    told = json.loads((result.bundle / "charter" / "provenance.json").read_text(encoding="utf-8"))["teacher"]
    manifest = read_bundle(teacher).manifest
    assert told["digest"] == manifest.forms["safetensors"]
    assert told["run"] == manifest.run and told["bundle_digest"] == manifest.digest
    assert told["may_have_read_test_rows"] is False
    assert "Its teacher: teacher, of run" in (result.bundle / "README.md").read_text(encoding="utf-8")
    page = render(result.record)
    assert "what a teacher answers to the same rows" in page and "Ask the teacher" in page
    stage = next(one for one in result.record.stages if one["name"] == "teach")
    answers = np.load(path.parent / "runs" / "artefacts" / stage["key"] / "files" / "answers.npy")
    rows = pl.read_parquet(next((path.parent / "runs" / "artefacts").glob("*/files/rows.parquet")))
    rows = rows.filter(pl.col("_split") == "train")
    answerer = open_answerer(read_bundle(teacher))
    examples = answerer.task.examples(rows, answerer.columns, answerer.tokenizer, 32, with_targets=False)
    theirs = np.asarray(predict_outputs(answerer.model, answerer.task, examples))
    assert answers == pytest.approx(theirs, abs=1e-5)

    seen.clear()  # another temperature: the same answers, another training
    text = path.read_text(encoding="utf-8").replace("weight: 0.8", "weight: 0.8, temperature: 4")
    path.write_text(text, encoding="utf-8")
    run(path, on_event=lambda event: seen.append((event.kind, event.stage)))
    assert ("reused", "teach") in seen and ("made", "train") in seen


def test_where_the_teacher_lies_does_not_matter_but_its_weights_do(tiny_bert, folder, teacher):
    path = write(folder, tiny_bert, objective="teacher: ../teacher/release/teacher")
    run(path)
    shutil.copytree(teacher, path.parent / "moved")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("../teacher/release/teacher", "moved"), encoding="utf-8")
    seen = []
    run(path, on_event=lambda event: seen.append((event.kind, event.stage)))
    assert ("reused", "train") in seen
    other = run(
        write(folder, tiny_bert, "other", split=7)
    ).bundle  # a bundle of another name, the same weights
    assert read_bundle(other).manifest.forms == read_bundle(teacher).manifest.forms
    model = transformers.AutoModelForSequenceClassification.from_pretrained(teacher)
    with torch.no_grad():
        model.classifier.bias.add_(1.0)
    plain = path.parent / "plain"
    model.save_pretrained(plain)
    transformers.AutoTokenizer.from_pretrained(teacher).save_pretrained(plain)
    path.write_text(text.replace("../teacher/release/teacher", "plain"), encoding="utf-8")
    seen.clear()
    run(path, on_event=lambda event: seen.append((event.kind, event.stage)))
    assert ("made", "teach") in seen and ("made", "train") in seen


def plain_teacher(tiny_bert, folder, names):
    config = transformers.BertConfig.from_pretrained(tiny_bert, id2label=dict(enumerate(names)))
    with torch.random.fork_rng():
        torch.manual_seed(1)
        transformers.BertForSequenceClassification(config).save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(tiny_bert).save_pretrained(folder)


def test_a_plain_folder_s_classes_may_stand_in_another_order_but_must_be_the_same(tiny_bert, folder):
    path = write(folder, tiny_bert, objective="teacher: plain, hidden: 0.5")
    plain_teacher(tiny_bert, path.parent / "plain", ("good", "bad"))
    assert run(path).record.provenance["teacher"]["reference"] == "plain"
    plain_teacher(tiny_bert, path.parent / "plain", ("good", "awful"))
    with pytest.raises(DataError, match=r"not the same: only one of the two has 'awful', 'bad'"):
        run(path)


def test_a_teacher_that_reads_other_tokens_can_not_lend_its_hidden_states(tiny_bert, folder):
    path = write(folder, tiny_bert, objective="teacher: plain, hidden: 0.5")
    plain_teacher(tiny_bert, path.parent / "plain", ("good", "bad"))
    tokenizer = json.loads((path.parent / "plain" / "tokenizer.json").read_text(encoding="utf-8"))
    words = tokenizer["model"]["vocab"]
    words["room"], words["crew"] = words["crew"], words["room"]
    (path.parent / "plain" / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    with pytest.raises(DataError, match="reads the training texts as other tokens"):
        run(path)
    path.write_text(path.read_text(encoding="utf-8").replace(", hidden: 0.5", ""), encoding="utf-8")
    assert run(path).bundle is not None  # its answers need no common tokens


def test_a_teacher_that_may_know_the_test_rows_is_told_of(tiny_bert, folder, teacher):
    notes = []
    path = write(folder, tiny_bert, objective="teacher: ../teacher/release/teacher", split=8)
    result = run(path, on_event=lambda event: notes.append(event.text) if event.kind == "note" else None)
    assert any("it may have learned from rows that this model is judged on" in one for one in notes)
    assert result.record.provenance["teacher"]["may_have_read_test_rows"] is True
    assert "may have learned from rows" in (result.bundle / "README.md").read_text(encoding="utf-8")


def test_a_teacher_that_was_changed_is_refused(tiny_bert, folder, teacher):
    path = write(folder, tiny_bert, objective="teacher: ../teacher/release/teacher")
    with (teacher / "config.json").open("a", encoding="utf-8") as stream:
        stream.write(" ")
    with pytest.raises(BundleError, match="is not what was packed"):
        run(path)


@pytest.mark.parametrize(
    ("objective", "task", "where", "words"),
    [
        ("teacher: nowhere", "classification", "training.objective.teacher", "a released bundle or a"),
        ("teacher: ../teacher/release/teacher", "ordinal, order: [bad, good]", "training.objective", "can't be distilled"),
        ("teacher: ../teacher/release/teacher", "multi_label_classification", "training.objective.teacher", "was taught task"),
        ("teacher: ../teacher/release/teacher, temperature: 0.5", "classification", "training.objective.temperature", "1 or more"),
        ("weight: 0.5", "classification", "training.objective", "teacher"),
    ],
)  # fmt: skip
def test_what_no_teacher_can_do_is_said_by_check(tiny_bert, folder, teacher, objective, task, where, words):
    path = write(folder, tiny_bert, objective=objective, task=task)
    with pytest.raises(CharterFileError) as caught:
        read(path)
    found = {one.path: one.message for one in caught.value.problems}
    assert any(path.startswith(where) and words in said + path for path, said in found.items()), found


@pytest.mark.parametrize("key", ["economies", "gradient_checkpointing", "compile"])
def test_what_the_plain_pass_does_not_have_is_refused_beside_hidden_states(tiny_bert, folder, key):
    path = write(folder, tiny_bert, objective="teacher: plain, hidden: 1")
    plain_teacher(tiny_bert, path.parent / "plain", ("good", "bad"))
    text = path.read_text(encoding="utf-8")
    read(path)
    path.write_text(text.replace("hidden: 1}", f"hidden: 1}}, {key}: true"), encoding="utf-8")
    with pytest.raises(CharterFileError, match=f"training.{key}.*{key} does not change"):
        read(path)


def test_under_a_privacy_budget_a_teacher_is_refused(tiny_bert, folder):
    value = {
        "name": "a",
        "data": {"source": "x.csv", "inputs": {"text": "text"}, "target": "label"},
        "model": {"base": "b"},
        "task": {"use": "classification"},
        "training": {"objective": {"use": "distillation", "teacher": "t"}},
    }
    Charter.model_validate(value)
    with pytest.raises(ValueError, match="within this privacy budget"):
        Charter.model_validate({**value, "privacy": {"epsilon": 8, "delta": 1e-5}})


def test_a_teacher_without_weights_to_answer_with_is_refused(tiny_bert, folder, tmp_path):
    path = write(folder, tiny_bert, objective="teacher: plain")
    plain_teacher(tiny_bert, path.parent / "plain", ("good", "bad"))
    (path.parent / "plain" / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelError, match=r"the tokenizer in .* can't be loaded"):
        run(path)

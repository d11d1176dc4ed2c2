"""Every task from its charter to a bundle that answers, verifies and opens in plain transformers; pages in both languages."""

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from charter import spec
from charter.cli import run_command
from charter.pipeline import Result, run
from charter.release.bundle import read_bundle
from charter.release.report import render
from charter.release.report.sentences import translated
from charter.serving.answers import open_answerer

GOOD, BAD = ["great", "lovely", "kind", "warm", "clean"], ["awful", "rude", "cold", "dirty", "slow"]
FILL = [
    "the",
    "was",
    "very",
    "and",
    "today",
    "again",
    "we",
    "found",
    "it",
    "so",
    "my",
    "this",
    "time",
    "with",
    "room",
    "crew",
]
CHARTER = """\
name: {name}
data:
  source: {source}
  inputs: {inputs}
  target: {target}
  groups: {groups}
  prepare: [{{use: repair_text}}, {{use: normalise_label}}, {{use: drop_exact_duplicates}}]
  split: {{test: 0.4, validation: 0.15, calibration: 0.15}}
model: {{base: "{base}", max_length: 32}}
task: {task}
training: {{epochs: 2, batch_size: 16, learning_rate: 3.0e-3}}
audits: [{{use: performance, resamples: 100}}, {{use: calibration, resamples: 100, minimum_n: 50}}]
limits: ["{limit}"]
report: {{examples: masked}}
"""
CASES: dict[str, dict[str, Any]] = {
    "numbers": {
        "task": "{use: regression}",
        "target": "score",
        "limit": "interval_coverage >= 0.5",
        "groups": "[city]",
    },
    "ratings": {"task": "{use: ordinal}", "target": "stars", "limit": "quadratic_weighted_kappa >= -1"},
    "labels": {
        "task": "{use: multi_label_classification, separator: '|', threshold: tuned}",
        "target": "labels",
        "limit": "hamming_loss <= 0.9",
    },
    "flags": {
        "task": "{use: multi_label_classification}",
        "target": "[praise, complaint]",
        "limit": "hamming_loss <= 0.9",
    },
    "pairs": {
        "task": "{use: text_pair_classification}",
        "target": "same",
        "limit": "accuracy >= 0.1",
        "inputs": "{text: text, other: text}",
    },
    "alike": {
        "task": "{use: regression}",
        "target": "likeness",
        "limit": "spearman >= -1",
        "inputs": "{text: text, other: text}",
    },
}


@dataclass(frozen=True)
class Made:
    name: str
    folder: Path
    result: Result

    def findings(self, metric: str, **where: str) -> list[Any]:
        found = self.result.record.findings
        return [one for one in found if one.metric == metric and where.items() <= dict(one.slice).items()]


def write_rows(path: Path) -> None:
    rng = random.Random(7)
    lines = ["text,score,stars,labels,praise,complaint,other,same,likeness,city"]
    for _ in range(300):
        words = [rng.choice(FILL + GOOD + BAD) for _ in range(8)]
        good, bad = sum(one in GOOD for one in words), sum(one in BAD for one in words)
        labels = "|".join(["praise"] * (good > 1) + ["complaint"] * (bad > 1))
        other = rng.sample(words, 4) if rng.random() < 0.5 else [rng.choice(FILL) for _ in range(4)]
        alike = len(set(words) & set(other)) / 4
        lines.append(
            f"{' '.join(words)},{100 + 8 * (good - bad) + rng.gauss(0, 2):.2f},{min(5, max(1, 3 + good - bad))},{labels},"
            f"{int(good > 1)},{int(bad > 1)},{' '.join(other)},{'yes' if alike == 1 else 'no'},{alike * 5:.2f},"
            f"{rng.choice(['Paris', '北京'])}"
        )
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(scope="module", params=list(CASES))
def made(request, tiny_bert, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    write_rows(folder / "rows.csv")
    filled = {"inputs": "{text: text}", "groups": "[]", **CASES[request.param]}
    text = CHARTER.format(name=request.param, source="rows.csv", base=tiny_bert, **filled)
    (folder / "charter.yaml").write_text(text, encoding="utf-8")
    return Made(request.param, folder, run(folder / "charter.yaml"))


def new_rows(inputs: tuple[str, ...]) -> list[Any]:
    rows = [("great warm room", "great room"), ("awful", "cold cold meal and a very slow crew today")]
    return (
        [dict(zip(inputs, row, strict=False)) for row in rows]
        if len(inputs) > 1
        else [row[0] for row in rows]
    )


def test_a_task_s_bundle_is_released_verified_and_answers(made, capsys):
    assert made.result.released
    assert run_command(["verify", str(made.result.bundle)]) == 0
    inputs = tuple(made.result.record.charter.data.inputs)
    answers = open_answerer(read_bundle(made.result.bundle)).answer_texts(new_rows(inputs))
    column = "predictions" if made.name in ("labels", "flags") else "prediction"
    assert answers[column].null_count() == 0
    capsys.readouterr()
    options = (
        ["--text", "great warm room"]
        if len(inputs) == 1
        else ["--input", "text=great", "--input", "other=great"]
    )
    assert run_command(["predict", str(made.result.bundle), "--json", *options]) == 0
    assert column in json.loads(capsys.readouterr().out)


@pytest.mark.slow
def test_a_task_leaves_as_graphs_too_each_settled_by_its_own_answers(made):
    charter = made.folder / "graphs.yaml"
    text = (made.folder / "charter.yaml").read_text(encoding="utf-8")
    charter.write_text(
        text + "release: {formats: [safetensors, onnx-int8, openvino-int8]}\n", encoding="utf-8"
    )
    bundle = run(charter, release_to=made.folder / "graphs").bundle
    assert bundle is not None
    assert run_command(["verify", str(bundle)]) == 0
    opened = read_bundle(bundle)
    rows = new_rows(tuple(opened.preparation.inputs))
    for form in opened.forms:
        answerer = open_answerer(opened, engine=form, threads=1)
        answers = answerer.answer_texts(rows)
        assert answers["not_answered"].null_count() == len(rows)
        assert dict(answerer.task.fitted) == opened.preparation.settled[form]
    if made.name in ("labels", "numbers"):
        assert len({str(one) for one in opened.preparation.settled.values()}) > 1


def test_plain_transformers_gives_the_same_numbers(made):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    answerer = open_answerer(read_bundle(made.result.bundle))
    rows = new_rows(tuple(answerer.columns.inputs))
    texts = [list(one.values()) if isinstance(one, dict) else [one] for one in rows]
    model = AutoModelForSequenceClassification.from_pretrained(made.result.bundle).eval()
    tokenizer = AutoTokenizer.from_pretrained(made.result.bundle)
    with torch.inference_mode():
        logits = [model(**tokenizer(*one, return_tensors="pt")).logits[0].double().numpy() for one in texts]
    plain = answerer.task.decode(logits, pl.DataFrame(), answerer.columns)
    ours = answerer.answer_texts(rows)
    for name in plain.columns:
        if plain.schema[name] == pl.Float64:
            np.testing.assert_allclose(plain[name], ours[name], rtol=1e-4)
        else:
            assert plain[name].to_list() == ours[name].to_list() or plain.schema[name] == pl.Struct


def test_plain_pipelines_read_the_outputs_rightly(made):
    from transformers import pipeline

    answerer = open_answerer(read_bundle(made.result.bundle))
    given = new_rows(tuple(answerer.columns.inputs))[0]
    ours = answerer.answer_texts([given])
    asked = {"text": given["text"], "text_pair": given["other"]} if isinstance(given, dict) else given
    said = pipeline("text-classification", model=str(made.result.bundle), top_k=None)([asked])[0]
    told = {one["label"]: one["score"] for one in said}
    if made.name in ("numbers", "alike"):
        assert next(iter(told.values())) == pytest.approx(ours["prediction"][0], rel=1e-3)
        assert set(told) == {made.result.record.charter.data.target}
    elif made.name == "ratings":
        shares = ours["probabilities"][0]
        assert told["> 1"] == pytest.approx(1 - shares["1"], abs=1e-3)
    else:
        assert told == pytest.approx(ours["probabilities"][0], abs=1e-3)


def test_a_file_of_rows_is_answered_in_columns(made):
    out = made.folder / "answers.csv"
    arguments = [
        "predict",
        str(made.result.bundle),
        "--file",
        str(made.folder / "rows.csv"),
        "--out",
        str(out),
    ]
    assert run_command([*arguments, "--keep", "city"]) == 0
    assert pl.read_csv(out).height == 300


def test_every_sentence_and_metric_of_the_evidence_is_told_in_chinese(made):
    page = render(made.result.record, language="zh")
    for one in made.result.record.findings:
        for said in (one.method, one.because, one.unit):
            assert not said or translated(said) is not None, said
    assert "not defined" not in page
    assert "None" not in page


def test_calibration_means_something_for_every_task(made):
    if made.name in ("numbers", "alike"):
        covered, width = made.findings("interval_coverage")[0], made.findings("interval_width")[0]
        assert 0.6 <= covered.value <= 1
        assert width.value > 0
        assert not made.findings("temperature")
    else:
        assert made.findings("expected_calibration_error")[0].value is not None
    if made.name == "flags":
        assert {one.slice["class"] for one in made.findings("brier", **{"class": "praise"})} == {"praise"}


def test_baselines_stand_beside_every_task(made):
    gains = {one.slice["baseline"]: one.value for one in made.findings("headline_gain")}
    assert len(gains) == 2
    assert all(value is not None for value in gains.values())


def test_the_task_that_answers_is_the_one_that_was_settled(made):
    task = open_answerer(read_bundle(made.result.bundle)).task
    if made.name == "labels":
        assert len(task.thresholds) == 2
        assert set(task.thresholds) != {0.5}
    if made.name == "numbers":
        assert (task.mean, task.scale) == (0.0, 1.0)
        assert task.half_width > 0
    assert spec.read(made.folder / "charter.yaml").task.use == task.name

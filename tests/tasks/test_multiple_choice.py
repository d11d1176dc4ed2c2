"""Choices: in columns or in lists, of any number, named in any usual way; a run gives a bundle that answers them."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from charter.cli import run_command
from charter.data.columns import ROW, Columns
from charter.data.reading import read_source
from charter.errors import DataError
from charter.models.base import load_tokenizer
from charter.models.inference import predict_outputs
from charter.pipeline import run
from charter.release.bundle import read_bundle
from charter.release.verification import verify
from charter.serving.answers import open_answerer
from charter.spec.data import Data
from charter.tasks import restore
from charter.tasks.multiple_choice import multiple_choice

TASK = multiple_choice()
COLUMNS = Columns(inputs={"stem": "text", "a": "text", "b": "text"}, target="right", form=TASK.form)
LISTS = Columns(inputs={"stem": "text", "choices": "text"}, target="right", form=TASK.form)


def read(folder, name, columns):
    data = Data(source=name, inputs=dict(columns.inputs), target=columns.target)
    return read_source(data, folder, columns=columns)


def two_choices(targets):
    n = len(targets)
    cells = {"stem": ["the room"] * n, "a": ["was warm"] * n, "b": ["was rude"] * n}
    return pl.DataFrame({ROW: range(n), **cells, "right": targets})


@pytest.mark.parametrize(
    ("targets", "first"), [(["0", "1"], 0), (["1", "2"], 1), (["A", "B"], 0), (["a", "b"], 0)]
)
def test_the_right_choice_is_understood_however_it_is_named(targets, first):
    task, rows = multiple_choice(first=first), two_choices(targets)
    logits = [np.asarray(one, dtype=np.float32) for one in ([2, 0], [0, 2])]
    columns = replace(COLUMNS, form=task.form)
    fitted = task.fit(rows, columns)
    assert fitted.scores(fitted.tally(logits, rows, columns).sum(axis=0))["accuracy", ""] == 1.0
    assert fitted.decode(logits, rows, columns)["choice"].to_list() == [first, first + 1]
    assert restore(fitted.state()) == fitted


@pytest.mark.parametrize("target", ["2", "C", "none", "-1", "²"])
def test_a_row_whose_target_names_no_choice_is_rejected_with_its_reason_and_not_told(target, tmp_path):
    (tmp_path / "rows.csv").write_text(
        f"stem,a,b,right\nthe room,was warm,was rude,0\nthe crew,was kind,was cold,{target}\n",
        encoding="utf-8",
    )
    found = read(tmp_path, "rows.csv", COLUMNS)
    assert found.frame["right"].to_list() == ["0"]
    (reject,) = found.rejects.iter_rows(named=True)
    assert reject["reason"] == "column 'right' names none of the row's choices"


def test_a_row_with_one_choice_is_rejected(tmp_path):
    lines = [
        {"stem": "the room", "choices": ["a", "b"], "right": "B"},
        {"stem": "x", "choices": ["a"], "right": "A"},
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    found = read(tmp_path, "rows.jsonl", LISTS)
    assert found.frame.height == 1
    assert found.rejects["reason"].to_list() == ["fewer than two choices"]


def test_a_target_that_preparation_spoils_stops_the_run_and_is_not_told():
    with pytest.raises(DataError, match="'right' of 1 rows names none") as caught:
        TASK.fit(two_choices(["0", "spoilt"]), COLUMNS)
    assert "spoilt" not in str(caught.value)


def test_rows_may_differ_in_how_many_choices_they_have(tiny_bert):
    rows = pl.DataFrame(
        {ROW: [0, 1], "stem": ["the room was", "the crew"], "choices": [["warm", "cold"], ["kind", "rude", "slow"]]}
    ).with_columns(pl.Series("right", ["1", "2"]))  # fmt: skip
    from transformers import AutoModelForMultipleChoice

    model = AutoModelForMultipleChoice.from_pretrained(tiny_bert).eval()
    task = TASK.fit(rows, LISTS)
    examples = task.examples(rows, LISTS, load_tokenizer(tiny_bert), 16)
    together = predict_outputs(model, task, examples)
    alone = [
        predict_outputs(model, task, task.examples(rows[at : at + 1], LISTS, load_tokenizer(tiny_bert), 16))[
            0
        ]
        for at in range(2)
    ]
    assert [len(one) for one in together] == [2, 3]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    told = task.confidences(together, rows, LISTS)
    assert told.probabilities[0, 2] == 0.0


CHARTER = """\
name: chosen
data:
  source: choices.jsonl
  inputs: {{stem: text, choices: text}}
  target: right
  prepare: [{{use: repair_text}}]
  split: {{test: 0.3, validation: 0.1, calibration: 0.2, similarity: 0.99}}
model: {{base: "{base}", max_length: 32}}
task: {{use: multiple_choice}}
training: {{epochs: 1, batch_size: 16, learning_rate: 1.0e-3}}
audits: [{{use: performance, resamples: 100}}, {{use: calibration, resamples: 100, minimum_n: 20}}]
limits: [accuracy >= 0.0]
release: {{formats: [safetensors, onnx]}}
report: {{examples: masked}}
"""
THINGS = ["room", "crew", "flight", "meal", "desk", "seat", "phone", "queue", "hotel", "staff"]
SAID = [
    "great",
    "lovely",
    "kind",
    "warm",
    "clean",
    "quick",
    "awful",
    "rude",
    "cold",
    "dirty",
    "slow",
    "broken",
]


def test_a_run_on_choices_ends_in_a_bundle_that_plain_transformers_opens(tiny_bert, tmp_path, capsys):
    import torch
    from transformers import AutoModelForMultipleChoice, AutoTokenizer

    rng = np.random.default_rng(2)
    lines = []
    for number in range(150):
        choices = [f"it was {one}" for one in rng.choice(SAID, size=int(rng.integers(2, 5)), replace=False)]
        row = {
            "stem": f"the {rng.choice(THINGS)} {number}",
            "choices": choices,
            "right": number % len(choices),
        }
        lines.append(json.dumps(row))
    (tmp_path / "choices.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "charter.yaml").write_text(CHARTER.format(base=tiny_bert), encoding="utf-8")
    result = run(tmp_path / "charter.yaml")
    assert result.released and verify(result.bundle, None).ok
    bundle = read_bundle(result.bundle)
    rows = pl.DataFrame(
        {ROW: [1], "_place": ["x"], "stem": ["the room"], "choices": [["it was kind", "it was slow"]]}
    )
    ours = open_answerer(bundle).answer(rows).frame.row(0, named=True)
    said = ["predict", str(result.bundle), "--input", "stem=the room", "--json", "--input"]
    assert run_command([*said, 'choices=["it was kind", "it was slow"]']) == 0
    assert json.loads(capsys.readouterr().out)["probabilities"] == pytest.approx(ours["probabilities"])
    assert run_command([*said, "choices=[it was kind, it was slow]"]) == 2
    assert "no JSON list of texts" in capsys.readouterr().err
    assert run_command([*said, "choices=it was kind"]) == 0
    assert json.loads(capsys.readouterr().out) == {"not_answered": "fewer than two choices"}
    shown = result.record.examples["shown"][0]
    assert shown["text"].startswith("the ") and ": it was " in shown["truth"]
    tokenizer = AutoTokenizer.from_pretrained(result.bundle)
    model = AutoModelForMultipleChoice.from_pretrained(result.bundle).eval()
    read = tokenizer(["the room"] * 2, ["it was kind", "it was slow"], return_tensors="pt")
    with torch.inference_mode():
        shares = model(**{name: one[None] for name, one in read.items()}).logits.softmax(-1)[0]
    assert ours["probabilities"] == pytest.approx(shares.tolist(), abs=1e-5)
    graph = open_answerer(bundle, engine="onnx").answer(rows).frame.row(0, named=True)
    assert graph["probabilities"] == pytest.approx(ours["probabilities"], abs=1e-3)

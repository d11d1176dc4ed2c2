"""The JSON Schema accepts what check accepts of form, and refuses what it refuses."""

from pathlib import Path

import jsonschema
import pytest

from charter.spec import json_schema, parse_document

ROOT = Path(__file__).parents[2]
GOOD = [
    *sorted((ROOT / "examples").glob("*.yaml")),
    *sorted((ROOT / "benchmarks" / "charters").glob("*.yaml")),
]
VALID = """\
name: a
data: {source: "sample:tweets", inputs: {text: text}, target: sentiment}
model: {base: "sample:minilm"}
task: {use: classification}
"""


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def value_of(text: str):
    return parse_document(text, Path("charter.yaml")).value


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.name)
def test_the_schema_accepts_every_charter_of_the_repository(validator, path):
    assert list(validator.iter_errors(value_of(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    "rest",
    [
        "serving: null", "privacy: null", "privacy: {epsilon: 8, delta: 1e-5, clipping: {use: adaptive, quantile: 0.4}}",
        "pretraining: {source: a.txt, objective: {use: masked_language_modelling}, prepare: [{use: repair_text}]}",
        "limits: [{limit: macro_f1 >= 0.5, judge: point}]", "limits: [macro_f1 >= 0.5]",
        "training: {epochs: 1e1}", "training: {search: {learning_rate: [1e-5, 1e-4], trials: 3}}",
        "training: {search: {epochs: {choices: [1, 2]}, class_weights: {choices: [balanced, null]}, prune: null}}",
        "training: {search: null, early_stopping: null}", "tracking: []",
        "audits: [{use: performance, resamples: 200}]",
    ],
)  # fmt: skip
def test_the_schema_accepts_what_check_accepts(validator, rest):
    assert list(validator.iter_errors(value_of(VALID + rest))) == []


@pytest.mark.parametrize(
    "text",
    [
        VALID + "extra: 1", VALID + "serving: {}", VALID + "privacy: {epsilon: 0, delta: 1e-5}",
        VALID + "privacy: {epsilon: 8}", VALID + "privacy: {epsilon: 8, delta: 1e-5, clipping: {use: flatt}}",
        VALID.replace("name: a\n", ""), VALID.replace("{use: classification}", "classification"),
        VALID.replace("{use: classification}", "{use: clasification}"), VALID.replace("text: text", "text: image"),
        VALID.replace('"sample:tweets"', "5"), VALID.replace('"sample:tweets"', "{trian: a.csv}"),
        VALID + "training: {epochs: -1}", VALID + 'training: {epochs: "3"}', VALID + "training: {max_grad_norm: 0}",
        VALID + "training: {early_stopping: 0}", VALID + "training: {epochs: 1.5}",
        VALID + "training: {search: {trials: 0}}", VALID + "training: {search: {learning_rate: 3}}",
        VALID + "training: {search: {schedule: [linear, cosine]}}", VALID + "tracking: [{use: nothing}]",
        VALID + "limits: [{limit: macro_f1 >= 0.5, judge: mean}]", VALID + "limits: [5]", VALID + "limits: macro_f1 >= 0.5",
        VALID + "audits: [{use: performance, confidense: 0.9}]", VALID + "audits: [{use: performance, resamples: yes}]",
        VALID + "audits: [{use: calibration, bins: 1}]", VALID + "release: {formats: [onxx]}", VALID + "release: {formats: []}",
        VALID + "report: {language: fr}",
    ],
)  # fmt: skip
def test_the_schema_refuses_what_check_refuses(validator, text):
    assert list(validator.iter_errors(value_of(text)))


@pytest.mark.parametrize(
    "source",
    [
        "{use: folder, path: texts, pattern: '*.txt'}", "{use: excel, path: a.xlsx, sheet: A, header: 2}",
        "{train: a.csv, test: {use: csv, path: b.txt}}", "{use: sql, url: 'sqlite:///a.db', table: t, order_by: [id]}",
        'a.csv, join: [{source: {use: csv, path: b.txt}, on: {a: b}, columns: [c], unmatched: keep}, {source: c.csv, on: id}]',
    ],
)  # fmt: skip
def test_the_schema_accepts_every_form_of_a_source(validator, source):
    assert list(validator.iter_errors(value_of(VALID.replace('"sample:tweets"', source)))) == []


@pytest.mark.parametrize(
    ("place", "errors"),
    [
        ("a.csv", 0), ("{use: sql, url: 'sqlite:///a.db', table: t}", 0), ("{use: sql, table: t}", 1),
        ("{use: folder, path: a, depth: 2}", 1),
    ],
)  # fmt: skip
def test_an_evaluation_set_is_written_as_a_source_is(validator, place, errors):
    prepare = f"target: sentiment, prepare: [{{use: decontaminate, against: {{a: {place}}}}}]"
    text = VALID.replace("target: sentiment", prepare)
    assert len(list(validator.iter_errors(value_of(text)))) == errors


@pytest.mark.parametrize(
    "source",
    [
        "{use: folder}", "{use: folder, path: a, url: b}", "{use: folder, path: a, depth: 2}", "{use: none, path: a}",
        "{use: excel, path: a.xlsx, header: 0}", "a.csv, join: [{source: b.csv}]", "a.csv, join: [{source: b.csv, on: {a: b, c: d}}]",
        "a.csv, join: {source: b.csv, on: id}", "a.csv, join: [{source: b.csv, on: id, unmatched: drop}]",
    ],
)  # fmt: skip
def test_the_schema_refuses_a_source_that_check_refuses(validator, source):
    assert list(validator.iter_errors(value_of(VALID.replace('"sample:tweets"', source))))

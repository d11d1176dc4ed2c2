"""All problems at once, each with its line; round trips; nothing heavy is loaded."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charter.errors import CharterFileError
from charter.spec import check, json_schema, parse_document, written
from charter.spec.limits import Limit, parse_limit
from charter.spec.model import Charter
from charter.spec.parts import section_of
from charter.spec.reference import reference
from charter.spec.use import Use
from charter.spec.writing import commented

BAD = """\
name: reviews
data:
  source: nofile.csv
  inputs: {text: text}
  target: text
  prepair: []
  prepare: [{use: mask_pi}, {use: mask_pii, locale: [en]}, {use: drop_near_duplicates, similarity: 3}]
model: {base: "sample:minilm", adapt: {use: lorra}}
task: {use: classification}
training: {learning_rate: 1e-5, search: {}}
federation: {parties: 3}
audits: [{use: performance, confidense: 0.9}, {use: robustness}]
limits: [macro_f1 > = 0.3]
"""


def problems_of(text: str) -> dict[str, tuple[int, str]]:
    with pytest.raises(CharterFileError) as caught:
        check(parse_document(text, Path("charter.yaml")))
    return {problem.path: (problem.line, problem.message) for problem in caught.value.problems}


def test_every_problem_is_said_at_once_with_its_line_and_the_nearest_word():
    found = problems_of(BAD)
    assert found["data.prepair"] == (6, found["data.prepair"][1])
    assert "Did you mean 'prepare'?" in found["data.prepair"][1]
    assert "Did you mean 'mask_pii'?" in found["data.prepare[0].use"][1]
    assert "Did you mean 'locales'?" in found["data.prepare[1].locale"][1]
    assert found["data.prepare[2].similarity"][0] == 7
    assert "Did you mean 'lora'?" in found["model.adapt.use"][1]
    assert "not built yet" in found["audits[1].use"][1]
    assert "nothing is searched" in found["training.search"][1]
    assert found["federation"] == (11, found["federation"][1])
    assert "not built yet" in found["federation"][1]
    assert "Did you mean 'confidence'?" in found["audits[0].confidense"][1]
    assert found["limits[0]"][0] == 13


def test_problems_across_keys_and_of_places_are_said():
    text = BAD.replace("  prepair: []\n", "").replace(", adapt: {use: lorra}", "").split("training:")[0]
    text = (
        text[: text.index("  prepare:")]
        + text[text.index("model:") :]
        + "limits: [brier <= 0.2, foo >= 1]\naudits: [{use: performance}]\n"
    )
    found = problems_of(text)
    assert "input too" in found["data.target"][1]
    assert "no such file" in found["data.source"][1]
    assert "calibration" in found["limits[0]"][1]
    assert "no audit measures" in found["limits[1]"][1]


WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12).filter(
    lambda word: word.strip() == word and not word.startswith("_")
)


@settings(max_examples=150, deadline=None)
@given(
    text=WORDS,
    target=WORDS,
    purpose=st.text(st.characters(exclude_categories=("Cs",)), max_size=40),
    rate=st.floats(1e-9, 10),
    bound=st.floats(-1e6, 1e6),
    slices=st.dictionaries(WORDS, WORDS, max_size=2),
)
def test_any_charter_reads_back_equal_from_what_is_written(text, target, purpose, rate, bound, slices):
    value = {
        "name": "a",
        "purpose": {"intended_use": purpose},
        "data": {"source": "x.csv", "inputs": {text: "text"}, "target": target},
        "model": {"base": "b"},
        "task": {"use": "classification"},
        "training": {"learning_rate": rate},
        "limits": [str(Limit("macro_f1", ">=", bound, tuple(slices.items())))],
    }
    charter = Charter.model_validate(value)
    for form in (written(charter), commented(charter, {"data.target": "a note"})):
        assert Charter.model_validate(parse_document(form, Path("c.yaml")).value) == charter


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_a_limit_or_a_value_error(text):
    try:
        limit = parse_limit(text)
    except ValueError:
        return
    assert parse_limit(str(limit)) == limit


def test_checking_and_help_load_no_torch(tmp_path):
    every = "[safetensors, onnx, onnx-int8, openvino, openvino-int8]"
    example = (Path(__file__).parents[2] / "examples" / "tweets.yaml").read_text(encoding="utf-8")
    (tmp_path / "all.yaml").write_text(f"{example}\nrelease: {{formats: {every}}}\n", encoding="utf-8")
    code = (
        "import sys; from pathlib import Path; import charter; from charter.cli import run_command;"
        f"assert run_command(['check', {str(tmp_path / 'all.yaml')!r}]) == 0; run_command(['--help']); run_command(['schema']);"
        "loaded = {'torch', 'transformers', 'sklearn', 'datasets', 'onnx', 'onnxruntime', 'openvino', 'nncf'} & set(sys.modules);"
        "assert not loaded, loaded"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root, stdout=subprocess.DEVNULL)


def test_the_reference_in_docs_is_made_from_the_models():
    kept = (Path(__file__).parents[2] / "docs" / "charter.md").read_text(encoding="utf-8")
    assert kept == reference(), "run `make docs`"


def test_the_reference_has_every_section_that_is_built():
    page = reference()
    built = [
        name
        for name, field in Charter.model_fields.items()
        if section_of(field.annotation) not in (None, Use)
    ]
    assert "privacy" in built
    assert [name for name in built if f"\n## `{name}`\n" not in page] == []


def test_the_schema_knows_every_plug_in_and_option():
    text = json.dumps(json_schema())
    for word in (
        "mask_pii",
        "locales",
        "token_classification",
        "drop_near_duplicates",
        "resamples",
        "lora",
        "rank",
    ):
        assert f'"{word}"' in text


def charter_text(**data) -> str:
    lines = {"source": "x.csv", "inputs": "{text: text}", "target": "label", **data}
    body = "\n".join(f"  {key}: {value}" for key, value in lines.items())
    return f'name: a\ndata:\n{body}\nmodel: {{base: "sample:minilm"}}\ntask: {{use: classification}}\n'


def problems_beside(folder: Path, text: str) -> dict[str, tuple[int, str]]:
    with pytest.raises(CharterFileError) as caught:
        check(parse_document(text, folder / "charter.yaml"))
    return {problem.path: (problem.line, problem.message) for problem in caught.value.problems}


def write_data(folder: Path, name: str) -> None:
    rows = [{"text": "a b", "label": "x", "city": "Rome", "day": "2026-01-01"}] * 3
    if name.endswith(".parquet"):
        import polars as pl

        pl.DataFrame(rows).write_parquet(folder / name)
    elif name.endswith(".jsonl"):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        mark = "\t" if name.endswith(".tsv") else ","
        lines = [mark.join(rows[0]), *(mark.join(row.values()) for row in rows)]
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.jsonl", "x.parquet"])
def test_columns_that_the_file_lacks_are_said_with_their_lines(tmp_path, name):
    write_data(tmp_path, name)
    found = problems_beside(
        tmp_path,
        charter_text(
            source=name, inputs="{texts: text}", target="lable", groups="[city, citty]", subject="who",
            split="{time: days}",
        ),
    )  # fmt: skip
    assert found["data.inputs.texts"][0] == 4
    assert "Did you mean 'text'?" in found["data.inputs.texts"][1]
    assert (found["data.target"][0], "Did you mean 'label'?" in found["data.target"][1]) == (5, True)
    assert "Did you mean 'city'?" in found["data.groups[1]"][1]
    assert "no column 'who'" in found["data.subject"][1]
    assert "Did you mean 'day'?" in found["data.split.time"][1]
    assert "data.groups[0]" not in found


def test_each_published_part_and_a_column_that_stands_twice_are_looked_at(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\nx,1\n", encoding="utf-8")
    (tmp_path / "b.csv").write_text("text,text,labels\nx,y,1\n", encoding="utf-8")
    found = problems_beside(tmp_path, charter_text(source="{train: a.csv, test: b.csv}"))
    assert "stands 2 times" in found["data.inputs.text"][1]
    assert "b.csv: no column 'label'" in found["data.target"][1]


def test_a_long_jsonl_file_is_not_accused_of_a_column_that_may_come_later(tmp_path):
    line = json.dumps({"text": "x" * 1000, "label": "a"}) + "\n"
    (tmp_path / "x.jsonl").write_text(line * 500 + json.dumps({"city": "Rome"}), encoding="utf-8")
    charter = check(
        parse_document(charter_text(source="x.jsonl", groups="[city]"), tmp_path / "charter.yaml")
    )
    assert charter.data.groups == ("city",)


def test_an_encoding_that_is_none_and_a_subject_that_splits_are_said(tmp_path):
    write_data(tmp_path, "x.csv")
    found = problems_beside(tmp_path, charter_text(encoding="utf-9"))
    assert "is not known" in found["data.encoding"][1]
    found = problems_beside(tmp_path, charter_text(subject="day", split="{time: day}"))
    assert "says how rows are split too" in found["data.subject"][1]


def test_columns_named_like_patterns_are_refused(tmp_path):
    (tmp_path / "x.csv").write_text("text,*,^a$\na,b,c\n", encoding="utf-8")
    found = problems_beside(tmp_path, charter_text(target='"*"', groups='["^a$"]'))
    assert "named like a pattern" in found["data.target"][1]
    assert "named like a pattern" in found["data.groups[0]"][1]


@pytest.mark.parametrize(
    ("limit", "task", "said"),
    [
        ("accuracy[city=*] >= 0.5", "classification", "'city' is not in data.groups"),
        ("accuracy[class=x] >= 0.5", "classification", "not for each class"),
        ("recall >= 0.5", "classification", "recall[class=*]"),
        ("recall[day=*] >= 0.5", "classification", "not by group"),
        ("accuracy[day=*, class=x] >= 0.5", "classification", "one slice at a time"),
        ("brier[class=x] <= 0.5", "classification", "not for each class"),
        ("mcc >= 0.5", "token_classification", "for task token_classification"),
        ("micro_recall >= 0.5", "classification", "for task classification"),
    ],
)
def test_a_limit_that_nothing_can_measure_is_refused(tmp_path, limit, task, said):
    write_data(tmp_path, "x.csv")
    text = charter_text(groups="[day]").replace("use: classification", f"use: {task}")
    found = problems_beside(tmp_path, text + f'limits: ["{limit}"]\n')
    assert said in found["limits[0]"][1]


def test_limits_on_what_is_measured_pass(tmp_path):
    write_data(tmp_path, "x.csv")
    limits = ["recall[class=x] >= 0.5", "accuracy[city=*] >= 0.5", "auroc >= 0.5", "auroc[class=x] >= 0.5",
              "brier[city=Rome] <= 0.5", "expected_calibration_error[temperature=before] <= 1"]  # fmt: skip
    text = charter_text(groups="[city]") + "limits: " + json.dumps(limits) + "\n"
    assert len(check(parse_document(text, tmp_path / "charter.yaml")).limits) == len(limits)

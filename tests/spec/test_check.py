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
from charter.spec.reference import reference
from charter.spec.writing import commented

BAD = """\
name: reviews
data:
  source: nofile.csv
  inputs: {text: text}
  target: text
  prepair: []
  prepare: [{use: mask_pi}, {use: mask_pii, locale: [en]}, {use: drop_near_duplicates, similarity: 3}]
model: {base: "sample:minilm"}
task: {use: regression}
training: {learning_rate: 1e-5, search: {}}
privacy: {epsilon: 8, delta: 1e-5}
audits: [{use: performance, confidense: 0.9}]
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
    assert "not built yet" in found["task.use"][1]
    assert "not built yet" in found["training.search"][1]
    assert found["privacy"] == (11, found["privacy"][1])
    assert "not built yet" in found["privacy"][1]
    assert "Did you mean 'confidence'?" in found["audits[0].confidense"][1]
    assert found["limits[0]"][0] == 13


def test_problems_across_keys_and_of_places_are_said():
    text = BAD.replace("  prepair: []\n", "").replace("regression", "classification").split("training:")[0]
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


def test_checking_and_help_load_no_torch():
    code = (
        "import sys; from pathlib import Path; import charter; from charter.cli import run_command;"
        "assert run_command(['check', 'examples/tweets.yaml']) == 0; run_command(['--help']); run_command(['schema']);"
        "loaded = {'torch', 'transformers', 'sklearn', 'datasets'} & set(sys.modules); assert not loaded, loaded"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root, stdout=subprocess.DEVNULL)


def test_the_reference_in_docs_is_made_from_the_models():
    kept = (Path(__file__).parents[2] / "docs" / "charter.md").read_text(encoding="utf-8")
    assert kept == reference(), "run `make docs`"


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

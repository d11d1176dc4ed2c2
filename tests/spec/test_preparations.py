"""What a charter says of its preparations is checked before anything runs, each problem at its line."""

from pathlib import Path

import pytest

from charter.errors import CharterFileError
from charter.spec import check, check_with_notes, parse_document


def text_of(*prepare: str, task: str = "classification", rest: str = "") -> str:
    lines = "".join(f"    - {one}\n" for one in prepare)
    return (
        'name: a\ndata:\n  source: "sample:tweets"\n  inputs: {text: text}\n  target: sentiment\n  groups: [topic]\n'
        f'  prepare:\n{lines}model: {{base: "sample:minilm"}}\ntask: {{use: {task}}}\n{rest}'
    )


def said(folder: Path, *prepare: str, task: str = "classification") -> dict[str, tuple[int, str]]:
    with pytest.raises(CharterFileError) as caught:
        check(parse_document(text_of(*prepare, task=task), folder / "charter.yaml"))
    return {one.path: (one.line, one.message) for one in caught.value.problems}


@pytest.mark.parametrize(
    ("use", "path", "words"),
    [
        ("{use: keep_languages, languages: [en-GB]}", "data.prepare[0].languages[0]", "Did you mean en?"),
        ("{use: drop_short}", "data.prepare[0].use", "give words, such as 3"),
        ("{use: balance, by: [city]}", "data.prepare[0].by", "name it in data.groups"),
        ("{use: cap_per_class, rows: 9, keep_shares: [city]}", "data.prepare[0].keep_shares", "'city' has no role"),
        ("{use: decontaminate, against: {a: none.csv}}", "data.prepare[0].against.a", "no such file"),
        ("{use: decontaminate, against: {a: a.csv}}", "data.prepare[0].against.a", "columns: {a: COLUMN}"),
        ("{use: decontaminate, against: {a: a.csv}, columns: {b: x}}", "data.prepare[0].use", "no set of against: a"),
        ("{use: decontaminate, against: {a: {use: excel}}}", "data.prepare[0].against.a", "path: LOCATION"),
        ("{use: decontaminate, against: {a: {use: csv, path: a.csv, sheet: x}}}", "data.prepare[0].against.a.sheet", "unknown option"),
        ("{use: decontaminate, against: {a: {use: folder, path: none}}}", "data.prepare[0].against.a", "no such"),
        ("{use: decontaminate, against: {a: {use: csv, path: a.csv}}}", "data.prepare[0].against.a", "columns: {a: COLUMN}"),
    ],
)  # fmt: skip
def test_what_a_preparation_can_not_do_is_said_at_its_place(tmp_path, use, path, words):
    (tmp_path / "a.csv").write_text("sentence\nhello\n", encoding="utf-8")
    line, message = said(tmp_path, use)[path]
    assert line == 8
    assert words in message


@pytest.mark.parametrize(
    "use", ["{use: cap_per_class, rows: 9}", "{use: label_noise}", "{use: balance}", "{use: augment}"]
)
def test_what_works_by_class_or_changes_words_does_not_fit_tags(tmp_path, use):
    assert "data.prepare[0]" in said(tmp_path, use, task="token_classification")


def test_preparations_that_agree_pass(tmp_path):
    (tmp_path / "a.csv").write_text("sentence\nhello\n", encoding="utf-8")
    uses = [
        "{use: decontaminate, against: {a: a.csv}, columns: {a: sentence}}",
        "{use: decontaminate, against: {a: {use: csv, path: a.csv}}, columns: {a: sentence}}",
        "{use: balance, by: [topic, sentiment]}",
        "{use: cap_per_class, rows: 9, keep_shares: [topic]}",
    ]
    found = check(parse_document(text_of(*uses), tmp_path / "charter.yaml"))
    assert [use.use for use in found.data.prepare] == [
        "decontaminate",
        "decontaminate",
        "balance",
        "cap_per_class",
    ]
    by_group = text_of("{use: balance, by: [topic]}", task="token_classification")
    check(parse_document(by_group, tmp_path / "charter.yaml"))


@pytest.mark.parametrize(("by", "told"), [("", True), (", by: [sentiment]", True), (", by: [topic]", False)])
def test_classes_that_are_balanced_and_weighed_are_noted(by, told):
    rest = "training: {class_weights: balanced}\nlimits: [macro_f1 >= 0.5]\n"
    text = text_of(f"{{use: balance{by}}}", rest=rest)
    notes = check_with_notes(parse_document(text, Path("charter.yaml"))).notes
    assert [one.path for one in notes] == (["training.class_weights"] if told else [])

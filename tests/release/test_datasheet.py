"""The datasheet: filled from what is known, open where only a person can answer, checked, and the same in bundle and record."""

import dataclasses

import pytest

from charter.cli import run_command
from charter.errors import CharterFileError
from charter.release.datasheet import datasheet, datasheet_markdown, open_questions
from charter.release.datasheet_words import CHINESE, ENGLISH, SECTIONS
from charter.release.datasheet_words import QUESTIONS as WORDED
from charter.release.report import render
from charter.release.verification import verify
from charter.runs.findings import Finding
from charter.spec.datasheet import QUESTIONS, read_answers
from charter.spec.use import Use

from .test_chinese import TWO_WORDS

ANSWERS = """\
motivation:
  creators: The hotel's own desk.
collection:
  consent: |
    Guests agreed
    # when they <b>booked</b>.
  ethics: "TO SAY: who reviewed it"
  notice:
  comments: Nothing else.
"""


@pytest.fixture
def answered(silent_run, tmp_path):
    path = tmp_path / "answers.yaml"
    path.write_text(ANSWERS, encoding="utf-8")
    told = {"file": "answers.yaml", "answers": read_answers(path)}
    return dataclasses.replace(silent_run.result.record, datasheet=told)


def entry(record, question):
    return next(one for one in datasheet(record).entries if f"{one.section}.{one.question}" == question)


def test_what_is_known_is_filled_in_and_the_rest_is_open(silent_run):
    record = silent_run.result.record
    sheet = datasheet(record)
    assert sheet.counts == {
        "all": 50,
        "answered": sheet.counts["answered"],
        "open": 50 - sheet.counts["answered"],
    }
    assert "403 rows were read" in entry(record, "composition.count").known[0].text
    assert "Oslo" in entry(record, "composition.subpopulations").known[0].text
    assert "CC-BY-4.0" in entry(record, "distribution.licence").known[0].text
    assert not entry(record, "uses.not_for").open
    for question in ("collection.consent", "composition.sensitive", "maintenance.contact"):
        assert entry(record, question).open


def test_a_persons_answers_close_questions_and_a_placeholder_does_not(silent_run, answered):
    before, after = datasheet(silent_run.result.record).counts, datasheet(answered).counts
    assert after["open"] == before["open"] - 2
    assert entry(answered, "collection.ethics").open
    page = datasheet_markdown(answered)
    assert "> # when they &lt;b>booked&lt;/b>." in page
    assert "> Nothing else." in page


def test_personal_data_that_was_looked_for_is_told_apart_from_what_was_not(silent_run):
    record = silent_run.result.record
    assert "Nobody looked" in entry(record, "composition.identifiable").known[0].text
    data = record.charter.data.model_copy(update={"prepare": (Use(use="mask_pii"),)})
    masking = dataclasses.replace(record, charter=record.charter.model_copy(update={"data": data}))
    assert "none was found" in entry(masking, "composition.identifiable").known[0].text
    found = Finding("data", "masked", 3.0, slice={"type": "EMAIL"})
    masked = dataclasses.replace(masking, findings=(*record.findings, found))
    assert "EMAIL 3" in entry(masked, "composition.identifiable").known[0].text
    assert entry(masked, "composition.identifiable").open  # names are not found by form


def test_every_question_has_words_in_both_languages():
    names = [f"{section}.{question}" for section, questions in QUESTIONS.items() for question in questions]
    assert names == list(WORDED)
    assert list(QUESTIONS) == list(SECTIONS)
    assert ENGLISH.keys() == CHINESE.keys()
    assert all(TWO_WORDS.search(zh) is None for _, zh in WORDED.values() if "DOI" not in zh)


def test_a_chinese_datasheet_holds_no_english_sentence(silent_run):
    page = datasheet_markdown(silent_run.result.record, language="zh")
    own = ("Answer unhappy", "Datasheets for Datasets", "scikit-learn", "credit decisions", "max_rows")
    lines = [line for line in page.splitlines() if not any(one in line for one in own)]
    assert [line for line in lines if TWO_WORDS.search(line)] == []


def test_the_bundle_and_the_report_hold_it_and_a_changed_one_is_found(silent_run):
    bundle = silent_run.result.bundle
    record = silent_run.result.record
    assert (bundle / "charter" / "datasheet.md").read_text(encoding="utf-8") == datasheet_markdown(record)
    assert f"{datasheet(record).counts['open']} open" in render(record, language="en")
    assert verify(bundle, None).ok


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("collection:\n  consnt: yes", 2, "Did you mean 'consent'"),
        ("colection:\n  consent: a", 1, "Did you mean 'collection'"),
        ("collection:\n  consent: 12", 2, "an answer is a text"),
        ("collection: [a]", 1, "a section is a mapping"),
        ("- a\n- b", 1, "a datasheet is a mapping"),
        ("collection: {consent: " + "a" * 20_001 + "}", 1, "at most 20,000"),
    ],
)
def test_a_file_of_answers_is_checked_with_its_lines(tmp_path, text, line, said):
    path = tmp_path / "answers.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CharterFileError, match=said) as caught:
        read_answers(path)
    assert caught.value.problems[0].line == line


def test_the_open_questions_make_a_file_that_reads_back_and_answers_survive(answered, tmp_path):
    path = tmp_path / "open.yaml"
    path.write_text(open_questions(answered, "zh"), encoding="utf-8")
    kept = read_answers(path)
    assert kept["collection"]["consent"] == answered.datasheet["answers"]["collection"]["consent"]
    assert set(kept) == {"motivation", "collection"}
    path.write_text(open_questions(dataclasses.replace(answered, datasheet=None), "en"), encoding="utf-8")
    assert read_answers(path) == {}


def test_the_command_prints_it_and_writes_the_open_questions_once(silent_run, tmp_path, capsys):
    given = ["report", "--store", str(silent_run.folder / "runs")]
    assert run_command([*given, "--datasheet", "--lang", "zh"]) == 0
    assert capsys.readouterr().out.startswith("# 数据说明书")
    path = tmp_path / "answers.yaml"
    assert run_command([*given, "--open-questions", str(path)]) == 0
    assert read_answers(path) == {}
    assert run_command([*given, "--open-questions", str(path)]) == 2
    assert "never written over" in capsys.readouterr().err


def test_check_names_the_line_of_a_wrong_answer(silent_run, tmp_path, capsys):
    charter = silent_run.folder / "charter.yaml"
    other = silent_run.folder / "with-datasheet.yaml"
    text = charter.read_text(encoding="utf-8").replace(
        "  target: label", "  target: label\n  datasheet: answers.yaml"
    )
    other.write_text(text, encoding="utf-8")
    assert run_command(["check", str(other)]) == 2
    assert "charter report --open-questions" in capsys.readouterr().err
    (silent_run.folder / "answers.yaml").write_text("uses:\n  risk: none", encoding="utf-8")
    assert run_command(["check", str(other)]) == 2
    said = capsys.readouterr().err
    assert "answers.yaml:2" in said
    assert "'risks'" in said
    other.unlink()
    (silent_run.folder / "answers.yaml").unlink()

"""JSON documents: SQuAD's articles become a row per question, arrays of records a row each, and what is bad is told by its place."""

import json

import pytest

from charter.cli import run_command
from charter.data import table
from charter.data.columns import PLACE, Columns, Form
from charter.data.reading import read_files, read_source
from charter.data.sources import json_arrays
from charter.errors import DataError
from charter.spec.data import Data

ASKED = {"inputs": {"question": "text", "context": "text"}, "target": "answers", "max_bad_rows": 1.0}
ANSWERS = Form("answers", every_input=True)
RIVER = "The Rhine is a river. It ends in the sea."


def question(number, *starts, text=RIVER, **more):
    answers = [{"text": text[start : start + 5], "answer_start": start} for start in starts]
    return {"id": f"q{number}", "question": f"What is {number}?", "answers": answers, **more}


def article(*questions, text=RIVER, title="Rivers"):
    return {"title": title, "paragraphs": [{"context": text, "qas": list(questions)}]}


def squad(*articles):
    return {"version": 2.25, "data": list(articles)}


def read(folder, document, *, name="qa.json", encoding="utf-8", form=ANSWERS, **more):
    content = document if isinstance(document, str) else json.dumps(document, ensure_ascii=False)
    (folder / name).write_bytes(content.encode(encoding))
    asked = Data.model_validate({"source": name, "encoding": encoding, **ASKED, **more})
    return read_source(asked, folder, columns=Columns.of(asked, form))


def test_every_question_of_every_paragraph_is_a_row_with_its_text_and_its_places(tmp_path):
    document = squad(
        article(question(1, 4), question(2, 4, 17, is_impossible=False)),
        article(question(3, is_impossible=True, plausible_answers=[{"text": "sea", "answer_start": 37}])),
    )
    found = read(tmp_path, document, groups=["title"])
    assert found.frame["question"].to_list() == ["What is 1?", "What is 2?", "What is 3?"]
    starts = [[place["start"] for place in cell] for cell in found.frame["answers"].to_list()]
    assert starts == [[4], [4, 17], []]
    assert found.frame["title"].unique().to_list() == ["Rivers"]
    assert found.frame[PLACE].to_list()[2] == "qa.json data[1].paragraphs[0].qas[0]"


def test_every_bad_entry_is_rejected_with_its_place_and_nothing_else(tmp_path):
    document = squad(
        article(
            question(1, 4), "a text", question(2, 4, is_impossible=True), question(3, is_impossible=False),
            {"id": "q4", "question": "no answers?"}, {**question(5, 4), "question": None},
            {**question(6), "answers": [{"text": "Rhone", "answer_start": 4}]}, {**question(7), "answers": 7},
            {**question(8), "question": "half \ud800?"},
        ),
        7, {"title": "x", "paragraphs": {}}, {"title": "x", "paragraphs": [{"context": RIVER}, question(9)]},
        {"paragraphs": [{"qas": [question(10, 4)]}]}, article(question(11, 4)),
    )  # fmt: skip
    found = read(tmp_path, json.dumps(document))
    inner = "qa.json data[0].paragraphs[0].qas"
    assert dict(found.rejects.select(PLACE, "reason").iter_rows()) == {
        f"{inner}[1]": "not a JSON object",
        f"{inner}[2]": "said to be impossible, but has answers",
        f"{inner}[3]": "no answers, but not said to be impossible",
        f"{inner}[4]": "no answers, and not said to be impossible",
        f"{inner}[5]": "no text in column 'question'",
        f"{inner}[6]": "an answer of column 'answers' does not stand in column 'context'",
        f"{inner}[7]": "wrong type in column 'answers'",
        f"{inner}[8]": "wrong encoding",
        "qa.json data[1]": "not a JSON object",
        "qa.json data[2].paragraphs": "no list of paragraphs",
        "qa.json data[3].paragraphs[0]": "no list of questions (qas)",
        "qa.json data[3].paragraphs[1]": "no list of questions (qas)",
        "qa.json data[4].paragraphs[0].qas[0]": "no text in column 'context'",
    }
    assert (found.records, found.frame.height) == (15, 2)


def test_chinese_sets_of_this_layout_are_read_in_their_own_encoding(tmp_path):
    text = "范廷颂枢机，圣名保禄·若瑟，是越南罗马天主教枢机。"
    answer = {"id": "1", "text": "越南", "answer_start": text.index("越南")}
    paragraph = {"id": "TRAIN_186", "context": text}
    asked = {"id": "TRAIN_186_QUERY_0", "question": "他是哪国人？", "answers": [answer]}
    cmrc = squad({"paragraphs": [{**paragraph, "qas": [asked]}], "id": "TRAIN_186", "title": "范廷颂"})
    found = read(tmp_path, cmrc, encoding="gb18030", groups=["title"])
    row = found.frame.row(0, named=True)
    place = row["answers"][0]
    assert (row["context"][place["start"] : place["end"]], row["title"]) == ("越南", "范廷颂")


@pytest.mark.parametrize("wrap", [lambda rows: rows, lambda rows: {"data": rows, "version": 1}])
def test_an_array_of_records_is_a_table_bare_or_under_data(tmp_path, wrap):
    rows = [{"text": "good", "label": 1}, {"text": ["a", "list"], "label": 0}, {"text": "bad", "label": 0}]
    found = read(tmp_path, wrap(rows), form=Form(), inputs={"text": "text"}, target="label")
    assert found.frame["label"].to_list() == ["1", "0"]
    assert found.rejects["reason"].to_list() == ["wrong type in column 'text'"]


def test_questions_without_answers_are_read_where_none_are_needed(tmp_path):
    document = squad(article({"id": "q", "question": "What?"}))
    (tmp_path / "new.json").write_text(json.dumps(document), encoding="utf-8")
    columns = Columns({"question": "text", "context": "text"}, "answers", form=ANSWERS)
    assert read_files([tmp_path / "new.json"], columns).frame.height == 1


def test_what_is_read_does_not_depend_on_the_pieces_it_comes_in(tmp_path, monkeypatch):
    articles = json.dumps(
        [article(*(question(number, 4) for number in range(5))) for _ in range(6)], indent=1
    )
    document = f'{{"v": 2.25, "w": -1.5e+3, "x": [1], "y": true, "data": {articles}, "z": 12}}'
    whole = read(tmp_path, document)
    monkeypatch.setattr(table, "CHUNK_ROWS", 3)
    for size in (1, 2, 3, 5, 7, 61):
        pieces = [document[at : at + size] for at in range(0, len(document), size)]
        monkeypatch.setattr(json_arrays, "pieces_of", lambda *_, pieces=pieces: iter(pieces))
        assert read(tmp_path, document).frame.equals(whole.frame)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"data": [{"a": 1}, {"a": ', "damaged or cut off"),
        ('{"data": [{"a": 1}, {"a" 2}, {"a": 3, "long": "value"}]}', "expecting ':' delimiter (character 26)"),
        ('[{"a": 1}] []', "something follows its end"),
        ('{"a": 1}\n{"a": 2}\n', "name it as jsonl:qa.json"),
        ('{"records": []}', "under the key 'data'"),
        ('"text"', "an array of records is expected"),
        ("[" + "[" * 100_000 + "]", "nested too deep"),
        ('[{"a": ' + "1" * 5000 + "}]", "too many digits"),
        ("", "the file is empty"),
        ("[]", "holds no record"),
    ],
)  # fmt: skip
def test_what_is_no_such_document_is_said_with_its_place(tmp_path, content, said):
    with pytest.raises(DataError) as told:
        read(tmp_path, content)
    assert said in str(told.value)


def test_an_article_too_large_to_hold_is_refused_not_held(tmp_path, monkeypatch):
    monkeypatch.setattr(json_arrays, "MOST_CHARACTERS", 1000)
    with pytest.raises(DataError, match="write it in smaller ones"):
        read(tmp_path, squad(article(question(1, 4, note="x" * 5000))))


def test_init_finds_the_question_its_text_and_the_answers(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    articles = (article(*(question(10 * n + m, 4) for m in range(5)), title=f"T{n}") for n in range(9))
    (tmp_path / "train-v1.1.json").write_text(json.dumps(squad(*articles)), encoding="utf-8")
    assert run_command(["init", "train-v1.1.json", "--yes"]) == 0
    out = capsys.readouterr().out
    assert "question_answering" in out
    assert "question, context" in out
    assert run_command(["check", "charter.yaml"]) == 0

"""Misjudged rows: none without the charter's word, only test rows, always masked, chosen by the rule that the page states."""

import json
import re

import numpy as np
import polars as pl

from charter.data.columns import ROW, Columns
from charter.release.record import read_record, write_record
from charter.release.report import render
from charter.release.report.misjudged import CONFIDENT, RANDOM, marked, misjudged
from charter.release.verification import verify
from charter.tasks.classification import Classification

SECRET = re.compile(r"guest\d+@|@guest\d+|https?://example|212-555")


def told_files(judged):
    """Everything that people are handed: the record and page of the run, and the bundle without its weights."""
    result = judged.result
    files = [path for path in result.folder.rglob("*") if path.is_file()]
    files += [path for path in result.bundle.rglob("*") if path.is_file()]
    return {path: path.read_bytes().decode("utf-8", errors="replace") for path in files}


def split_rows(judged, name):
    (path,) = (judged.folder / "runs" / "artefacts").glob("*/files/rows.parquet")
    rows = pl.read_parquet(path)
    return rows.filter(pl.col("_split") == name)


def test_without_the_key_no_row_stands_in_record_page_or_bundle(silent_run):
    assert silent_run.result.record.examples is None
    texts = split_rows(silent_run, "test")["text"].to_list()
    beginnings = {" ".join(text.split()[:6]) for text in texts}
    for path, content in told_files(silent_run).items():
        assert not SECRET.search(content), path
        assert not any(begin in content for begin in beginnings), path


def test_with_the_key_masked_mistakes_stand_on_the_page_and_in_the_bundle(telling_run):
    told = telling_run.result.record.examples
    assert 0 < len(told["shown"]) <= CONFIDENT + RANDOM
    page = telling_run.result.report.read_text(encoding="utf-8")
    for one in told["shown"]:
        assert one["text"] in page
        assert "[EMAIL]" in one["text"]
        assert "[HANDLE]" in one["text"]
        assert "[URL]" in one["text"]
    assert "[EMAIL]" in (telling_run.result.bundle / "charter" / "report.html").read_text(encoding="utf-8")
    for path, content in told_files(telling_run).items():
        assert not SECRET.search(content), path


def test_only_test_rows_are_shown_and_each_was_misjudged(telling_run):
    test = split_rows(telling_run, "test")
    truth = dict(zip(test[ROW].to_list(), test["label"].to_list(), strict=True))
    for one in telling_run.result.record.examples["shown"]:
        assert truth[one["row"]] == one["truth"] != one["answer"]


def test_a_bundle_with_examples_is_verified_and_its_record_reads_back(telling_run, tmp_path):
    assert all(line.ok for line in verify(telling_run.result.bundle, None).lines)
    write_record(tmp_path / "record.json", telling_run.result.record)
    again = read_record(tmp_path / "record.json")
    assert again == telling_run.result.record
    assert render(again) == telling_run.result.report.read_text(encoding="utf-8")


def hand_made(wrong_confidences):
    """A task, rows and outputs: each row's truth is `a`; the model says `b` with the given probability."""
    task = Classification(labels=("a", "b"))
    rows = pl.DataFrame(
        {
            ROW: range(1, len(wrong_confidences) + 1),
            "text": ["mail x@y.org"] * len(wrong_confidences),
            "label": ["a"] * len(wrong_confidences),
        }
    )
    outputs = [np.log(np.asarray([1 - one, one], dtype=np.float32)) for one in wrong_confidences]
    return task, Columns({"text": "text"}, "label"), rows, outputs


def test_the_surest_mistakes_come_first_then_some_drawn_by_the_seed():
    shares = [0.4] * 10 + [0.51 + place / 100 for place in range(40)]
    task, columns, rows, outputs = hand_made(shares)
    told = misjudged(task, columns, rows, outputs, seed=7)
    assert (told["rows"], told["wrong"], told["confident"], told["random"]) == (50, 40, CONFIDENT, RANDOM)
    first = [one["row"] for one in told["shown"] if one["chosen"] == "confident"]
    assert first == list(range(50, 50 - CONFIDENT, -1))
    drawn = [one["row"] for one in told["shown"] if one["chosen"] == "random"]
    assert set(drawn) <= set(range(11, 51 - CONFIDENT))
    assert told == misjudged(task, columns, rows, outputs, seed=7)
    assert drawn != [
        one["row"] for one in misjudged(task, columns, rows, outputs, seed=8)["shown"][CONFIDENT:]
    ]


def test_no_mistake_is_shown_as_none():
    told = misjudged(*hand_made([0.1, 0.2]), seed=7)
    assert told["wrong"] == 0
    assert told["shown"] == []


def test_entities_are_shown_with_their_places_and_masked(entity_run):
    told = entity_run.result.record.examples
    assert told["shown"]
    for one in told["shown"]:
        assert one["truth"] != [
            {key: span[key] for key in span if key != "probability"} for span in one["answer"]
        ]
        assert "[EMAIL]" in one["words"]
        for span in (*one["truth"], *one["answer"]):
            assert span["text"] == " ".join(one["words"][span["start"] : span["end"]])
        assert " ".join(run["text"] for run in marked(one)) == " ".join(one["words"])
    assert not SECRET.search(json.dumps(told))

"""Every row is read or rejected with its place and reason; never its value."""

import gzip
import json

import polars as pl
import pytest

from charter.data.columns import PLACE, ROW, SPLIT
from charter.data.reading import ReadAccount, check_rejects, read_source, rejects_text
from charter.errors import DataError
from charter.spec.data import Data


def data(source, **more) -> Data:
    return Data.model_validate({"source": source, "inputs": {"text": "text"}, "target": "label", **more})


def reasons(read):
    return dict(zip(read.rejects[PLACE].to_list(), read.rejects["reason"].to_list(), strict=True))


def test_bad_csv_rows_are_rejected_one_by_one(tmp_path):
    lines = [
        b"text,label",
        b"good,a",
        b",a",
        b"no label,",
        b"one,two,three",
        b"bad \xff,a",
        b'an "open,a',
        b'"open quote,a',
        b"last,b",
    ]
    (tmp_path / "x.csv").write_bytes(b"\n".join(lines))
    read = read_source(data("x.csv"), tmp_path)
    assert read.records == 8
    assert read.frame["text"].to_list() == ["good", 'an "open', "last"] or read.frame["text"].to_list() == [
        "good",
        "last",
    ]
    found = reasons(read)
    assert found["x.csv row 2"] == "no text in column 'text'"
    assert found["x.csv row 3"] == "no target in column 'label'"
    assert found["x.csv row 4"] == "wrong number of fields"
    assert found["x.csv row 5"] == "wrong encoding"
    assert found["x.csv row 7"] == "unreadable line"


def test_a_bare_carriage_return_stays_inside_its_record(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"text,label\r\nfirst\rsecond,a\r\nthird,b\r\n")
    assert read_source(data("x.csv"), tmp_path).frame["text"].to_list() == ["first\rsecond", "third"]


def test_quoted_line_breaks_and_a_byte_order_mark_are_read(tmp_path):
    (tmp_path / "x.csv").write_text('\ufefftext,label\n"a\nb, ""c""",x\n', encoding="utf-8")
    assert read_source(data("x.csv"), tmp_path).frame["text"].to_list() == ['a\nb, "c"']


def test_several_files_are_numbered_on_and_gzip_is_read(tmp_path):
    (tmp_path / "a.tsv").write_text('text\tlabel\nsay "x\t1\n', encoding="utf-8")
    (tmp_path / "b.tsv.gz").write_bytes(gzip.compress(b"text\tlabel\ny\t2\n"))
    read = read_source(data("*.tsv*"), tmp_path)
    assert read.frame[ROW].to_list() == [1, 2]
    assert read.frame["label"].to_list() == ["1", "2"]


def test_jsonl_types_are_checked_cell_by_cell(tmp_path):
    rows = [
        {"text": "a", "label": 1},
        {"text": 5, "label": 1},
        {"text": "b", "label": 2.0},
        ["no"],
        {"text": "c", "label": [1]},
    ]
    (tmp_path / "x.jsonl").write_text(
        "\n".join(json.dumps(row) for row in rows) + "\n{broken", encoding="utf-8"
    )
    read = read_source(data("x.jsonl"), tmp_path)
    assert read.frame["label"].to_list() == ["1", "2"]
    assert read.rejects.height == 4


def test_gb18030_is_read_when_named(tmp_path):
    (tmp_path / "x.csv").write_bytes("text,label\n房间很好,好\n".encode("gb18030"))
    assert read_source(data("x.csv", encoding="gb18030"), tmp_path).frame["text"].to_list() == ["房间很好"]


def test_conll_sentences_and_published_parts(tmp_path):
    for part in ("train", "test"):
        (tmp_path / f"{part}.conll").write_text(
            "-DOCSTART- O\n\nEU B-ORG\nsays O\n\n\nbroken\n\nParis B-LOC\n", encoding="utf-8"
        )
    read = read_source(data({"train": "train.conll", "test": "test.conll"}), tmp_path)
    assert read.frame["text"].to_list()[0] == ["EU", "says"]
    assert read.frame[SPLIT].value_counts().sort(SPLIT)["count"].to_list() == [2, 2]
    assert read.rejects.height == 2


def test_parquet_spans_outside_the_text_are_rejected(tmp_path):
    spans = [[{"start": 0, "end": 2, "label": "X"}], [{"start": 0, "end": 99, "label": "X"}], []]
    pl.DataFrame({"text": ["ab c", "short", "none"], "label": spans}).write_parquet(tmp_path / "x.parquet")
    read = read_source(data("x.parquet"), tmp_path)
    assert read.frame["text"].to_list() == ["ab c", "none"]


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"text": ["abc"], "label": [[{"start": None, "end": 1, "label": "X"}]]}, "lies outside the text"),
        ({"text": ["abc"], "label": [[{"start": 0, "end": 1, "label": None}]]}, "lies outside the text"),
        ({"text": ["abc"], "label": [[None]]}, "lies outside the text"),
        ({"text": [["a", None]], "label": [["O", "O"]]}, "one of the list is missing"),
        ({"text": [["a", "b"]], "label": [["O", None]]}, "a tag is missing"),
    ],
)
def test_a_hole_in_a_list_rejects_its_row(tmp_path, columns, reason):
    span = pl.List(pl.Struct({"start": pl.Int64, "end": pl.Int64, "label": pl.String}))
    kinds = {"label": span} if isinstance(columns["text"][0], str) else {}
    pl.DataFrame(columns, schema_overrides=kinds).write_parquet(tmp_path / "x.parquet")
    found = read_source(data("x.parquet"), tmp_path)
    assert found.frame.height == 0
    assert reason in found.rejects["reason"][0]


def test_a_time_that_is_no_number_is_rejected(tmp_path):
    times = [1.0, float("nan"), float("inf"), None, 2.0]
    pl.DataFrame({"text": list("abcde"), "label": list("xyxyx"), "day": times}).write_parquet(
        tmp_path / "x.parquet"
    )
    found = read_source(data("x.parquet", split={"time": "day"}), tmp_path)
    assert found.frame["day"].to_list() == [1.0, 2.0]
    assert set(found.rejects["reason"]) == {"no time in column 'day'"}


def test_labels_that_are_none_are_refused_or_rejected(tmp_path):
    frame = pl.DataFrame({"text": ["a"], "label": [7]}, schema_overrides={"label": pl.Duration("ms")})
    frame.write_parquet(tmp_path / "x.parquet")
    with pytest.raises(DataError, match="labels are expected"):
        read_source(data("x.parquet"), tmp_path)
    (tmp_path / "x.jsonl").write_text('{"text": "a", "label": NaN}\n{"text": "b", "label": 1}\n')
    assert read_source(data("x.jsonl"), tmp_path).frame["label"].to_list() == ["1"]


def test_a_hub_folder_is_read_with_its_class_names_and_splits(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "set" / "data").mkdir(parents=True)
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["bad", "good"])}
    )
    for split in ("train", "test"):
        part = datasets.Dataset.from_dict(
            {"text": [f"{split} a", f"{split} b"], "label": [0, 1]}, features=features
        )
        part.to_parquet(tmp_path / "set" / "data" / f"{split}-00000-of-00001.parquet")
    read = read_source(data("hf:set"), tmp_path)
    assert sorted(read.frame["label"].to_list()) == ["bad", "bad", "good", "good"]
    assert sorted(read.frame[SPLIT].unique()) == ["test", "train"]


def test_rejects_hold_no_value_and_too_many_stop_the_run(tmp_path):
    (tmp_path / "x.csv").write_text("text,label\nsecret word,\nfine,a\n", encoding="utf-8")
    read = read_source(data("x.csv"), tmp_path)
    account = ReadAccount()
    account.add(read)
    assert '"type": "missing"' in rejects_text(read.rejects)
    assert "secret" not in rejects_text(read.rejects)
    with pytest.raises(DataError, match="1 of 2 rows"):
        check_rejects(account, 0.01, tmp_path / "rejects.jsonl")


def test_a_missing_column_names_the_nearest(tmp_path):
    (tmp_path / "x.csv").write_text("texts,label\na,b\n", encoding="utf-8")
    with pytest.raises(DataError, match="Did you mean 'texts'"):
        read_source(data("x.csv"), tmp_path)


def test_subjects_become_codes_in_the_order_of_their_first_row(tmp_path):
    (tmp_path / "x.csv").write_text(
        "text,label,who\na,1,Zoe Li\nb,2,张伟\nc,1,\nd,2,Zoe Li\n", encoding="utf-8"
    )
    read = read_source(data("x.csv", subject="who"), tmp_path)
    assert read.frame["who"].to_list() == ["person 1", "person 2", None, "person 1"]


def test_a_source_without_a_row_is_named(tmp_path):
    with pytest.raises(DataError, match=r"the source lines:notes\.txt holds no row"):
        check_rejects(ReadAccount(), 0.01, tmp_path / "rejects.jsonl", "lines:notes.txt")

"""No file whatsoever ends in a traceback, and every record is read or rejected: rows_read = rows + rejected."""

import gzip
import io
import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charter.data.columns import PLACE, ROW, Columns
from charter.data.look import look_at, text_look
from charter.data.reading import absent_columns, read_source
from charter.errors import DataError
from charter.spec.data import Data

RECORDS = [
    {"text": "a \"quoted\", text\nof two lines", "label": "x", "who": "p1", "when": "2026-01-02"},
    {"text": "房间很好", "label": "y", "who": None, "when": "2026-01-03"},
    {"text": "it's “fine” &amp; so on", "label": "x", "who": "p1", "when": "2026-01-04T10:00:00"},
]  # fmt: skip
SPANS = [
    {"text": "Ann of Paris", "label": [{"start": 0, "end": 3, "label": "PER"}]},
    {"text": "none", "label": []},
]
WORDS = [{"text": ["Ann", "of"], "label": ["B-PER", "O"]}, {"text": ["x"], "label": ["O"]}]


def parquet(records) -> bytes:
    stream = io.BytesIO()
    pl.DataFrame(records).write_parquet(stream)
    return stream.getvalue()


def delimited(mark: str) -> bytes:
    lines = [mark.join(RECORDS[0])]
    for one in RECORDS:
        cells = [(str(value or "")).replace("\n", " ") for value in one.values()]
        lines.append(mark.join('"' + cell.replace('"', '""') + '"' for cell in cells))
    return "\n".join(lines).encode()


def lines_of(records) -> bytes:
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records).encode()


def array_of(records) -> bytes:
    return json.dumps({"version": 1.5, "data": records}, ensure_ascii=False).encode()


ARTICLE = {"title": "t", "paragraphs": [{"text": "x", "qas": [{"label": "x", "question": "Who?"}]}]}
VALID = {
    "csv": [delimited(",")],
    "tsv": [delimited("\t")],
    "jsonl": [lines_of(RECORDS), lines_of(SPANS), lines_of(WORDS)],
    "json": [array_of(RECORDS), array_of(SPANS), json.dumps(WORDS).encode(), array_of([ARTICLE, RECORDS[1]])],
    "parquet": [parquet(RECORDS), parquet(SPANS), parquet(WORDS)],
    "conll": ["Ann B-PER\nof O\n\nParis\tB-LOC\n-DOCSTART- O\n\n北京 B-LOC\n".encode()],
}
PIECES = [
    b'"',
    b"*",
    b"^a$",
    b"\n",
    b"\r",
    b",",
    b"\t",
    b"\x00",
    b"{",
    b"[]",
    b"null",
    b"1e999",
    b"\xff\xfe",
    b"\\ud800",
]
ENCODINGS = ("utf-8", "gb18030", "utf-16", "latin-1", "utf-7", "big5")


@st.composite
def damaged(draw, kind):
    """A valid file with bytes changed, cut out, doubled or put in; or bytes that never were one."""
    if draw(st.integers(0, 5)) == 0:
        return draw(st.binary(max_size=200))
    content = bytearray(draw(st.sampled_from(VALID[kind])))
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.integers(0, 12)))
        piece = draw(
            st.one_of(st.binary(max_size=8), st.sampled_from(PIECES), st.just(bytes(content[start:end]) * 2))
        )
        content[start:end] = piece
    return bytes(content)


FUZZ = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def charter_data(source, encoding, draw, kind) -> Data:
    roles = {} if kind == "conll" else draw(
        st.sampled_from([{}, {"subject": "who"}, {"groups": ["who"]}, {"split": {"time": "when"}}, {"split": {"column": "who"}}])
    )  # fmt: skip
    return Data.model_validate(
        {"source": source, "inputs": {"text": "text"}, "target": "label", "encoding": encoding, **roles}
    )


@pytest.mark.parametrize("kind", list(VALID))
@FUZZ
@given(data=st.data())
def test_any_file_is_read_to_the_last_record_or_refused_in_words(tmp_path, kind, data):
    content = data.draw(damaged(kind))
    packed = data.draw(st.booleans()) and data.draw(st.booleans())
    name = f"x.{kind}.gz" if packed else f"x.{kind}"
    (tmp_path / name).write_bytes(gzip.compress(content) if packed else content)
    encoding = data.draw(st.sampled_from(ENCODINGS))
    asked = charter_data(name, encoding, data.draw, kind)
    try:
        read = read_source(asked, tmp_path)
    except DataError:
        return
    assert read.records == read.frame.height + read.rejects.height
    numbers = [*read.frame[ROW].to_list(), *read.rejects[ROW].to_list()]
    assert sorted(numbers) == list(range(1, read.records + 1))
    assert read.frame[PLACE].null_count() == 0


@pytest.mark.parametrize("kind", list(VALID))
@FUZZ
@given(data=st.data())
def test_any_file_is_looked_at_or_refused_in_words(tmp_path, kind, data):
    name = f"x.{kind}"
    (tmp_path / name).write_bytes(data.draw(damaged(kind)))
    columns = Columns({"text": "text"}, "label")
    for act in (
        lambda: absent_columns(name, tmp_path, columns, data.draw(st.sampled_from(ENCODINGS))),
        lambda: looked(name, tmp_path),
    ):
        try:
            act()
        except DataError:
            continue


def looked(name: str, folder: Path) -> None:
    from charter.data.guess import guess_roles

    look = look_at(name, folder)
    roles = guess_roles(look)
    if roles.text.column is not None:
        text_look(look, roles.text.columns)

"""CoNLL columns: a word per line with its tag in the last column, an empty line after each sentence."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from charter.data import table
from charter.data.sources.files import file_source, is_undecoded
from charter.data.sources.lines import lines_of
from charter.data.table import Asked, Header, Reject, Source, Table, table_of
from charter.errors import DataError


def conll() -> Source:
    """Word first, tag last, separated by tabs or spaces; sentences apart by an empty line; -DOCSTART- is left out."""
    return file_source(_read, _header)


def _header(path: Path, asked: Asked) -> Header:
    """The file names no column: words and tags take the names asked for, and there are no others."""
    names = dict.fromkeys((asked.columns.text, asked.columns.target or "tags"))
    return Header(path.name, tuple(names))


def _read(path: Path, asked: Asked) -> Iterator[Table]:
    """The first column becomes the input column, the last one the target; a record is a sentence."""
    words: list[list[str]] = []
    tags: list[list[str]] = []
    numbers: list[int] = []
    rejects: list[Reject] = []
    number = before = 0
    if asked.columns.groups or asked.columns.subject or asked.columns.split or asked.columns.time:
        raise DataError(
            f"{path}: a CoNLL file has words and tags only; groups, subject, split column and time need jsonl or parquet"
        )

    def piece() -> Table:
        found = {asked.columns.text: pl.Series(words, dtype=pl.List(pl.String))}
        if asked.columns.target is not None:
            found[asked.columns.target] = pl.Series(tags, dtype=pl.List(pl.String))
        return table_of(path.name, pl.DataFrame(found), numbers, rejects, "sentence", before=before)

    for lines in _sentences(lines_of(path, asked.encoding, asked.most_bytes)):
        if number - before >= table.CHUNK_ROWS:
            yield piece()
            words, tags, numbers, rejects, before = [], [], [], [], number
        number += 1
        parts = [line.split("\t") if "\t" in line else line.split() for line in lines]
        least = 2 if asked.needs_target else 1
        if any(is_undecoded(line) for line in lines):
            rejects.append(Reject(number, "wrong encoding", "sentence", len(lines)))
        elif any(len(fields) < least or not fields[0].strip() or not fields[-1].strip() for fields in parts):
            rejects.append(Reject(number, "a line without word and tag", "sentence", len(lines)))
        else:
            words.append([fields[0] for fields in parts])
            tags.append([fields[-1].strip() for fields in parts])
            numbers.append(number)
    if number == 0:
        raise DataError(f"{path}: the file holds no sentence")
    yield piece()


def _sentences(text: Iterator[str]) -> Iterator[list[str]]:
    lines: list[str] = []
    for line in text:
        line = line.rstrip("\r")
        if line.strip() and not line.startswith("-DOCSTART-"):
            lines.append(line)
        elif lines:
            yield lines
            lines = []
    if lines:
        yield lines

"""csv and tsv files: every record is read or rejected with its number; a stray quote can't swallow the rest of a file."""

import csv as csv_format
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from charter.data import table
from charter.data.sources.files import check_header, file_source, head, is_undecoded
from charter.data.sources.lines import lines_in, lines_of
from charter.data.table import Asked, Header, Reject, Source, Table, table_of
from charter.errors import DataError

MOST_OPEN_QUOTES = 100
"""After so many quotes that are never closed a file is not in this format."""
MOST_IN_RECORD = 1 << 24
"""A quote that is not closed within so many characters is never closed."""


def csv() -> Source:
    """Comma-separated files with a header; quoted as RFC 4180 says."""
    return file_source(
        lambda path, asked: _read(path, asked, ",", quotes=True),
        lambda path, asked: _header(path, asked, ",", quotes=True),
    )


def tsv() -> Source:
    """Tab-separated files with a header; no quoting, so a quote is a character like others."""
    return file_source(
        lambda path, asked: _read(path, asked, "\t", quotes=False),
        lambda path, asked: _header(path, asked, "\t", quotes=False),
    )


@dataclass(frozen=True)
class _Record:
    fields: list[str]
    problem: str = ""
    length: int = 0


def _header(path: Path, asked: Asked, delimiter: str, *, quotes: bool) -> Header:
    lines = lines_in(head(path, asked.encoding).text)
    records = _records(path, lines, delimiter, quotes=quotes)
    return Header(path.name, tuple(_names(path, records)))


def _records(path: Path, lines: Iterator[str], delimiter: str, *, quotes: bool) -> Iterator[_Record]:
    if quotes:
        return _quoted(path, lines, delimiter)
    return (_Record(line.split(delimiter)) for line in lines if line)


def _names(path: Path, records: Iterator[_Record]) -> list[str]:
    """The columns, from the first record."""
    first = next(records, None)
    if first is None or not any(first.fields):
        raise DataError(f"{path}: the file is empty; its first line must name the columns")
    return [name.strip() for name in first.fields]


def _read(path: Path, asked: Asked, delimiter: str, *, quotes: bool) -> Iterator[Table]:
    lines = lines_of(path, asked.encoding, asked.most_bytes, returns=True)
    records = _records(path, lines, delimiter, quotes=quotes)
    header = _names(path, records)
    check_header(path, header, asked)
    wanted = [column for column in asked.columns.kept if column in header]
    places = [header.index(column) for column in wanted]
    rows: list[list[str]] = []
    numbers: list[int] = []
    rejects: list[Reject] = []
    number = before = 0

    def piece() -> Table:
        frame = pl.DataFrame(rows, schema=dict.fromkeys(wanted, pl.String), orient="row")
        return table_of(path.name, frame, numbers, rejects, "row", before=before)

    for record in records:
        if number - before >= table.CHUNK_ROWS:
            yield piece()
            rows, numbers, rejects, before = [], [], [], number
        number += 1
        if record.problem:
            rejects.append(Reject(number, record.problem, "record", record.length))
        elif len(record.fields) != len(header):
            rejects.append(Reject(number, "wrong number of fields", "record", len(record.fields)))
        else:
            row = [record.fields[place] for place in places]
            damaged = next((cell for cell in row if is_undecoded(cell)), None)
            if damaged is not None:
                rejects.append(Reject(number, "wrong encoding", "text", len(damaged)))
                continue
            rows.append(row)
            numbers.append(number)
    yield piece()


def _quoted(path: Path, lines: Iterator[str], delimiter: str) -> Iterator[_Record]:
    """Records of quoted text. A quote that is never closed costs its own line, not the rest of the file."""
    csv_format.field_size_limit(min(sys.maxsize, 2**31 - 1))
    feed = _Feed(lines)
    open_quotes = 0
    while True:
        reader = csv_format.reader(feed, delimiter=delimiter, strict=True)
        while True:
            feed.begin_record()
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv_format.Error:
                yield _Record([], "unreadable line", len(feed.first_line))
                if feed.ended and feed.taken > 1:  # it ran to the end for a closing quote
                    open_quotes += 1
                    if open_quotes > MOST_OPEN_QUOTES:
                        raise DataError(
                            f"{path}: more than {MOST_OPEN_QUOTES} quotes are never closed; is this comma-separated text?"
                        ) from None
                feed.give_back()  # whatever the broken record had swallowed is read again, line by line
                break
            if fields:
                yield _Record([_restored(field) for field in fields])


class _Feed:
    """Lines for the csv reader, which remembers those of the record that is being read.

    ended: the lines, or what a record may hold, came to an end. taken: how many lines the record took.
    """

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._waiting: list[str] = []  # lines given back, the next one last
        self._record: list[str] = []
        self._size = 0
        self.ended = False

    @property
    def first_line(self) -> str:
        return _restored(self._record[0])

    @property
    def taken(self) -> int:
        return len(self._record)

    def begin_record(self) -> None:
        self._record = []
        self._size = 0
        self.ended = False

    def give_back(self) -> None:
        """Give back all lines of the record but its first."""
        self._waiting += self._record[:0:-1]

    def __iter__(self) -> "_Feed":
        return self

    def __next__(self) -> str:
        line = self._waiting.pop() if self._waiting else None
        if line is None:
            line = next(self._lines, None)
            line = None if line is None else _escaped(line)
        if line is None:
            self.ended = True
            raise StopIteration
        if self._size + len(line) > MOST_IN_RECORD and self._record:
            self._waiting.append(line)
            self.ended = True
            raise StopIteration
        self._record.append(line)
        self._size += len(line)
        return line + "\n"


# The csv module takes a bare carriage return for the end of a line: it is told by a private-use character and a digit.
_STAND_IN = "\ue000"


def _escaped(line: str) -> str:
    if "\r" in line or _STAND_IN in line:
        return line.replace(_STAND_IN, f"{_STAND_IN}0").replace("\r", f"{_STAND_IN}1")
    return line


def _restored(field: str) -> str:
    if _STAND_IN not in field:
        return field
    return re.sub(f"{_STAND_IN}([01])", lambda match: _STAND_IN if match[1] == "0" else "\r", field)

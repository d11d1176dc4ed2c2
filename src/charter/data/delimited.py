"""csv and tsv files: every record is read or rejected with its number; a stray quote can't swallow the rest of a file."""

import csv as csv_format
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from charter.data.files import check_header, decoded, file_source, head, is_undecoded
from charter.data.table import Asked, Header, Reject, Source, Table, table_of
from charter.errors import DataError

MOST_OPEN_QUOTES = 100
"""After so many quotes that are never closed a file is not in this format."""


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
    records = _records(path, head(path, asked.encoding).text, delimiter, quotes=quotes)
    return Header(path.name, tuple(_names(path, records)))


def _records(path: Path, text: str, delimiter: str, *, quotes: bool) -> Iterator[_Record]:
    return _quoted(path, text, delimiter) if quotes else _plain(text, delimiter)


def _names(path: Path, records: Iterator[_Record]) -> list[str]:
    """The columns, from the first record."""
    first = next(records, None)
    if first is None or not any(first.fields):
        raise DataError(f"{path}: the file is empty; its first line must name the columns")
    return [name.strip() for name in first.fields]


def _read(path: Path, asked: Asked, delimiter: str, *, quotes: bool) -> Table:
    records = _records(path, decoded(path, asked.encoding, asked.most_bytes), delimiter, quotes=quotes)
    header = _names(path, records)
    check_header(path, header, asked)
    wanted = [column for column in asked.columns.kept if column in header]
    places = [header.index(column) for column in wanted]
    rows: list[list[str]] = []
    numbers: list[int] = []
    rejects: list[Reject] = []
    number = 0
    for record in records:
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
    frame = pl.DataFrame(rows, schema=dict.fromkeys(wanted, pl.String), orient="row")
    return table_of(path.name, frame, numbers, rejects, "row")


def _plain(text: str, delimiter: str) -> Iterator[_Record]:
    for line in _lines(text):
        if line:
            yield _Record(line.split(delimiter))


def _quoted(path: Path, text: str, delimiter: str) -> Iterator[_Record]:
    """Records of quoted text. A quote that is never closed costs its own line, not the rest of the file."""
    csv_format.field_size_limit(min(sys.maxsize, 2**31 - 1))
    lines = _lines(text)
    stand_in = _unused(text)  # for a bare carriage return, which the csv module takes for the end of a line
    lines = [line.replace("\r", stand_in) for line in lines]
    start = 0
    open_quotes = 0
    while start < len(lines):
        feed = _Feed(lines, start)
        reader = csv_format.reader(feed, delimiter=delimiter, strict=True)
        while True:
            begun = feed.next
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv_format.Error:
                yield _Record([], "unreadable line", len(lines[begun]))
                if feed.next >= len(lines) and feed.next - begun > 1:  # it ran to the end for a closing quote
                    open_quotes += 1
                    if open_quotes > MOST_OPEN_QUOTES:
                        raise DataError(
                            f"{path}: more than {MOST_OPEN_QUOTES} quotes are never closed; is this comma-separated text?"
                        ) from None
                start = begun + 1  # whatever the broken record had swallowed is read again, line by line
                break
            if fields:
                yield _Record([field.replace(stand_in, "\r") for field in fields])


class _Feed:
    """Lines for the csv reader, which remembers how many it took."""

    def __init__(self, lines: list[str], start: int) -> None:
        self.lines = lines
        self.next = start

    def __iter__(self) -> "_Feed":
        return self

    def __next__(self) -> str:
        if self.next >= len(self.lines):
            raise StopIteration
        self.next += 1
        return self.lines[self.next - 1] + "\n"


def _lines(text: str) -> list[str]:
    """Lines that end in LF or CR LF; a file that knows only CR is read by those."""
    only_returns = "\n" not in text and "\r" in text
    lines = text.split("\r" if only_returns else "\n")
    if not only_returns:
        lines = [line.removesuffix("\r") for line in lines]
    return lines[:-1] if lines[-1] == "" else lines


def _unused(text: str) -> str:
    """A private-use character that the text doesn't hold."""
    return next(character for code in range(0xE000, 0xF8FF) if (character := chr(code)) not in text)

"""What a source gives: the rows of one file or data set, before their columns are checked; and the rejected ones."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import polars as pl

from charter.data.columns import PLACE, ROW, Columns
from charter.runs.files import text_bytes

CHUNK_ROWS = 8_192
CHUNK_BYTES = 1 << 23
"""About so many records, and so many bytes of text, a source gives at once; what comes out must not depend on it."""

REJECTS = {ROW: pl.Int64, PLACE: pl.String, "reason": pl.String, "type": pl.String, "length": pl.Int64}
"""A row that could not be read: never its value, only where, why, of what type and how long."""


@dataclass(frozen=True)
class Reject:
    """One record that could not be read: its number in the file (from 1), why, the type and length of what was found."""

    record: int
    reason: str
    type: str = "record"
    length: int = 0


@dataclass(frozen=True)
class Table:
    """The rows of one file or of a piece of it: few enough to be held in memory (about CHUNK_ROWS records).

    frame: ROW, PLACE and those of the columns asked for that the file has, in the file's own types, which are the same in
    all its pieces; SPLIT where the source itself has published parts. ROW counts the records of this piece from 1, with gaps
    where one was rejected; PLACE says the record's number in the file, for people. records: how many this piece accounts
    for, rejected ones too. begins: whether it is the first piece of a file. whole: nothing was
    left out because only a beginning was asked for.
    """

    frame: pl.DataFrame
    rejects: pl.DataFrame
    records: int
    begins: bool = True
    whole: bool = True


@dataclass(frozen=True)
class Asked:
    """What a source is asked for: the columns and their roles, the text encoding, whether a target must be there.

    most_bytes: read so much from the beginning of each file and leave the rest; None reads all (parquet and `hf:` do).
    """

    columns: Columns
    encoding: str = "utf-8"
    needs_target: bool = True
    most_bytes: int | None = None


@dataclass(frozen=True)
class Header:
    """The columns of one file, by its name. whole: there can be no other (a long jsonl file is read at its beginning only)."""

    name: str
    columns: tuple[str, ...]
    whole: bool = True


@dataclass(frozen=True)
class Source:
    """A kind of source: how its files are read, and what names the bytes read.

    read: (location, folder that relative paths start from, what is asked) -> tables, in order: a generator that gives a file
    in several pieces is never asked to hold it whole.
    digest: (location, folder, encoding and columns asked) -> a digest that changes when what is read changes.
    headers: as `read`, but only the columns, from the beginning of each file; None where that takes reading it all.
    check: refuse a location that can't be read on this machine, without reading it. volatile: what is read may change
    while it is read (a database), so it is named again afterwards.
    """

    read: Callable[[str, Path, Asked], Iterable[Table]]
    digest: Callable[[str, Path, Asked], str]
    headers: Callable[[str, Path, Asked], list[Header]] | None = None
    check: Callable[[str, Path], None] | None = None
    volatile: bool = False


def slices(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """A table in pieces of CHUNK_ROWS rows and CHUNK_BYTES bytes of text at most (one row may have more); at least one piece."""
    ends = np.cumsum(text_bytes(frame))
    start = 0
    while start < frame.height:
        before = int(ends[start - 1]) if start else 0
        end = max(int(np.searchsorted(ends, before + CHUNK_BYTES, side="right")), start + 1)
        end = min(end, start + CHUNK_ROWS)
        yield frame[start:end]
        start = end
    if not frame.height:
        yield frame


def table_of(
    name: str,
    frame: pl.DataFrame,
    records: Sequence[int],
    rejects: Sequence[Reject],
    unit: str,
    *,
    before: int = 0,
    places: Mapping[int, str] = MappingProxyType({}),
) -> Table:
    """A table from the columns of its readable records, their numbers in the file, and the rejected ones.

    before: how many records of the file earlier pieces hold. places: of records whose number does not say where they are.
    """
    numbered = frame.with_columns(
        pl.Series(ROW, records, dtype=pl.Int64) - before,
        pl.Series(PLACE, [f"{name} {places.get(one, f'{unit} {one}')}" for one in records], dtype=pl.String),
    ).select(ROW, PLACE, *frame.columns)
    told = rejects_of(name, rejects, unit, places=places).with_columns(pl.col(ROW) - before)
    return Table(numbered, told, len(records) + len(rejects), begins=before == 0)


def rejects_of(
    name: str,
    rejects: Sequence[Reject],
    unit: str = "row",
    *,
    places: Mapping[int, str] = MappingProxyType({}),
) -> pl.DataFrame:
    """Rejected records of one file as a table."""
    told = [(one, places.get(one.record, f"{unit} {one.record}")) for one in rejects]
    return pl.DataFrame(
        [(one.record, f"{name} {place}", one.reason, one.type, one.length) for one, place in told],
        schema=REJECTS,
        orient="row",
    )

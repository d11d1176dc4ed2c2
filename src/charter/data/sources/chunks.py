"""Rows in chunks: what a source that streams yields, one table after another, each small enough to hold."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import polars as pl

from charter.data.columns import PLACE, ROW
from charter.data.table import REJECTS, Reject, Table

ROWS = 10_000
"""A chunk has at most so many rows."""
T = TypeVar("T")


@dataclass(frozen=True)
class Chunk:
    """Columns of the readable records of a chunk. offsets: which records they are, from 1; rejects: the other ones."""

    frame: pl.DataFrame
    offsets: Sequence[int]
    rejects: Sequence[Reject]


def table_of_chunk(chunk: Chunk, places: Sequence[str], *, begins: bool, whole: bool = True) -> Table:
    """A chunk as a table: ROW counts its records from 1, `places` (one per record) say where each is for people.

    begins: whether it is the first of its file; whole: whether nothing was left out after it.
    """
    numbered = chunk.frame.with_columns(
        pl.Series(ROW, chunk.offsets, dtype=pl.Int64),
        pl.Series(PLACE, [places[offset - 1] for offset in chunk.offsets], dtype=pl.String),
    ).select(ROW, PLACE, *chunk.frame.columns)
    rejects = pl.DataFrame(
        [(one.record, places[one.record - 1], one.reason, one.type, one.length) for one in chunk.rejects],
        schema=REJECTS,
        orient="row",
    )
    return Table(numbered, rejects, len(places), begins=begins, whole=whole)


def batched(items: Iterator[T], size: int) -> Iterator[list[T]]:
    """Lists of at most `size` items, in order; one empty list where there is no item, for a table without rows has columns."""
    batch = list(islice(items, size))
    yield batch
    while batch := list(islice(items, size)):
        yield batch

"""Cells that have types of their own (of a database, of a workbook) as columns: the same types in every chunk.

A number, a truth value or a date becomes text as people write it (1.0 is "1"), so that a label is one label wherever it
comes from. A cell of another kind than its column is rejected, never converted: a number among texts is no text.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import polars as pl

from charter.data.columns import Columns
from charter.data.sources.chunks import Chunk
from charter.data.sources.files import is_undecoded
from charter.data.sources.objects import SPAN, SPAN_KEYS
from charter.data.table import Reject

SCALARS = frozenset({"text", "number", "truth value", "time"})
_TYPES: Mapping[str, pl.DataType] = {"words": pl.List(pl.String), "spans": pl.List(SPAN)}


class Cells:
    """Reads chunks of records of one table. What a column holds is decided by the first chunk in which it holds something."""

    def __init__(self, columns: Columns, wanted: Sequence[str]) -> None:
        """wanted: the columns that the table has, of those that have a role; records hold their cells in this order."""
        self._inputs = frozenset(columns.inputs)
        self._wanted = tuple(wanted)
        self._usual: dict[str, str] = {}

    def chunk(self, records: Sequence[Sequence[Any]]) -> Chunk:
        """The columns of a chunk's readable records, and the other ones."""
        rejects: dict[int, Reject] = {}
        columns = {
            name: self._column(name, [record[at] for record in records], rejects)
            for at, name in enumerate(self._wanted)
        }
        keep = [at for at in range(len(records)) if at + 1 not in rejects]
        frame = pl.DataFrame({name: series.gather(keep) for name, series in columns.items()})
        return Chunk(frame, [at + 1 for at in keep], [rejects[at] for at in sorted(rejects)])

    def _column(self, name: str, values: list[Any], rejects: dict[int, Reject]) -> pl.Series:
        kinds = [_kind(value) for value in values]
        usual = self._usual_of(name, kinds)
        accepted = {usual, "nothing"} | ({"empty list"} if usual in _TYPES else set())
        if usual in SCALARS and name not in self._inputs:
            accepted |= SCALARS
        cells: list[Any] = []
        for number, (value, kind) in enumerate(zip(values, kinds, strict=True), start=1):
            problem = "" if kind in accepted else f"wrong type in column '{name}'"
            cell = None if problem or kind == "nothing" else _cell(value, kind)
            if isinstance(cell, str) and is_undecoded(cell):
                problem, cell = "wrong encoding", None
            if problem:
                rejects.setdefault(number, Reject(number, problem, kind, len(str(value))))
            cells.append(cell)
        return pl.Series(name, cells, _TYPES.get(usual, pl.String()))

    def _usual_of(self, name: str, kinds: Sequence[str]) -> str:
        if name not in self._usual:
            counts = Counter(kind for kind in kinds if kind in SCALARS or kind in _TYPES)
            if name in self._inputs:
                counts = Counter({kind: counts[kind] for kind in ("text", "words") if counts[kind]})
            if not counts:
                return "words" if "empty list" in kinds else "text"
            self._usual[name] = max(counts, key=lambda kind: counts[kind])
        return self._usual[name]


def _kind(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "nothing"
    if isinstance(value, str | UUID):
        return "text"
    if isinstance(value, bool):
        return "truth value"
    if isinstance(value, int | float | Decimal):
        return "number"
    if isinstance(value, date | time | timedelta):
        return "time"
    if isinstance(value, bytes | bytearray | memoryview):
        return "bytes"
    return _listed(value) if isinstance(value, list | tuple) else "object"


def _listed(value: Sequence[Any]) -> str:
    if not value:
        return "empty list"
    if all(isinstance(one, str) for one in value):
        return "words"
    if all(type(one) is int for one in value):
        return "words"
    return "spans" if all(_is_span(one) for one in value) else "list"


def _is_span(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and all(type(value.get(key)) is int and abs(value[key]) < 1 << 62 for key in ("start", "end"))
        and isinstance(value.get("label"), str)
    )


def _cell(value: Any, kind: str) -> Any:
    if kind in ("words", "empty list"):
        return [str(one) for one in value]
    if kind == "spans":
        return [{key: one[key] for key in SPAN_KEYS} for one in value]
    return as_text(value)


def as_text(value: Any) -> str:
    """A scalar as people write it: 1.0 and Decimal("1.00") are "1", dates and times are ISO 8601, midnight is the day."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value):
        return str(int(value))
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, datetime):
        midnight = value.time() == time() and value.tzinfo is None
        return value.date().isoformat() if midnight else value.isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value)

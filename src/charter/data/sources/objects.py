"""JSON objects as a table: each column in the type that most of its values have; what does not fit is rejected."""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from charter.data import table
from charter.data.answers import answers_said
from charter.data.sources.files import check_header
from charter.data.table import Asked, Reject, Table, table_of
from charter.errors import DataError

SPAN = pl.Struct({"start": pl.Int64, "end": pl.Int64, "label": pl.String})


@dataclass(frozen=True)
class Entry:
    """One record of a file, by its number from 1: its object, or why there is none.

    place: where it stands in the file; empty where its number says that.
    """

    number: int
    object: Mapping[str, Any] | None = None
    reject: Reject | None = None
    place: str = ""


def tables_of(path: Path, entries: Callable[[], Iterable[Entry]], asked: Asked, unit: str) -> Iterator[Table]:
    """The records of a file, a chunk at a time.

    A first pass over a file that is longer than a chunk finds out which keys and types it has: they hold for all of it.

    Raises:
        DataError: no record, or a column asked for is in none of them.
    """
    seen: Counter[str] = Counter()
    kinds: dict[str, Counter[str]] = {column: Counter() for column in asked.columns.kept}
    held: list[Entry] = []
    number = size = 0
    for entry in entries():
        number = entry.number
        if len(held) <= table.CHUNK_ROWS and size <= table.CHUNK_BYTES:
            held.append(entry)
            size += _size(entry)
        if entry.object is not None:
            seen.update(entry.object.keys())
            for column, counts in kinds.items():
                if (value := entry.object.get(column)) is not None:
                    counts[kind_of(value)] += 1
    if number == 0:
        raise DataError(f"{path}: the file is empty, or holds no record")
    if seen.total():
        check_header(path, list(seen), asked)
    rules = {column: _rule(column, kinds[column], asked) for column in kinds if column in seen}
    before = 0
    for some in _batched(held if number == len(held) else entries()):
        yield _table(path, some, rules, asked, before, unit)
        before = some[-1].number


def check_characters(value: Any) -> None:
    """Refuse text with half of a character in it, or with bytes that were not of its encoding.

    Raises:
        UnicodeEncodeError: there is some.
    """
    json.dumps(value, ensure_ascii=False).encode()


def _batched(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    batch: list[Entry] = []
    size = 0
    for entry in entries:
        batch.append(entry)
        size += _size(entry)
        if len(batch) >= table.CHUNK_ROWS or size >= table.CHUNK_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _size(entry: Entry) -> int:
    """About how many characters of text a record has."""
    values = entry.object.values() if entry.object is not None else ()
    return sum(len(one) for one in values if isinstance(one, str))


def _table(
    path: Path, entries: list[Entry], rules: Mapping[str, "_Rule"], asked: Asked, before: int, unit: str
) -> Table:
    rejects = [entry.reject for entry in entries if entry.reject is not None]
    objects = [entry.object for entry in entries if entry.object is not None]
    numbers = [entry.number for entry in entries if entry.object is not None]
    columns = {column: _column(column, rule, objects, numbers, rejects) for column, rule in rules.items()}
    bad = {reject.record for reject in rejects}
    keep = [index for index, record in enumerate(numbers) if record not in bad]
    frame = pl.DataFrame(
        {column: series.gather(keep) for column, series in columns.items()}
        or pl.DataFrame(schema=dict.fromkeys(asked.columns.kept, pl.String))
    )
    kept = [numbers[index] for index in keep]
    places = {entry.number: entry.place for entry in entries if entry.place}
    return table_of(path.name, frame, kept, sorted_rejects(rejects), unit, before=before, places=places)


def sorted_rejects(rejects: list[Reject]) -> list[Reject]:
    """One reject per record, in the order of the records."""
    first: dict[int, Reject] = {}
    for reject in rejects:
        first.setdefault(reject.record, reject)
    return [first[record] for record in sorted(first)]


@dataclass(frozen=True)
class _Rule:
    """The kind that most values of a column have, and the kinds that are accepted beside it."""

    usual: str
    accepted: frozenset[str]


_SCALAR = frozenset({"text", "number", "truth value"})


def _rule(column: str, kinds: Counter[str], asked: Asked) -> _Rule:
    if asked.columns.form.target == "answers" and column == asked.columns.target:
        return _Rule("answers", frozenset())
    if column in asked.columns.inputs:
        kinds = Counter({kind: count for kind, count in kinds.items() if kind in ("text", "words")})
    if kinds["spans"] or kinds["words"]:  # an empty list is one of those without any
        kinds.pop("empty list", None)
    for kind in ("list", "object"):  # of no use in any role
        kinds.pop(kind, None)
    usual = max(kinds, key=lambda kind: kinds[kind]) if kinds.total() else "text"
    if usual in _SCALAR and column not in asked.columns.inputs:
        return _Rule(usual, _SCALAR)
    return _Rule(usual, frozenset({usual} | ({"empty list"} if usual in ("words", "spans") else set())))


def _column(
    column: str,
    rule: _Rule,
    objects: Sequence[Mapping[str, Any]],
    numbers: Sequence[int],
    rejects: list[Reject],
) -> pl.Series:
    """One column of JSON values in the type that most of them have; the others are rejected, not converted."""
    if rule.usual == "answers":
        return _answers(column, objects, numbers, rejects)
    cells: list[Any] = []
    for one, record in zip(objects, numbers, strict=True):
        value = one.get(column)
        if value is None or kind_of(value) in rule.accepted:
            cells.append(_as_text(value) if rule.accepted == _SCALAR else value)
        else:
            kind = kind_of(value)
            rejects.append(Reject(record, f"wrong type in column '{column}'", kind, len(str(value))))
            cells.append(None)
    if rule.usual in ("words", "empty list"):
        return pl.Series(
            column,
            [None if cell is None else [str(word) for word in cell] for cell in cells],
            pl.List(pl.String),
        )
    if rule.usual == "spans":
        spans = [
            None if cell is None else [{key: one[key] for key in SPAN_KEYS} for one in cell] for cell in cells
        ]
        return pl.Series(column, spans, pl.List(SPAN))
    return pl.Series(column, cells, pl.String)


def _answers(
    column: str, objects: Sequence[Mapping[str, Any]], numbers: Sequence[int], rejects: list[Reject]
) -> pl.Series:
    """Answers in whichever form each object has them; what is none is rejected."""
    cells: list[Any] = []
    for one, record in zip(objects, numbers, strict=True):
        value = one.get(column)
        said = answers_said(value)
        if said is None:
            rejects.append(
                Reject(record, f"wrong type in column '{column}'", kind_of(value), len(str(value)))
            )
        cells.append([{"text": each.text, "answer_start": each.start} for each in said or ()])
    return pl.Series(column, cells, pl.List(pl.Struct({"text": pl.String, "answer_start": pl.Int64})))


SPAN_KEYS = ("start", "end", "label")


def kind_of(value: Any) -> str:
    """What a JSON value is, in words."""
    if isinstance(value, str):
        return "text"
    if isinstance(value, bool):
        return "truth value"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, list):
        if not value:
            return "empty list"
        if all(isinstance(one, str) for one in value) or all(
            isinstance(one, int) and not isinstance(one, bool) for one in value
        ):
            return "words"
        if all(_is_span(one) for one in value):
            return "spans"
        return "list"
    return "object"


def _is_span(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and all(type(value.get(key)) is int and abs(value[key]) < 1 << 62 for key in ("start", "end"))
        and isinstance(value.get("label"), str)
    )


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return None  # NaN and infinities are no JSON, and no label
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)

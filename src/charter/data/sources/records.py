"""jsonl and parquet files: records with typed values, lists for tokens, lists of spans."""

import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from charter.data import table
from charter.data.answers import answers_said
from charter.data.sources.compression import is_packed
from charter.data.sources.files import check_header, file_bytes, file_source, head, is_undecoded
from charter.data.sources.lines import lines_of
from charter.data.table import Asked, Header, Reject, Source, Table, table_of
from charter.errors import DataError

SPAN = pl.Struct({"start": pl.Int64, "end": pl.Int64, "label": pl.String})


def jsonl() -> Source:
    """One JSON object per line; lists of words and lists of spans are understood."""
    return file_source(_read_jsonl, _jsonl_header)


def parquet() -> Source:
    """Parquet files."""
    return file_source(_read_parquet, _parquet_header)


def _parquet_header(path: Path, asked: Asked) -> Header:
    del asked
    return Header(path.name, tuple(_opened(path).schema_arrow.names))


def _opened(path: Path) -> Any:
    """A parquet file, its footer read. By pyarrow: Polars panics on some damaged files."""
    import pyarrow.parquet
    from pyarrow import ArrowException

    try:
        return pyarrow.parquet.ParquetFile(io.BytesIO(file_bytes(path)) if is_packed(path) else path)
    except (ArrowException, OSError, ValueError, OverflowError, MemoryError):
        raise _no_parquet(path) from None


def _no_parquet(path: Path) -> DataError:
    return DataError(f"{path}: not a parquet file, or damaged or cut off")


def _jsonl_header(path: Path, asked: Asked) -> Header:
    """The keys of the objects at the file's beginning, in the order of their first use."""
    begun = head(path, asked.encoding)
    lines = begun.text.split("\n")
    seen: dict[str, None] = {}
    for line in lines if begun.whole else lines[:-1]:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            seen |= dict.fromkeys(value)
    return Header(path.name, tuple(seen), whole=begun.whole and bool(seen))


def _read_parquet(path: Path, asked: Asked) -> Iterator[Table]:
    from pyarrow import ArrowException

    file = _opened(path)
    header = list(file.schema_arrow.names)
    check_header(path, header, asked)
    wanted = [column for column in asked.columns.kept if column in header]
    before = 0
    try:
        for batch in file.iter_batches(batch_size=table.CHUNK_ROWS, columns=wanted):
            batch = batch.select(wanted)
            batch.validate(full=True)
            frame = pl.DataFrame(pl.from_arrow(batch))
            numbers = range(before + 1, before + frame.height + 1)
            yield table_of(path.name, frame, numbers, [], "row", before=before)
            before += frame.height
        if before == 0:
            empty = file.schema_arrow.empty_table().select(wanted)
            yield table_of(path.name, pl.DataFrame(pl.from_arrow(empty)), [], [], "row")
    except (ArrowException, pl.exceptions.PolarsError, OSError, ValueError, OverflowError, MemoryError):
        raise _no_parquet(path) from None


@dataclass(frozen=True)
class _Line:
    """One record of a jsonl file, by its number: its object, or why there is none."""

    number: int
    object: Mapping[str, Any] | None = None
    reject: Reject | None = None


def _read_jsonl(path: Path, asked: Asked) -> Iterator[Table]:
    """A first pass over a file that is longer than a chunk finds out which keys and types it has: they hold for all of it."""
    seen: Counter[str] = Counter()
    kinds: dict[str, Counter[str]] = {column: Counter() for column in asked.columns.kept}
    held: list[_Line] = []
    number = 0
    for line in _jsonl_lines(path, asked):
        number = line.number
        if len(held) <= table.CHUNK_ROWS:
            held.append(line)
        if line.object is not None:
            seen.update(line.object.keys())
            for column, counts in kinds.items():
                if (value := line.object.get(column)) is not None:
                    counts[_kind(value)] += 1
    if number == 0:
        raise DataError(f"{path}: the file is empty")
    if seen.total():
        check_header(path, list(seen), asked)
    rules = {column: _rule(column, kinds[column], asked) for column in kinds if column in seen}
    before = 0
    for lines in _batched(held if number == len(held) else _jsonl_lines(path, asked), table.CHUNK_ROWS):
        yield _jsonl_table(path, lines, rules, asked, before)
        before = lines[-1].number


def _batched(lines: Iterable[_Line], size: int) -> Iterator[list[_Line]]:
    waiting = iter(lines)
    while batch := list(islice(waiting, size)):
        yield batch


def _jsonl_table(
    path: Path, lines: list[_Line], rules: Mapping[str, "_Rule"], asked: Asked, before: int
) -> Table:
    rejects = [line.reject for line in lines if line.reject is not None]
    objects = [line.object for line in lines if line.object is not None]
    numbers = [line.number for line in lines if line.object is not None]
    columns = {column: _column(column, rule, objects, numbers, rejects) for column, rule in rules.items()}
    bad = {reject.record for reject in rejects}
    keep = [index for index, record in enumerate(numbers) if record not in bad]
    frame = pl.DataFrame(
        {column: series.gather(keep) for column, series in columns.items()}
        or pl.DataFrame(schema=dict.fromkeys(asked.columns.kept, pl.String))
    )
    kept = [numbers[index] for index in keep]
    return table_of(path.name, frame, kept, sorted_rejects(rejects), "line", before=before)


def _jsonl_lines(path: Path, asked: Asked) -> Iterator[_Line]:
    number = 0
    for line in lines_of(path, asked.encoding, asked.most_bytes):
        if not line.strip():
            continue
        number += 1
        problem = ""
        value: Any = None
        if is_undecoded(line):
            problem = "wrong encoding"
        else:
            try:
                value = json.loads(line)
                if "\\u" in line:  # an escape may hold half of a character
                    json.dumps(value, ensure_ascii=False).encode()
            except UnicodeEncodeError:
                problem = "wrong encoding"
            except (ValueError, RecursionError):
                problem = "unreadable line"
        if not problem and not isinstance(value, dict):
            problem = "not a JSON object"
        if problem:
            kind = _kind(value) if value is not None else "record"
            yield _Line(number, reject=Reject(number, problem, kind, len(line)))
        else:
            yield _Line(number, value)


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
        if value is None or _kind(value) in rule.accepted:
            cells.append(_as_text(value) if rule.accepted == _SCALAR else value)
        else:
            kind = _kind(value)
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
            rejects.append(Reject(record, f"wrong type in column '{column}'", _kind(value), len(str(value))))
        cells.append([{"text": each.text, "answer_start": each.start} for each in said or ()])
    return pl.Series(column, cells, pl.List(pl.Struct({"text": pl.String, "answer_start": pl.Int64})))


SPAN_KEYS = ("start", "end", "label")


def _kind(value: Any) -> str:
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
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)

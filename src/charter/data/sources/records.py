"""jsonl and parquet files: records with typed values, lists for tokens, lists of spans."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from charter.data import table
from charter.data.sources.compression import is_packed
from charter.data.sources.files import check_header, file_bytes, file_source, head, is_undecoded
from charter.data.sources.lines import lines_of
from charter.data.sources.objects import Entry, check_characters, kind_of, tables_of
from charter.data.table import Asked, Header, Reject, Source, Table, table_of
from charter.errors import DataError


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
        for batch in file.iter_batches(batch_size=_at_once(file, wanted), columns=wanted):
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


def _at_once(file: Any, columns: list[str]) -> int:
    """How many rows are read at once: fewer where their cells are large."""
    facts = file.metadata
    groups = [facts.row_group(at) for at in range(facts.num_row_groups)]
    cells = [group.column(at) for group in groups for at in range(group.num_columns)]
    size = sum(
        one.total_uncompressed_size for one in cells if one.path_in_schema.partition(".")[0] in columns
    )
    fit: int = table.CHUNK_BYTES * max(facts.num_rows, 1) // max(size, 1)
    return max(min(table.CHUNK_ROWS, fit), 1)


def _read_jsonl(path: Path, asked: Asked) -> Iterator[Table]:
    yield from tables_of(path, lambda: _entries(path, asked), asked, "line")


def _entries(path: Path, asked: Asked) -> Iterator[Entry]:
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
                    check_characters(value)
            except UnicodeEncodeError:
                problem = "wrong encoding"
            except (ValueError, RecursionError):
                problem = "unreadable line"
        if not problem and not isinstance(value, dict):
            problem = "not a JSON object"
        if problem:
            kind = kind_of(value) if value is not None else "record"
            yield Entry(number, reject=Reject(number, problem, kind, len(line)))
        else:
            yield Entry(number, value)

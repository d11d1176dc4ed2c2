"""From a charter's `data.source` to rows whose columns are what their roles ask for; every other row is rejected."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from charter.data.columns import PLACE, ROW, SPLIT, SPLITS, Columns
from charter.data.roles import checked, time_reading
from charter.data.sources.files import absent
from charter.data.sources.joining import plan_join
from charter.data.sources.locations import find_location, headers_of
from charter.data.table import REJECTS, Asked, Table
from charter.data.tails import with_tails
from charter.errors import DataError
from charter.runs.digest import value_digest
from charter.spec.data import Data
from charter.spec.use import Use


@dataclass(frozen=True)
class Read:
    """What was read. frame: ROW, PLACE and the columns that have a role (SPLIT where the parts are published).

    rejects: as REJECTS, one line per row that could not be read. records: frame and rejects together.
    """

    frame: pl.DataFrame
    rejects: pl.DataFrame
    records: int


@dataclass(frozen=True)
class Sample:
    """A random sample of rows. dropped: {ROW, reason} of those left out."""

    frame: pl.DataFrame
    dropped: pl.DataFrame


def absent_columns(location: str | Use, folder: Path, columns: Columns, encoding: str) -> dict[str, str]:
    """By column, what is wrong with it: not in a file of the location, or twice. Only beginnings of files are read.

    Nothing where a source can't tell its columns without reading it all.

    Raises:
        DataError: a file that can't be read.
    """
    headers = headers_of(location, folder, Asked(columns, encoding)) or []
    problems = {
        column: f"{header.name}: {problem}"
        for header in reversed(headers)
        for column in columns.kept
        if (problem := absent(column, header.columns)) and (header.whole or column in header.columns)
    }
    return {column: problems[column] for column in columns.kept if column in problems}


def read_source(
    data: Data, folder: Path, *, columns: Columns | None = None, needs_target: bool = True
) -> Read:
    """Read everything that `data.source` names; relative paths start from `folder`.

    columns: as `Columns.of` the data and what its task asks; without it the target is read as it is found.

    The subject column holds codes from here on ("person 1", in the order of their first rows): who a row is about is
    told to nothing that comes after reading, only that rows are about one person.

    Raises:
        DataError: a source that can't be read, or lacks a column.
    """
    return _whole(stream_source(data, folder, needs_target=needs_target, columns=columns))


def stream_source(
    data: Data, folder: Path, *, needs_target: bool = True, columns: Columns | None = None
) -> Iterator[Read]:
    """As `read_source`, a bounded number of rows at a time; at least one piece, which says the columns.

    Raises:
        DataError: as `read_source`, when the piece that shows it is reached.
    """
    asked = Asked(columns or Columns.of(data), data.encoding, needs_target)
    codes: dict[str, str] = {}
    for read in _numbered(_timed(_tables(data, folder, asked), asked), asked):
        yield replace(read, frame=_coded(read.frame, data.subject, codes))


def _tables(data: Data, folder: Path, asked: Asked) -> Iterator[Table]:
    parts = _parts(data)
    join = plan_join(data.join, next(iter(parts.values())), folder, asked)
    for split, location in parts.items():
        found = find_location(location, folder)
        for raw in found.source.read(found.rest, folder, asked if join is None else join.asked):
            table = raw if join is None else join.joined(raw)
            if split is not None:
                frame = table.frame.drop(SPLIT, strict=False).with_columns(pl.lit(split).alias(SPLIT))
                table = replace(table, frame=frame)
            yield with_tails(table, asked.columns.text, data.split) if data.split.tail else table


def _coded(frame: pl.DataFrame, subject: str | None, codes: dict[str, str]) -> pl.DataFrame:
    """Subjects as codes; a row without one stays without. codes: those given so far, by the subject."""
    if subject is None:
        return frame
    for name in frame[subject].drop_nulls().unique(maintain_order=True).to_list():
        codes.setdefault(name, f"person {len(codes) + 1}")
    names = frame[subject].unique().drop_nulls().to_list()
    own = {name: codes[name] for name in names}
    return frame.with_columns(pl.col(subject).replace_strict(own, default=None, return_dtype=pl.String))


def read_files(paths: Sequence[Path], columns: Columns, *, encoding: str = "utf-8") -> Read:
    """Read files of new rows, whose target may be absent; rows are numbered on through all of them.

    Raises:
        DataError: a file can't be read or lacks a column, or the files differ in their columns' types.
    """
    asked = Asked(columns, encoding, needs_target=False)

    def tables() -> Iterator[Table]:
        for path in paths:
            found = find_location(str(path.absolute()), path.parent)
            yield from found.source.read(found.rest, path.parent, asked)

    return _whole(_numbered(_timed(tables(), asked), asked))


def source_digest(data: Data, folder: Path, columns: Columns | None = None) -> str:
    """What names the bytes that `read_source` reads, whatever their paths.

    Raises:
        DataError: a source that can't be read.
    """
    asked = Asked(columns or Columns.of(data), data.encoding)
    places = _parts(data)
    join = plan_join(data.join, next(iter(places.values())), folder, asked)
    parts: dict[str, list[Any]] = {}
    for split, location in places.items():
        found = find_location(location, folder)
        digest = found.source.digest(found.rest, folder, asked if join is None else join.asked)
        parts[split or ""] = [found.kind, digest, *([dict(found.options)] if found.options else [])]
    if join is not None:
        parts["join"] = [partner.digest() for partner in join.partners]
    return value_digest(parts)


def is_volatile(data: Data, folder: Path) -> bool:
    """Whether what `data` names may change while it is read, as a database may."""
    places = [*_parts(data).values(), *(join.source for join in data.join)]
    return any(find_location(place, folder).source.volatile for place in places)


@dataclass
class ReadAccount:
    """How much was read: records, rows among them, and rejects by their reason."""

    records: int = 0
    rows: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, read: Read) -> None:
        """Count what was read."""
        self.records += read.records
        self.rows += read.frame.height
        self.reasons.update(read.rejects["reason"].to_list())


def check_rejects(
    account: ReadAccount, max_bad_rows: float, rejects_file: Path, source: object = None
) -> None:
    """Stop when more than the stated share of the records could not be read. source: as the charter names it.

    Raises:
        DataError: with the reasons, their counts, and where each record is listed.
    """
    bad = account.reasons.total()
    if account.records == 0:
        named = f" {source}" if isinstance(source, str) else ""
        raise DataError(f"the source{named} holds no row")
    if bad <= max_bad_rows * account.records:
        if account.rows == 0:
            raise DataError(
                f"none of the {account.records} rows could be read; each is listed in {rejects_file}"
            )
        return
    reasons = sorted(account.reasons.items(), key=lambda one: (-one[1], one[0]))
    listed = ", ".join(f"{count} {reason}" for reason, count in reasons)
    raise DataError(
        f"{bad} of {account.records} rows can't be read ({bad / account.records:.1%}; data.max_bad_rows allows "
        f"{max_bad_rows:.1%}): {listed}. Each is listed in {rejects_file}. "
        "Mend the file, its encoding or the columns named, or raise data.max_bad_rows"
    )


def rejects_text(rejects: pl.DataFrame) -> str:
    """Rejected rows as JSON lines: place, reason, type and length, never a value."""
    return "".join(
        json.dumps(
            {"row": row[ROW], "place": row[PLACE], **{k: row[k] for k in ("reason", "type", "length")}},
            ensure_ascii=False,
        )
        + "\n"
        for row in rejects.iter_rows(named=True)
    )


def sample_rows(frame: pl.DataFrame, columns: Columns, max_rows: int, seed: int) -> Sample:
    """A uniform random sample of so many rows, in their order; whole subjects where the charter names a subject.

    With subjects the sample has the most whole subjects, in random order, that fit. Where the split is given the sample is
    of the training rows: the other parts stay as they are.
    """
    given = columns.given_split(frame)
    if given is not None and (given != "train").any():
        free = replace(columns, split=None)
        of_training = sample_rows(
            frame.filter(given == "train").drop(SPLIT, strict=False), free, max_rows, seed
        )
        left_out = of_training.dropped
        return Sample(frame.filter(~pl.col(ROW).is_in(left_out[ROW].implode())), left_out)
    rng = np.random.default_rng(seed)
    keep = np.zeros(frame.height, dtype=bool)
    if columns.subject is None:
        keep[rng.choice(frame.height, size=min(max_rows, frame.height), replace=False)] = True
    else:
        own = pl.format("row {}", ROW)
        subjects = (
            frame.select(pl.col(columns.subject).fill_null(own).rank("dense"))[:, 0]
            .to_numpy()
            .astype(np.int64)
            - 1
        )
        sizes = np.bincount(subjects)
        order = rng.permutation(len(sizes))
        fits = np.cumsum(sizes[order]) <= max_rows
        keep = np.isin(subjects, order[fits])
    mask = pl.Series(keep)
    left_out = frame.filter(~mask).select(ROW, pl.lit("left out by sampling").alias("reason"))
    return Sample(frame.filter(mask), left_out)


def _parts(data: Data) -> dict[str | None, str | Use]:
    if not isinstance(data.source, dict):
        return {None: data.source}
    return {split: data.source[split] for split in SPLITS if split in data.source}


def _numbered(tables: Iterable[Table], asked: Asked) -> Iterator[Read]:
    """Rows numbered on through all tables, columns checked against their roles."""
    before = 0
    schema: pl.Schema | None = None
    for table in tables:
        fitting = checked(table, asked)
        frame = fitting.frame.with_columns(pl.col(ROW) + before)
        if schema is not None and frame.schema != schema:
            names = sorted({*frame.columns, *schema})
            differ = [name for name in names if frame.schema.get(name) != schema.get(name)]
            raise DataError(
                f"the files of data.source differ in their columns or types: {', '.join(differ) or 'their order'}"
            )
        schema = frame.schema
        yield Read(frame, fitting.rejects.with_columns(pl.col(ROW) + before).sort(ROW), table.records)
        before += table.records


DECIDING_ROWS = 10_000
"""How a file's times are read is decided by so many of its first rows."""


def _timed(tables: Iterable[Table], asked: Asked) -> Iterator[Table]:
    """The same tables, the time column of each file read in the way that fits the beginning of that file."""
    column = asked.columns.time
    if column is None:
        yield from tables
        return
    waiting: list[Table] = []
    held = 0
    reading: pl.Expr | None = None
    decided = False

    def all_waiting() -> Iterator[Table]:
        nonlocal reading, decided
        if not waiting:
            return
        if not decided:
            reading = time_reading(pl.concat([one.frame.select(column) for one in waiting]), column)
            decided = True
        for one in waiting:
            frame = one.frame if reading is None else one.frame.with_columns(reading.alias(column))
            yield replace(one, frame=frame)
        waiting.clear()

    for table in tables:
        if table.begins:
            yield from all_waiting()
            held, decided = 0, False
        waiting.append(table)
        held += table.frame.height
        if decided or held >= DECIDING_ROWS:
            yield from all_waiting()
    yield from all_waiting()


def _whole(pieces: Iterable[Read]) -> Read:
    """All pieces as one."""
    reads = list(pieces)
    rejects = [pl.DataFrame(schema=REJECTS), *(read.rejects for read in reads)]
    return Read(
        pl.concat([read.frame for read in reads]),
        pl.concat(rejects),
        sum(read.records for read in reads),
    )

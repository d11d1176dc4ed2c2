"""From a charter's `data.source` to rows whose columns are what their roles ask for; every other row is rejected."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from charter.data.columns import PLACE, ROW, SPLIT, SPLITS, Columns
from charter.data.files import absent
from charter.data.joining import plan_join
from charter.data.locations import find_location, headers_of
from charter.data.roles import checked
from charter.data.table import REJECTS, Asked, Table
from charter.errors import DataError
from charter.runs.digest import value_digest
from charter.runs.files import write_text
from charter.spec.model import Data, Use


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


def read_source(data: Data, folder: Path, *, needs_target: bool = True) -> Read:
    """Read everything that `data.source` names; relative paths start from `folder`.

    The subject column holds codes from here on ("person 1", in the order of their first rows): who a row is about is
    told to nothing that comes after reading, only that rows are about one person.

    Raises:
        DataError: a source that can't be read, or lacks a column.
    """
    asked = Asked(Columns.of(data), data.encoding, needs_target)
    tables: list[Table] = []
    parts = _parts(data)
    join = plan_join(data.join, next(iter(parts.values())), folder, asked)
    for split, location in parts.items():
        found = find_location(location, folder)
        for raw in found.source.read(found.rest, folder, asked if join is None else join.asked):
            table = raw if join is None else join.joined(raw)
            if split is not None:
                frame = table.frame.drop(SPLIT, strict=False).with_columns(pl.lit(split).alias(SPLIT))
                table = replace(table, frame=frame)
            tables.append(table)
    read = _joined(tables, asked)
    return replace(read, frame=_coded(read.frame, data.subject))


def _coded(frame: pl.DataFrame, subject: str | None) -> pl.DataFrame:
    """Subjects as codes; a row without one stays without."""
    if subject is None:
        return frame
    names = frame[subject].drop_nulls().unique(maintain_order=True).to_list()
    codes = {name: f"person {number}" for number, name in enumerate(names, start=1)}
    return frame.with_columns(pl.col(subject).replace_strict(codes, default=None, return_dtype=pl.String))


def read_files(paths: Sequence[Path], columns: Columns, *, encoding: str = "utf-8") -> Read:
    """Read files of new rows, whose target may be absent; rows are numbered on through all of them.

    Raises:
        DataError: a file can't be read or lacks a column, or the files differ in their columns' types.
    """
    asked = Asked(columns, encoding, needs_target=False)
    tables: list[Table] = []
    for path in paths:
        found = find_location(str(path.absolute()), path.parent)
        tables += found.source.read(found.rest, path.parent, asked)
    return _joined(tables, asked)


def source_digest(data: Data, folder: Path) -> str:
    """What names the bytes that `read_source` reads, whatever their paths.

    Raises:
        DataError: a source that can't be read.
    """
    asked = Asked(Columns.of(data), data.encoding)
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


def check_rejects(read: Read, max_bad_rows: float, rejects_file: Path) -> None:
    """Stop when more than the stated share of the records could not be read.

    Raises:
        DataError: with the reasons, their counts, and where each record is listed.
    """
    bad = read.rejects.height
    if read.records == 0:
        raise DataError("the source holds no row")
    if bad <= max_bad_rows * read.records:
        if read.frame.height == 0:
            raise DataError(
                f"none of the {read.records} rows could be read; each is listed in {rejects_file}"
            )
        return
    reasons = read.rejects["reason"].value_counts(sort=True)
    listed = ", ".join(f"{count} {reason}" for reason, count in reasons.iter_rows())
    raise DataError(
        f"{bad} of {read.records} rows can't be read ({bad / read.records:.1%}; data.max_bad_rows allows "
        f"{max_bad_rows:.1%}): {listed}. Each is listed in {rejects_file}. "
        "Mend the file, its encoding or the columns named, or raise data.max_bad_rows"
    )


def write_rejects(path: Path, rejects: pl.DataFrame) -> None:
    """Write rejected rows as JSON lines: place, reason, type and length, never a value."""
    lines = [
        json.dumps(
            {"row": row[ROW], "place": row[PLACE], **{k: row[k] for k in ("reason", "type", "length")}},
            ensure_ascii=False,
        )
        for row in rejects.iter_rows(named=True)
    ]
    write_text(path, "".join(line + "\n" for line in lines))


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


def _joined(tables: list[Table], asked: Asked) -> Read:
    """Several tables as one, rows numbered on through all of them, columns checked against their roles."""
    frames: list[pl.DataFrame] = []
    rejects: list[pl.DataFrame] = [pl.DataFrame(schema=REJECTS)]
    before = 0
    for table in tables:
        fitting = checked(table, asked)
        frames.append(fitting.frame.with_columns(pl.col(ROW) + before))
        rejects.append(fitting.rejects.with_columns(pl.col(ROW) + before))
        before += table.records
    if len({tuple(frame.schema.items()) for frame in frames}) > 1:
        names = sorted({name for frame in frames for name in frame.columns})
        differ = [name for name in names if len({frame.schema.get(name) for frame in frames}) > 1]
        raise DataError(f"the files of data.source differ in their columns or types: {', '.join(differ)}")
    return Read(pl.concat(frames), pl.concat(rejects).sort(ROW), before)

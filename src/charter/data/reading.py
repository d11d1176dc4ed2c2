"""From a charter's `data.source` to rows whose columns are what their roles ask for; every other row is rejected."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from charter import plugins
from charter.data.columns import PLACE, ROW, SPLIT, SPLITS, Columns
from charter.data.files import files_of
from charter.data.samples import NAMES
from charter.data.table import REJECTS, Asked, Source, Table
from charter.errors import DataError
from charter.runs.digest import value_digest
from charter.runs.files import write_text
from charter.spec.model import Data

ENDINGS: Mapping[str, str] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".conll": "conll",
    ".bio": "conll",
    ".iob": "conll",
}
"""The format of a file by its name's ending, before an optional .gz; others are named as FORMAT:PATH."""


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


@dataclass(frozen=True)
class Location:
    """A source plug-in's name and what stands behind the colon (or the whole path, when its ending says the format)."""

    kind: str
    rest: str

    @property
    def source(self) -> Source:
        """The plug-in that reads it."""
        source: Source = plugins.make("source", self.kind, {})
        return source


def find_location(text: str) -> Location:
    """Which source reads a location such as `sample:tweets`, `csv:data/x.txt` or `data/*.parquet`.

    Raises:
        DataError: neither a known prefix nor a known ending.
    """
    prefix, colon, rest = text.partition(":")
    if colon and prefix in plugins.names("source"):
        return Location(prefix, rest)
    if colon and prefix in plugins.PLANNED["source"]:
        raise DataError(plugins.unknown("source", prefix))
    named = text.rstrip("*?")
    ending = "".join(Path(named).suffixes[-2:]) if named.endswith(".gz") else Path(named).suffix
    kind = ENDINGS.get(ending.removesuffix(".gz").lower())
    if kind is None:
        raise DataError(
            f"data.source '{text}': its ending says no format; known are {', '.join(ENDINGS)}, also with .gz. "
            "Name the format before a colon, such as csv:data.txt"
        )
    return Location(kind, text)


def check_location(text: str, folder: Path) -> None:
    """Refuse a location that can't be read on this machine, without reading it; what is on a hub is not asked for.

    Raises:
        DataError: no such format, sample or file.
    """
    found = find_location(text)
    if found.kind in ENDINGS.values():
        files_of(found.rest, folder)
    elif found.kind == "sample" and found.rest not in NAMES:
        raise DataError(f"no sample '{found.rest}'; there is {', '.join(NAMES)}")


def read_source(data: Data, folder: Path, *, needs_target: bool = True) -> Read:
    """Read everything that `data.source` names; relative paths start from `folder`.

    The subject column holds codes from here on ("person 1", in the order of their first rows): who a row is about is
    told to nothing that comes after reading, only that rows are about one person.

    Raises:
        DataError: a source that can't be read, or lacks a column.
    """
    asked = Asked(Columns.of(data), data.encoding, needs_target)
    tables: list[Table] = []
    for split, location in _parts(data).items():
        found = find_location(location)
        for table in found.source.read(found.rest, folder, asked):
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
        found = find_location(str(path.absolute()))
        tables += found.source.read(found.rest, path.parent, asked)
    return _joined(tables, asked)


def source_digest(data: Data, folder: Path) -> str:
    """What names the bytes that `read_source` reads, whatever their paths.

    Raises:
        DataError: a source that can't be read.
    """
    asked = Asked(Columns.of(data), data.encoding)
    parts = {}
    for split, location in _parts(data).items():
        found = find_location(location)
        parts[split or ""] = [found.kind, found.source.digest(found.rest, folder, asked)]
    return value_digest(parts)


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

    With subjects the sample has the most whole subjects, in random order, that fit.
    """
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


def _parts(data: Data) -> dict[str | None, str]:
    if isinstance(data.source, str):
        return {None: data.source}
    return {split: data.source[split] for split in SPLITS if split in data.source}


def _joined(tables: list[Table], asked: Asked) -> Read:
    """Several tables as one, rows numbered on through all of them, columns checked against their roles."""
    frames: list[pl.DataFrame] = []
    rejects: list[pl.DataFrame] = [pl.DataFrame(schema=REJECTS)]
    before = 0
    for table in tables:
        checked = _checked(table, asked)
        frames.append(checked.frame.with_columns(pl.col(ROW) + before))
        rejects.append(checked.rejects.with_columns(pl.col(ROW) + before))
        before += table.records
    if len({tuple(frame.schema.items()) for frame in frames}) > 1:
        names = sorted({name for frame in frames for name in frame.columns})
        differ = [name for name in names if len({frame.schema.get(name) for frame in frames}) > 1]
        raise DataError(f"the files of data.source differ in their columns or types: {', '.join(differ)}")
    return Read(pl.concat(frames), pl.concat(rejects).sort(ROW), before)


def _checked(table: Table, asked: Asked) -> Table:
    """One table with every column in the type of its role; rows that have no such value become rejects."""
    columns = asked.columns
    frame = table.frame
    problems: list[pl.Expr] = []
    target = columns.target if columns.target in frame.columns else None
    for column in columns.inputs:
        frame = _as_input(frame, column)
        problems.append(_first_problem(_empty(frame, column), f"no text in column '{column}'", frame, column))
    if target is not None:
        frame = _as_target(frame, target)
        if asked.needs_target:
            missing = pl.col(target).is_null() if frame.schema[target].is_nested() else _empty(frame, target)
            problems.append(_first_problem(missing, f"no target in column '{target}'", frame, target))
            problems += _pairing(frame, columns.text, target)
    for label in {*columns.groups, columns.subject, columns.split} - {None, target}:
        frame = frame.with_columns(_as_label(frame, str(label)))
    if columns.split is not None:
        known = pl.col(columns.split).is_in(list(SPLITS))
        said = f"column '{columns.split}' says none of {', '.join(SPLITS)}"
        problems.append(_first_problem(~known.fill_null(False), said, frame, columns.split))
    if columns.time is not None:
        frame = _as_time(frame, columns.time)
        problems.append(
            _first_problem(
                pl.col(columns.time).is_null(), f"no time in column '{columns.time}'", frame, columns.time
            )
        )
    marked = frame.with_columns(pl.coalesce(*problems).alias("_problem"))
    bad = marked.filter(pl.col("_problem").is_not_null()).select(
        ROW, PLACE, pl.col("_problem").struct.unnest()
    )
    good = marked.filter(pl.col("_problem").is_null()).drop("_problem")
    return Table(good, pl.concat([table.rejects, bad.cast(REJECTS)]), table.records)  # type: ignore[arg-type]


def _first_problem(is_bad: pl.Expr, reason: str, frame: pl.DataFrame, column: str) -> pl.Expr:
    kind = frame.schema[column]
    length = (
        pl.col(column).list.len()
        if isinstance(kind, pl.List)
        else pl.col(column).cast(pl.String).str.len_chars()
    )
    said = pl.struct(
        pl.lit(reason).alias("reason"),
        pl.when(pl.col(column).is_null())
        .then(pl.lit("missing"))
        .otherwise(pl.lit(_type_name(kind)))
        .alias("type"),
        length.fill_null(0).cast(pl.Int64).alias("length"),
    )
    return pl.when(is_bad).then(said)


def _type_name(kind: pl.DataType) -> str:
    if kind == pl.String:
        return "text"
    return "list" if isinstance(kind, pl.List) else str(kind)


def _empty(frame: pl.DataFrame, column: str) -> pl.Expr:
    if isinstance(frame.schema[column], pl.List):
        return pl.col(column).list.len().fill_null(0) == 0
    return pl.col(column).str.strip_chars().fill_null("") == ""


def _as_input(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    kind = frame.schema[column]
    if kind == pl.String or kind == pl.List(pl.String):
        return frame
    if isinstance(kind, pl.Categorical | pl.Enum) or kind == pl.Null:
        return frame.with_columns(pl.col(column).cast(pl.String))
    raise DataError(f"data.inputs.{column}: text is expected, the column holds {_in_words(kind)}")


def _as_target(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    kind = frame.schema[column]
    if isinstance(kind, pl.List):
        inner = kind.inner
        if isinstance(inner, pl.Struct):
            names = {field.name for field in inner.fields}
            if not {"start", "end", "label"} <= names:
                raise DataError(
                    f"data.target '{column}': a span needs start, end and label, it has {', '.join(sorted(names))}"
                )
            span = pl.struct(
                pl.element().struct.field("start").cast(pl.Int64),
                pl.element().struct.field("end").cast(pl.Int64),
                pl.element().struct.field("label").cast(pl.String),
            )
            return frame.with_columns(pl.col(column).list.eval(span))
        return frame.with_columns(pl.col(column).cast(pl.List(pl.String)))
    return frame.with_columns(_as_label(frame, column))


def _as_label(frame: pl.DataFrame, column: str) -> pl.Expr:
    """A label as text: 1, 1.0 and "1" are one label; blank is missing."""
    kind = frame.schema[column]
    if kind.is_nested() or kind == pl.Binary:
        raise DataError(f"column '{column}': labels are expected, the column holds {_in_words(kind)}")
    values = pl.col(column)
    if kind == pl.Boolean:
        return pl.when(values).then(pl.lit("true")).when(values.not_()).then(pl.lit("false")).alias(column)
    if kind.is_float():
        whole = values.round(0) == values
        text = (
            pl.when(whole)
            .then(values.cast(pl.Int64, strict=False).cast(pl.String))
            .otherwise(values.cast(pl.String))
        )
        return text.alias(column)
    text = values.cast(pl.String)
    return pl.when(text.str.strip_chars() != "").then(text).alias(column)


def _as_time(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    """A time that sorts: dates and numbers as they are, text read as ISO 8601 or as a number."""
    kind = frame.schema[column]
    if kind.is_temporal() or kind.is_numeric():
        return frame
    if kind != pl.String:
        raise DataError(
            f"data.split.time '{column}': a date, a time or a number is expected, the column holds {_in_words(kind)}"
        )
    present = frame[column].drop_nulls().str.strip_chars()
    present = present.filter(present != "")
    text = pl.col(column).str.strip_chars()
    for reading in (
        text.cast(pl.Float64, strict=False),
        text.str.to_datetime(strict=False, time_zone="UTC", exact=True, format="%+"),
        text.str.replace("T", " ").str.to_datetime("%Y-%m-%d %H:%M:%S%.f", strict=False),
        text.str.replace("T", " ").str.to_datetime("%Y-%m-%d %H:%M", strict=False),
        text.str.replace_all("[/.]", "-").str.to_datetime("%Y-%m-%d", strict=False),
    ):
        read = frame.with_columns(reading.alias(column))
        if read[column].drop_nulls().len() >= 0.5 * max(present.len(), 1) and present.len():
            return read
    raise DataError(
        f"data.split.time '{column}': most of its values are neither ISO 8601 (2026-11-24, 2026-11-24T10:00:00) nor numbers"
    )


def _pairing(frame: pl.DataFrame, text: str, target: str) -> list[pl.Expr]:
    """Problems of a row whose words and tags, or text and spans, don't belong together."""
    of_words = isinstance(frame.schema[text], pl.List)
    kind = frame.schema[target]
    if not isinstance(kind, pl.List):
        if of_words:
            raise DataError(
                f"data.target '{target}': a list of tags is expected for lists of words in '{text}'"
            )
        return []
    if isinstance(kind.inner, pl.Struct):
        if of_words:
            raise DataError(
                f"data.target '{target}': spans need a text column of whole texts, '{text}' holds lists of words"
            )
        span = pl.element().struct
        start, end = span.field("start"), span.field("end")
        inside = pl.col(target).list.eval((start >= 0) & (end > start)).list.all()
        last = pl.col(target).list.eval(end).list.max().fill_null(0)
        bad = (~inside.fill_null(True)) | (last > pl.col(text).str.len_chars())
        return [_first_problem(bad, f"a span of column '{target}' lies outside the text", frame, target)]
    if not of_words:
        raise DataError(
            f"data.target '{target}' holds lists of tags, so '{text}' must hold lists of words, or {target} spans of the text"
        )
    differ = pl.col(target).list.len() != pl.col(text).list.len()
    holes = pl.col(target).list.eval(pl.element().is_null()).list.any()
    return [
        _first_problem(
            differ, f"words and tags differ in number (columns '{text}' and '{target}')", frame, target
        ),
        _first_problem(holes, f"a tag is missing in column '{target}'", frame, target),
    ]


def _in_words(kind: pl.DataType) -> str:
    if kind.is_numeric():
        return f"numbers ({kind})"
    if kind == pl.Boolean:
        return "truth values"
    return f"{kind}"

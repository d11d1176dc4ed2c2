"""Preparations: what happens to rows between reading and splitting. Every row that goes has its reason."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from charter import plugins
from charter.data.columns import ROW, Columns
from charter.errors import DataError
from charter.spec.model import Use

DROPPED = {ROW: pl.Int64, "reason": pl.String}


@dataclass(frozen=True)
class Outcome:
    """What a preparation did. dropped: {_row, reason} of the rows that are gone; counts: what it changed, by kind."""

    frame: pl.DataFrame
    dropped: pl.DataFrame
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Preparation:
    """One preparation. Row-wise ones look at each row alone; they run again on new rows in `charter predict`."""

    row_wise: bool
    apply: Callable[[pl.DataFrame, Columns], Outcome]


@dataclass(frozen=True)
class Prepared:
    """Prepared rows; {_row, by, reason} of those dropped; and the counts of each preparation, in order."""

    frame: pl.DataFrame
    dropped: pl.DataFrame
    counts: tuple[tuple[str, Mapping[str, int]], ...]


def nothing_dropped() -> pl.DataFrame:
    """An empty table of dropped rows."""
    return pl.DataFrame(schema=DROPPED)


def prepare(frame: pl.DataFrame, columns: Columns, uses: Sequence[Use]) -> Prepared:
    """Run preparations in order; rows that are left without text are dropped at the end.

    Raises:
        DataError: a plug-in that loses or makes rows without saying so.
    """
    made = [(use.use, plugins.make("preparation", use.use, use.options)) for use in uses]
    return _run(frame, columns, made)


def prepare_again(frame: pl.DataFrame, columns: Columns, uses: Sequence[Use]) -> Prepared:
    """Run the row-wise preparations on new rows."""
    made = [(use.use, plugins.make("preparation", use.use, use.options)) for use in uses]
    return _run(frame, columns, [(name, one) for name, one in made if one.row_wise])


def _run(frame: pl.DataFrame, columns: Columns, made: Sequence[tuple[str, Preparation]]) -> Prepared:
    dropped = [pl.DataFrame(schema={ROW: pl.Int64, "by": pl.String, "reason": pl.String})]
    counts = []
    for name, one in made:
        outcome = one.apply(frame, columns)
        _check_account(name, frame, outcome)
        frame = outcome.frame
        dropped.append(outcome.dropped.select(ROW, pl.lit(name).alias("by"), "reason"))
        counts.append((name, outcome.counts))
    if isinstance(frame.schema[columns.text], pl.List):
        empty = pl.col(columns.text).list.len() == 0
    else:
        empty = pl.col(columns.text).str.strip_chars() == ""
    gone = frame.filter(empty).select(
        ROW, pl.lit("prepare").alias("by"), pl.lit("no text is left").alias("reason")
    )
    return Prepared(frame.filter(~empty), pl.concat([*dropped, gone]), tuple(counts))


def _check_account(name: str, before: pl.DataFrame, outcome: Outcome) -> None:
    told = sorted([*outcome.frame[ROW].to_list(), *outcome.dropped[ROW].to_list()])
    if told != sorted(before[ROW].to_list()):
        raise DataError(
            f"preparation '{name}' lost or made rows without saying so: {before.height} came in, "
            f"{outcome.frame.height} went out and {outcome.dropped.height} are said to be dropped"
        )

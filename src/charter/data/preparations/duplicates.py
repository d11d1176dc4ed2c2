"""Exact and near duplicates: which rows have equal or similar texts, and which of them stay."""

from typing import Annotated, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from charter.data.columns import ROW, Columns
from charter.data.preparation import Outcome, Over, Preparation, nothing_dropped
from charter.data.rows import Rows
from charter.data.similarity.likeness import likeness_of


def drop_exact_duplicates(
    *,
    conflicting: Annotated[
        Literal["keep_first", "drop"],
        Field(
            description="what to do with equal texts of different labels: keep the first row, or drop them all"
        ),
    ] = "keep_first",
) -> Preparation:
    """Keep the first of rows whose texts are equal but for case and spaces.

    Where the split is given, only training rows go, and only for another training row: published parts stay as they are.
    """

    def over(rows: Rows, columns: Columns) -> Outcome:
        numbers = likeness_of(rows, columns).numbers(rows)
        several = np.bincount(numbers)[numbers] > 1 if len(numbers) else np.zeros(0, dtype=bool)
        again = rows.only(several)  # most texts stand once: they are not looked at
        keyed = again.collect(rows.there(ROW, columns.target)).with_columns(
            pl.Series("_key", numbers[several])
        )
        first = pl.col(ROW) == pl.col(ROW).min().over("_key")
        keyed = keyed.with_columns(_differs(columns.target, keyed).alias("_differs"))
        keep = first & ~pl.col("_differs") if conflicting == "drop" else first
        reason = (
            pl.when("_differs")
            .then(pl.lit("equal text with another label"))
            .otherwise(pl.lit("equal text"))
            .alias("reason")
        )
        dropped = keyed.filter(~keep).select(ROW, reason)
        kept = pl.DataFrame({ROW: rows.without(dropped[ROW]).numbers})
        return Outcome(kept, dropped, {})

    return Preparation(row_wise=False, over=_among_training_rows(over))


def _among_training_rows(over: Over) -> Over:
    """The same, looking at training rows only where the split is given."""

    def restricted(rows: Rows, columns: Columns) -> Outcome:
        given = rows.given_split(columns)
        if given is None:
            return over(rows, columns)
        training = (given == "train").to_numpy()
        outcome = over(rows.only(training), columns)
        kept = pl.concat([outcome.frame, pl.DataFrame({ROW: rows.only(~training).numbers})]).sort(ROW)
        return Outcome(kept, outcome.dropped, outcome.counts)

    return restricted


def _differs(target: str | None, keyed: pl.DataFrame) -> pl.Expr:
    """Whether equal texts disagree about the label."""
    if target is None or target not in keyed.columns:
        return pl.lit(False)
    if keyed.schema[target].is_nested():
        return pl.col(target).hash().n_unique().over("_key") > 1
    return pl.col(target).n_unique().over("_key") > 1


def drop_near_duplicates(
    *,
    similarity: Annotated[
        float,
        Field(
            gt=0, le=1, description="Jaccard similarity of character 5-grams from which texts are duplicates"
        ),
    ] = 0.8,
) -> Preparation:
    """Keep one of each cluster of near-duplicates: every row that goes is truly similar to a row that stays.

    The shortest text stays, of equally short ones the first row. Chains don't merge: a row that is similar only to rows
    that went stays itself. Where the split is given, only training rows go, as with exact duplicates.
    """

    def over(rows: Rows, columns: Columns) -> Outcome:
        gone = _redundant(rows, columns, similarity)
        numbers = pl.DataFrame({ROW: rows.numbers})
        if not gone.any():
            return Outcome(numbers, nothing_dropped(), {})
        reason = pl.lit(f"similar text (at least {similarity:g})").alias("reason")
        return Outcome(numbers.filter(~gone), numbers.filter(gone).select(ROW, reason), {})

    return Preparation(row_wise=False, over=_among_training_rows(over), similarity=similarity)


def _redundant(rows: Rows, columns: Columns, similarity: float) -> NDArray[np.bool_]:
    """(height,) which rows go: all but the first of equal texts, and those that one that stays is similar to."""
    likeness = likeness_of(rows, columns)
    numbers = likeness.numbers(rows)
    first = np.zeros(len(numbers), dtype=bool)
    first[np.unique(numbers, return_index=True)[1]] = True
    gone: NDArray[np.bool_] = ~(first & likeness.representatives(rows, similarity)[numbers])
    return gone


def near_pairs(texts: pl.Series, similarity: float) -> NDArray[np.int64]:
    """The pairs (i, j), i < j, of texts that are truly alike; shape (pairs, 2).

    Their character 5-grams have at least this Jaccard similarity, without case and with spaces collapsed. Of equal texts each
    is paired with the first only, and so are their similar ones: a text that stands 300 times makes no 45,000 pairs.
    `charter.data.similarity.alike` says what is told of the many texts of one mould; texts that are alike are connected always.
    """
    rows = Rows.of(pl.DataFrame({ROW: np.arange(len(texts)), "text": texts}))
    likeness = likeness_of(rows, Columns(inputs={"text": "text"}))
    numbers = likeness.numbers(rows)
    first = np.unique(numbers, return_index=True)[1]
    equal = np.stack([first[numbers], np.arange(len(numbers))], axis=1)[
        first[numbers] != np.arange(len(numbers))
    ]
    pairs = np.concatenate([equal, first[likeness.likes(rows, similarity).pairs]])
    found: NDArray[np.int64] = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    return found

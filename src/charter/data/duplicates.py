"""Exact and near duplicates: which rows have equal or similar texts, and which of them stay."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from charter.data.columns import ROW, Columns
from charter.data.preparation import Apply, Outcome, Preparation, nothing_dropped
from charter.data.similarity import Likes, likes, representatives


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

    def apply(frame: pl.DataFrame, columns: Columns) -> Outcome:
        keyed = frame.with_columns(folded(columns.texts(frame)).alias("_key"))
        first = pl.col(ROW) == pl.col(ROW).min().over("_key")
        differs = _differs(columns.target, keyed)
        keyed = keyed.with_columns(differs.alias("_differs"))
        keep = first & ~pl.col("_differs") if conflicting == "drop" else first
        reason = (
            pl.when("_differs")
            .then(pl.lit("equal text with another label"))
            .otherwise(pl.lit("equal text"))
            .alias("reason")
        )
        dropped = keyed.filter(~keep).select(ROW, reason)
        kept = keyed.filter(keep).drop("_key", "_differs")
        return Outcome(kept, dropped, {})

    return Preparation(row_wise=False, apply=_among_training_rows(apply))


def _among_training_rows(apply: Apply) -> Apply:
    """The same, looking at training rows only where the split is given."""

    def restricted(frame: pl.DataFrame, columns: Columns) -> Outcome:
        given = columns.given_split(frame)
        if given is None:
            return apply(frame, columns)
        outcome = apply(frame.filter(given == "train"), columns)
        kept = pl.concat([outcome.frame, frame.filter(given != "train")]).sort(ROW)
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

    def apply(frame: pl.DataFrame, columns: Columns) -> Outcome:
        gone = _redundant(columns.texts(frame), similarity)
        if not gone.any():
            return Outcome(frame, nothing_dropped(), {})
        mask = pl.Series(gone)
        dropped = frame.filter(mask).select(
            ROW, pl.lit(f"similar text (at least {similarity:g})").alias("reason")
        )
        return Outcome(frame.filter(~mask), dropped, {})

    return Preparation(row_wise=False, apply=_among_training_rows(apply))


def _redundant(texts: pl.Series, similarity: float) -> NDArray[np.bool_]:
    """Which rows go: all but the first of equal texts, and those that one that stays is similar to."""
    firsts = _firsts(texts)
    redundant = firsts.first != np.arange(len(texts))
    if similarity < 1 and len(firsts.rows) > 1:
        stand_in = representatives(firsts.keys, similarity)
        redundant[firsts.rows[stand_in != np.arange(len(stand_in))]] = True
    gone: NDArray[np.bool_] = redundant
    return gone


@dataclass(frozen=True)
class _Firsts:
    """The different texts (folded), the first row of each, and for every row the first row of its text."""

    keys: list[str]
    rows: NDArray[np.int64]
    first: NDArray[np.int64]


def _firsts(texts: pl.Series) -> _Firsts:
    keys = pl.DataFrame({"key": folded(texts)}).with_row_index("at")
    firsts = keys.group_by("key", maintain_order=True).agg(pl.col("at").first())
    first = keys.select(pl.col("at").first().over("key"))["at"]
    return _Firsts(
        firsts["key"].to_list(), firsts["at"].to_numpy().astype(np.int64), first.to_numpy().astype(np.int64)
    )


def near_likes(texts: pl.Series, similarity: float) -> Likes:
    """The rows whose texts are alike: their character 5-grams have at least this Jaccard similarity.

    Texts are compared without case and with spaces collapsed. Of equal texts each is paired with the first only, and so
    are their similar ones: a text that stands 300 times makes no 45,000 pairs. `charter.data.similarity` says what is
    told of the many texts of one mould; rows that are alike are connected always.
    """
    firsts = _firsts(texts)
    at = firsts.rows
    rows = np.arange(len(texts))
    equal = np.stack([firsts.first, rows], axis=1)[firsts.first != rows]
    if similarity >= 1 or len(at) < 2:
        return Likes(equal, np.zeros((0, 2), dtype=np.int64))
    found = likes(firsts.keys, similarity)
    pairs = np.concatenate([equal, at[found.pairs]])
    return Likes(pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))], at[found.assumed])


def first_of_text(texts: pl.Series) -> NDArray[np.int64]:
    """(n,) for every row the first row that has the same text."""
    return _firsts(texts).first


def near_pairs(texts: pl.Series, similarity: float) -> NDArray[np.int64]:
    """The pairs (i, j), i < j, of `near_likes` that are truly alike; shape (pairs, 2)."""
    return near_likes(texts, similarity).pairs


def folded(texts: pl.Series) -> pl.Series:
    """Texts (or lists of words, joined) in lower case, spaces collapsed."""
    if isinstance(texts.dtype, pl.List):
        texts = texts.list.join(" ")
    return texts.str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()

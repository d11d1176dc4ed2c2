"""Which training rows are learned from, and how often: caps and balance by class or group.

Both act on training rows only, after the split: what a model is judged on keeps the shares that it has in the world.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from charter.data.columns import ROW, Columns
from charter.data.draws import order_of
from charter.data.preparation import Outcome, Preparation, nothing_dropped
from charter.errors import DataError

SeedField = Annotated[int, Field(ge=0, description="seed of the drawing")]
Shares = Annotated[
    tuple[str, ...],
    Field(description="columns whose shares the rows that stay keep, as in a stratified sample"),
]
TRAINING: tuple[Literal["train"], ...] = ("train",)


def cap_per_class(
    *,
    rows: Annotated[int, Field(ge=1, description="most training rows of one class")],
    keep_shares: Shares = (),
    seed: SeedField = 7,
) -> Preparation:
    """Keep at most so many training rows of each class, drawn at random; the other splits stay as they are."""

    def apply(frame: pl.DataFrame, columns: Columns) -> Outcome:
        strata = strata_of(frame, (class_column(frame, columns, "cap_per_class"),))
        sizes = np.bincount(strata[strata >= 0])
        keep = thinned(
            frame, strata, np.minimum(sizes, rows), _known(frame, keep_shares, "cap_per_class"), seed
        )
        return _without(frame, keep, f"its class has more than {rows} training rows")

    return Preparation(row_wise=False, apply=apply, splits=TRAINING, reach="columns")


def balance(
    *,
    how: Annotated[
        Literal["oversample", "undersample"],
        Field(description="repeat rows of what is rare, or leave out rows of what is common"),
    ] = "oversample",
    by: Annotated[
        tuple[str, ...],
        Field(
            description="columns whose values (together) are brought into balance; none: the target's classes"
        ),
    ] = (),
    ratio: Annotated[
        float,
        Field(gt=0, le=1, description="rows of the rarest to rows of the commonest that are aimed at"),
    ] = 1.0,
    most_copies: Annotated[
        int, Field(ge=1, description="how often a row stands at most when oversampled")
    ] = 10,
    keep_shares: Shares = (),
    seed: SeedField = 7,
) -> Preparation:
    """Bring the training rows' classes, or groups, into balance; the other splits stay as they are.

    A row that is repeated keeps its number and its unit. A model that learned from balanced rows takes what is rare for
    commoner than it is: watch its calibration. Rows without a value in a column of `by` are left as they are.
    """

    def apply(frame: pl.DataFrame, columns: Columns) -> Outcome:
        named = by or (class_column(frame, columns, "balance"),)
        strata = strata_of(frame, _known(frame, named, "balance"))
        sizes = np.bincount(strata[strata >= 0])
        if len(sizes) < 2:
            return Outcome(frame, nothing_dropped(), {})
        if how == "undersample":
            goals = np.minimum(sizes, np.ceil(sizes.min() / ratio).astype(np.int64))
            keep = thinned(frame, strata, goals, _known(frame, keep_shares, "balance"), seed)
            return _without(frame, keep, "left out to balance the training rows")
        wanted = np.maximum(sizes, np.ceil(sizes.max() * ratio).astype(np.int64))
        goals = np.minimum(wanted, sizes * most_copies)
        return _repeated(frame, strata, goals, short=int((goals < wanted).sum()), seed=seed)

    return Preparation(row_wise=False, apply=apply, splits=TRAINING, reach="columns")


def class_column(frame: pl.DataFrame, columns: Columns, name: str) -> str:
    """The target, where each row has one class.

    Raises:
        DataError: rows have tags, spans, several labels or numbers instead.
    """
    target = columns.target
    kind = frame.schema.get(target or "")
    if target is None or kind != pl.String:
        found = "several values in a row" if isinstance(kind, pl.List) else str(kind)
        by = " or name group columns in its option 'by'," if name == "balance" else ""
        raise DataError(
            f"preparation '{name}' works by class, and data.target '{target}' has no single class per row (found: "
            f"{found}); leave it out,{by} or choose a target of classes"
        )
    return target


def _known(frame: pl.DataFrame, named: Sequence[str], name: str) -> tuple[str, ...]:
    for column in named:
        if column not in frame.columns or frame.schema[column].is_nested():
            raise DataError(
                f"preparation '{name}': '{column}' is no column with one value per row here; it takes the target and "
                "what data.groups, data.subject and data.split name"
            )
    return tuple(named)


def strata_of(frame: pl.DataFrame, named: Sequence[str]) -> NDArray[np.int64]:
    """(n,) which combination of the columns' values each row has, numbered in their order; -1 where one is missing."""
    keys = frame.select(pl.struct(*named).rank("dense").cast(pl.Int64).alias("at"))["at"].to_numpy()
    missing = frame.select(pl.any_horizontal(pl.col(*named).is_null()).alias("missing"))["missing"].to_numpy()
    strata = np.full(frame.height, -1, dtype=np.int64)
    strata[~missing] = np.unique(keys[~missing], return_inverse=True)[1]
    return strata


def thinned(
    frame: pl.DataFrame,
    strata: NDArray[np.int64],
    goals: NDArray[np.int64],
    keep_shares: Sequence[str],
    seed: int,
) -> NDArray[np.bool_]:
    """(n,) which rows stay, so many of each stratum, drawn at random; rows of no stratum all stay.

    With `keep_shares` a row's turn is its rank within its part of the stratum, as a share of that part: whoever comes
    first, the parts' shares are met as nearly as whole rows allow.
    """
    order = order_of(frame, seed)
    cells = strata_of(frame, keep_shares) + 1 if keep_shares else np.zeros(frame.height, dtype=np.int64)
    parts = (strata + 1) * (cells.max(initial=0) + 1) + cells
    turn = (_rank_within(parts, order) + 0.5) / np.bincount(parts)[parts]
    by_turn = order[np.argsort(turn[order], kind="stable")]
    keep = strata < 0
    keep[~keep] = _rank_within(strata, by_turn)[~keep] < goals[strata[~keep]]
    return keep


def _rank_within(groups: NDArray[np.int64], order: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) how many rows of the same group come before each row in an order."""
    sorted_by_group = order[np.argsort(groups[order], kind="stable")]
    ordered = groups[sorted_by_group]
    begins = np.searchsorted(ordered, ordered, side="left")
    ranks = np.empty(len(groups), dtype=np.int64)
    ranks[sorted_by_group] = np.arange(len(groups)) - begins
    return ranks


def _without(frame: pl.DataFrame, keep: NDArray[np.bool_], reason: str) -> Outcome:
    mask = pl.Series(keep)
    dropped = frame.filter(~mask).select(ROW, pl.lit(reason).alias("reason"))
    return Outcome(frame.filter(mask), dropped, {})


def _repeated(
    frame: pl.DataFrame, strata: NDArray[np.int64], goals: NDArray[np.int64], *, short: int, seed: int
) -> Outcome:
    """Rows repeated until their strata have as many as is aimed at: each equally often, the rest drawn at random."""
    sizes = np.bincount(strata[strata >= 0], minlength=len(goals))
    missing = goals - sizes
    ranks = _rank_within(strata, order_of(frame, seed))
    own = np.maximum(strata, 0)
    extra = np.where(strata >= 0, missing[own] // sizes[own] + (ranks < missing[own] % sizes[own]), 0)
    copies = frame[np.repeat(np.arange(frame.height), extra)]
    counts = {"left: classes or groups still rarer than asked for": short} if short else {}
    added = {"repeated to balance the training rows": copies.height} if copies.height else {}
    return Outcome(
        pl.concat([frame, copies]).sort(ROW, maintain_order=True), nothing_dropped(), counts, added=added
    )

"""Scores of ranks under example weights: AUROC and average precision, many resamples at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Ranking:
    """auroc and auprc, each (r,): one value per row of weights; NaN where a class has no weight."""

    auroc: NDArray[np.float64]
    auprc: NDArray[np.float64]


def ranking(
    scores: NDArray[np.float64], positive: NDArray[np.bool_], weights: NDArray[np.float64]
) -> Ranking:
    """How well scores (n,) rank positives (n,) above negatives, under weights (r, n).

    AUROC counts ties by half (Mann-Whitney). AUPRC is average precision, the step-wise sum without interpolation
    (Davis and Goadrich 2006), as scikit-learn computes it.
    """
    order = np.argsort(-scores, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(scores[order]) != 0])
    weighted = weights[:, order]
    truth = positive[order]
    gained = np.add.reduceat(np.where(truth, weighted, 0.0), starts, axis=1)
    lost = np.add.reduceat(np.where(truth, 0.0, weighted), starts, axis=1)
    positives, negatives = gained.sum(axis=1), lost.sum(axis=1)
    found, false = np.cumsum(gained, axis=1), np.cumsum(lost, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        auroc = (gained * (negatives[:, None] - false + lost / 2)).sum(axis=1) / (positives * negatives)
        precision = np.where(found + false > 0, found / (found + false), 0.0)
        auprc = (gained * precision).sum(axis=1) / positives
    return Ranking(auroc, auprc)


def rank_correlation(
    one: NDArray[np.float64], other: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Spearman's correlation of two numbers (n,) under weights (r, n): (r,), NaN where one of them never varies.

    A weight counts a row so often; tied rows share their mean rank, as scipy has it.
    """
    total = weights.sum(axis=1, keepdims=True)
    first, second = (weighted_ranks(values, weights) for values in (one, other))
    with np.errstate(divide="ignore", invalid="ignore"):
        x = first - (weights * first).sum(axis=1, keepdims=True) / total
        y = second - (weights * second).sum(axis=1, keepdims=True) / total
        spread = np.sqrt((weights * x * x).sum(axis=1) * (weights * y * y).sum(axis=1))
        found: NDArray[np.float64] = np.where(spread > 0, (weights * x * y).sum(axis=1) / spread, np.nan)
    return found


def weighted_ranks(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """(r, n): the rank of each value where each row stands as often as its weight says; ties share their mean rank."""
    order = np.argsort(values, kind="stable")
    new = np.r_[True, np.diff(values[order]) != 0]
    starts = np.flatnonzero(new)
    heavy = np.add.reduceat(weights[:, order], starts, axis=1)
    middle = np.cumsum(heavy, axis=1) - (heavy - 1) / 2
    ranks = np.empty(weights.shape, dtype=np.float64)
    ranks[:, order] = middle[:, np.cumsum(new) - 1]
    return ranks

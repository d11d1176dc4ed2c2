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

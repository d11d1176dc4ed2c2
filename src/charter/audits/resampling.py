"""Intervals: bootstrap over sums of tallies, over whole clusters where rows belong together, Wilson near 0 and 1."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from charter.data.columns import ROW, UNIT
from charter.tasks.task import ScoreName

Scores = Mapping[ScoreName, NDArray[np.float64]]
CHUNK = 4_000_000
"""Numbers held at once while resampling."""


@dataclass(frozen=True)
class Interval:
    """A value and the ends of its interval. `method` says how it was made; low and high are None where it can't be."""

    value: float
    low: float | None
    high: float | None
    method: str


@dataclass(frozen=True)
class Resampling:
    """How intervals are made: number of resamples, confidence, seed."""

    resamples: int
    confidence: float
    seed: int

    @property
    def ends(self) -> tuple[float, float]:
        """The quantiles at the interval's ends."""
        return (1 - self.confidence) / 2, (1 + self.confidence) / 2

    def draws(self, counts: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Pieces of (resamples, kinds): how often each kind is drawn when as many as there are, are drawn with replacement.

        One multinomial draw over kinds of equal units is one bootstrap resample of the units (Efron and Tibshirani
        1993, chapter 6). The pieces fit in memory, whatever their number.
        """
        n, rng = int(counts.sum()), np.random.default_rng(self.seed)
        each = max(1, CHUNK // max(len(counts), 1))
        sizes = [min(each, self.resamples - start) for start in range(0, self.resamples, each)]
        return [rng.multinomial(n, counts / n, size=size) for size in sizes]


def clusters(rows: pl.DataFrame, subject: str | None) -> NDArray[np.int64]:
    """(n,) the cluster of each row, from 0: a person's rows and rows that are alike together, as the split found them."""
    if UNIT in rows.columns:
        return rows[UNIT].rank("dense").to_numpy().astype(np.int64) - 1
    if subject is None or subject not in rows.columns:
        return np.arange(rows.height, dtype=np.int64)
    own = pl.format("row {}", ROW)
    named = rows.select(pl.coalesce(pl.format("subject {}", subject), own).rank("dense"))[:, 0]
    return named.to_numpy().astype(np.int64) - 1


def summed(tally: NDArray[Any], cluster: NDArray[np.int64]) -> NDArray[Any]:
    """Tallies (n, m) summed up by cluster."""
    if len(cluster) and cluster.max() == len(cluster) - 1:
        return tally
    out = np.zeros((int(cluster.max()) + 1 if len(cluster) else 0, tally.shape[1]), dtype=tally.dtype)
    np.add.at(out, cluster, tally)
    return out


def resampled_totals(tally: NDArray[Any], how: Resampling) -> NDArray[np.float64]:
    """(resamples, m): sums of tallies in each bootstrap resample of the rows of `tally`."""
    kinds, counts = np.unique(tally, axis=0, return_counts=True)
    values = kinds.astype(np.float64)
    return np.concatenate([draws.astype(np.float64) @ values for draws in how.draws(counts)])


def weight_chunks(n: int, how: Resampling) -> list[NDArray[np.int64]]:
    """Bootstrap weights (some resamples, n) of n units, in pieces that fit in memory."""
    return how.draws(np.ones(n, dtype=np.int64))


def percentile(value: float, values: NDArray[np.float64], how: Resampling, unit: str) -> Interval:
    """The percentile interval of bootstrap values; resamples where the score is not defined are left out."""
    known = values[np.isfinite(values)]
    said = f"percentile bootstrap over {unit}, {how.resamples} resamples"
    if len(known) < how.resamples / 2:
        return Interval(value, None, None, f"{said}; not defined in most of them")
    low, high = np.quantile(known, how.ends)
    if len(known) < len(values):
        said += f", not defined in {len(values) - len(known)}"
    return Interval(value, float(min(low, value)), float(max(high, value)), said)


def wilson(successes: float, trials: float, confidence: float) -> Interval:
    """Wilson's score interval of a share (Wilson 1927), which holds near 0 and 1 where the bootstrap collapses."""
    from scipy.stats import norm

    z = float(norm.ppf((1 + confidence) / 2))
    share = successes / trials
    centre = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    return Interval(
        share, float(max(centre - half, 0.0)), float(min(centre + half, 1.0)), "Wilson score interval"
    )


def widened(found: Interval, trials: float, confidence: float, *, reach: float = 1.0) -> Interval:
    """The bootstrap interval of a share, widened by Wilson's where it is so near 0 or 1 that resamples hardly vary.

    Near means fewer than 10 expected failures or successes in `trials` independent decisions. F1 and ranks, which are no
    plain shares, are treated as one of the decisions that they rest on; so is a mean error between 0 and `reach`, in parts of `reach`: of
    all numbers in a range those at its two ends vary most.
    """
    if found.low is None or found.high is None or trials <= 0:
        return found
    share = found.value / reach
    if min(share, 1 - share) * trials >= 10:
        return found
    other = wilson(share * trials, trials, confidence)
    assert other.low is not None and other.high is not None
    return Interval(
        found.value,
        min(found.low, other.low * reach),
        max(found.high, other.high * reach),
        f"{found.method}; widened by {other.method}",
    )


def effective(counts: NDArray[Any]) -> float:
    """How many independent decisions so many by unit are worth: (sum m)^2 / sum m^2 (Kish 1965, section 11.7).

    As many as there are where each unit has one; one where all are of one unit.

    >>> effective(np.array([1, 1, 1])), effective(np.array([60, 0, 0]))
    (3.0, 1.0)
    """
    squares = float((counts.astype(np.float64) ** 2).sum())
    return float(counts.sum()) ** 2 / squares if squares else 0.0

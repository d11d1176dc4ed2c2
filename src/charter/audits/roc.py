"""How well scores tell members from others: true-positive rates at low false-positive rates with exact intervals, AUC, curve."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charter.audits.resampling import Interval, effective

Floats = NDArray[np.float64]
FALSE_POSITIVES = 10
"""A false-positive rate is judged by so many false positives at least: 10,000 others for 0.1 %, 1,000 for 1 %."""
DRAWN_POINTS = 60


@dataclass(frozen=True)
class Scored:
    """Scores of one kind of rows. units: (rows,) rows that belong together and count as one, from 0."""

    scores: Floats
    units: NDArray[np.int64]

    @property
    def worth(self) -> float:
        """How many independent rows these are worth."""
        return effective(np.bincount(self.units)) if len(self.units) else 0.0


def others_needed(false_positive_rate: float) -> int:
    """How many others a false-positive rate needs.

    >>> others_needed(0.001), others_needed(0.01)
    (10000, 1000)
    """
    return round(FALSE_POSITIVES / false_positive_rate)


def clopper_pearson(successes: float, trials: float, tail: float) -> tuple[float, float]:
    """The exact binomial interval of a share (Clopper and Pearson 1934), each end wrong with probability at most `tail`."""
    from scipy.stats import beta

    low = 0.0 if successes <= 0 else float(beta.ppf(tail, successes, trials - successes + 1))
    high = 1.0 if successes >= trials else float(beta.ppf(1 - tail, successes + 1, trials - successes))
    return low, high


def true_positive_rate(members: Scored, others: Scored, rate: float, confidence: float) -> Interval:
    """The share of members above the threshold that so many of the others exceed.

    The threshold is one of the others' scores, so it is uncertain itself. Each end of the interval is taken at a threshold that is
    surely (by the binomial distribution of the others above it) too strict, or too lax, and is the exact binomial end there; half
    of what may go wrong is spent on each.
    """
    from scipy.stats import binom

    ordered = np.sort(others.scores)[::-1]
    n, worth = len(ordered), others.worth
    tail = (1 - confidence) / 4

    def above(rank: float, *, strictly: bool) -> float:
        """The share of members above the score of so many of the others (from 1)."""
        threshold = ordered[int(np.clip(rank, 1, n)) - 1]
        beyond = members.scores > threshold if strictly else members.scores >= threshold
        return float(beyond.mean())

    value = above(np.floor(rate * n + 1e-9) + 1, strictly=True)
    trials = int(worth)
    strict = int(binom.ppf(tail, trials, rate))  # as many or fewer are above in all but `tail` of the samples
    lax = int(binom.ppf(1 - tail, trials, rate)) + 1
    low = 0.0
    if strict >= 1:
        found = above(np.floor(strict * n / worth), strictly=True)
        low = clopper_pearson(found * members.worth, members.worth, tail)[0]
    found = above(np.ceil(lax * n / worth), strictly=False)
    high = clopper_pearson(found * members.worth, members.worth, tail)[1]
    return Interval(
        value,
        min(low, value),
        max(high, value),
        "exact binomial interval, the threshold's own uncertainty included",
    )


def area_under_curve(members: Scored, others: Scored, confidence: float) -> Interval:
    """The chance that a member's score is higher than another's, with DeLong's interval over units (Obuchowski 1997), on log odds."""
    from scipy.stats import norm

    own = _share_below(others.scores, members.scores)
    theirs = 1 - _share_below(members.scores, others.scores)
    value = float(own.mean())
    spread = np.sqrt(_spread(own - value, members.units) + _spread(theirs - value, others.units))
    z = float(norm.ppf((1 + confidence) / 2))
    inside = float(np.clip(value, 1e-6, 1 - 1e-6))
    centre, half = np.log(inside / (1 - inside)), z * spread / (inside * (1 - inside))
    low, high = (float(1 / (1 + np.exp(-end))) for end in (centre - half, centre + half))
    return Interval(value, min(low, value), max(high, value), "DeLong's interval")


def _share_below(scores: Floats, at: Floats) -> Floats:
    """For each of `at` the share of scores below it, ties counted half."""
    ordered = np.sort(scores)
    both = np.searchsorted(ordered, at, side="left") + np.searchsorted(ordered, at, side="right")
    return both / (2 * len(ordered))


def _spread(centred: Floats, units: NDArray[np.int64]) -> float:
    """The variance of the mean of numbers that are independent by unit only."""
    sums = np.bincount(units, weights=centred)
    held = len(sums)
    return float((sums**2).sum() / len(centred) ** 2 * held / max(held - 1, 1))


def curve(members: Scored, others: Scored) -> dict[str, list[float]]:
    """Points of the ROC curve, `false` and `true` positive rates, at false-positive rates that are even on a logarithmic scale.

    Others with the same score are above a threshold together, so fewer points are drawn where many have the same.
    """
    ordered, own = np.sort(others.scores), np.sort(members.scores)
    n = len(ordered)
    ranks = np.unique(np.round(np.geomspace(1, n, min(DRAWN_POINTS, n))).astype(np.int64))
    thresholds = np.unique(ordered[n - ranks])[::-1]
    false, true = (
        (len(one) - np.searchsorted(one, thresholds, side="left")) / len(one) for one in (ordered, own)
    )
    return {"false": false.tolist(), "true": true.tolist()}


def strongest(found: Sequence[Interval]) -> int:
    """The place of the attack with the highest rate, the first of equals."""
    return int(np.argmax([one.value for one in found]))

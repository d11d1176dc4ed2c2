"""How far a rate lies apart between groups: largest difference, smallest ratio, with intervals that hold for all pairs at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charter.audits.rates import Rate
from charter.audits.resampling import Resampling

Numbers = NDArray[np.float64]
CHUNK = 2_000_000
"""Differences held at once."""


@dataclass(frozen=True)
class Spread:
    """The largest difference between two groups, or the smallest ratio, over one or several rates.

    rate: where it lies farthest apart; high, low: the groups with the higher and the lower rate there. ends: of its interval.
    studentised: the largest of all differences in units of its standard error, which a test reads.
    """

    value: float
    ends: tuple[float, float]
    rate: Rate
    high: int
    low: int
    studentised: float


def difference(rates: Sequence[Rate], groups: NDArray[np.int64], how: Resampling) -> Spread:
    """The largest difference between two of these groups in any of the rates, with a simultaneous interval.

    The largest of several noisy differences is never below 0 and grows by noise alone, so its own percentile interval would never
    reach 0. With the stated confidence no difference between two groups is off by more than c standard errors at once, c being the
    quantile of the largest such deviation in the resamples (max-t bootstrap, Romano and Wolf 2005); the largest true difference
    then lies between the largest lower end and the largest upper end. A standard error is never less than that of a share with
    two more decisions of either kind (Agresti and Coull 1998), since the resamples of a share of 0 or 1 do not vary at all.
    """
    return _spread(rates, groups, how, logs=False)


def ratio(rates: Sequence[Rate], groups: NDArray[np.int64], how: Resampling) -> Spread:
    """The smallest ratio of the lower to the higher rate of two of these groups in any of the rates, as `difference`, in logarithms.

    Logarithms are of shares with half a decision of either kind more, so that a rate of 0 has one.
    """
    return _spread(rates, groups, how, logs=True)


def _spread(rates: Sequence[Rate], groups: NDArray[np.int64], how: Resampling, *, logs: bool) -> Spread:
    seen = [_Seen.of(rate, groups, logs=logs) for rate in rates]
    reach = np.zeros(seen[0].drawn.shape[0])
    for one in seen:
        reach = np.maximum(reach, one.deviations())
    c = float(np.quantile(reach, how.confidence))
    lows, highs, tests = zip(*(one.ends(c) for one in seen), strict=True)
    low, high = max(lows), max(highs)
    apart = [_apart(one.rate.values[groups], logs=logs) for one in seen]
    place = int(np.argmin(apart) if logs else np.argmax(apart))
    values = seen[place].rate.values[groups]
    value = apart[place]
    ends = (float(np.exp(-high)), float(np.exp(-low))) if logs else (low, high)
    most = 1.0 if seen[place].rate.share else np.inf
    ends = (max(min(ends[0], value), 0.0), min(max(ends[1], value), most))
    top, bottom = groups[int(np.argmax(values))], groups[int(np.argmin(values))]
    return Spread(value, ends, seen[place].rate, int(top), int(bottom), max(tests))


def _apart(values: Numbers, *, logs: bool) -> float:
    top, bottom = float(values.max()), float(values.min())
    if not logs:
        return top - bottom
    return bottom / top if top > 0 else 1.0


@dataclass(frozen=True)
class _Seen:
    """A rate of some groups on the scale that differences are taken on. floor: (groups,) the least variance of each."""

    rate: Rate
    at: Numbers
    drawn: Numbers
    floor: Numbers

    @classmethod
    def of(cls, rate: Rate, groups: NDArray[np.int64], *, logs: bool) -> "_Seen":
        """logs: on the scale of logarithms."""
        worth, values = rate.worth[groups], rate.values[groups]
        drawn = np.where(np.isfinite(rate.resampled[:, groups]), rate.resampled[:, groups], values)
        if not rate.share:
            return cls(rate, values, drawn, np.zeros(len(groups)))
        kept = (values * worth + 2) / (worth + 4)
        floor = kept * (1 - kept) / (worth + 4)
        if not logs:
            return cls(rate, values, drawn, floor)
        smooth = (values * worth + 0.5) / (worth + 1)
        drawn = (drawn * worth + 0.5) / (worth + 1)
        return cls(rate, np.log(smooth), np.log(drawn), floor / kept**2)

    def pairs(self) -> Iterator[tuple[Numbers, Numbers, Numbers]]:
        """Of pairs of groups: the differences, their standard errors, and (resamples, pairs) their deviations; in pieces."""
        one, other = np.triu_indices(len(self.at), 1)
        each = max(1, CHUNK // max(len(self.drawn), 1))
        centred = self.drawn - self.at
        for start in range(0, len(one), each):
            left, right = one[start : start + each], other[start : start + each]
            off = centred[:, left] - centred[:, right]
            variance = np.maximum(off.var(axis=0), self.floor[left] + self.floor[right])
            yield self.at[left] - self.at[right], np.sqrt(variance), off

    def deviations(self) -> Numbers:
        """(resamples,) the largest deviation of any difference, in its standard errors."""
        largest = np.zeros(len(self.drawn))
        for _, error, off in self.pairs():
            largest = np.maximum(largest, (np.abs(off) / error).max(axis=1))
        return largest

    def ends(self, c: float) -> tuple[float, float, float]:
        """The ends of the largest difference's interval, c standard errors away, and the largest studentised difference."""
        low = high = test = 0.0
        for apart, error, _ in self.pairs():
            size = np.abs(apart)
            low = max(low, float((size - c * error).max()))
            high = max(high, float((size + c * error).max()))
            test = max(test, float((size / error).max()))
        return low, high, test


def contrast(rate: Rate, one: int, other: int, how: Resampling) -> tuple[float, float, float]:
    """How much higher a rate is in group `one` than in `other`: the value and the ends of its interval."""
    ((apart, error, off),) = _Seen.of(rate, np.array([one, other]), logs=False).pairs()
    half = float(np.quantile(np.abs(off[:, 0]), how.confidence))
    half = max(half, float(norm_quantile(how.confidence) * error[0]))
    value = float(apart[0])
    most = 1.0 if rate.share else np.inf
    return value, max(value - half, -most), min(value + half, most)


def norm_quantile(confidence: float) -> float:
    """How many standard errors a two-sided interval of a normal variable reaches."""
    from scipy.stats import norm

    return float(norm.ppf((1 + confidence) / 2))

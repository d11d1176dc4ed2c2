"""Noise that later updates take back in part: matrix factorisation, the general form of DP-FTRL.

What a model is after some updates depends on the sums of its gradients, not on each. So the noise of an update may contain what
earlier updates had, with the other sign, and the sums have less of it (Kairouz et al. 2021; Denisov et al. 2022). The noise is
z C^-1, z being independent normal draws, of which update t has

    z_t + d_1 z_(t-1) + ... + d_(p-1) z_(t-p+1)

C^-1 is a Toeplitz matrix with p bands: the first coefficients of the inverse square root of the matrix that makes weights of
gradients (banded inverse square root: Kalinin, McMahan, Upadhyay and Lampert 2025). What is promised is that of one Gaussian release of all
updates together, whose sensitivity is that of C. No secret of who is in which update is needed for that.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
BANDS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
"""What is tried where nobody asks for a number; each band costs as much noise as an update."""
WORTH = 0.01
"""A wider one is taken if its error is lower by this share at least."""


@dataclass(frozen=True)
class Factorisation:
    """taps: (p,) d_0 = 1, d_1 ... of C^-1. sensitivity: by how much C can let one unit move all updates together, each by 1 at most.

    error: the root mean square, over updates, of the noise in the sum of gradients (with momentum: of their running means), for noise of
    standard deviation 1 over the sensitivity.
    """

    taps: tuple[float, ...]
    sensitivity: float
    error: float

    @property
    def spread(self) -> float:
        """The standard deviation of the noise in one update, for draws of standard deviation 1."""
        return math.hypot(*self.taps)


@cache
def factorisation(
    steps: int, *, apart: int, momentum: float = 0.0, bands: int | None = None
) -> Factorisation:
    """For so many updates, of which each unit is in one of every `apart`, at the same place each time.

    momentum: with which gradients become weights. bands: None: the number of `BANDS` with the least error.

    Raises:
        ValueError: a number of updates, bands or a momentum that can't be.
    """
    if steps < 1 or apart < 1 or not 0 <= momentum < 1:
        raise ValueError(f"{steps} updates, {apart} apart, with momentum {momentum:g}")
    if bands is not None:
        if not 1 <= bands <= steps:
            raise ValueError(f"{bands} bands: {steps} updates allow 1 to {steps}")
        return _banded(steps, apart, momentum, bands)
    best = _banded(steps, apart, momentum, 1)
    for wider in BANDS[1:]:
        if wider > steps:
            break
        found = _banded(steps, apart, momentum, wider)
        if found.error < best.error * (1 - WORTH):
            best = found
    return best


def _banded(steps: int, apart: int, momentum: float, bands: int) -> Factorisation:
    taps = _times(_half(1.0, bands), _half(momentum, bands))
    strategy = _inverse(taps, steps)
    sensitivity = sensitivity_of(strategy, apart)
    # row t of (weights of gradients) C^-1 holds the first t of these
    entries = (1.0 - momentum) * np.cumsum(_geometric(momentum, _padded(taps, steps)))
    error = sensitivity * math.sqrt(float(np.sum(entries**2 * np.arange(steps, 0, -1))) / steps)
    return Factorisation(tuple(float(one) for one in taps), sensitivity, error)


def sensitivity_of(strategy: Floats, apart: int) -> float:
    """The L2 sensitivity of a lower triangular Toeplitz matrix, its first column being `strategy` (updates,).

    A unit is in updates that are `apart` at least, and moves each by a vector of norm 1 at most. No entry is negative, so nothing moves
    it further than the same vector each time; the entries never grow, so nothing further than beginning with the first update (Kalinin
    and Lampert 2024, theorem 2).

    Raises:
        ValueError: an entry is negative or larger than the one before, for which this is not proven.
    """
    slack = 1e-12 * abs(float(strategy[0]))
    if float(strategy.min()) < -slack or float(np.diff(strategy).max(initial=-1.0)) > slack:
        raise ValueError("the matrix of the noise has entries that grow or are negative: take other bands")
    total = np.zeros_like(strategy)
    for start in range(0, len(strategy), apart):
        total[start:] += strategy[: len(strategy) - start]
    return float(np.linalg.norm(total))


def _half(factor: float, count: int) -> Floats:
    """The first coefficients of (1 - factor x)^(1/2)."""
    found = np.ones(count)
    for place in range(1, count):
        found[place] = found[place - 1] * factor * (place - 1.5) / place
    return found


def _times(one: Floats, other: Floats) -> Floats:
    """The first coefficients of a product of two series."""
    found: Floats = np.convolve(one, other)[: len(one)]
    return found


def _geometric(factor: float, series: Floats) -> Floats:
    """The coefficients of series / (1 - factor x)."""
    from scipy.signal import lfilter

    found: Floats = lfilter([1.0], [1.0, -factor], series)
    return found


def _inverse(taps: Floats, count: int) -> Floats:
    """(count,) the first coefficients of 1 / taps."""
    from scipy.signal import lfilter

    found: Floats = lfilter([1.0], taps, _padded(np.ones(1), count))
    return found


def _padded(series: Floats, count: int) -> Floats:
    found: Floats = np.r_[series, np.zeros(count - len(series))]
    return found

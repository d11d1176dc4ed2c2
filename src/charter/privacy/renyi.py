"""Renyi divergences: what a mechanism tells of one row at each order, which is what adds up over mechanisms chosen adaptively.

The divergence of order a between P and Q is log(E_Q[(P/Q)^a]) / (a - 1) (Mironov 2017). Where a row is added or removed, that of the
sampled Gaussian at whole orders is dp-accounting's (Mironov et al. 2019, closed form). Its series for other orders does not converge at
large rates, and for a row that is replaced it has none: those are integrals, taken here.

One row replaced by another. Given what else was drawn, an update adds noise N(0, s^2) to a sum that holds the vector u of the row with
probability q, and the other data set's u' instead; both are no longer than 1 (the clipping norm). So the two outcomes are
(1-q) N(0) + q N(u) and (1-q) N(0) + q N(u'), and averaging over what else was drawn lowers a divergence (it is jointly
quasi-convex). The worst of all u, u' are opposite vectors of length 1, so that one dimension is left: P = (1-q) N(0) + q N(1) against
Q = (1-q) N(0) + q N(-1), the pair that dp-accounting's loss distributions take for REPLACE_ONE (Schuchardt et al. 2024, "Unified
Mechanism-Specific Amplification by Subsampling and Group Privacy Amplification", prove it of all hockey-stick divergences, and
with these of the Renyi ones). Its divergence is an integral over one variable of a smooth function that falls like a normal density,
for which the trapezoid rule errs by less than any power of the step; tests hold it to other pairs, to the closed form at
rate 1, and to the loss distribution's own.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from charter.errors import MissingExtraError
from charter.privacy.accounting import FINE, BestOf, Gaussian, Mechanism, Neighbouring

REACH = 14.0
"""So many standard deviations beyond the outermost mean are integrated over."""
PER_DEVIATION = 24
"""Points of the integral for each standard deviation."""
SLACK = 1e-7
"""So much is added to what is integrated, as a share of it: more than the rule errs."""


def divergence(
    mechanism: Mechanism,
    orders: Sequence[float],
    neighbouring: Neighbouring = "add_or_remove",
    *,
    grid: float = FINE,
) -> NDArray[np.float64]:
    """(orders,) an upper bound of the Renyi divergence between neighbouring data sets; orders above 1, infinite where not known.

    grid: of the loss distributions of what is the best of several runs.

    Raises:
        MissingExtraError: dp-accounting is not installed.
    """
    exponents = np.asarray(orders, dtype=np.float64)
    if mechanism.steps == 0:
        return np.zeros_like(exponents)
    if isinstance(mechanism, BestOf):
        from charter.privacy.best_of import of_the_best

        return of_the_best(mechanism, orders, neighbouring, grid=grid)
    rate = 1.0 if isinstance(mechanism, Gaussian) else mechanism.rate
    if rate == 0.0:
        return np.zeros_like(exponents)
    if mechanism.noise <= 0.0:
        return np.full_like(exponents, np.inf)
    if rate == 1.0:
        distance = 2.0 if neighbouring == "replace_one" else 1.0
        return mechanism.steps * exponents * (distance / mechanism.noise) ** 2 / 2
    if neighbouring == "replace_one":
        return mechanism.steps * np.array([_integral(rate, mechanism.noise, one, -1.0) for one in exponents])
    return mechanism.steps * _added(rate, mechanism.noise, exponents)


def _added(rate: float, noise: float, orders: NDArray[np.float64]) -> NDArray[np.float64]:
    """(1-q) N(0) + q N(1) against N(0), the larger of the two directions (Mironov et al. 2019, theorem 5)."""
    try:
        import dp_accounting as dp
        from dp_accounting import rdp
    except ImportError:
        raise MissingExtraError("privacy", "privacy") from None
    whole = orders == np.round(orders)
    found = np.empty_like(orders)
    accountant = rdp.RdpAccountant(orders[whole])
    accountant.compose(dp.PoissonSampledDpEvent(rate, dp.GaussianDpEvent(noise)))
    found[whole] = accountant.rdp
    found[~whole] = [_integral(rate, noise, one, None) for one in orders[~whole]]
    return found


def _integral(rate: float, noise: float, order: float, opposite: float | None) -> float:
    """log(E_Q[(P/Q)^a]) / (a - 1) of P = (1-q) N(0) + q N(1) and Q = (1-q) N(0) + q N(opposite), or N(0) without an opposite.

    E_Q[(P/Q)^a] - 1 is taken as the integral of Q ((P/Q)^a - 1 - a (P/Q - 1)), since that of Q (P/Q - 1) is 0: nowhere negative, so
    that a divergence of 1e-12 is no difference of large numbers.
    """
    low, high = -1.0 - REACH * noise, 2.0 * order - 1.0 + REACH * noise
    points = math.ceil((high - low) / noise * PER_DEVIATION)
    at = np.linspace(low, high, points + 1)
    off, on = math.log1p(-rate), math.log(rate)
    # densities without the factor exp(-x^2 / (2 s^2)) that both share
    above = np.logaddexp(off, on + (2.0 * at - 1.0) / (2.0 * noise**2))
    below = np.zeros_like(at)
    if opposite is not None:
        below = np.logaddexp(off, on + (2.0 * at * opposite - 1.0) / (2.0 * noise**2))
    shared = -(at**2) / (2.0 * noise**2) - math.log(noise * math.sqrt(2.0 * math.pi))
    loss = above - below
    small = np.abs(loss) * order < 1e-4  # here the difference of exponentials would lose its digits
    series = order * (order - 1.0) / 2.0 * loss**2 * (1.0 + (order + 1.0) / 3.0 * loss)
    density = shared + below
    with np.errstate(over="ignore", invalid="ignore"):
        direct = np.exp(density + order * loss) - np.exp(density) * (1.0 + order * np.expm1(loss))
        grown = np.where(small, np.exp(density) * series, direct)
        total = float(np.sum(grown)) * (high - low) / points
    if not math.isfinite(
        total
    ):  # beyond what an exponential can hold: the sum's logarithm, of E_Q[(P/Q)^a] itself
        logarithms = density + order * loss
        most = float(logarithms.max())
        grown_by = most + math.log(float(np.exp(logarithms - most).sum()) * (high - low) / points)
        return (grown_by + SLACK) / (order - 1.0)
    return math.log1p(total * (1.0 + SLACK)) / (order - 1.0)

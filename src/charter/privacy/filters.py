"""A privacy filter: how much may still be asked of data when each question may depend on the answers before it.

Within one run everything is fixed beforehand, and loss distributions compose exactly. Across runs somebody looks at one result and
chooses the next run, its noise and length too. Composition theorems for fixed costs don't cover that (Rogers et al. 2016), and of the
accountants only Renyi divergences of one order fixed beforehand add up for free: Feldman and Zrnic 2021, "Individual Privacy
Accounting via a Renyi Filter", theorem 3.1: with S_n the sum of the divergences of order a of the runs so far, and L_n the privacy loss,

    M_n(a) = exp((a - 1) (L_n - S_n(a)))

is a supermartingale with M_0 = 1, however the runs were chosen. Taking in the end whichever order looks best is not covered by it: which
one that is depends on the results (Lécuyer 2021 runs the filters of several orders beside each other).
So the orders share one bet here, whose stakes w_k were fixed before the first result: the sum of w_k M_n(a_k) is a
supermartingale too. Whenever some order keeps

    S_n(a_k) <= epsilon - log(1 / (delta w_k)) / (a_k - 1) + log(a_k) / (a_k - 1) - log(1 - 1 / a_k)            (*)

(the conversion of Canonne, Kamath and Steinke 2020, proposition 12, with delta w_k in place of delta), then
E[(1 - exp(epsilon - L_n))+] <= delta E[sum of w_k M_n(a_k)] <= delta, so all runs together are (epsilon, delta) private. Most of the
stakes lie on two orders that suit the first run: one at which it is cheapest, one at which the budget holds most like it;
a stake of 0.6 costs 0.5 / (a - 1) of epsilon. The rest lies on a coarse grid.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charter.privacy.accounting import Mechanism, Neighbouring
from charter.privacy.renyi import divergence

ORDERS: tuple[float, ...] = (
    1.25, 1.5, 1.75, *(one / 2 for one in range(4, 25)), *range(13, 21), 22, 24, 26, 28, 30, 33, 36, 40, 44, 48, 53, 58, 64, 80, 96,
    128, 192, 256,
)  # fmt: skip
"""The orders at which divergences are kept."""
GRID: tuple[float, ...] = (1.5, 2, 3, 5, 9, 17, 33, 64)
"""The orders that share what is left of the stakes."""
MOST_RUNS, FIRST_RUN = 0.6, 0.3
"""The stakes of the order at which the budget holds most runs like the first, and of that at which the first is cheapest."""
NOTHING: NDArray[np.float64] = np.zeros(len(ORDERS))


@dataclass(frozen=True)
class Budget:
    """What all runs on a data set may cost together, delta too."""

    epsilon: float
    delta: float


def curve(mechanisms: Sequence[Mechanism], neighbouring: Neighbouring) -> NDArray[np.float64]:
    """(ORDERS,) the Renyi divergences of mechanisms together.

    Raises:
        MissingExtraError: dp-accounting is not installed.
    """
    return sum((divergence(one, ORDERS, neighbouring) for one in mechanisms), start=NOTHING)


@dataclass(frozen=True)
class Favoured:
    """The orders with the larger stakes, chosen before the first result."""

    most_runs: float
    first_run: float


def favourite(of: NDArray[np.float64], budget: Budget) -> Favoured:
    """The orders that suit a first run of these divergences, (ORDERS,); to be asked before it begins."""
    flat = _conversion(budget.delta, np.full(len(ORDERS), MOST_RUNS))
    room = budget.epsilon - flat
    with np.errstate(divide="ignore", invalid="ignore"):
        runs = np.where(np.isfinite(of) & (of > 0), room / of, -np.inf)
    cheapest = int(np.argmin(of + flat))
    most = int(np.argmax(runs)) if np.any(runs > 0) else cheapest
    return Favoured(ORDERS[most], ORDERS[cheapest])


def epsilon_of(total: NDArray[np.float64], delta: float, favoured: Favoured) -> float:
    """The least epsilon for which (*) holds of divergences summed up over runs: (ORDERS,), infinite where none does."""
    stakes = np.zeros(len(ORDERS))
    for order in GRID:
        stakes[ORDERS.index(order)] += (1.0 - MOST_RUNS - FIRST_RUN) / len(GRID)
    stakes[ORDERS.index(favoured.most_runs)] += MOST_RUNS
    stakes[ORDERS.index(favoured.first_run)] += FIRST_RUN
    found = total + _conversion(delta, stakes)
    return max(float(found.min()), 0.0) if np.any(total > 0) else 0.0


def _conversion(delta: float, stakes: NDArray[np.float64]) -> NDArray[np.float64]:
    """(ORDERS,) what (*) adds to the divergence of each order; infinite at orders without a stake."""
    orders = np.asarray(ORDERS)
    with np.errstate(divide="ignore"):
        odds = -np.log(stakes) - math.log(delta)
    found: NDArray[np.float64] = (odds - np.log(orders)) / (orders - 1.0) + np.log1p(-1.0 / orders)
    return found

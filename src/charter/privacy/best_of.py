"""The best of a random number of private runs: how many they are, and what releasing it tells of one row.

Papernot and Steinke 2022, "Hyperparameter Tuning with Renyi Differential Privacy" (ICLR). A run Q gives an output and its score; K
is drawn without looking at the data, Q runs K times, each time with settings and noise of its own that are drawn by the same rule,
and the output with the highest score is released, nothing else. Of equal ones it is the earliest, which is as if by lot, since the
runs are alike. Let f(x) = E[x^K].

Lemma 7 there: with P = Q(X), P' = Q(X') for neighbouring data, the best A, A' of both, and K >= 1 always,

    D_a(A || A') <= D_a(P || P') + log(f'(p)^a f'(p')^(1-a)) / (a - 1)

for some p, p' that are the chances of one event, by lot too, under P and P'. (The chance of an outcome y to be the best is the
integral of f' over [P(below y), P(y or below)]; and u^a v^(1-a) is jointly convex.) What is left is to bound the last term:

poisson      f'(x) = E[K] exp(m (x - 1)) for the Poisson distribution of mean m without 0, E[K] = m / (1 - exp(-m)). The
             term is log(E[K]) / (a - 1) + m (q' - a/(a-1) q) with q = 1 - p, q' = 1 - p', and the bracket is at most the delta that
             goes with epsilon = log(a / (a - 1)) (theorem 6 there is this with 0, whose outcome would have to be accounted for).
geometric    the truncated negative binomial with eta = 1 (theorem 2 there): f'(x) = E[K] (g / (1 - (1-g) x))^(1 + eta), and the term
             is at most log(E[K]) / (a - 1) + (1 + eta) ((1 - 1/b) D_b(P' || P) + log(1/g) / b) for every order b >= 1.
logarithmic  the same with eta = 0.

Settings that are drawn at random are part of Q's output, and so what Q tells is at most what it tells with the setting that tells
most. Here all settings have the same noise and updates, so that it is the same with each.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from charter.privacy.accounting import FINE, BestOf, Distribution, Neighbouring, Sampled, profile
from charter.privacy.renyi import divergence

Floats = NDArray[np.float64]
ORDERS: tuple[float, ...] = (
    *(1 + one / 4 for one in range(1, 37)),
    *range(11, 33),
    *range(34, 65, 2),
    *(72, 80, 96, 128, 192, 256, 512),
)
"""The orders b among which the best is taken."""
STEPS = 200
"""Halvings by which a parameter is found: more than a floating-point number has digits."""


@dataclass(frozen=True)
class Numbers:
    """How many runs there are: never 0, `mean` on average."""

    distribution: Distribution
    mean: float

    def __post_init__(self) -> None:
        if not 1 < self.mean <= 1e6:
            raise ValueError(f"{self.mean:g} runs on average: it must be more than 1, and a million at most")

    @property
    def eta(self) -> float:
        """The shape of the negative binomial distribution."""
        return 1.0 if self.distribution == "geometric" else 0.0

    @cached_property
    def parameter(self) -> float:
        """Of a Poisson distribution its m; else log(1/g)."""
        if self.distribution == "geometric":
            return math.log(self.mean)
        if self.distribution == "poisson":
            return _rising(lambda m: m / -math.expm1(-m), self.mean)
        return _rising(lambda g: math.expm1(g) / g, self.mean)

    def chance(self, count: int) -> float:
        """That there are so many runs."""
        if count < 1:
            return 0.0
        one = self.parameter
        if self.distribution == "poisson":
            return math.exp(count * math.log(one) - math.lgamma(count + 1) - one) / -math.expm1(-one)
        going_on = count * math.log(-math.expm1(-one))
        if self.distribution == "geometric":
            return math.exp(going_on - one) / -math.expm1(-one)
        return math.exp(going_on) / (count * one)

    def drawn(self, uniform: float) -> int:
        """How many, for a draw from [0, 1)."""
        count, up_to = 1, self.chance(1)
        while up_to <= uniform and (count <= self.mean or self.chance(count) > 0):
            count += 1
            up_to += self.chance(count)
        return count


def _rising(of: Callable[[float], float], value: float) -> float:
    """Where a function that rises from 1 at 0, no faster than exp and no slower than half its place, has a value."""
    low, high = 0.0, 2.0 * value
    while of(high) < value:
        high *= 2
    for _ in range(STEPS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if of(middle) < value else (low, middle)
    return high


def bound(
    numbers: Numbers,
    orders: Sequence[float],
    own: Sequence[float],
    *,
    others: tuple[Sequence[float], Sequence[float]],
    delta: Callable[[Sequence[float]], Sequence[float]],
) -> Floats:
    """(orders,) the Renyi divergences of the best of several runs. own: (orders,) those of one run, the larger of both directions.

    others: orders b and one run's divergences there. delta: what goes with epsilons of one run, of both directions.
    """
    at = np.asarray(orders, dtype=np.float64)
    one = numbers.parameter
    if numbers.distribution == "poisson":
        more = one * np.asarray(delta([math.log1p(1.0 / (order - 1.0)) for order in at]), dtype=np.float64)
    else:
        hats, told = (np.asarray(side, dtype=np.float64) for side in others)
        each = (1.0 - 1.0 / hats) * told + one / hats
        # at order 1 the divergence does not count
        more = np.full(len(at), (1.0 + numbers.eta) * min(float(each.min()), one))
    found = np.asarray(own, dtype=np.float64) + more + math.log(numbers.mean) / (at - 1.0)
    # a divergence is no larger at a lower order
    falling = np.argsort(at)[::-1]
    found[falling] = np.minimum.accumulate(found[falling])
    return found


def of_the_best(
    best: BestOf, orders: Sequence[float], neighbouring: Neighbouring, *, grid: float = FINE
) -> Floats:
    """(orders,) as `charter.privacy.renyi.divergence`. grid: of the loss distributions of one run."""
    return _found(best, tuple(orders), neighbouring, grid).copy()


@cache
def _found(best: BestOf, orders: tuple[float, ...], neighbouring: Neighbouring, grid: float) -> Floats:
    run, numbers = best.run, Numbers(best.distribution, best.mean)
    if run.steps == 0 or (isinstance(run, Sampled) and run.rate == 0.0):
        return np.zeros(len(orders))
    if run.noise <= 0.0:
        return np.full(len(orders), np.inf)
    hats: tuple[float, ...] = () if best.distribution == "poisson" else ORDERS
    return bound(
        numbers,
        orders,
        divergence(run, orders, neighbouring).tolist(),
        others=(hats, divergence(run, hats, neighbouring).tolist()) if hats else ((), ()),
        delta=lambda epsilons: profile(run, epsilons, neighbouring, grid=grid).tolist(),
    )

"""What private training costs: epsilon at a delta, by dp-accounting, and the noise that a budget asks for.

The mechanism is the Poisson-sampled Gaussian: each example is in an update with probability q, by itself, and noise of
standard deviation `noise` times the clipping norm is added to the sum. Beside it stands the plain Gaussian release. Neighbouring
data sets differ by one example added or removed (Abadi et al. 2016), or by one replaced. The accountant is that of privacy
loss distributions (Koskela et al. 2020; Doroshenko et al. 2022, "Connect the Dots"), which is an upper bound within its
discretisation; that of Renyi divergences (Mironov et al. 2019) stands beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args

from charter.errors import MissingExtraError

Neighbouring = Literal["add_or_remove", "replace_one"]
NEIGHBOURING: tuple[Neighbouring, ...] = get_args(Neighbouring)

LOWEST, HIGHEST, PRECISION = 0.2, 1e4, 1e-3
"""The noise that is looked for lies between, and is found to this share of itself, never too low."""
FINE, COARSE = 1e-4, 1e-3
"""Grids of loss distributions, in nats: dp-accounting's own, and one that takes a tenth of the time."""
REFINED = 4
"""So many times the noise is lowered at most after it was found on the coarse grid."""


@dataclass(frozen=True)
class Sampled:
    """So many updates with each example in each of them with probability `rate`; noise: its standard deviation over the clipping norm."""

    rate: float
    noise: float
    steps: int


@dataclass(frozen=True)
class Gaussian:
    """So many releases with normal noise, each of all rows: counts, sums, a sum of banded noise.

    noise: its standard deviation over the L2 sensitivity of a release, that is how far one row (or subject) that is added
    or removed moves it. One that is replaced moves it twice as far at most, and is charged so.
    """

    noise: float
    steps: int = 1


Mechanism = Sampled | Gaussian
"""What a private training, or another release, is made of."""


def epsilon(
    mechanism: Mechanism | Sequence[Mechanism],
    delta: float,
    accountant: str = "pld",
    neighbouring: Neighbouring = "add_or_remove",
    *,
    grid: float = FINE,
) -> float:
    """The smallest epsilon for which (epsilon, delta) holds of a mechanism, or of several together. accountant: `pld`, or `rdp`.

    Several must have been fixed before the first of them ran; what was chosen by the outcome of another is for
    `charter.privacy.filters`. Under `replace_one` the privacy loss distributions are dp-accounting's own (the pair of mixtures with
    means 1 and -1), the Renyi divergences those of that same pair (`charter.privacy.renyi`). grid: how far apart the points are on
    which loss distributions are kept, in nats; a coarser one never tells less.

    Raises:
        MissingExtraError: dp-accounting is not installed.
    """
    several = (mechanism,) if isinstance(mechanism, Sampled | Gaussian) else tuple(mechanism)
    made = [one for one in several if one.steps > 0]
    if not made:
        return 0.0
    if accountant == "rdp":
        return _renyi_epsilon(made, delta, neighbouring)
    one = _pld_accountant(neighbouring, grid)
    for each in made:
        one.compose(_event(each))
    return float(one.get_epsilon(delta))


@cache
def noise_for(
    target: float, delta: float, *, rate: float, steps: int, neighbouring: Neighbouring = "add_or_remove"
) -> float:
    """The least noise with which so many updates stay within (target, delta). rate: 1: of a release of all rows, as `Gaussian`.

    It is looked for by loss distributions on a grid ten times as coarse, which are an upper bound too, and then lowered by the finer
    ones.

    Raises:
        MissingExtraError: dp-accounting is not installed.
        ValueError: no noise is enough.
    """

    def spent(noise: float, grid: float) -> float:
        return epsilon(Sampled(rate, noise, steps), delta, neighbouring=neighbouring, grid=grid)

    low, high = LOWEST, LOWEST
    while spent(high, COARSE) > target:
        low, high = high, high * 2
        if high > HIGHEST:
            raise ValueError(
                f"no noise up to {HIGHEST:g} keeps {steps} updates within epsilon {target:g} at delta {delta:g}; "
                "allow a larger epsilon, or learn with fewer epochs or a smaller batch_size"
            )
    while high - low > PRECISION * high:
        middle = (low + high) / 2
        if spent(middle, COARSE) > target:
            low = middle
        else:
            high = middle
    found = spent(high, FINE)
    for _ in range(REFINED):
        if found > target * (1 - PRECISION):
            break
        less = high * max((found / target) ** 0.5, 0.9)
        lower = spent(less, FINE)
        if lower > target:
            break
        high, found = less, lower
    return high


def accountant_named() -> str:
    """The accountant that `epsilon` asks, with its version, as it goes on record.

    Raises:
        MissingExtraError: dp-accounting is not installed.
    """
    from importlib import metadata

    try:
        return f"privacy loss distributions (dp-accounting {metadata.version('dp-accounting')})"
    except metadata.PackageNotFoundError:
        raise MissingExtraError("privacy", "privacy") from None


def _event(mechanism: Mechanism) -> Any:
    import dp_accounting as dp

    release = dp.GaussianDpEvent(mechanism.noise)
    if isinstance(mechanism, Sampled):
        release = dp.PoissonSampledDpEvent(mechanism.rate, release)
    return dp.SelfComposedDpEvent(release, mechanism.steps)


def _pld_accountant(neighbouring: Neighbouring, grid: float) -> Any:
    try:
        from dp_accounting import NeighboringRelation, pld
    except ImportError:
        raise MissingExtraError("privacy", "privacy") from None
    replaced = neighbouring == "replace_one"
    return pld.PLDAccountant(
        NeighboringRelation.REPLACE_ONE if replaced else NeighboringRelation.ADD_OR_REMOVE_ONE,
        value_discretization_interval=grid,
    )


def _renyi_epsilon(mechanisms: Sequence[Mechanism], delta: float, neighbouring: Neighbouring) -> float:
    from charter.privacy.renyi import divergence

    try:
        from dp_accounting import rdp
    except ImportError:
        raise MissingExtraError("privacy", "privacy") from None
    orders = rdp.rdp_privacy_accountant.DEFAULT_RDP_ORDERS
    total = sum(divergence(one, orders, neighbouring) for one in mechanisms)
    return float(rdp.compute_epsilon(orders, total, delta)[0])

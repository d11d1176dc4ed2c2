"""What private training costs: epsilon at a delta, by dp-accounting, and the noise that a budget asks for.

The mechanism is the Poisson-sampled Gaussian: each example is in an update with probability q, by itself, and noise of
standard deviation `noise` times the clipping norm is added to the sum. Neighbouring data sets differ by one example added or
removed (Abadi et al. 2016). The accountant is that of privacy loss distributions (Koskela et al. 2020; Doroshenko et al. 2022, "Connect the
Dots"), which is an upper bound within its discretisation; that of Renyi divergences (Mironov et al. 2019) stands beside it.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from charter.errors import MissingExtraError

LOWEST, HIGHEST, PRECISION = 0.2, 1e4, 1e-3
"""The noise that is looked for lies between, and is found to this share of itself, never too low."""


@dataclass(frozen=True)
class Sampled:
    """So many updates with each example in each of them with probability `rate`; noise: its standard deviation over the clipping norm."""

    rate: float
    noise: float
    steps: int


def epsilon(mechanism: Sampled, delta: float, accountant: str = "pld") -> float:
    """The smallest epsilon for which (epsilon, delta) holds. accountant: `pld`, or `rdp`.

    Raises:
        MissingExtraError: dp-accounting is not installed.
    """
    if mechanism.steps == 0:
        return 0.0
    one = _accountant(accountant)
    with _quiet():
        one.compose(_event(mechanism))
        return float(one.get_epsilon(delta))


def noise_for(target: float, delta: float, *, rate: float, steps: int) -> float:
    """The least noise with which so many updates stay within (target, delta).

    Raises:
        MissingExtraError: dp-accounting is not installed.
        ValueError: no noise is enough.
    """
    low, high = LOWEST, LOWEST
    while epsilon(Sampled(rate, high, steps), delta) > target:
        low, high = high, high * 2
        if high > HIGHEST:
            raise ValueError(
                f"no noise up to {HIGHEST:g} keeps {steps} updates within epsilon {target:g} at delta {delta:g}"
            )
    while high - low > PRECISION * high:
        middle = (low + high) / 2
        if epsilon(Sampled(rate, middle, steps), delta) > target:
            low = middle
        else:
            high = middle
    return high


@contextmanager
def _quiet() -> Iterator[None]:
    """dp-accounting warns of each Renyi order that it leaves out; the bound holds by the others."""
    logger = logging.getLogger("absl")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _event(mechanism: Sampled) -> Any:
    import dp_accounting as dp

    update = dp.PoissonSampledDpEvent(mechanism.rate, dp.GaussianDpEvent(mechanism.noise))
    return dp.SelfComposedDpEvent(update, mechanism.steps)


def _accountant(name: str) -> Any:
    try:
        from dp_accounting import pld, rdp
    except ImportError:
        raise MissingExtraError("privacy", "privacy") from None
    return pld.PLDAccountant() if name == "pld" else rdp.RdpAccountant()

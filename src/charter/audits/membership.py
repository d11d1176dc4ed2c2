"""Membership inference: how much a model's answer to a row gives away that the row was learned from. Pure scores.

Each attack gives every row a score, the higher the more it looks like one of the training rows. `loss` needs the model alone;
the others compare with shadow models: models made in the same way, of which each row was learned by some and not by others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Attack = Literal["loss", "lira", "lira_offline", "rmia", "rmia_offline"]
ATTACKS: tuple[Attack, ...] = get_args(Attack)
BLIND = "blind"
"""No attack but its control: it never sees the model, so that it can only tell members from others where these differ anyway."""
FEW_FOR_VARIANCE = 64
"""With fewer shadow models a row's own variance is too uncertain, and one for all rows is better (Carlini et al. 2022, section VI-C)."""
SMALLEST_DEVIATION = 1e-6
GAMMA = 2.0
OFFLINE_SLOPE = 0.3
"""How much more likely a row is to a model that learned it, as RMIA takes it where no such model is at hand (its `a`)."""


@dataclass(frozen=True)
class Signals:
    """What models say of the truth of rows, each number the mean over a row's decisions: (rows,) of one model, (models, rows) of several.

    likelihood: the log-likelihood of the truth, in nats. odds: its log odds, log p - log(1 - p), which are near normal over models
    ("logit scaling", Carlini et al. 2022, section V-B).
    """

    likelihood: Floats
    odds: Floats


@dataclass(frozen=True)
class Shadows:
    """What shadow models say, (models, rows), and which rows each of them learned from."""

    signals: Signals
    included: Bools


def attack_scores(attack: Attack, target: Signals, shadows: Shadows | None, others: Bools) -> Floats:
    """(rows,) the scores of an attack. others: (rows,) the rows that the target did not learn from, RMIA's population.

    Raises:
        ValueError: an attack that needs shadow models, and there are none; or a row that all or none of them learned.
    """
    if attack == "loss":
        return target.likelihood
    if shadows is None:
        raise ValueError(f"attack {attack} needs shadow models")
    online = not attack.endswith("_offline")
    if attack.startswith("lira"):
        return lira(target.odds, shadows.signals.odds, shadows.included, online=online)
    likely = shadows.signals.likelihood
    return rmia(target.likelihood, likely, shadows.included, others, online=online)


def lira(
    target: Floats, shadows: Floats, included: Bools, *, online: bool, fixed_variance: bool | None = None
) -> Floats:
    """The likelihood-ratio attack (Carlini et al. 2022, "Membership Inference Attacks From First Principles", algorithm 1).

    Each row's log odds are taken as normal over the shadow models that learned it, and over those that did not. Online: the log of
    the ratio of both densities at the target's. Offline: how far above those that did not learn it the target's is, in deviations.
    fixed_variance: one variance for all rows; None: where there are fewer than 64 shadow models.
    """
    fixed = len(shadows) < FEW_FOR_VARIANCE if fixed_variance is None else fixed_variance
    out = _normal(shadows, ~included, fixed)
    if not online:
        return (target - out.mean) / out.deviation
    own = _normal(shadows, included, fixed)
    return own.log_density(target) - out.log_density(target)


def rmia(
    target: Floats,
    shadows: Floats,
    included: Bools,
    others: Bools,
    *,
    online: bool,
    gamma: float = GAMMA,
    slope: float = OFFLINE_SLOPE,
) -> Floats:
    """Robust membership inference (Zarifzadeh et al. 2024, "Low-Cost High-Power Membership Inference Attacks", algorithm 1).

    How likely a row is to the target, over how likely it is to models at large, against the same quotient of the rows `others`: the
    share of them that it exceeds gamma (above 1) times. Online, models at large are half those that learned the row and half those that did
    not; offline only the latter, corrected by `slope` (section 3.2 of the paper). Of rows with equal shares the one with the
    larger quotient comes first.
    """
    large = _log_mean(shadows, ~included)
    if online:
        large = np.logaddexp(large, _log_mean(shadows, included)) - np.log(2)
    else:
        large = np.log(((1 + slope) * np.exp(large) + (1 - slope)) / 2)
    quotient = target - large
    population = np.sort(quotient[others])
    below = np.searchsorted(
        population, quotient - np.log(gamma), side="right"
    )  # no row exceeds itself, gamma being above 1
    ties = np.argsort(np.argsort(quotient, kind="stable"), kind="stable") / len(quotient)
    found: Floats = (below + ties) / len(population)
    return found


def blind(shadows: Shadows) -> Floats:
    """(rows,) how likely a row is to models that did not learn it: the score of someone who never saw the target."""
    return _mean(shadows.signals.odds, ~shadows.included)


def balanced_inclusion(units: NDArray[np.int64], models: int, share: float, seed: int) -> Bools:
    """(models, rows) which rows each shadow model learns from: each unit in as many of them as others (one more or less), drawn by itself.

    units: (rows,) rows that belong together (a person's, or alike), from 0. share: of the models that learn a unit; at least one
    does, and at least one does not.
    """
    if models < 2:
        raise ValueError("at least 2 shadow models are needed, so that one learns a row and one does not")
    rng, held = np.random.default_rng(seed), int(units.max()) + 1 if len(units) else 0
    counts = np.clip(np.floor(share * models + rng.random(held)), 1, models - 1)
    rank = rng.random((models, held)).argsort(axis=0).argsort(axis=0)
    return np.asarray((rank < counts)[:, units])


@dataclass(frozen=True)
class _Normal:
    mean: Floats
    deviation: Floats

    def log_density(self, at: Floats) -> Floats:
        """Up to a constant."""
        return -0.5 * ((at - self.mean) / self.deviation) ** 2 - np.log(self.deviation)


def _normal(values: Floats, which: Bools, fixed: bool) -> _Normal:
    """Mean and deviation of each row over some of the models: the deviation its own, or the one that all rows have together."""
    counts, mean = which.sum(axis=0), _mean(values, which)
    squares = (np.where(which, values - mean, 0.0) ** 2).sum(axis=0)
    freedom = counts - 1
    if fixed or freedom.min() < 1:
        pooled = squares.sum() / max(int(freedom.sum()), 1)
        return _Normal(mean, np.full_like(mean, max(np.sqrt(pooled), SMALLEST_DEVIATION)))
    return _Normal(mean, np.maximum(np.sqrt(squares / freedom), SMALLEST_DEVIATION))


def _mean(values: Floats, which: Bools) -> Floats:
    counts = which.sum(axis=0)
    if counts.min() < 1:
        raise ValueError("a row was learned by all shadow models, or by none")
    found: Floats = np.where(which, values, 0.0).sum(axis=0) / counts
    return found


def _log_mean(logs: Floats, which: Bools) -> Floats:
    """The log of the mean of exp(logs) over some of the models."""
    _mean(logs, which)
    found: Floats = np.logaddexp.reduce(np.where(which, logs, -np.inf), axis=0) - np.log(which.sum(axis=0))
    return found


def spoken_of(attack: str) -> str:
    """An attack with its source, a clause of the evidence."""
    return SAID[attack]


SAID: Mapping[str, str] = {
    "loss": "loss threshold (Yeom et al. 2018)",
    "lira": "likelihood-ratio attack LiRA, online (Carlini et al. 2022)",
    "lira_offline": "likelihood-ratio attack LiRA, offline (Carlini et al. 2022)",
    "rmia": "robust membership inference RMIA, online (Zarifzadeh et al. 2024)",
    "rmia_offline": "robust membership inference RMIA, offline (Zarifzadeh et al. 2024)",
    BLIND: "control that never sees the model",
}

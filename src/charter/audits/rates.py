"""Rates of decisions by group: how often a class is answered, rightly and wrongly, from counts, in many bootstrap resamples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charter.audits.resampling import Resampling, effective, weight_chunks

Mask = NDArray[np.bool_]

ACCURACY = "accuracy"


@dataclass(frozen=True)
class Decisions:
    """What was decided about whom. All arrays (n,).

    truth, answer: indices into `classes`. group: of each, an index into `groups`. unit: what belongs together (a person's decisions),
    numbered from 0; None where each stands for itself.
    """

    classes: tuple[str, ...]
    groups: tuple[str, ...]
    truth: NDArray[np.int64]
    answer: NDArray[np.int64]
    group: NDArray[np.int64]
    unit: NDArray[np.int64] | None = None

    @property
    def units(self) -> int:
        """How many units there are."""
        return len(self.truth) if self.unit is None else int(self.unit.max(initial=-1)) + 1


@dataclass(frozen=True)
class Rate:
    """A rate of every group. name: one of `charter.spec.fairness.GROUP_RATES`, or accuracy; label: of which class, "" for all.

    share: whether it is within 0 and 1.

    values: (groups,) NaN where nothing is counted. resampled: (resamples, groups). of, count: (groups,) how many decisions are counted
    among, and how many are counted. worth: (groups,) how many independent ones the former are worth.
    """

    name: str
    label: str
    values: NDArray[np.float64]
    resampled: NDArray[np.float64]
    of: NDArray[np.int64]
    count: NDArray[np.int64]
    worth: NDArray[np.float64]
    share: bool = True


@dataclass(frozen=True)
class Cells:
    """How often each class was answered to each true class in each group; only what occurs is held.

    group, truth, answer: (cells,). counts: (cells,). drawn: (resamples, cells), the counts in each resample of the units.
    """

    decisions: Decisions
    group: NDArray[np.int64]
    truth: NDArray[np.int64]
    answer: NDArray[np.int64]
    counts: NDArray[np.int64]
    drawn: NDArray[np.float64]
    of_row: NDArray[np.int64] | None

    def masks(self, name: str, label: str) -> tuple[Mask, Mask]:
        """(cells,) which cells are counted, and among which."""
        return masks(name, self.decisions.classes.index(label) if label else -1, self.truth, self.answer)

    def rate(self, name: str, label: str = "") -> Rate:
        """One rate of all groups."""
        counted, among = self.masks(name, label)
        groups = len(self.decisions.groups)
        belongs = np.eye(groups, dtype=np.float64)[self.group]
        upper, lower = belongs * counted[:, None], belongs * among[:, None]
        of, count = self.counts @ lower, self.counts @ upper
        drawn_of, drawn_count = self.drawn @ lower, self.drawn @ upper
        return Rate(
            name,
            label,
            np.divide(count, of, out=np.full(groups, np.nan), where=of > 0),
            np.divide(drawn_count, drawn_of, out=np.full(drawn_of.shape, np.nan), where=drawn_of > 0),
            of.astype(np.int64),
            count.astype(np.int64),
            self._worth(among, of),
        )

    def _worth(self, among: Mask, of: NDArray[np.float64]) -> NDArray[np.float64]:
        unit, groups = self.decisions.unit, len(self.decisions.groups)
        if unit is None or self.of_row is None:
            return of.astype(np.float64)
        counted = among[self.of_row]
        worth = np.zeros(groups)
        for group in range(groups):
            own = counted & (self.decisions.group == group)
            worth[group] = effective(np.bincount(unit[own])) if own.any() else 0.0
        return worth


def masks(name: str, label: int, truth: NDArray[np.int64], answer: NDArray[np.int64]) -> tuple[Mask, Mask]:
    """Which decisions a rate counts, and among which; label: the index of its class, -1 for all."""
    every = np.ones(len(truth), dtype=bool)
    true, answered = truth == label, answer == label
    found: Mapping[str, tuple[Mask, Mask]] = {
        "selection_rate": (answered, every),
        "base_rate": (true, every),
        "true_positive_rate": (true & answered, true),
        "false_negative_rate": (true & ~answered, true),
        "false_positive_rate": (~true & answered, ~true),
        "positive_predictive_value": (true & answered, answered),
        ACCURACY: (truth == answer, every),
    }
    return found[name]


def cells(decisions: Decisions, how: Resampling) -> Cells:
    """Count decisions by group, truth and answer, and count them again in every resample of the units.

    Decisions of one cell are alike, so where each stands for itself a multinomial draw over the cells is a bootstrap resample of the
    decisions, whatever their number (Efron and Tibshirani 1993, chapter 6).
    """
    classes = len(decisions.classes)
    code = (decisions.group * classes + decisions.truth) * classes + decisions.answer
    kinds, of_row, counts = np.unique(code, return_inverse=True, return_counts=True)
    if decisions.unit is None:
        drawn = np.concatenate([one.astype(np.float64) for one in how.draws(counts)])
    else:
        drawn = _drawn_units(decisions, of_row, len(kinds), how)
    rest, answer = np.divmod(kinds, classes)
    group, truth = np.divmod(rest, classes)
    row = None if decisions.unit is None else of_row
    return Cells(decisions, group, truth, answer, counts.astype(np.int64), drawn, row)


def _drawn_units(
    decisions: Decisions, of_row: NDArray[np.int64], kinds: int, how: Resampling
) -> NDArray[np.float64]:
    from scipy.sparse import csr_array

    ones = np.ones(len(of_row))
    by_unit = csr_array((ones, (decisions.unit, of_row)), shape=(decisions.units, kinds))
    return np.concatenate([weights @ by_unit for weights in weight_chunks(decisions.units, how)])


def mean(
    name: str,
    values: NDArray[np.float64],
    group: NDArray[np.int64],
    groups: int,
    unit: NDArray[np.int64],
    how: Resampling,
) -> Rate:
    """The mean of numbers (n,) in every group, in place of a share. unit: (n,) what belongs together, numbered from 0.

    resampled holds draws from the normal distribution that the mean of many units has, its variance taken over units; a mean of a
    million numbers is not summed up a thousand times.
    """
    rng = np.random.default_rng(how.seed)
    found = np.full(groups, np.nan)
    error, worth = np.zeros(groups), np.zeros(groups)
    of = np.bincount(group, minlength=groups)
    for one in np.flatnonzero(of):
        own = group == one
        found[one] = values[own].mean()
        off = np.bincount(unit[own], weights=values[own] - found[one])
        error[one] = float(np.sqrt((off**2).sum())) / of[one]
        worth[one] = effective(np.bincount(unit[own]))
    drawn = found + rng.standard_normal((how.resamples, groups)) * error
    return Rate(name, "", found, drawn, of, of, worth, share=False)


def numbered(values: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The different values in sorted order, and of each value its number."""
    found, number = np.unique(np.asarray(values, dtype=str), return_inverse=True)
    return tuple(found.tolist()), number.astype(np.int64)

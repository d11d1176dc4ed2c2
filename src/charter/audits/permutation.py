"""Tests of whether groups are treated alike at all: p-values by permutation, and their correction for how many there are."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from charter.audits.rates import Cells, Rate
from charter.runs.findings import Finding

Given = Literal["nothing", "truth", "answer"]
MOST_CELLS = 20_000_000
"""Counts held at once; with more groups and classes there are fewer permutations."""
FEWEST = 199
"""With fewer permutations no p-value is told."""


def permuted(cells: Cells, given: Given, groups: NDArray[np.int64], times: int, seed: int) -> Cells | None:
    """The counts of these groups as they would be if groups were handed out by lot among decisions that agree in what is given.

    given: "nothing" where what is answered must not depend on the group; "truth" where, of a true class, it must not; "answer" where the
    truth behind an answer must not. The sums of each group and of each class stay as they are (Pesarin and Salmaso 2010), so a table
    with these sums is drawn (Patefield 1981, by scipy). None where fewer than `FEWEST` permutations fit in memory.
    """
    from scipy.stats import random_table

    classes = len(cells.decisions.classes)
    size = len(groups) * classes * classes
    times = min(times, MOST_CELLS // max(size, 1))
    if times < FEWEST:
        return None
    place = {int(group): at for at, group in enumerate(groups)}
    counts = np.zeros((len(groups), classes, classes), dtype=np.int64)
    for group, truth, answer, count in zip(cells.group, cells.truth, cells.answer, cells.counts, strict=True):
        if int(group) in place:
            counts[place[int(group)], truth, answer] += count
    rng = np.random.default_rng(seed)
    drawn = np.zeros((times, *counts.shape))
    if given == "nothing":
        # what was answered, and what is true, stay together: a decision's group alone is handed out
        tables = [counts.reshape(len(groups), -1)]
        views = [drawn.reshape(times, len(groups), -1)]
    else:
        axis = 1 if given == "truth" else 2
        tables = [np.asarray(counts.take(one, axis=axis)) for one in range(classes)]
        views = [drawn[:, :, one, :] if given == "truth" else drawn[:, :, :, one] for one in range(classes)]
    for table, view in zip(tables, views, strict=True):
        rows, columns = np.flatnonzero(table.sum(axis=1)), np.flatnonzero(table.sum(axis=0))
        if not len(rows):
            continue
        margins = table.sum(axis=1)[rows], table.sum(axis=0)[columns]
        found = random_table.rvs(*margins, method="patefield", size=times, random_state=rng)
        view[:, rows[:, None], columns] = found
    group, truth, answer = (one.ravel() for one in np.indices(counts.shape))
    named = replace(cells.decisions, groups=tuple(cells.decisions.groups[one] for one in groups))
    return Cells(named, group, truth, answer, counts.ravel(), drawn.reshape(times, -1), None)


def p_value(found: Cells, names: Sequence[tuple[str, str]]) -> float:
    """How often permuted groups lie as far apart as these do: the group farthest from all together, in units of its error."""
    observed = drawn = None
    for name, label in names:
        rate = found.rate(name, label)
        one, many = _apart(rate)
        observed = one if observed is None else max(observed, one)
        drawn = many if drawn is None else np.maximum(drawn, many)
    assert observed is not None and drawn is not None
    return float((1 + (drawn >= observed - 1e-9).sum()) / (1 + len(drawn)))


def _apart(rate: Rate) -> tuple[float, NDArray[np.float64]]:
    """How far the farthest group lies from all together, and (times,) that of each permutation."""
    whole = max(int(rate.of.sum()), 1)
    share = rate.count.sum() / whole
    error = np.sqrt(max(share * (1 - share), 1e-12) / np.maximum(rate.of, 1))
    drawn = np.nan_to_num(rate.resampled, nan=share)
    values = np.nan_to_num(rate.values, nan=share)
    return float((np.abs(values - share) / error).max()), (np.abs(drawn - share) / error).max(axis=1)


def given_of(name: str) -> Given:
    """What is given when groups are compared by a rate."""
    if name in ("true_positive_rate", "false_positive_rate", "false_negative_rate"):
        return "truth"
    return "answer" if name == "positive_predictive_value" else "nothing"


def corrected(values: Sequence[float]) -> list[float]:
    """p-values corrected for how many tests there are (Holm 1979), in the order given.

    >>> corrected([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(values)
    found, last = [0.0] * len(values), 0.0
    for place, index in enumerate(order):
        last = max(last, min(1.0, (len(values) - place) * values[index]))
        found[int(index)] = last
    return found


def with_corrected(found: Sequence[Finding]) -> list[Finding]:
    """Findings with p-values also corrected for how many tests there are (Holm 1979)."""
    tested = [one for one in found if one.attachment is not None and "p" in one.attachment]
    values = corrected([float(one.attachment["p"]) for one in tested if one.attachment is not None])
    told = {id(one): value for one, value in zip(tested, values, strict=True)}
    return [
        replace(one, attachment={**one.attachment, "p_adjusted": told[id(one)], "tests": len(tested)})
        if id(one) in told and one.attachment is not None
        else one
        for one in found
    ]

"""Two models on the same rows: how much each score differs, the interval of that, and a test of whether it differs at all."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from charter.audits.measuring import TOGETHER
from charter.audits.resampling import (
    CHUNK,
    Interval,
    Resampling,
    clusters,
    percentile,
    resampled_totals,
    summed,
    weight_chunks,
)
from charter.data.columns import ROW, Columns
from charter.tasks.task import Outputs, ScoreName, Task

PERMUTATIONS = 9_999
FEW_UNITS = 10
"""Where fewer units than this were answered differently, resamples hardly vary and the interval is widened."""
Scores = Callable[[NDArray[np.float64]], Mapping[ScoreName, NDArray[np.float64]]]


@dataclass(frozen=True)
class Answered:
    """What one model said on the rows of a split. task: fitted; rows hold the truth, in the order of outputs."""

    task: Task
    columns: Columns
    rows: pl.DataFrame
    outputs: Outputs


@dataclass(frozen=True)
class Difference:
    """How much higher a score is for one model than for another on the same rows.

    value, low, high: the difference and its interval (ends are None where it has none). p_value: of the hypothesis that the
    two models do not differ. test: which test, in words. p_adjusted: after Holm's
    correction over the comparisons of the same score. method: how the interval was made.
    """

    metric: str
    value: float
    low: float | None
    high: float | None
    confidence: float
    p_value: float
    p_adjusted: float | None = None
    test: str = ""
    method: str = ""


@dataclass(frozen=True)
class Pairing:
    """Two models compared on the same rows. units: how many independent ones; differing: on how many they differ."""

    rows: int
    units: int
    differing: int
    differences: tuple[Difference, ...]


def why_unpaired(one: Answered, other: Answered) -> str:
    """Why two models' answers can't be paired row by row; empty where they can."""
    if (one.task.name, one.task.labels) != (other.task.name, other.task.labels):
        return "their tasks or their classes differ"
    if not np.array_equal(one.rows[ROW].to_numpy(), other.rows[ROW].to_numpy()):
        return "they were judged on different test rows"
    if one.columns.target is None and other.columns.target is None:
        return ""
    ours, theirs = one.rows[str(one.columns.target)], other.rows[str(other.columns.target)]
    if ours.dtype != theirs.dtype or not ours.equals(theirs):
        return "the truth of the same rows differs between them"
    return ""


def paired(one: Answered, other: Answered, how: Resampling) -> Pairing:
    """How much higher each overall score is for `other` than for `one`, both scored on the same rows.

    The unit of everything is what the split kept together (a person's rows, like rows): the interval is the percentile
    interval of the paired bootstrap over units (Efron and Tibshirani 1993, chapter 8), the test the approximate
    randomisation test that swaps the two models' counts unit by unit (Noreen 1989; Yeh 2000), two-sided, its p-value
    counting the observed split too (Phipson and Smyth 2010). Where each row is a unit of its own and right or wrong as a
    whole, accuracy has McNemar's exact test instead (McNemar 1947). Scores of ranks are no sums of counts: their p-value is that
    of the bootstrap, twice the smaller share of resamples on either side of no difference.
    """
    unit = joined(clusters(one.rows, one.columns.subject), clusters(other.rows, other.columns.subject))
    tallies = [
        summed(side.task.tally(side.outputs, side.rows, side.columns), unit).astype(np.float64)
        for side in (one, other)
    ]
    units = len(tallies[0])
    said = "rows" if units == one.rows.height else f"{units} {TOGETHER}"
    differing = int((tallies[0] != tallies[1]).any(axis=1).sum())
    found = _counted(tallies[0], tallies[1], one.task.scores, how, said)
    proper = [_proper(side, unit) for side in (one, other)]
    if proper[0] is not None and proper[1] is not None:
        found += _counted(proper[0], proper[1], _means, how, said)
    found += _ranked(one, other, unit, how, said)
    if units == one.rows.height:
        found = [_mcnemar(each, one, other, how) for each in found]
    few = f"; only {differing} of {units} units were answered differently"
    if differing < FEW_UNITS:
        found = [replace(each, method=each.method + few) for each in found]
    return Pairing(one.rows.height, units, differing, tuple(found))


def joined(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    """Units that hold together whatever either of two divisions into units holds together.

    >>> joined(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 2])).tolist()
    [0, 0, 0, 1]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if np.array_equal(one, other):
        return one
    ours, all_of_them = int(one.max()) + 1, int(one.max() + other.max()) + 2
    edges = coo_array((np.ones(len(one)), (one, other + ours)), shape=(all_of_them, all_of_them))
    return connected_components(edges, directed=False)[1][one].astype(np.int64)  # type: ignore[no-any-return]


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """P-values adjusted so that the chance of any false finding among them stays below the level (Holm 1979).

    >>> holm([0.01, None, 0.04, 0.03])
    [0.03, None, 0.06, 0.06]
    """
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, place) in enumerate(known):
        highest = max(highest, min(p * (len(known) - rank), 1.0))
        adjusted[place] = highest
    return adjusted


def _counted(
    one: NDArray[np.float64], other: NDArray[np.float64], scores: Scores, how: Resampling, unit: str
) -> list[Difference]:
    """Differences of every score over all classes that is a function of sums of tallies."""
    ours, theirs = scores(one.sum(axis=0)), scores(other.sum(axis=0))
    names = [name for name in ours if not name[1]]
    width = one.shape[1]
    totals = resampled_totals(np.concatenate([one, other], axis=1), how)
    resampled = [scores(part) for part in (totals[:, :width], totals[:, width:])]
    tested = _permuted(one, other, scores, names, how.seed)
    found = []
    for name in names:
        value = _gain(ours[name], theirs[name])
        drawn = percentile(float(value), _gain(resampled[0][name], resampled[1][name]), how, unit)
        p = float((np.sum(np.abs(tested[name]) >= abs(value) - 1e-12) + 1) / (PERMUTATIONS + 1))
        test = f"approximate randomisation test over {unit}, {PERMUTATIONS} permutations"
        found.append(_difference(name, drawn, how, p_value=p, test=test))
    return found


def _permuted(
    one: NDArray[np.float64],
    other: NDArray[np.float64],
    scores: Scores,
    names: Sequence[ScoreName],
    seed: int,
) -> Mapping[ScoreName, NDArray[np.float64]]:
    """Each score's difference when the two models' tallies are swapped in half of the units, at random, many times.

    Units that are alike are swapped by number: how many of them is binomial. Those that both answer alike don't matter.
    """
    both = np.concatenate([one, other], axis=1)
    kinds, counts = np.unique(both, axis=0, return_counts=True)
    moved = kinds[:, one.shape[1] :] - kinds[:, : one.shape[1]]
    moves = (moved != 0).any(axis=1)
    moved, counts = moved[moves], counts[moves]
    rng = np.random.default_rng(seed)
    each = max(1, CHUNK // max(len(counts), 1))
    found: dict[ScoreName, list[NDArray[np.float64]]] = {name: [] for name in names}
    for start in range(0, PERMUTATIONS, each):
        size = min(each, PERMUTATIONS - start)
        swapped = rng.binomial(counts, 0.5, size=(size, len(counts))) @ moved
        ours, theirs = scores(one.sum(axis=0) + swapped), scores(other.sum(axis=0) - swapped)
        for name in names:
            found[name].append(_gain(ours[name], theirs[name]))
    return {name: np.concatenate(pieces) for name, pieces in found.items()}


def _proper(side: Answered, unit: NDArray[np.int64]) -> NDArray[np.float64] | None:
    """(units, 3): sums of Brier score and negative log-likelihood over a unit's decisions, and their number.

    None where the task states no probabilities.
    """
    told = side.task.confidences(side.outputs, side.rows, side.columns)
    if told is None:
        return None
    at = np.arange(len(told.truth))
    hit = np.zeros_like(told.probabilities)
    hit[at, told.truth] = 1.0
    brier = ((told.probabilities - hit) ** 2).sum(axis=1)
    nll = -told.likelihood()
    found = np.zeros((int(unit.max()) + 1, 3))
    np.add.at(found, unit[told.example], np.stack([brier, nll, np.ones_like(brier)], axis=1))
    return found


def _means(totals: NDArray[np.float64]) -> Mapping[ScoreName, NDArray[np.float64]]:
    n = np.maximum(totals[..., 2], 1.0)
    return {("brier", ""): totals[..., 0] / n, ("negative_log_likelihood", ""): totals[..., 1] / n}


def _ranked(
    one: Answered, other: Answered, unit: NDArray[np.int64], how: Resampling, said: str
) -> list[Difference]:
    """Differences of scores of ranks, both under the same bootstrap weights."""
    whole = np.ones((1, one.rows.height))
    point = [side.task.ranking_scores(side.outputs, side.rows, side.columns, whole) for side in (one, other)]
    names = [name for name in point[0] if not name[1]]
    if not names:
        return []
    drawn: dict[ScoreName, list[NDArray[np.float64]]] = {name: [] for name in names}
    for weights in weight_chunks(int(unit.max()) + 1, how):
        of_rows = weights[:, unit].astype(np.float64)
        ours, theirs = (
            side.task.ranking_scores(side.outputs, side.rows, side.columns, of_rows) for side in (one, other)
        )
        for name in names:
            drawn[name].append(_gain(ours[name], theirs[name]))
    found = []
    for name in names:
        gains = np.concatenate(drawn[name])
        interval = percentile(float(_gain(point[0][name], point[1][name])[0]), gains, how, said)
        beyond = min(int((gains <= 0).sum()), int((gains >= 0).sum()))
        p = min(2 * (beyond + 1) / (how.resamples + 1), 1.0)
        test = f"paired bootstrap test over {said}, {how.resamples} resamples"
        found.append(_difference(name, interval, how, p_value=p, test=test))
    return found


def _gain(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """A score that is not defined counts as 0, as in macro averages."""
    return np.asarray(np.nan_to_num(other) - np.nan_to_num(one))


def _difference(
    name: ScoreName, drawn: Interval, how: Resampling, *, p_value: float, test: str
) -> Difference:
    return Difference(
        name[0],
        drawn.value,
        drawn.low,
        drawn.high,
        how.confidence,
        p_value=p_value,
        test=test,
        method=f"paired {drawn.method}",
    )


def _mcnemar(found: Difference, one: Answered, other: Answered, how: Resampling) -> Difference:
    """Accuracy by McNemar's exact test, where a row is right or wrong as a whole; other scores as they are.

    With few discordant rows the interval is at least Bonett and Price's (2012), which holds there.
    """
    if found.metric != "accuracy":
        return found
    right = [
        np.asarray(side.task.scores(side.task.tally(side.outputs, side.rows, side.columns).astype(float))[
            "accuracy", ""
        ])
        for side in (one, other)
    ]  # fmt: skip
    if not all(np.isin(each, (0.0, 1.0)).all() for each in right):
        return found
    from scipy.stats import binomtest

    lost, won = int(((right[0] == 1) & (right[1] == 0)).sum()), int(((right[0] == 0) & (right[1] == 1)).sum())
    p = float(binomtest(won, won + lost).pvalue) if won + lost else 1.0
    tested = replace(
        found,
        p_value=p,
        test=f"McNemar's exact test: {won} rows right only in the second, {lost} only in the first",
    )
    if won + lost >= FEW_UNITS or found.low is None or found.high is None:
        return tested
    low, high = _bonett_price(won, lost, len(right[0]), how.confidence)
    widened = f"{found.method}; widened by Bonett and Price's interval"
    return replace(tested, low=min(found.low, low), high=max(found.high, high), method=widened)


def _bonett_price(won: int, lost: int, n: int, confidence: float) -> tuple[float, float]:
    """The adjusted Wald interval of a paired difference of shares (Bonett and Price 2012, formula 4)."""
    from scipy.stats import norm

    up, down = (won + 1) / (n + 2), (lost + 1) / (n + 2)
    half = float(norm.ppf((1 + confidence) / 2)) * np.sqrt((up + down - (up - down) ** 2) / (n + 2))
    return max(up - down - float(half), -1.0), min(up - down + float(half), 1.0)

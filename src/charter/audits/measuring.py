"""Scores of one model on some rows, with intervals that also hold for rare classes and near 0 and 1."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charter.audits.case import Answers, Case
from charter.audits.resampling import (
    Interval,
    Resampling,
    clusters,
    effective,
    percentile,
    resampled_totals,
    summed,
    weight_chunks,
    widened,
    wilson,
)
from charter.spec.metrics import ERRORS
from charter.tasks.task import Outputs, ScoreName, Task

TOGETHER = "units of one person's or of like rows"


@dataclass(frozen=True)
class Evidence:
    """What a score rests on: `count` decisions, worth `units` independent ones (many rows of one person count as few)."""

    count: int
    units: float


@dataclass(frozen=True)
class Measured:
    """Scores of one model on some rows, their values in each resample, and what each rests on.

    tally: (units, m) the task's sums, added up by bootstrap unit. unit: what was resampled, in words.
    """

    task: Task
    values: Mapping[ScoreName, float]
    resampled: Mapping[ScoreName, NDArray[np.float64]]
    evidence: Mapping[ScoreName, Evidence]
    rows: Evidence
    tally: NDArray[Any]
    unit: str
    of: str
    on: str

    def rests_on(self, name: ScoreName) -> Evidence:
        """What a score rests on; for averages and correlations all rows."""
        return self.evidence.get(name, self.rows)


def measured(case: Case, answers: Answers, outputs: Outputs, how: Resampling) -> Measured:
    """Score outputs on rows, and score them again in every bootstrap resample of rows or, where one is named, subjects."""
    task, columns, rows = case.task, case.columns, answers.rows
    cluster = clusters(rows, columns.subject)
    tally = summed(task.tally(outputs, rows, columns), cluster)
    values = {name: float(value) for name, value in task.scores(tally.sum(axis=0).astype(np.float64)).items()}
    resampled = dict(task.scores(resampled_totals(tally, how)))
    ranked = task.ranking_scores(outputs, rows, columns, np.ones((1, rows.height)))
    if ranked:
        values |= {name: float(value[0]) for name, value in ranked.items()}
        pieces = [
            task.ranking_scores(outputs, rows, columns, weights[:, cluster].astype(np.float64))
            for weights in weight_chunks(len(tally), how)
        ]
        resampled |= {name: np.concatenate([piece[name] for piece in pieces]) for name in ranked}
    evidence = {
        name: Evidence(round(min(float(one.sum()) for one in counts)), min(effective(one) for one in counts))
        for name, counts in task.evidence(tally).items()
        if name in values
    }
    every = Evidence(rows.height, effective(np.bincount(cluster)))
    unit = "rows" if len(tally) == rows.height else f"{len(tally)} {TOGETHER}"
    return Measured(task, values, resampled, evidence, every, tally, unit, case.of, answers.digest)


def interval(one: Measured, name: ScoreName, how: Resampling) -> Interval:
    """The interval of a score: the percentile bootstrap's, never narrower than what its evidence can carry.

    A share (recall of a class, accuracy) near 0 or 1 is widened by Wilson's interval over its own independent decisions. An
    average over classes is at least as wide as its classes' intervals make it (MOVER, Zou and Donner 2008): resamples alone
    hardly vary for a class of few rows. A correlation near its end is widened as much as its least certain class.
    """
    found = percentile(one.values[name], one.resampled[name], how, one.unit)
    metric, label = name
    if not label and metric in one.task.averages:
        return _averaged(one, found, _parts(one, one.task.averages[metric]), how, one.task.reach(metric))
    if not label and metric in one.task.correlations:
        return _correlation(one, found, _parts(one, one.task.correlations[metric]), how)
    if name in one.evidence:
        return widened(found, one.evidence[name].units, how.confidence, reach=one.task.reach(metric))
    return found


def paired_gain(one: Measured, other: Measured, how: Resampling) -> Interval:
    """How much higher the task's headline score is for `one` than for `other`, both scored in the same resamples."""
    headline = (one.task.headline, "")
    totals = resampled_totals(np.concatenate([one.tally, other.tally], axis=1), how)
    width = one.tally.shape[1]
    ours, theirs = (one.task.scores(part)[headline] for part in (totals[:, :width], totals[:, width:]))
    gain = float(np.nan_to_num(one.values[headline]) - np.nan_to_num(other.values[headline]))
    return percentile(gain, np.nan_to_num(ours) - np.nan_to_num(theirs), how, one.unit)


def paired_quotient(one: Measured, other: Measured, metric: str, how: Resampling) -> Interval:
    """What multiple of `other`'s score that of `one` is, both scored in the same resamples."""
    totals = resampled_totals(np.concatenate([one.tally, other.tally], axis=1), how)
    width, name = one.tally.shape[1], (metric, "")
    ours, theirs = (one.task.scores(part)[name] for part in (totals[:, :width], totals[:, width:]))
    return percentile(one.values[name] / other.values[name], ours / theirs, how, one.unit)


def _parts(one: Measured, metric: str) -> list[ScoreName]:
    """The classes that occur under a metric of classes: in truth or prediction, for an error in truth."""
    counted = metric if metric in ERRORS else "f1"
    return [
        name
        for name in one.values
        if name[0] == metric and name[1] and one.evidence.get((counted, name[1]), one.rows).count > 0
    ]


def _part(one: Measured, name: ScoreName, how: Resampling) -> Interval:
    """A class's part of an average: an undefined one counts as 0, as the average counts it, and might be anything."""
    value, units, reach = (
        float(np.nan_to_num(one.values[name])),
        one.evidence[name].units,
        one.task.reach(name[0]),
    )
    if units <= 0:
        return Interval(value, 0.0, reach, "")
    low, high = np.quantile(np.nan_to_num(one.resampled[name]), how.ends)
    near = wilson(value / reach * units, units, how.confidence)
    assert near.low is not None and near.high is not None
    return Interval(value, min(float(low), near.low * reach), max(float(high), near.high * reach), "")


def _averaged(
    one: Measured, found: Interval, parts: list[ScoreName], how: Resampling, reach: float
) -> Interval:
    if not parts or found.low is None or found.high is None:
        return found
    each = [_part(one, name, how) for name in parts]
    down = np.sqrt(sum((part.value - (part.low or 0.0)) ** 2 for part in each)) / len(each)
    up = np.sqrt(sum(((reach if part.high is None else part.high) - part.value) ** 2 for part in each))
    low = max(found.value - float(down), 0.0)
    high = min(found.value + float(up) / len(each), reach)
    if low >= found.low and high <= found.high:
        return found
    said = f"{found.method}; widened by its classes' intervals (MOVER)"
    return Interval(found.value, min(found.low, low), max(found.high, high), said)


def _correlation(one: Measured, found: Interval, parts: list[ScoreName], how: Resampling) -> Interval:
    known = [name for name in parts if one.evidence[name].units > 0]
    sure = all(min(one.values[name], 1 - one.values[name]) * one.evidence[name].units >= 10 for name in known)
    if sure or found.low is None or found.high is None:
        return found
    each = [_part(one, name, how) for name in known]
    down = max(part.value - (part.low or 0.0) for part in each)
    up = max((1.0 if part.high is None else part.high) - part.value for part in each)
    low, high = max(found.value - down, -1.0), min(found.value + up, 1.0)
    said = f"{found.method}; widened as its least certain class"
    return Interval(found.value, min(found.low, low), max(found.high, high), said)

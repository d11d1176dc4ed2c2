"""Calibration: whether a probability means what it says. Debiased ECE, Brier, likelihood, a reliability curve; by group."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from charter.audits.case import Answers, Audit, Case, by_group
from charter.audits.measuring import TOGETHER
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
from charter.runs.findings import Finding
from charter.tasks.task import Confidences, Task

FEWEST_UNITS = 20
"""Fewer independent rows or persons have no bootstrap to speak of."""
OF_INTERVALS = ("interval_coverage", "interval_width")
METRICS = ("expected_calibration_error", "brier", "negative_log_likelihood")


def calibration(
    *,
    bins: Annotated[int, Field(ge=2, le=100, description="bins of equal numbers of decisions")] = 15,
    resamples: Annotated[int, Field(ge=100, le=100_000, description="bootstrap resamples")] = 1000,
    confidence: Annotated[float, Field(gt=0.5, lt=1, description="confidence of the intervals")] = 0.95,
    minimum_n: Annotated[int, Field(ge=2, description="fewer rows are no evidence")] = 100,
) -> Audit:
    """Whether probabilities, or intervals, mean what they say: ECE (debiased), Brier score and likelihood, or coverage."""

    def measure(case: Case) -> list[Finding]:
        how = Resampling(resamples, confidence, case.seed)
        test = case.answers["test"]
        told = case.task.confidences(test.outputs, test.rows, case.columns)
        if told is None:
            none = type(case.task).intervals is Task.intervals  # a task of vectors: nothing to be calibrated
            return [] if none else _of_intervals(case, how, minimum_n)
        found = list(_scored(case, test, how, bins, minimum_n, {}))
        if case.temperature.value != 1.0:
            hot = case.task.tempered(test.outputs, 1 / case.temperature.value)
            before = Answers(test.rows, hot, test.digest)
            found += _scored(case, before, how, bins, minimum_n, {"temperature": "before"})
        found.append(_temperature(case))
        if told.of is not None:
            for index, label in enumerate(case.task.labels):
                found += _scored(case, test, how, bins, minimum_n, {"class": label}, only=index)
        for where, part in by_group(case, test):
            found += _scored(case, part, how, bins, minimum_n, where)
        return found

    return measure


def _of_intervals(case: Case, how: Resampling, minimum_n: int) -> list[Finding]:
    """How often the truth lies within the interval of its answer, and how wide the intervals are; by group too."""
    test = case.answers["test"]
    found = list(_covered(case, test, how, minimum_n, {}))
    for where, part in by_group(case, test):
        found += _covered(case, part, how, minimum_n, where)
    return found


def _covered(
    case: Case, answers: Answers, how: Resampling, minimum_n: int, where: Mapping[str, str]
) -> Iterator[Finding]:
    rows = answers.rows
    told = case.task.intervals(answers.outputs, rows, case.columns)
    common: dict[str, Any] = {
        "n": rows.height,
        "slice": where,
        "of": case.of,
        "on": answers.digest,
        "split": "test",
    }
    unit_of_row = clusters(rows, case.columns.subject)
    worth = effective(np.bincount(unit_of_row)) if rows.height else 0.0
    because = ""
    if told is None:
        because = f"task {case.task.name} states no probabilities, and no intervals: too few rows were left to fit them on"
    elif rows.height < minimum_n:
        because = f"insufficient evidence: {rows.height} rows, at least {minimum_n} are needed"
    elif worth < FEWEST_UNITS:
        because = (
            f"insufficient evidence: {rows.height} rows, worth {worth:.1f} independent ones, "
            f"at least {FEWEST_UNITS} are needed"
        )
    if because or told is None:
        for metric in OF_INTERVALS:
            yield Finding("calibration", metric, None, because=because, **common)
        return
    inside = ((told.low <= told.truth) & (told.truth <= told.high)).astype(np.float64)
    columns = np.stack([np.ones(len(inside)), inside, told.high - told.low], axis=1)
    tally = summed(columns, unit_of_row)
    totals = resampled_totals(tally, how)
    unit = "rows" if len(tally) == rows.height else f"{len(tally)} {TOGETHER}"
    for metric, place in zip(OF_INTERVALS, (1, 2), strict=True):
        value = float(columns[:, place].mean())
        one = percentile(value, totals[:, place] / totals[:, 0], how, unit)
        if metric == "interval_coverage":
            one = widened(one, worth, how.confidence)
        method = f"{told.said}; {one.method}"
        yield Finding(
            "calibration", metric, one.value, low=one.low, high=one.high, confidence=how.confidence, method=method,
            **common,
        )  # fmt: skip


@dataclass(frozen=True)
class _Decisions:
    """What is binned and summed: one entry per decision; `unit` is the bootstrap unit that each belongs to.

    confidence: the probability that was stated; right: whether that came true. events: they are of labels' presence.
    """

    confidence: NDArray[np.float64]
    right: NDArray[np.float64]
    brier: NDArray[np.float64]
    nll: NDArray[np.float64]
    bin: NDArray[np.int64]
    unit: NDArray[np.int64]
    bins: int
    events: bool


def _decisions(told: Confidences, unit_of_example: NDArray[np.int64], bins: int) -> _Decisions:
    shares, truth = told.probabilities, told.truth
    hit = np.zeros_like(shares)
    hit[np.arange(len(truth)), truth] = 1.0
    bins = max(2, min(bins, len(truth) // 10))
    confidence = told.stated
    return _Decisions(
        confidence,
        told.came_true.astype(np.float64),
        ((shares - hit) ** 2).sum(axis=1),
        -told.likelihood(),
        _equal_mass(confidence, bins),
        unit_of_example[told.example],
        bins,
        told.of is not None,
    )


def _only(told: Confidences, label: int | None) -> Confidences:
    """The decisions on one label."""
    if label is None or told.of is None:
        return told
    own = told.of == label
    answer = None if told.answer is None else told.answer[own]
    return replace(
        told,
        logits=told.logits[own],
        truth=told.truth[own],
        example=told.example[own],
        answer=answer,
        of=told.of[own],
    )


def _equal_mass(confidence: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    """Bins of equal numbers of decisions; equal confidences share a bin."""
    edges = np.quantile(confidence, np.arange(1, bins) / bins)
    return np.searchsorted(np.unique(edges), confidence, side="right").astype(np.int64)


def _scored(
    case: Case,
    answers: Answers,
    how: Resampling,
    bins: int,
    minimum_n: int,
    where: Mapping[str, str],
    only: int | None = None,
) -> Iterator[Finding]:
    """The findings on some rows; `only` on the presence of one label."""
    rows = answers.rows
    common: dict[str, Any] = {
        "n": rows.height,
        "slice": where,
        "of": case.of,
        "on": answers.digest,
        "split": "test",
    }
    if rows.height < minimum_n:
        because = f"insufficient evidence: {rows.height} rows, at least {minimum_n} are needed"
        for metric in METRICS:
            yield Finding("calibration", metric, None, because=because, **common)
        return
    unit_of_row = clusters(rows, case.columns.subject)
    worth = effective(np.bincount(unit_of_row))
    if worth < FEWEST_UNITS:
        because = (
            f"insufficient evidence: {rows.height} rows, worth {worth:.1f} independent ones, "
            f"at least {FEWEST_UNITS} are needed"
        )
        for metric in METRICS:
            yield Finding("calibration", metric, None, because=because, **common)
        return
    told = case.task.confidences(answers.outputs, rows, case.columns)
    assert told is not None
    data = _decisions(_only(told, only), unit_of_row, bins)
    intervals = _intervals(data, how)
    units = int(data.unit.max()) + 1
    unit = "rows" if units == rows.height else f"{units} {TOGETHER}"
    said = {
        "expected_calibration_error": f"{data.bins} bins of equal numbers of decisions, bias taken off by the bootstrap",
        "brier": "sum over classes of squared differences",
        "negative_log_likelihood": "nats",
    }
    for metric in METRICS:
        one = intervals[metric]
        yield Finding(
            "calibration",
            metric,
            one.value,
            low=one.low,
            high=one.high,
            confidence=how.confidence,
            method=f"{said[metric]}; percentile bootstrap over {unit}, {how.resamples} resamples{one.method}",
            unit="nats" if metric == "negative_log_likelihood" else "",
            attachment=_curve(data, how.confidence) if metric == "expected_calibration_error" else None,
            **common,
        )


def _intervals(data: _Decisions, how: Resampling) -> dict[str, Interval]:
    """Each metric with its interval, from sums over bootstrap units.

    The plug-in ECE is biased upward, because the accuracy of each bin is itself uncertain. As Kumar, Liang and Ma (2019,
    section 5) do, the bias is estimated by resampling and taken off. A resample has that bias once more: it is taken off
    twice at the low end, but once at the high end, so that a limit from above is not passed by luck.
    """
    units = int(data.unit.max()) + 1
    sums = _unit_sums(data, units)
    once = {metric: float(values[0]) for metric, values in _values(sums.sum(axis=0)[None], data.bins).items()}
    drawn = [_values(weights @ sums, data.bins) for weights in weight_chunks(units, how)]
    found = {}
    for metric in METRICS:
        values = np.concatenate([one[metric] for one in drawn])
        bias = float(values.mean()) - once[metric] if metric == "expected_calibration_error" else 0.0
        value = max(once[metric] - bias, 0.0)
        low, high = (float(end) for end in np.quantile(values, how.ends))
        found[metric] = Interval(value, min(max(low - 2 * bias, 0.0), value), max(high - bias, value), "")
    return _widened(data, found, how)


def _widened(data: _Decisions, found: dict[str, Interval], how: Resampling) -> dict[str, Interval]:
    """Where fewer than 10 decisions are wrong (or right), resamples hardly vary: what Wilson's interval of accuracy allows.

    An ECE is never less than the gap between mean confidence and accuracy. Each wrong decision more would cost, at the
    mean confidence c with the rest on the truth, 2c^2 in Brier score and -log(1 - c) in likelihood; of a rare label each
    presence more, 2(1 - c)^2 and -log(c).
    """
    units = effective(np.bincount(data.unit))
    told, right = float(data.confidence.mean()), float(data.right.mean())
    if min(right, 1 - right) * units >= 10:
        return found
    near = wilson(right * units, units, how.confidence)
    assert near.low is not None and near.high is not None
    rare = data.events and right < 0.5
    unseen = max(near.high - right if rare else right - near.low, 0.0)
    gap = min(1 - told if rare else told, 1 - 1e-6)
    reach = {
        "expected_calibration_error": max(abs(told - near.low), abs(told - near.high)),
        "brier": found["brier"].value + unseen * 2 * gap**2,
        "negative_log_likelihood": found["negative_log_likelihood"].value - unseen * math.log(1 - gap),
    }
    said = "; widened by Wilson's interval of the accuracy"
    return {
        metric: Interval(one.value, one.low, max(one.high or 0.0, reach[metric]), said)
        for metric, one in found.items()
    }


def _unit_sums(data: _Decisions, units: int) -> NDArray[np.float64]:
    """(units, 3 bins + 2): per bin the decisions, their confidence and the right ones; Brier and likelihood."""
    sums = np.zeros((units, 3 * data.bins + 2))
    np.add.at(sums, (data.unit, data.bin), 1.0)
    np.add.at(sums, (data.unit, data.bins + data.bin), data.confidence)
    np.add.at(sums, (data.unit, 2 * data.bins + data.bin), data.right)
    sums[:, -2] = np.bincount(data.unit, weights=data.brier, minlength=units)
    sums[:, -1] = np.bincount(data.unit, weights=data.nll, minlength=units)
    return sums


def _values(totals: NDArray[np.float64], bins: int) -> dict[str, NDArray[np.float64]]:
    """The three metrics from sums (r, 3 bins + 2); the ECE as it stands, its bias not taken off."""
    n, told, right = totals[:, :bins], totals[:, bins : 2 * bins], totals[:, 2 * bins : 3 * bins]
    decisions = np.maximum(n.sum(axis=1), 1)
    return {
        "expected_calibration_error": np.abs(told - right).sum(axis=1) / decisions,
        "brier": totals[:, -2] / decisions,
        "negative_log_likelihood": totals[:, -1] / decisions,
    }


def _curve(data: _Decisions, confidence: float) -> dict[str, Any]:
    """The reliability curve: per bin the mean confidence and the share that was right, with Wilson's interval."""
    points: dict[str, list[float]] = {name: [] for name in ("confidence", "accuracy", "low", "high", "n")}
    for number in range(data.bins):
        inside = data.bin == number
        n = int(inside.sum())
        if n == 0:
            continue
        share = wilson(float(data.right[inside].sum()), n, confidence)
        values = (float(data.confidence[inside].mean()), share.value, share.low, share.high, n)
        for name, value in zip(points, values, strict=True):
            points[name].append(float(value if value is not None else 0.0))
    return {"kind": "curve", "name": "reliability", **points}


def _temperature(case: Case) -> Finding:
    fit = case.temperature
    method = "temperature scaling (Guo et al. 2017), "
    method += (
        f"not fitted: {fit.because}"
        if fit.because
        else f"fitted on {fit.splits}, folded into the released weights"
    )
    method += f"; {fit.doubt}" if fit.doubt else ""
    return Finding(
        "calibration",
        "temperature",
        fit.value,
        n=fit.decisions,
        method=method,
        unit="decisions",
        of=case.of,
        on=fit.digest,
        split="calibration",
    )

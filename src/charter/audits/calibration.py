"""Calibration: whether a probability means what it says. Debiased ECE, Brier, likelihood, a reliability curve; by group."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from charter.audits.case import Answers, Audit, Case
from charter.audits.resampling import Resampling, clusters, wilson
from charter.runs.findings import Finding
from charter.tasks.task import Confidences

METRICS = ("expected_calibration_error", "brier", "negative_log_likelihood")


def calibration(
    *,
    bins: Annotated[int, Field(ge=2, le=100, description="bins of equal numbers of decisions")] = 15,
    resamples: Annotated[int, Field(ge=100, le=100_000, description="bootstrap resamples")] = 1000,
    confidence: Annotated[float, Field(gt=0.5, lt=1, description="confidence of the intervals")] = 0.95,
    minimum_n: Annotated[int, Field(ge=2, description="fewer rows are no evidence")] = 100,
) -> Audit:
    """Expected calibration error (debiased), Brier score and likelihood with intervals, before and after the temperature."""

    def measure(case: Case) -> list[Finding]:
        how = Resampling(resamples, confidence, case.seed)
        test = case.answers["test"]
        found = list(_scored(case, test, how, bins, minimum_n, {}))
        if case.temperature != 1.0:
            hot = [np.asarray(one) * np.float32(case.temperature) for one in test.outputs]
            before = Answers(test.rows, hot, test.digest)
            found += _scored(case, before, how, bins, minimum_n, {"temperature": "before"})
        found.append(_temperature(case, test))
        for column in case.columns.groups:
            values = test.rows[column].fill_null("(missing)")
            for value in sorted(values.unique().to_list()):
                mask = values == value
                index = np.flatnonzero(mask.to_numpy())
                part = Answers(
                    test.rows.filter(mask), [test.outputs[at] for at in index.tolist()], test.digest
                )
                found += _scored(case, part, how, bins, minimum_n, {column: value})
        return found

    return measure


@dataclass(frozen=True)
class _Decisions:
    """What is binned and summed: one entry per decision; `unit` is the bootstrap unit that each belongs to."""

    confidence: NDArray[np.float64]
    right: NDArray[np.float64]
    brier: NDArray[np.float64]
    nll: NDArray[np.float64]
    bin: NDArray[np.int64]
    unit: NDArray[np.int64]
    bins: int


def _decisions(told: Confidences, unit_of_example: NDArray[np.int64], bins: int) -> _Decisions:
    shares, truth = told.probabilities, told.truth
    at = np.arange(len(truth))
    confidence = shares.max(axis=1)
    hit = np.zeros_like(shares)
    hit[at, truth] = 1.0
    bins = max(2, min(bins, len(truth) // 10))
    return _Decisions(
        confidence,
        (shares.argmax(axis=1) == truth).astype(np.float64),
        ((shares - hit) ** 2).sum(axis=1),
        -np.log(np.clip(shares[at, truth], 1e-30, None)),
        _equal_mass(confidence, bins),
        unit_of_example[told.example],
        bins,
    )


def _equal_mass(confidence: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    """Bins of equal numbers of decisions; equal confidences share a bin."""
    edges = np.quantile(confidence, np.arange(1, bins) / bins)
    return np.searchsorted(np.unique(edges), confidence, side="right").astype(np.int64)


def _scored(
    case: Case, answers: Answers, how: Resampling, bins: int, minimum_n: int, where: Mapping[str, str]
) -> Iterator[Finding]:
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
    told = case.task.confidences(answers.outputs, rows, case.columns)
    data = _decisions(told, clusters(rows, case.columns.subject), bins)
    units = int(data.unit.max()) + 1
    sums = _unit_sums(data, units)
    once = _values(sums.sum(axis=0)[None], data.bins)
    rng = np.random.default_rng(how.seed)
    each = max(1, 4_000_000 // units)
    drawn = []
    for start in range(0, how.resamples, each):
        size = min(each, how.resamples - start)
        weights = rng.multinomial(units, np.full(units, 1 / units), size=size).astype(np.float64)
        drawn.append(_values(weights @ sums, data.bins))
    said = {
        "expected_calibration_error": f"debiased (Kumar et al. 2019), {data.bins} bins of equal numbers of decisions",
        "brier": "sum over classes of squared differences",
        "negative_log_likelihood": "nats",
    }
    for metric in METRICS:
        value = float(once[metric][0])
        values = np.concatenate([one[metric] for one in drawn])
        low, high = np.quantile(values, how.ends)
        yield Finding(
            "calibration",
            metric,
            value,
            low=float(min(low, value)),
            high=float(max(high, value)),
            confidence=how.confidence,
            method=f"{said[metric]}; percentile bootstrap, {how.resamples} resamples",
            unit="nats" if metric == "negative_log_likelihood" else "",
            attachment=_curve(data, how.confidence) if metric == "expected_calibration_error" else None,
            **common,
        )


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
    """The three metrics from sums (r, 3 bins + 2).

    The plug-in ECE is biased upward, because the accuracy of each bin is itself uncertain. As Kumar, Liang and Ma
    (2019, section 5) do for the squared error, the variance of each bin's accuracy is taken off its squared gap; the
    root of what is left (0 where nothing is) is averaged over the decisions.
    """
    n, told, right = totals[:, :bins], totals[:, bins : 2 * bins], totals[:, 2 * bins : 3 * bins]
    count = np.maximum(n, 1)
    gap = told / count - right / count
    accuracy = right / count
    noise = accuracy * (1 - accuracy) / np.maximum(n - 1, 1)
    mended = np.sqrt(np.maximum(gap**2 - noise, 0.0))
    share = n / np.maximum(n.sum(axis=1, keepdims=True), 1)
    decisions = np.maximum(n.sum(axis=1), 1)
    return {
        "expected_calibration_error": (share * mended).sum(axis=1),
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


def _temperature(case: Case, test: Answers) -> Finding:
    fitted = f"fitted on the {case.temperature_split} split" if case.temperature_split else "not fitted"
    return Finding(
        "calibration",
        "temperature",
        case.temperature,
        n=test.rows.height,
        method=f"temperature scaling (Guo et al. 2017), {fitted}, folded into the released weights",
        of=case.of,
        on=test.digest,
        split=case.temperature_split or "test",
    )

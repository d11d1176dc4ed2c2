"""Performance: every score with its interval, overall, per class and per declared group; and cheap baselines beside it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from charter.audits.baselines import Baseline, baselines
from charter.audits.case import Answers, Audit, Case
from charter.audits.resampling import (
    Interval,
    Resampling,
    clusters,
    design_effect,
    percentile,
    resampled_totals,
    summed,
    weight_chunks,
    widened,
)
from charter.runs.findings import Finding
from charter.tasks.task import Outputs, ScoreName

UNBOUNDED = ("mcc",)


def performance(
    *,
    resamples: Annotated[int, Field(ge=100, le=100_000, description="bootstrap resamples")] = 1000,
    confidence: Annotated[float, Field(gt=0.5, lt=1, description="confidence of the intervals")] = 0.95,
    minimum_n: Annotated[
        int, Field(ge=2, description="fewer rows (of a class, of a group) are no evidence")
    ] = 30,
) -> Audit:
    """Accuracy, precision, recall, F1, MCC, AUROC and AUPRC with intervals, by class and group, beside two baselines."""

    def measure(case: Case) -> list[Finding]:
        how = Resampling(resamples, confidence, case.seed)
        test = case.answers["test"]
        measured = _measured(case, test, test.outputs, how)
        found = list(_overall(measured, how, minimum_n))
        found += _confusion(case, test)
        for column in case.columns.groups:
            found += _by_group(case, test, column, how, minimum_n)
        for baseline in baselines(case):
            found += _beside(case, measured, baseline, how)
        return found

    return measure


@dataclass(frozen=True)
class Measured:
    """Scores of one model on some rows: the values, the values in each resample, and what was resampled."""

    values: Mapping[ScoreName, float]
    resampled: Mapping[ScoreName, NDArray[np.float64]]
    support: Mapping[str, int]
    rows: int
    units: int
    unit: str
    rows_per_unit: float
    of: str
    on: str


def _measured(case: Case, answers: Answers, outputs: Outputs, how: Resampling) -> Measured:
    task, columns, rows = case.task, case.columns, answers.rows
    tally = task.tally(outputs, rows, columns)
    cluster = clusters(rows, columns.subject)
    values = {name: float(value) for name, value in task.scores(tally.sum(axis=0).astype(np.float64)).items()}
    resampled = dict(task.scores(resampled_totals(summed(tally, cluster), how)))
    ranked = task.ranking_scores(outputs, rows, columns, np.ones((1, rows.height)))
    if ranked:
        values |= {name: float(value[0]) for name, value in ranked.items()}
        pieces = [
            task.ranking_scores(outputs, rows, columns, weights[:, cluster].astype(np.float64))
            for weights in weight_chunks(int(cluster.max()) + 1, how)
        ]
        resampled |= {name: np.concatenate([piece[name] for piece in pieces]) for name in ranked}
    units = int(cluster.max()) + 1
    return Measured(
        values,
        resampled,
        task.support(rows, columns),
        rows.height,
        units,
        "rows" if units == rows.height else f"{units} subjects",
        design_effect(cluster),
        case.of,
        answers.digest,
    )


def _interval(measured: Measured, name: ScoreName, how: Resampling, trials: float) -> Interval:
    found = percentile(measured.values[name], measured.resampled[name], how, measured.unit)
    return widened(found, trials / measured.rows_per_unit, how.confidence, bounded=name[0] not in UNBOUNDED)


def _finding(
    measured: Measured,
    name: ScoreName,
    how: Resampling,
    *,
    n: int,
    where: Mapping[str, str],
    minimum_n: int,
    what: str = "rows",
    area: str = "performance",
) -> Finding:
    """One score as a finding, or the finding that there is not enough evidence for it."""
    common = {"n": n, "slice": where, "of": measured.of, "on": measured.on, "split": "test"}
    if n < minimum_n:
        because = f"insufficient evidence: {n} {what}, at least {minimum_n} are needed"
        return Finding(area, name[0], None, because=because, **common)  # type: ignore[arg-type]
    if not np.isfinite(measured.values[name]):
        because = "insufficient evidence: the score is not defined on these rows (nothing predicted, or one class only)"
        return Finding(area, name[0], None, because=because, **common)  # type: ignore[arg-type]
    one = _interval(measured, name, how, n)
    return Finding(
        area,
        name[0],
        one.value,
        low=one.low,
        high=one.high,
        confidence=how.confidence,
        method=one.method,
        **common,  # type: ignore[arg-type]
    )


def _overall(measured: Measured, how: Resampling, minimum_n: int) -> Iterator[Finding]:
    for name in measured.values:
        label = name[1]
        if label:
            n, what = measured.support.get(label, 0), f"of class {label}"
            yield _finding(measured, name, how, n=n, where={"class": label}, minimum_n=minimum_n, what=what)
        else:
            yield _finding(measured, name, how, n=measured.rows, where={}, minimum_n=minimum_n)


def _confusion(case: Case, test: Answers) -> list[Finding]:
    counts = case.task.confusion(test.outputs, test.rows, case.columns)
    if counts is None:
        return []
    attachment = {"kind": "matrix", "labels": list(case.task.labels), "counts": counts.tolist()}
    return [
        Finding(
            "performance",
            "confusion",
            float(np.trace(counts) / max(counts.sum(), 1)),
            n=int(counts.sum()),
            method="counts, truth by prediction; the value is their diagonal's share",
            of=case.of,
            on=test.digest,
            split="test",
            attachment=attachment,
        )
    ]


def _by_group(case: Case, test: Answers, column: str, how: Resampling, minimum_n: int) -> Iterator[Finding]:
    """Overall scores of the rows of each value of a group column; rows without a value are a group of their own."""
    values = test.rows[column].fill_null("(missing)")
    for value in sorted(values.unique().to_list()):
        mask = (values == value).to_numpy()
        index = np.flatnonzero(mask)
        rows = test.rows.filter(pl.Series(mask))
        outputs = [test.outputs[at] for at in index.tolist()]
        part = _measured(case, Answers(rows, outputs, test.digest), outputs, how)
        for name in part.values:
            if not name[1]:
                yield _finding(part, name, how, n=len(index), where={column: value}, minimum_n=minimum_n)


def _beside(case: Case, measured: Measured, baseline: Baseline, how: Resampling) -> Iterator[Finding]:
    """A baseline's scores on the same rows and in the same resamples, and how much better the model is (paired)."""
    test = case.answers["test"]
    where = {"baseline": baseline.name}
    if baseline.outputs is None:
        yield Finding(
            "baseline",
            case.task.headline,
            None,
            because=baseline.because,
            slice=where,
            on=test.digest,
            split="test",
        )
        return
    cheap = replace(_measured(case, test, baseline.outputs, how), of="")  # of no released model
    for name in cheap.values:
        if not name[1]:
            found = _finding(cheap, name, how, n=cheap.rows, where=where, minimum_n=1, area="baseline")
            yield found
    headline = (case.task.headline, "")
    gain = float(measured.values[headline] - np.nan_to_num(cheap.values[headline]))
    gains = measured.resampled[headline] - np.nan_to_num(cheap.resampled[headline])
    one = percentile(gain, gains, how, measured.unit)
    yield Finding(
        "baseline",
        "headline_gain",
        gain,
        low=one.low,
        high=one.high,
        confidence=how.confidence,
        n=measured.rows,
        slice=where,
        method=f"{case.task.headline} of the model minus {case.task.headline} of the baseline; paired {one.method}",
        of=case.of,
        on=test.digest,
        split="test",
    )

"""Performance: every score with its interval, overall, per class and per declared group; and cheap baselines beside it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
import polars as pl
from pydantic import Field

from charter.audits.baselines import Baseline, baselines
from charter.audits.case import Answers, Audit, Case
from charter.audits.measuring import Evidence, Measured, interval, measured, paired_gain
from charter.audits.resampling import Resampling
from charter.runs.findings import Finding
from charter.tasks.task import ScoreName


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
        model = measured(case, test, test.outputs, how)
        found = list(_overall(model, how, minimum_n))
        found += _confusion(case, test)
        for column in case.columns.groups:
            found += _by_group(case, test, column, how, minimum_n)
        for baseline in baselines(case):
            found += _beside(case, model, baseline, how)
        return found

    return measure


def _finding(
    one: Measured,
    name: ScoreName,
    how: Resampling,
    *,
    where: Mapping[str, str],
    minimum_n: int,
    area: str = "performance",
) -> Finding:
    """One score as a finding, or the finding that there is not enough evidence for it."""
    rests = one.rests_on(name)
    common: dict[str, Any] = {"n": rests.count, "slice": where, "of": one.of, "on": one.on, "split": "test"}
    if rests.units < minimum_n:
        because = f"insufficient evidence: {_counted(rests, name)}, at least {minimum_n} are needed"
        return Finding(area, name[0], None, because=because, **common)
    if not np.isfinite(one.values[name]):
        because = "insufficient evidence: the score is not defined on these rows (nothing predicted, or one class only)"
        return Finding(area, name[0], None, because=because, **common)
    found = interval(one, name, how)
    return Finding(
        area,
        name[0],
        found.value,
        low=found.low,
        high=found.high,
        confidence=how.confidence,
        method=found.method,
        **common,
    )


def _counted(rests: Evidence, name: ScoreName) -> str:
    """`12 rows`, `12 predicted as class a`, `60 of class a, worth 1.0 independent ones`."""
    metric, label = name
    said = (
        f"predicted as class {label}" if metric == "precision" else f"of class {label}" if label else "rows"
    )
    worth = "" if rests.units >= rests.count else f", worth {rests.units:.1f} independent ones"
    return f"{rests.count} {said}{worth}"


def _overall(one: Measured, how: Resampling, minimum_n: int) -> Iterator[Finding]:
    for name in one.values:
        where = {"class": name[1]} if name[1] else {}
        yield _finding(one, name, how, where=where, minimum_n=minimum_n)


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
        part = measured(case, Answers(rows, outputs, test.digest), outputs, how)
        for name in part.values:
            if not name[1]:
                yield _finding(part, name, how, where={column: value}, minimum_n=minimum_n)


def _beside(case: Case, model: Measured, baseline: Baseline, how: Resampling) -> Iterator[Finding]:
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
    cheap = replace(measured(case, test, baseline.outputs, how), of="")  # of no released model
    for name in cheap.values:
        if not name[1]:
            yield _finding(cheap, name, how, where=where, minimum_n=1, area="baseline")
    gain = paired_gain(model, cheap, how)
    yield Finding(
        "baseline",
        "headline_gain",
        gain.value,
        low=gain.low,
        high=gain.high,
        confidence=how.confidence,
        n=model.rows.count,
        slice=where,
        method=f"{case.task.headline} of the model minus {case.task.headline} of the baseline; paired {gain.method}",
        of=case.of,
        on=test.digest,
        split="test",
    )

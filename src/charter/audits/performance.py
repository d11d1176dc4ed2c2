"""Performance: every score with its interval, overall, per class and per declared group; and cheap baselines beside it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
import polars as pl
from pydantic import Field

from charter.audits.case import Answers, Audit, Case, by_group
from charter.audits.measuring import Measured, interval, measured, paired_gain, paired_quotient
from charter.audits.resampling import Interval, Resampling
from charter.runs.findings import Finding
from charter.tasks.baselines import Baseline
from charter.tasks.task import ScoreName

PICTURES = {
    "matrix": ("confusion", "counts, truth by prediction; the value is their diagonal's share"),
    "density": (
        "agreement",
        "counts in bins of equal width, truth by prediction; the value is their diagonal's share",
    ),
}
"""Kind of picture -> what its finding is called, and how it was made."""


def performance(
    *,
    resamples: Annotated[int, Field(ge=100, le=100_000, description="bootstrap resamples")] = 1000,
    confidence: Annotated[float, Field(gt=0.5, lt=1, description="confidence of the intervals")] = 0.95,
    minimum_n: Annotated[
        int, Field(ge=2, description="fewer rows (of a class, of a group) are no evidence")
    ] = 30,
) -> Audit:
    """Every score of the task with its interval, by class and group, and beside cheap baselines."""

    def measure(case: Case) -> list[Finding]:
        how = Resampling(resamples, confidence, case.seed)
        test = case.answers["test"]
        model = measured(case, test, test.outputs, how)
        found = list(_overall(model, how, minimum_n))
        found += [*_picture(case, test), *_searched(case, test)]
        found += _by_group(case, test, how, minimum_n)
        others = _neither_learned_nor_tested(case)
        told: Sequence[Baseline] = ()
        if case.with_baselines:
            told = case.task.baselines(case.train, test.rows, case.columns, others=others, seed=case.seed)
        for baseline in (*told, *case.beside):
            found += _beside(case, model, baseline, how, minimum_n)
        return [_as_read(one, case.reading) for one in found]

    return measure


def _as_read(one: Finding, reading: str) -> Finding:
    """A score whose method also says how texts were read."""
    if not reading or one.area != "performance" or one.value is None:
        return one
    return replace(one, method=f"{one.method}; {reading}")


def _neither_learned_nor_tested(case: Case) -> pl.DataFrame:
    """Validation and calibration rows. Balancing and capping leave them as they are, so they tell which class is common."""
    rows = [case.answers[split].rows for split in case.answers if split != "test"]
    return pl.concat(rows, how="diagonal_relaxed") if rows else case.train.clear()


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
        because = f"insufficient evidence: {_counted(one, name)}, at least {minimum_n} are needed"
        return Finding(area, name[0], None, because=because, **common)
    if not np.isfinite(one.values[name]):
        because = (
            "insufficient evidence: the score is not defined on these rows (nothing predicted, one class only, or all answers "
            "alike)"
        )
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


def _counted(one: Measured, name: ScoreName) -> str:
    """`12 rows`, `12 decisions` (entities, labels), `12 predicted as class a`, `60 of class a, worth 1.0 independent ones`."""
    (metric, label), rests = name, one.rests_on(name)
    whole = "rows" if rests.count == one.rows.count else "decisions"
    said = f"predicted as class {label}" if metric == "precision" else f"of class {label}" if label else whole
    worth = "" if rests.units >= rests.count else f", worth {rests.units:.1f} independent ones"
    return f"{rests.count} {said}{worth}"


def _overall(one: Measured, how: Resampling, minimum_n: int) -> Iterator[Finding]:
    for name in one.values:
        where = {"class": name[1]} if name[1] else {}
        yield _finding(one, name, how, where=where, minimum_n=minimum_n)


def _picture(case: Case, test: Answers) -> list[Finding]:
    """Answers against truth in counts, as the task draws them."""
    attachment = case.task.picture(test.outputs, test.rows, case.columns)
    if attachment is None:
        return []
    counts = np.asarray(attachment["counts"])
    metric, said = PICTURES[attachment["kind"]]
    share = float(np.trace(counts) / max(counts.sum(), 1))
    n = int(counts.sum())
    ties: dict[str, Any] = {"of": case.of, "on": test.digest, "split": "test"}
    return [Finding("performance", metric, share, n=n, method=said, attachment=dict(attachment), **ties)]


def _searched(case: Case, test: Answers) -> Iterator[Finding]:
    """Among how many texts a search looked, without which its scores say little: among more of them all are lower."""
    count = case.task.searched(test.rows, case.columns)
    if count is not None:
        ties: dict[str, Any] = {"n": test.rows.height, "unit": "texts", "on": test.digest, "split": "test"}
        yield Finding("data", "texts_searched", float(count), method="count", **ties)


def _by_group(case: Case, test: Answers, how: Resampling, minimum_n: int) -> Iterator[Finding]:
    """Overall scores of the rows of each value of each group column."""
    for where, answers in by_group(case, test):
        part = measured(case, answers, answers.outputs, how)
        for name in part.values:
            if not name[1]:
                yield _finding(part, name, how, where=where, minimum_n=minimum_n)


def _beside(
    case: Case, model: Measured, baseline: Baseline, how: Resampling, minimum_n: int
) -> Iterator[Finding]:
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
    main = (case.task.headline, "")
    few = model.rests_on(main).units < minimum_n
    for name in cheap.values:
        if not name[1]:
            yield _finding(cheap, name, how, where=where, minimum_n=minimum_n if few else 1, area="baseline")
    if few or not np.isfinite(cheap.values[main]):
        because = "the baseline's score is not defined on these rows, so there is nothing to gain over"
        if few:
            said = _counted(model, main)
            because = f"insufficient evidence: {said}, at least {minimum_n} are needed"
        yield Finding(
            "baseline",
            "headline_gain",
            None,
            because=because,
            n=model.rows.count,
            slice=where,
            of=case.of,
            on=test.digest,
            split="test",
        )
        return
    yield _against(
        "headline_gain",
        paired_gain(model, cheap, how),
        f"{case.task.headline} of the model minus {case.task.headline} of the baseline",
        (case, model, how, where),
    )
    for metric in case.task.quotients:
        if model.rests_on((metric, "")).units < minimum_n or not np.isfinite(model.values[metric, ""]):
            continue
        yield _against(
            f"{metric}_over_baseline",
            paired_quotient(model, cheap, metric, how),
            f"{metric} of the model over {metric} of the baseline",
            (case, model, how, where),
        )


def _against(
    metric: str, found: Interval, said: str, of: tuple[Case, Measured, Resampling, Mapping[str, str]]
) -> Finding:
    """How the model compares with a baseline, on the same rows."""
    case, model, how, where = of
    return Finding(
        "baseline",
        metric,
        found.value,
        low=found.low,
        high=found.high,
        confidence=how.confidence,
        n=model.rows.count,
        slice=where,
        method=f"{said}; paired {found.method}",
        of=case.of,
        on=case.answers["test"].digest,
        split="test",
    )

"""What a model that goes on from an earlier one lost, or gained, on the tasks before: forgetting and transfer, with their intervals.

Scores are R[l, j]: of the model after task l on the test rows of task j, by the task's main score.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from charter.audits.measuring import TOGETHER
from charter.audits.pairing import FEW_UNITS
from charter.audits.resampling import (
    Interval,
    Resampling,
    clusters,
    effective,
    percentile,
    resampled_totals,
    summed,
    wilson,
)
from charter.data.columns import Columns
from charter.runs.findings import Finding
from charter.spec.metrics import CONTINUAL, EARLIER_TASK
from charter.tasks.task import Outputs, Task

AREA = "continual"
FORGETTING, BACKWARD, FORWARD = CONTINUAL
NOW, THEN = "score_now", "score_then"


@dataclass(frozen=True)
class EarlierTask:
    """What the models said on the test rows of an earlier task.

    name: its data's id. task: with the classes of the newest model, which all outputs are of. now: the new model. own: the model
    that had just learned this task. others: models between the two, by name. digest: of the rows. because: why
    there is no evidence; the rest is then empty.
    """

    name: str
    task: Task | None = None
    columns: Columns | None = None
    rows: pl.DataFrame | None = None
    now: Outputs = ()
    own: Outputs = ()
    others: Mapping[str, Outputs] = field(default_factory=dict)
    digest: str = ""
    because: str = ""


@dataclass(frozen=True)
class _Change:
    """A value with its resamples, and on how many units."""

    value: float
    drawn: NDArray[np.float64]


@dataclass(frozen=True)
class _Measured:
    """An earlier task, scored. moved: the bound on how far a score may move that resamples don't show."""

    name: str
    scores: Mapping[str, _Change]
    changes: Mapping[str, _Change]
    rows: int
    unit: str
    moved: float
    models: int
    digest: str


def forgetting(tasks: Sequence[EarlierTask], how: Resampling, *, of: str, minimum_n: int) -> list[Finding]:
    """Forgetting and backward transfer of each earlier task, then their means over all of them; `of`: the new model's digest.

    backward_transfer is R[T, j] - R[j, j] (Lopez-Paz and Ranzato 2017, section 2); forgetting max over l < T of R[l, j], less
    R[T, j] (Chaudhry et al. 2018, section 3.2), over the earlier models whose answers are at hand. Intervals are percentile intervals of
    the paired bootstrap over units. One task without evidence leaves the means without.
    """
    measured, found = [], []
    for number, one in enumerate(tasks):
        told = one if one.because else _with_enough(one, minimum_n)
        if told.because:
            found += [
                Finding(
                    AREA,
                    name,
                    None,
                    because=told.because,
                    slice={EARLIER_TASK: one.name},
                    of=of,
                    split="test",
                )
                for name in (FORGETTING, BACKWARD)
            ]
            continue
        scored = _measure(told, Resampling(how.resamples, how.confidence, how.seed + number))
        measured.append(scored)
        found += _findings(scored, how, of)
    return [*found, *_means(measured, len(tasks), how, of)]


def _with_enough(one: EarlierTask, minimum_n: int) -> EarlierTask:
    assert one.rows is not None and one.columns is not None
    units = effective(np.bincount(clusters(one.rows, one.columns.subject))) if one.rows.height else 0.0
    if units >= minimum_n:
        return one
    worth = "" if units >= one.rows.height else f", worth {units:.1f} independent ones"
    return EarlierTask(
        one.name,
        because=f"insufficient evidence: {one.rows.height} rows{worth}, at least {minimum_n} are needed",
    )


def _measure(one: EarlierTask, how: Resampling) -> _Measured:
    """Every model's score in the same resamples."""
    assert one.task is not None and one.rows is not None and one.columns is not None
    unit = clusters(one.rows, one.columns.subject)
    said = {"now": one.now, "own": one.own, **one.others}
    tallies = {
        name: summed(one.task.tally(outputs, one.rows, one.columns), unit).astype(np.float64)
        for name, outputs in said.items()
    }
    width = tallies["now"].shape[1]
    totals = resampled_totals(np.concatenate(list(tallies.values()), axis=1), how)
    scores = {
        name: _Change(
            float(_main(one.task, tally.sum(axis=0))),
            _main(one.task, totals[:, at * width : (at + 1) * width]),
        )
        for at, (name, tally) in enumerate(tallies.items())
    }
    before = [scores[name] for name in scores if name != "now"]
    best = _Change(max(each.value for each in before), np.max([each.drawn for each in before], axis=0))
    differing = max(
        int((tallies["now"] != tallies[name]).any(axis=1).sum()) for name in scores if name != "now"
    )
    units = len(tallies["now"])
    return _Measured(
        one.name,
        {NOW: scores["now"], THEN: scores["own"]},
        {FORGETTING: _less(best, scores["now"]), BACKWARD: _less(scores["now"], scores["own"])},
        one.rows.height,
        "rows" if units == one.rows.height else f"{units} {TOGETHER}",
        (wilson(differing, units, how.confidence).high or 0.0) if differing < FEW_UNITS else 0.0,
        len(before),
        one.digest,
    )


def _main(task: Task, totals: NDArray[np.float64]) -> NDArray[np.float64]:
    """The main score of sums of tallies; one that is not defined counts as 0, as in macro averages."""
    return np.nan_to_num(np.asarray(task.scores(totals)[task.headline, ""], dtype=np.float64))


def _less(one: _Change, other: _Change) -> _Change:
    return _Change(one.value - other.value, one.drawn - other.drawn)


def _widened(found: Interval, moved: float) -> Interval:
    """Where few units were answered differently resamples hardly vary: no score is likely to move by more than their share."""
    if not moved or found.low is None or found.high is None:
        return found
    said = f"{found.method}; widened by the Wilson bound of the share of units answered differently"
    return Interval(
        found.value,
        max(min(found.low, found.value - moved), -1.0),
        min(max(found.high, found.value + moved), 1.0),
        said,
    )


def _findings(one: _Measured, how: Resampling, of: str) -> Iterator[Finding]:
    ties: dict[str, Any] = {
        "n": one.rows,
        "slice": {EARLIER_TASK: one.name},
        "of": of,
        "on": one.digest,
        "split": "test",
        "confidence": how.confidence,
    }
    for name, change in one.scores.items():
        drawn = percentile(change.value, change.drawn, how, one.unit)
        yield Finding(AREA, name, change.value, low=drawn.low, high=drawn.high, method=drawn.method, **ties)
    for name, change in one.changes.items():
        drawn = _widened(percentile(change.value, change.drawn, how, one.unit), one.moved)
        yield Finding(
            AREA,
            name,
            change.value,
            low=drawn.low,
            high=drawn.high,
            method=f"{_said(name, one)}; paired {drawn.method}",
            **ties,
        )


def _said(name: str, one: _Measured) -> str:
    if name == BACKWARD:
        return "the score now minus the score when it had just been learned"
    return f"the best score of {one.models} earlier models minus the score now"


def _means(measured: Sequence[_Measured], tasks: int, how: Resampling, of: str) -> Iterator[Finding]:
    """The means over the earlier tasks, which are resampled apart from each other."""
    for name in (FORGETTING, BACKWARD):
        if len(measured) < tasks or not tasks:
            because = f"of {tasks - len(measured)} of {tasks} earlier tasks there is no evidence"
            yield Finding(AREA, name, None, because=because, of=of, split="test")
            continue
        each = [one.changes[name] for one in measured]
        value = float(np.mean([one.value for one in each]))
        drawn = percentile(value, np.mean([one.drawn for one in each], axis=0), how, "the rows of each task")
        drawn = _widened(drawn, float(np.mean([one.moved for one in measured])))
        yield Finding(
            AREA,
            name,
            value,
            low=drawn.low,
            high=drawn.high,
            confidence=how.confidence,
            n=sum(one.rows for one in measured),
            method=f"mean over {tasks} earlier tasks; paired {drawn.method}",
            of=of,
            on=measured[0].digest if tasks == 1 else "",
            split="test",
        )


def forward_transfer(
    task: Task,
    columns: Columns,
    rows: pl.DataFrame,
    *,
    before: Outputs,
    untrained: Outputs,
    how: Resampling,
    of: str,
    on: str,
    minimum_n: int,
) -> Finding:
    """How much better the earlier model answers the new test rows, before it learned any of them, than a model of random weights.

    R[T-1, T] - b[T] (Lopez-Paz and Ranzato 2017, section 2). of: the earlier model's digest; on: that of the rows.
    """
    ties: dict[str, Any] = {"n": rows.height, "of": of, "on": on, "split": "test"}
    unit = clusters(rows, columns.subject)
    units = effective(np.bincount(unit))
    if units < minimum_n:
        because = f"insufficient evidence: {rows.height} rows, at least {minimum_n} are needed"
        return Finding(AREA, FORWARD, None, because=because, **ties)
    both = [summed(task.tally(said, rows, columns), unit).astype(np.float64) for said in (before, untrained)]
    width = both[0].shape[1]
    totals = resampled_totals(np.concatenate(both, axis=1), how)
    gain = _less(
        _Change(float(_main(task, both[0].sum(axis=0))), _main(task, totals[:, :width])),
        _Change(float(_main(task, both[1].sum(axis=0))), _main(task, totals[:, width:])),
    )
    said = "rows" if len(both[0]) == rows.height else f"{len(both[0])} {TOGETHER}"
    drawn = percentile(gain.value, gain.drawn, how, said)
    return Finding(
        AREA,
        FORWARD,
        gain.value,
        low=drawn.low,
        high=drawn.high,
        confidence=how.confidence,
        method=f"the score of the earlier model on the new test rows minus that of a model of random weights; paired {drawn.method}",
        **ties,
    )

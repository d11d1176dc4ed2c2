"""What is measured of a released form as such: how alike it answers to the first form, how long a text takes, its size.

Nobody names this audit: a charter that releases several forms needs it to choose between them, so every form gets it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from charter.audits.case import Answers
from charter.audits.resampling import (
    Interval,
    Resampling,
    clusters,
    effective,
    percentile,
    resampled_totals,
    summed,
    widened,
)
from charter.data.columns import Columns
from charter.runs.findings import Finding
from charter.tasks.scoring import divided
from charter.tasks.task import Task

AREA = "export"
CONFIDENCE, RESAMPLES = 0.95, 1000
FEWEST = 20
"""Fewer timed texts than this are no evidence of a latency."""
PROBABILITIES = ("probability", "probabilities")


@dataclass(frozen=True)
class Form:
    """A released form: its digest, the size of its files in bytes, and how long each timed text took, in milliseconds.

    clock: what was counted: processor time, which other work on the machine hardly changes, or (on a GPU) time.
    """

    of: str
    bytes: int
    milliseconds: Sequence[float]
    clock: str = "processor time"


@dataclass(frozen=True)
class Told:
    """What a form said of the test rows, and the task that decodes it; each form has settled its own.

    tokens: of a language model the likeliest token at each judged position of some rows; None for other tasks.
    """

    task: Task
    answers: Answers
    tokens: "Tokens | None" = None


@dataclass(frozen=True)
class Tokens:
    """The token ids (judged tokens,) that a form finds likeliest in each of some test rows."""

    rows: pl.DataFrame
    likeliest: Sequence[NDArray[np.float32]]


def measure_form(form: Form, columns: Columns, *, own: Told, first: Told | None, seed: int) -> list[Finding]:
    """Agreement with the first form on the test rows (None: it is the first), time per text, size."""
    return [_agreement(form, columns, own, first, seed), _latency(form, own.answers), _size(form)]


def _agreement(form: Form, columns: Columns, own: Told, first: Told | None, seed: int) -> Finding:
    rows = own.answers.rows
    common: dict[str, Any] = {"n": rows.height, "of": form.of, "on": own.answers.digest, "split": "test"}
    if first is None:
        method = "it is the first format, which the others are compared with"
        return Finding(AREA, "format_agreement", 1.0, low=1.0, high=1.0, method=method, **common)
    if own.tokens is not None and first.tokens is not None:
        return _tokens_agree(own.tokens, first.tokens, columns, seed, common)
    ours, theirs = (_decisions(one, columns) for one in (own, first))
    if ours is None or theirs is None:
        because = "the task's answers are numbers, which are alike by degrees only"
        return Finding(AREA, "format_agreement", None, because=because, **common)
    same = np.asarray([one == other for one, other in zip(ours, theirs, strict=True)], dtype=np.int64)
    tally = np.stack([same, np.ones_like(same)], axis=1)
    found = _share(tally, clusters(rows, columns.subject), seed)
    return _agreed(found, "share of test rows answered as by the first format", common)


def _tokens_agree(own: Tokens, first: Tokens, columns: Columns, seed: int, common: dict[str, Any]) -> Finding:
    """The share of judged tokens at which both find the same token likeliest; intervals resample documents."""
    pairs = zip(own.likeliest, first.likeliest, strict=True)
    tally = np.asarray([((one == other).sum(), len(one)) for one, other in pairs], dtype=np.int64)
    if not tally[:, 1].sum():
        because = "insufficient evidence: no token of these rows is judged"
        return Finding(AREA, "format_agreement", None, because=because, **common)
    found = _share(tally, clusters(own.rows, columns.subject), seed)
    said = "share of judged tokens where the likeliest token is that of the first format"
    return _agreed(found, said, {**common, "n": len(tally)})


def _agreed(found: Interval, said: str, common: dict[str, Any]) -> Finding:
    return Finding(
        AREA,
        "format_agreement",
        found.value,
        low=found.low,
        high=found.high,
        confidence=CONFIDENCE,
        method=f"{said}; {found.method}",
        **common,
    )


def _decisions(told: Told, columns: Columns) -> list[Any] | None:
    """What is decided of each row, probabilities left out; None where decisions are measured numbers."""
    answers = told.answers
    decoded = told.task.decode(answers.outputs, answers.rows, columns).drop(PROBABILITIES, strict=False)
    if any((kind.inner if isinstance(kind, pl.List) else kind).is_float() for kind in decoded.dtypes):
        return None
    return [_without_probabilities(row) for row in decoded.iter_rows(named=True)]


def _without_probabilities(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_probabilities(one) for name, one in value.items() if name not in PROBABILITIES}
    if isinstance(value, list | pl.Series):
        return [_without_probabilities(one) for one in value]
    return value


def _share(tally: NDArray[np.int64], cluster: NDArray[np.int64], seed: int) -> Interval:
    """The share of what is alike. tally: (rows, 2) how many are alike in each row, and how many there are."""
    how = Resampling(RESAMPLES, CONFIDENCE, seed)
    by_unit = summed(tally, cluster)
    totals = resampled_totals(by_unit, how)
    unit = "rows" if len(by_unit) == len(tally) else f"{len(by_unit)} units of one person's or of like rows"
    value = float(tally[:, 0].sum() / tally[:, 1].sum())
    found = percentile(value, divided(totals[:, 0], totals[:, 1]), how, unit)
    return widened(found, effective(by_unit[:, 1]), CONFIDENCE)


def _latency(form: Form, own: Answers) -> Finding:
    """The median, with an interval by order statistics (Conover 1999, section 3.2): it asks nothing of the distribution."""
    from scipy.stats import binom

    times = np.sort(np.asarray(form.milliseconds, dtype=np.float64))
    common: dict[str, Any] = {"n": len(times), "unit": "ms", "of": form.of, "on": own.digest, "split": "test"}
    if len(times) < FEWEST:
        because = f"insufficient evidence: {len(times)} rows, at least {FEWEST} are needed"
        return Finding(AREA, "latency", None, because=because, **common)
    low = int(binom.ppf((1 - CONFIDENCE) / 2, len(times), 0.5)) - 1
    return Finding(
        AREA,
        "latency",
        float(np.median(times)),
        low=float(times[max(low, 0)]),
        high=float(times[len(times) - 1 - max(low, 0)]),
        confidence=CONFIDENCE,
        method=f"median {form.clock} of texts answered one by one in one thread of the machine that ran this",
        **common,
    )


def _size(form: Form) -> Finding:
    size = form.bytes / 1e6
    return Finding(
        AREA, "size", size, low=size, high=size, method="bytes of its files", unit="MB", of=form.of
    )

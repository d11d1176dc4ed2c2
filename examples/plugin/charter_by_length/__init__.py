"""An audit for Charter: the headline score by text length, so that a model that fails on short texts shows it."""

from typing import Annotated

import numpy as np
import polars as pl
from pydantic import Field

from charter.audits.case import Answers, Audit, Case
from charter.audits.measuring import interval, measured
from charter.audits.resampling import Resampling
from charter.runs.findings import Finding


def by_length(
    *,
    parts: Annotated[int, Field(ge=2, le=10, description="equal-sized parts, from short to long")] = 4,
    resamples: Annotated[int, Field(ge=100, description="bootstrap resamples")] = 1000,
    minimum_n: Annotated[int, Field(ge=1, description="fewer rows are no evidence")] = 30,
) -> Audit:
    """Measure the task's headline score on texts of each length part, with bootstrap intervals."""

    def measure(case: Case) -> list[Finding]:
        test, how = case.answers["test"], Resampling(resamples, 0.95, case.seed)
        length = test.rows[case.columns.text].cast(pl.String).str.len_chars().to_numpy()
        part_of = np.argsort(np.argsort(length, kind="stable")) * parts // max(len(length), 1)
        return [
            _part(case, np.flatnonzero(part_of == part), f"part {part + 1} of {parts}", how, minimum_n)
            for part in range(parts)
        ]

    return measure


def _part(case: Case, at: np.ndarray, name: str, how: Resampling, minimum_n: int) -> Finding:
    test, score = case.answers["test"], (case.task.headline, "")
    common = {"slice": {"length": name}, "n": len(at), "of": case.of, "on": test.digest, "split": "test"}
    if len(at) < minimum_n:
        because = f"insufficient evidence: {len(at)} rows, at least {minimum_n} are needed"
        return Finding("length", score[0], None, because=because, **common)
    outputs = [test.outputs[one] for one in at.tolist()]
    rows = test.rows.gather(at)
    found = interval(measured(case, Answers(rows, outputs, test.digest), outputs, how), score, how)
    return Finding(
        "length",
        score[0],
        found.value,
        low=found.low,
        high=found.high,
        confidence=how.confidence,
        method=found.method,
        **common,
    )

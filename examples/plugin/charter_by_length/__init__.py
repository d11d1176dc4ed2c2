"""An audit for Charter: the headline score by text length, so that a model that fails on short texts shows it."""

from typing import Annotated

import numpy as np
import polars as pl
from pydantic import Field

from charter.audits.case import Audit, Case
from charter.runs.findings import Finding


def by_length(
    *,
    parts: Annotated[int, Field(ge=2, le=10, description="equal-sized parts, from short to long")] = 4,
    resamples: Annotated[int, Field(ge=100)] = 1000,
    minimum_n: Annotated[int, Field(ge=1)] = 30,
) -> Audit:
    """Measure the task's headline score on texts of each length part, with bootstrap intervals."""

    def measure(case: Case) -> list[Finding]:
        test = case.answers["test"]
        tally = case.task.tally(test.outputs, test.rows, case.columns)
        length = test.rows[case.columns.text].cast(pl.String).str.len_chars().to_numpy()
        part_of = np.argsort(np.argsort(length, kind="stable")) * parts // max(len(length), 1)
        rng = np.random.default_rng(case.seed)
        found = []
        for part in range(parts):
            rows = np.flatnonzero(part_of == part)
            where = {"length": f"part {part + 1} of {parts}"}
            if len(rows) < minimum_n:
                because = f"insufficient evidence: {len(rows)} rows, at least {minimum_n} are needed"
                found.append(
                    Finding("length", case.task.headline, None, slice=where, because=because, split="test")
                )
                continue
            draws = rng.choice(rows, size=(resamples, len(rows)))
            values = case.task.scores(tally[draws].sum(axis=1).astype(float))[case.task.headline, ""]
            low, high = np.nanquantile(values, [0.025, 0.975])
            value = case.task.scores(tally[rows].sum(axis=0).astype(float))[case.task.headline, ""]
            found.append(
                Finding(
                    "length",
                    case.task.headline,
                    float(value),
                    low=float(low),
                    high=float(high),
                    confidence=0.95,
                    n=len(rows),
                    slice=where,
                    method=f"percentile bootstrap, {resamples} resamples",
                    of=case.of,
                    on=test.digest,
                    split="test",
                )
            )
        return found

    return measure

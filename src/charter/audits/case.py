"""What an audit is given, and what an audit is."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from charter.audits.siblings import Siblings
from charter.data.columns import Columns, SplitName
from charter.runs.findings import Finding
from charter.tasks.baselines import Baseline
from charter.tasks.task import Outputs, Task


@dataclass(frozen=True)
class Answers:
    """A model's raw outputs on the rows of one split, in the same order. `digest` names those rows."""

    rows: pl.DataFrame
    outputs: Outputs
    digest: str


@dataclass(frozen=True)
class FoldedTemperature:
    """What the logits were divided by at release: 1.0, and `because` why, where nothing was fitted.

    splits: the splits it was fitted on, in words; decisions: how many; digest: of those rows. doubt: what is to be said of it.
    """

    value: float = 1.0
    splits: str = ""
    decisions: int = 0
    digest: str = ""
    because: str = ""
    doubt: str = ""


@dataclass(frozen=True)
class Case:
    """One model on one data set, ready to be audited.

    of: the digest of the audited model (each export has its own).
    task: fitted. `train` holds the training rows, from which baselines learn.
    beside: baselines that were made before, on the test rows, besides those that the task makes of `train`.
    reading: how texts were read, in a clause of the scores' method, where the scores depend on it.
    with_baselines: whether models that learn from `train` may stand beside it; under a privacy budget they may not.
    siblings: what audits of the privacy claim may have made; None where nothing can be trained.
    answers: by split; `test` is always there, `validation` and `calibration` where the split has rows.
    """

    of: str
    task: Task
    columns: Columns
    train: pl.DataFrame
    answers: Mapping[SplitName, Answers]
    temperature: FoldedTemperature
    seed: int
    beside: Sequence[Baseline] = ()
    reading: str = ""
    with_baselines: bool = True
    siblings: Siblings | None = None


Audit = Callable[[Case], list[Finding]]


def by_group(case: Case, test: Answers) -> Iterator[tuple[dict[str, str], Answers]]:
    """The answers to the rows of each value of each group column; rows without a value are a group of their own."""
    for column in case.columns.groups:
        values = test.rows[column].fill_null("(missing)")
        for value in sorted(values.unique().to_list()):
            mask = values == value
            index = np.flatnonzero(mask.to_numpy())
            outputs = [test.outputs[at] for at in index.tolist()]
            yield {column: value}, Answers(test.rows.filter(mask), outputs, test.digest)

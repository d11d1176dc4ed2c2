"""What audits of the privacy claim may ask for: answers of the released model to more rows, and models made as it was made.

The functions come from the pipeline, so no audit knows how training is done. What it trains on other rows is never released: of
a sibling nothing is kept but its answers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from charter.audits.membership import Signals
from charter.data.columns import Columns
from charter.tasks.language_model import SURPRISE, TOKENS, LanguageModel
from charter.tasks.task import Outputs, Task


@dataclass(frozen=True)
class Sibling:
    """A model to be made as the released one was, from these rows with this seed, and the rows that it is to answer.

    kind, number, of: `shadow` model 3 of 8. rows, asked: prepared rows, each with `_row`.
    """

    kind: Literal["shadow", "canary"]
    number: int
    of: int
    rows: pl.DataFrame
    asked: pl.DataFrame
    seed: int


@dataclass(frozen=True)
class Continuation:
    """Of each text its tokens, and the ones that the model finds likeliest given those before."""

    truth: Sequence[NDArray[np.int64]]
    likeliest: Sequence[NDArray[np.int64]]


@dataclass(frozen=True)
class Siblings:
    """answer: what the audited model says of rows. train: what a sibling says of the rows that it is asked.

    continuation: of a language model, for each row. epsilon: what the charter claims, None where it claims nothing; delta: with
    which; replaced: whether of replacing a row, not of adding or removing one. ordered: a clause where the split is no random one,
    so that test rows differ from training rows by more than membership; else nothing.
    """

    answer: Callable[[pl.DataFrame], Outputs]
    train: Callable[[Sibling], Outputs]
    continuation: Callable[[pl.DataFrame], Continuation]
    epsilon: float | None = None
    delta: float | None = None
    replaced: bool = False
    ordered: str = ""


NOT_GIVEN = "nothing was given to train siblings with, so it can't be measured here"


def of_nobody(rows: pl.DataFrame, columns: Columns) -> pl.DataFrame:
    """Canaries as units of their own: rows of no known person, each of which counts as a person by itself.

    A canary with a person's other rows beside it would be bounded together with them, and its coin would be no person's.
    """
    subject = columns.subject
    if subject is None or subject not in rows.columns:
        return rows
    return rows.with_columns(pl.lit(None, dtype=rows.schema[subject]).alias(subject))


def signals(task: Task, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> Signals | None:
    """What raw outputs say of the truth of rows, (rows,); None for a task that states no probabilities.

    Of a row with several decisions (words, labels), and of a text with many tokens, the mean over them.
    """
    if isinstance(task, LanguageModel):
        sums = np.asarray(outputs, dtype=np.float64).reshape(len(outputs), -1)
        likely = -sums[:, SURPRISE] / np.maximum(sums[:, TOKENS], 1)
        return Signals(likely, _log_odds(likely, -np.expm1(np.minimum(likely, -1e-12))))
    told = task.confidences(outputs, rows, columns)
    if told is None:
        return None
    at = np.arange(len(told.truth))
    others = told.probabilities.copy()
    others[at, told.truth] = 0.0  # their sum keeps its digits where 1 - p has none left
    likely = told.likelihood()
    odds = _log_odds(likely, others.sum(axis=1))
    counts = np.maximum(np.bincount(told.example, minlength=rows.height), 1)
    each = (np.bincount(told.example, weights=one, minlength=rows.height) / counts for one in (likely, odds))
    return Signals(*each)


def _log_odds(likelihood: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = likelihood - np.log(np.maximum(others, 1e-30))
    return found

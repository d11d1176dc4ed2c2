"""What a task is: everything that depends on what is predicted, and nothing else."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from charter.data.batch import Batch, Examples
from charter.data.columns import Columns

if TYPE_CHECKING:
    from torch import Tensor, nn

Outputs = Sequence[NDArray[np.float32]]
"""A model's raw outputs, one array for each example: logits (classes,) or, for token tasks, (words, classes).

A word beyond the length limit, which the model never read, is a row of NaN.
"""

ScoreName = tuple[str, str]
"""(metric, class); class is "" for a score over all classes: ("macro_f1", ""), ("recall", "negative")."""


@dataclass(frozen=True)
class Confidences:
    """What calibration reads: one entry per decision (a text, or a word).

    logits, probabilities: (decisions, classes); rows of probabilities add up to 1.
    truth: (decisions,) class indices.
    example: (decisions,) the example that each decision belongs to.
    """

    logits: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    truth: NDArray[np.int64]
    example: NDArray[np.int64]


class Task(ABC):
    """What is predicted: the head, the loss of each example, how outputs are decoded and how they are scored.

    A task is frozen. As the charter makes it, it has no labels yet; `fit` returns one that has.

    Scores come in two kinds. Those made of counts (accuracy, F1, entity F1) go through `tally`, a row of counts per
    example, and `scores`, which reads sums of such rows: any subset, group or bootstrap resample is then a sum. Those
    made of ranks (AUROC, AUPRC) go through `ranking_scores` with a weight for each example.
    """

    name: ClassVar[str]
    headline: ClassVar[str]
    """The score that early stopping and the comparison with the baselines read; higher is better."""
    auto_model: ClassVar[str]
    """The transformers Auto class whose head fits this task."""
    averages: ClassVar[Mapping[str, str]] = {}
    """Scores over all classes that are the mean of a score of each: `macro_f1` of `f1`."""
    correlations: ClassVar[Mapping[str, str]] = {}
    """Scores that are no shares, and the score of classes whose uncertainty they can't be without: `mcc`, `recall`."""
    reads_words: ClassVar[bool] = False
    """Whether it gives the tokenizer lists of words instead of texts."""
    labels: tuple[str, ...]

    @abstractmethod
    def fit(self, rows: pl.DataFrame, columns: Columns) -> Self:
        """The same task with its labels, found in `rows`.

        Raises:
            DataError: rows that are not of this task (a column of the wrong type, fewer than two classes).
        """

    @abstractmethod
    def examples(
        self,
        rows: pl.DataFrame,
        columns: Columns,
        tokenizer: Any,
        max_length: int,
        *,
        with_targets: bool = True,
    ) -> Examples:
        """Encode rows for the model, in their order."""

    @abstractmethod
    def loss(self, model: "nn.Module", batch: Batch, class_weights: "Tensor | None" = None) -> "Tensor":
        """One loss per example, shape (batch,): cross-entropy, for token tasks the mean over the example's words."""

    @abstractmethod
    def outputs(self, model: "nn.Module", batch: Batch, examples: Examples) -> list[NDArray[np.float32]]:
        """The raw outputs of a batch, one array per example, on the CPU. Call it without gradients."""

    @abstractmethod
    def decode(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> pl.DataFrame:
        """The answers people read, one row per example in order.

        Classification: `prediction` String, `probability` Float64, `probabilities` Struct{label: Float64}.
        Token classification: `entities` List[Struct{label, start, end, text, probability}].
        """

    @abstractmethod
    def tally(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> NDArray[np.int64]:
        """Counts per example, shape (n, m), whose sums `scores` reads."""

    @abstractmethod
    def scores(self, totals: NDArray[np.float64]) -> Mapping[ScoreName, NDArray[np.float64]]:
        """Scores from sums of tallies: totals (..., m) -> each score (...). NaN where a score is not defined."""

    @abstractmethod
    def evidence(self, tally: NDArray[np.int64]) -> Mapping[ScoreName, Sequence[NDArray[np.float64]]]:
        """The decisions that each share rests on: tallies (units, m) -> one or more counts (units,) by score.

        A recall rests on the true ones of its class, a precision on the predicted ones. A score that needs two kinds
        (an AUROC: positives and negatives) rests on the fewer of them. Averages and correlations are left out.
        """

    @abstractmethod
    def ranking_scores(
        self, outputs: Outputs, rows: pl.DataFrame, columns: Columns, weights: NDArray[np.float64]
    ) -> Mapping[ScoreName, NDArray[np.float64]]:
        """Scores of ranks under example weights: weights (r, n) -> each score (r,); empty where the task has none."""

    @abstractmethod
    def confidences(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> Confidences:
        """Probabilities and truth of each decision, for calibration."""

    @abstractmethod
    def support(self, rows: pl.DataFrame, columns: Columns) -> Mapping[str, int]:
        """How often each class truly occurs (rows of the class, or true entities of the type)."""

    @abstractmethod
    def confusion(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> NDArray[np.int64] | None:
        """The confusion matrix (truth x prediction), or None where the task has none."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """What a bundle needs to rebuild the task: JSON, read again by `charter.tasks.restore`."""

"""What a task is: everything that depends on what is predicted, and nothing else."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from charter.data.batch import Batch, Examples
from charter.data.columns import Columns, Form, SplitName
from charter.tasks.baselines import Baseline
from charter.tasks.kept import ONE_CLASS, OneClass
from charter.tasks.objective import Objective
from charter.tasks.scoring import softmax

if TYPE_CHECKING:
    from torch import Tensor, nn

Outputs = Sequence[NDArray[np.float32]]
"""A model's raw outputs, one array for each example: logits (classes,) or, for token tasks, (words, classes).

A word beyond the length limit, which the model never read, is a row of NaN.
"""

ScoreName = tuple[str, str]
"""(metric, class); class is "" for a score over all classes: ("macro_f1", ""), ("recall", "negative")."""

Link = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Raw outputs (decisions, outputs) -> probabilities (decisions, classes), rows adding up to 1."""

Masked = Callable[[pl.DataFrame, str], list[Any]]
"""(rows with `_row`, column) -> its texts or lists of words with personal data masked, in order."""


@dataclass(frozen=True)
class Head:
    """What a task puts on a base, in transformers' own terms.

    auto_model: the Auto class. outputs: a name for each number that the head gives, `id2label` of the released model.
    problem_type: of its config, so that plain transformers reads the outputs rightly; None leaves it unsaid.
    descriptions: a text for each output, from whose vectors the head starts; none: it starts at random.
    """

    auto_model: str
    outputs: tuple[str, ...]
    problem_type: str | None = None
    descriptions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Confidences:
    """What calibration reads: one entry per decision (a text, a word, or a label of a text).

    logits: (decisions, outputs), which a temperature divides; `link` makes probabilities (decisions, classes) of them.
    truth: (decisions,) class indices. example: (decisions,) the example that each decision belongs to.
    answer: (decisions,) the class that is answered; None where it is the most probable one.
    of: (decisions,) for yes-or-no decisions, each on one label's presence (class 1), the index of that label; else None.
    """

    logits: NDArray[np.float64]
    truth: NDArray[np.int64]
    example: NDArray[np.int64]
    link: Link = softmax
    answer: NDArray[np.int64] | None = None
    of: NDArray[np.int64] | None = None

    @cached_property
    def probabilities(self) -> NDArray[np.float64]:
        """(decisions, classes)."""
        return self.link(self.logits)

    @property
    def answers(self) -> NDArray[np.int64]:
        """(decisions,) the class that is answered."""
        best: NDArray[np.int64] = self.probabilities.argmax(axis=1) if self.answer is None else self.answer
        return best

    @property
    def stated(self) -> NDArray[np.float64]:
        """(decisions,) the probability that people are told: of the answer or, of labels, of the label's presence."""
        chosen = self.answers if self.of is None else np.ones(len(self.truth), dtype=np.int64)
        told: NDArray[np.float64] = self.probabilities[np.arange(len(self.truth)), chosen]
        return told

    @property
    def came_true(self) -> NDArray[np.bool_]:
        """(decisions,) whether what `stated` is the probability of is so."""
        true: NDArray[np.bool_] = self.truth == (1 if self.of is not None else self.answers)
        return true

    def likelihood(self, temperature: float = 1.0) -> NDArray[np.float64]:
        """(decisions,) the log-likelihood of the truth in nats, with the logits divided by `temperature`."""
        shares = self.probabilities if temperature == 1.0 else self.link(self.logits / temperature)
        likely: NDArray[np.float64] = np.log(
            np.clip(shares[np.arange(len(self.truth)), self.truth], 1e-30, None)
        )
        return likely


@dataclass(frozen=True)
class Intervals:
    """Prediction intervals, one per example: `low` and `high`, the `truth`, and the coverage that they promise.

    said: how they were made, a sentence of the evidence.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    truth: NDArray[np.float64]
    promised: float
    said: str


@dataclass(frozen=True)
class Mistakes:
    """Which examples are answered wrongly, (n,), and how sure the model was of it (the larger, the more it matters)."""

    wrong: NDArray[np.bool_]
    surest: NDArray[np.float64]


@dataclass(frozen=True)
class HeldOut:
    """The released model's outputs on the rows of a split; no rows where the split is empty."""

    rows: pl.DataFrame
    outputs: Outputs


class Task(Objective):
    """What is predicted: the head, the loss of each example, how outputs are decoded and how they are scored.

    A task is frozen. As the charter makes it, it has no labels yet; `fit` returns one that has; `finished` one that fits
    the model as it is saved; `settle` one that also holds what is fitted on held-out rows (thresholds, intervals).

    Scores come in two kinds. Those made of sums (accuracy, F1, entity F1, squared errors) go through `tally`, a row of
    numbers per example, and `scores`, which reads sums of such rows: any subset, group or bootstrap resample is then a
    sum. Those made of ranks (AUROC, AUPRC, Spearman) go through `ranking_scores` with a weight for each example.

    What a task has not - probabilities, intervals, a matrix, baselines - it leaves to the defaults, which say None or
    nothing; audits and the report read that and never ask which task it is.
    """

    headline: ClassVar[str]
    """The score that early stopping and the comparison with the baselines read; higher is better."""
    averages: ClassVar[Mapping[str, str]] = {}
    """Scores over all classes that are the mean of a score of each: `macro_f1` of `f1`."""
    correlations: ClassVar[Mapping[str, str]] = {}
    """Scores that are no shares, and the score of classes whose uncertainty they can't be without: `mcc`, `recall`."""
    quotients: ClassVar[tuple[str, ...]] = ()
    """Scores that are told as a multiple of a baseline's, beside how much higher the headline is: perplexity."""
    reads_words: ClassVar[bool] = False
    """Whether it gives the tokenizer lists of words instead of texts."""
    chosen_by_loss: ClassVar[bool] = False
    """Whether the best checkpoint is that of the lowest loss on validation, not of the highest headline."""
    streams: ClassVar[bool] = False
    """Whether it learns from documents that are encoded into a file, by `encoded`, so that they may be more than memory holds."""
    extends: ClassVar[bool] = False
    """Whether a fitted head of this task can go on, with more classes where there are: `extended`."""
    grows: ClassVar[bool] = True
    """Whether classes can be added to a head that goes on."""
    kept: ClassVar[OneClass] = ONE_CLASS
    """What its answers are like, for what holds on to an earlier model's."""
    writes: ClassVar[bool] = False
    """Whether its model writes a text on, token by token."""
    fills: ClassVar[bool] = False
    """Whether its model finds hidden tokens by the text on both sides."""
    labels: tuple[str, ...]
    """The classes, () for a task without classes."""

    @property
    def form(self) -> Form:
        """What the target's cells are and which inputs must be filled; it is asked before any row is read."""
        return Form()

    @property
    @abstractmethod
    def head(self) -> Head:
        """What is put on a base; known once the task is fitted."""

    @abstractmethod
    def fit(self, rows: pl.DataFrame, columns: Columns) -> Self:
        """The same task with its labels, found in `rows`; SPLIT tells training rows from others.

        Raises:
            DataError: rows that are not of this task (a column of the wrong type, fewer than two classes).
        """

    def extended(self, rows: pl.DataFrame, columns: Columns, earlier: Sequence[str]) -> Self:
        """As `fit`, with the classes `earlier` first, whether there are rows of them or not; asked of tasks that extend only.

        Raises:
            DataError: rows that are not of this task.
        """
        del rows, columns, earlier
        raise NotImplementedError(f"the head of task {self.name} can't go on")

    # Learning: `loss` gives the cross-entropy of each example, of token tasks the mean over the example's words

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

    def encoded(
        self, chunks: Iterable[pl.DataFrame], columns: Columns, tokenizer: Any, max_length: int, folder: Path
    ) -> Examples:
        """Encode rows that are given chunk by chunk into `folder`; asked of tasks that stream only."""
        raise NotImplementedError(f"task {self.name} learns from rows in memory")

    def fed(self, batch: Batch) -> "dict[str, Tensor]":
        """What the model is called with for a batch, by name."""
        return dict(batch.inputs)

    def mean_loss(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> float:
        """The loss of validation rows in one number: the mean negative log-likelihood of the decisions, in nats."""
        told = self.confidences(outputs, rows, columns)
        return float("nan") if told is None else float(-told.likelihood().mean())

    def finished(self, model: "nn.Module") -> Self:
        """Put what is fitted beside the model (a target's scale) into its weights; the task that fits it then."""
        del model
        return self

    def reading(self, max_length: int) -> str:
        """How texts are read, in a clause of the scores' method, where the scores depend on it; else nothing."""
        del max_length
        return ""

    def begun(self, model: Any, seed: int) -> Any:
        """The model with what learns beside it, new weights drawn by `seed`; most tasks have nothing beside it."""
        del seed
        return model

    def parted(self, model: Any, folder: Path) -> Any:
        """The model that is released, of what learned; what learned beside it is written to `folder`."""
        del folder
        return model

    def rejoined(self, model: Any, folder: Path) -> Any:
        """The released model with what `parted` wrote beside it, for judging."""
        del folder
        return model

    # Answering

    @abstractmethod
    def outputs(self, model: "nn.Module", batch: Batch, examples: Examples) -> list[NDArray[np.float32]]:
        """The raw outputs of a batch, one array per example, on the CPU. Call it without gradients."""

    def tempered(self, outputs: Outputs, temperature: float) -> Outputs:
        """The outputs as they would be with all logits divided by `temperature`."""
        return [np.asarray(one) / np.float32(temperature) for one in outputs]

    def settle(self, held_out: Callable[[SplitName], HeldOut], columns: Columns) -> Self:
        """The same task with what its answers need besides the model, fitted on held-out rows of the released model.

        `held_out` answers a split when it is asked for, "calibration" or "validation", and never the test split.
        """
        del held_out, columns
        return self

    @abstractmethod
    def decode(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> pl.DataFrame:
        """The answers people read, one row per example in order.

        Classification: `prediction` String, `probability` Float64, `probabilities` Struct{label: Float64}.
        A text's vector: `embedding` List[Float32]. A choice: `choice` Int64, `text`, `probability`, `probabilities`.
        A question: `answer` String, `start`, `end` Int64, `probability`.
        Several labels: `predictions` List[String], `probabilities`. A number: `prediction`, `low`, `high` Float64.
        Token classification: `entities` List[Struct{label, start, end, text, probability}].
        """

    def asked(self, inputs: Mapping[str, str]) -> Mapping[str, str]:
        """Which of the charter's inputs a new row must have to be answered."""
        return dict(inputs)

    def companions(self, config: Any, max_length: int) -> Mapping[str, str]:
        """Files that stand beside the model in a bundle, name -> content, so that other libraries read it rightly.

        config: the model's own, as transformers has it.
        """
        del config, max_length
        return {}

    # Scoring

    @abstractmethod
    def tally(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> NDArray[Any]:
        """Numbers per example, shape (n, m), whose sums `scores` reads: counts, or errors and their squares."""

    @abstractmethod
    def scores(self, totals: NDArray[np.float64]) -> Mapping[ScoreName, NDArray[np.float64]]:
        """Scores from sums of tallies: totals (..., m) -> each score (...). NaN where a score is not defined."""

    @abstractmethod
    def evidence(self, tally: NDArray[Any]) -> Mapping[ScoreName, Sequence[NDArray[np.float64]]]:
        """The decisions that each share rests on: tallies (units, m) -> one or more counts (units,) by score.

        A recall rests on the true ones of its class, a precision on the predicted ones. A score that needs two kinds
        (an AUROC: positives and negatives) rests on the fewer of them. Averages, correlations and scores that are no
        shares are left out.
        """

    def reach(self, metric: str) -> float:
        """The largest value of a score that rests on decisions: 1 for a share, more for an error in ranks."""
        del metric
        return 1.0

    def ranking_scores(
        self, outputs: Outputs, rows: pl.DataFrame, columns: Columns, weights: NDArray[np.float64]
    ) -> Mapping[ScoreName, NDArray[np.float64]]:
        """Scores of ranks under example weights: weights (r, n) -> each score (r,); empty where the task has none."""
        del outputs, rows, columns, weights
        return {}

    def support(self, rows: pl.DataFrame, columns: Columns) -> Mapping[str, int]:
        """How often each class truly occurs (rows of the class, or true entities of the type)."""
        del rows, columns
        return {}

    # Evidence

    def confidences(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> Confidences | None:
        """Probabilities and truth of each decision, for calibration; None where the task states no probabilities."""
        del outputs, rows, columns
        return None

    def intervals(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> Intervals | None:
        """Prediction intervals and the truth, for calibration; None where the task states none."""
        del outputs, rows, columns
        return None

    def picture(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> Mapping[str, Any] | None:
        """Answers against truth as counts, for a plot; None where there is none.

        `{"kind": "matrix", "labels", "counts"}`, truth by prediction, or `{"kind": "density", "edges", "counts"}`, bins of
        the truth by bins of the prediction.
        """
        del outputs, rows, columns
        return None

    def baselines(
        self,
        train: pl.DataFrame,
        test: pl.DataFrame,
        columns: Columns,
        *,
        others: pl.DataFrame,
        seed: int,
    ) -> Sequence[Baseline]:
        """Cheap models that learned from `train`, with their outputs on `test`: a trivial one first, then a strong one.

        others: rows that are neither learned from nor tested on. What is common is counted in them too: training rows
        may have been balanced.
        """
        del train, test, columns, others, seed
        because = f"no baseline is written for task {self.name}"
        return [Baseline("majority", None, because)]

    def searched(self, rows: pl.DataFrame, columns: Columns) -> int | None:
        """Among how many different texts each row's search looks; None for a task that searches nothing."""
        del rows, columns
        return None

    def mistakes(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> Mistakes | None:
        """Which rows are answered wrongly; None for a task whose mistakes can't be shown."""
        del outputs, rows, columns
        return None

    def shown(
        self, outputs: Outputs, rows: pl.DataFrame, columns: Columns, masked: Masked
    ) -> list[dict[str, Any]]:
        """A few rows for the report, as JSON: `text`, `truth`, `answer` and more; or words with entities."""
        del outputs, rows, columns, masked
        return []

    # Keeping

    @property
    def options(self) -> Mapping[str, Any]:
        """The options that the task was made with, as JSON."""
        return {}

    @property
    def fitted(self) -> Mapping[str, Any]:
        """What was fitted besides the labels, as JSON."""
        return {}

    def with_fitted(self, fitted: Mapping[str, Any]) -> Self:
        """The same task with what `fitted` told."""
        del fitted
        return self

    def state(self) -> dict[str, Any]:
        """What a bundle needs to rebuild the task: JSON, read again by `charter.tasks.restore`."""
        return {
            "use": self.name,
            "options": dict(self.options),
            "labels": list(self.labels),
            "fitted": dict(self.fitted),
        }

    def restored(self, state: Mapping[str, Any]) -> Self:
        """This task, as it was made, with the labels and the rest that `state` told."""
        labelled: Self = replace(self, labels=tuple(state["labels"]))  # type: ignore[type-var]
        return labelled.with_fitted(state.get("fitted") or {})

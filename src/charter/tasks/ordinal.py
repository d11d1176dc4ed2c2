"""Ordinal classification: classes that have an order, such as ratings; a near miss costs less than a far one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from charter.data.batch import Batch, Examples
from charter.data.columns import Columns, Form
from charter.errors import DataError
from charter.tasks import baselines, classwise
from charter.tasks.classification import (
    check_texts,
    classes_of,
    decoded_classes,
    indices_of,
    inverse_frequencies,
    text_examples,
)
from charter.tasks.kept import OneClass, Steps
from charter.tasks.scoring import divided, logit, sigmoid
from charter.tasks.task import Confidences, Head, Masked, Mistakes, Outputs, ScoreName, Task

if TYPE_CHECKING:
    from torch import Tensor, nn

MOST_RANKS = 100


def ordinal(
    *,
    order: Annotated[
        tuple[str | int | float, ...] | None,
        Field(description="the classes from the lowest to the highest; default: by their numbers"),
    ] = None,
) -> Task:
    """One of several ordered classes for each text, learned by CORN."""
    return Ordinal(order=None if order is None else tuple(_as_label(one) for one in order))


def _as_label(value: str | int | float) -> str:
    """A value of the charter as reading writes it: 3.0 and 3 are one label."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


@dataclass(frozen=True)
class Ordinal(Task):
    """Each text has one of K ordered classes. Outputs are K - 1 logits of "above class k, given at least class k".

    That is CORN (Shi, Cao and Raschka 2021): a plain linear head, and probabilities of "above class k" that never rise
    with k, as they are products. The answer is the median of the distribution over classes.
    """

    labels: tuple[str, ...] = ()
    order: tuple[str, ...] | None = None
    name: str = "ordinal"
    headline: ClassVar[str] = "quadratic_weighted_kappa"
    extends: ClassVar[bool] = True
    grows: ClassVar[bool] = False
    kept: ClassVar[OneClass] = Steps()
    averages: ClassVar[Mapping[str, str]] = {
        "macro_precision": "precision",
        "macro_recall": "recall",
        "macro_f1": "f1",
        "macro_mae": "mae",
    }
    correlations: ClassVar[Mapping[str, str]] = {"quadratic_weighted_kappa": "recall"}

    @property
    def form(self) -> Form:
        """A class per row."""
        return Form("label")

    @property
    def head(self) -> Head:
        """A logit for each step from one class to the next."""
        steps = tuple(f"> {label}" for label in self.labels[:-1])
        return Head("AutoModelForSequenceClassification", steps, "multi_label_classification")

    @property
    def options(self) -> Mapping[str, Any]:
        """The order, as the charter says it."""
        return {"order": None if self.order is None else list(self.order)}

    def fit(self, rows: pl.DataFrame, columns: Columns) -> Self:
        """The task with its classes in their order.

        Raises:
            DataError: classes without an order, or that the order lacks; fewer than two, more than 100.
        """
        check_texts(self.name, rows, columns)
        found, target = classes_of(self.name, rows, columns), str(columns.target)
        if self.order is None:
            numbers = [_number(label) for label in found]
            if None in numbers:
                raise DataError(
                    f"task ordinal: {numbers.count(None)} of the {len(found)} classes in column '{target}' are no "
                    "numbers; say their order, from the lowest to the highest: task: {use: ordinal, order: [low, high]}"
                )
            labels = tuple(sorted(found, key=lambda label: float(label)))
        else:
            unordered = rows.filter(~pl.col(target).is_in(list(self.order))).height
            if unordered or len(set(self.order)) < len(self.order):
                what = "a class stands twice"
                if unordered:
                    what = f"{unordered} of {rows.height} rows of column '{target}' have a class that it does not name"
                raise DataError(f"task ordinal: option order ({', '.join(self.order)}): {what}")
            labels = self.order
        if len(labels) > MOST_RANKS:
            raise DataError(
                f"task ordinal: column '{target}' has {len(labels)} classes, at most {MOST_RANKS} are accepted; "
                "task regression predicts numbers"
            )
        return replace(self, labels=labels)

    def extended(self, rows: pl.DataFrame, columns: Columns, earlier: Sequence[str]) -> Self:
        """As `fit`, with the classes `earlier` in their order, whether there are rows of each or not.

        Raises:
            DataError: there are others: between two classes of a head that has learned no third can be put.
        """
        fitted = self.fit(rows, columns)
        if not earlier:
            return fitted
        others = [one for one in fitted.labels if one not in earlier]
        if others or (self.order is not None and self.order != tuple(earlier)):
            raise DataError(
                f"task ordinal: the earlier head has the classes {', '.join(earlier)} in this order, and here they are "
                f"{', '.join(fitted.labels)}: no class can be put between those it has learned. Give rows of these classes, or "
                "start from the bundle without its head (model: {head: replace}, no section continual)"
            )
        return replace(self, labels=tuple(earlier))

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
        targets = self._truth(rows, columns) if with_targets else None
        return text_examples(rows, columns, tokenizer, max_length, targets)

    def loss(self, model: "nn.Module", batch: Batch, class_weights: "Tensor | None" = None) -> "Tensor":
        """CORN's loss (Shi et al. 2021, equation 7) of each text, summed over its steps, shape (batch,).

        A step counts for texts of at least its class. The sum is the negative log-likelihood of the true class.
        """
        import torch
        from torch.nn import functional as F

        logits = model(**batch.inputs).logits.float()
        assert batch.targets is not None
        truth, steps = batch.targets[:, None], torch.arange(logits.shape[1], device=logits.device)
        each = F.binary_cross_entropy_with_logits(logits, (truth > steps).float(), reduction="none")
        loss = (each * (truth >= steps)).sum(dim=1)
        return loss if class_weights is None else loss * class_weights[batch.targets]

    def balance(self, examples: Examples) -> NDArray[np.float32]:
        """(classes,) inverse frequencies of the classes, with mean 1 over the rows."""
        return inverse_frequencies(np.asarray(examples.targets, dtype=np.int64), len(self.labels))

    def outputs(self, model: "nn.Module", batch: Batch, examples: Examples) -> list[NDArray[np.float32]]:
        """The logits (classes - 1,) of each text."""
        del examples
        return list(model(**batch.inputs).logits.float().cpu().numpy())

    def decode(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> pl.DataFrame:
        """`prediction`, the median class, its `probability`, and `probabilities` of all classes."""
        del rows, columns
        logits = self._logits(outputs)
        return decoded_classes(self.labels, class_shares(logits), median_class(logits))

    def tally(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> NDArray[np.int64]:
        """(n, 4 classes + 1): rightly found, predicted, true, ranks off by true class, each per class; ranks off squared."""
        classes = len(self.labels)
        truth, answer = self._truth(rows, columns), median_class(self._logits(outputs))
        counts = np.zeros((len(truth), 4 * classes + 1), dtype=np.int64)
        at = np.arange(len(truth))
        counts[at, truth] = truth == answer
        counts[at, classes + answer] = 1
        counts[at, 2 * classes + truth] = 1
        counts[at, 3 * classes + truth] = np.abs(truth - answer)
        counts[:, -1] = (truth - answer) ** 2
        return counts

    def scores(self, totals: NDArray[np.float64]) -> Mapping[ScoreName, NDArray[np.float64]]:
        """Quadratic weighted kappa (Cohen 1968), MAE in ranks, overall and macro-averaged, accuracy, and F1 by class.

        Macro MAE is the mean over the classes that truly occur of their own MAE (Baccianella et al. 2009).
        """
        right, predicted, true, off = np.split(totals[..., :-1], 4, axis=-1)
        ranks = np.arange(len(self.labels), dtype=np.float64)
        n = true.sum(axis=-1)
        t, p = (true * ranks).sum(axis=-1), (predicted * ranks).sum(axis=-1)
        by_chance = ((true + predicted) * ranks**2).sum(axis=-1) - 2 * divided(t * p, n)
        each = divided(off, true)
        found: dict[ScoreName, NDArray[np.float64]] = {
            ("quadratic_weighted_kappa", ""): 1
            - divided(totals[..., -1], np.where(by_chance > 1e-9, by_chance, 0.0)),
            ("mae", ""): divided(off.sum(axis=-1), n),
            ("macro_mae", ""): divided(np.nan_to_num(each).sum(axis=-1), (true > 0).sum(axis=-1)),
            ("accuracy", ""): divided(right.sum(axis=-1), n),
        }
        found |= {("mae", label): each[..., index] for index, label in enumerate(self.labels)}
        return found | classwise.scores_by_class(self.labels, right, predicted, true)

    def evidence(self, tally: NDArray[Any]) -> Mapping[ScoreName, Sequence[NDArray[np.float64]]]:
        """Rows for accuracy and MAE; of each class the true ones, the predicted ones, or both by half."""
        _, predicted, true, _ = np.split(tally[:, :-1].astype(np.float64), 4, axis=1)
        rows = (true.sum(axis=1),)
        found: dict[ScoreName, Sequence[NDArray[np.float64]]] = {("accuracy", ""): rows, ("mae", ""): rows}
        found |= {("mae", label): (true[:, index],) for index, label in enumerate(self.labels)}
        return found | classwise.evidence_by_class(self.labels, predicted, true)

    def reach(self, metric: str) -> float:
        """An answer is at most as many ranks off as there are steps from the first class to the last."""
        return len(self.labels) - 1.0 if metric in ("mae", "macro_mae") else 1.0

    def support(self, rows: pl.DataFrame, columns: Columns) -> Mapping[str, int]:
        """Rows of each class."""
        counts = np.bincount(self._truth(rows, columns), minlength=len(self.labels))
        return {label: int(count) for label, count in zip(self.labels, counts, strict=True)}

    def confidences(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> Confidences:
        """One decision per text."""
        logits, truth = self._logits(outputs), self._truth(rows, columns)
        at = np.arange(len(truth), dtype=np.int64)
        return Confidences(logits, truth, at, link=class_shares, answer=median_class(logits))

    def picture(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> Mapping[str, Any]:
        """The confusion matrix, classes in their order."""
        answer = median_class(self._logits(outputs))
        return classwise.matrix(self.labels, self._truth(rows, columns), answer)

    def baselines(
        self,
        train: pl.DataFrame,
        test: pl.DataFrame,
        columns: Columns,
        *,
        others: pl.DataFrame,
        seed: int,
    ) -> Sequence[baselines.Baseline]:
        """The majority class, and logistic regression on TF-IDF, whose median class is its answer."""
        truth, classes = self._truth(train, columns), len(self.labels)
        known = np.concatenate([truth, self._truth(others, columns)])
        commonest = int(np.bincount(known, minlength=classes).argmax())
        constant = np.where(np.arange(classes - 1) < commonest, 1.0, -1.0) * baselines.SURE
        trivial = baselines.Baseline("majority", [constant.astype(np.float32)] * test.height)
        name = "tfidf_logistic_regression"
        if len(np.unique(truth)) < 2:
            because = "insufficient evidence: the training rows hold one class only"
            return [trivial, baselines.Baseline(name, None, because)]

        def outputs() -> Outputs:
            shares = baselines.tfidf_classes(train, test, columns, truth, classes, seed)
            return list(step_logits(shares).astype(np.float32))

        return [trivial, baselines.made(baselines.Cheap(name, outputs))]

    def mistakes(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> Mistakes:
        """Texts of which another class was answered than the true one; the further off, the sooner."""
        told = self.confidences(outputs, rows, columns)
        return Mistakes(~told.came_true, np.abs(told.answers - told.truth) + told.stated)

    def shown(
        self, outputs: Outputs, rows: pl.DataFrame, columns: Columns, masked: Masked
    ) -> list[dict[str, Any]]:
        """Texts with their true class, the answer and both probabilities."""
        told = self.confidences(outputs, rows, columns)
        return classwise.shown_classes(self.labels, told, rows, columns, masked)

    def _logits(self, outputs: Outputs) -> NDArray[np.float64]:
        return np.asarray(outputs, dtype=np.float64).reshape(-1, len(self.labels) - 1)

    def _truth(self, rows: pl.DataFrame, columns: Columns) -> NDArray[np.int64]:
        return indices_of(self.labels, rows, columns)


def _number(label: str) -> float | None:
    try:
        found = float(label)
    except ValueError:
        return None
    return found if np.isfinite(found) else None


def above(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, classes - 1): the probability of a class above k, from the logits of each step."""
    return np.asarray(np.cumprod(sigmoid(logits), axis=1), dtype=np.float64)


def class_shares(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, classes): the probability of each class, from the logits of each step."""
    ends = np.ones((len(logits), 1))
    steps = np.concatenate([ends, above(logits), 0 * ends], axis=1)
    return np.asarray(steps[:, :-1] - steps[:, 1:], dtype=np.float64)


def median_class(logits: NDArray[np.float64]) -> NDArray[np.int64]:
    """(n,) the class that the text is as likely above as below: how many steps are more likely taken than not."""
    return np.asarray((above(logits) > 0.5).sum(axis=1), dtype=np.int64)


def step_logits(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, classes - 1): the logits of each step, from the probability of each class; the inverse of `class_shares`."""
    at_least = np.cumsum(shares[:, ::-1], axis=1)[:, ::-1]
    return logit(divided(at_least[:, 1:], np.maximum(at_least[:, :-1], 1e-12)))

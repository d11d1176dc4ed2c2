"""Classification of a text into one of two or more classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from charter.data.batch import Batch, Examples
from charter.data.columns import ROW, Columns
from charter.data.text import encode_texts
from charter.errors import DataError
from charter.tasks.ranking import ranking
from charter.tasks.scoring import divided, softmax
from charter.tasks.task import Confidences, Outputs, ScoreName, Task

if TYPE_CHECKING:
    from torch import Tensor, nn

MOST_CLASSES = 1000


def classification() -> Task:
    """One class out of two or more for each text."""
    return Classification()


@dataclass(frozen=True)
class Classification(Task):
    """Each text has one class. Outputs are logits (classes,) in the order of `labels`."""

    labels: tuple[str, ...] = ()
    name: ClassVar[str] = "classification"
    headline: ClassVar[str] = "macro_f1"
    auto_model: ClassVar[str] = "AutoModelForSequenceClassification"
    averages: ClassVar[Mapping[str, str]] = {
        "macro_precision": "precision",
        "macro_recall": "recall",
        "macro_f1": "f1",
        "auroc": "auroc",
        "auprc": "auprc",
    }
    correlations: ClassVar[Mapping[str, str]] = {"mcc": "recall"}

    def fit(self, rows: pl.DataFrame, columns: Columns) -> Self:
        """The task with the classes found in `rows`, in sorted order.

        Raises:
            DataError: lists instead of texts or classes; fewer than two classes; more than 1,000.
        """
        target = str(columns.target)
        if rows.schema[columns.text] != pl.String or rows.schema[target] != pl.String:
            raise DataError(
                f"task classification: a text and one class per row are expected, columns '{columns.text}' and "
                f"'{target}' hold lists; task token_classification reads those"
            )
        labels = tuple(sorted(rows[target].drop_nulls().unique().to_list()))
        if len(labels) < 2:
            raise DataError(
                f"task classification: column '{target}' has {len(labels)} class(es), at least two are needed"
            )
        if len(labels) > MOST_CLASSES:
            raise DataError(
                f"task classification: column '{target}' has {len(labels)} different values in {rows.height} rows; "
                f"is it a class at all? At most {MOST_CLASSES} classes are accepted"
            )
        return replace(self, labels=labels)

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
        encoded = encode_texts(rows[columns.text].to_list(), tokenizer, max_length)
        return Examples(
            encoded.ids,
            self._truth(rows, columns) if with_targets else None,
            None,
            rows[ROW].to_numpy(),
            encoded.truncated,
            int(tokenizer.pad_token_id),
        )

    def loss(self, model: "nn.Module", batch: Batch, class_weights: "Tensor | None" = None) -> "Tensor":
        """Cross-entropy of each text, shape (batch,)."""
        from torch.nn import functional as F

        logits = model(**batch.inputs).logits.float()
        assert batch.targets is not None
        return F.cross_entropy(logits, batch.targets, weight=class_weights, reduction="none")

    def outputs(self, model: "nn.Module", batch: Batch, examples: Examples) -> list[NDArray[np.float32]]:
        """The logits (classes,) of each text."""
        del examples
        return list(model(**batch.inputs).logits.float().cpu().numpy())

    def decode(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> pl.DataFrame:
        """`prediction`, its `probability`, and `probabilities` of all classes."""
        del rows, columns
        shares = softmax(np.asarray(outputs, dtype=np.float64).reshape(-1, len(self.labels)))
        best = shares.argmax(axis=1)
        return pl.DataFrame(
            {
                "prediction": pl.Series([self.labels[one] for one in best], dtype=pl.String),
                "probability": pl.Series(shares.max(axis=1) if len(shares) else [], dtype=pl.Float64),
                "probabilities": pl.DataFrame(shares, schema=list(self.labels)).to_struct("probabilities"),
            }
        )

    def tally(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> NDArray[np.int64]:
        """(n, 3 classes): rightly found, predicted, true, each per class."""
        classes = len(self.labels)
        truth, best = self._truth(rows, columns), self._best(outputs)
        counts = np.zeros((len(truth), 3 * classes), dtype=np.int64)
        at = np.arange(len(truth))
        counts[at, truth] = truth == best
        counts[at, classes + best] = 1
        counts[at, 2 * classes + truth] = 1
        return counts

    def scores(self, totals: NDArray[np.float64]) -> Mapping[ScoreName, NDArray[np.float64]]:
        """Accuracy, precision, recall, F1 (per class, macro, micro) and MCC from sums of tallies.

        A precision without predictions and a recall without truths are not defined (NaN); in macro averages they count
        as 0, over the classes that occur in truth or prediction, as scikit-learn does. MCC is the multi-class form
        (Gorodkin 2004), 0 where it is 0/0.
        """
        classes = len(self.labels)
        right = totals[..., :classes]
        predicted = totals[..., classes : 2 * classes]
        true = totals[..., 2 * classes :]
        n = true.sum(axis=-1)
        correct = right.sum(axis=-1)
        precision, recall = divided(right, predicted), divided(right, true)
        f1 = divided(2 * right, predicted + true)
        occurs = (predicted + true) > 0
        accuracy = divided(correct, n)
        found: dict[ScoreName, NDArray[np.float64]] = {("accuracy", ""): accuracy, ("micro_f1", ""): accuracy}
        for metric, values in (("precision", precision), ("recall", recall), ("f1", f1)):
            found[f"macro_{metric}", ""] = divided(
                np.where(occurs, np.nan_to_num(values), 0.0).sum(axis=-1), occurs.sum(axis=-1)
            )
            for index, label in enumerate(self.labels):
                found[metric, label] = values[..., index]
        spread = (n**2 - (predicted**2).sum(axis=-1)) * (n**2 - (true**2).sum(axis=-1))
        agree = correct * n - (predicted * true).sum(axis=-1)
        found["mcc", ""] = np.where(spread > 0, agree / np.sqrt(np.where(spread > 0, spread, 1.0)), 0.0)
        return found

    def evidence(self, tally: NDArray[np.int64]) -> Mapping[ScoreName, Sequence[NDArray[np.float64]]]:
        """Rows for accuracy; of each class the true ones, the predicted ones, or both by half; for ranks the rarer side."""
        classes = len(self.labels)
        predicted, true = (
            tally[:, part * classes : (part + 1) * classes].astype(np.float64) for part in (1, 2)
        )
        rows = true.sum(axis=1)
        found: dict[ScoreName, Sequence[NDArray[np.float64]]] = {
            ("accuracy", ""): (rows,),
            ("micro_f1", ""): (rows,),
        }
        for index, label in enumerate(self.labels):
            found["precision", label] = (predicted[:, index],)
            found["recall", label] = (true[:, index],)
            found["f1", label] = ((predicted[:, index] + true[:, index]) / 2,)
            for metric in ("auroc", "auprc"):
                found[metric, label] = (true[:, index], rows - true[:, index])
        return found

    def ranking_scores(
        self, outputs: Outputs, rows: pl.DataFrame, columns: Columns, weights: NDArray[np.float64]
    ) -> Mapping[ScoreName, NDArray[np.float64]]:
        """AUROC and AUPRC of each class against the rest, and their macro average."""
        truth = self._truth(rows, columns)
        shares = softmax(np.asarray(outputs, dtype=np.float64))
        each = [ranking(shares[:, index], truth == index, weights) for index in range(len(self.labels))]
        found: dict[ScoreName, NDArray[np.float64]] = {}
        for metric in ("auroc", "auprc"):
            values = np.stack([getattr(one, metric) for one in each], axis=-1)
            known = np.isfinite(values)
            found[metric, ""] = divided(np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1))
            for index, label in enumerate(self.labels):
                found[metric, label] = values[:, index]
        return found

    def confidences(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> Confidences:
        """One decision per text."""
        truth = self._truth(rows, columns)
        logits = np.asarray(outputs, dtype=np.float64).reshape(-1, len(self.labels))
        return Confidences(logits, softmax(logits), truth, np.arange(len(truth), dtype=np.int64))

    def support(self, rows: pl.DataFrame, columns: Columns) -> Mapping[str, int]:
        """Rows of each class."""
        counts = np.bincount(self._truth(rows, columns), minlength=len(self.labels))
        return {label: int(count) for label, count in zip(self.labels, counts, strict=True)}

    def confusion(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> NDArray[np.int64] | None:
        """(classes, classes) counts, truth by prediction."""
        classes = len(self.labels)
        cells = self._truth(rows, columns) * classes + self._best(outputs)
        return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)

    def state(self) -> dict[str, Any]:
        """What a bundle needs to rebuild the task."""
        return {"use": self.name, "options": {}, "labels": list(self.labels)}

    def _best(self, outputs: Outputs) -> NDArray[np.int64]:
        best: NDArray[np.int64] = (
            np.asarray(outputs, dtype=np.float64).reshape(-1, len(self.labels)).argmax(axis=1)
        )
        return best

    def _truth(self, rows: pl.DataFrame, columns: Columns) -> NDArray[np.int64]:
        index = {label: number for number, label in enumerate(self.labels)}
        found = rows[str(columns.target)].replace_strict(index, default=-1, return_dtype=pl.Int64).to_numpy()
        if (found < 0).any():
            raise DataError(f"column '{columns.target}' has a class that the task was not fitted on")
        return np.asarray(found, dtype=np.int64)

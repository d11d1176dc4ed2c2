"""Classification of a text, or of a pair of texts, into one of two or more classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from charter.data.batch import Batch, Examples
from charter.data.columns import ROW, Columns, Form
from charter.data.text import encode_rows
from charter.errors import DataError
from charter.tasks import baselines, classwise
from charter.tasks.scoring import divided, softmax
from charter.tasks.task import Confidences, Head, Masked, Mistakes, Outputs, ScoreName, Task

if TYPE_CHECKING:
    from torch import Tensor, nn

MOST_CLASSES = 1000
ONE, PAIR = Form(), Form("label", every_input=True)


def classification(
    *,
    descriptions: Annotated[
        dict[str, Annotated[str, Field(min_length=1)]] | None,
        Field(
            description="class -> what its texts are, in a sentence: the head starts from them, so a class may do without rows",
        ),
    ] = None,
) -> Task:
    """One class out of two or more for each text."""
    return Classification(descriptions=descriptions or {})


def text_pair_classification() -> Task:
    """One class out of two or more for each pair of texts: entailment, paraphrase, an answer to a question."""
    return Classification(name="text_pair_classification", form=PAIR)


@dataclass(frozen=True)
class Classification(Task):
    """Each text has one class. Outputs are logits (classes,) in the order of `labels`.

    descriptions: class -> a text that the head starts from; then these are the classes, whether there are rows of them or
    not.
    """

    labels: tuple[str, ...] = ()
    name: str = "classification"
    form: Form = ONE
    descriptions: Mapping[str, str] = field(default_factory=dict)
    extends: ClassVar[bool] = True
    headline: ClassVar[str] = "macro_f1"
    averages: ClassVar[Mapping[str, str]] = {
        "macro_precision": "precision",
        "macro_recall": "recall",
        "macro_f1": "f1",
        "auroc": "auroc",
        "auprc": "auprc",
    }
    correlations: ClassVar[Mapping[str, str]] = {"mcc": "recall"}

    @property
    def head(self) -> Head:
        """A logit for each class."""
        told = tuple(self.descriptions[label] for label in self.labels) if self.descriptions else ()
        return Head("AutoModelForSequenceClassification", self.labels, descriptions=told)

    @property
    def options(self) -> Mapping[str, Any]:
        """The options that the task was made with."""
        return {"descriptions": dict(self.descriptions)} if self.descriptions else {}

    def fit(self, rows: pl.DataFrame, columns: Columns) -> Self:
        """The task with the classes that are described, else those found in `rows`, in sorted order.

        Raises:
            DataError: lists instead of texts or classes; fewer than two classes; more than 1,000; no pair of texts; a class
                that is not described.
        """
        check_texts(self.name, rows, columns, pair=self.form.every_input)
        if self.descriptions:
            return replace(self, labels=described_classes(self.descriptions, rows, columns))
        return replace(self, labels=classes_of(self.name, rows, columns))

    def extended(self, rows: pl.DataFrame, columns: Columns, earlier: Sequence[str]) -> Self:
        """The task with the classes `earlier` as they are, then those that only `rows` have, in sorted order.

        Raises:
            DataError: lists instead of texts or classes; more than 1,000 classes together; no pair of texts.
        """
        check_texts(self.name, rows, columns, pair=self.form.every_input)
        target = str(columns.target)
        _check_labels(self.name, rows, target)
        new = sorted(set(rows[target].drop_nulls().unique().to_list()) - set(earlier))
        if len(earlier) + len(new) > MOST_CLASSES:
            raise DataError(
                f"task {self.name}: column '{target}' has {len(new)} values that the earlier model does not know; is it a class "
                f"at all? At most {MOST_CLASSES} classes are accepted"
            )
        return replace(self, labels=(*earlier, *new))

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
        """Cross-entropy of each text, shape (batch,)."""
        from torch.nn import functional as F

        logits = model(**batch.inputs).logits.float()
        assert batch.targets is not None
        return F.cross_entropy(logits, batch.targets, weight=class_weights, reduction="none")

    def balance(self, examples: Examples) -> NDArray[np.float32]:
        """(classes,) inverse frequencies of the classes, with mean 1 over the rows."""
        return inverse_frequencies(np.asarray(examples.targets, dtype=np.int64), len(self.labels))

    def outputs(self, model: "nn.Module", batch: Batch, examples: Examples) -> list[NDArray[np.float32]]:
        """The logits (classes,) of each text."""
        del examples
        return list(model(**batch.inputs).logits.float().cpu().numpy())

    def decode(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> pl.DataFrame:
        """`prediction`, its `probability`, and `probabilities` of all classes."""
        del rows, columns
        shares = softmax(self._logits(outputs))
        return decoded_classes(self.labels, shares, shares.argmax(axis=1))

    def tally(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> NDArray[np.int64]:
        """(n, 3 classes): rightly found, predicted, true, each per class."""
        classes = len(self.labels)
        truth, best = self._truth(rows, columns), self._logits(outputs).argmax(axis=1)
        counts = np.zeros((len(truth), 3 * classes), dtype=np.int64)
        at = np.arange(len(truth))
        counts[at, truth] = truth == best
        counts[at, classes + best] = 1
        counts[at, 2 * classes + truth] = 1
        return counts

    def scores(self, totals: NDArray[np.float64]) -> Mapping[ScoreName, NDArray[np.float64]]:
        """Accuracy, precision, recall, F1 (per class, macro, micro) and MCC from sums of tallies.

        MCC is the multi-class form (Gorodkin 2004), 0 where it is 0/0.
        """
        right, predicted, true = np.split(totals, 3, axis=-1)
        n, correct = true.sum(axis=-1), right.sum(axis=-1)
        accuracy = divided(correct, n)
        found: dict[ScoreName, NDArray[np.float64]] = {("accuracy", ""): accuracy, ("micro_f1", ""): accuracy}
        found |= classwise.scores_by_class(self.labels, right, predicted, true)
        spread = (n**2 - (predicted**2).sum(axis=-1)) * (n**2 - (true**2).sum(axis=-1))
        agree = correct * n - (predicted * true).sum(axis=-1)
        found["mcc", ""] = np.where(spread > 0, agree / np.sqrt(np.where(spread > 0, spread, 1.0)), 0.0)
        return found

    def evidence(self, tally: NDArray[Any]) -> Mapping[ScoreName, Sequence[NDArray[np.float64]]]:
        """Rows for accuracy; of each class the true ones, the predicted ones, or both by half; for ranks the rarer side."""
        _, predicted, true = np.split(tally.astype(np.float64), 3, axis=1)
        rows = true.sum(axis=1)
        found: dict[ScoreName, Sequence[NDArray[np.float64]]] = {
            ("accuracy", ""): (rows,),
            ("micro_f1", ""): (rows,),
        }
        return found | classwise.evidence_by_class(self.labels, predicted, true, rows)

    def ranking_scores(
        self, outputs: Outputs, rows: pl.DataFrame, columns: Columns, weights: NDArray[np.float64]
    ) -> Mapping[ScoreName, NDArray[np.float64]]:
        """AUROC and AUPRC of each class against the rest, and their macro average."""
        present = self._truth(rows, columns)[:, None] == np.arange(len(self.labels))
        return classwise.ranks_by_class(self.labels, softmax(self._logits(outputs)), present, weights)

    def support(self, rows: pl.DataFrame, columns: Columns) -> Mapping[str, int]:
        """Rows of each class."""
        counts = np.bincount(self._truth(rows, columns), minlength=len(self.labels))
        return {label: int(count) for label, count in zip(self.labels, counts, strict=True)}

    def confidences(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> Confidences:
        """One decision per text."""
        truth = self._truth(rows, columns)
        return Confidences(self._logits(outputs), truth, np.arange(len(truth), dtype=np.int64))

    def picture(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> Mapping[str, Any]:
        """The confusion matrix."""
        best = self._logits(outputs).argmax(axis=1)
        return classwise.matrix(self.labels, self._truth(rows, columns), best)

    def baselines(
        self,
        train: pl.DataFrame,
        test: pl.DataFrame,
        columns: Columns,
        *,
        others: pl.DataFrame,
        seed: int,
    ) -> Sequence[baselines.Baseline]:
        """The majority class, and logistic regression on TF-IDF."""
        truth, classes = self._truth(train, columns), len(self.labels)
        known = np.concatenate([truth, self._truth(others, columns)])
        priors = np.log(baselines.class_priors(known, classes)).astype(np.float32)
        trivial = baselines.Baseline("majority", [priors] * test.height)
        name = "tfidf_logistic_regression"
        if len(np.unique(truth)) < 2:
            because = "insufficient evidence: the training rows hold one class only"
            return [trivial, baselines.Baseline(name, None, because)]

        def outputs() -> Outputs:
            shares = baselines.tfidf_classes(train, test, columns, truth, classes, seed)
            return list(
                np.where(shares > 0, np.log(np.maximum(shares, 1e-9)), -baselines.SURE).astype(np.float32)
            )

        return [trivial, baselines.made(baselines.Cheap(name, outputs))]

    def mistakes(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> Mistakes:
        """Texts of which another class was answered than the true one."""
        return classwise.class_mistakes(self.confidences(outputs, rows, columns))

    def shown(
        self, outputs: Outputs, rows: pl.DataFrame, columns: Columns, masked: Masked
    ) -> list[dict[str, Any]]:
        """Texts with their true class, the answer and both probabilities."""
        told = self.confidences(outputs, rows, columns)
        return classwise.shown_classes(self.labels, told, rows, columns, masked)

    def _logits(self, outputs: Outputs) -> NDArray[np.float64]:
        return np.asarray(outputs, dtype=np.float64).reshape(-1, len(self.labels))

    def _truth(self, rows: pl.DataFrame, columns: Columns) -> NDArray[np.int64]:
        return indices_of(self.labels, rows, columns)


def check_texts(task: str, rows: pl.DataFrame, columns: Columns, *, pair: bool = False) -> None:
    """Refuse rows whose inputs are no texts, or, for a pair, not two of them.

    Raises:
        DataError: with what is expected.
    """
    lists = [column for column in columns.inputs if rows.schema[column] != pl.String]
    if lists:
        raise DataError(
            f"task {task}: a text is expected, column '{lists[0]}' holds lists; task token_classification reads those"
        )
    if pair and len(columns.inputs) != 2:
        raise DataError(
            f"task {task}: data.inputs names {len(columns.inputs)} column(s), a pair of texts is two"
        )


def classes_of(task: str, rows: pl.DataFrame, columns: Columns) -> tuple[str, ...]:
    """The classes in the target column, in sorted order.

    Raises:
        DataError: lists instead of classes; fewer than two classes; more than 1,000.
    """
    target = str(columns.target)
    _check_labels(task, rows, target)
    labels = tuple(sorted(rows[target].drop_nulls().unique().to_list()))
    if len(labels) < 2:
        raise DataError(
            f"task {task}: column '{target}' has {len(labels)} class(es), at least two are needed"
        )
    if len(labels) > MOST_CLASSES:
        raise DataError(
            f"task {task}: column '{target}' has {len(labels)} different values in {rows.height} rows; "
            f"is it a class at all? At most {MOST_CLASSES} classes are accepted"
        )
    return labels


def _check_labels(task: str, rows: pl.DataFrame, target: str) -> None:
    if rows.schema[target] != pl.String:
        raise DataError(
            f"task {task}: a text and one class per row are expected, column '{target}' holds lists; task "
            "token_classification reads tags and spans, task multi_label_classification several labels"
        )


def described_classes(
    descriptions: Mapping[str, str], rows: pl.DataFrame, columns: Columns
) -> tuple[str, ...]:
    """The classes that are described, in sorted order; rows of them may lack.

    Raises:
        DataError: lists instead of classes; classes in the rows that are not described.
    """
    target = str(columns.target)
    _check_labels("classification", rows, target)
    if len(descriptions) < 2:
        raise DataError(
            f"task classification: {len(descriptions)} class is described, at least two are needed"
        )
    found = set(rows[target].drop_nulls().unique().to_list())
    missing, spare = sorted(found - set(descriptions)), sorted(set(descriptions) - found)
    if missing:
        without = f"; described, and in no row: {_some(spare)}" if spare else ""
        raise DataError(
            f"task classification: column '{target}' has {len(missing)} class(es) without a description: {_some(missing)}"
            f"{without}. Describe every class in task.descriptions, spelled as in the prepared data"
        )
    return tuple(sorted(descriptions))


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:5])
    return shown + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def text_examples(
    rows: pl.DataFrame,
    columns: Columns,
    tokenizer: Any,
    max_length: int,
    targets: NDArray[np.int64] | NDArray[np.float32] | None,
) -> Examples:
    """Rows of texts encoded, one sequence each, with their targets."""
    encoded = encode_rows(rows, columns, tokenizer, max_length)
    return Examples(
        ids=encoded.ids,
        targets=targets,
        rows=rows[ROW].to_numpy(),
        truncated=encoded.truncated,
        pad_id=int(tokenizer.pad_token_id),
        types=encoded.types,
    )


def inverse_frequencies(targets: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    """(classes,) weights with mean 1 over the decisions, so that every class counts alike."""
    counts = np.bincount(targets, minlength=classes)
    weights = counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return np.asarray(weights, dtype=np.float32)


def indices_of(labels: Sequence[str], rows: pl.DataFrame, columns: Columns) -> NDArray[np.int64]:
    """(n,) the true class of each row, as an index into `labels`.

    Raises:
        DataError: a class that the task was not fitted on.
    """
    index = {label: number for number, label in enumerate(labels)}
    found = rows[str(columns.target)].replace_strict(index, default=-1, return_dtype=pl.Int64).to_numpy()
    if (found < 0).any():
        raise DataError(f"column '{columns.target}' has a class that the task was not fitted on")
    return np.asarray(found, dtype=np.int64)


def decoded_classes(
    labels: Sequence[str], shares: NDArray[np.float64], best: NDArray[np.int64]
) -> pl.DataFrame:
    """Probabilities (n, classes) and the classes answered as the columns that people read."""
    shares = shares.reshape(-1, len(labels))
    return pl.DataFrame(
        {
            "prediction": pl.Series([labels[one] for one in best], dtype=pl.String),
            "probability": pl.Series(shares[np.arange(len(best)), best], dtype=pl.Float64),
            "probabilities": pl.DataFrame(shares, schema=list(labels)).to_struct("probabilities"),
        }
    )

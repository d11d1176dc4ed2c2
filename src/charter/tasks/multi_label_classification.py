"""Multi-label classification: each text has any number of labels, or none."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Discriminator, Field, Tag

from charter.data.batch import Batch, Examples
from charter.data.columns import Columns, Form, SplitName
from charter.errors import DataError
from charter.tasks import baselines, classwise
from charter.tasks.classification import MOST_CLASSES, check_texts, text_examples
from charter.tasks.kept import EachLabel, OneClass
from charter.tasks.scoring import divided, logit, sigmoid, yes_or_no
from charter.tasks.task import Confidences, Head, HeldOut, Masked, Mistakes, Outputs, ScoreName, Task

if TYPE_CHECKING:
    from torch import Tensor, nn

FEWEST_POSITIVES = 10
"""A threshold of its own is tuned for a label that occurs so often on the held-out rows."""
Threshold = Annotated[
    Annotated[float, Field(gt=0, lt=1), Tag("[share]")] | Annotated[Literal["tuned"], Tag("[word]")],
    # by the value's kind, so that a problem is told of the form that was meant only
    Discriminator(lambda value: "[word]" if isinstance(value, str) else "[share]"),
]


def multi_label_classification(
    *,
    separator: Annotated[
        str | None,
        Field(min_length=1, description="what stands between labels where a cell is one text, such as ','"),
    ] = None,
    threshold: Annotated[
        Threshold,
        Field(
            description="a label is answered from this probability on; 'tuned': each label's own, best in F1 on validation "
            "and calibration rows"
        ),
    ] = 0.5,
) -> Task:
    """Any number of labels for each text, none too."""
    return MultiLabelClassification(separator=separator, threshold=threshold)


@dataclass(frozen=True)
class MultiLabelClassification(Task):
    """Each text has some labels. Outputs are logits (labels,), each by itself; `thresholds` are of probabilities."""

    labels: tuple[str, ...] = ()
    separator: str | None = None
    threshold: float | Literal["tuned"] = 0.5
    thresholds: tuple[float, ...] = ()
    name: str = "multi_label_classification"
    headline: ClassVar[str] = "macro_f1"
    extends: ClassVar[bool] = True
    kept: ClassVar[OneClass] = EachLabel()
    averages: ClassVar[Mapping[str, str]] = {
        "macro_precision": "precision",
        "macro_recall": "recall",
        "macro_f1": "f1",
        "auroc": "auroc",
        "auprc": "auprc",
    }

    @property
    def form(self) -> Form:
        """Lists of labels."""
        return Form("labels", self.separator)

    @property
    def head(self) -> Head:
        """A logit for each label, each by itself."""
        return Head("AutoModelForSequenceClassification", self.labels, "multi_label_classification")

    @property
    def options(self) -> Mapping[str, Any]:
        """Separator and threshold, as the charter says them."""
        return {"separator": self.separator, "threshold": self.threshold}

    @property
    def fitted(self) -> Mapping[str, Any]:
        """The thresholds, in the order of the labels."""
        return {"thresholds": list(self.thresholds)}

    def with_fitted(self, fitted: Mapping[str, Any]) -> Self:
        """The same task with these thresholds."""
        return replace(self, thresholds=tuple(fitted.get("thresholds") or ()))

    def fit(self, rows: pl.DataFrame, columns: Columns) -> Self:
        """The task with the labels found in `rows`: in sorted order, or as the charter orders its columns.

        Raises:
            DataError: lists instead of texts; no labels at all; more than 1,000.
        """
        check_texts(self.name, rows, columns)
        target = str(columns.target)
        found = rows[target].explode(empty_as_null=False, keep_nulls=False).unique().drop_nulls().to_list()
        labels = tuple(columns.indicators or sorted(found))
        if not found or len(labels) > MOST_CLASSES:
            raise DataError(
                f"task {self.name}: column '{target}' holds {len(found)} different labels; between 1 and "
                f"{MOST_CLASSES} are accepted. Labels in one text are told apart by the option separator"
            )
        return replace(self, labels=labels)

    def extended(self, rows: pl.DataFrame, columns: Columns, earlier: Sequence[str]) -> Self:
        """As `fit`, with the labels `earlier` first, as they are."""
        found = self.fit(rows, columns).labels
        return replace(self, labels=(*earlier, *(one for one in found if one not in earlier)))

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
        targets = self._truth(rows, columns).astype(np.float32) if with_targets else None
        return text_examples(rows, columns, tokenizer, max_length, targets)

    def loss(self, model: "nn.Module", batch: Batch, class_weights: "Tensor | None" = None) -> "Tensor":
        """Binary cross-entropy of each text, the mean over its labels, shape (batch,)."""
        from torch.nn import functional as F

        logits = model(**batch.inputs).logits.float()
        assert batch.targets is not None
        each = F.binary_cross_entropy_with_logits(
            logits, batch.targets, pos_weight=class_weights, reduction="none"
        )
        return each.mean(dim=1)

    def balance(self, examples: Examples) -> NDArray[np.float32]:
        """(labels,) weights of the presence of each label: rows without it by rows with it, 1 where it never occurs."""
        present = np.asarray(examples.targets, dtype=np.float64).sum(axis=0)
        weights = np.where(present > 0, (len(examples) - present) / np.maximum(present, 1), 1.0)
        return np.asarray(np.maximum(weights, 1e-3), dtype=np.float32)

    def outputs(self, model: "nn.Module", batch: Batch, examples: Examples) -> list[NDArray[np.float32]]:
        """The logits (labels,) of each text."""
        del examples
        return list(model(**batch.inputs).logits.float().cpu().numpy())

    def settle(self, held_out: Callable[[SplitName], HeldOut], columns: Columns) -> Self:
        """The same task with a threshold for each label, tuned where the charter asks for it.

        Each label's threshold is the best in F1 on the validation and calibration rows, halfway between two
        probabilities; one with fewer than 10 of those rows shares the best threshold over all labels together.
        """
        if self.threshold != "tuned":
            return self
        parts = [held_out(split) for split in ("validation", "calibration")]
        shares = np.concatenate([sigmoid(self._logits(part.outputs)) for part in parts])
        truth = np.concatenate([self._truth(part.rows, columns) for part in parts])
        if not len(shares):
            raise DataError(
                "task multi_label_classification: threshold: tuned needs validation or calibration rows, and data.split "
                "leaves none; give them, or name a number"
            )
        return replace(self, thresholds=tuned_thresholds(shares, truth))

    def decode(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> pl.DataFrame:
        """`predictions`, the labels from their thresholds on, and `probabilities` of all labels."""
        del rows, columns
        logits = self._logits(outputs)
        shares, chosen = sigmoid(logits), self._chosen(logits)
        named = [[label for label, one in zip(self.labels, row, strict=True) if one] for row in chosen]
        return pl.DataFrame(
            {
                "predictions": pl.Series(named, dtype=pl.List(pl.String)),
                "probabilities": pl.DataFrame(shares, schema=list(self.labels)).to_struct("probabilities"),
            }
        )

    def tally(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> NDArray[np.float64]:
        """(n, 3 labels + 3): rightly found, predicted, true, each per label; all labels right, the row's own F1, rows.

        The F1 of a row without any label and any answer is 1: nothing was missed, nothing was made up.
        """
        truth, chosen = self._truth(rows, columns), self._chosen(self._logits(outputs))
        both = truth & chosen
        sizes = truth.sum(axis=1) + chosen.sum(axis=1)
        own = np.where(sizes > 0, 2 * both.sum(axis=1) / np.maximum(sizes, 1), 1.0)
        whole = (truth == chosen).all(axis=1)
        ends = np.stack([whole, own, np.ones(len(truth))], axis=1)
        return np.concatenate([both, chosen, truth, ends], axis=1).astype(np.float64)

    def scores(self, totals: NDArray[np.float64]) -> Mapping[ScoreName, NDArray[np.float64]]:
        """Macro, micro and samples F1, subset accuracy, Hamming loss, precision, recall and F1 of each label.

        As scikit-learn's; an average over labels runs over those that occur in truth or prediction.
        """
        right, predicted, true = np.split(totals[..., :-3], 3, axis=-1)
        rows = totals[..., -1]
        wrong = (predicted + true - 2 * right).sum(axis=-1)
        found = classwise.scores_by_class(self.labels, right, predicted, true)
        found |= classwise.micro_scores(right, predicted, true)
        found["samples_f1", ""] = divided(totals[..., -2], rows)
        found["subset_accuracy", ""] = divided(totals[..., -3], rows)
        found["hamming_loss", ""] = divided(wrong, rows * len(self.labels))
        return found

    def evidence(self, tally: NDArray[Any]) -> Mapping[ScoreName, Sequence[NDArray[np.float64]]]:
        """Of each label the true ones, the predicted ones, or both by half; for ranks the rarer side; else rows."""
        _, predicted, true = np.split(tally[:, :-3].astype(np.float64), 3, axis=1)
        rows = tally[:, -1].astype(np.float64)
        found: dict[ScoreName, Sequence[NDArray[np.float64]]] = {
            (metric, ""): (rows,) for metric in ("samples_f1", "subset_accuracy", "hamming_loss")
        }
        found |= classwise.micro_evidence(predicted, true)
        return found | classwise.evidence_by_class(self.labels, predicted, true, rows)

    def ranking_scores(
        self, outputs: Outputs, rows: pl.DataFrame, columns: Columns, weights: NDArray[np.float64]
    ) -> Mapping[ScoreName, NDArray[np.float64]]:
        """AUROC and AUPRC of each label, and their macro averages; that of AUPRC is the mean average precision (mAP)."""
        truth = self._truth(rows, columns)
        return classwise.ranks_by_class(self.labels, self._logits(outputs), truth, weights)

    def support(self, rows: pl.DataFrame, columns: Columns) -> Mapping[str, int]:
        """Rows of each label."""
        counts = self._truth(rows, columns).sum(axis=0)
        return {label: int(count) for label, count in zip(self.labels, counts, strict=True)}

    def confidences(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> Confidences:
        """One yes-or-no decision per text and label: its presence."""
        truth, logits = self._truth(rows, columns), self._logits(outputs)
        return Confidences(
            logits.reshape(-1, 1),
            truth.ravel().astype(np.int64),
            np.repeat(np.arange(len(truth)), len(self.labels)),
            link=yes_or_no,
            answer=self._chosen(logits).ravel().astype(np.int64),
            of=np.tile(np.arange(len(self.labels)), len(truth)),
        )

    def baselines(
        self,
        train: pl.DataFrame,
        test: pl.DataFrame,
        columns: Columns,
        *,
        others: pl.DataFrame,
        seed: int,
    ) -> Sequence[baselines.Baseline]:
        """Each label by its share of the training rows, and a logistic regression on TF-IDF for each label.

        Where the model's thresholds are tuned so are the regression's: on a fifth of the training rows, kept apart.
        """
        del others
        truth = self._truth(train, columns)
        priors = logit(truth.mean(axis=0)).astype(np.float32)
        trivial = baselines.Baseline("majority", [priors] * test.height)

        def outputs() -> Outputs:
            if self.threshold != "tuned":
                return list(
                    logit(baselines.tfidf_labels(train, test, columns, truth, seed)).astype(np.float32)
                )
            apart = np.random.default_rng(seed).permutation(train.height) < train.height // 5
            asked = pl.concat([test, train.filter(pl.Series(apart))])
            shares = baselines.tfidf_labels(
                train.filter(pl.Series(~apart)), asked, columns, truth[~apart], seed
            )
            own = tuned_thresholds(shares[test.height :], truth[apart])
            moved = logit(shares[: test.height]) - logit(np.asarray(own)) + logit(self._cuts)
            return list(moved.astype(np.float32))

        return [trivial, baselines.made(baselines.Cheap("tfidf_logistic_regression", outputs))]

    def mistakes(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> Mistakes:
        """Texts whose labels are not all right, by the surest of the wrong ones."""
        truth, logits = self._truth(rows, columns), self._logits(outputs)
        chosen = self._chosen(logits)
        sure = np.where(chosen, sigmoid(logits), 1 - sigmoid(logits))
        return Mistakes(
            (truth != chosen).any(axis=1), np.where(truth != chosen, sure, 0.0).max(axis=1, initial=0.0)
        )

    def shown(
        self, outputs: Outputs, rows: pl.DataFrame, columns: Columns, masked: Masked
    ) -> list[dict[str, Any]]:
        """Texts with their true labels and those answered, each with its probability."""
        truth, logits = self._truth(rows, columns), self._logits(outputs)
        shares, chosen = sigmoid(logits), self._chosen(logits)
        texts = classwise.shown_texts(rows, columns, masked)
        return [
            {"text": text, "truth": self._named(true, told), "answer": self._named(answer, told)}
            for text, true, answer, told in zip(texts, truth, chosen, shares, strict=True)
        ]

    def _named(self, present: NDArray[np.bool_], shares: NDArray[np.float64]) -> str:
        named = [f"{self.labels[one]} {shares[one]:.2f}" for one in np.flatnonzero(present)]
        return ", ".join(named) or ""

    @property
    def _cuts(self) -> NDArray[np.float64]:
        """(labels,) the thresholds, 0.5 for all until they are tuned."""
        fixed = 0.5 if self.threshold == "tuned" else float(self.threshold)
        return np.asarray(self.thresholds or [fixed] * len(self.labels), dtype=np.float64)

    def _chosen(self, logits: NDArray[np.float64]) -> NDArray[np.bool_]:
        chosen: NDArray[np.bool_] = sigmoid(logits) >= self._cuts
        return chosen

    def _logits(self, outputs: Outputs) -> NDArray[np.float64]:
        return np.asarray(outputs, dtype=np.float64).reshape(-1, len(self.labels))

    def _truth(self, rows: pl.DataFrame, columns: Columns) -> NDArray[np.bool_]:
        """(n, labels) which labels each row truly has."""
        index = {label: number for number, label in enumerate(self.labels)}
        found = np.zeros((rows.height, len(self.labels)), dtype=bool)
        for row, cell in enumerate(rows[str(columns.target)].to_list()):
            for label in cell or ():
                if label not in index:
                    raise DataError(f"column '{columns.target}' has a label that the task was not fitted on")
                found[row, index[label]] = True
        return found


def tuned_thresholds(shares: NDArray[np.float64], truth: NDArray[np.bool_]) -> tuple[float, ...]:
    """The threshold of each label, best in F1: shares and presence (n, labels)."""
    common = _best_threshold(shares.ravel(), truth.ravel())
    return tuple(
        _best_threshold(shares[:, label], truth[:, label])
        if truth[:, label].sum() >= FEWEST_POSITIVES
        else common
        for label in range(truth.shape[1])
    )


def _best_threshold(shares: NDArray[np.float64], present: NDArray[np.bool_]) -> float:
    """The cut, halfway between two neighbouring shares, with the best F1; 0.5 where nothing is present."""
    if not present.any():
        return 0.5
    order = np.argsort(-shares, kind="stable")
    ordered, right = shares[order], np.cumsum(present[order])
    f1 = 2 * right / (np.arange(1, len(order) + 1) + present.sum())
    last = np.r_[np.diff(ordered) != 0, True]  # equal shares are cut together
    best = int(np.argmax(np.where(last, f1, -1.0)))
    below = ordered[best + 1] if best + 1 < len(ordered) else 0.0
    return float(np.clip((ordered[best] + below) / 2, 1e-6, 1 - 1e-6))

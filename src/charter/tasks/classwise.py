"""What tasks with classes share: scores by class and their averages from counts, and mistakes as the report shows them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from charter.data.columns import Columns
from charter.tasks.ranking import ranking
from charter.tasks.scoring import divided
from charter.tasks.task import Confidences, Masked, Mistakes, ScoreName

Numbers = NDArray[np.float64]
Scores = dict[ScoreName, Numbers]
LONGEST = 400
"""Characters of a text that the report shows at most."""


def scores_by_class(labels: Sequence[str], right: Numbers, predicted: Numbers, true: Numbers) -> Scores:
    """Precision, recall and F1 of each class and their macro averages, from counts (..., classes).

    A precision without predictions and a recall without truths are not defined (NaN); in macro averages they count as 0,
    over the classes that occur in truth or prediction, as scikit-learn does.
    """
    f1 = divided(2 * right, predicted + true)
    occurs = (predicted + true) > 0
    found: Scores = {}
    for metric, values in (
        ("precision", divided(right, predicted)),
        ("recall", divided(right, true)),
        ("f1", f1),
    ):
        found[f"macro_{metric}", ""] = divided(
            np.where(occurs, np.nan_to_num(values), 0.0).sum(axis=-1), occurs.sum(axis=-1)
        )
        for index, label in enumerate(labels):
            found[metric, label] = values[..., index]
    return found


def micro_scores(right: Numbers, predicted: Numbers, true: Numbers) -> Scores:
    """Precision, recall and F1 over all decisions together."""
    sums = right.sum(axis=-1), predicted.sum(axis=-1), true.sum(axis=-1)
    return {
        ("micro_precision", ""): divided(sums[0], sums[1]),
        ("micro_recall", ""): divided(sums[0], sums[2]),
        ("micro_f1", ""): divided(2 * sums[0], sums[1] + sums[2]),
    }


def evidence_by_class(
    labels: Sequence[str], predicted: Numbers, true: Numbers, rows: Numbers | None = None
) -> dict[ScoreName, Sequence[Numbers]]:
    """Of each class the true ones, the predicted ones, or both by half; for ranks, where `rows` are told, the rarer side."""
    found: dict[ScoreName, Sequence[Numbers]] = {}
    for index, label in enumerate(labels):
        found["precision", label] = (predicted[:, index],)
        found["recall", label] = (true[:, index],)
        found["f1", label] = ((predicted[:, index] + true[:, index]) / 2,)
        if rows is not None:
            for metric in ("auroc", "auprc"):
                found[metric, label] = (true[:, index], rows - true[:, index])
    return found


def micro_evidence(predicted: Numbers, true: Numbers) -> dict[ScoreName, Sequence[Numbers]]:
    """All the true ones, all the predicted ones, or both by half."""
    return {
        ("micro_precision", ""): (predicted.sum(axis=1),),
        ("micro_recall", ""): (true.sum(axis=1),),
        ("micro_f1", ""): ((predicted + true).sum(axis=1) / 2,),
    }


def ranks_by_class(
    labels: Sequence[str], shares: Numbers, present: NDArray[np.bool_], weights: Numbers
) -> Scores:
    """AUROC and AUPRC of each class against the rest, shares and presence (n, classes), and their macro averages."""
    each = [ranking(shares[:, index], present[:, index], weights) for index in range(len(labels))]
    found: Scores = {}
    for metric in ("auroc", "auprc"):
        values = np.stack([getattr(one, metric) for one in each], axis=-1)
        known = np.isfinite(values)
        found[metric, ""] = divided(np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1))
        for index, label in enumerate(labels):
            found[metric, label] = values[:, index]
    return found


def matrix(labels: Sequence[str], truth: NDArray[np.int64], answer: NDArray[np.int64]) -> Mapping[str, Any]:
    """How often each class was answered with each, as a picture."""
    classes = len(labels)
    counts = np.bincount(truth * classes + answer, minlength=classes * classes).reshape(classes, classes)
    return {"kind": "matrix", "labels": list(labels), "counts": counts.tolist()}


def class_mistakes(told: Confidences) -> Mistakes:
    """Rows whose class is not the true one, by the probability of what was answered."""
    return Mistakes(~told.came_true, told.stated)


def shown_classes(
    labels: Sequence[str], told: Confidences, rows: pl.DataFrame, columns: Columns, masked: Masked
) -> list[dict[str, Any]]:
    """Rows with their true class, the answer and both probabilities."""
    return [
        {
            "text": text,
            "truth": labels[truth],
            "answer": labels[answer],
            "probability": round(float(shares[answer]), 4),
            "probability_of_truth": round(float(shares[truth]), 4),
        }
        for text, truth, answer, shares in zip(
            shown_texts(rows, columns, masked), told.truth, told.answers, told.probabilities, strict=True
        )
    ]


def shown_texts(rows: pl.DataFrame, columns: Columns, masked: Masked) -> list[str]:
    """What each row says, masked and cut; several inputs one after the other, each behind its column's name."""
    if not rows.height:
        return []
    parts = {column: [_plain(cell) for cell in masked(rows, column)] for column in columns.inputs}
    if len(parts) == 1:
        return [cut(text, LONGEST) for text in parts[columns.text]]
    most = LONGEST // len(parts)
    return [
        " | ".join(f"{name}: {cut(cells[row], most)}" for name, cells in parts.items())
        for row in range(rows.height)
    ]


def _plain(cell: str | list[str]) -> str:
    return cell if isinstance(cell, str) else " ".join(cell)


def cut(text: str, most: int) -> str:
    """At most so many characters of a text, with a sign where it was cut."""
    return text if len(text) <= most else text[: most - 1] + "…"

"""Cheap models that tasks are measured beside: what a foundation model has to beat to be worth its cost."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from charter.data.columns import Columns

SURE = 20.0
"""The logit of what a baseline without probabilities names."""
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Baseline:
    """A cheap model's outputs on the test rows, in the form of the task's own outputs, or why there are none."""

    name: str
    outputs: Sequence[NDArray[np.float32]] | None
    because: str = ""


@dataclass(frozen=True)
class Cheap:
    """A baseline while it is made. outputs: what the fitted thing says of the test rows; it may raise ValueError."""

    name: str
    outputs: Callable[[], Sequence[NDArray[np.float32]]]


def made(cheap: Cheap) -> Baseline:
    """The baseline, or, where it can't be fitted, the reason."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a fit that did not fully converge is still a baseline
            return Baseline(cheap.name, cheap.outputs())
    except ValueError as error:
        because = f"insufficient evidence: it can't be fitted ({str(error).splitlines()[0][:80]})"
        return Baseline(cheap.name, None, because)


def class_priors(truth: NDArray[np.int64], classes: int) -> Values:
    """(classes,) the share of each class; one that never occurs as if half a row had it."""
    counts = np.bincount(truth, minlength=classes)
    shares: Values = np.maximum(counts, 0.5) / max(counts.sum(), 1)
    return shares


class TextFeatures:
    """TF-IDF of words (1-2) and of characters (1-3, across words: Chinese has no spaces), of each input column.

    Of a pair of texts it is told as well how alike they are: shared words, cosine, difference in length.
    """

    def __init__(self, columns: Columns) -> None:
        self._columns = tuple(columns.inputs)
        self._unions: list[Any] = []

    def learned(self, rows: pl.DataFrame) -> Any:
        """Learn the features of some rows; their matrix (n, features), sparse.

        Raises:
            ValueError: the texts hold nothing to learn.
        """
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.pipeline import make_union

        self._unions = [
            make_union(
                TfidfVectorizer(
                    ngram_range=(1, 2), sublinear_tf=True, min_df=1, token_pattern=r"(?u)\b\w+\b"
                ),
                TfidfVectorizer(
                    analyzer="char", ngram_range=(1, 3), sublinear_tf=True, min_df=2, max_features=200_000
                ),
            ).fit(rows[column].to_list())
            for column in self._columns
        ]
        return self.of(rows)

    def of(self, rows: pl.DataFrame) -> Any:
        """The matrix of any rows."""
        from scipy.sparse import csr_array, hstack

        texts = [rows[column].to_list() for column in self._columns]
        parts = [union.transform(one) for union, one in zip(self._unions, texts, strict=True)]
        if len(parts) == 2:
            shared = self._unions[0].transform(texts[1])
            cosine = np.asarray(parts[0].multiply(shared).sum(axis=1)).ravel()
            parts.append(csr_array(_overlap(texts[0], texts[1], cosine)))
        return hstack(parts, format="csr") if len(parts) > 1 else parts[0]


def _overlap(first: Sequence[str], second: Sequence[str], cosine: Values) -> Values:
    """(n, 4): cosine, shared words of all and of the second's, and the difference in length."""
    found = np.zeros((len(first), 4))
    for row, (one, other) in enumerate(zip(first, second, strict=True)):
        words, others = set(one.lower().split()), set(other.lower().split())
        both = len(words & others)
        found[row, 1] = both / max(len(words | others), 1)
        found[row, 2] = both / max(len(others), 1)
        found[row, 3] = (len(one) - len(other)) / max(len(one) + len(other), 1)
    found[:, 0] = cosine
    return found


def tfidf_classes(
    train: pl.DataFrame,
    test: pl.DataFrame,
    columns: Columns,
    truth: NDArray[np.int64],
    classes: int,
    seed: int,
) -> Values:
    """(test rows, classes): probabilities by logistic regression on TF-IDF; 0 for a class without a training row."""
    from sklearn.linear_model import LogisticRegression

    features = TextFeatures(columns)
    learned = features.learned(train)
    model = LogisticRegression(C=4.0, max_iter=300, random_state=seed).fit(learned, truth)
    shares = np.zeros((test.height, classes))
    shares[:, model.classes_] = model.predict_proba(features.of(test))
    return shares


def tfidf_labels(
    train: pl.DataFrame, test: pl.DataFrame, columns: Columns, truth: NDArray[np.bool_], seed: int
) -> Values:
    """(test rows, labels): the probability of each label, by a logistic regression on TF-IDF for each."""
    from sklearn.linear_model import LogisticRegression

    features = TextFeatures(columns)
    learned, asked = features.learned(train), features.of(test)
    shares = np.zeros((test.height, truth.shape[1]))
    for label in range(truth.shape[1]):
        present = truth[:, label]
        if present.all() or not present.any():
            shares[:, label] = float(present.any())
            continue
        model = LogisticRegression(C=4.0, max_iter=300, solver="liblinear", random_state=seed)
        shares[:, label] = model.fit(learned, present).predict_proba(asked)[:, 1]
    return shares


def tfidf_numbers(
    train: pl.DataFrame, test: pl.DataFrame, columns: Columns, truth: Values, seed: int
) -> Values:
    """(test rows,): a number by ridge regression on TF-IDF."""
    from sklearn.linear_model import Ridge

    features = TextFeatures(columns)
    model = Ridge(alpha=1.0, random_state=seed).fit(features.learned(train), truth)
    told: Values = model.predict(features.of(test))
    return told

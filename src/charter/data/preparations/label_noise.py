"""Labels that are probably wrong, by confident learning: what a cheap model, trained without a row, says of its label.

Northcutt, Jiang and Chuang, Confident learning: estimating uncertainty in dataset labels, JAIR 70 (2021). A row counts as
a candidate where the model gives another class at least the probability that it gives that class on average where that
class is the label (section 3.1, the off-diagonal of the confident joint).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from charter.data.columns import ROW, UNIT, Columns
from charter.data.draws import mixed
from charter.data.preparation import Outcome, Preparation, nothing_dropped
from charter.data.preparations.sampling import SeedField, class_column
from charter.runs.findings import Finding

FEWEST = 20
"""Rows of a class below which nothing is said of its labels."""
MOST_LISTED = 500
"""Rows of a class that its finding lists, the most doubtful first."""
AT_ONCE = 8_192
FEATURES = 2**18
STRENGTH = 4.0
"""C of the logistic regression, fitted by averaged stochastic gradient descent: a tenth of the time of lbfgs, as accurate."""
METHOD = "confident learning (Northcutt et al. 2021); probabilities of a linear model on words, trained without the row's unit"

Shares = NDArray[np.float64]
Integers = NDArray[np.int64]


def label_noise(
    *,
    drop: Annotated[
        bool, Field(description="leave the candidates out of training; false: only tell of them")
    ] = False,
    folds: Annotated[int, Field(ge=2, le=20, description="parts of the cross-validation")] = 5,
    seed: SeedField = 7,
) -> Preparation:
    """Find training rows whose label is probably wrong; the report lists their numbers by class, never their texts.

    A candidate is no proof: hard and rare rows are among them (where a tenth of the labels was turned around at random, a
    third to two thirds of the candidates were such), and leaving them out makes a model that knows only easy ones. Look at
    some before `drop: true`. Only training rows are looked at; what a model is judged on stays as it is.
    """

    def apply(frame: pl.DataFrame, columns: Columns) -> Outcome:
        target = class_column(frame, columns, "label_noise")
        classes, given = np.unique(frame[target].to_numpy(), return_inverse=True)
        judged = np.flatnonzero(np.bincount(given) >= FEWEST)
        if len(judged) < 2:
            return Outcome(frame, nothing_dropped(), {}, findings=tuple(_too_few(classes, given)))
        rows = np.flatnonzero(np.isin(given, judged))
        own = np.searchsorted(judged, given[rows])
        some = frame[rows].with_columns(columns.texts(frame[rows]))
        shares = _out_of_fold(some, columns.text, own, folds, seed)
        found = confident_learning(own, shares)
        doubted = rows[found.candidates]
        told = [
            *_findings(frame[ROW].to_numpy()[rows], classes[judged], own, shares, found),
            *_too_few(classes, given),
        ]
        if not drop:
            return Outcome(frame, nothing_dropped(), {}, findings=tuple(told))
        mask = np.zeros(frame.height, dtype=bool)
        mask[doubted] = True
        gone = frame.filter(pl.Series(mask)).select(
            ROW, pl.lit("its label is probably wrong (confident learning)").alias("reason")
        )
        return Outcome(frame.filter(pl.Series(~mask)), gone, {}, findings=tuple(told))

    return Preparation(row_wise=False, apply=apply, splits=("train",))


@dataclass(frozen=True)
class Doubts:
    """candidates: (n,) whose labels are probably wrong. suggested: (n,) the class that speaks against each label most.

    noise: the share of all rows off the diagonal of the confident joint, calibrated to the labels' counts (equation 3): the
    share of wrong labels if the probabilities are good, and more than that the less the model knows.
    """

    candidates: NDArray[np.bool_]
    suggested: Integers
    noise: float


def confident_learning(labels: Integers, shares: Shares) -> Doubts:
    """Candidates among labels (n,), from 0, by out-of-fold probabilities (n, classes); every class has rows.

    Section 3.1: the threshold of a class is its mean probability over the rows labelled so; a row counts for the
    likeliest of the classes whose thresholds it reaches, and for none where it reaches none.
    """
    classes = shares.shape[1]
    counts = np.bincount(labels, minlength=classes)
    own = shares[np.arange(len(labels)), labels]
    thresholds = np.bincount(labels, weights=own, minlength=classes) / np.maximum(counts, 1)
    confident = np.where(shares >= thresholds - 1e-9, shares, -1.0)
    suggested = confident.argmax(axis=1)
    reached = confident.max(axis=1) >= 0
    joint = np.zeros((classes, classes))
    np.add.at(joint, (labels[reached], suggested[reached]), 1)
    joint[np.arange(classes), np.arange(classes)] += joint.sum(axis=1) == 0
    calibrated = joint / joint.sum(axis=1, keepdims=True) * counts[:, None]
    noise = 1 - float(np.trace(calibrated) / calibrated.sum())
    return Doubts(reached & (suggested != labels), np.where(reached, suggested, labels), noise)


def _out_of_fold(frame: pl.DataFrame, text: str, labels: Integers, folds: int, seed: int) -> Shares:
    """(n, classes) the probabilities of a model that has seen neither the row nor any of its unit."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import SGDClassifier

    features = _features(frame[text])
    fold = _folds(frame, labels, folds, seed)
    shares = np.zeros((len(labels), int(labels.max()) + 1))
    for held in range(folds):
        train, test = np.flatnonzero(fold != held), np.flatnonzero(fold == held)
        if not len(test) or len(np.unique(labels[train])) < 2:
            continue
        model = SGDClassifier(
            loss="log_loss",
            alpha=1 / (STRENGTH * len(train)),
            max_iter=20,
            tol=1e-3,
            average=True,
            random_state=seed,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # 20 passes are enough to doubt by
            model.fit(features[train], labels[train])
        shares[np.ix_(test, model.classes_)] = model.predict_proba(features[test])
    return shares


def _folds(frame: pl.DataFrame, labels: Integers, folds: int, seed: int) -> Integers:
    """(n,) the fold of each row: rows of one unit share it, and each class is spread over all of them."""
    units = frame[UNIT if UNIT in frame.columns else ROW].to_numpy()
    unique, first, inverse = np.unique(units, return_index=True, return_inverse=True)
    draw = mixed(mixed(np.full(len(unique), seed, dtype=np.uint64)) ^ unique.astype(np.uint64))
    order = np.lexsort((draw, labels[first]))  # by class, then at random
    fold = np.empty(len(unique), dtype=np.int64)
    fold[order] = np.arange(len(unique)) % folds
    spread: Integers = fold[inverse]
    return spread


def _features(texts: pl.Series) -> Any:
    """TF-IDF of hashed words and pairs of words; each Chinese character is a word. Texts are read a batch at a time."""
    from scipy.sparse import vstack
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

    if isinstance(texts.dtype, pl.List):
        texts = texts.list.join(" ")
    hashed = HashingVectorizer(
        ngram_range=(1, 2),
        n_features=FEATURES,
        alternate_sign=False,
        norm=None,
        token_pattern=r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+",
        dtype=np.float32,
    )
    parts = [hashed.transform(part.to_list()) for part in _batches(texts)]
    return TfidfTransformer(sublinear_tf=True).fit_transform(vstack(parts, format="csr"))


def _batches(texts: pl.Series) -> Iterator[pl.Series]:
    for start in range(0, len(texts), AT_ONCE):
        yield texts.slice(start, AT_ONCE)


def _too_few(classes: NDArray[Any], given: Integers) -> Iterator[Finding]:
    for label, count in zip(classes, np.bincount(given), strict=True):
        if count < FEWEST:
            yield Finding(
                "data",
                "label_noise_candidates",
                None,
                n=int(count),
                slice={"class": str(label)},
                method=METHOD,
                unit="rows",
                split="train",
                because=f"insufficient evidence: {count} rows, at least {FEWEST} are needed",
            )


def _findings(
    rows: Integers, classes: NDArray[Any], labels: Integers, shares: Shares, found: Doubts
) -> Iterator[Finding]:
    """The estimated share of wrong labels, and by class its candidates, the most doubtful first."""
    yield Finding(
        "data",
        "label_noise_share",
        found.noise,
        n=len(labels),
        method=METHOD,
        unit="share",
        split="train",
    )
    at = np.arange(len(labels))
    margin = shares[at, labels] - shares[at, found.suggested]
    for label, name in enumerate(classes):
        own = np.flatnonzero(found.candidates & (labels == label))
        own = own[np.argsort(margin[own], kind="stable")]
        listed = own[:MOST_LISTED]
        attachment = {
            "kind": "table",
            "rows": rows[listed].tolist(),
            "suggested": [str(classes[one]) for one in found.suggested[listed]],
        }
        yield Finding(
            "data",
            "label_noise_candidates",
            float(len(own)),
            n=int((labels == label).sum()),
            slice={"class": str(name)},
            method=METHOD,
            unit="rows",
            split="train",
            attachment=attachment if len(own) else None,
        )

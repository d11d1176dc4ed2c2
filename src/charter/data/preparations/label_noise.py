"""Labels that are probably wrong, by confident learning: what a cheap model, trained without a row, says of its label.

Northcutt, Jiang and Chuang, Confident learning: estimating uncertainty in dataset labels, JAIR 70 (2021). A row counts as
a candidate where the model gives another class at least the probability that it gives that class on average where that
class is the label (section 3.1, the off-diagonal of the confident joint).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from charter.data.aside import Aside
from charter.data.columns import ROW, UNIT, Columns
from charter.data.draws import mixed
from charter.data.preparation import Outcome, Preparation, nothing_dropped
from charter.data.preparations.sampling import SeedField, class_column
from charter.data.rows import Rows
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

    def over(rows: Rows, columns: Columns) -> Outcome:
        frame = rows.collect(rows.there(ROW, UNIT, columns.target))
        target = class_column(frame, columns, "label_noise")
        classes = frame[target].unique().sort()
        given = frame.select(pl.col(target).rank("dense"))[target].to_numpy().astype(np.int64) - 1
        judged = np.flatnonzero(np.bincount(given) >= FEWEST)
        if len(judged) < 2:
            return Outcome(frame.select(ROW), nothing_dropped(), {}, findings=tuple(_too_few(classes, given)))
        looked = np.isin(given, judged)
        own = np.searchsorted(judged, given[looked])
        numbers = frame[ROW].to_numpy()[looked]
        units = frame[UNIT if UNIT in frame.columns else ROW].to_numpy()[looked]
        shares = _out_of_fold(
            _features(rows, columns, looked), own, _folds(units, own, folds, seed), folds, seed
        )
        found = confident_learning(own, shares)
        told = [
            *_findings(numbers, classes.gather(judged), own, shares, found),
            *_too_few(classes, given),
        ]
        doubted = np.zeros(frame.height, dtype=bool)
        doubted[looked] = found.candidates & drop
        gone = frame.filter(pl.Series(doubted)).select(
            ROW, pl.lit("its label is probably wrong (confident learning)").alias("reason")
        )
        return Outcome(frame.filter(pl.Series(~doubted)).select(ROW), gone, {}, findings=tuple(told))

    return Preparation(row_wise=False, over=over, splits=("train",))


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
    suggested = np.empty(len(labels), dtype=np.int64)
    reached = np.empty(len(labels), dtype=bool)
    for start in range(0, len(labels), AT_ONCE):  # a table of all rows and classes is held once
        some = slice(start, start + AT_ONCE)
        confident = np.where(shares[some] >= thresholds - 1e-9, shares[some], -1.0)
        suggested[some] = confident.argmax(axis=1)
        reached[some] = confident.max(axis=1) >= 0
    joint = np.zeros((classes, classes))
    np.add.at(joint, (labels[reached], suggested[reached]), 1)
    joint[np.arange(classes), np.arange(classes)] += joint.sum(axis=1) == 0
    calibrated = joint / joint.sum(axis=1, keepdims=True) * counts[:, None]
    noise = 1 - float(np.trace(calibrated) / calibrated.sum())
    return Doubts(reached & (suggested != labels), np.where(reached, suggested, labels), noise)


def _out_of_fold(features: "_Features", labels: Integers, fold: Integers, folds: int, seed: int) -> Shares:
    """(n, classes) the probabilities of a model that has seen neither the row nor any of its unit."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import SGDClassifier

    shares = np.zeros((len(labels), int(labels.max()) + 1))
    for held in range(folds):
        train = fold != held
        if train.all() or len(np.unique(labels[train])) < 2:
            continue
        model = SGDClassifier(
            loss="log_loss",
            alpha=1 / (STRENGTH * int(train.sum())),
            max_iter=20,
            tol=1e-3,
            average=True,
            random_state=seed,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # 20 passes are enough to doubt by
            model.fit(features.of(train), labels[train])
        start = 0
        for part in features.parts():
            test = np.flatnonzero(~train[start : start + part.shape[0]])
            if len(test):
                shares[np.ix_(start + test, model.classes_)] = model.predict_proba(part[test])
            start += part.shape[0]
    return shares


class _Features:
    """Sparse features (rows, FEATURES) in parts of some rows, written aside; held are those that are learned from."""

    def __init__(self, folder: Path | None) -> None:
        self._bytes = Aside(folder)
        self._places: list[tuple[int, int, int]] = []
        self._ends: list[NDArray[np.int32]] = []

    def add(self, part: Any) -> None:
        """Add a part."""
        begin = self._bytes.add(part.data.astype(np.float32, copy=False).tobytes())
        middle = self._bytes.add(part.indices.astype(np.int32, copy=False).tobytes())
        self._places.append((begin, middle, self._bytes.size))
        self._ends.append(part.indptr.astype(np.int32))

    def parts(self) -> Iterator[Any]:
        """All parts, in order."""
        from scipy.sparse import csr_matrix

        for (begin, middle, end), ends in zip(self._places, self._ends, strict=True):
            data = np.frombuffer(self._bytes.read(begin, middle), dtype=np.float32).copy()
            indices = np.frombuffer(self._bytes.read(middle, end), dtype=np.int32).copy()
            yield csr_matrix((data, indices, ends), shape=(len(ends) - 1, FEATURES))

    def of(self, chosen: NDArray[np.bool_]) -> Any:
        """The features of some rows as one matrix. chosen: (n,)."""
        from scipy.sparse import csr_matrix

        sizes = np.concatenate([np.diff(ends) for ends in self._ends])[chosen]
        ends = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        kind = np.int32 if ends[-1] < 1 << 31 else np.int64
        data, indices = np.empty(ends[-1], dtype=np.float32), np.empty(ends[-1], dtype=kind)
        start = at = 0
        for part in self.parts():
            some = part[chosen[start : start + part.shape[0]]]
            data[at : at + some.nnz], indices[at : at + some.nnz] = some.data, some.indices
            start, at = start + part.shape[0], at + some.nnz
        return csr_matrix((data, indices, ends.astype(kind)), shape=(len(sizes), FEATURES))


def _folds(units: Integers, labels: Integers, folds: int, seed: int) -> Integers:
    """(n,) the fold of each row: rows of one unit share it, and each class is spread over all of them."""
    unique, first, inverse = np.unique(units, return_index=True, return_inverse=True)
    draw = mixed(mixed(np.full(len(unique), seed, dtype=np.uint64)) ^ unique.astype(np.uint64))
    order = np.lexsort((draw, labels[first]))  # by class, then at random
    fold = np.empty(len(unique), dtype=np.int64)
    fold[order] = np.arange(len(unique)) % folds
    spread: Integers = fold[inverse]
    return spread


def _features(rows: Rows, columns: Columns, looked: NDArray[np.bool_]) -> _Features:
    """TF-IDF of hashed words and pairs of words; each Chinese character is a word. Texts are read a batch at a time.

    looked: (height,) which rows are asked for.
    """
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

    hashed = HashingVectorizer(
        ngram_range=(1, 2),
        n_features=FEATURES,
        alternate_sign=False,
        norm=None,
        token_pattern=r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+",
        dtype=np.float32,
    )
    counts, weighted = _Features(rows.parts.folder), _Features(rows.parts.folder)
    holding = np.zeros(FEATURES, dtype=np.int64)  # rows that hold each feature
    for texts in _texts(rows, columns, looked):
        part = hashed.transform(texts)
        holding += np.bincount(part.indices, minlength=FEATURES)
        counts.add(part)
    weights = TfidfTransformer(sublinear_tf=True)
    weights.idf_ = np.log(np.float32(looked.sum() + 1) / (holding + 1).astype(np.float32)) + np.float32(1)
    for part in counts.parts():
        weighted.add(weights.transform(part, copy=False))
    return weighted


def _texts(rows: Rows, columns: Columns, looked: NDArray[np.bool_]) -> Iterator[list[str]]:
    """What the rows that are looked at say, at most AT_ONCE of them at a time."""
    start = 0
    for chunk in rows.chunks(list(columns.inputs)):
        texts = columns.texts(chunk).filter(pl.Series(looked[start : start + chunk.height]))
        start += chunk.height
        if isinstance(texts.dtype, pl.List):
            texts = texts.list.join(" ")
        for at in range(0, len(texts), AT_ONCE):
            yield texts.slice(at, AT_ONCE).to_list()


def _too_few(classes: pl.Series, given: Integers) -> Iterator[Finding]:
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
    rows: Integers, classes: pl.Series, labels: Integers, shares: Shares, found: Doubts
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
            "suggested": classes.gather(found.suggested[listed]).to_list(),
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

"""Cheap models on the same rows: what a foundation model has to beat to be worth its cost."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from charter.audits.case import Case
from charter.tasks.classification import Classification
from charter.tasks.task import Outputs
from charter.tasks.token_classification import TokenClassification, sentences_of

SURE = 20.0
"""The logit of the class that a baseline without probabilities names."""


@dataclass(frozen=True)
class Baseline:
    """A cheap model's outputs on the test rows, or why there are none."""

    name: str
    outputs: Outputs | None
    because: str = ""


def baselines(case: Case) -> list[Baseline]:
    """The majority class, and a cheap strong model: logistic regression on TF-IDF features, or on features of words."""
    if isinstance(case.task, Classification):
        return [_majority_class(case), _tfidf(case)]
    if isinstance(case.task, TokenClassification):
        return [_majority_tag(case), _word_features(case)]
    return [Baseline("majority", None, f"no baseline is written for task {case.task.name}")]


def _majority_class(case: Case) -> Baseline:
    none = list(np.zeros((case.train.height, len(case.task.labels)), dtype=np.float32))
    truth = case.task.confidences(none, case.train, case.columns).truth
    counts = np.bincount(truth, minlength=len(case.task.labels))
    one = np.log(np.maximum(counts, 0.5) / counts.sum()).astype(np.float32)
    return Baseline("majority", [one] * case.answers["test"].rows.height)


def _tfidf(case: Case) -> Baseline:
    """TF-IDF of words (1-2) and of characters (1-3, across words: Chinese has no spaces), logistic regression on both."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    texts = case.train[case.columns.text].to_list()
    target = case.train[str(case.columns.target)].to_list()
    name = "tfidf_logistic_regression"
    if len(set(target)) < 2:
        return Baseline(name, None, "insufficient evidence: the training rows hold one class only")
    features = make_union(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=1, token_pattern=r"(?u)\b\w+\b"),
        TfidfVectorizer(
            analyzer="char", ngram_range=(1, 3), sublinear_tf=True, min_df=2, max_features=200_000
        ),
    )
    model = make_pipeline(features, LogisticRegression(C=4.0, max_iter=300, random_state=case.seed))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a fit that did not fully converge is still a baseline
            model.fit(texts, target)
    except ValueError as error:
        return Baseline(
            name, None, f"insufficient evidence: it can't be fitted ({str(error).splitlines()[0][:80]})"
        )
    shares = model.predict_proba(case.answers["test"].rows[case.columns.text].to_list())
    return Baseline(name, _as_logits(shares, model.classes_, case.task.labels))


def _as_logits(shares: Any, classes: Sequence[str], labels: Sequence[str]) -> Outputs:
    logits = np.full((len(shares), len(labels)), -SURE, dtype=np.float32)
    for column, label in enumerate(classes):
        logits[:, labels.index(label)] = np.log(np.maximum(shares[:, column], 1e-9))
    return list(logits)


def _majority_tag(case: Case) -> Baseline:
    """Every word gets the commonest tag, which is nearly always O: no entity is ever found."""
    task = case.task
    assert isinstance(task, TokenClassification)
    truth = np.concatenate(task.truth(case.train, case.columns))
    one = np.full(len(task.labels), -SURE, dtype=np.float32)
    one[np.bincount(truth, minlength=len(task.labels)).argmax()] = SURE
    lengths = [len(output) for output in case.answers["test"].outputs]
    return Baseline("majority", [np.tile(one, (length, 1)) for length in lengths])


def _word_features(case: Case) -> Baseline:
    """Logistic regression on each word's form, shape, ends and neighbours, hashed."""
    from sklearn.feature_extraction import FeatureHasher
    from sklearn.linear_model import SGDClassifier

    task = case.task
    assert isinstance(task, TokenClassification)
    name = "word_features_logistic_regression"
    truth = np.concatenate(task.truth(case.train, case.columns))
    if len(np.unique(truth)) < 2:
        return Baseline(name, None, "insufficient evidence: the training rows hold one tag only")
    hasher = FeatureHasher(n_features=2**18, input_type="string")
    model = SGDClassifier(
        loss="log_loss", alpha=1e-6, max_iter=12, tol=None, random_state=case.seed, average=True
    )
    model.fit(hasher.transform(_all_features(case, case.train)), truth)
    test = case.answers["test"].rows
    sentences = [sentence.words for sentence in sentences_of(test, case.columns)]
    shares = model.predict_proba(hasher.transform(_all_features(case, test)))
    logits = np.full((len(shares), len(task.labels)), -SURE, dtype=np.float32)
    logits[:, model.classes_] = np.log(np.maximum(shares, 1e-9))
    ends = np.cumsum([len(words) for words in sentences])
    return Baseline(name, np.split(logits, ends[:-1]))


def _all_features(case: Case, rows: pl.DataFrame) -> list[list[str]]:
    return [
        _features(sentence.words, place)
        for sentence in sentences_of(rows, case.columns)
        for place in range(len(sentence.words))
    ]


def _features(words: Sequence[str], place: int) -> list[str]:
    """What is read of a word and of two neighbours on each side."""
    word = words[place]
    found = [
        f"w={word.lower()}",
        f"s={_shape(word)}",
        f"p={word[:3].lower()}",
        f"e={word[-3:].lower()}",
        f"e2={word[-2:].lower()}",
    ]
    for offset in (-2, -1, 1, 2):
        at = place + offset
        other = words[at].lower() if 0 <= at < len(words) else "|"
        found.append(f"{offset}={other}")
        if abs(offset) == 1:
            found.append(f"{offset}e={other[-3:]}")
            found.append(f"{offset}&={word.lower()}&{other}")
    return found


def _shape(word: str) -> str:
    signs = [
        "X" if one.isupper() else "x" if one.islower() else "9" if one.isdigit() else one for one in word[:8]
    ]
    return "".join(signs)

"""Cheap models of tags: the commonest tag, and logistic regression on each word's form and neighbours."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from charter.tasks.baselines import SURE, Baseline

Sentences = Sequence[Sequence[str]]


def majority_tag(truth: NDArray[np.int64], tags: int, asked: Sentences) -> Baseline:
    """Every word gets the commonest tag, which is nearly always O: no entity is ever found."""
    one = np.full(tags, -SURE, dtype=np.float32)
    one[np.bincount(truth, minlength=tags).argmax()] = SURE
    return Baseline("majority", [np.tile(one, (len(words), 1)) for words in asked])


def word_features(
    learned: Sentences, truth: NDArray[np.int64], tags: int, asked: Sentences, seed: int
) -> Baseline:
    """Logistic regression on each word's form, shape, ends and neighbours, hashed."""
    from sklearn.feature_extraction import FeatureHasher
    from sklearn.linear_model import SGDClassifier

    name = "word_features_logistic_regression"
    if len(np.unique(truth)) < 2:
        return Baseline(name, None, "insufficient evidence: the training rows hold one tag only")
    hasher = FeatureHasher(n_features=2**18, input_type="string")
    model = SGDClassifier(loss="log_loss", alpha=1e-6, max_iter=12, tol=None, random_state=seed, average=True)
    model.fit(hasher.transform(_all_features(learned)), truth)
    shares = model.predict_proba(hasher.transform(_all_features(asked)))
    logits = np.full((len(shares), tags), -SURE, dtype=np.float32)
    logits[:, model.classes_] = np.log(np.maximum(shares, 1e-9))
    ends = np.cumsum([len(words) for words in asked])
    return Baseline(name, np.split(logits, ends[:-1]))


def _all_features(sentences: Sentences) -> list[list[str]]:
    return [_features(words, place) for words in sentences for place in range(len(words))]


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

"""How well queries find what belongs to them in a corpus: recall, reciprocal rank and nDCG; and BM25 to compare with."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charter.tasks.entities import split_words

AT_ONCE = 256
CUT = 10
"""Ranks beyond this count for nothing in MRR and nDCG."""


@dataclass(frozen=True)
class Corpus:
    """What is searched: the different texts of some rows, and to which of them each query belongs.

    queries: (n,) the place of each row's query among the different ones. relevant: per different query the texts that
    belong to it, by their places. first: (texts,) where each text stands first among those given.
    """

    queries: NDArray[np.int64]
    relevant: tuple[NDArray[np.int64], ...]
    first: NDArray[np.int64]

    @classmethod
    def of(cls, queries: Sequence[str], positives: Sequence[str], others: Iterable[str] = ()) -> "Corpus":
        """The corpus of pairs of a query and a text that belongs to it, and of texts that belong to none."""
        places: dict[str, int] = {}
        first: list[int] = []
        for at, text in enumerate((*positives, *others)):
            if places.setdefault(text, len(places)) == len(first):
                first.append(at)
        different = {query: at for at, query in enumerate(dict.fromkeys(queries))}
        belongs: list[set[int]] = [set() for _ in different]
        for query, text in zip(queries, positives, strict=True):
            belongs[different[query]].add(places[text])
        return cls(
            np.asarray([different[query] for query in queries], dtype=np.int64),
            tuple(np.asarray(sorted(one), dtype=np.int64) for one in belongs),
            np.asarray(first, dtype=np.int64),
        )


def ranked(queries: NDArray[np.float32], texts: NDArray[np.float32], corpus: Corpus) -> NDArray[np.float64]:
    """(n, 4): recall at 1, recall at 10, reciprocal rank at 10 and nDCG at 10 of each query, by inner products.

    queries: (n, d). texts: (all texts given, d). A text stands behind all that score higher, and behind those of the same
    score that come before it. Relevance is yes or no; the discount is 1 / log2(1 + rank) (Järvelin and Kekäläinen 2002).
    """
    found = np.zeros((len(queries), 4))
    own = texts[corpus.first]
    for start in range(0, len(queries), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        scores = queries[part] @ own.T
        for row, each in enumerate(scores, start=start):
            relevant = corpus.relevant[corpus.queries[row]]
            found[row] = _of_one(_ranks(each, relevant))
    return found


def _ranks(scores: NDArray[np.float32], relevant: NDArray[np.int64]) -> NDArray[np.int64]:
    """The ranks of the relevant texts, from 1, ascending."""
    ranks = []
    for place in relevant:
        before = (scores > scores[place]).sum() + (scores[:place] == scores[place]).sum()
        ranks.append(int(before) + 1)
    return np.sort(np.asarray(ranks, dtype=np.int64))


def _of_one(ranks: NDArray[np.int64]) -> tuple[float, float, float, float]:
    seen = ranks[ranks <= CUT]
    ideal = (1 / np.log2(1 + np.arange(1, min(len(ranks), CUT) + 1))).sum()
    gained = (1 / np.log2(1 + seen)).sum()
    return (
        float((ranks <= 1).sum() / len(ranks)),
        len(seen) / len(ranks),
        1 / float(seen[0]) if len(seen) else 0.0,
        float(gained / ideal),
    )


def bm25(
    queries: Sequence[str], texts: Sequence[str], *, k1: float = 1.2, b: float = 0.75
) -> NDArray[np.float32]:
    """(queries, texts) scores of Okapi BM25 (Robertson and Zaragoza 2009, section 3); Han characters are words.

    How rare words are is learned from the texts that are searched.
    """
    from scipy.sparse import csr_array

    bags = [Counter(_words(text)) for text in texts]
    held = Counter(word for bag in bags for word in bag)
    place = {word: at for at, word in enumerate(held)}
    rarity = {word: np.log(1 + (len(texts) - count + 0.5) / (count + 0.5)) for word, count in held.items()}
    lengths = np.asarray([bag.total() for bag in bags], dtype=np.float64)
    usual = max(float(lengths.mean()), 1.0) if len(lengths) else 1.0
    cells = [
        (
            row,
            place[word],
            rarity[word] * count * (k1 + 1) / (count + k1 * (1 - b + b * lengths[row] / usual)),
        )
        for row, bag in enumerate(bags)
        for word, count in bag.items()
    ]
    rows, columns, weights = zip(*cells, strict=True) if cells else ((), (), ())
    weighted = csr_array((weights, (rows, columns)), shape=(len(texts), len(place)))
    asked = [
        (row, place[word]) for row, query in enumerate(queries) for word in _words(query) if word in place
    ]
    at, words = zip(*asked, strict=True) if asked else ((), ())
    counts = csr_array((np.ones(len(asked)), (at, words)), shape=(len(queries), len(place)))
    return np.asarray((counts @ weighted.T).todense(), dtype=np.float32).reshape(len(queries), len(texts))


def _words(text: str) -> list[str]:
    return [word.lower() for word in split_words(text).words if word[0].isalnum()]

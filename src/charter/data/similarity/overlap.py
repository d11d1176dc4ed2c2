"""Which texts are similar to one of a fixed set: a join of two sides by rare grams, exact, a batch at a time.

Two sets with a Jaccard similarity of at least t share a gram among the first |x| - ceil(t |x|) + 1 of each, in any one
order of all grams (Bayardo, Ma and Srikant, Scaling up all pairs similarity search, WWW 2007). Here: those that are rare in
the fixed set first, so those that are not in it at all before them.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from charter.data.similarity.grams import ROW_SHIFT, Grams, blocks_of, grams_of
from charter.data.words import folded

_SLACK = 1e-9
MOST_SHARED = 1 << 22
"""So many grams of candidates are compared at once."""

Keys = NDArray[np.uint64]
Integers = NDArray[np.int64]


class Reference:
    """The fixed texts, ready to be joined with; it holds hashes only, no text."""

    def __init__(self, texts: pl.Series, similarity: float) -> None:
        parts = list(_grams(texts))
        begins = np.cumsum([0, *(len(part.sizes) for part in parts)])
        hashes = np.concatenate([np.zeros(0, dtype=np.uint64), *(part.hashes for part in parts)])
        own = (_rows(part) + start for part, start in zip(parts, begins, strict=False))
        rows = np.concatenate([np.zeros(0, dtype=np.int64), *own])
        self.similarity = similarity
        self.vocabulary, at, frequency = np.unique(hashes, return_inverse=True, return_counts=True)
        self.rank = np.empty(len(self.vocabulary), dtype=np.int64)
        self.rank[np.argsort(frequency, kind="stable")] = np.arange(len(self.vocabulary))
        rows, ranks = _by_rank(rows, self.rank[at])
        n = int(begins[-1])
        self.sets = self._matrix(rows, ranks, n)
        self.sizes = np.bincount(rows, minlength=n)
        first = _places(rows) < _prefix(self.sizes, similarity)[rows]
        self.index = self._matrix(rows[first], ranks[first], n).T.tocsr()

    def like(self, texts: pl.Series) -> NDArray[np.bool_]:
        """(n,) which of some texts are at least as similar as asked to one of the fixed texts."""
        if not len(self.vocabulary) or not len(texts):
            return np.zeros(len(texts), dtype=bool)
        return np.concatenate([self._like(part) for part in _grams(texts)])

    def _like(self, grams: Grams) -> NDArray[np.bool_]:
        hashes, rows, n = grams.hashes, _rows(grams), len(grams.sizes)
        at = np.minimum(np.searchsorted(self.vocabulary, hashes), len(self.vocabulary) - 1)
        known = self.vocabulary[at] == hashes
        count = np.bincount(rows[known], minlength=n)
        # What is alike to x shares t |x| grams with it at least: most texts have not that many that any fixed text has.
        known &= (count >= self.similarity * grams.sizes - _SLACK)[rows]
        found = np.zeros(n, dtype=bool)
        rows, ranks = _by_rank(rows[known], self.rank[at[known]])
        unknown = grams.sizes - count
        first = _places(rows) + unknown[rows] < _prefix(grams.sizes, self.similarity)[rows]
        own = self._matrix(rows, ranks, n)
        candidates = (self._matrix(rows[first], ranks[first], n) @ self.index).tocoo()
        size, other = grams.sizes[candidates.row], self.sizes[candidates.col]
        fits = np.minimum(size, other) >= self.similarity * np.maximum(size, other) - _SLACK
        left, right = candidates.row[fits], candidates.col[fits]
        for part in np.array_split(np.arange(len(left)), int(size[fits].sum()) // MOST_SHARED + 1):
            shared = np.asarray(own[left[part]].multiply(self.sets[right[part]]).sum(axis=1)).ravel()
            total = grams.sizes[left[part]] + self.sizes[right[part]] - shared
            found[left[part][shared >= self.similarity * total - _SLACK]] = True
        return found

    def _matrix(self, rows: Integers, ranks: Integers, n: int) -> Any:
        from scipy.sparse import csr_array

        ones = np.ones(len(rows), dtype=np.int32)
        return csr_array((ones, (rows, ranks)), shape=(n, max(len(self.vocabulary), 1)))


def _grams(texts: pl.Series) -> Iterator[Grams]:
    """The character 5-grams of texts in lower case with single spaces, block by block."""
    told = folded(texts)
    for start, end in blocks_of(told.str.len_bytes().to_numpy().astype(np.int64)):
        yield grams_of(told[start:end].to_list())


def _rows(grams: Grams) -> Integers:
    return (grams.keys >> ROW_SHIFT).astype(np.int64)


def _by_rank(rows: Integers, ranks: Integers) -> tuple[Integers, Integers]:
    """Grams in the order of their texts, the rarest of each text first."""
    order = np.lexsort((ranks, rows))
    return rows[order], ranks[order]


def _places(rows: Integers) -> Integers:
    """The place of each gram within its text, from 0; `rows` is sorted."""
    return np.arange(len(rows)) - np.searchsorted(rows, rows, side="left")


def _prefix(sizes: Integers, similarity: float) -> Integers:
    prefix: Integers = sizes - np.ceil(similarity * sizes - _SLACK).astype(np.int64) + 1
    return prefix

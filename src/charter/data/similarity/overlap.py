"""Which texts are similar to one of a fixed set: a join of two sides by rare grams, exact, a batch at a time.

Two sets with a Jaccard similarity of at least t share a gram among the first |x| - ceil(t |x|) + 1 of each, in any one
order of all grams (Bayardo, Ma and Srikant, Scaling up all pairs similarity search, WWW 2007). Here: those that are rare in
the fixed set first, so those that are not in it at all before them.
"""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from charter.data.similarity.shingles import Integers, Shingles, character_shingles

_SLACK = 1e-9
PAIRS_AT_ONCE = 50_000


class Reference:
    """The fixed texts, ready to be joined with; it holds hashes only, no text."""

    def __init__(self, texts: pl.Series, similarity: float) -> None:
        grams = character_shingles(texts)
        self.similarity = similarity
        self.vocabulary, at, frequency = np.unique(grams.hashes, return_inverse=True, return_counts=True)
        self.rank = np.empty(len(self.vocabulary), dtype=np.int64)
        self.rank[np.argsort(frequency, kind="stable")] = np.arange(len(self.vocabulary))
        rows, ranks = _by_rank(grams.rows, self.rank[at])
        self.sets = self._matrix(rows, ranks, grams.n)
        self.sizes = grams.sizes
        first = _places(rows) < _prefix(self.sizes, similarity)[rows]
        self.index = self._matrix(rows[first], ranks[first], grams.n).T.tocsr()

    def like(self, texts: pl.Series) -> NDArray[np.bool_]:
        """(n,) which of some texts are at least as similar as asked to one of the fixed texts."""
        found = np.zeros(len(texts), dtype=bool)
        if not len(self.vocabulary) or not len(texts):
            return found
        grams = character_shingles(texts)
        rows, ranks = _by_rank(grams.rows, self._ranked(grams))
        sizes = grams.sizes
        known = ranks >= 0
        first = known & (_places(rows) < _prefix(sizes, self.similarity)[rows])
        probes = self._matrix(rows[first], ranks[first], grams.n)
        candidates = (probes @ self.index).tocoo()
        own = self._matrix(rows[known], ranks[known], grams.n)
        for start in range(0, candidates.nnz, PAIRS_AT_ONCE):
            left = candidates.row[start : start + PAIRS_AT_ONCE]
            right = candidates.col[start : start + PAIRS_AT_ONCE]
            shared = np.asarray(own[left].multiply(self.sets[right]).sum(axis=1)).ravel()
            alike = shared >= self.similarity * (sizes[left] + self.sizes[right] - shared) - _SLACK
            found[left[alike]] = True
        return found

    def _ranked(self, grams: Shingles) -> Integers:
        """The rank of each gram; -1 where no fixed text has it."""
        at = np.minimum(np.searchsorted(self.vocabulary, grams.hashes), len(self.vocabulary) - 1)
        ranks: Integers = np.where(self.vocabulary[at] == grams.hashes, self.rank[at], -1)
        return ranks

    def _matrix(self, rows: Integers, ranks: Integers, n: int) -> Any:
        from scipy.sparse import csr_array

        ones = np.ones(len(rows), dtype=np.int32)
        return csr_array((ones, (rows, ranks)), shape=(n, max(len(self.vocabulary), 1)))


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

"""Which texts hold one of a fixed set inside of them: a book that a judged row was taken from is not similar to it."""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from charter.data.similarity.shingles import word_shingles

RUN = 8
"""Words of a run; each Chinese character is a word."""
SHORTEST = 13
"""Words that a fixed text must have to be looked for: a shorter one may stand anywhere by chance (GPT-3 looks for 13 in a row)."""
SHARE = 0.8
"""A text holds a fixed one when it has this share of its different runs: one or two words may be others."""


class Holding:
    """The fixed texts, ready to be looked for; hashes only, no text."""

    def __init__(self, texts: pl.Series) -> None:
        long = np.zeros(len(texts), dtype=bool)
        long[word_shingles(texts, SHORTEST).rows] = True
        runs = word_shingles(texts.filter(pl.Series(long)), RUN)
        self._n, self._places = len(texts), np.flatnonzero(long)
        self._vocabulary, ranks = np.unique(runs.hashes, return_inverse=True)
        self._asked = np.ceil(SHARE * runs.sizes - 1e-9).astype(np.int64)
        self._sets = _matrix(ranks, runs.rows, (len(self._vocabulary), runs.n))

    def held_in(self, texts: pl.Series) -> NDArray[np.bool_]:
        """(n,) which of some texts hold one of the fixed ones, whole or nearly."""
        found = np.zeros(len(texts), dtype=bool)
        found[self._held(texts)[0]] = True
        return found

    def held_by(self, texts: pl.Series) -> NDArray[np.bool_]:
        """(fixed,) which of the fixed texts one of some texts holds, whole or nearly."""
        found = np.zeros(self._n, dtype=bool)
        found[self._places[self._held(texts)[1]]] = True
        return found

    def _held(self, texts: pl.Series) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Which of the texts holds which of the fixed ones that are long enough."""
        if not len(self._vocabulary) or not len(texts):
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        runs = word_shingles(texts, RUN)
        at = np.minimum(np.searchsorted(self._vocabulary, runs.hashes), len(self._vocabulary) - 1)
        known = self._vocabulary[at] == runs.hashes
        shared = _matrix(runs.rows[known], at[known], (len(texts), len(self._vocabulary))) @ self._sets
        shared = shared.tocoo()
        held = shared.data >= self._asked[shared.col]
        return shared.row[held], shared.col[held]


def _matrix(rows: NDArray[np.int64], columns: NDArray[np.int64], shape: tuple[int, int]) -> Any:
    from scipy.sparse import csr_array

    return csr_array((np.ones(len(rows), dtype=np.int32), (rows, columns)), shape=shape)

"""Which rows have equal or similar texts: told once for all who ask."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from charter.data.aside import Texts
from charter.data.columns import Columns
from charter.data.rows import Parts, Rows
from charter.data.similarity.alike import Likes, Representatives, likes, representatives
from charter.data.similarity.setjoin import Joined, join
from charter.data.words import folded

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]
_SEEDS = (0x243F6A88, 0x85A308D3)


def likeness_of(rows: Rows, columns: Columns) -> "Likeness":
    """The likeness of rows; it is kept beside their parts, for whoever asks next of these rows, or of some of them."""
    kept = rows.parts.likeness
    if (
        kept is None or (kept.numbers(rows) < 0).any()
    ):  # of published parts some are looked at alone before all are
        rows.parts.likeness = kept = Likeness.read(rows, columns)
    return kept


class _Chosen(Texts):
    """Some texts of many, numbered anew."""

    def __init__(self, texts: Texts, numbers: Integers) -> None:
        super().__init__()
        self.texts = texts
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def some(self, numbers: Integers) -> list[str]:
        return self.texts.some(self.numbers[numbers])

    @property
    def lengths(self) -> Integers:
        return self.texts.lengths[self.numbers]


@dataclass(frozen=True)
class _Equal:
    """firsts: where each different value stands first, ascending; own: (n,) the number of each value among them."""

    firsts: Integers
    own: Integers


def _equal(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> _Equal:
    """Which pairs of hashes are equal: by sorting, which takes less memory than a table of them."""
    order = np.lexsort((other, one))
    new = np.ones(len(order), dtype=bool)
    for hashes in (one[order], other[order]):
        new[1:] &= hashes[1:] == hashes[:-1]
    new = ~new
    new[:1] = True
    firsts = order[new]
    by_place = np.argsort(firsts)
    rank = np.empty(len(firsts), dtype=np.int64)
    rank[by_place] = np.arange(len(firsts))
    own = np.empty(len(order), dtype=np.int64)
    own[order] = rank[np.cumsum(new) - 1]
    return _Equal(firsts[by_place], own)


class Likeness:
    """The texts of some rows, compared without case and with spaces collapsed.

    texts: (stored rows,) the number of each row's text among the different ones; -1 for rows that were gone before.
    """

    def __init__(self, parts: Parts, of_row: Integers, different: Texts) -> None:
        self._parts = parts
        self._different = different
        self._joined: Joined | None = None
        self._parted: tuple[float, Flags] | None = None
        self.texts = of_row

    @classmethod
    def read(cls, rows: Rows, columns: Columns) -> "Likeness":
        """Read the texts of rows."""
        texts = Texts(rows.parts.folder)
        hashes: list[pl.DataFrame] = []
        for chunk in rows.chunks(list(columns.inputs)):
            keys = folded(columns.texts(chunk))
            hashes.append(pl.DataFrame({str(seed): keys.hash(seed) for seed in _SEEDS}))
            texts.add(keys.to_list())
        equal = _equal(*(pl.concat([one[name] for one in hashes]).to_numpy() for name in hashes[0].columns))
        of_row = np.full(len(rows.parts.numbers), -1, dtype=np.int64)
        of_row[rows.left] = equal.own
        return cls(rows.parts, of_row, _Chosen(texts, equal.firsts))

    def __len__(self) -> int:
        return len(self._different)

    def numbers(self, rows: Rows) -> Integers:
        """(height,) the number of each row's text."""
        return self.texts[rows.left]

    def likes(self, rows: Rows, similarity: float) -> Likes:
        """Which different texts of some rows are alike, by their numbers; equal ones are one text."""
        among = self._among(self.numbers(rows))
        none = np.zeros((0, 2), dtype=np.int64)
        if similarity >= 1 or among.sum() < 2 or self._are_parted(among, similarity):
            return Likes(none, none)
        return likes(self._join(similarity), similarity, among)

    def representatives(self, rows: Rows, similarity: float) -> Flags:
        """(different texts,) which texts of some rows stay, when all go that one which stays is alike to."""
        among = self._among(self.numbers(rows))
        if similarity >= 1 or among.sum() < 2:
            return among
        found: Representatives = representatives(self._join(similarity), similarity, among)
        if found.complete:
            self._parted = (similarity, found.stays)
        return found.stays

    def _among(self, numbers: Integers) -> Flags:
        among = np.zeros(len(self), dtype=bool)
        among[numbers] = True
        return among

    def _are_parted(self, among: Flags, similarity: float) -> bool:
        """Whether these are known to hold no two that are alike: some of those that were left of near-duplicates."""
        return (
            self._parted is not None
            and similarity >= self._parted[0]
            and not (among & ~self._parted[1]).any()
        )

    def _join(self, similarity: float) -> Joined:
        if self._joined is None or self._joined.similarity > similarity:
            lowest = min(similarity, self._parts.lowest_similarity)
            self._joined = join(self._different, lowest, self._parts.folder)
        return self._joined

"""Long texts that are alike, in a large corpus: candidates by bands of a sketch, nearly all there are, and no others by mistake.

Among many long texts every gram is common, so that a join by rare grams looks at nearly every pair. Here each text is sketched by
one permutation hashing: its grams fall into BINS bins by their hash, and of each bin the smallest one counts (Li, Owen and
Zhang, One permutation hashing, NIPS 2012); an empty bin borrows from the next one (Shrivastava and Li, Densifying one permutation
hashing via rotation, ICML 2014). Two texts agree in a bin as often as their Jaccard similarity says. Texts that agree in all bins
of a band are candidates (Leskovec, Rajaraman and Ullman, Mining of massive datasets, section 3.4); the rest of the sketch sorts out
most of those that are not alike, and what is left is compared gram by gram by whoever asks.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from charter.data.aside import Numbers
from charter.data.draws import mixed
from charter.data.similarity.grams import HASH_BITS, ROW_SHIFT, Grams, ascending

BINS = 384
LONG = 256
"""Texts of so many different grams are sketched."""
MANY = 1 << 23
"""With so many grams (bytes of text) in long texts, long texts are found by bands; with fewer exactly, as short ones always are."""
MISSED = 1e-3
"""A pair at the very similarity that is asked for is missed with this chance at most; more similar ones with less."""
NEAR = 64
"""Texts of one band are compared with so many that come before them, and with the first."""
MARKS = 64
"""So many bins are kept of each text, a byte each."""
_SURE = 5.0
_EMPTY = np.uint64(np.iinfo(np.uint64).max)
_BORROWED = np.uint64(0xD6E8FEB86659FD93)

Keys = NDArray[np.uint64]
Integers = NDArray[np.int64]


def rows_of(similarity: float) -> int:
    """Bins of a band: as many as leave the chance to miss a pair of this similarity at MISSED."""
    fit = [r for r in range(1, 33) if (1 - similarity**r) ** (BINS // r) <= MISSED]
    return max(fit, default=1)


class Bands:
    """The sketches of long texts, added block by block; of each text BINS / rows numbers lie aside, and MARKS bytes are held."""

    def __init__(self, texts: int, similarity: float, folder: Path | None) -> None:
        self.similarity = similarity
        self._rows = rows_of(similarity)
        self._place_bits = np.uint64(max(texts - 1, 1).bit_length())
        self._numbers = Numbers(folder, BINS // self._rows)
        self._texts: list[Integers] = []
        self._marks: list[NDArray[np.uint8]] = []

    def add(self, numbers: Integers, grams: Grams) -> None:
        """Sketch the long ones of some texts."""
        long = grams.sizes >= LONG
        if not long.any():
            return
        sketch = sketched(grams, long)
        texts = numbers[long]
        self._texts.append(texts)
        self._marks.append((mixed(sketch[:, :: BINS // MARKS]) & np.uint64(255)).astype(np.uint8))
        factors = mixed(np.arange(self._rows, dtype=np.uint64)) | np.uint64(1)
        for band in range(BINS // self._rows):
            part = sketch[:, band * self._rows : (band + 1) * self._rows]
            key = mixed((part * factors).sum(axis=1, dtype=np.uint64)) >> self._place_bits
            self._numbers.add(band, (key << self._place_bits) | texts.astype(np.uint64))

    def candidates(self, sizes: Integers) -> Iterator[tuple[Integers, Integers]]:
        """Pairs of texts that share a band and may be alike, band by band: some stand in several."""
        if not self._texts:
            return
        place = np.full(len(sizes), -1, dtype=np.int64)
        texts = np.concatenate(self._texts)
        place[texts] = np.arange(len(texts))
        marks = np.concatenate(self._marks)
        t = self.similarity
        least = (t - _SURE * (t * (1 - t) / MARKS) ** 0.5) * MARKS
        for band in range(BINS // self._rows):
            numbers = ascending(self._numbers.share(band))
            key = numbers >> self._place_bits
            own = (numbers & ((np.uint64(1) << self._place_bits) - np.uint64(1))).astype(np.int64)
            for one, other in _near(key):
                ones, others = own[one], own[other]
                size, smaller = np.maximum(sizes[ones], sizes[others]), np.minimum(sizes[ones], sizes[others])
                fits = smaller >= t * size - 1e-9
                ones, others = ones[fits], others[fits]
                agree = (marks[place[ones]] == marks[place[others]]).sum(axis=1)
                ones, others = ones[agree >= least], others[agree >= least]
                if len(ones):
                    yield ones, others


def _near(key: Keys) -> Iterator[tuple[Integers, Integers]]:
    """Places (i, j) of equal keys, i before j: those less than NEAR apart, and each with the first of its run."""
    if len(key) < 2:
        return
    begins = np.flatnonzero(np.r_[True, key[1:] != key[:-1]])
    sizes = np.diff(np.r_[begins, len(key)])
    at = np.repeat(begins, sizes)
    several = np.flatnonzero(np.repeat(sizes > 1, sizes))
    inside = several - at[several]
    for apart in range(1, NEAR):
        later = several[inside >= apart]
        if not len(later):
            return
        yield later - apart, later
    far = several[inside >= NEAR]
    yield at[far], far


def sketched(grams: Grams, chosen: NDArray[np.bool_]) -> Keys:
    """(chosen texts, BINS) the smallest hash of each bin; an empty bin has that of the next one, told apart by how far it is."""
    row = np.full(len(chosen), -1, dtype=np.int64)
    row[chosen] = np.arange(int(chosen.sum()))
    rows = row[(grams.keys >> ROW_SHIFT).astype(np.int64)]
    hashes = grams.hashes[rows >= 0]
    cell = rows[rows >= 0] * BINS + ((hashes * np.uint64(BINS)) >> np.uint64(HASH_BITS)).astype(np.int64)
    first = np.r_[
        True, cell[1:] != cell[:-1]
    ]  # within a text hashes ascend, so the first of a bin is its smallest
    found = np.full((int(chosen.sum()), BINS), _EMPTY, dtype=np.uint64)
    found.ravel()[cell[first]] = hashes[first]
    there = found != _EMPTY
    there = np.concatenate([there, there], axis=1)
    following = np.where(there, np.arange(2 * BINS), 2 * BINS)[:, ::-1]
    following = np.minimum.accumulate(following, axis=1)[:, ::-1][:, :BINS]
    apart = (following - np.arange(BINS)).astype(np.uint64)
    return np.take_along_axis(found, following % BINS, axis=1) + apart * _BORROWED

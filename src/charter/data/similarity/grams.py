"""The character shingles of texts as sorted numbers, a block of texts at a time: what the set join works on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from charter.data.similarity.shingles import CHARACTERS, characters, runs

BLOCK = 1 << 11
"""So many texts at most are turned into grams at once."""
BLOCK_BYTES = 1 << 21
"""... or so many bytes of them, unless one text alone has more."""
HASH_BITS = 44
ROW_SHIFT = np.uint64(52)
HASH_MASK = np.uint64((1 << HASH_BITS) - 1)
BITMAP_WORDS = 4

Keys = NDArray[np.uint64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Grams:
    """The different grams of each text of a block. keys: text << 52 | hash (44 bits), ascending; sizes: (texts,)."""

    keys: Keys
    sizes: Integers

    @property
    def hashes(self) -> Keys:
        """The hashes alone, ascending within each text."""
        return self.keys & HASH_MASK

    @property
    def begins(self) -> Integers:
        """(texts,) where each text's grams begin; every text has at least one."""
        begins: Integers = np.cumsum(self.sizes) - self.sizes
        return begins


def blocks_of(lengths: Integers) -> Iterator[tuple[int, int]]:
    """(texts,) bytes of texts -> from where to where blocks of texts go: BLOCK texts at most, and BLOCK_BYTES unless one alone has more."""
    ends = np.cumsum(lengths)
    start = 0
    while start < len(lengths):
        before = int(ends[start - 1]) if start else 0
        end = max(int(np.searchsorted(ends, before + BLOCK_BYTES, side="right")), start + 1)
        end = min(end, start + BLOCK, len(lengths))
        yield start, end
        start = end


def grams_of(texts: Sequence[str]) -> Grams:
    """The character 5-grams of at most BLOCK texts, by 44-bit hashes. A text of up to 5 characters is one gram, itself."""
    rows, hashes = runs(*characters(texts), CHARACTERS)
    keys = distinct((rows.astype(np.uint64) << ROW_SHIFT) | (hashes >> np.uint64(64 - HASH_BITS)))
    sizes = np.bincount((keys >> ROW_SHIFT).astype(np.int64), minlength=len(texts))
    return Grams(keys, sizes)


def ascending(values: Keys) -> Keys:
    """The values sorted, by Polars: numpy's own sort takes four times as long where it finds no vector instructions it likes."""
    ordered: Keys = pl.Series(values).sort().to_numpy()
    return ordered


def distinct(values: Keys) -> Keys:
    """The values sorted, each once (by sorting: np.unique's hashing is several times slower on millions)."""
    values = ascending(values)
    kept: Keys = values[np.r_[True, values[1:] != values[:-1]]] if len(values) else values
    return kept


def bitmaps(grams: Grams) -> Keys:
    """(4, texts) a map of 256 bits of each text: bit b says whether an odd number of its grams have it.

    Two sets differ in at least as many grams as their maps differ in bits (Sandes, Teodoro and Melo, Bitmap filter: speeding up
    exact set similarity joins with bitwise operations, Information Systems 2020).
    """
    hashes = grams.hashes
    bit = np.uint64(1) << (hashes & np.uint64(63))
    word = (hashes >> np.uint64(6)) & np.uint64(BITMAP_WORDS - 1)
    begins = grams.begins
    maps = np.empty((BITMAP_WORDS, len(grams.sizes)), dtype=np.uint64)
    for number in range(BITMAP_WORDS):
        maps[number] = np.bitwise_xor.reduceat(bit * (word == np.uint64(number)), begins)
    return maps

"""The character n-grams of texts as sets of hashes, a block of texts at a time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

GRAM = 5
BLOCK = 1 << 11
"""So many texts at most are turned into grams at once."""
HASH_BITS = 44
ROW_SHIFT = np.uint64(52)
HASH_MASK = np.uint64((1 << HASH_BITS) - 1)
BITMAP_WORDS = 4

Keys = NDArray[np.uint64]
Integers = NDArray[np.int64]

_FILLER = "\U0010ffff"
# Odd numbers drawn once: a gram's hash is a sum of its characters times these, finished by SplitMix64's mixing.
_FACTORS = np.asarray(
    [0x9E3779B97F4A7C15, 0xD1B54A32D192ED03, 0xA0761D6478BD642F, 0xE7037ED1A0B428DB, 0x8EBC6AF09C88C6E3],
    dtype=np.uint64,
)


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


def grams_of(texts: Sequence[str]) -> Grams:
    """The character 5-grams of at most BLOCK texts, by 44-bit hashes. A text of up to 5 characters is one gram, itself."""
    padded = [text if len(text) >= GRAM else text.ljust(GRAM, _FILLER) for text in texts]
    lengths = np.fromiter(map(len, padded), dtype=np.int64, count=len(padded))
    points = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    wide = points.astype(np.uint64)
    count = max(len(wide) - GRAM + 1, 0)
    hashes = np.zeros(count, dtype=np.uint64)
    for offset, factor in enumerate(_FACTORS):
        hashes += wide[offset : offset + count] * factor
    windows = lengths - GRAM + 1
    rows = np.repeat(np.arange(len(padded), dtype=np.uint64), windows)
    inside = np.arange(len(rows)) + (rows * np.uint64(GRAM - 1)).astype(np.int64)
    if len(padded) > 1:  # the windows that would run from one text into the next
        hashes = hashes[inside]
    keys = distinct((rows << ROW_SHIFT) | (_mixed(hashes) >> np.uint64(64 - HASH_BITS)))
    sizes = np.bincount((keys >> ROW_SHIFT).astype(np.int64), minlength=len(padded))
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


def _mixed(values: Keys) -> Keys:
    """Each bit of a value spread over all of it (the finaliser of SplitMix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Keys = values ^ (values >> np.uint64(31))
    return mixed

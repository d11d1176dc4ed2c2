"""Texts as sets of shingles, runs of characters or words hashed to 64 bits (Broder, On the resemblance of documents, 1997)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from charter.data.draws import mixed
from charter.data.words import WORD, folded

Hashes = NDArray[np.uint64]
Integers = NDArray[np.int64]
CHARACTERS = 5
"""Characters in a shingle wherever the similarity of texts is meant, as in drop_near_duplicates and in the split."""
_FILLER = "\U0010ffff"


@dataclass(frozen=True)
class Shingles:
    """The different shingles of each text: `hashes` of the text numbers `rows`, both (shingles,), sorted by text; n texts."""

    rows: Integers
    hashes: Hashes
    n: int

    @property
    def sizes(self) -> Integers:
        """(n,) how many different shingles each text has."""
        return np.bincount(self.rows, minlength=self.n)


def character_shingles(texts: pl.Series) -> Shingles:
    """Runs of 5 characters of texts in lower case with single spaces; a text of up to 5 characters is one."""
    return _distinct(*runs(*characters(folded(texts).to_list()), CHARACTERS), n=len(texts))


def word_shingles(texts: pl.Series, n: int) -> Shingles:
    """Runs of n words, without case and punctuation; each Chinese character is a word. Shorter texts have none."""
    words = words_in(texts)
    hashes = words.explode(empty_as_null=False, keep_nulls=False).hash(seed=0).to_numpy()
    return _distinct(*runs(hashes, words.list.len().to_numpy().astype(np.int64), n), n=len(texts))


def words_in(texts: pl.Series) -> pl.Series:
    """The words of each text, in lower case, compatibility forms (full-width letters) made plain."""
    return folded(texts).str.normalize("NFKC").str.extract_all(WORD)


def text_keys(texts: pl.Series) -> Hashes:
    """(n,) one hash per text, equal where texts differ in case, spaces, punctuation and width of letters only."""
    words = words_in(texts).list.join(" ")
    return words.zip_with(words != "", folded(texts)).hash(seed=1).to_numpy()


def characters(texts: Sequence[str]) -> tuple[Hashes, Integers]:
    """The characters of all texts, one after another, as numbers; and how many each text has, 5 at least."""
    padded = [text if len(text) >= CHARACTERS else text.ljust(CHARACTERS, _FILLER) for text in texts]
    points = np.frombuffer("".join(padded).encode("utf-32-le", errors="surrogatepass"), dtype=np.uint32)
    return points.astype(np.uint64), np.fromiter(map(len, padded), dtype=np.int64, count=len(padded))


def runs(units: Hashes, lengths: Integers, n: int) -> tuple[Integers, Hashes]:
    """Every run of n units within one text: the number of its text, and its hash. units: of all texts; lengths: (texts,).

    A hash is the sum of the units times odd numbers of their places, mixed.
    """
    count = max(len(units) - n + 1, 0)
    hashes = np.zeros(count, dtype=np.uint64)
    for place, factor in enumerate(mixed(np.arange(n, dtype=np.uint64)) | np.uint64(1)):
        hashes += units[place : place + count] * factor
    windows = np.maximum(lengths - n + 1, 0)
    skipped = np.cumsum(lengths) - lengths - (np.cumsum(windows) - windows)
    at = np.arange(int(windows.sum())) + np.repeat(skipped, windows)
    return np.repeat(np.arange(len(lengths)), windows), mixed(hashes[at])


def _distinct(rows: Integers, hashes: Hashes, *, n: int) -> Shingles:
    """The shingles of n texts, each once per text."""
    order = np.lexsort((hashes, rows))
    rows, hashes = rows[order], hashes[order]
    new = np.ones(len(rows), dtype=bool)
    new[1:] = (rows[1:] != rows[:-1]) | (hashes[1:] != hashes[:-1])
    return Shingles(rows[new], hashes[new], n)

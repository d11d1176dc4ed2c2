"""Every pair of texts whose sets of character n-grams are alike, found exactly and in bounded memory: a set join.

Two sets with a Jaccard similarity of at least t must share one of their rarest grams: of the 1 - t rarest of the larger
set, and of the 1 - 2t / (1 + t) rarest of the smaller one (Xiao, Wang, Lin and Yu, Efficient similarity joins for
near-duplicate detection, WWW 2008). Which gram is rare is counted by its hash, in a table of fixed size: every order of the
grams finds every pair, a good one looks at fewer. A candidate is dropped unseen where the bitmaps of both sets differ in too
many bits (`charter.data.similarity.grams.bitmaps`); the others are compared gram by gram. What is held for all texts at once is small: a
bitmap, a size and a few numbers each; texts and rare grams lie aside.

Where long texts are many, every gram is common and so nearly every pair a candidate: pairs of long texts then come from
`charter.data.similarity.bands`, which misses few; what is told is compared all the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from charter.data.aside import Numbers, Texts
from charter.data.similarity import bands
from charter.data.similarity.grams import (
    BITMAP_WORDS,
    HASH_BITS,
    HASH_MASK,
    Grams,
    ascending,
    bitmaps,
    blocks_of,
    grams_of,
)

FEW = 64
"""A text with at most so many candidates for a gram is compared with each of them, and every pair that is alike is told."""
AT_ONCE = 1 << 18
"""So many candidates are looked at, or pairs compared, at once; a pair's number and a hash share 64 bits."""
SHARE_SIZE = 1 << 20
"""So many rare grams are sorted at once."""
MOST_COUNTED = 60_000
"""A gram that was counted so often is common; how common makes no difference."""
KEPT_GRAMS = 1 << 22
SLACK = 1e-9

Keys = NDArray[np.uint64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Crowd:
    """Texts that share a gram which is among the rarest of each: more than FEW.

    members: texts, smaller sets first. arrivals: {text: how many of the members come before it} of those texts for which
    these are more than FEW; they were not compared with them.
    """

    members: Integers
    arrivals: dict[int, int]


@dataclass(frozen=True)
class Joined:
    """What is alike among some different texts.

    order: texts from the smallest set to the largest, of equal ones in their order. pairs: (n, 2) texts that are truly alike,
    the larger set first; jaccard: (n,) how alike. crowds: where not every pair was looked at. exact: no pair was missed.
    """

    texts: Texts
    similarity: float
    order: Integers
    pairs: Integers
    jaccard: NDArray[np.float64]
    crowds: tuple[Crowd, ...]
    compare: "Comparer"
    exact: bool = True


def join(texts: Texts, similarity: float, folder: Path | None = None) -> Joined:
    """Which of some different texts are alike: their character 5-grams have at least this Jaccard similarity, below 1."""
    sketch = _sketched(texts, similarity, folder)
    order = np.argsort(sketch.sizes, kind="stable")
    rare = _rare_grams(sketch, order, similarity, folder)
    compare = Comparer(texts, sketch.sizes, sketch.maps, similarity)
    pairs = [np.zeros((0, 2), dtype=np.int64)]
    found: list[tuple[Integers, Integers]] = []
    crowds: list[Crowd] = []
    for share in range(rare.shares):
        found += _candidates(rare, rare.numbers.share(share), order, compare, crowds)
    if sketch.bands is not None:
        found += _banded(sketch.bands, order, sketch.sizes)
    jaccard = [np.zeros(0)]
    for larger, smaller in _each_once(found, len(order)):
        told = compare.pairs(larger, smaller)
        pairs.append(np.stack([larger, smaller], axis=1)[told >= 0])
        jaccard.append(told[told >= 0])
    return Joined(
        texts,
        similarity,
        order,
        np.concatenate(pairs),
        np.concatenate(jaccard),
        tuple(crowds),
        compare,
        exact=sketch.bands is None,
    )


def _banded(found: bands.Bands, order: Integers, sizes: Integers) -> Iterator[tuple[Integers, Integers]]:
    """Candidates of long texts, the larger set first."""
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    for ones, others in found.candidates(sizes):
        first = place[ones] > place[others]
        yield np.where(first, ones, others), np.where(first, others, ones)


@dataclass(frozen=True)
class _Sketch:
    """Of each text: how many different grams it has, and their bitmap. rarity: how common grams are, by their first bits.

    blocks: of the texts that are joined by rare grams: all, or the short ones where there are bands of the long ones.
    """

    sizes: Integers
    maps: Keys
    rarity: NDArray[np.uint8]
    table_bits: int
    blocks: "_Blocks"
    bands: bands.Bands | None


def _sketched(texts: Texts, similarity: float, folder: Path | None) -> _Sketch:
    n = len(texts)
    table_bits = 22 if n < 1 << 17 else 25
    counts = np.zeros(1 << table_bits, dtype=np.uint16)
    sizes = np.empty(n, dtype=np.int64)
    maps = np.empty((BITMAP_WORDS, n), dtype=np.uint64)
    lengths = texts.lengths
    many = int(lengths[lengths >= bands.LONG].sum()) >= bands.MANY
    banded = bands.Bands(n, similarity, folder) if many else None
    most = (
        bands.LONG / similarity if many else np.inf
    )  # a long text and one that is too short to be banded can't be alike
    blocks = _Blocks(texts, np.arange(n))
    for numbers, grams in blocks:
        sizes[numbers] = grams.sizes
        maps[:, numbers] = bitmaps(grams)
        hashes = grams.hashes
        if banded is not None:
            banded.add(numbers, grams)
            hashes = hashes[np.repeat(grams.sizes < most, grams.sizes)]
        at = (hashes >> np.uint64(HASH_BITS - table_bits)).astype(np.int64)
        np.add.at(counts, at[counts[at] < MOST_COUNTED], np.uint16(1))
    if banded is not None:
        blocks = _Blocks(texts, np.flatnonzero(sizes < most))
    return _Sketch(sizes, maps, _rarity(counts), table_bits, blocks, banded)


def _rarity(counts: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Counts on a logarithmic scale, about 8 steps from one to its double."""
    rarity = np.empty(len(counts), dtype=np.uint8)
    for start in range(0, len(counts), 1 << 20):
        part = counts[start : start + (1 << 20)]
        rarity[start : start + len(part)] = np.log2(part + np.float32(1), dtype=np.float32) * np.float32(7.9)
    return rarity


class _Blocks:
    """The grams of some texts, block by block; those of few texts are kept for the second time."""

    def __init__(self, texts: Texts, numbers: Integers) -> None:
        self._texts = texts
        self.numbers = numbers
        self._kept: dict[int, Grams] = {}
        self._room = KEPT_GRAMS

    def __iter__(self) -> Iterator[tuple[Integers, Grams]]:
        for start, end in blocks_of(self._texts.lengths[self.numbers]):
            numbers = self.numbers[start:end]
            grams = self._kept.get(start)
            if grams is None:
                grams = grams_of(self._texts.some(numbers))
                self._room -= len(grams.keys)
                if self._room >= 0:
                    self._kept[start] = grams
            yield numbers, grams


@dataclass(frozen=True)
class _Rare:
    """The rarest grams of every text, in shares by their hash; a number holds gram, the text's place in the order, and a flag.

    The flag says that the gram is among those rarest by which a smaller set is found; by the others it only looks.
    """

    numbers: Numbers
    shares: int
    place_bits: int


def _rare_grams(sketch: _Sketch, order: Integers, similarity: float, folder: Path | None) -> _Rare:
    n, sizes = len(order), sketch.sizes
    looking = sizes - np.ceil(similarity * sizes - SLACK).astype(np.int64) + 1
    found_by = sizes - np.ceil(2 * similarity / (1 + similarity) * sizes - SLACK).astype(np.int64) + 1
    place = np.empty(n, dtype=np.int64)
    place[order] = np.arange(n)
    place_bits = max(n - 1, 1).bit_length()
    looked = int(looking[sketch.blocks.numbers].sum())
    share_bits = max(HASH_BITS + place_bits + 1 - 64, (looked // SHARE_SIZE).bit_length(), 0)
    numbers = Numbers(folder, 1 << share_bits)
    for block, grams in sketch.blocks:
        keys = grams.keys
        common = sketch.rarity[
            ((keys & HASH_MASK) >> np.uint64(HASH_BITS - sketch.table_bits)).astype(np.int64)
        ]
        keys = ascending(keys | (common.astype(np.uint64) << np.uint64(HASH_BITS)))
        begins = np.cumsum(sizes[block]) - sizes[block]
        rows = np.repeat(np.arange(len(block)), looking[block])
        inside = np.arange(len(rows)) - np.repeat(np.cumsum(looking[block]) - looking[block], looking[block])
        gram = keys[begins[rows] + inside] & HASH_MASK
        flag = (inside < found_by[block][rows]).astype(np.uint64)
        low = (place[block][rows].astype(np.uint64) << np.uint64(1)) | flag
        packed = ((gram >> np.uint64(share_bits)) << np.uint64(place_bits + 1)) | low
        share = gram & np.uint64((1 << share_bits) - 1)
        if share_bits == 0:
            numbers.add(0, packed)
            continue
        by_share = np.argsort(share, kind="stable")
        cuts = np.searchsorted(share[by_share], np.arange((1 << share_bits) + 1, dtype=np.uint64))
        packed = packed[by_share]
        for one in range(1 << share_bits):
            numbers.add(one, packed[cuts[one] : cuts[one + 1]])
    return _Rare(numbers, 1 << share_bits, place_bits)


def _candidates(
    rare: _Rare, numbers: Keys, order: Integers, compare: "Comparer", crowds: list[Crowd]
) -> list[tuple[Integers, Integers]]:
    """Pairs (larger, smaller) of one share whose sizes and bitmaps allow that they are alike, some more than once."""
    numbers = ascending(numbers)
    gram = numbers >> np.uint64(rare.place_bits + 1)
    texts = order[((numbers >> np.uint64(1)) & np.uint64((1 << rare.place_bits) - 1)).astype(np.int64)]
    flags = (numbers & np.uint64(1)).astype(np.int64)
    members = texts[flags == 1]
    before = np.cumsum(flags) - flags  # members, of all grams, before each
    begins = np.flatnonzero(np.r_[True, gram[1:] != gram[:-1]][: len(gram)])
    first = np.repeat(before[begins], np.diff(np.r_[begins, len(gram)]))  # those before the gram's own
    count = before - first
    few = np.flatnonzero((count > 0) & (count <= FEW))
    found = []
    for part in np.array_split(few, int(count[few].sum()) // AT_ONCE + 1):
        larger = np.repeat(texts[part], count[part])
        inside = np.arange(len(larger)) - np.repeat(np.cumsum(count[part]) - count[part], count[part])
        smaller = members[np.repeat(first[part], count[part]) + inside]
        fits = compare.may_be_alike(larger, smaller)
        found.append((larger[fits], smaller[fits]))
    many = np.flatnonzero(count > FEW)
    for arriving in np.split(many, np.flatnonzero(np.diff(gram[many])) + 1) if len(many) else ():
        own = members[first[arriving[0]] : before[arriving[-1]]]
        crowds.append(Crowd(own, dict(zip(texts[arriving].tolist(), count[arriving].tolist(), strict=True))))
    return found


def _each_once(found: list[tuple[Integers, Integers]], n: int) -> Iterator[tuple[Integers, Integers]]:
    """The candidates, each once, in the order of the larger text's number, so many as are compared at once."""
    if not found:
        return
    codes = np.unique(np.concatenate([larger * n + smaller for larger, smaller in found]))
    for part in np.array_split(codes, len(codes) // AT_ONCE + 1):
        yield np.divmod(part, n)


class Comparer:
    """Compares texts gram by gram."""

    def __init__(self, texts: Texts, sizes: Integers, maps: Keys, similarity: float) -> None:
        self.texts = texts
        self.sizes = sizes
        self.maps = maps
        self.similarity = similarity
        self._known: dict[int, Keys] = {}
        self._held = 0

    def may_be_alike(self, ones: Integers, others: Integers) -> Integers:
        """Which of the pairs sizes and bitmaps allow to be alike: all that are, and few more.

        The bitmap is looked at word by word: for most pairs the first word is enough to tell.
        """
        t = self.similarity
        size, other = self.sizes[ones], self.sizes[others]
        left = np.flatnonzero(np.minimum(size, other) >= t * np.maximum(size, other) - SLACK)
        most = ((size[left] + other[left]) * ((1 - t) / (1 + t)) + 1e-6).astype(np.int64)
        differ = np.zeros(len(left), dtype=np.int64)
        for word in self.maps:
            differ += np.bitwise_count(word[ones[left]] ^ word[others[left]])
            fits = differ <= most
            left, most, differ = left[fits], most[fits], differ[fits]
        return left

    def pairs(self, ones: Integers, others: Integers) -> NDArray[np.float64]:
        """The Jaccard similarity of each pair; -1 where it is below what is asked for."""
        found = np.full(len(ones), -1.0)
        grams = np.cumsum(self.sizes[ones] + self.sizes[others])
        start = 0
        while start < len(ones):
            limit = (grams[start - 1] if start else 0) + 4 * AT_ONCE
            end = min(max(int(np.searchsorted(grams, limit, side="right")), start + 1), start + AT_ONCE)
            found[start:end] = self._shared(ones[start:end], others[start:end])
            start = end
        return found

    def _shared(self, ones: Integers, others: Integers) -> NDArray[np.float64]:
        different, place = np.unique(np.concatenate([ones, others]), return_inverse=True)
        hashes = np.concatenate([grams.hashes for _, grams in _Blocks(self.texts, different)])
        sizes = self.sizes[different]
        begins = np.cumsum(sizes) - sizes
        both = np.tile(np.arange(len(ones), dtype=np.uint64), 2)
        counts = sizes[place]
        inside = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        own = hashes[np.repeat(begins[place], counts) + inside]
        keys = ascending((np.repeat(both, counts) << np.uint64(HASH_BITS)) | own)
        twice = keys[1:][keys[1:] == keys[:-1]] >> np.uint64(HASH_BITS)
        shared = np.bincount(twice.astype(np.int64), minlength=len(ones))
        total = self.sizes[ones] + self.sizes[others] - shared
        alike = shared >= self.similarity * total - SLACK
        return np.where(alike, shared / total, -1.0)

    def alike(self, text: int, others: Integers, similarity: float) -> Integers:
        """Those of the others that are alike to a text, at least as much as is said."""
        others = others[others != text]
        others = others[self.may_be_alike(np.full(len(others), text), others)]
        if not len(others):
            return others
        mine = self._grams(text)
        theirs = [self._grams(one) for one in others.tolist()]
        hashes = np.concatenate(theirs)
        at = np.minimum(np.searchsorted(mine, hashes), len(mine) - 1)
        sizes = self.sizes[others]
        shared = np.add.reduceat((mine[at] == hashes).astype(np.int64), np.cumsum(sizes) - sizes)
        total = len(mine) + sizes - shared
        found: Integers = others[shared >= similarity * total - SLACK]
        return found

    def _grams(self, text: int) -> Keys:
        known = self._known.get(text)
        if known is None:
            if self._held > 4 * AT_ONCE:
                self._known.clear()
                self._held = 0
            known = grams_of(self.texts.some(np.asarray([text]))).hashes
            self._known[text] = known
            self._held += len(known)
        return known

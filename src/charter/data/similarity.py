"""Every pair of texts whose sets of character n-grams are alike, found exactly: a set join by rare grams, no signatures.

Two sets with a Jaccard similarity of at least t must share one of their rarest grams: of the 1 - t rarest of the larger
set, and of the 1 - 2t / (1 + t) rarest of the smaller one (Xiao, Wang, Lin and Yu, Efficient similarity joins for
near-duplicate detection, WWW 2008). Boilerplate is common, so it is looked up only where nothing rarer is left: texts that
share a form and differ in more than t allows are never compared.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

GRAM = 5
FEW = 64
"""A text with at most so many candidates is compared with each of them, and every pair that is alike is told."""
CHECKS_PER_TEXT = 400
"""Of texts with more candidates, so many comparisons per text are made in all; what is left then is taken for alike."""
AT_ONCE = 512
_SLACK = 1e-9

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Likes:
    """pairs: (n, 2) texts i < j that are truly alike. assumed: (m, 2) pairs joined unseen, when comparisons ran out.

    Texts that are alike are connected by pairs (and assumed ones) always. Each pair itself is told where a text has at
    most FEW candidates; of the many texts of one mould each is paired with one that it is alike to, the same for most.
    """

    pairs: Integers
    assumed: Integers


@dataclass(frozen=True)
class _Sets:
    """Sets of grams one after the other: ids (rarest first within a set) and bounds, (n + 1,)."""

    ids: Integers
    bounds: Integers
    different: int

    @property
    def sizes(self) -> Integers:
        return np.diff(self.bounds)


def likes(texts: list[str], similarity: float) -> Likes:
    """Which of some different texts are alike: their character 5-grams have at least this Jaccard similarity, below 1.

    Grams are compared by 64-bit hashes. A text of up to 5 characters is one gram, itself.
    """
    sets = _gram_sets(texts)
    join = _Join(sets, similarity)
    join.run()
    return Likes(_pairs(join.pairs), _pairs(join.assumed))


def representatives(texts: list[str], similarity: float) -> Integers:
    """(n,) by text the one that stands for it: itself where it stays, else one that stays and is truly alike.

    From the shortest text to the longest, of equally short ones in their order, a text stays unless one that stays is
    alike; so no two that stay are alike (but where comparisons ran out, as in `likes`).
    """
    join = _Join(_gram_sets(texts), similarity)
    sizes = join.sets.sizes
    probe = sizes - np.ceil(similarity * sizes - _SLACK).astype(np.int64) + 1
    index = sizes - np.ceil(2 * similarity / (1 + similarity) * sizes - _SLACK).astype(np.int64) + 1
    stand_in = np.arange(len(texts))
    staying: dict[int, list[int]] = {}
    for text in np.argsort(sizes, kind="stable").tolist():
        begin = int(join.sets.bounds[text])
        grams = join.sets.ids[begin : begin + int(probe[text])].tolist()
        near = [one for gram in grams for one in staying.get(gram, ())]
        found = join.first_alike(text, _distinct(np.asarray(near, dtype=np.int64))) if near else None
        if found is not None:
            stand_in[text] = found
            continue
        for gram in grams[: int(index[text])]:
            staying.setdefault(gram, []).append(text)
    return stand_in


def _pairs(found: list[tuple[int, int]]) -> Integers:
    array = np.asarray(found, dtype=np.int64).reshape(-1, 2)
    array.sort(axis=1)
    return np.unique(array, axis=0)


def _gram_sets(texts: list[str]) -> _Sets:
    padded = [text.ljust(GRAM, _FILLER) for text in texts]
    points = np.frombuffer("".join(padded).encode("utf-32-le", errors="surrogatepass"), dtype=np.uint32)
    hashes = np.zeros(len(points) - GRAM + 1, dtype=np.uint64)
    for offset in range(GRAM):
        hashes = _mixed(hashes + points[offset : offset + len(hashes)])
    lengths = np.asarray([len(text) for text in padded], dtype=np.int64)
    windows = lengths - GRAM + 1
    rows = np.repeat(np.arange(len(texts)), windows)
    skipped = rows * (GRAM - 1)  # the windows that would run from one text into the next
    return _rarest_first(rows, hashes[np.arange(len(rows)) + skipped], len(texts))


_FILLER = "\U0010ffff"


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Each bit of a value spread over all of it (the finaliser of SplitMix64)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _rarest_first(rows: Integers, grams: NDArray[np.uint64], n: int) -> _Sets:
    order = np.argsort(grams)
    new = np.diff(grams[order], prepend=grams[order[:1]]) != 0
    ids = np.empty(len(grams), dtype=np.int64)
    ids[order] = np.cumsum(new)
    different = int(ids[order[-1]]) + 1
    del order, new
    keys = _distinct(rows * different + ids)  # each gram of a text once
    rows, ids = np.divmod(keys, different)
    del keys
    rank = np.empty(different, dtype=np.int64)
    rank[np.argsort(np.bincount(ids, minlength=different), kind="stable")] = np.arange(different)
    ordered = rows * different + rank[ids]
    ordered.sort()
    bounds = np.r_[0, np.cumsum(np.bincount(rows, minlength=n))]
    return _Sets(ordered % different, bounds, different)


def _distinct(values: Integers) -> Integers:
    """The values sorted, each once (by sorting: np.unique's hashing is several times slower on millions)."""
    values = np.sort(values)
    kept: Integers = values[np.r_[True, values[1:] != values[:-1]]] if len(values) else values
    return kept


class _Join:
    """The join as it goes, from the smallest set to the largest: which texts are known to be connected, and by what."""

    def __init__(self, sets: _Sets, similarity: float) -> None:
        self.sets = sets
        self.similarity = similarity
        self.pairs: list[tuple[int, int]] = []
        self.assumed: list[tuple[int, int]] = []
        n = len(sets.sizes)
        self.checks_left = CHECKS_PER_TEXT * n
        self.component = np.arange(n)
        self.members: dict[int, list[int]] = {}
        self.crowds: dict[int, _Crowd] = {}
        self.marked = np.zeros(sets.different, dtype=bool)

    def run(self) -> None:
        """Find what is alike."""
        sizes = self.sets.sizes
        order = np.argsort(sizes, kind="stable")
        step = np.empty_like(order)
        step[order] = np.arange(len(order))
        share = 2 * self.similarity / (1 + self.similarity)
        indexed = self._prefixes(sizes - np.ceil(share * sizes - _SLACK).astype(np.int64) + 1, step)
        probes = self._prefixes(sizes - np.ceil(self.similarity * sizes - _SLACK).astype(np.int64) + 1, step)
        n = len(sizes)
        begin = np.searchsorted(indexed, (probes // n) * n)
        end = np.searchsorted(indexed, probes)
        some = end > begin
        at, begin, end, grams = probes[some] % n, begin[some], end[some], probes[some] // n
        by_step = np.argsort(at, kind="stable")
        at, begin, end, grams = at[by_step], begin[by_step], end[by_step], grams[by_step]
        texts = order[indexed % n]
        cuts = np.flatnonzero(np.r_[True, np.diff(at) > 0, True]) if len(at) else np.zeros(1, dtype=np.int64)
        for low, high in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
            lists = [
                _List(g, texts[b:e])
                for g, b, e in zip(
                    grams[low:high].tolist(), begin[low:high].tolist(), end[low:high].tolist(), strict=True
                )
            ]
            self._join(int(order[at[low]]), lists)

    def first_alike(self, text: int, others: Integers) -> int | None:
        """One of these that is alike to a text; None where none is, or where comparisons ran out."""
        self._mark(text, True)
        found: int | None = None
        for start in range(0, len(others), AT_ONCE):
            batch = others[start : start + AT_ONCE]
            hits = self._alike(text, batch)
            self.checks_left -= len(batch)
            if len(hits) or self.checks_left <= 0:
                found = int(hits[0]) if len(hits) else None
                break
        self._mark(text, False)
        return found

    def _prefixes(self, lengths: Integers, step: Integers) -> Integers:
        """The rarest grams of every set, so many of each, as sorted keys: gram * n + the set's step."""
        n = len(lengths)
        rows = np.repeat(np.arange(n), lengths)
        inside = np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        keys: Integers = self.sets.ids[self.sets.bounds[rows] + inside] * n + step[rows]
        keys.sort()
        return keys

    def _join(self, text: int, lists: "list[_List]") -> None:
        few = [one.texts for one in lists if len(one.texts) <= FEW]
        many = [one for one in lists if len(one.texts) > FEW]
        self._mark(text, True)
        if few:
            for other in self._alike(text, _distinct(np.concatenate(few))).tolist():
                self._connect(text, other)
        if many:
            self._join_crowds(text, many)
        self._mark(text, False)

    def _join_crowds(self, text: int, many: "list[_List]") -> None:
        """Connect a text with the texts of long lists: with the first of a component, else with any of its members."""
        firsts = {
            int(self.component[self.crowds[one.gram].witness]) for one in many if one.gram in self.crowds
        }
        if firsts:  # a component is called by one of its texts, the first of its largest part
            for other in self._alike(text, np.asarray(sorted(firsts))).tolist():
                self._connect(text, other)
        for one in many:
            crowd = self.crowds.setdefault(one.gram, _Crowd(int(one.texts[0])))
            new = one.texts[crowd.seen :]
            own = self.component[crowd.witness]
            if crowd.together:
                crowd.together = bool((self.component[new] == own).all())
            crowd.seen = len(one.texts)
            if crowd.together and own == self.component[text]:
                continue
            self._join_list(text, one.texts)
            crowd.together = bool((self.component[one.texts] == self.component[crowd.witness]).all())

    def _join_list(self, text: int, others: Integers) -> None:
        rest = others[self.component[others] != self.component[text]]
        while len(rest):
            if self.checks_left <= 0:
                for label in np.unique(self.component[rest]).tolist():
                    self._connect(text, int(rest[self.component[rest] == label][0]), assumed=True)
                return
            batch, rest = rest[:AT_ONCE], rest[AT_ONCE:]
            hits = self._alike(text, batch)
            self.checks_left -= len(batch)
            for other in hits.tolist():
                if self.component[other] != self.component[text]:
                    self._connect(text, other)
            rest = rest[self.component[rest] != self.component[text]] if len(hits) else rest

    def _mark(self, text: int, value: bool) -> None:
        begin, end = self.sets.bounds[text : text + 2]
        self.marked[self.sets.ids[begin:end]] = value

    def _alike(self, text: int, others: Integers) -> Integers:
        """Those that are truly alike to the marked text."""
        bounds = self.sets.bounds
        size = int(bounds[text + 1] - bounds[text])
        sizes = bounds[others + 1] - bounds[others]
        fit = (np.minimum(sizes, size) >= self.similarity * np.maximum(sizes, size) - _SLACK) & (
            others != text
        )
        others, sizes = others[fit], sizes[fit]
        if not len(others):
            return others
        begin = np.cumsum(sizes) - sizes
        place = np.arange(int(sizes.sum())) + np.repeat(bounds[others] - begin, sizes)
        shared = np.add.reduceat(self.marked[self.sets.ids[place]].astype(np.int64), begin)
        alike: Integers = others[shared >= self.similarity * (size + sizes - shared) - _SLACK]
        return alike

    def _connect(self, text: int, other: int, *, assumed: bool = False) -> None:
        (self.assumed if assumed else self.pairs).append((text, other))
        small, large = int(self.component[text]), int(self.component[other])
        if small == large:
            return
        if len(self.members.get(small, (small,))) > len(self.members.get(large, (large,))):
            small, large = large, small
        moved = self.members.pop(small, [small])
        self.members.setdefault(large, [large]).extend(moved)
        self.component[moved] = large


@dataclass(frozen=True)
class _List:
    """The texts that have a gram among their rarest, smaller sets first."""

    gram: int
    texts: Integers


@dataclass
class _Crowd:
    """A long list: one of its texts, how many of the list were seen, and whether those are all connected."""

    witness: int
    seen: int = 0
    together: bool = True

"""Which of some different texts are alike, and which of them may stand for the others: read from one exact join."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charter.data.aside import Texts
from charter.data.similarity.setjoin import Crowd, Joined, join

CHECKS_PER_TEXT = 400
"""Of texts with many candidates, so many comparisons per text are made in all; what is left then is taken for alike."""
AT_ONCE = 512

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Likes:
    """pairs: (n, 2) texts i < j that are truly alike. assumed: (m, 2) pairs joined unseen, when comparisons ran out.

    Texts that are alike are connected by pairs (and assumed ones) always. Each pair itself is told where a text has few
    candidates; of the many texts of one mould each is paired with one that it is alike to, the same for most.
    """

    pairs: Integers
    assumed: Integers


@dataclass(frozen=True)
class Representatives:
    """stays: (n,) texts that stay.

    complete: whether no two that stay are alike; not known where comparisons ran out or pairs may be missed.
    """

    stays: Flags
    complete: bool


def joined_texts(texts: list[str], similarity: float) -> Joined:
    """The join of texts that are few."""
    held = Texts()
    held.add(texts)
    return join(held, similarity)


def likes(joined: Joined, similarity: float, among: Flags) -> Likes:
    """What is alike among some of the texts that were joined, at least at the similarity of the join."""
    whole = (joined.jaccard >= similarity - 1e-12) & among[joined.pairs].all(axis=1)
    pairs = joined.pairs[whole]
    mixing = _Mixing(joined, similarity, among, pairs)
    mixing.run()
    return Likes(_pairs([pairs, _array(mixing.pairs)]), _pairs([_array(mixing.assumed)]))


def representatives(joined: Joined, similarity: float, among: Flags) -> Representatives:
    """Which of some of the texts stay: every one that goes is truly alike to one that stays.

    From the shortest text to the longest, of equally short ones in their order, a text stays unless one that stays is
    alike; so no two that stay are alike (but where comparisons ran out).
    """
    stays = among.copy()
    whole = (joined.jaccard >= similarity - 1e-12) & among[joined.pairs].all(axis=1)
    smaller: dict[int, list[int]] = defaultdict(list)
    for large, small in joined.pairs[whole].tolist():
        smaller[large].append(small)
    crowds = _arrivals(joined, among)
    place = np.empty(len(joined.order), dtype=np.int64)
    place[joined.order] = np.arange(len(joined.order))
    checks_left = CHECKS_PER_TEXT * len(joined.order)
    complete = joined.exact
    for text in sorted({*smaller, *crowds}, key=place.__getitem__):
        if any(stays[one] for one in smaller.get(text, ())):
            stays[text] = False
            continue
        for others in _some(crowds.get(text, ()), stays):
            if checks_left <= 0:
                complete = False
                break
            checks_left -= len(others)
            if len(joined.compare.alike(text, others, similarity)):
                stays[text] = False
                break
    return Representatives(stays, complete)


def _arrivals(joined: Joined, among: Flags) -> dict[int, list[tuple[Crowd, int]]]:
    """By text, the crowds that it comes late to, with how many of each come before it."""
    found: dict[int, list[tuple[Crowd, int]]] = defaultdict(list)
    for crowd in joined.crowds:
        for text, count in crowd.arrivals.items():
            if among[text]:
                found[text].append((crowd, count))
    return found


def _some(crowds: "list[tuple[Crowd, int]] | tuple[()]", wanted: Flags) -> Iterator[Integers]:
    """Those of the crowds before a text that are wanted, a few at a time."""
    for crowd, count in crowds:
        others = crowd.members[:count]
        others = others[wanted[others]]
        for start in range(0, len(others), AT_ONCE):
            yield others[start : start + AT_ONCE]


def _array(found: list[tuple[int, int]]) -> Integers:
    return np.asarray(found, dtype=np.int64).reshape(-1, 2)


def _pairs(found: list[Integers]) -> Integers:
    array = np.concatenate(found)
    array = np.sort(array, axis=1)
    return np.unique(array, axis=0)


class _Mixing:
    """Connects the texts of crowds, from the smallest set to the largest: which are known to be connected, and by what."""

    def __init__(self, joined: Joined, similarity: float, among: Flags, pairs: Integers) -> None:
        self.joined = joined
        self.similarity = similarity
        self.among = among
        self.pairs: list[tuple[int, int]] = []
        self.assumed: list[tuple[int, int]] = []
        self.checks_left = CHECKS_PER_TEXT * len(joined.order)
        self.known = pairs

    def run(self) -> None:
        """Connect what is alike."""
        crowds = _arrivals(self.joined, self.among)
        if not crowds:
            return
        self._begin()
        seen: dict[int, _Seen] = {}
        for text in self.joined.order[np.isin(self.joined.order, list(crowds))].tolist():
            lists = []
            for crowd, count in crowds[text]:
                before = crowd.members[:count]
                before = before[self.among[before]]
                if len(before):
                    lists.append((seen.setdefault(id(crowd), _Seen(int(before[0]))), before))
            self._arrive(text, lists)

    def _begin(self) -> None:
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        n = len(self.joined.order)
        ones = np.ones(len(self.known), dtype=np.int8)
        graph = coo_array((ones, (self.known[:, 0], self.known[:, 1])), shape=(n, n))
        self.component = np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)
        by_label = np.argsort(self.component, kind="stable")
        sizes = np.bincount(self.component)
        ends = np.cumsum(sizes)
        self.members = {
            label: by_label[ends[label] - sizes[label] : ends[label]].tolist()
            for label in np.flatnonzero(sizes > 1).tolist()
        }
        firsts = np.zeros(len(sizes), dtype=np.int64)
        firsts[self.component[::-1]] = np.arange(n)[::-1]
        self.component = firsts[self.component]  # a component is called by one of its texts
        self.members = {int(firsts[label]): texts for label, texts in self.members.items()}

    def _arrive(self, text: int, lists: "list[tuple[_Seen, Integers]]") -> None:
        """Connect a text with the texts of long lists: with the first of a component, else with any of its members."""
        firsts = {int(self.component[seen.witness]) for seen, _ in lists if seen.count} - {
            int(self.component[text])
        }
        if firsts:
            for other in self._alike(text, np.asarray(sorted(firsts))).tolist():
                self._connect(text, other)
        for seen, others in lists:
            own = self.component[seen.witness]
            if seen.together:
                seen.together = bool((self.component[others[seen.count :]] == own).all())
            seen.count = len(others)
            if seen.together and own == self.component[text]:
                continue
            self._join_list(text, others)
            seen.together = bool((self.component[others] == self.component[seen.witness]).all())

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

    def _alike(self, text: int, others: Integers) -> Integers:
        return self.joined.compare.alike(text, others, self.similarity)

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


@dataclass
class _Seen:
    """A crowd so far: one of its texts, how many were seen, and whether those are all connected."""

    witness: int
    count: int = 0
    together: bool = True

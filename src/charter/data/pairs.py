"""Pairs of segments, drawn from documents: one that follows or a random one, or both in their order or turned round."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, overload

import numpy as np
from numpy.typing import NDArray

from charter.data.batch import IGNORED, Examples, Hidden
from charter.data.pieces import AT_ONCE, Frame
from charter.data.segments import Segments
from charter.errors import ModelError

Integers = NDArray[np.int64]
Second = Literal["next", "order"]
"""What is to be told of a pair: whether the second follows the first, or whether they stand in their order."""
FOLLOWS, OTHER = 0, 1
"""The classes of a pair, as transformers numbers them."""


class Hider(Protocol):
    """Hides tokens, and knows how many."""

    def __call__(self, sequences: Sequence[Integers], places: Sequence[int]) -> Hidden:
        """Hide something of each sequence."""

    def counts(self, lengths: Integers, specials: int | Integers) -> Integers:
        """How many tokens are hidden of sequences of these lengths, which hold so many special tokens."""


@dataclass(frozen=True)
class PairFrame:
    """The special tokens around and between two texts, each with its type, and how many tokens of both have room.

    types: (5,) what is told apart: that of `before`, of the first text, of `between`, of the second, of `after`; None where the
    tokenizer gives none. single: the frame of a text that stands alone.
    """

    before: Integers
    between: Integers
    after: Integers
    types: tuple[Integers, Integers, Integers, Integers, Integers] | None
    single: Frame
    room: int

    @classmethod
    def of(cls, tokenizer: Any, max_length: int) -> "PairFrame":
        """What the tokenizer puts around two texts.

        Raises:
            ModelError: it puts nothing between them, or there is no room for two.
        """
        around = tokenizer("a", "b")
        whose, ids = around.sequence_ids(0), np.asarray(around["input_ids"], dtype=np.int64)
        first = [at for at, text in enumerate(whose) if text == 0]
        second = [at for at, text in enumerate(whose) if text == 1]
        if not first or not second or second[0] - first[-1] < 2:
            raise ModelError("the base's tokenizer puts nothing between two texts, so it can't read pairs")
        places = (first[0], first[-1] + 1, second[0], second[-1] + 1)
        told = around.get("token_type_ids")
        types = None
        if told is not None:
            before, one, between, two, after = np.split(np.asarray(told, dtype=np.int64), places)
            types = (before, one[:1], between, two[:1], after)
        specials = places[0] + places[2] - places[1] + len(ids) - places[3]
        room = max_length - specials
        if room < 2:
            raise ModelError(
                f"max_length {max_length} leaves no room for two texts between the special tokens"
            )
        parts = np.split(ids, places)
        return cls(parts[0], parts[2], parts[4], types, Frame.of(tokenizer, max_length), room)

    @property
    def specials(self) -> int:
        """How many special tokens a pair has."""
        return len(self.before) + len(self.between) + len(self.after)


@dataclass(frozen=True)
class Spans:
    """Where the two segments of each piece lie in `Segments.ids`; one without a neighbour stands alone.

    first, second: (pieces, 2) from and to; the second of one alone is empty. labels: (pieces,) FOLLOWS, OTHER or IGNORED.
    """

    first: Integers
    second: Integers
    labels: Integers


def drawn_spans(segments: Segments, second: Second, random: np.random.Generator, room: int) -> Spans:
    """Draw where each piece is parted in two, and in half of the cases another second, or the two turned round.

    next (Devlin et al. 2019, section 3.1): the other second is of another document, with as many sentences as the true one where
    its document has so many, so that its length tells nothing. order (Lan et al. 2020, section 3.1): the same two, the second first.
    """
    starts, begin, end = segments.starts, segments.pieces[:-1], segments.pieces[1:]
    n, paired = len(segments), end - begin > 1
    cut = np.where(paired, begin + 1 + (random.random(n) * (end - begin - 1)).astype(np.int64), end)
    other = paired & (random.random(n) < 0.5)
    a, b = np.stack([starts[begin], starts[cut]], axis=1), np.stack([starts[cut], starts[end]], axis=1)
    labels = np.where(paired, np.where(other, OTHER, FOLLOWS), IGNORED)
    if second == "order":
        a, b = np.where(other[:, None], b, a), np.where(other[:, None], a, b)
        return Spans(a, b, labels)
    chosen = random.random(n)
    if len(segments.documents) > 2:
        far = _of_others(segments, begin, end - cut, a, chosen, room)
        b = np.where(other[:, None], far, b)
    else:
        labels = np.where(paired, FOLLOWS, IGNORED)
    return Spans(a, b, labels)


def _of_others(
    segments: Segments, begin: Integers, count: Integers, a: Integers, chosen: NDArray[np.float64], room: int
) -> Integers:
    """(pieces, 2) for each piece some sentences of another document: from a random one on, `count` of them, as many as fit."""
    documents, starts = segments.documents, segments.starts
    own = np.searchsorted(documents, begin, side="right") - 1
    outside = documents[-1] - (documents[own + 1] - documents[own])
    at = np.minimum((chosen * outside).astype(np.int64), np.maximum(outside - 1, 0))
    at += np.where(at >= documents[own], documents[own + 1] - documents[own], 0)
    place = np.searchsorted(documents, at, side="right") - 1
    at = np.maximum(documents[place], np.minimum(at, documents[place + 1] - count))
    most = starts[at] + room - (a[:, 1] - a[:, 0])
    last = np.minimum(
        np.minimum(at + count, documents[place + 1]), np.searchsorted(starts, most, side="right") - 1
    )
    found: Integers = np.stack([starts[at], np.where(last > at, starts[last], most)], axis=1)
    return found


class _Of(Sequence[Integers]):
    """Something of each piece, made when it is asked for."""

    def __init__(self, segments: Segments, frame: PairFrame, spans: Spans) -> None:
        self.segments, self.frame, self.spans = segments, frame, spans

    def __len__(self) -> int:
        return len(self.segments)

    @overload
    def __getitem__(self, place: int) -> Integers: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Integers]: ...
    def __getitem__(self, place: int | slice) -> Integers | Sequence[Integers]:
        if isinstance(place, slice):
            return [self.one(at) for at in range(*place.indices(len(self)))]
        return self.one(range(len(self))[place])

    def one(self, place: int) -> Integers:
        raise NotImplementedError


class PairedIds(_Of):
    """The tokens of each pair with the special ones around and between them."""

    def one(self, place: int) -> Integers:
        """The tokens of one."""
        ids, frame = self.segments.ids, self.frame
        (a, b), (c, d) = self.spans.first[place], self.spans.second[place]
        if self.spans.labels[place] == IGNORED:
            return np.concatenate([frame.single.before, ids[a:b], frame.single.after]).astype(np.int64)
        return np.concatenate([frame.before, ids[a:b], frame.between, ids[c:d], frame.after]).astype(np.int64)

    @property
    def specials(self) -> Integers:
        """(pieces,) the special tokens of each."""
        single = len(self.frame.single.before) + len(self.frame.single.after)
        found: Integers = np.where(self.spans.labels == IGNORED, single, self.frame.specials)
        return found

    @property
    def lengths(self) -> Integers:
        """(pieces,) tokens of each."""
        first, second = self.spans.first, self.spans.second
        found: Integers = first[:, 1] - first[:, 0] + second[:, 1] - second[:, 0] + self.specials
        return found

    def counts(self, size: int) -> Integers:
        """(size,) how often each token id stands in the documents."""
        found = np.zeros(size, dtype=np.int64)
        tokens = int(self.segments.starts[-1])
        for start in range(0, tokens, AT_ONCE):
            part = self.segments.ids[start : min(start + AT_ONCE, tokens)]
            found += np.bincount(part, minlength=size)[:size]
        return found


class PairedTypes(_Of):
    """The token types of each pair: of the first segment and what stands around it, and of the second."""

    def one(self, place: int) -> Integers:
        """The types of one; those of a text alone are 0."""
        types, first, second = self.frame.types, self.spans.first[place], self.spans.second[place]
        assert types is not None
        a, b = int(first[1] - first[0]), int(second[1] - second[0])
        if self.spans.labels[place] == IGNORED:
            return np.zeros(len(self.frame.single.before) + a + len(self.frame.single.after), dtype=np.int64)
        return np.concatenate([types[0], np.repeat(types[1], a), types[2], np.repeat(types[3], b), types[4]])


@dataclass(frozen=True)
class Pairing:
    """How pairs are drawn from segments: called with a seed and an epoch it gives that epoch's examples, always the same ones.

    Drawn anew for each epoch, no pair is learned by heart; drawn from its number alone, an epoch goes on where it was broken off,
    and every process draws the same.
    """

    segments: Segments
    frame: PairFrame
    second: Second
    hiding: Hider
    pad_id: int

    def __call__(self, seed: int, epoch: int) -> Examples:
        """The pairs of an epoch."""
        return self.drawn(np.random.default_rng([seed, epoch, 1]))

    def drawn(self, random: np.random.Generator) -> Examples:
        """Pairs as they are drawn."""
        spans = drawn_spans(self.segments, self.second, random, self.frame.room)
        given = (self.segments, self.frame, spans)
        ids = PairedIds(*given)
        return Examples(
            ids=ids,
            targets=None,
            rows=self.segments.rows,
            truncated=0,
            pad_id=self.pad_id,
            types=None if self.frame.types is None else PairedTypes(*given),
            hiding=self.hiding,
            counts=self.hiding.counts(ids.lengths, ids.specials),
            pairs=spans.labels,
            beside=(spans.labels != IGNORED).astype(np.int64),
            anew=self,
        )

"""Examples (encoded rows) and batches of them: what a model is fed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

IGNORED = -100
"""The target of a position that no loss reads (a padding, a word's second piece)."""

NO_ROW = -1
"""The row number of an example that is no row of the data."""
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Hidden:
    """Sequences with something hidden from the model, and what it has to find: targets, IGNORED elsewhere."""

    ids: Sequence[Integers]
    targets: Sequence[Integers]


Hiding = Callable[[Sequence[Integers], Sequence[int]], Hidden]
"""(sequences, their places among all) -> what is hidden of them, drawn anew at each call unless it says otherwise."""


@dataclass(frozen=True)
class Batch:
    """What a model is fed in one pass.

    inputs: the model's own keyword arguments (`input_ids`, `attention_mask` and, for pairs where the base has them,
    `token_type_ids`, of shape (sequences, length)).
    targets: (batch,) class indices, (batch,) or (batch, outputs) floats, or (batch, length) with IGNORED where nothing
    is to be predicted; None at prediction.
    index: (batch,) positions of the examples in their split.
    weights: (batch,) weight of each example's loss; 1 where nothing else is asked.
    sizes: (batch,) how many sequences each example has, in order; None where each has one.
    read: (batch, length) where the model's output is read; None: everywhere.
    pairs: (batch,) the class of the pair of texts that each sequence holds, IGNORED where it holds one text; None without pairs.
    beside_weights: (batch,) how much an example's mean loss of a second kind counts beside its first, so that an update has the mean
    over all decisions of that kind; None where there is no second kind.
    """

    inputs: Mapping[str, "Tensor"]
    targets: "Tensor | None"
    index: "Tensor"
    weights: "Tensor"
    sizes: "Tensor | None" = None
    read: "Tensor | None" = None
    pairs: "Tensor | None" = None
    beside_weights: "Tensor | None" = None


@dataclass(frozen=True)
class Examples:
    """The encoded rows of one split, ready to be batched.

    ids: one int array of token ids for each sequence; an example has one, or as many as `sizes` says.
    targets: None at prediction; else (n,) class indices, (n,) or (n, outputs) floats, or one int array per example:
    aligned with its ids, or several numbers for each of its sequences.
    rows: (n,) the `_row` number of each example.
    truncated: how many texts were cut at the length limit.
    types: the token types of each sequence, for pairs where the base has them; else None.
    firsts: for token tasks, per sequence (words,) the first token of each word, where the model's output is read; -1 for a
    word that was cut off. Else None: it is read everywhere.
    sizes: (n,) sequences of each example; None where each has one.
    places, nothing: of questions, per sequence: (tokens, 2) the characters of the text that each token stands for, -1 for
    none, and the token that stands for "no answer"; else None.
    hiding: hides something of each sequence when a batch is made, whose targets are that; None: nothing is hidden.
    counts: (n,) how many targets each example has, where each target counts alike in the loss of an update; None: each
    example does.
    pairs: (n,) the class of the pair of texts that each sequence holds, IGNORED where it holds one. None: there are no pairs.
    beside: (n,) how many decisions of a second kind each example has (whether a pair is one, which tokens were replaced), where
    each counts alike in the loss of an update; None: there is no second kind.
    anew: (seed, epoch) -> the examples as they are drawn for that epoch, as many, of the same rows; None: always the same.
    """

    ids: Sequence[Integers]
    targets: "NDArray[np.int64] | NDArray[np.float32] | tuple[Integers, ...] | None"
    rows: Integers
    truncated: int
    pad_id: int
    types: Sequence[Integers] | None = None
    firsts: tuple[Integers, ...] | None = None
    sizes: Integers | None = None
    places: tuple[Integers, ...] | None = None
    nothing: tuple[int, ...] | None = None
    hiding: Hiding | None = None
    counts: Integers | None = None
    pairs: Integers | None = None
    beside: Integers | None = None
    anew: "Callable[[int, int], Examples] | None" = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def lengths(self) -> Integers:
        """(n,) tokens of each example, of its longest sequence: what it is padded to."""
        return self._of_each(np.maximum)

    @property
    def tokens(self) -> Integers:
        """(n,) tokens of each example, of all its sequences: what it costs."""
        return self._of_each(np.add)

    def _of_each(self, how: np.ufunc) -> Integers:
        known: Integers | None = getattr(self.ids, "lengths", None)
        each = np.asarray([len(ids) for ids in self.ids], dtype=np.int64) if known is None else known
        if self.sizes is None or not len(each):
            return each
        found: Integers = how.reduceat(each, np.r_[0, np.cumsum(self.sizes)[:-1]])
        return found

    def batch(self, index: Integers, update: Integers | None = None) -> Batch:
        """The examples at `index` as one batch, padded on the right to its longest sequence.

        update: all examples of the update that these are some of, which their weights are relative to; None: they are all.
        """
        import torch

        places = self.sequences(index)
        read: Sequence[Integers] = [self.ids[int(place)] for place in places]
        hidden = None if self.hiding is None else self.hiding(read, [int(place) for place in places])
        read = read if hidden is None else hidden.ids
        all_of_them = range(len(read))
        length = max(map(len, read))
        ones = [np.ones(len(ids), dtype=np.int64) for ids in read]
        inputs = {
            "input_ids": self._padded(read, all_of_them, length, self.pad_id),
            "attention_mask": self._padded(ones, all_of_them, length, 0),
        }
        if self.types is not None:
            inputs["token_type_ids"] = self._padded(self.types, places, length, 0)
        whole = index if update is None else update
        weights = self._weights(index, whole)
        return Batch(
            inputs={name: torch.from_numpy(array) for name, array in inputs.items()},
            targets=self._targets(index, length)
            if hidden is None
            else torch.from_numpy(self._padded(hidden.targets, all_of_them, length, IGNORED)),
            index=torch.from_numpy(np.asarray(index, dtype=np.int64)),
            weights=torch.from_numpy(weights.astype(np.float32)),
            sizes=None if self.sizes is None else torch.from_numpy(self.sizes[index]),
            read=None if self.firsts is None else torch.from_numpy(self._read(index, length)),
            pairs=None if self.pairs is None else torch.from_numpy(self.pairs[places]),
            beside_weights=None
            if self.beside is None
            else torch.from_numpy(self._beside_weights(self.beside, index, whole, weights)),
        )

    def _weights(self, index: Integers, update: Integers) -> NDArray[np.float64]:
        """(index,) the weight of each example in the mean over an update: as many as it has targets, where these count alike."""
        if self.counts is None:
            return np.ones(len(index))
        found: NDArray[np.float64] = self.counts[index] / max(float(self.counts[update].mean()), 1e-12)
        return found

    @staticmethod
    def _beside_weights(
        beside: Integers, index: Integers, update: Integers, weights: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """(index,) what makes the update's mean one over its decisions, once an example's loss is multiplied by its weight."""
        usual = max(float(beside[update].mean()), 1e-12)
        found = np.divide(beside[index] / usual, weights, out=np.zeros(len(index)), where=weights > 0)
        return found.astype(np.float32)

    def _read(self, index: Integers, length: int) -> NDArray[np.bool_]:
        assert self.firsts is not None
        found = np.zeros((len(index), length), dtype=bool)
        for row, place in enumerate(index):
            firsts = self.firsts[place]
            found[row, firsts[firsts >= 0]] = True
        return found

    def sequences(self, index: Integers) -> "Integers | list[int]":
        """The places in `ids` of the sequences of some examples, in their order."""
        if self.sizes is None:
            return index
        ends = np.cumsum(self.sizes)
        return [place for one in index for place in range(ends[one] - self.sizes[one], ends[one])]

    @staticmethod
    def _padded(
        parts: Sequence[Integers],
        places: "Integers | list[int] | range",
        length: int,
        filler: int,
    ) -> Integers:
        found = np.full((len(places), length), filler, dtype=np.int64)
        for row, place in enumerate(places):
            found[row, : len(parts[place])] = parts[place]
        return found

    def _targets(self, index: Integers, length: int) -> "Tensor | None":
        import torch

        if self.targets is None:
            return None
        if isinstance(self.targets, np.ndarray):
            return torch.from_numpy(self.targets[index])
        longest = max(length, *(len(self.targets[place]) for place in index))
        return torch.from_numpy(self._padded(self.targets, index, longest, IGNORED))


def unlabelled(ids: tuple[Integers, ...], pad_id: int) -> Examples:
    """Encoded texts that are no rows of the data, such as the descriptions of classes."""
    return Examples(ids, None, np.full(len(ids), NO_ROW, dtype=np.int64), truncated=0, pad_id=int(pad_id))


def joined(first: Examples, second: Examples) -> Examples:
    """Examples of one sequence and one class each, one after the other."""
    assert first.sizes is None and second.sizes is None
    types = first.types
    if types is not None:
        types = (*types, *(second.types or tuple(np.zeros_like(one) for one in second.ids)))
    return Examples(
        ids=(*first.ids, *second.ids),
        targets=np.concatenate([np.asarray(first.targets), np.asarray(second.targets)]),
        rows=np.concatenate([first.rows, second.rows]),
        truncated=first.truncated + second.truncated,
        pad_id=first.pad_id,
        types=types,
    )

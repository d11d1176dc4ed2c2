"""Packing: the real tokens of a padded batch side by side, sequence after sequence, so that no padding is computed."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Run:
    """`count` sequences side by side that all have `length` tokens."""

    count: int
    length: int


@dataclass(frozen=True)
class Packing:
    """Where each real token of a padded batch of `shape` (batch, length) lies once the tokens are packed.

    The packed sequences stand in the order of their lengths, so that those of one length can be attended to together,
    without a mask.

    tokens: (tokens,) each packed token's place in the flattened batch.
    columns: (tokens,) its column there, its position in the sequence.
    rows: (batch,) the row of each packed sequence.
    first: (batch,) where each packed sequence starts.
    """

    tokens: "Tensor"
    columns: "Tensor"
    rows: "Tensor"
    first: "Tensor"
    runs: tuple[Run, ...]
    shape: tuple[int, int]

    @classmethod
    def of(cls, mask: "Tensor") -> "Packing":
        """The packing of a batch with this attention mask (batch, length), 1 for real tokens.

        Raises:
            ValueError: a sequence has no token.
        """
        lengths, rows = mask.sum(dim=1).sort(stable=True)
        counts = lengths.tolist()
        if counts and counts[0] == 0:
            raise ValueError("a sequence of the batch has no token")
        places, columns = mask[rows].nonzero(as_tuple=True)
        return cls(
            tokens=rows[places] * mask.shape[1] + columns,
            columns=columns,
            rows=rows,
            first=lengths.cumsum(0) - lengths,
            runs=tuple(Run(len(list(same)), length) for length, same in groupby(counts)),
            shape=(mask.shape[0], mask.shape[1]),
        )

    @property
    def lengths(self) -> list[int]:
        """The tokens of each packed sequence."""
        return [run.length for run in self.runs for _ in range(run.count)]

    def pack(self, padded: "Tensor") -> "Tensor":
        """(batch, length, ...) -> (tokens, ...)."""
        return padded.flatten(0, 1).index_select(0, self.tokens)

    def unpack(self, packed: "Tensor", *, at: "Tensor | None" = None) -> "Tensor":
        """(tokens, ...) -> (batch, length, ...), zero where there was padding.

        at: which of the packed tokens these are; None: all.
        """
        places = self.tokens if at is None else self.tokens.index_select(0, at)
        flat = packed.new_zeros((self.shape[0] * self.shape[1], *packed.shape[1:]))
        return flat.index_copy(0, places, packed).view(*self.shape, *packed.shape[1:])

    def mean(self, packed: "Tensor") -> "Tensor":
        """(tokens, ...) -> (batch, ...): the mean over each packed sequence."""
        counts = packed.new_tensor(self.lengths).view(-1, *(1 for _ in packed.shape[1:]))
        return self.unpack(packed).sum(dim=1).index_select(0, self.rows) / counts

    def in_rows(self, sequences: "Tensor") -> "Tensor":
        """(batch, ...) of the packed sequences -> in the order of the batch's rows."""
        import torch

        return torch.empty_like(sequences).index_copy(0, self.rows, sequences)

    def split(self, packed: "Tensor", *, each: int | None = None) -> Iterator["Tensor"]:
        """The runs of packed tokens (tokens, ...) one by one, each as (count, length, ...).

        each: how many entries a sequence has, where it isn't one for each token.
        """
        import torch

        sizes = [run.count * (run.length if each is None else each) for run in self.runs]
        for run, part in zip(self.runs, torch.split(packed, sizes), strict=True):
            yield part.view(run.count, -1, *packed.shape[1:])

"""How the rows of an activation are arranged by the examples that they are of: what norms and sums by example work on."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Chunk:
    """Examples of as many rows each. first, last: the segments. start, stop: their rows. length: rows of each."""

    first: int
    last: int
    start: int
    stop: int
    length: int

    def of(self, ordered: "Tensor") -> "Tensor":
        """(rows, ...) in the layout's order -> (count, length, ...)."""
        return ordered[self.start : self.stop].view(self.last - self.first, self.length, *ordered.shape[1:])


@dataclass(frozen=True)
class Layout:
    """The rows of each example side by side, in segments of growing length.

    owner: (rows,) the example of each row, as they came. order: (rows,) the rows by segment; None: they came so.
    examples: (segments,) the example of each. of_row: (rows,) the segment of each ordered row. single: each segment is a row.
    """

    owner: "Tensor"
    order: "Tensor | None"
    examples: "Tensor"
    of_row: "Tensor"
    single: bool
    chunks: tuple[Chunk, ...]

    @classmethod
    def of(cls, owner: "Tensor") -> "Layout":
        """The layout of rows with these owners, (rows,)."""
        import torch

        found, inverse, counts = torch.unique(owner, return_inverse=True, return_counts=True)
        # the longer an example the later, and examples as long as each other in the order in which they come
        first = torch.full_like(found, len(owner)).scatter_reduce(
            0, inverse, torch.arange(len(owner), device=owner.device), "amin"
        )
        by_size = torch.argsort(counts * (len(owner) + 1) + first)
        rank = torch.empty_like(by_size)
        rank[by_size] = torch.arange(len(found), device=owner.device)
        of_row, order = rank[inverse].sort(stable=True)
        came_so = bool((order[1:] > order[:-1]).all()) if len(order) else True
        lengths = counts[by_size].tolist()
        return cls(
            owner=owner,
            order=None if came_so else order,
            examples=found[by_size],
            of_row=of_row,
            single=bool(lengths) and lengths[-1] == 1,
            chunks=tuple(_chunks(lengths)),
        )

    def ordered(self, rows: "Tensor") -> "Tensor":
        """(rows, ...) as they came -> by segment."""
        return rows if self.order is None else rows.index_select(0, self.order)

    def sums(self, ordered: "Tensor") -> "Tensor":
        """(rows, ...) by segment -> (segments, ...): the sum of each."""
        if self.single:
            return ordered
        found = ordered.new_zeros((len(self.examples), *ordered.shape[1:]))
        return found.index_add_(0, self.of_row, ordered)


def _chunks(lengths: "list[int]") -> Iterator[Chunk]:
    first = start = 0
    for length, same in groupby(lengths):
        count = len(list(same))
        yield Chunk(first, first + count, start, start + count * length, length)
        first, start = first + count, start + count * length

"""How the rows of an activation are arranged by the examples that they are of: what norms and sums by example work on."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

TOGETHER = 8
"""Examples whose rows are padded to the longest of them: more pad more, fewer make more and smaller products."""


@dataclass(frozen=True)
class Chunk:
    """Examples of nearly as many rows. first, last: the segments. start, stop: their rows. longest: rows of the longest.

    places: (rows,) where each row stands in the padded chunk; None: all are as long.
    """

    first: int
    last: int
    start: int
    stop: int
    longest: int
    places: "Tensor | None"

    @property
    def count(self) -> int:
        """How many examples there are."""
        return self.last - self.first

    def pad(self, rows: "Tensor") -> "Tensor":
        """(rows, ...) in the layout's order -> (count, longest, ...), zero where an example has no row."""
        part = rows[self.start : self.stop]
        if self.places is not None:
            flat = part.new_zeros((self.count * self.longest, *part.shape[1:]))
            part = flat.index_copy_(0, self.places, part)
        return part.view(self.count, self.longest, *part.shape[1:])


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
            chunks=tuple(_chunks(lengths, owner)),
        )

    def ordered(self, rows: "Tensor") -> "Tensor":
        """(rows, ...) as they came -> by segment."""
        return rows if self.order is None else rows.index_select(0, self.order)

    def sums(self, ordered: "Tensor") -> "Tensor":
        """(rows, ...) by segment -> (segments, ...): the sum of each."""
        if self.single:
            return ordered
        found = ordered.new_zeros((len(self.examples), *ordered.shape[1:]))
        for chunk in self.chunks:
            if chunk.places is None:
                part = ordered[chunk.start : chunk.stop]
                found[chunk.first : chunk.last] = part.view(chunk.count, chunk.longest, *part.shape[1:]).sum(1)
            else:
                within = self.of_row[chunk.start : chunk.stop] - chunk.first
                found[chunk.first : chunk.last].index_add_(0, within, ordered[chunk.start : chunk.stop])
        return found


def _chunks(lengths: "list[int]", like: "Tensor") -> Iterator[Chunk]:
    import torch

    start = first = 0
    while first < len(lengths):
        last = min(first + TOGETHER, len(lengths))
        if lengths[first] == lengths[last - 1]:  # as many as are just as long need no padding
            while last < len(lengths) and lengths[last] == lengths[first]:
                last += 1
        own, longest = lengths[first:last], lengths[last - 1]
        places = None
        if own[0] != longest:
            parts = [torch.arange(count, device=like.device) + at * longest for at, count in enumerate(own)]
            places = torch.cat(parts)
        yield Chunk(first, last, start, start + sum(own), longest, places)
        start, first = start + sum(own), last

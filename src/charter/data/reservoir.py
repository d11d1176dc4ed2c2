"""Reservoir sampling: a sample of fixed size of a stream whose end nobody knows, every item with the same chance."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Reservoir:
    """A uniform sample of the first `seen` items of a stream: the places of those that are held, (n,)."""

    places: NDArray[np.int64]
    seen: int
    capacity: int

    @classmethod
    def empty(cls, capacity: int) -> "Reservoir":
        """Before the first item."""
        return cls(np.empty(0, dtype=np.int64), 0, capacity)

    def after(self, count: int, seed: int) -> "Reservoir":
        """After `count` items more, whose places follow on `seen` (Vitter 1985, algorithm R).

        The same for the same arguments. Items that come in several calls are sampled as in one stream.

        >>> Reservoir.empty(3).after(2, seed=7).places.tolist()
        [0, 1]
        """
        rng = np.random.default_rng([seed, self.seen])
        held = self.places.tolist()
        filled = min(self.capacity - len(held), count) if len(held) == self.seen else 0
        held += range(self.seen, self.seen + filled)
        each = np.arange(self.seen + filled, self.seen + count)
        drawn = rng.integers(0, each + 1)
        for place, slot in zip(each.tolist(), drawn.tolist(), strict=True):
            if slot < min(self.capacity, len(held)):
                held[slot] = place
        return Reservoir(np.asarray(held, dtype=np.int64), self.seen + count, self.capacity)

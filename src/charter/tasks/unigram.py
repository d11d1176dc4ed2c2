"""The unigram model: each token is as likely as it is frequent in the training texts. What a language model has to beat."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
AT_ONCE = 1 << 20
"""About so many tokens are held until they are counted."""


@dataclass(frozen=True)
class Unigram:
    """counts: (vocabulary,) how often each token stands in the training texts, of which each counts as once more (add-one)."""

    counts: Integers

    @classmethod
    def of(cls, documents: Iterable[Integers], vocabulary: int, ending: Integers) -> "Unigram":
        """Count the tokens of documents, after each of which stands `ending`."""
        counts = np.zeros(vocabulary, dtype=np.int64)
        waiting: list[Integers] = []
        held = 0
        for ids in documents:
            waiting += [ids, ending]
            held += len(ids)
            if held >= AT_ONCE:
                counts += np.bincount(np.concatenate(waiting), minlength=vocabulary)
                waiting, held = [], 0
        if waiting:
            counts += np.bincount(np.concatenate(waiting), minlength=vocabulary)
        return cls(counts)

    @property
    def nats(self) -> NDArray[np.float64]:
        """(vocabulary,) how surprising each token is."""
        found: NDArray[np.float64] = np.log(self.counts.sum() + len(self.counts)) - np.log1p(self.counts)
        return found

    @property
    def likeliest(self) -> int:
        """The token that is answered everywhere: the most frequent one."""
        return int(self.counts.argmax())

"""What a language model has learned by heart: exposure of canaries, and texts that it continues word for word. Pure.

Carlini et al. 2019, "The Secret Sharer", section 4; Carlini et al. 2021, "Extracting Training Data from Large Language Models";
Carlini et al. 2023, "Quantifying Memorization Across Neural Language Models", section 3.1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Exposed:
    """exposure: (canaries,) in bits. rank: (canaries,) 1: no reference is likelier. most: bits that so many references can show."""

    exposure: Floats
    rank: Integers
    most: float


def exposure(canaries: Floats, references: Floats) -> Exposed:
    """How much likelier canaries became than texts drawn in the same way that were never learned from.

    canaries, references: log-perplexities, the lower the likelier. A canary's rank is its place among itself and the references,
    ties counted against the model; its exposure is log2 of their number less log2 of the rank (definitions 5 and 6 of the
    paper, by sampling). Of a canary that left no trace every rank is equally likely, and its exposure is 1.44 bits on average.
    """
    ordered = np.sort(references)
    rank = 1 + np.searchsorted(ordered, canaries, side="left").astype(np.int64)
    most = float(np.log2(len(references) + 1))
    return Exposed(most - np.log2(rank), rank, most)


def continued(
    truth: Sequence[Integers], likeliest: Sequence[Integers], prefix: int, length: int
) -> NDArray[np.bool_]:
    """(texts,) whether greedy writing goes on from the first `prefix` tokens with exactly the next `length` ones.

    truth, likeliest: of each text the tokens, and what the model finds likeliest at each given the true ones before it. While the
    model writes what stands there these are the same, so no text has to be written: it goes on word for word exactly where
    all of them agree. Texts shorter than prefix and length together are False.
    """
    span = slice(prefix, prefix + length)
    return np.asarray(
        [
            len(one) >= prefix + length and bool(np.array_equal(one[span], told[span]))
            for one, told in zip(truth, likeliest, strict=True)
        ],
        dtype=bool,
    )

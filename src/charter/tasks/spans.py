"""The likeliest spans of a text, from logits of where an answer starts and where it ends."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

NOWHERE = (-1, -1)


def best_spans(
    start: NDArray[np.float32], end: NDArray[np.float32], places: NDArray[np.int64], longest: int, most: int
) -> NDArray[np.float32]:
    """The `most` likeliest spans of one window: (spans, 3), start and end in characters and the sum of their logits.

    start, end: (tokens or more,) logits. places: (tokens, 2) characters, -1 where no answer can start or end. Every pair of
    a start and an end at most `longest` tokens apart is looked at, not those of the best few starts and ends only.
    """
    tokens = np.flatnonzero(places[:, 0] >= 0)
    if not len(tokens):
        return np.empty((0, 3), dtype=np.float32)
    first, last = start[tokens].astype(np.float64), end[tokens].astype(np.float64)
    wide = min(longest, len(tokens))
    ends = np.arange(len(tokens))[:, None] + np.arange(wide)
    sums = first[:, None] + np.where(ends < len(tokens), last[np.minimum(ends, len(tokens) - 1)], -np.inf)
    flat = sums.ravel()
    kept = min(most, int(np.isfinite(flat).sum()))
    chosen = np.argpartition(-flat, kept - 1)[:kept]
    begins, offsets = np.divmod(chosen, wide)
    return np.stack(
        [places[tokens[begins], 0], places[tokens[begins + offsets], 1], flat[chosen]], axis=1
    ).astype(np.float32)


def merged(nothing: float, parts: Sequence[NDArray[np.float32]], most: int) -> NDArray[np.float32]:
    """The candidates of a whole text: "no answer" first, then the likeliest spans of all windows, each once.

    nothing: the logit of "no answer", the lowest of the windows: where one of them sees an answer there is one.
    """
    none = np.asarray([[*NOWHERE, nothing]], dtype=np.float32)
    every = np.concatenate([np.empty((0, 3), dtype=np.float32), *parts])
    ordered = every[np.lexsort((every[:, 1], every[:, 0], -every[:, 2]))]
    _, once = np.unique(ordered[:, :2], axis=0, return_index=True)
    return np.concatenate([none, ordered[np.sort(once)][:most]])

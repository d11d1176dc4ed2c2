"""Spans of a text in tokens: where the right ones lie in its windows, and the likeliest by logits of start and end."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from charter.data.windows import Windows

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


def targets_in_windows(
    answers: Sequence[Sequence[Mapping[str, int]]], encoded: Windows
) -> tuple[NDArray[np.int64], ...]:
    """Per row the tokens of start and end in each of its windows, one after the other; of several answers the first."""
    found: list[NDArray[np.int64]] = []
    at = 0
    for places, size in zip(answers, encoded.sizes.tolist(), strict=True):
        tokens: list[int] = []
        for sequence in range(at, at + size):
            where = encoded.places[sequence]
            span = _tokens_of(places[0], where) if places else NOWHERE
            tokens += span if span[0] >= 0 else (encoded.nothing[sequence],) * 2
        found.append(np.asarray(tokens, dtype=np.int64))
        at += size
    return tuple(found)


def _tokens_of(answer: Mapping[str, int], places: NDArray[np.int64]) -> tuple[int, int]:
    """The first and the last token that an answer touches, where the window holds all of it; else NOWHERE."""
    read = np.flatnonzero(places[:, 0] >= 0)
    if not len(read) or places[read[0], 0] > answer["start"] or places[read[-1], 1] < answer["end"]:
        return NOWHERE
    inside = np.flatnonzero((places[:, 0] < answer["end"]) & (places[:, 1] > answer["start"]))
    return (int(inside[0]), int(inside[-1])) if len(inside) else NOWHERE

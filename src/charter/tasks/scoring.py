"""Small arithmetic that the tasks share."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities from logits along the last axis."""
    if logits.size == 0:
        return logits
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: NDArray[np.float64] = shifted / shifted.sum(axis=-1, keepdims=True)
    return shares


def sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities from logits, each by itself."""
    shares: NDArray[np.float64] = 0.5 * (1 + np.tanh(0.5 * logits))
    return shares


def logit(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse of `sigmoid`; shares of 0 and 1 as if they were a billionth away."""
    kept = np.clip(shares, 1e-9, 1 - 1e-9)
    found: NDArray[np.float64] = np.log(kept) - np.log1p(-kept)
    return found


def yes_or_no(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logits (decisions, 1) of a yes as probabilities (decisions, 2): no, yes."""
    yes = sigmoid(logits[:, 0])
    return np.stack([1 - yes, yes], axis=1)


def divided(upper: Any, lower: Any) -> NDArray[np.float64]:
    """Elementwise quotient; NaN where the divisor is 0."""
    upper, lower = np.asarray(upper, dtype=np.float64), np.asarray(lower, dtype=np.float64)
    out = np.full(np.broadcast(upper, lower).shape, np.nan)
    return np.asarray(np.divide(upper, lower, out=out, where=lower != 0))

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


def divided(upper: Any, lower: Any) -> NDArray[np.float64]:
    """Elementwise quotient; NaN where the divisor is 0."""
    upper, lower = np.asarray(upper, dtype=np.float64), np.asarray(lower, dtype=np.float64)
    out = np.full(np.broadcast(upper, lower).shape, np.nan)
    return np.asarray(np.divide(upper, lower, out=out, where=lower != 0))

"""Temperature scaling (Guo et al. 2017, section 4.2): one number that divides all logits, fitted on held-out rows."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from charter.data.columns import Columns
from charter.tasks.task import Outputs, Task

FEWEST = 30
"""With fewer decisions a temperature is noise."""
COOLEST, HOTTEST = 0.05, 20.0


@dataclass(frozen=True)
class Temperature:
    """The fitted temperature, the mean negative log-likelihood (nats) before and after on the rows it was fitted on.

    because: why it is 1.0 when nothing was fitted, else "".
    """

    value: float
    decisions: int
    nll_before: float
    nll_after: float
    because: str = ""


def fit_temperature(task: Task, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> Temperature:
    """The temperature that minimises the negative log-likelihood of the truth on these rows."""
    from scipy.optimize import minimize_scalar

    truth = task.confidences(outputs, rows, columns).truth
    logits = np.concatenate(
        [np.asarray(one, dtype=np.float64).reshape(-1, len(task.labels)) for one in outputs]
    )
    before = _nll(logits, truth, 1.0)
    if len(truth) < FEWEST:
        return Temperature(
            1.0, len(truth), before, before, f"{len(truth)} decisions, at least {FEWEST} are needed"
        )
    best = minimize_scalar(
        lambda log_t: _nll(logits, truth, float(np.exp(log_t))),
        bounds=(np.log(COOLEST), np.log(HOTTEST)),
        method="bounded",
        options={"xatol": 1e-6},
    )
    value = float(np.exp(best.x))
    after = _nll(logits, truth, value)
    if after >= before:
        return Temperature(1.0, len(truth), before, before, "no temperature is better than 1")
    return Temperature(value, len(truth), before, after)


def _nll(logits: NDArray[np.float64], truth: NDArray[np.int64], temperature: float) -> float:
    scaled = logits / temperature
    top = scaled.max(axis=1)
    log_sum = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
    return float((log_sum - scaled[np.arange(len(truth)), truth]).mean())

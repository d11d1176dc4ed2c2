"""Temperature scaling (Guo et al. 2017, section 4.2): one number that divides all logits, fitted on held-out rows."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from charter.data.columns import Columns
from charter.tasks.task import Confidences, Outputs, Task

FEWEST_OF_EACH = 10
"""With fewer wrong (or right) decisions the likelihood has next to no minimum, and a temperature is noise."""
COOLEST, HOTTEST = 0.05, 20.0
NEAR = 0.01
"""A temperature that differs less than this from an end of the range, in its logarithm, is that end."""
AT_THE_END = (
    "the likelihood is best at the end of the range that is searched, and may be better still beyond it"
)


@dataclass(frozen=True)
class Temperature:
    """The fitted temperature, the mean negative log-likelihood (nats) before and after on the rows it was fitted on.

    because: why it is 1.0 when nothing was fitted, else "". doubt: what is to be said of a fitted one, `AT_THE_END` or "".
    """

    value: float
    decisions: int
    nll_before: float
    nll_after: float
    because: str = ""
    doubt: str = ""


def fit_temperature(task: Task, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> Temperature:
    """The temperature that minimises the negative log-likelihood of the truth on these rows."""
    from scipy.optimize import minimize_scalar

    told = task.confidences(outputs, rows, columns)
    if told is None:
        return Temperature(1.0, 0, 0.0, 0.0, f"task {task.name} states no probabilities")
    decisions = len(told.truth)
    before = _nll(told, 1.0)
    right = int((told.answers == told.truth).sum())
    if min(right, decisions - right) < FEWEST_OF_EACH:
        because = f"{right} right and {decisions - right} wrong decisions, at least {FEWEST_OF_EACH} of each are needed"
        return Temperature(1.0, decisions, before, before, because)
    best = minimize_scalar(
        lambda log_t: _nll(told, float(np.exp(log_t))),
        bounds=(np.log(COOLEST), np.log(HOTTEST)),
        method="bounded",
        options={"xatol": 1e-6},
    )
    value, doubt = float(np.exp(best.x)), ""
    for end in (COOLEST, HOTTEST):
        if abs(np.log(value / end)) < NEAR:
            value, doubt = end, AT_THE_END
    after = _nll(told, value)
    if after >= before:
        return Temperature(1.0, decisions, before, before, "no temperature is better than 1")
    return Temperature(value, decisions, before, after, doubt=doubt)


def _nll(told: Confidences, temperature: float) -> float:
    return float(-told.likelihood(temperature).mean()) if len(told.truth) else 0.0

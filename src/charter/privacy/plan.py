"""Step plans: how the examples of an update are drawn, how their losses become a gradient, and what that costs.

Plain and private training are the same type, so that no loop asks which of the two it is.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor, nn

Losses = Callable[[NDArray[np.int64]], "Tensor"]
"""Example indices -> one loss per example, with its graph."""


@dataclass(frozen=True)
class Spend:
    """A privacy cost (epsilon, delta); epsilon is infinite where nothing is promised."""

    epsilon: float
    delta: float


@dataclass(frozen=True)
class Descent:
    """What an update's gradient came from: the mean loss, and the gradient's norm before clipping (NaN: not measured)."""

    loss: float
    gradient_norm: float


class StepPlan(ABC):
    """How one update is made. A plan is frozen; what it draws depends on its seed and the update only."""

    @abstractmethod
    def steps_per_epoch(self, n: int) -> int:
        """How many updates one pass over n examples takes."""

    @abstractmethod
    def batches(self, n: int, epoch: int) -> Iterator[NDArray[np.int64]]:
        """The examples of each update of an epoch (from 0): always the same for the same arguments."""

    @abstractmethod
    def gradient(self, model: "nn.Module", index: NDArray[np.int64], losses: Losses) -> Descent:
        """Put the gradient of one update over the examples `index` into `.grad`."""

    @abstractmethod
    def cost(self, n: int, steps: int) -> Spend:
        """What so many updates on n examples cost."""


def plain(
    *, batch_size: int, micro_batch_size: int | None, max_grad_norm: float | None, seed: int
) -> StepPlan:
    """Training without privacy: shuffled batches, mean loss, the whole gradient clipped to `max_grad_norm`."""
    return Plain(batch_size, micro_batch_size or batch_size, max_grad_norm, seed)


@dataclass(frozen=True)
class Plain(StepPlan):
    """Every example once per epoch, in an order drawn anew for each; the last batch may be smaller."""

    batch_size: int
    micro_batch_size: int
    max_grad_norm: float | None
    seed: int

    def steps_per_epoch(self, n: int) -> int:
        """Batches of an epoch, the last one perhaps smaller."""
        return math.ceil(n / self.batch_size)

    def batches(self, n: int, epoch: int) -> Iterator[NDArray[np.int64]]:
        """The shuffled batches of an epoch."""
        order = np.random.default_rng([self.seed, epoch]).permutation(n)
        for start in range(0, n, self.batch_size):
            yield order[start : start + self.batch_size]

    def gradient(self, model: "nn.Module", index: NDArray[np.int64], losses: Losses) -> Descent:
        """The gradient of the mean loss, summed up over micro-batches, then clipped."""
        from torch.nn.utils import clip_grad_norm_

        total = 0.0
        for start in range(0, len(index), self.micro_batch_size):
            part = losses(index[start : start + self.micro_batch_size]).sum() / len(index)
            part.backward()  # type: ignore[no-untyped-call]
            total += float(part.detach())
        if self.max_grad_norm is None:
            return Descent(total, math.nan)
        learning = [parameter for parameter in model.parameters() if parameter.grad is not None]
        return Descent(total, float(clip_grad_norm_(learning, self.max_grad_norm)))

    def cost(self, n: int, steps: int) -> Spend:
        """Nothing is promised: epsilon is infinite."""
        del n, steps
        return Spend(math.inf, 0.0)

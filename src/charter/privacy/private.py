"""The private step plan: sampling, clipping, noise and what they cost, as one frozen value.

DP-SGD's update (Abadi et al. 2016, algorithm 1): each example is drawn by itself with the same probability (Poisson sampling), its
gradient is scaled down to a norm of at most `clip`, all are added up, normal noise of standard deviation `noise` times
`clip` is added, and the sum is divided by the expected number of examples, which is no secret, not by how many there were.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from charter.models.world import ALONE, World
from charter.privacy.accounting import Sampled, epsilon
from charter.privacy.clipping import clipped
from charter.privacy.plan import Descent, Losses, Spend, StepPlan
from charter.privacy.stream import SAMPLING, SecretStream

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Private(StepPlan):
    """batch_size: examples of an update on average. micro_batch_size: as many are computed at once; None: all.

    delta: with which `cost` is told.
    """

    batch_size: int
    micro_batch_size: int | None
    clip: float
    noise: float
    delta: float
    stream: SecretStream

    def rate(self, n: int) -> float:
        """With what probability an example is in an update."""
        return min(self.batch_size / n, 1.0)

    def steps_per_epoch(self, n: int) -> int:
        """As many as on average read n examples."""
        return max(round(n / self.batch_size), 1)

    def batches(self, n: int, epoch: int) -> Iterator[NDArray[np.int64]]:
        """The examples of each update, each drawn by itself; an update may have none."""
        per_epoch = self.steps_per_epoch(n)
        for update in range(epoch * per_epoch, (epoch + 1) * per_epoch):
            yield np.flatnonzero(self.stream.uniform(n, SAMPLING, update) < self.rate(n))

    def gradient(
        self,
        model: "nn.Module",
        index: NDArray[np.int64],
        losses: Losses,
        world: World = ALONE,
        update: int = 0,
    ) -> Descent:
        """The noisy clipped sum over the expected number of examples. The loss is not told: it would be a read of the data."""
        import torch

        learning = [one for one in model.parameters() if one.requires_grad]
        at_once = self.micro_batch_size or max(math.ceil(len(index) / world.size), 1)
        parts = [index[start : start + at_once] for start in range(0, len(index), at_once)]
        sums = [torch.zeros_like(one, dtype=torch.float32) for one in learning]
        for part in world.share(parts):
            found = clipped(model, part, losses, self.clip)
            for one, total in zip(learning, sums, strict=True):
                if id(one) in found.sums:
                    total.add_(found.sums[id(one)].view_as(total))
        if world.rank == 0:
            for place, total in enumerate(sums):
                self.stream.add_normal(total, self.noise * self.clip, update, first=place)
        for one, total in zip(learning, sums, strict=True):
            one.grad = total.div_(self.batch_size).to(one.dtype)
        world.add_up(model, 0.0)
        return Descent(math.nan, math.nan)

    def cost(self, n: int, steps: int) -> Spend:
        """What so many updates on n examples cost, an example added or removed."""
        made = Sampled(self.rate(n), self.noise, steps)
        return Spend(epsilon(made, self.delta), self.delta, (made,))

"""Step plans: how the examples of an update are drawn, how their losses become a gradient, and what that costs.

Plain and private training are the same type, so that no loop asks which of the two it is.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from charter.models.world import ALONE, World
from charter.privacy.accounting import Mechanism

if TYPE_CHECKING:
    from torch import Tensor, nn

Losses = Callable[[NDArray[np.int64]], "Tensor"]
"""Example indices -> one loss per example, with its graph."""


@dataclass(frozen=True)
class Spend:
    """A privacy cost (epsilon, delta), and what it is of; epsilon is infinite where nothing is promised, of nothing known."""

    epsilon: float
    delta: float
    mechanisms: tuple[Mechanism, ...] = ()


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
    def gradient(
        self,
        model: "nn.Module",
        index: NDArray[np.int64],
        losses: Losses,
        world: World = ALONE,
        update: int | None = None,
    ) -> Descent:
        """Put the gradient of one update over the examples `index` into `.grad`; the processes of `world` share the work.

        update: its number, from 0; what a plan draws for it depends on that.
        """

    @abstractmethod
    def cost(self, n: int, steps: int) -> Spend:
        """What so many updates on n examples cost."""

    def generator_seed(self, seed: int, update: int, index: NDArray[np.int64]) -> int:
        """What torch's generator is seeded with before the pass of an update that these examples are in."""
        return int(np.random.SeedSequence([seed, update, int(index[0])]).generate_state(1)[0])

    def check(self, model: "nn.Module", index: NDArray[np.int64], losses: Losses) -> None:
        """Refuse a model of which what the plan promises would not hold; `index` are some examples to try it on."""
        del model, index, losses

    @property
    def promises(self) -> bool:
        """Whether it promises privacy: what examples say is then told nobody but through its noise."""
        return False

    @property
    def correction(self) -> float:
        """The standard deviation of the noise that the optimizer is to take out of its second moment; 0: none."""
        return 0.0

    def state(self) -> dict[str, float]:
        """What changed since the plan was made: what a checkpoint keeps of it."""
        return {}

    def restore(self, state: Mapping[str, float]) -> None:
        """Go on from `state`."""
        del state


def plain(
    *,
    batch_size: int,
    micro_batch_size: int | None,
    max_grad_norm: float | None,
    seed: int,
    tokens_per_batch: int | None = None,
    lengths: NDArray[np.int64] | None = None,
    whole: bool = False,
) -> StepPlan:
    """Training without privacy: shuffled batches, mean loss, the whole gradient clipped to `max_grad_norm`.

    tokens_per_batch: about so many tokens in each batch, instead of `batch_size` examples; `lengths` are the tokens of
        each example.
    whole: a batch is never computed in parts, since its examples meet in the loss (in-batch negatives); one process of
        several then computes it alone.
    """
    if whole and micro_batch_size is not None:
        raise ValueError("a batch whose examples meet in the loss can't be computed by micro_batch_size")
    reduction = Reduction(micro_batch_size, max_grad_norm, whole)
    if tokens_per_batch is None:
        return Plain(batch_size, reduction, seed)
    if lengths is None:
        raise ValueError("tokens_per_batch needs the lengths of the examples")
    return PlainByTokens(tokens_per_batch, lengths, reduction, seed)


@dataclass(frozen=True)
class Reduction:
    """How the losses of a batch become its gradient: their mean, by parts, each computed by one process of the world.

    A part is `micro_batch_size` examples; where None is asked for, the batch is shared out equally, or is one part when
    it is to stay `whole`. What is drawn in a part (dropout) depends on the update and on the part, not on the process that
    computes it.
    """

    micro_batch_size: int | None
    max_grad_norm: float | None
    whole: bool = False

    def gradient(self, model: "nn.Module", index: NDArray[np.int64], losses: Losses, world: World) -> Descent:
        """The gradient of the mean loss over `index`, summed up over parts and processes, then clipped."""
        total = 0.0
        at_once = self.micro_batch_size or math.ceil(len(index) / (1 if self.whole else world.size))
        parts = [index[start : start + at_once] for start in range(0, len(index), at_once)]
        for part in world.share(parts):
            loss = losses(part).sum() / len(index)
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        for _ in range(world.idle(parts)):
            (losses(parts[0]).sum() * 0.0).backward()  # type: ignore[no-untyped-call]
        total = world.add_up(model, total)
        if self.max_grad_norm is None:
            return Descent(total, math.nan)
        return Descent(total, clip_gradients(list(model.parameters()), self.max_grad_norm, world))


@dataclass(frozen=True)
class Plain(StepPlan):
    """Every example once per epoch, in an order drawn anew for each; the last batch may be smaller."""

    batch_size: int
    reduction: "Reduction"
    seed: int

    def steps_per_epoch(self, n: int) -> int:
        """Batches of an epoch, the last one perhaps smaller."""
        return math.ceil(n / self.batch_size)

    def batches(self, n: int, epoch: int) -> Iterator[NDArray[np.int64]]:
        """The shuffled batches of an epoch."""
        order = _shuffled(n, self.seed, epoch)
        for start in range(0, n, self.batch_size):
            yield order[start : start + self.batch_size]

    def gradient(
        self,
        model: "nn.Module",
        index: NDArray[np.int64],
        losses: Losses,
        world: World = ALONE,
        update: int | None = None,
    ) -> Descent:
        """The gradient of the mean loss, summed up over micro-batches, then clipped."""
        del update
        return self.reduction.gradient(model, index, losses, world)

    def cost(self, n: int, steps: int) -> Spend:
        """Nothing is promised: epsilon is infinite."""
        del n, steps
        return Spend(math.inf, 0.0)


@dataclass(frozen=True)
class PlainByTokens(StepPlan):
    """As `Plain`, with batches of about `tokens` tokens: a batch ends with the example that its share of them ends in.

    An epoch has always the same number of batches, so that the learning rate's schedule is known before it.
    """

    tokens: int
    lengths: NDArray[np.int64]
    reduction: "Reduction"
    seed: int

    def steps_per_epoch(self, n: int) -> int:
        """Batches of an epoch: no more than there are examples."""
        return min(math.ceil(int(self.lengths[:n].sum()) / self.tokens), n)

    def batches(self, n: int, epoch: int) -> Iterator[NDArray[np.int64]]:
        """The shuffled batches of an epoch, each with about the same number of tokens and at least one example."""
        order = _shuffled(n, self.seed, epoch)
        steps = self.steps_per_epoch(n)
        ends = np.cumsum(self.lengths[order])
        wanted = ends[-1] * np.arange(1, steps) / steps
        cuts = np.searchsorted(ends, wanted) + 1
        fewest = np.arange(1, steps)
        cuts = np.minimum(np.maximum.accumulate(cuts - fewest) + fewest, n - fewest[::-1])
        yield from np.split(order, cuts)

    def gradient(
        self,
        model: "nn.Module",
        index: NDArray[np.int64],
        losses: Losses,
        world: World = ALONE,
        update: int | None = None,
    ) -> Descent:
        """As `Plain.gradient`."""
        del update
        return self.reduction.gradient(model, index, losses, world)

    def cost(self, n: int, steps: int) -> Spend:
        """Nothing is promised: epsilon is infinite."""
        del n, steps
        return Spend(math.inf, 0.0)


def _shuffled(n: int, seed: int, epoch: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, epoch]).permutation(n)


def clip_gradients(parameters: "Sequence[Tensor]", max_norm: float, world: World = ALONE) -> float:
    """Scale gradients, sparse ones too, so that their norm together is at most `max_norm`; gives their norm before that.

    Of gradients that are split over the processes of `world` each scales its part.
    """
    import torch
    from torch.nn.utils import get_total_norm

    found = []
    for one in parameters:
        if one.grad is not None and one.grad.is_sparse:
            one.grad = one.grad.coalesce()
            found.append(one.grad.values())
        elif one.grad is not None:
            found.append(one.grad.to_local() if hasattr(one.grad, "to_local") else one.grad)
    norm = world.norm(get_total_norm(found))
    torch._foreach_mul_(found, (max_norm / (norm + 1e-6)).clamp(max=1.0))
    return float(norm)

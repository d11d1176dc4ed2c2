"""The one training loop: a generator of steps. The caller logs, evaluates, saves and stops."""

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from charter.data.batch import Examples
from charter.errors import TrainingError
from charter.models.features import reading_features
from charter.models.forward import forward_of
from charter.models.inference import on_device
from charter.models.ownership import tell_batch
from charter.models.resting import States, resting_base, states_of
from charter.models.world import ALONE, World
from charter.privacy.plan import StepPlan
from charter.tasks.objective import Objective
from charter.training.optimizers import Optimizers

if TYPE_CHECKING:
    from torch import Tensor, nn


TRIED = 3
"""A plan tries a model on so many examples before the first update."""


@dataclass(frozen=True)
class Step:
    """One update that was made. `step` counts from 1; `epoch` is how many passes are done after it, in parts.

    loss, gradient_norm: NaN where they are not told, as under a plan that promises privacy; examples is then nought.
    rates: the learning rate by depth, from the head down, 0 of what does not learn yet; () where all learn alike.
    """

    step: int
    epoch: float
    loss: float
    gradient_norm: float
    learning_rate: float
    examples: int
    rates: tuple[float, ...] = ()


def train(
    model: "nn.Module",
    objective: Objective,
    examples: Examples,
    plan: StepPlan,
    *,
    optimizer: Optimizers,
    learning_rate: Callable[[int], float],
    steps: int,
    done: int = 0,
    seed: int,
    class_weights: "Tensor | None" = None,
    economies: bool = False,
    checkpointing: bool = False,
    compiled: bool = False,
    half: bool = False,
    world: World = ALONE,
    begin: Callable[[], None] | None = None,
    on_base: Callable[[int, int], None] | None = None,
) -> Generator[Step]:
    """Make the updates `done` + 1 to `steps`, one per item.

    What an update does depends on the weights, the optimizer's state and its number only (every draw is seeded by
    `seed`, that number and the examples), so a run that goes on from a checkpoint ends with the same weights.
    `learning_rate` maps an update's number, from 0, to its rate. Between items the caller may evaluate, save, or stop.
    All processes of `world` make the same updates; when the caller of the first one stops, all stop.
    A base of which nothing learns has no dropout, and what it says of each example is computed once where it can be kept
    (`charter.models.resting`); on_base is told meanwhile how many examples are done, of how many.
    economies, checkpointing, compiled: as in `forward_of`. half: the passes are computed in bfloat16 (autocast); weights and sums are not.

    Raises:
        TrainingError: the loss is no finite number any more.
    """
    import torch

    device = next(model.parameters()).device
    forward = forward_of(model, economies=economies, checkpointing=checkpointing, compiled=compiled)
    per_epoch = plan.steps_per_epoch(len(examples))
    resting = resting_base(model)
    states: States | None = None
    update, whole, drawn = done, np.empty(0, dtype=np.int64), examples

    def losses(index: NDArray[np.int64]) -> "Tensor":
        torch.manual_seed(plan.generator_seed(seed, update, index))
        batch = on_device(drawn.batch(index, whole), device)
        tell_batch(batch)
        reading = reading_features(model) if objective.on_features else nullcontext()
        with reading, torch.autocast(device.type, torch.bfloat16, enabled=half):
            said = forward if states is None else states.read(index, device)
            return objective.loss(said, batch, class_weights) * batch.weights

    for epoch in range(done // per_epoch, math.ceil(steps / per_epoch)):
        first = epoch * per_epoch
        drawn = examples if examples.anew is None else examples.anew(seed, epoch)
        todo = islice(plan.batches(len(examples), epoch), max(done - first, 0), steps - first)
        for number, index in enumerate(todo, start=max(done, first)):
            if not world.goes_on():
                return
            update, whole = number, index
            optimizer.zero_grad()
            rate = learning_rate(number)
            with _at_rest(optimizer.begin(rate, number / steps)):
                if number == done and len(examples):
                    plan.check(model, np.arange(min(len(examples), TRIED), dtype=np.int64), losses)
                if number == done and begin is not None:
                    begin()
                if number == done:
                    states = states_of(model, forward, examples, half=half, on_batch=on_base)
                model.train()
                if resting is not None:
                    resting.eval()
                descent = plan.gradient(model, index, losses, world, number)
            if not plan.promises and not math.isfinite(descent.loss):
                raise TrainingError(
                    f"the loss is no number any more at update {number + 1} of {steps}: "
                    "lower training.learning_rate, or set training.max_grad_norm"
                )
            optimizer.step()
            step, epochs = number + 1, (number + 1) / per_epoch
            try:
                norm = descent.gradient_norm
                read = 0 if plan.promises else len(index)
                yield Step(step, epochs, descent.loss, norm, rate, read, optimizer.rates)
            except GeneratorExit:
                if step < steps:  # after the last update nobody waits for more
                    world.goes_on(False)
                raise


@contextmanager
def _at_rest(resting: "Sequence[nn.Parameter]") -> Iterator[None]:
    """Compute no gradient of these parameters, nor anything that only they would need.

    Outside, they count as what learns, so that a checkpoint holds them at whatever update it is written.
    """
    for one in resting:
        one.requires_grad_(False)
    try:
        yield
    finally:
        for one in resting:
            one.requires_grad_(True)


def schedule(kind: str, *, peak: float, warmup: float, steps: int) -> Callable[[int], float]:
    """The learning rate of each update (from 0): a linear rise over the share `warmup`, then the decay `kind` to 0."""
    rise = math.ceil(round(warmup * steps, 6))  # 0.07 * 100 is 7.000000000000001

    def rate(number: int) -> float:
        if number < rise:
            return peak * (number + 1) / rise
        if kind == "constant":
            return peak
        past = (number - rise) / max(steps - rise, 1)
        return peak * (0.5 * (1 + math.cos(math.pi * past)) if kind == "cosine" else 1 - past)

    return rate

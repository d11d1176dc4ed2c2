"""The updates of a fit, shared by the processes that torchrun started: the first hands a fit out, the others follow."""

import copy
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from charter.data.batch import Examples
from charter.errors import DataError, TrainingError
from charter.models.depth import Layerwise
from charter.models.device import pick_device
from charter.models.world import World
from charter.privacy.plan import StepPlan
from charter.spec.training import Training
from charter.tasks.objective import Objective
from charter.training.interrupt import held_back
from charter.training.loop import Step, schedule, train
from charter.training.optimizers import Optimizers, optimizers_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Job:
    """A fit from the update after `done` on: all that its updates depend on."""

    model: Any
    objective: Objective
    examples: Examples
    settings: Training
    plan: StepPlan
    optimizer: dict[str, Any]
    done: int
    half: bool
    layerwise: Layerwise | None = None

    def hand_out(self, world: World) -> None:
        """Tell the other processes; those of another machine need no file of this one."""
        if world.size > 1:
            world.tell(replace(self, model=copy.deepcopy(self.model).cpu()))


def updates(
    job: Job,
    optimizer: Optimizers,
    world: World,
    begin: Callable[[], None] | None = None,
    on_base: Callable[[int, int], None] | None = None,
) -> Generator[Step]:
    """The updates of a fit, on a model that lies where it is computed. begin, on_base: as in `train`."""
    settings = job.settings
    steps = settings.epochs * job.plan.steps_per_epoch(len(job.examples))
    return train(
        job.model,
        job.objective,
        job.examples,
        job.plan,
        optimizer=optimizer,
        learning_rate=schedule(
            settings.schedule, peak=settings.learning_rate, warmup=settings.warmup, steps=steps
        ),
        steps=steps,
        done=job.done,
        seed=settings.seed,
        economies=settings.economies,
        checkpointing=settings.gradient_checkpointing,
        compiled=settings.compile,
        half=job.half,
        class_weights=_class_weights(
            job.objective, job.examples, settings, next(job.model.parameters()).device
        ),
        world=world,
        begin=begin,
        on_base=on_base,
    )


def follow(world: World) -> None:
    """Share the updates of every fit that the first process hands out, until there is none any more.

    Signals are left to the first process: it ends with a whole update, and then all do.
    """
    with held_back(forcible=False):
        while (job := world.tell()) is not None:
            if job.settings.sharding is not None:
                from charter.training.shards import follow_shards

                with suppress(TrainingError):
                    follow_shards(job, world)
                continue
            model = job.model.to(pick_device())
            optimizer = optimizers_of(model, job.settings, job.layerwise, noise=job.plan.correction)
            optimizer.load_state_dict(job.optimizer)
            with suppress(TrainingError):  # the first process has found the same, and says so
                for _ in updates(job, optimizer, world):
                    pass


def _class_weights(
    objective: Objective, examples: Examples, settings: Training, device: "torch.device"
) -> "Tensor | None":
    """What the objective makes of `training.class_weights`; None where it is not asked for."""
    import torch

    if settings.class_weights is None or examples.targets is None:
        return None
    weights = objective.balance(examples)
    if weights is None:
        raise DataError(f"training.class_weights: {objective.name} has no classes to weigh; remove the key")
    return torch.tensor(weights, dtype=torch.float32, device=device)

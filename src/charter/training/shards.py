"""A fit whose model is split over the processes: each holds its part of weights, gradients and moments.

The first process brings them together where it evaluates or saves.
"""

import copy
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from charter.errors import TrainingError, WorkerLostError
from charter.models.depth import Layerwise
from charter.models.sharded import plain_of, shard
from charter.models.world import World
from charter.tasks.objective import Objective
from charter.tasks.task import Task
from charter.training.loop import Step
from charter.training.optimizers import Optimizers, optimizers_of
from charter.training.sharing import Job, updates

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS, MOMENTS = 2, 3
"""What the first process may ask all for between updates: the weights, or those and the optimizer's state."""

GONE = ("closed by peer", "connection re", "remote process", "timed out", "nccl")
"""What gloo and NCCL say, in lower case, when another process is no more (connection reset, refused)."""


def check_splits(model: Any, objective: Objective, layerwise: Layerwise | None) -> None:
    """Check that this can be learned by this model once it is split.

    Raises:
        TrainingError: it can't.
    """
    plain = plain_of(model)
    of_transformers = type(plain).__module__.startswith("transformers.")
    if not isinstance(objective, Task) or not of_transformers:
        raise TrainingError(
            f"training.sharding: {objective.name} reads or changes more of the model than its passes, which only whole models "
            "allow; remove sharding, or take the task's own loss"
        )
    if not any(one.requires_grad for one in plain.base_model.parameters()):
        raise TrainingError(
            "training.sharding: only the head of this model learns, so there is next to nothing to split; remove it"
        )
    if layerwise is not None and layerwise.over:
        raise TrainingError(
            "training.sharding: layers that rest at first can't be split; set over: 0 of model.adapt gradual, or remove it"
        )


@dataclass
class Shards:
    """One process's part of a fit. whole, wholly: the first process's model and optimizer, which hold nothing meanwhile."""

    job: Job
    world: World
    optimizer: Optimizers
    whole: Any
    wholly: Optimizers | None

    @classmethod
    def of(cls, job: Job, world: World, wholly: Optimizers | None = None) -> "Shards":
        """Split what `job` hands out. wholly: of the first process, whose `job.model` is the whole one."""
        whole = job.model
        model = whole if wholly is None else copy.deepcopy(whole)
        shard(model, world.size)
        optimizer = optimizers_of(model, job.settings, job.layerwise)
        _load(optimizer, job.optimizer)
        job.optimizer.clear()  # whoever holds the job would hold the moments of the whole model
        found = cls(replace(job, model=model, optimizer={}), world, optimizer, whole, wholly)
        found.leave()
        return found

    def updates(self) -> Generator[Step]:
        """The updates; at the end of the first process's, also an early one, everything is home again.

        Raises:
            TrainingError: as `train`.
            WorkerLostError: another process is gone.
        """
        world = replace(self.world, sharded=True, give=self._give)
        try:
            try:
                yield from updates(self.job, self.optimizer, world)
            except GeneratorExit:
                self._end(world)
                raise
            self._end(world)
        except RuntimeError as error:
            if not any(one in str(error).lower() for one in GONE):
                raise
            raise WorkerLostError(str(error)) from None

    def _end(self, world: World) -> None:
        if self.world.rank == 0:
            self.bring(moments=True)
            world.goes_on(False)
        else:
            while world.goes_on():
                pass

    def bring(self, *, moments: bool) -> None:
        """Put the weights into the whole model of the first process, and the moments into its optimizer if they are asked for."""
        asked = MOMENTS if moments else WEIGHTS
        self.world.ask(asked)
        self._give(asked)

    def leave(self) -> None:
        """Let go of the whole model's weights and moments."""
        if self.wholly is None:
            return
        for one in self.whole.parameters():
            one.data = one.new_empty(0)
        for part in self.wholly.parts:
            part.state.clear()

    def _give(self, asked: int) -> None:
        """Gather: every process calls it; only the first one keeps what comes out."""
        keeps = self.wholly is not None
        own = dict(self.job.model.named_parameters())
        for name, one in self.whole.named_parameters() if keeps else own.items():
            gathered = _gathered(own[name])
            if keeps:
                one.data = gathered
        if keeps:
            split = dict(self.job.model.named_buffers())
            for name, buffer in self.whole.named_buffers():
                buffer.copy_(split[name])
        if asked == MOMENTS:
            state = {"parts": [_mapped(part.state_dict(), _gathered) for part in self.optimizer.parts]}
            if self.wholly is not None:
                self.wholly.load_state_dict(state)


def follow_shards(job: Job, world: World) -> None:
    """A following process's part of a split fit."""
    for _ in Shards.of(job, world).updates():
        pass


def _gathered(value: Any) -> Any:
    """A split tensor whole, on the CPU; anything else as it is."""
    return value.detach().full_tensor().cpu() if hasattr(value, "full_tensor") else value


def _mapped(state: Mapping[str, Any], change: Any) -> dict[str, Any]:
    """An optimizer's state with each value of each parameter changed."""
    each = {
        number: {name: change(value) for name, value in values.items()}
        for number, values in state["state"].items()
    }
    return {"state": each, "param_groups": state["param_groups"]}


def _load(optimizer: Optimizers, state: dict[str, Any]) -> None:
    """Load an optimizer's whole state into one of split parameters."""
    from torch.distributed.tensor import distribute_tensor

    parts = []
    for part, saved in zip(optimizer.parts, state["parts"], strict=True):
        learning = [one for group in part.param_groups for one in group["params"]]
        each: dict[Any, dict[str, Tensor]] = {}
        for number, values in saved["state"].items():
            like: Any = learning[number]
            each[number] = {
                name: value
                if value.shape != like.shape
                else distribute_tensor(
                    value.to(like.device), like.device_mesh, like.placements, src_data_rank=None
                )
                for name, value in values.items()
            }
        parts.append({"state": each, "param_groups": saved["param_groups"]})
    optimizer.load_state_dict({"parts": parts})

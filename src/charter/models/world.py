"""The processes that train one model together, started by torchrun: who they are, and what they tell one another.

The first process (rank 0) makes the whole run. The others wait for the fits that it hands out, share the work of every
update, and keep nothing.
"""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from charter.errors import CharterError, TrainingError, WorkerLostError

if TYPE_CHECKING:
    from torch import Tensor, nn

PATIENCE = timedelta(days=30)
"""How long the others wait for a fit. A process that died is noticed by torchrun, which ends or restarts all."""


@dataclass(frozen=True)
class World:
    """One of `size` processes. Sums and messages reach all; in a world of one they cost nothing.

    sharded: gradients are summed up where they are made, and each process holds a part of them (`charter.models.sharded`).
    give: what a process does when the first one asks for something between updates.
    """

    rank: int = 0
    size: int = 1
    sharded: bool = False
    give: Callable[[int], None] | None = None

    def share(self, parts: "Sequence[Any]") -> "Sequence[Any]":
        """The parts of an update that this process computes."""
        return parts[self.rank :: self.size]

    def idle(self, parts: "Sequence[Any]") -> int:
        """How many parts fewer this process computes than another, where all have to make as many passes."""
        return math.ceil(len(parts) / self.size) - len(self.share(parts)) if self.sharded else 0

    def norm(self, own: "Tensor") -> "Tensor":
        """The norm of gradients together, of which this process holds what has the norm `own`.

        Raises:
            TrainingError: a process is gone.
        """
        import torch.distributed as dist

        if not self.sharded:
            return own
        squares = own.double().square().reshape(1)
        with _together():
            dist.all_reduce(squares)
        return squares.sqrt()[0].to(own.dtype)

    def add_up(self, model: "nn.Module", loss: float) -> float:
        """Make every gradient the sum of all processes' gradients; gives the sum of their losses.

        A parameter that has no gradient in any process is left without one, as in a world of one: it is then not decayed.

        Raises:
            TrainingError: a process is gone.
        """
        import torch
        import torch.distributed as dist

        if self.size == 1:
            return loss
        if self.sharded:
            told = torch.tensor([loss], dtype=torch.float64)
            with _together():
                dist.all_reduce(told)
            return float(told)
        learning = [one for one in model.parameters() if one.requires_grad]
        sparse: list[Any] = [module.weight for module in model.modules() if getattr(module, "sparse", False)]
        gradients = [torch.zeros_like(one) if one.grad is None else one.grad.to_dense() for one in learning]
        had = gradients[0].new_tensor([float(one.grad is not None) for one in learning])
        flat = torch.cat([*(one.flatten() for one in gradients), had, had.new_tensor([loss])])
        with _together():
            dist.all_reduce(flat)
        *sums, had, losses = torch.split(flat, [one.numel() for one in gradients] + [len(had), 1])
        for one, gradient, total, anywhere in zip(learning, gradients, sums, had.tolist(), strict=True):
            one.grad = gradient.copy_(total.view_as(gradient)) if anywhere else None
        for weight in sparse:
            weight.grad = _by_row(weight.grad)
        return float(losses)

    def goes_on(self, yes: bool = True) -> bool:
        """Whether there is another update: the first process says, the others hear it.

        Raises:
            TrainingError: a process is gone.
        """
        if self.size == 1:
            return yes
        while (told := self._heard(int(yes))) > 1:
            if self.give is not None:
                self.give(told)
        return bool(told)

    def ask(self, what: int) -> None:
        """The first process, between updates: have all others `give` what it asks for, a number above 1.

        Raises:
            TrainingError: a process is gone.
        """
        self._heard(what)

    def _heard(self, word: int) -> int:
        """The first process's word; the others' argument is not read."""
        import torch
        import torch.distributed as dist

        told = torch.tensor([word])
        with _together():
            dist.broadcast(told, 0)
        return int(told)

    def tell(self, job: Any = None) -> Any:
        """What the first process tells all; the others' argument is not read.

        Raises:
            TrainingError: a process is gone.
        """
        import torch.distributed as dist

        if self.size == 1:
            return job
        told = [job if self.rank == 0 else None]
        with _together():
            dist.broadcast_object_list(told, 0)
        return told[0]


def _by_row(gradient: "Tensor | None") -> "Tensor | None":
    """A gradient whose rows are mostly zero, as those rows that are not."""
    import torch

    if gradient is None:
        return None
    rows = gradient.abs().amax(dim=1).nonzero().flatten()
    return torch.sparse_coo_tensor(
        rows[None], gradient[rows], gradient.shape, is_coalesced=True, check_invariants=True
    )


@contextmanager
def _together() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise WorkerLostError(str(error)) from None


ALONE = World()


def started_together() -> bool:
    """Whether torchrun started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "MASTER_ADDR" in os.environ


@contextmanager
def joined() -> Iterator[World]:
    """The world that torchrun started, or a world of one.

    Raises:
        TrainingError: the processes can't find one another.
    """
    if not started_together():
        yield ALONE
        return
    import torch
    import torch.distributed as dist
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    try:
        store, rank, size = next(rendezvous("env://", timeout=PATIENCE))
        # torchrun's store still holds the addresses of the processes that it restarted
        own = PrefixStore(f"attempt {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
        dist.init_process_group(backend, timeout=PATIENCE, store=own, rank=rank, world_size=size)
    except (ValueError, RuntimeError) as error:
        raise TrainingError(f"the processes of torchrun can't find one another: {error}") from None
    world = World(dist.get_rank(), dist.get_world_size())
    try:
        with dismissing(world):
            yield world
    finally:
        dist.destroy_process_group()


@contextmanager
def dismissing(world: World) -> Iterator[None]:
    """Let the others go at the end, also one that a user's error or a Ctrl-C makes."""
    try:
        yield
    except (CharterError, KeyboardInterrupt):
        _dismiss(world)
        raise
    _dismiss(world)


def _dismiss(world: World) -> None:
    """Let the others go, if they are still there."""
    if world.rank == 0:
        with suppress(TrainingError):
            world.tell(None)

"""Checkpoints: everything that training goes on from, written whole or not at all."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charter.runs.files import sync_folder
from charter.training.optimizers import Optimizers

if TYPE_CHECKING:
    from torch import Tensor, nn

FILE = "checkpoint.pt"


@dataclass(frozen=True)
class Checkpoint:
    """weights: what learns, and buffers. best: the same at the best evaluation, or None. facts: JSON-like progress."""

    weights: "dict[str, Tensor]"
    optimizer: dict[str, Any]
    best: "dict[str, Tensor] | None"
    facts: dict[str, Any]


def learned_state(model: "nn.Module") -> "dict[str, Tensor]":
    """Copies of the parameters that learn and of every buffer."""
    return {name: tensor.detach().clone().cpu() for name, tensor in _learned(model).items()}


def _learned(model: "nn.Module") -> "dict[str, Tensor]":
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    return {name: tensor for name, tensor in model.state_dict().items() if name not in frozen}


def load_learned(model: "nn.Module", state: "dict[str, Tensor]") -> None:
    """Put back what `learned_state` copied."""
    model.load_state_dict(state, strict=False)


def save_checkpoint(
    folder: Path,
    model: "nn.Module",
    optimizer: Optimizers,
    best: "dict[str, Tensor] | None",
    facts: dict[str, Any],
) -> None:
    """Write a checkpoint aside and rename it over the one before."""
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f"{FILE}.{os.getpid()}.tmp"
    content = {
        "weights": learned_state(model),
        "optimizer": optimizer.state_dict(),
        "best": best,
        "facts": facts,
    }
    try:
        with aside.open("wb") as stream:
            torch.save(content, stream)
            stream.flush()
            os.fsync(stream.fileno())
        aside.replace(folder / FILE)
    finally:
        aside.unlink(missing_ok=True)  # on a full disk the half of it would keep the rest from being written
    sync_folder(folder)


def load_checkpoint(
    folder: Path,
    model: "nn.Module",
    optimizer: Optimizers,
    facts: Mapping[str, Any],
    on_note: Callable[[str], None] | None = None,
) -> Checkpoint | None:
    """The checkpoint in a folder, or None where there is none that this model and optimizer can go on from.

    facts: such as are saved, to compare their names and types with. One that can't be read, or is of something else, is
    moved aside and told by `on_note`: training then starts anew.
    """
    import torch

    for leftover in folder.glob(f"{FILE}.*.tmp"):
        leftover.unlink(missing_ok=True)
    path = folder / FILE
    if not os.path.lexists(path):
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        saved = Checkpoint(content["weights"], content["optimizer"], content["best"], content["facts"])
        whole = _fits(saved, model, optimizer, facts)
    except (MemoryError, PermissionError):
        raise
    except Exception:
        # For a file that is no checkpoint torch raises any kind: of pickle, of zip, of the types it finds.
        whole = False
    if whole:
        return saved
    aside = folder / f"{FILE}.unreadable"
    path.replace(aside)
    if on_note is not None:
        on_note(
            f"the checkpoint can't be read or is of another model, so training starts anew; it is now {aside}"
        )
    return None


def _fits(saved: Checkpoint, model: "nn.Module", optimizer: Optimizers, facts: Mapping[str, Any]) -> bool:
    """Whether a checkpoint is of this model, this optimizer and such facts."""
    shapes = {name: one.shape for name, one in _learned(model).items()}
    for state in (saved.weights, saved.best):
        if state is not None and {name: one.shape for name, one in state.items()} != shapes:
            return False
    if {name: type(one) for name, one in saved.facts.items()} != {
        name: type(one) for name, one in facts.items()
    }:
        return False
    return optimizer.fits(saved.optimizer)

"""Checkpoints: everything that training goes on from, written whole or not at all."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charter.runs.files import sync_folder

if TYPE_CHECKING:
    import torch
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
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    return {
        name: tensor.detach().clone().cpu()
        for name, tensor in model.state_dict().items()
        if name not in frozen
    }


def load_learned(model: "nn.Module", state: "dict[str, Tensor]") -> None:
    """Put back what `learned_state` copied."""
    model.load_state_dict(state, strict=False)


def save_checkpoint(
    folder: Path,
    model: "nn.Module",
    optimizer: "torch.optim.Optimizer",
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
    with aside.open("wb") as stream:
        torch.save(content, stream)
        stream.flush()
        os.fsync(stream.fileno())
    aside.replace(folder / FILE)
    sync_folder(folder)


def load_checkpoint(folder: Path) -> Checkpoint | None:
    """The checkpoint in a folder, or None where there is none."""
    import torch

    for leftover in folder.glob(f"{FILE}.*.tmp"):
        leftover.unlink(missing_ok=True)
    path = folder / FILE
    if not path.exists():
        return None
    content = torch.load(path, map_location="cpu", weights_only=True)
    return Checkpoint(content["weights"], content["optimizer"], content["best"], content["facts"])

"""Torch: a folder in transformers' own layout."""

from pathlib import Path
from typing import TYPE_CHECKING

from charter.models.base import load_model
from charter.models.device import pick_device
from charter.models.forward import forward_of
from charter.models.prepacking import prepack

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from charter.tasks.task import Task


def open_torch(folder: Path, task: "Task", *, threads: int | None = None) -> "PreTrainedModel":
    """The model in a folder, ready to answer. Its threads are those of the whole process.

    Raises:
        ModelError: as `load_model`.
    """
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    return readied(load_model(folder, task))


def readied(model: "PreTrainedModel") -> "PreTrainedModel":
    """The same model, made to answer faster where this machine's engine can."""
    if (
        pick_device().type == "cpu" and forward_of(model) is not model
    ):  # else its code may look at what its layers are
        prepack(model)
    return model

"""A model's answers to many examples."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from charter.data.batch import Batch, Examples
from charter.models.forward import forward_of

if TYPE_CHECKING:
    import torch
    from torch import nn

    from charter.tasks.task import Outputs, Task


def predict_outputs(
    model: "nn.Module",
    task: "Task",
    examples: Examples,
    *,
    batch_size: int = 32,
    on_batch: Callable[[int, int], None] | None = None,
) -> "Outputs":
    """The raw outputs of every example, in their order. Examples of like length share a batch.

    on_batch is told how many examples are done, of how many.
    """
    import torch

    from charter.models.device import pick_device

    device = pick_device()
    learning = model.training
    model.to(device).eval()
    forward = forward_of(model)
    order = np.argsort(examples.lengths, kind="stable")
    found: list[np.ndarray | None] = [None] * len(examples)
    done = 0
    with torch.inference_mode():
        for start in range(0, len(order), batch_size):
            batch = on_device(examples.batch(order[start : start + batch_size]), device)
            for index, output in zip(
                batch.index.tolist(), task.outputs(forward, batch, examples), strict=True
            ):
                found[index] = output
            done += len(batch.index)
            if on_batch is not None:
                on_batch(done, len(examples))
    model.train(learning)
    return [output for output in found if output is not None]


def on_device(batch: Batch, device: "torch.device") -> Batch:
    """The same batch on a device; its index stays on the CPU. A copy to a GPU goes on while the CPU does other things."""

    def moved(tensor: "torch.Tensor") -> "torch.Tensor":
        if device.type != "cuda":
            return tensor.to(device)
        return tensor.pin_memory().to(device, non_blocking=True)

    return replace(
        batch,
        inputs={name: moved(tensor) for name, tensor in batch.inputs.items()},
        targets=None if batch.targets is None else moved(batch.targets),
        weights=moved(batch.weights),
    )

"""A model's answers to many examples."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from charter.data.batch import Batch, Examples
from charter.models.engines.graph import Graph
from charter.models.forward import forward_of

if TYPE_CHECKING:
    import torch
    from torch import nn

    from charter.tasks.task import Outputs


BATCH_SIZE = 32
"""Texts at once in torch; a graph says its own."""


class Reader(Protocol):
    """What reads a model's raw outputs: a task."""

    def outputs(self, model: "nn.Module", batch: Batch, examples: Examples) -> list[np.ndarray]:
        """One array per example of the batch, on the CPU."""


def predict_outputs(
    model: "nn.Module | Graph",
    task: Reader,
    examples: Examples,
    *,
    batch_size: int | None = None,
    on_batch: Callable[[int, int], None] | None = None,
) -> "Outputs":
    """The raw outputs of every example, in their order. Examples of like length share a batch.

    batch_size: sequences at once, of which an example may have several (windows, choices) and is never parted; None for
        what suits the engine. on_batch is told how many examples are done, of how many.
    """
    if isinstance(model, Graph):
        return answered(model, task, examples, _on_cpu, batch_size or model.batch_size, on_batch)
    from charter.models.device import pick_device

    device = pick_device()
    learning = model.training
    # Each of these walks through all modules, which one short text would wait for.
    if any(one.device != device for one in islice(model.parameters(), 1)):
        model.to(device)
    if learning:
        model.eval()
    try:
        return answered(
            forward_of(model),
            task,
            examples,
            lambda batch: on_device(batch, device),
            batch_size or BATCH_SIZE,
            on_batch,
        )
    finally:
        if learning:
            model.train()


def _on_cpu(batch: Batch) -> Batch:
    return batch


def answered(
    forward: Any,
    task: Reader,
    examples: Examples,
    place: Callable[[Batch], Batch],
    batch_size: int,
    on_batch: Callable[[int, int], None] | None = None,
) -> "Outputs":
    """As `predict_outputs`, of a forward pass as it is. place: puts a batch where it is computed."""
    import torch

    order = np.argsort(examples.lengths, kind="stable")
    found: list[np.ndarray | None] = [None] * len(examples)
    done = 0
    with torch.inference_mode():
        for index in _batches(order, examples, batch_size):
            batch = place(examples.batch(index))
            for at, output in zip(batch.index.tolist(), task.outputs(forward, batch, examples), strict=True):
                found[at] = output
            done += len(batch.index)
            if on_batch is not None:
                on_batch(done, len(examples))
    return [output for output in found if output is not None]


def _batches(order: NDArray[np.int64], examples: Examples, batch_size: int) -> Iterator[NDArray[np.int64]]:
    """As many examples as have together at most so many sequences, and at least one."""
    start = 0
    while start < len(order):
        if examples.sizes is None:
            fit = batch_size
        else:
            total = np.cumsum(examples.sizes[order[start : start + batch_size]])
            fit = max(1, int(np.searchsorted(total, batch_size, side="right")))
        yield order[start : start + fit]
        start += fit


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
        read=None if batch.read is None else moved(batch.read),
        pairs=None if batch.pairs is None else moved(batch.pairs),
        beside_weights=None if batch.beside_weights is None else moved(batch.beside_weights),
    )

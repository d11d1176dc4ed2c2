"""Whether a graph answers as the model it was made from, at other shapes than the one it was traced at."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from charter.errors import ModelError
from charter.models.base import longest

if TYPE_CHECKING:
    from torch import Tensor, nn

    from charter.models.engines.graph import Graph
    from charter.models.exports import Exportable

SHAPES = ((1, 1), (1, 7), (2, 16), (3, 33), (5, 2))
"""(batch, length): one text alone, odd lengths, the shape of tracing. The longest length is asked for beside them."""
TOLERANCE = 1e-4
"""The largest difference of any output, of its own size (but of no less than 1), that float32 may make."""
TRACED = (2, 16)


@dataclass(frozen=True)
class Parity:
    """largest: the largest difference of any output, as a share of that output's size; at each shape that was tried."""

    largest: float
    shapes: tuple[tuple[int, int], ...]

    def as_json(self) -> dict[str, Any]:
        """What the provenance keeps of it."""
        return {"largest_difference": self.largest, "shapes": [list(shape) for shape in self.shapes]}


def check_parity(
    graph: "Graph | Callable[..., Any]", given: "Exportable", *, what: str = "a graph"
) -> Parity:
    """Compare the graph, or another form of a model, with its model at several shapes, padded and not.

    Raises:
        ModelError: somewhere they differ by more than float32's rounding.
    """
    most = longest(given.model) or given.max_length
    shapes = tuple(
        dict.fromkeys((batch, min(length, most)) for batch, length in (*SHAPES, (2, given.max_length)))
    )
    largest = 0.0
    for batch, length in shapes:
        inputs = inputs_of(given, batch, length)
        expected, found = named_outputs(given.model, inputs), vars(graph(**inputs))
        for name, truth in expected.items():
            size = max(1.0, float(truth.abs().max()))
            shape = tuple(found[name].shape)
            difference = float((found[name] - truth).abs().max()) / size if shape == truth.shape else np.inf
            if not difference <= TOLERANCE:
                raise ModelError(
                    f"{type(given.model).__name__} can't be released as {what}: at {batch} texts of {length} tokens its "
                    f"'{name}' differ from the model's by {difference:.2g}. Take this format out of release.formats"
                )
            largest = max(largest, difference)
    return Parity(float(f"{largest:.2g}"), shapes)


def inputs_of(given: "Exportable", batch: int, length: int) -> dict[str, "Tensor"]:
    """Real inputs brought to a shape: repeated or cut; of several texts, the later ones are padded on the right."""
    import torch

    real = given.task.fed(given.examples.batch(np.arange(min(len(given.examples), batch))))
    inputs = {name: _brought_to(tensor, batch, length) for name, tensor in real.items()}
    if "attention_mask" in inputs:
        mask = torch.ones_like(inputs["attention_mask"])
        for row in range(1, batch):
            mask[row, ..., max(1, length - length * row // (2 * batch)) :] = 0
        inputs["attention_mask"] = mask
    return inputs


def _brought_to(tensor: "Tensor", batch: int, length: int) -> "Tensor":
    wanted = (batch, *tensor.shape[1:-1], length) if tensor.ndim > 1 else (batch,)
    times = [-(-want // have) for want, have in zip(wanted, tensor.shape, strict=True)]
    return tensor.repeat(*times)[tuple(slice(want) for want in wanted)].contiguous()


def named_outputs(model: "nn.Module", inputs: Mapping[str, "Tensor"]) -> dict[str, "Tensor"]:
    """What a model answers, by name: the tensors that a task may read, as float32."""
    import torch

    with torch.inference_mode():
        answered = model(**inputs)
    return {
        name: value.float().clone()
        for name, value in answered.items()
        if isinstance(value, torch.Tensor) and name != "loss"
    }

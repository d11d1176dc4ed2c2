"""Depth: a model's parameters from its head down to its embeddings, and how learning differs from one depth to the next."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from charter.errors import ModelError

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Depth:
    """Parameters that learn alike. depth: 0 is the head. scale: their rate as a part of the head's.

    begins: the share of all updates, in [0, 1], before which they rest.
    """

    parameters: "tuple[nn.Parameter, ...]"
    depth: int = 0
    scale: float = 1.0
    begins: float = 0.0


@dataclass(frozen=True)
class Layerwise:
    """How learning differs by depth.

    decay: the rate of a layer is so many times that of the one above it (Howard and Ruder 2018, section 3.2).
    over, at_once: the head learns first, and `at_once` layers more in each equal part of the first `over` (a share of all
    updates), from the top down (section 3.3); over 0: everything from the first update on.
    """

    decay: float
    over: float
    at_once: int

    def depths(self, model: Any) -> tuple[Depth, ...]:
        """The parameters that learn, from the head down; embeddings are the deepest.

        Raises:
            ModelError: as `by_depth`.
        """
        found = by_depth(model)
        parts = math.ceil((len(found) - 1) / self.at_once)
        return tuple(
            Depth(
                tuple(parameters),
                depth,
                self.decay**depth,
                self.over * math.ceil(depth / self.at_once) / parts if depth else 0.0,
            )
            for depth, parameters in enumerate(found)
        )


def by_depth(model: Any) -> "list[list[nn.Parameter]]":
    """The parameters that learn: of the head, of each layer from the top down, of the embeddings; empty ones left out.

    The head has with it what stands above the layers (a pooler, a last norm). A base without a head begins with its top
    layer. A weight that two depths share (an output layer tied to the embeddings) is of the deeper one.

    Raises:
        ModelError: the model's layers can't be told apart.
    """
    from torch import nn

    base = model.base_model
    layers, within = _layers(model)
    deepest = len(layers) + 1
    depths = {id(one): 0 for one in model.parameters()}
    above = 0 if base is not model else 1
    passed = False
    for name, one in base.named_parameters(remove_duplicate=False):
        inside = name.startswith(f"{within}.")
        passed = passed or inside
        depths[id(one)] = max(depths[id(one)], above if passed else deepest)
    for number, layer in enumerate(layers):
        for one in layer.parameters():
            depths[id(one)] = len(layers) - number
    own = {id(module) for layer in layers for module in layer.modules()}
    for module in base.modules():
        if isinstance(module, nn.Embedding) and id(module) not in own:
            depths[id(module.weight)] = deepest  # wherever it is registered, every layer reads it
    found: list[list[nn.Parameter]] = [[] for _ in range(deepest + 1)]
    for one in model.parameters():
        if one.requires_grad:
            found[depths[id(one)]].append(one)
    return [each for each in found if each]


def _layers(model: Any) -> "tuple[Sequence[nn.Module], str]":
    """The model's layers, from the embeddings up, and the name of their list within the base."""
    from torch import nn

    count = getattr(model.config, "num_hidden_layers", None)
    lists = [
        (name, module)
        for name, module in model.base_model.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == count
    ]
    outermost = [
        (name, module)
        for name, module in lists
        if not any(name.startswith(f"{other}.") for other, _ in lists)
    ]
    if len(outermost) != 1:
        raise ModelError(
            f"model.adapt gradual: the layers of a {type(model.base_model).__name__} can't be told apart by depth "
            f"(looked for one list of {count} layers, found {len(outermost)}); use full, lora, bias or head"
        )
    name, layers = outermost[0]
    return list(layers), name

"""Linear layers whose weights also lie as oneDNN multiplies them: for few rows at once, the usual product rearranges them each time."""

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

ROWS = 32
"""The rows of a product that weights are laid out for, about the tokens of a short text; any number is computed."""


def prepack(model: "nn.Module") -> None:
    """Make a model's linear layers answer faster on a CPU; its weights are then held twice.

    What they give is the same up to the order of floating-point sums. Where gradients are wanted, or another precision
    than float32, a layer computes as before.
    """
    import torch

    linear = [one for one in model.modules() if type(one) is torch.nn.Linear]
    if any(one.weight.device.type != "cpu" or one.weight.dtype != torch.float32 for one in linear):
        return
    if is_known():
        for one in linear:
            _prepacked(one)


def _prepacked(layer: "nn.Linear") -> None:
    import torch

    packed, usual = _laid_out(layer.weight.detach()), layer.forward

    def forward(inputs: "Tensor") -> "Tensor":
        if torch.is_grad_enabled() or inputs.dtype != torch.float32 or torch.is_autocast_enabled("cpu"):
            return usual(inputs)
        return _product(inputs, packed, layer.bias)

    vars(layer)["forward"] = forward


def _laid_out(weight: "Tensor") -> Any:
    import torch

    return torch.ops.mkldnn._reorder_linear_weight(weight, ROWS)


def _product(inputs: "Tensor", packed: Any, bias: "Tensor | None") -> "Tensor":
    import torch

    return torch.ops.mkldnn._linear_pointwise(inputs, packed, bias, "none", [], "")  # type: ignore[no-any-return]


@cache
def is_known() -> bool:
    """Whether this build of torch lays weights out and multiplies by them rightly.

    The operators are those that torch's own compiler uses (`torch._inductor`, freezing); a build without oneDNN lacks them, and
    a later one may call them otherwise. Nothing is timed: what a model answers must not depend on how busy a machine is.
    """
    import torch

    inputs, bias = torch.linspace(-1, 1, 3 * 64).view(3, 64), torch.linspace(0, 1, 32)
    weight = torch.linspace(-1, 1, 32 * 64).view(32, 64)
    with torch.inference_mode():
        try:
            found = _product(inputs, _laid_out(weight), bias)
        except (AttributeError, NotImplementedError, RuntimeError, TypeError):
            return False
        expected = torch.nn.functional.linear(inputs, weight, bias)
    return found.shape == expected.shape and torch.allclose(found, expected, rtol=1e-4, atol=1e-4)

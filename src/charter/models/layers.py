"""How the layers of a padding-free pass are gone through: at once, computed again on the way back, or compiled."""

from functools import cache
from typing import TYPE_CHECKING, Any

from charter.errors import ModelError, TrainingError
from charter.models.encoders import Layer, Through, at_once

if TYPE_CHECKING:
    from torch import Tensor


def through_of(*, checkpointing: bool, compiled: bool) -> Through:
    """How layers are gone through.

    checkpointing: of each layer only its input is kept for the way back, where the rest is computed again, with the same
        dropout (Chen et al. 2016): the gradients are the same numbers.
    compiled: each kind of layer is compiled once, for any number of tokens; sums are then made in another order.

    Raises:
        TrainingError: layers are to be compiled, and this machine can't.
    """
    if compiled:
        check_compiler()
    inner = _compiled if compiled else at_once
    return inner if not checkpointing else lambda layer, *given: _again(inner, layer, given)


def _again(inner: Through, layer: Layer, given: "tuple[Any, ...]") -> "Tensor":
    import torch
    from torch.utils.checkpoint import checkpoint

    if not torch.is_grad_enabled():
        return inner(layer, *given)
    found: Tensor = checkpoint(inner, layer, *given, use_reentrant=False)
    return found


def _compiled(layer: Layer, *given: Any) -> "Tensor":
    found: Tensor = _compilation(layer)(*given)
    return found


@cache
def _compilation(layer: Layer) -> Any:
    """What a kind of layer does, compiled: its module is an argument, so that all layers of a kind share it."""
    import torch

    return torch.compile(layer, dynamic=True)


@cache
def uncompiled(function: Any) -> Any:
    """A function that compiled layers call as it is: attention reads the lengths of sequences, and would be compiled for each."""
    import torch

    return torch.compiler.disable(function)  # type: ignore[no-untyped-call]


@cache
def check_compiler() -> None:
    """Compile something small.

    Raises:
        TrainingError: this machine can't.
    """
    import torch

    try:
        torch.compile(lambda one: (one * 2).exp() + 1)(torch.ones(8))
    except Exception as error:
        # Whatever a compiler, a linker or their absence raises: dynamo wraps some of it, and passes on the rest.
        reason = next(filter(str.strip, str(error).splitlines()), type(error).__name__)
        raise TrainingError(
            "training.compile: torch can't compile on this machine; it needs a C++ compiler and Python's headers (Debian: "
            f"g++, python3-dev). Install them, or set compile: false ({reason.strip()[:200]})"
        ) from None


def checkpoint_layers(model: Any) -> None:
    """Have a model that is not run padding-free compute its layers again on the way back, as transformers does it.

    Raises:
        ModelError: it can't.
    """
    plain = model.get_base_model() if hasattr(model, "get_base_model") else model
    if not getattr(plain, "supports_gradient_checkpointing", False):
        raise ModelError(
            f"training.gradient_checkpointing: {type(plain).__name__} can't; remove it, and lower micro_batch_size instead"
        )
    enable = getattr(
        plain, "activation_checkpointing_enable", None
    )  # before transformers 5.24 it has the other name
    (enable or plain.gradient_checkpointing_enable)({"use_reentrant": False})

"""A model whose weights, gradients and moments are split over the processes that train it (FSDP2, torch's `fully_shard`).

Each layer's weights are gathered when it is gone through, forward and backward, and let go again; the rest of the model
(embeddings, head) is gathered for the whole of a pass. Based on ZeRO (Rajbhandari et al. 2020, section 5) and FSDP
(Zhao et al. 2023).
"""

from types import MethodType
from typing import TYPE_CHECKING, Any

from charter.models.encoders import Layer, Through

if TYPE_CHECKING:
    from torch import Tensor, nn

METHOD = "gone_through"
"""The method of a sharded module that torch gathers its weights for."""


def shard(model: Any, size: int) -> None:
    """Split a model's parameters over all processes, in place; each of the `size` must call it with equal weights."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method

    from charter.models.device import pick_device

    plain = plain_of(model)
    mesh = init_device_mesh(pick_device().type, (size,))
    for one in (*layers_of(plain), plain):
        fully_shard(one, mesh=mesh)
        setattr(one, METHOD, MethodType(_go_through, one))
        register_fsdp_forward_method(one, METHOD)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(
                1.0
            )  # gradients are summed up: each loss has been divided already
            module.set_force_sum_reduction_for_comms(True)  # gloo can't scale while it sums
    for buffer in model.buffers():
        buffer.data = buffer.to(pick_device())


def _go_through(module: "nn.Module", step: Any, *given: Any) -> Any:
    del module
    return step(*given)


def through_shards(inner: Through) -> Through:
    """How a layer is gone through so that its weights are gathered before."""

    def through(layer: Layer, module: Any, *given: Any) -> "Tensor":
        found: Tensor = getattr(module, METHOD)(inner, layer, module, *given)
        return found

    return through


def is_sharded(model: Any) -> bool:
    """Whether a model is split over processes."""
    return hasattr(model, METHOD)


def kind_of(model: Any) -> type:
    """The class of a model before it was split: torch puts one of its own in front."""
    return type(model).__mro__[2] if is_sharded(model) else type(model)


def plain_of(model: Any) -> Any:
    """The model of transformers, out of peft's wrapper where it has one."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def layers_of(model: Any) -> "list[nn.Module]":
    """The layers of a transformers model: the longest list of modules of its base; none where it has no list."""
    from torch import nn

    lists: list[list[nn.Module]] = [
        list(module) for module in model.base_model.modules() if isinstance(module, nn.ModuleList)
    ]
    return max(lists, key=len, default=[])

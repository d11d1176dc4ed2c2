"""Adapters: which part of a model learns."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from charter.errors import ModelError
from charter.models.depth import Layerwise, by_depth

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

    from charter.models.base import Base
    from charter.tasks.task import Task

Model = Any  # a PreTrainedModel, or peft's wrapper of one


@dataclass(frozen=True)
class Adapter:
    """apply: choose what trains (by `requires_grad`), perhaps adding weights. merge: a plain transformers model again.

    layerwise: how learning differs by depth; None: everything that trains learns alike.
    save: writes what was added beside the base, where that is a part of its own.
    """

    apply: Callable[["PreTrainedModel"], Model]
    merge: Callable[[Model], "PreTrainedModel"]
    layerwise: Layerwise | None = None
    save: Callable[[Model, Path], None] | None = None


def adapted(
    base: "Base", task: "Task", adapter: Adapter, *, seed: int, max_length: int, mean_pooled: bool = False
) -> Model:
    """The base with the task's head and what the adapter adds; everything new is drawn by `seed`.

    mean_pooled: as in `attach`; what is set for it never learns.

    Raises:
        ModelError: as `attach`, or nothing of this model would learn.
    """
    import torch

    from charter.models.base import attach
    from charter.models.pooling import keep_set

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = adapter.apply(attach(base, task, seed=seed, max_length=max_length, mean_pooled=mean_pooled))
    keep_set(model)
    return model


def full() -> Adapter:
    """Every weight learns."""
    return Adapter(lambda model: model, lambda model: model)


def head() -> Adapter:
    """Only the task's head learns; the base stays as it is."""

    def apply(model: "PreTrainedModel") -> Model:
        model.base_model.requires_grad_(False)
        return _checked(model, "head")

    return Adapter(apply, lambda model: model)


def bias() -> Adapter:
    """BitFit: only bias terms and the head learn (Ben Zaken et al. 2022)."""

    def apply(model: "PreTrainedModel") -> Model:
        for name, parameter in model.base_model.named_parameters():
            parameter.requires_grad_(name.endswith("bias"))
        if not any(parameter.requires_grad for parameter in model.base_model.parameters()):
            raise ModelError("model.adapt bias: this base has no bias term; use head, lora or full")
        return model

    return Adapter(apply, lambda model: model)


def gradual(
    *,
    decay: Annotated[
        float,
        Field(gt=0, le=1, description="each layer's learning rate is so many times that of the one above it"),
    ] = 0.95,
    over: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="share of training after which every layer learns; until then the head first, then a layer more each "
            "part, from the top; 0: all from the start",
        ),
    ] = 0.5,
    at_once: Annotated[int, Field(ge=1, description="layers that begin to learn at once")] = 1,
) -> Adapter:
    """Every weight learns, upper layers sooner and faster: gradual unfreezing (Howard and Ruder 2018), rates decayed by layer."""

    def apply(model: "PreTrainedModel") -> Model:
        by_depth(model)  # says before any work that layers can't be told apart
        return model

    return Adapter(apply, lambda model: model, Layerwise(decay, over, at_once))


def lora(
    *,
    rank: Annotated[int, Field(ge=1, le=1024, description="rank of the added matrices")] = 8,
    alpha: Annotated[
        int, Field(ge=1, description="scale: the added part is multiplied by alpha / rank")
    ] = 16,
    dropout: Annotated[float, Field(ge=0, lt=1, description="dropout before the added matrices")] = 0.05,
    layers: Annotated[
        tuple[str, ...] | None,
        Field(description="names of the linear layers that get them; default: all but the head"),
    ] = None,
) -> Adapter:
    """LoRA: low-rank matrices beside linear layers, and the head, learn (Hu et al. 2021), by peft."""

    def apply(model: "PreTrainedModel") -> Model:
        from peft import LoraConfig, get_peft_model

        whole = model.base_model is model  # a base without any head
        heads = (
            [] if whole else [name for name, _ in model.named_children() if name != model.base_model_prefix]
        )
        config = LoraConfig(
            r=rank,
            lora_alpha=alpha,
            lora_dropout=dropout,
            fan_in_fan_out=_has_conv1d(model),
            target_modules=list(layers) if layers else _linear_layers(model),
            modules_to_save=[name for name in heads if _has_parameters(model, name)],
        )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers by an old name
                return get_peft_model(model, config)
        except ValueError as error:
            raise ModelError(f"model.adapt lora: {str(error).splitlines()[0][:300]}") from None

    def save(model: Model, folder: Path) -> None:
        from charter.models.peft_adapters import save_adapter

        save_adapter(model, folder)

    return Adapter(apply, lambda model: model.merge_and_unload(), save=save)


def _has_conv1d(model: "PreTrainedModel") -> bool:
    """Whether its linear layers are GPT-2's `Conv1D`, whose weights lie the other way round."""
    return any(type(module).__name__ == "Conv1D" for module in model.base_model.modules())


def _linear_layers(model: "PreTrainedModel") -> list[str]:
    """Names (last parts) of the linear layers inside the base."""
    from torch import nn

    found = {
        name.rsplit(".", 1)[-1]
        for name, module in model.base_model.named_modules()
        if isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D"
    }
    return sorted(found)


def _has_parameters(model: "nn.Module", name: str) -> bool:
    return any(True for _ in getattr(model, name).parameters())


def _checked(model: "PreTrainedModel", adapter: str) -> "PreTrainedModel":
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ModelError(f"model.adapt {adapter}: nothing of this model would learn; use full or lora")
    return model

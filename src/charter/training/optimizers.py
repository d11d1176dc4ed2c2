"""The optimizer of a fit: AdamW or SGD, and with economies row-lazy Adam for the word embedding."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from charter.models.depth import Depth, Layerwise
from charter.spec.training import Training

if TYPE_CHECKING:
    import torch
    from torch import nn


class Optimizers:
    """One or more torch optimizers that step as one."""

    def __init__(self, parts: "Sequence[torch.optim.Optimizer]") -> None:
        self.parts = tuple(parts)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of all parts."""
        return [group for part in self.parts for group in part.param_groups]

    def begin(self, rate: float, share: float) -> "list[nn.Parameter]":
        """Set every group's learning rate for an update; gives the parameters that don't learn yet.

        rate: of the head. share: of all updates that were made before this one.
        """
        resting: list[nn.Parameter] = []
        for group in self.param_groups:
            rests = share < group.get("begins", 0.0)
            group["lr"] = 0.0 if rests else rate * group.get("scale", 1.0)
            resting += group["params"] if rests else []
        return resting

    @property
    def rates(self) -> tuple[float, ...]:
        """The learning rate by depth, from the head down, 0 of what rests; () where all learn alike."""
        rates = {group.get("depth", 0): float(group["lr"]) for group in self.param_groups}
        return tuple(rates[depth] for depth in sorted(rates)) if len(rates) > 1 else ()

    def zero_grad(self) -> None:
        """Forget the gradients of the update before."""
        for part in self.parts:
            part.zero_grad(set_to_none=True)

    def step(self) -> None:
        """One update of every parameter."""
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        for part, saved in zip(self.parts, state["parts"], strict=True):
            part.load_state_dict(saved)

    def fits(self, state: dict[str, Any]) -> bool:
        """Whether a state is one of these optimizers, of parameters of these shapes."""
        saved = state["parts"]
        return len(saved) == len(self.parts) and all(map(_fits, self.parts, saved))


def _fits(part: "torch.optim.Optimizer", state: dict[str, Any]) -> bool:
    learning = [one for group in part.param_groups for one in group["params"]]
    groups = [len(group["params"]) for group in part.param_groups]
    if [len(group["params"]) for group in state["param_groups"]] != groups:
        return False
    return all(
        value.shape == learning[number].shape
        for number, moments in state["state"].items()
        for name, value in moments.items()
        if name != "step"
    )


def optimizers_of(
    model: "nn.Module", settings: Training, layerwise: Layerwise | None = None, *, noise: float = 0.0
) -> Optimizers:
    """AdamW (Loshchilov and Hutter 2019), fused, or SGD with momentum; biases and norms are not decayed.

    layerwise: how depths differ. noise: the standard deviation of the noise in a gradient's entries, whose variance is taken out
    of AdamW's second moment; 0: it is left as it is.

    With `economies`, the word embedding is updated by row-lazy Adam (`torch.optim.SparseAdam`): the moments of a row move
    only when a batch reads it, and the rows are not decayed.

    Raises:
        ModelError: learning is to differ by depth, and the model's layers can't be told apart.
    """
    import torch

    embedding = _word_embedding(model) if settings.economies else None
    if embedding is not None:
        embedding.sparse = True
    learning = tuple(one for one in model.parameters() if one.requires_grad)
    depths = (Depth(learning),) if layerwise is None else layerwise.depths(model)
    dense, lazy = [], []
    for depth in depths:
        alike = {"depth": depth.depth, "scale": depth.scale, "begins": depth.begins}
        rows = [one for one in depth.parameters if embedding is not None and one is embedding.weight]
        rest = [one for one in depth.parameters if not any(one is row for row in rows)]
        dense += [
            {"params": [one for one in rest if one.ndim > 1], "weight_decay": settings.weight_decay, **alike},
            {"params": [one for one in rest if one.ndim <= 1], "weight_decay": 0.0, **alike},
        ]
        lazy += [{"params": rows, **alike}]
    filled, lazily = ([group for group in groups if group["params"]] for groups in (dense, lazy))
    main = _main(filled, settings, noise)
    return Optimizers([main, torch.optim.SparseAdam(lazily, lr=settings.learning_rate)] if lazily else [main])


def _main(groups: "list[dict[str, Any]]", settings: Training, noise: float) -> "torch.optim.Optimizer":
    import torch

    rate = settings.learning_rate
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=rate, momentum=settings.momentum, fused=True)
    if noise:
        from charter.training.noisy_adam import NoisyAdamW

        return NoisyAdamW(groups, rate, noise=noise)
    return torch.optim.AdamW(groups, lr=rate, fused=True)


def _word_embedding(model: Any) -> "nn.Embedding | None":
    """The word embedding, where it learns by itself: an output layer that shares it gives gradients for all its rows."""
    from torch import nn

    embedding = model.get_input_embeddings()
    if type(embedding) is not nn.Embedding or not embedding.weight.requires_grad:
        return None
    modules = model.modules()
    shared = sum(one is embedding.weight for module in modules for one in module.parameters(recurse=False))
    return embedding if shared == 1 and embedding.max_norm is None else None

"""The clipped sum: each example's gradient scaled to a bounded norm, and all added up, in one forward and one backward pass."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from charter.errors import ModelError
from charter.models.ownership import listening
from charter.privacy.plan import Losses
from charter.privacy.rules import Recording
from charter.privacy.tape import Tape

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Clipped:
    """sums: by a parameter's id, the sum of all examples' clipped gradients. norms: (n,) before clipping. loss: the sum."""

    sums: "Mapping[int, Tensor]"
    norms: "Tensor"
    loss: float


def check_private(model: "nn.Module") -> None:
    """Refuse a model whose examples meet in it.

    Raises:
        ModelError: it has batch normalisation.
    """
    from torch.nn.modules.batchnorm import _BatchNorm

    found = [name for name, module in model.named_modules() if isinstance(module, _BatchNorm)]
    if found:
        raise ModelError(
            f"privacy: '{found[0]}' is batch normalisation ({len(found)} such layers), which mixes the examples of a batch, so that "
            "no example's influence is bounded; take a base with group or layer normalisation"
        )


def clipped(model: "nn.Module", index: NDArray[np.int64], losses: Losses, clip: float) -> Clipped:
    """The clipped sum over the examples `index`. clip: the largest norm of an example's gradient over all parameters.

    Raises:
        ModelError: a parameter that learns is used in a way that is not known here.
    """
    import torch

    learning = {name: one for name, one in model.named_parameters() if one.requires_grad}
    tape = Tape(len(index), {id(one): name for name, one in learning.items()})
    for one in learning.values():
        one.grad = None
    with listening() as owners, Recording(tape, owners):
        each = losses(index)
        each.sum().backward()  # type: ignore[no-untyped-call]
    leaked = [name for name, one in learning.items() if one.grad is not None]
    if leaked:
        for one in learning.values():
            one.grad = None
        raise ModelError(
            f"privacy: parameter '{leaked[0]}' ({len(leaked)} such) is used by an operation for which no rule of example gradients is "
            "known, so its influence can't be bounded; freeze it (model.adapt: lora, bias or head), or take another base (docs/privacy.md)"
        )
    norms = tape.squared_norms().sqrt()
    factors = (clip / norms.clamp(min=1e-12)).clamp(max=1.0)
    with torch.no_grad():
        return Clipped(tape.weighted_sums(factors), norms, float(each.detach().sum()))

"""The bounded sum: each unit's gradient scaled down to its norm, and all added up, in one forward and one backward pass."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from charter.errors import ModelError, TrainingError
from charter.models.ownership import listening
from charter.privacy.clipping import Clipping
from charter.privacy.plan import Losses
from charter.privacy.rules import Recording
from charter.privacy.tape import Tape

if TYPE_CHECKING:
    from torch import Tensor, nn

FEWEST_BYTES = 4
"""Numbers of fewer bytes round away what noise adds."""
AGREE = 1e-3
"""A norm of the one pass may differ from that of the example alone by this share of it: float32's sums are in another order."""


@dataclass(frozen=True)
class Bounded:
    """sums: by a parameter's id, the sum of all units' clipped gradients. squares: (units, groups) squared norms before that."""

    sums: "Mapping[int, Tensor]"
    squares: "Tensor"


def learning(model: "nn.Module") -> "dict[str, nn.Parameter]":
    """The parameters that learn, each once, by name."""
    return {name: one for name, one in model.named_parameters() if one.requires_grad}


def bounded(
    model: "nn.Module",
    index: NDArray[np.int64],
    losses: Losses,
    clipping: Clipping,
    *,
    units: NDArray[np.int64] | None = None,
    share: float = 1.0,
) -> Bounded:
    """The bounded sum over the examples `index`, times `share`.

    units: (len(index),) the unit of each example, numbered from 0; None: each is its own.

    Raises:
        ModelError: a parameter that learns is used in a way that is not known here.
        TrainingError: an example's gradient is no number.
    """
    import torch

    parameters = learning(model)
    tape = _recorded(model, index, losses, units)
    groups = clipping.groups(list(parameters))
    with torch.no_grad():
        squares = tape.squared_norms({id(one): groups[name] for name, one in parameters.items()})
    if not bool(squares.isfinite().all()):
        raise TrainingError(
            "an example's gradient is no number, so it can't be bounded, and nothing of this training is kept: lower "
            "training.learning_rate"
        )
    with torch.no_grad():
        factors = clipping.factors(squares) * share
        of = {id(one): factors[:, groups[name]] for name, one in parameters.items()}
        sums = tape.weighted_sums(of)
    tape.clear()
    return Bounded(sums, squares)


def _recorded(
    model: "nn.Module", index: NDArray[np.int64], losses: Losses, units: NDArray[np.int64] | None
) -> Tape:
    import torch

    parameters = learning(model)
    count = len(index) if units is None else int(units.max()) + 1
    tape = Tape(count, {id(one): name for name, one in parameters.items()})
    for one in parameters.values():
        one.grad = None
    with (
        listening(None if units is None else torch.from_numpy(units)) as owners,
        Recording(tape, owners),
    ):
        _backward(losses(index).sum())
    leaked = [name for name, one in parameters.items() if one.grad is not None]
    for one in parameters.values():
        one.grad = None
    if leaked:
        raise ModelError(
            f"parameter '{leaked[0]}' ({len(leaked)} such) is used by an operation for which no rule of example gradients is "
            "known, so its influence can't be bounded; freeze it (model.adapt: lora, bias or head), or take another base (docs/privacy.md)"
        ).about("privacy")
    return tape


def _backward(total: "Tensor") -> None:
    """As `total.backward()`, within which the mode would rest: checkpointed layers are computed again on the way back."""
    import torch
    from torch.autograd.variable import Variable

    Variable._execution_engine.run_backward(
        (total,), (torch.ones_like(total),), False, False, (), allow_unreachable=True, accumulate_grad=True
    )


def check_bounded(model: "nn.Module", index: NDArray[np.int64], losses: Losses) -> None:
    """Refuse a model whose examples meet in it, or whose gradients the one pass gets wrong.

    Each of a few examples is put first in a batch with the others: the norm of its gradient must be that of it alone, by
    autograd, without any rule. Nothing is learned, and nothing is told of them but that they agree.

    Raises:
        ModelError: batch normalisation; a buffer that follows the rows; a parameter for which no rule is known; norms that differ.
    """
    import torch
    from torch.nn.modules.batchnorm import _BatchNorm

    found = [name for name, module in model.named_modules() if isinstance(module, _BatchNorm)]
    if found:
        raise ModelError(
            f"'{found[0]}' is batch normalisation ({len(found)} such layers), which mixes the examples of a batch, so that "
            "no example's influence is bounded; take a base with group or layer normalisation"
        ).about("privacy")
    small = {name: one for name, one in learning(model).items() if one.dtype.itemsize < FEWEST_BYTES}
    for name, one in small.items():
        raise ModelError(
            f"parameter '{name}' ({len(small)} such) has numbers of {one.dtype}, too coarse for noise: load the base in float32"
        ).about("privacy")
    trained = model.training
    _check_buffers(model, index, losses)
    model.eval()
    try:
        for turn in range(len(index)):
            together = np.roll(index, turn)
            with torch.no_grad():
                tape = _with_grad(model, together, losses)
                one_pass = float(tape.squared_norms().sum(1)[0].sqrt())
            alone = _alone(model, together[:1], losses)
            if abs(one_pass - alone) > AGREE * max(alone, 1e-6):
                raise ModelError(
                    f"the gradient of an example has norm {alone:.6g} alone and {one_pass:.6g} beside others, so the examples "
                    "of a batch meet in this model, or a layer is one that Charter misreads; take another base (docs/privacy.md)"
                ).about("privacy")
    finally:
        model.train(trained)


def _check_buffers(model: "nn.Module", index: NDArray[np.int64], losses: Losses) -> None:
    """What a pass writes into the model besides its gradients would be kept without noise."""
    import torch

    kept = model.state_dict().keys()
    before = {name: one.clone() for name, one in model.named_buffers() if name in kept}
    model.train()
    with torch.no_grad():
        losses(index)
    changed = [
        name for name, one in model.named_buffers() if name in before and not torch.equal(one, before[name])
    ]
    with torch.no_grad():
        for name, one in model.named_buffers():
            if name in changed:
                one.copy_(before[name])
    if changed:
        raise ModelError(
            f"buffer '{changed[0]}' ({len(changed)} such) follows the rows that pass, without noise; take a base whose passes "
            "leave it as it is"
        ).about("privacy")


def _with_grad(model: "nn.Module", index: NDArray[np.int64], losses: Losses) -> Tape:
    import torch

    with torch.enable_grad():
        return _recorded(model, index, losses, None)


def _alone(model: "nn.Module", index: NDArray[np.int64], losses: Losses) -> float:
    """The norm of one example's gradient, by autograd."""
    parameters = list(learning(model).values())
    losses(index).sum().backward()  # type: ignore[no-untyped-call]
    squares = sum(float(one.grad.double().square().sum()) for one in parameters if one.grad is not None)
    for one in parameters:
        one.grad = None
    return float(squares**0.5)

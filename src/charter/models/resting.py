"""A base that does not learn: what it says of each text is computed once, and the head learns from that."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from charter.data.batch import Batch, Examples
from charter.models.forward import Output, PackedForward
from charter.models.inference import BATCH_SIZE, answered, on_device

if TYPE_CHECKING:
    from torch import Tensor

MOST_BYTES = 2**30
"""States are kept while they take no more than this; else the base is asked anew for each batch."""


def resting_base(model: Any) -> Any:
    """The base of a model of which nothing learns but what reads it; None where the base learns too."""
    base = getattr(model, "base_model", model)
    learns = base is model or any(one.requires_grad for one in base.parameters())
    return None if learns else base


@dataclass(frozen=True)
class States:
    """What a resting base says of some examples. each: (examples, width), on the CPU."""

    forward: PackedForward
    each: "Tensor"

    def read(self, index: NDArray[np.int64], device: Any) -> Any:
        """The forward pass of these examples, from their states on: through the head's own modules."""
        import torch

        hidden = self.each[torch.from_numpy(index)].to(device)

        def forward(**inputs: "Tensor") -> Output:
            del inputs
            return Output(self.forward.head.logits(self.forward.model, hidden))

        return forward


def states_of(
    model: Any,
    forward: Any,
    examples: Examples,
    *,
    half: bool = False,
    on_batch: Callable[[int, int], None] | None = None,
) -> States | None:
    """The states of all examples, which a head that reads one of each learns from; without dropout.

    None where the base learns, where the architecture or the task is none of those, where an epoch draws its examples anew,
    or where they would take more than `MOST_BYTES`. Texts of like length are computed together, in the same way each time.
    half: in bfloat16.
    """
    packed = isinstance(forward, PackedForward)
    if resting_base(model) is None or not packed or not forward.head.one_each:
        return None
    width = int(forward.model.config.hidden_size)
    changing = examples.anew is not None or examples.hiding is not None or examples.sizes is not None
    if changing or not len(examples) or 4 * width * len(examples) > MOST_BYTES:
        return None
    import torch

    device = next(model.parameters()).device
    learning = model.training
    model.eval()
    try:
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            hidden = replace(forward, head=replace(forward.head, logits=lambda _model, states: states))
            found = answered(
                hidden, _Reading(), examples, lambda batch: on_device(batch, device), BATCH_SIZE, on_batch
            )
    finally:
        model.train(learning)
    return States(forward, torch.from_numpy(np.stack(found)))


class _Reading:
    """All of a task that answering asks for."""

    def outputs(self, model: Any, batch: Batch, examples: Examples) -> list[NDArray[np.float32]]:
        """The states (width,) of each text."""
        del examples
        return list(model(**batch.inputs).logits.float().cpu().numpy())

"""What a model's last layer reads of each text: the vectors that its answers are made of."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from charter.data.batch import Batch, Examples
from charter.errors import ModelError
from charter.models.folding import last_layer
from charter.models.inference import predict_outputs

if TYPE_CHECKING:
    from torch import nn


@contextmanager
def reading_features(model: Any) -> Iterator[None]:
    """While this lasts the model's logits are what its last layer reads, (batch, width), in every forward pass of it.

    Raises:
        ModelError: the last layer of this architecture is not known.
    """
    layer = last_layer(model)
    if layer is None:
        raise ModelError(
            f"{type(model).__name__}: its last layer is not a linear one that is known, so it can't start from descriptions "
            "or learn by contrast; use another base"
        )
    hook = layer.register_forward_hook(lambda _module, given, _answer: given[0])
    try:
        yield
    finally:
        hook.remove()


def features_of(model: Any, examples: Examples) -> NDArray[np.float64]:
    """(n, width) what the last layer reads of each example, without dropout."""
    with reading_features(model):
        return np.asarray(predict_outputs(model, _Reading(), examples), dtype=np.float64)


class _Reading:
    """All of a task that answering asks for."""

    def outputs(self, model: "nn.Module", batch: Batch, examples: Examples) -> list[NDArray[np.float32]]:
        """The logits of each text."""
        del examples
        return list(model(**batch.inputs).logits.float().cpu().numpy())

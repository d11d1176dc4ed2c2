"""What training makes smaller: a task's own loss, or another one that teaches the model something first."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from charter.data.batch import Batch, Examples

if TYPE_CHECKING:
    from torch import Tensor, nn


class Objective(ABC):
    """A loss for the one training loop. A task is one; a charter may name another in `training.objective`."""

    name: str
    mixes: ClassVar[bool] = False
    """Whether the loss of an example depends on the others of its batch: it is never computed in parts, nor under privacy."""
    on_features: ClassVar[bool] = False
    """Whether `loss` is given a model whose logits are what its last layer reads (`charter.models.pooling`)."""

    fits_head: ClassVar[bool] = False
    """Whether `conclude` fits the last layer, so that the model answers before any update."""

    @abstractmethod
    def loss(self, model: "nn.Module", batch: Batch, class_weights: "Tensor | None" = None) -> "Tensor":
        """One loss per example, shape (batch,)."""

    def balance(self, examples: Examples) -> NDArray[np.float32] | None:
        """`training.class_weights: balanced` as the weights that `loss` takes; None for what has no classes."""
        del examples
        return None

    def begin(self, model: Any, *, seed: int) -> None:
        """Before anything is learned: add to the model what only this objective learns beside its weights, drawn by `seed`."""
        del model, seed

    def end(self, model: Any) -> None:
        """When all is learned: take away from the model what `begin` added."""
        del model

    def conclude(self, model: Any, examples: Examples) -> None:
        """Before the model is scored or kept: fit to the examples what no update has taught it."""
        del model, examples

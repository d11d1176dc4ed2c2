"""Examples (encoded rows) and batches of them: what a model is fed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

IGNORED = -100
"""The target of a position that no loss reads (a padding, a word's second piece)."""


@dataclass(frozen=True)
class Batch:
    """What a model is fed in one pass.

    inputs: the model's own keyword arguments (`input_ids` and `attention_mask` of shape (batch, length), ...).
    targets: (batch,) class indices or (batch, length) with IGNORED where nothing is to be predicted; None at prediction.
    index: (batch,) positions of the examples in their split.
    weights: (batch,) weight of each example's loss; 1 where nothing else is asked.
    """

    inputs: Mapping[str, "Tensor"]
    targets: "Tensor | None"
    index: "Tensor"
    weights: "Tensor"


@dataclass(frozen=True)
class Examples:
    """The encoded rows of one split, ready to be batched.

    ids: one int array of token ids for each example.
    targets: None at prediction; else (n,) class indices, or one int array per example aligned with its ids.
    words: for token tasks, one int array per example: the word that each token belongs to, -1 for none; else None.
    rows: (n,) the `_row` number of each example.
    truncated: how many texts were cut at the length limit.
    """

    ids: tuple[NDArray[np.int64], ...]
    targets: "NDArray[np.int64] | tuple[NDArray[np.int64], ...] | None"
    words: tuple[NDArray[np.int64], ...] | None
    rows: NDArray[np.int64]
    truncated: int
    pad_id: int

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(n,) the tokens of each example."""
        return np.asarray([len(ids) for ids in self.ids], dtype=np.int64)

    def batch(self, index: NDArray[np.int64], weights: NDArray[np.float32] | None = None) -> Batch:
        """The examples at `index` as one batch, padded on the right to its longest example."""
        import torch

        chosen = [self.ids[i] for i in index]
        length = max(len(ids) for ids in chosen)
        input_ids = np.full((len(chosen), length), self.pad_id, dtype=np.int64)
        mask = np.zeros((len(chosen), length), dtype=np.int64)
        for row, ids in enumerate(chosen):
            input_ids[row, : len(ids)] = ids
            mask[row, : len(ids)] = 1
        ones = np.ones(len(chosen), dtype=np.float32)
        return Batch(
            inputs={"input_ids": torch.from_numpy(input_ids), "attention_mask": torch.from_numpy(mask)},
            targets=self._targets(index, length),
            index=torch.from_numpy(np.asarray(index, dtype=np.int64)),
            weights=torch.from_numpy(ones if weights is None else weights),
        )

    def _targets(self, index: NDArray[np.int64], length: int) -> "Tensor | None":
        import torch

        if self.targets is None:
            return None
        if isinstance(self.targets, np.ndarray):
            return torch.from_numpy(self.targets[index])
        padded = np.full((len(index), length), IGNORED, dtype=np.int64)
        for row, i in enumerate(index):
            padded[row, : len(self.targets[i])] = self.targets[i]
        return torch.from_numpy(padded)

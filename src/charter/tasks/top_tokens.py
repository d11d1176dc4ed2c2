"""The token that a language model finds likeliest at each position that it is judged at: what two forms of it are compared by."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from charter.data.batch import Batch, Examples
from charter.tasks.language_model import AT_ONCE, LanguageModel, some_of

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class TopTokens:
    """All of a task that answering asks for: of each document the ids (judged tokens,) of the likeliest tokens."""

    task: LanguageModel

    def outputs(self, model: "nn.Module", batch: Batch, examples: Examples) -> list[NDArray[np.float32]]:
        """Of each document of the batch; float32 holds ids up to 16 million exactly."""
        del examples
        assert batch.sizes is not None
        tops, counts = [], []
        for start in range(0, int(batch.sizes.sum()), AT_ONCE):
            said = self.task.said(model, some_of(batch, slice(start, start + AT_ONCE)))
            tops.append(said.words.logits().argmax(dim=-1).cpu().numpy())
            counts.append(said.where.sum(dim=1).cpu().numpy())
        each = np.split(np.concatenate(tops), np.cumsum(np.concatenate(counts))[:-1])
        ends = np.cumsum(batch.sizes.cpu().numpy())
        starts = np.r_[0, ends[:-1]]
        return [
            np.concatenate(each[start:end]).astype(np.float32)
            for start, end in zip(starts, ends, strict=True)
        ]

"""What a masked language model guesses for hidden tokens: the likeliest ones, with their probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from charter.data.batch import Batch, Examples, unlabelled
from charter.models.forward import logits_at
from charter.models.inference import predict_outputs

if TYPE_CHECKING:
    from torch import nn

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Guess:
    """A token that may stand in the place of a mask. text: as it reads; token: as the vocabulary has it (`##ing`, `Ġthe`)."""

    text: str
    token: str
    probability: float


Guesses = tuple[Guess, ...]
"""The likeliest tokens of one mask, the likeliest first."""


def guessed(model: Any, tokenizer: Any, ids: Sequence[Integers], *, most: int) -> list[tuple[Guesses, ...]]:
    """The `most` likeliest tokens for each mask of each sequence of token ids; special tokens are never among them.

    Probabilities are over the whole vocabulary, all masks of a sequence hidden at once.
    """
    if not ids:
        return []
    reading = _Reading(int(tokenizer.mask_token_id), _special(tokenizer), most)
    found = predict_outputs(model, reading, unlabelled(tuple(ids), int(tokenizer.pad_token_id)))
    return [tuple(_guesses(tokenizer, one) for one in sequence) for sequence in found]


def _special(tokenizer: Any) -> Integers:
    return np.asarray(sorted(set(tokenizer.all_special_ids)), dtype=np.int64)


def _guesses(tokenizer: Any, one: NDArray[np.float32]) -> Guesses:
    """(2, most) token ids and their probabilities, as guesses."""
    tokens = tokenizer.convert_ids_to_tokens(one[0].astype(np.int64).tolist())
    texts = [tokenizer.convert_tokens_to_string([token]).strip() or token for token in tokens]
    # Part of a character's bytes is no text.
    shown = [
        token if "\ufffd" in text or token.startswith("##") else text
        for token, text in zip(tokens, texts, strict=True)
    ]
    return tuple(
        Guess(text, token, float(share))
        for text, token, share in zip(shown, tokens, one[1].tolist(), strict=True)
    )


@dataclass(frozen=True)
class _Reading:
    """What answering asks of a task: of each sequence (masks, 2, most) the likeliest tokens and their probabilities."""

    mask: int
    special: Integers
    most: int

    def outputs(self, model: "nn.Module", batch: Batch, examples: Examples) -> list[NDArray[np.float32]]:
        """Of each sequence of the batch."""
        import torch

        del examples
        where = batch.inputs["input_ids"] == self.mask
        shares = logits_at(model, batch.inputs, where).float().softmax(dim=-1)
        shares[:, torch.from_numpy(self.special).to(shares.device)] = 0.0
        best = shares.topk(min(self.most, shares.shape[-1] - len(self.special)), dim=-1)
        told = torch.stack([best.indices.float(), best.values], dim=1).cpu().numpy()
        return [np.asarray(one) for one in np.split(told, np.cumsum(where.sum(dim=1).cpu().numpy())[:-1])]

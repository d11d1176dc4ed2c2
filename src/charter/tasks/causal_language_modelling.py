"""Causal language modelling: each token is foretold by those before it (Radford et al. 2018)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from charter.data.batch import Batch, Examples
from charter.data.pieces import Blocks, Cut, Pieces, run_on
from charter.errors import ModelError
from charter.models.forward import words_at
from charter.tasks.language_model import BYTES, SURPRISE, LanguageModel, Said
from charter.tasks.scoring import divided
from charter.tasks.task import Head, ScoreName, Task

if TYPE_CHECKING:
    from torch import nn

Integers = NDArray[np.int64]


def causal_language_modelling(
    *,
    mix_documents: Annotated[
        bool,
        Field(
            description="learn from blocks of exactly max_length tokens, documents one after the other, each attending to those before it"
        ),
    ] = False,
) -> Task:
    """Foretell each token by those before it: how GPT and its kin are pre-trained."""
    return CausalLanguageModelling(mix_documents=mix_documents)


@dataclass(frozen=True)
class CausalLanguageModelling(LanguageModel):
    """A document begins and ends with the tokenizer's end-of-text token; each of its tokens is foretold once."""

    name: str = "causal_language_modelling"
    writes: ClassVar[bool] = True

    @property
    def head(self) -> Head:
        """A logit for each token of the vocabulary."""
        return Head("AutoModelForCausalLM", ())

    def cut(self, tokenizer: Any, max_length: int) -> Cut:
        """A document's tokens between two end-of-text tokens, in pieces that overlap by one.

        Raises:
            ModelError: the tokenizer has no such token.
        """
        end = _end_of_text(tokenizer)

        def pieces(ids: Integers) -> Iterator[Integers]:
            return run_on(ids, end, max_length)

        return pieces

    def blocks(self, tokenizer: Any, max_length: int) -> Blocks:
        """Documents with an end-of-text token between them, in blocks that overlap by one.

        Raises:
            ModelError: as `cut`.
        """
        return Blocks.run_on(_end_of_text(tokenizer), max_length)

    def reading(self, max_length: int) -> str:
        """How documents are cut: what stood before a piece is not seen in it, so a longer context would surprise less."""
        return (
            f"documents are read in pieces of at most {max_length} tokens, and each token is foretold from those before it in its "
            "piece alone"
        )

    def lessons(self, pieces: Pieces, tokenizer: Any, max_length: int) -> Examples:
        """Pieces, of which all but the first token are foretold."""
        del max_length
        return Examples(
            ids=pieces,
            targets=None,
            rows=pieces.rows,
            truncated=0,
            pad_id=int(tokenizer.pad_token_id),
            counts=pieces.lengths - 1,
        )

    def ending(self, tokenizer: Any) -> Integers:
        """The end-of-text token, which is foretold once a document."""
        return np.asarray([_end_of_text(tokenizer)], dtype=np.int64)

    def judged(self, examples: Examples) -> Iterator[Integers]:
        """Of each sequence all tokens but the first."""
        for ids in examples.ids:
            yield ids[1:]

    def said(self, model: "nn.Module", batch: Batch) -> Said:
        """Of all tokens of each sequence but the first."""
        ids, mask = batch.inputs["input_ids"], batch.inputs["attention_mask"].bool()
        where = mask.clone()
        where[:, :-1] &= mask[:, 1:]
        where[:, -1] = False
        truth = ids[:, 1:][where[:, :-1]]
        return Said(words_at(model, batch.inputs, where), truth, where)

    def scores(self, totals: NDArray[np.float64]) -> Mapping[ScoreName, NDArray[np.float64]]:
        """Perplexity, the share of tokens found, and bits per byte, which compare across tokenizers."""
        bits = divided(totals[..., SURPRISE], totals[..., BYTES]) / np.log(2)
        return {**super().scores(totals), ("bits_per_byte", ""): bits}

    @property
    def options(self) -> Mapping[str, Any]:
        """The options that the task was made with."""
        return {"mix_documents": self.mix_documents}


def _end_of_text(tokenizer: Any) -> int:
    end = tokenizer.eos_token_id
    if end is None:
        raise ModelError(
            "the base's tokenizer has no end-of-text token: it is one of an encoder; take the task "
            "masked_language_modelling"
        )
    return int(end)

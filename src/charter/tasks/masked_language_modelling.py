"""Masked language modelling: hidden tokens are found by what stands on both sides (Devlin et al. 2019)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import polars as pl
from pydantic import Field

from charter.data.batch import IGNORED, Batch, Examples
from charter.data.columns import Columns
from charter.data.pieces import Frame, Pieces
from charter.models.forward import words_at
from charter.tasks.language_model import LanguageModel, Said
from charter.tasks.masking import WholeWords, masking_of
from charter.tasks.task import Head, Task

if TYPE_CHECKING:
    from torch import nn

JUDGED_BY = 0
"""The seed of what is hidden of held-out documents: always the same tokens."""


def masked_language_modelling(
    *,
    probability: Annotated[float, Field(gt=0, lt=1, description="share of tokens that are hidden")] = 0.15,
    whole_words: WholeWords = False,
    mix_documents: Annotated[
        bool,
        Field(
            description="learn from blocks of exactly max_length tokens, documents one after the other, which attend to one another"
        ),
    ] = False,
) -> Task:
    """Find hidden tokens by the text on both sides: how BERT and its kin are pre-trained."""
    return MaskedLanguageModelling(
        probability=probability, whole_words=whole_words, mix_documents=mix_documents
    )


@dataclass(frozen=True)
class MaskedLanguageModelling(LanguageModel):
    """The loss is the mean negative log-likelihood of the hidden tokens; each counts alike, whatever its document."""

    name: str = "masked_language_modelling"
    fills: ClassVar[bool] = True
    probability: float = 0.15
    whole_words: WholeWords = False

    @property
    def head(self) -> Head:
        """A logit for each token of the vocabulary."""
        return Head("AutoModelForMaskedLM", ())

    def lessons(self, pieces: Pieces, tokenizer: Any, max_length: int) -> Examples:
        """Pieces of which something else is hidden each time."""
        masking = masking_of(tokenizer, probability=self.probability, whole_words=self.whole_words, seed=None)
        if self.mix_documents:
            counts = masking.counts(pieces.among(~masking.special), 0)
        else:
            frame = Frame.of(tokenizer, max_length)
            counts = masking.counts(pieces.lengths, len(frame.before) + len(frame.after))
        return Examples(
            ids=pieces,
            targets=None,
            rows=pieces.rows,
            truncated=0,
            pad_id=int(tokenizer.pad_token_id),
            hiding=masking,
            counts=counts,
        )

    def examples(
        self,
        rows: pl.DataFrame,
        columns: Columns,
        tokenizer: Any,
        max_length: int,
        *,
        with_targets: bool = True,
    ) -> Examples:
        """Documents of which the same tokens are hidden each time."""
        told = super().examples(rows, columns, tokenizer, max_length, with_targets=with_targets)
        masking = masking_of(
            tokenizer, probability=self.probability, whole_words=self.whole_words, seed=JUDGED_BY
        )
        return replace(told, hiding=masking)

    def reading(self, max_length: int) -> str:
        """How documents are cut, and how much of them is hidden."""
        return (
            f"documents are read in pieces of at most {max_length} tokens, of which {self.probability:.0%} are hidden, the same ones "
            "each time, and found from the rest of their piece"
        )

    def said(self, model: "nn.Module", batch: Batch) -> Said:
        """Of the hidden tokens of each sequence."""
        assert batch.targets is not None
        where = batch.targets != IGNORED
        return Said(words_at(model, batch.inputs, where), batch.targets[where], where)

    @property
    def options(self) -> Mapping[str, Any]:
        """The options that the task was made with."""
        return {
            "probability": self.probability,
            "whole_words": self.whole_words,
            "mix_documents": self.mix_documents,
        }

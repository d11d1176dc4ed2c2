"""Masked language modelling beside what is told of pairs of segments: next-sentence and sentence-order prediction."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from charter.data.batch import IGNORED, Batch, Examples
from charter.data.columns import ROW, Columns
from charter.data.pairs import FOLLOWS, PairFrame, Pairing, Second
from charter.data.segments import found_segments, segments_of, write_segments
from charter.errors import DataError
from charter.models.forward import pairs_at
from charter.models.vocabulary import Words
from charter.tasks.language_model import SHARED, SURPRISE, TOKENS, LanguageModel, Said, surprise_of
from charter.tasks.masked_language_modelling import JUDGED_BY
from charter.tasks.masking import WholeWords, masking_of
from charter.tasks.scoring import divided
from charter.tasks.task import Head, Outputs, ScoreName, Task
from charter.tasks.unigram import Unigram

if TYPE_CHECKING:
    from torch import Tensor, nn

OUTPUTS = ("as_in_the_text", "other")
"""The two classes of a pair, by transformers' numbers."""
PAIR_SURPRISE, PAIRS, PAIRS_RIGHT = range(SHARED, SHARED + 3)
Probability = Annotated[float, Field(gt=0, lt=1, description="share of tokens that are hidden")]


def next_sentence_prediction(*, probability: Probability = 0.15, whole_words: WholeWords = False) -> Task:
    """Hidden tokens, and whether the second of two segments follows the first: how BERT was pre-trained."""
    return SentencePairs(
        name="next_sentence_prediction", second="next", probability=probability, whole_words=whole_words
    )


def sentence_order_prediction(*, probability: Probability = 0.15, whole_words: WholeWords = False) -> Task:
    """Hidden tokens, and whether two neighbouring segments stand in their order: how ALBERT was pre-trained."""
    return SentencePairs(
        name="sentence_order_prediction", second="order", probability=probability, whole_words=whole_words
    )


@dataclass(frozen=True)
class SentencePairs(LanguageModel):
    """The loss is the mean negative log-likelihood of the hidden tokens, plus that of the pairs (Devlin et al. 2019, appendix A.2).

    A piece is consecutive sentences of one document, parted in two segments at a sentence's end. In half of the cases another
    second segment is taken, of another document (`next`), or the two are turned round (`order`; Lan et al. 2020, section 3.1).
    A document of one sentence has no pair, and teaches hidden tokens alone.
    """

    name: str = "next_sentence_prediction"
    second: Second = "next"
    probability: float = 0.15
    whole_words: WholeWords = False
    labels: tuple[str, ...] = ()
    width: ClassVar[int] = SHARED + 3
    fills: ClassVar[bool] = True

    @property
    def head(self) -> Head:
        """A logit for each token of the vocabulary, and two for a pair."""
        return Head("AutoModelForPreTraining", OUTPUTS)

    def encoded(
        self, chunks: Iterable[pl.DataFrame], columns: Columns, tokenizer: Any, max_length: int, folder: Path
    ) -> Examples:
        """Pairs to learn from, drawn anew for each epoch; the sentences lie in `folder`, and are found there again.

        Raises:
            DataError: there is one document only, so that no segment is of another.
            MissingExtraError: sentencex is not installed.
        """
        frame = PairFrame.of(tokenizer, max_length)
        segments = found_segments(folder)
        if segments is None:
            segments = write_segments(folder, chunks, columns, tokenizer, frame.room)
        if self.second == "next" and len(segments.documents) <= 2:
            raise DataError(
                f"{self.name}: all texts to learn from are one document, so there is no segment of another one; split it in "
                "documents, or take sentence_order_prediction"
            )
        hiding = masking_of(tokenizer, probability=self.probability, whole_words=self.whole_words, seed=None)
        return Pairing(segments, frame, self.second, hiding, int(tokenizer.pad_token_id))(0, 0)

    def examples(
        self,
        rows: pl.DataFrame,
        columns: Columns,
        tokenizer: Any,
        max_length: int,
        *,
        with_targets: bool = True,
    ) -> Examples:
        """Documents to be judged, each with all of its pieces: pairs and hidden tokens are the same each time."""
        del with_targets
        frame = PairFrame.of(tokenizer, max_length)
        numbers, texts = rows[ROW].to_list(), columns.texts(rows).to_list()
        segments = segments_of(numbers, texts, tokenizer, frame.room)
        hiding = masking_of(
            tokenizer, probability=self.probability, whole_words=self.whole_words, seed=JUDGED_BY
        )
        pairing = Pairing(segments, frame, self.second, hiding, int(tokenizer.pad_token_id))
        drawn = pairing.drawn(np.random.default_rng(JUDGED_BY))
        ends = np.searchsorted(segments.pieces, segments.documents)
        return replace(
            drawn, rows=rows[ROW].to_numpy(), sizes=np.diff(ends), counts=None, beside=None, anew=None
        )

    def said(self, model: "nn.Module", batch: Batch) -> Said:
        """Of the hidden tokens of each sequence."""
        assert batch.targets is not None
        where = batch.targets != IGNORED
        return Said(pairs_at(model, batch.inputs, where).words, batch.targets[where], where)

    def surprise(self, model: "nn.Module", batch: Batch) -> "tuple[Tensor, ...]":
        """Of the hidden tokens of each sequence, and of its pair."""
        assert batch.targets is not None and batch.pairs is not None
        where, paired = batch.targets != IGNORED, batch.pairs != IGNORED
        told = pairs_at(model, batch.inputs, where)
        words = surprise_of(told.words, batch.targets[where], where, batch)
        pairs = Words(told.pairs[paired]).surprise(batch.pairs[paired])
        nats, right = pairs.nats.new_zeros(2, len(where))
        owner = paired.nonzero()[:, 0]
        return (
            *words,
            nats.index_copy(0, owner, pairs.nats),
            paired.long(),
            right.index_copy(0, owner, pairs.found.to(right.dtype)),
        )

    def cheap(self, unigram: Unigram, examples: Examples) -> list[NDArray[np.float32]]:
        """As of hidden tokens alone; of pairs, of which half are as in the text, each is said to be so, with a probability of a half."""
        assert examples.pairs is not None and examples.sizes is not None
        told = super().cheap(unigram, examples)
        ends = np.cumsum(examples.sizes)
        for sums, pairs in zip(told, np.split(examples.pairs, ends[:-1]), strict=True):
            paired = int((pairs != IGNORED).sum())
            sums[PAIR_SURPRISE], sums[PAIRS] = paired * np.log(2), paired
            sums[PAIRS_RIGHT] = (pairs == FOLLOWS).sum()
        return told

    def reading(self, max_length: int) -> str:
        """How documents are cut, and how much of them is hidden."""
        return (
            f"documents are read in pieces of at most {max_length} tokens, each parted in two segments at a sentence's end, of which "
            f"{self.probability:.0%} are hidden, and pairs and hidden tokens are the same each time"
        )

    def loss(self, model: "nn.Module", batch: Batch, class_weights: "Tensor | None" = None) -> "Tensor":
        """The mean surprise of a sequence's hidden tokens in nats and, weighed, that of its pair, shape (batch,)."""
        del class_weights
        assert batch.beside_weights is not None
        surprise, tokens, _, pair, *_ = self.surprise(model, batch)
        return surprise / tokens.clamp(min=1) + pair * batch.beside_weights

    def mean_loss(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> float:
        """The mean surprise of a hidden token, and of a pair where there is one, in nats."""
        totals = np.sum(np.asarray(outputs, dtype=np.float64), axis=0)
        pairs = float(totals[PAIR_SURPRISE] / totals[PAIRS]) if totals[PAIRS] else 0.0
        del rows, columns
        return float(totals[SURPRISE] / totals[TOKENS]) + pairs if totals[TOKENS] else float("nan")

    def scores(self, totals: NDArray[np.float64]) -> Mapping[ScoreName, NDArray[np.float64]]:
        """Perplexity and the share of tokens found, over all tokens judged; the share of pairs told rightly."""
        pairs = divided(totals[..., PAIRS_RIGHT], totals[..., PAIRS])
        return {**super().scores(totals), ("pair_accuracy", ""): pairs}

    @property
    def options(self) -> Mapping[str, Any]:
        """The options that the task was made with."""
        return {"probability": self.probability, "whole_words": self.whole_words}

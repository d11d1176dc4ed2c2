"""Replaced-token detection: which tokens of a text a small language model has replaced (Clark et al. 2020, ELECTRA)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar
from zlib import crc32

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from charter.data.batch import IGNORED, Batch, Examples
from charter.data.columns import Columns
from charter.data.pieces import Frame, Pieces
from charter.models.detection import load_generator, save_generator, with_generator
from charter.models.forward import forward_of, logits_at
from charter.models.vocabulary import Words
from charter.tasks.language_model import RIGHT, SHARED, SURPRISE, TOKENS, LanguageModel, surprise_of
from charter.tasks.masked_language_modelling import JUDGED_BY
from charter.tasks.masking import Masking, masking_of
from charter.tasks.scoring import divided
from charter.tasks.task import Head, Outputs, ScoreName, Task

if TYPE_CHECKING:
    from torch import Tensor

JUDGED, DOUBT, CAUGHT, MISSED, ACCUSED = range(SHARED, SHARED + 5)
"""Tokens judged, the surprise of these judgements in nats; replaced tokens found and not found, own tokens taken for replaced."""


def replaced_token_detection(
    *,
    probability: Annotated[
        float, Field(gt=0, lt=1, description="share of tokens that the generator is asked for")
    ] = 0.15,
    generator_size: Annotated[
        float,
        Field(
            gt=0,
            le=1,
            description="width of the generator, as a share of the model's; the paper's best are 1/4 to 1/2",
        ),
    ] = 0.25,
    weight: Annotated[
        float, Field(gt=0, le=1000, description="weight of the model's loss beside the generator's (lambda)")
    ] = 50.0,
) -> Task:
    """Tell which tokens a small language model has replaced: every token teaches. How ELECTRA was pre-trained."""
    return ReplacedTokenDetection(probability=probability, generator_size=generator_size, weight=weight)


@dataclass(frozen=True)
class Doubted:
    """filled: (hidden, vocabulary) the generator's logits. where, real: (batch, length) true at hidden tokens, and at all.

    own, corrupt: (batch, length) the text's tokens, and what the model read. doubts: (real tokens,) the logit of each that it
    was replaced.
    """

    filled: "Tensor"
    where: "Tensor"
    real: "Tensor"
    own: "Tensor"
    corrupt: "Tensor"
    doubts: "Tensor"


@dataclass(frozen=True)
class ReplacedTokenDetection(LanguageModel):
    """A generator fills hidden tokens in by what it finds likely; the model tells of every token whether it is the text's own.

    The loss is the generator's mean negative log-likelihood of the hidden tokens, plus `weight` times the model's mean binary
    cross-entropy over all tokens (section 2, equation for the combined loss). What the generator fills in rightly is the text's
    own. No gradient goes through what is drawn. What is released is the model; the generator is kept beside it, to judge with.
    """

    name: str = "replaced_token_detection"
    probability: float = 0.15
    generator_size: float = 0.25
    weight: float = 50.0
    headline: ClassVar[str] = "detection_f1"
    width: ClassVar[int] = SHARED + 5

    @property
    def head(self) -> Head:
        """One logit for each token of the text: that it was replaced."""
        return Head("AutoModelForPreTraining", ())

    def begun(self, model: Any, seed: int) -> Any:
        """The model and a generator beside it."""
        return with_generator(model, size=self.generator_size, seed=seed)

    def parted(self, model: Any, folder: Path) -> Any:
        """The model without the generator, which is written to the folder."""
        save_generator(model, folder)
        return model.discriminator

    def rejoined(self, model: Any, folder: Path) -> Any:
        """The model with the generator that the folder holds."""
        return load_generator(model, folder)

    def lessons(self, pieces: Pieces, tokenizer: Any, max_length: int) -> Examples:
        """Pieces of which something else is hidden each time."""
        frame, masking = Frame.of(tokenizer, max_length), self._masking(tokenizer, None)
        counts = masking.counts(pieces.lengths, len(frame.before) + len(frame.after))
        return Examples(
            ids=pieces,
            targets=None,
            rows=pieces.rows,
            truncated=0,
            pad_id=int(tokenizer.pad_token_id),
            hiding=masking,
            counts=counts,
            beside=np.where(counts > 0, pieces.lengths, 0),
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
        return replace(told, hiding=self._masking(tokenizer, JUDGED_BY))

    def reading(self, max_length: int) -> str:
        """How documents are cut, and how much of them the generator is asked for."""
        return (
            f"documents are read in pieces of at most {max_length} tokens, of which the generator is asked for {self.probability:.0%}, "
            "the same ones each time, and fills in the same ones"
        )

    def _masking(self, tokenizer: Any, seed: int | None) -> Masking:
        masking = masking_of(tokenizer, probability=self.probability, whole_words=False, seed=seed)
        return replace(masking, always=True)

    def surprise(self, model: Any, batch: Batch) -> "tuple[Tensor, ...]":
        """Of the hidden tokens of each sequence to the generator, and of all its tokens to the model."""
        import torch
        from torch.nn import functional as F

        assert batch.targets is not None
        told = self.doubted(model, batch)
        where, real, doubts = told.where, told.real, told.doubts
        words = surprise_of(Words(told.filled), batch.targets[where], where, batch)
        replaced = (told.corrupt != told.own)[real]
        nats = F.binary_cross_entropy_with_logits(doubts, replaced.to(doubts.dtype), reduction="none")
        of, said = real.nonzero()[:, 0], doubts > 0

        def summed(each: "Tensor") -> "Tensor":
            return nats.new_zeros(len(where)).index_add(0, of, each.to(nats.dtype))

        caught, missed, accused = said & replaced, ~said & replaced, said & ~replaced
        kinds = torch.stack([caught, missed, accused]).detach()
        return *words, real.sum(dim=1), summed(nats), *map(summed, kinds)

    def doubted(self, model: Any, batch: Batch) -> "Doubted":
        """What the generator makes of the batch, and what the model says of that."""
        assert batch.targets is not None
        where, real = batch.targets != IGNORED, batch.inputs["attention_mask"].bool()
        filled = logits_at(forward_of(model.generator), batch.inputs, where)
        ids = batch.inputs["input_ids"]
        corrupt = ids.masked_scatter(where, self._drawn(filled, ids, model.training))
        doubts = logits_at(forward_of(model.discriminator), {**batch.inputs, "input_ids": corrupt}, real)
        return Doubted(filled, where, real, ids.masked_scatter(where, batch.targets[where]), corrupt, doubts)

    @staticmethod
    def _drawn(filled: "Tensor", ids: "Tensor", learning: bool) -> "Tensor":
        """(hidden,) a token for each hidden one, drawn by the generator's probabilities; to judge with always the same ones."""
        import torch

        random = None
        if not learning:
            random = torch.Generator(filled.device).manual_seed(crc32(ids.cpu().numpy().tobytes()))
        wide = torch.promote_types(filled.dtype, torch.float32)
        likely = filled.detach().softmax(dim=-1, dtype=wide)
        return torch.multinomial(likely, 1, generator=random)[:, 0] if len(likely) else ids.new_zeros(0)

    def loss(self, model: Any, batch: Batch, class_weights: "Tensor | None" = None) -> "Tensor":
        """The generator's mean loss of a sequence's hidden tokens and, weighed, the model's of all its tokens, shape (batch,)."""
        del class_weights
        assert batch.beside_weights is not None
        surprise, hidden, _, judged, doubt, *_ = self.surprise(model, batch)
        return surprise / hidden.clamp(min=1) + self.weight * doubt / judged * batch.beside_weights

    def mean_loss(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> float:
        """The generator's mean loss of a hidden token and, weighed, the model's of a token, in nats."""
        del rows, columns
        totals = np.sum(np.asarray(outputs, dtype=np.float64), axis=0)
        if not totals[TOKENS]:
            return float("nan")
        return float(totals[SURPRISE] / totals[TOKENS] + self.weight * totals[DOUBT] / totals[JUDGED])

    def scores(self, totals: NDArray[np.float64]) -> Mapping[ScoreName, NDArray[np.float64]]:
        """F1 of the replaced tokens, the share of tokens judged rightly; the generator's perplexity and tokens found."""
        caught, missed, accused = totals[..., CAUGHT], totals[..., MISSED], totals[..., ACCUSED]
        return {
            ("detection_f1", ""): divided(2 * caught, 2 * caught + missed + accused),
            ("detection_accuracy", ""): 1 - divided(missed + accused, totals[..., JUDGED]),
            ("generator_perplexity", ""): np.exp(divided(totals[..., SURPRISE], totals[..., TOKENS])),
            ("generator_token_accuracy", ""): divided(totals[..., RIGHT], totals[..., TOKENS]),
        }

    @property
    def options(self) -> Mapping[str, Any]:
        """The options that the task was made with."""
        return {"probability": self.probability, "generator_size": self.generator_size, "weight": self.weight}

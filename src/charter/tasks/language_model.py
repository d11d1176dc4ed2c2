"""Language models: what the tasks share that learn from texts without labels. Scores are of tokens, summed over documents."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from charter.data.batch import IGNORED, Batch, Examples
from charter.data.columns import ROW, Columns
from charter.data.pieces import Blocks, Cut, Frame, Pieces, documents_encoded, found_pieces, write_pieces
from charter.errors import DataError
from charter.models.vocabulary import Words
from charter.tasks.baselines import Baseline
from charter.tasks.scoring import divided
from charter.tasks.task import Outputs, ScoreName, Task
from charter.tasks.unigram import Unigram

if TYPE_CHECKING:
    from torch import Tensor, nn

Integers = NDArray[np.int64]
AT_ONCE = 32
"""So many pieces of a document are judged at once."""
SURPRISE, TOKENS, RIGHT, BYTES = range(4)
SHARED = 4
"""So many numbers every language model tells of a document; what one tells besides stands after them."""


@dataclass(frozen=True)
class Said:
    """What a model says where it is judged. truth: (positions,) the tokens there; where: (batch, length) true there."""

    words: Words
    truth: "Tensor"
    where: "Tensor"


@dataclass(frozen=True)
class LanguageModel(Task):
    """A row is a document. Outputs are numbers (4 or more,): its surprise in nats, the tokens judged, those found, its bytes.

    What is learned from are pieces of documents, each at most as long as the model reads, kept in a file. mix_documents: blocks
    of one document after the other instead, as long as the model reads; what is judged is a document by itself all the same.
    """

    labels: tuple[str, ...] = ()
    mix_documents: bool = False
    headline: ClassVar[str] = "token_accuracy"
    streams: ClassVar[bool] = True
    chosen_by_loss: ClassVar[bool] = True
    quotients: ClassVar[tuple[str, ...]] = ("perplexity",)
    width: ClassVar[int] = SHARED
    """How many numbers it tells of a document."""

    def fit(self, rows: pl.DataFrame, columns: Columns) -> Self:
        """The task as it is, once the rows are texts.

        Raises:
            DataError: they are not; several inputs.
        """
        lists = [column for column in columns.inputs if rows.schema[column] != pl.String]
        if lists:
            raise DataError(f"task {self.name}: a text is expected, column '{lists[0]}' holds lists")
        if len(columns.inputs) > 1:
            raise DataError(
                f"task {self.name}: data.inputs names {len(columns.inputs)} columns, it reads one text"
            )
        return replace(self)

    def encoded(
        self, chunks: Iterable[pl.DataFrame], columns: Columns, tokenizer: Any, max_length: int, folder: Path
    ) -> Examples:
        """The pieces of documents as examples to learn from; they lie in `folder`, and are found there again."""
        pieces = found_pieces(folder)
        if pieces is None:
            cut = (self.blocks if self.mix_documents else self.cut)(tokenizer, max_length)
            pieces = write_pieces(folder, chunks, columns, tokenizer, cut)
        return self.lessons(pieces, tokenizer, max_length)

    def cut(self, tokenizer: Any, max_length: int) -> Cut:
        """How a document is cut into pieces: each between the special tokens that stand around a text.

        Raises:
            ModelError: there is no room for a text.
        """
        return Frame.of(tokenizer, max_length).pieces

    def blocks(self, tokenizer: Any, max_length: int) -> Blocks:
        """How documents that are mixed are cut into blocks: each between the special tokens that stand around a text.

        Raises:
            ModelError: as `cut`.
        """
        return Blocks.of_texts(Frame.of(tokenizer, max_length))

    def lessons(self, pieces: Pieces, tokenizer: Any, max_length: int) -> Examples:
        """What is learned from pieces."""
        raise NotImplementedError

    def examples(
        self,
        rows: pl.DataFrame,
        columns: Columns,
        tokenizer: Any,
        max_length: int,
        *,
        with_targets: bool = True,
    ) -> Examples:
        """Documents to be judged, each with all of its pieces: what is hidden is the same each time."""
        del with_targets
        cut = self.cut(tokenizer, max_length)
        documents = [list(cut(ids)) for ids in documents_encoded(columns.texts(rows).to_list(), tokenizer)]
        return Examples(
            ids=tuple(piece for document in documents for piece in document),
            targets=None,
            rows=rows[ROW].to_numpy(),
            truncated=0,
            pad_id=int(tokenizer.pad_token_id),
            sizes=np.asarray([len(document) for document in documents], dtype=np.int64),
        )

    def baselines(
        self,
        train: pl.DataFrame,
        test: pl.DataFrame,
        columns: Columns,
        *,
        others: pl.DataFrame,
        seed: int,
    ) -> Sequence[Baseline]:
        """None: what is cheap depends on the tokens, which a task does not know; `cheap` is told them."""
        del train, test, columns, others, seed
        return ()

    def ending(self, tokenizer: Any) -> Integers:
        """The special tokens after a document that are foretold as its own tokens are."""
        del tokenizer
        return np.zeros(0, dtype=np.int64)

    def judged(self, examples: Examples) -> Iterator[Integers]:
        """Of each sequence the tokens that a model is judged on."""
        assert examples.hiding is not None
        for place, ids in enumerate(examples.ids):
            (targets,) = examples.hiding([ids], [place]).targets
            yield targets[targets != IGNORED]

    def cheap(self, unigram: Unigram, examples: Examples) -> list[NDArray[np.float32]]:
        """The outputs of a unigram model on documents, as the model's own are: of the same judged tokens."""
        assert examples.sizes is not None
        nats, likeliest = unigram.nats, unigram.likeliest
        sums = np.zeros((len(examples.ids), self.width), dtype=np.float64)
        for row, truth in zip(sums, self.judged(examples), strict=True):
            row[[SURPRISE, TOKENS, RIGHT]] = nats[truth].sum(), len(truth), (truth == likeliest).sum()
        ends = np.cumsum(examples.sizes)
        return [one.sum(axis=0).astype(np.float32) for one in np.split(sums, ends[:-1])]

    def mean_loss(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> float:
        """The mean surprise of a token, in nats."""
        del rows, columns
        totals = np.sum(np.asarray(outputs, dtype=np.float64), axis=0)
        return float(totals[SURPRISE] / totals[TOKENS]) if totals[TOKENS] else float("nan")

    def outputs(self, model: "nn.Module", batch: Batch, examples: Examples) -> list[NDArray[np.float32]]:
        """The sums (width,) of each document; its bytes are told by `tally`, which has its text."""
        assert batch.sizes is not None
        sums = np.zeros((int(batch.sizes.sum()), self.width), dtype=np.float64)
        told = [at for at in range(self.width) if at != BYTES]
        for start in range(0, len(sums), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            found = self.surprise(model, some_of(batch, part))
            sums[part, told] = np.stack([one.double().cpu().numpy() for one in found], axis=1)
        ends = np.cumsum(batch.sizes.cpu().numpy())
        del examples
        return [one.sum(axis=0).astype(np.float32) for one in np.split(sums, ends[:-1])]

    def surprise(self, model: "nn.Module", batch: Batch) -> "tuple[Tensor, ...]":
        """Of each sequence: the surprise of its targets in nats, how many there are, how many the model finds, and the rest."""
        said = self.said(model, batch)
        return surprise_of(said.words, said.truth, said.where, batch)

    def said(self, model: "nn.Module", batch: Batch) -> "Said":
        """What the model says where it is judged."""
        raise NotImplementedError

    def loss(self, model: "nn.Module", batch: Batch, class_weights: "Tensor | None" = None) -> "Tensor":
        """The mean surprise of a sequence's targets in nats, shape (batch,)."""
        del class_weights
        surprise, tokens, *_ = self.surprise(model, batch)
        return surprise / tokens.clamp(min=1)

    def tempered(self, outputs: Outputs, temperature: float) -> Outputs:
        """The outputs as they are: no temperature is fitted."""
        del temperature
        return outputs

    def decode(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> pl.DataFrame:
        """`perplexity` of each text, and how many `tokens` of it were judged."""
        del rows, columns
        sums = np.asarray(outputs, dtype=np.float64).reshape(-1, self.width)
        each = divided(sums[:, SURPRISE], sums[:, TOKENS])
        return pl.DataFrame(
            {
                "perplexity": pl.Series(np.exp(each), dtype=pl.Float64).fill_nan(None),
                "tokens": pl.Series(sums[:, TOKENS], dtype=pl.Int64),
            }
        )

    def tally(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> NDArray[np.float64]:
        """(n, width): surprise in nats, tokens judged, tokens found, bytes of the text in UTF-8, and the rest."""
        sums = np.array(outputs, dtype=np.float64).reshape(-1, self.width)
        sums[:, BYTES] = columns.texts(rows).str.len_bytes().to_numpy()
        return sums

    def scores(self, totals: NDArray[np.float64]) -> Mapping[ScoreName, NDArray[np.float64]]:
        """Perplexity and the share of tokens found, over all tokens judged."""
        return {
            ("perplexity", ""): np.exp(divided(totals[..., SURPRISE], totals[..., TOKENS])),
            ("token_accuracy", ""): divided(totals[..., RIGHT], totals[..., TOKENS]),
        }

    def evidence(self, tally: NDArray[Any]) -> Mapping[ScoreName, Sequence[NDArray[np.float64]]]:
        """None: tokens of a document are no independent decisions, so intervals resample documents."""
        del tally
        return {}


def some_of(batch: Batch, part: slice) -> Batch:
    """Some sequences of a batch, without what is padding to all of them."""
    length = int(batch.inputs["attention_mask"][part].sum(dim=1).max())
    return replace(
        batch,
        inputs={name: one[part, :length] for name, one in batch.inputs.items()},
        targets=None if batch.targets is None else batch.targets[part, :length],
        pairs=None if batch.pairs is None else batch.pairs[part],
    )


def surprise_of(
    words: Words, truth: "Tensor", where: "Tensor", batch: Batch
) -> "tuple[Tensor, Tensor, Tensor]":
    """As `LanguageModel.surprise`, of what is said where `where` (batch, length) is true, row by row.

    truth: (positions,).
    """
    owner, tokens = where.nonzero()[:, 0], where.sum(dim=1)
    share = None
    if (
        batch.sizes is None
    ):  # to be learned from, where each sequence is an example: `loss` below, times its weight
        share = (batch.weights / tokens.clamp(min=1))[owner]
    told = words.surprise(truth, share)
    surprise = told.nats.new_zeros(len(where)).index_add(0, owner, told.nats)
    right = surprise.new_zeros(len(where)).index_add(0, owner, told.found.to(surprise.dtype))
    return surprise, tokens, right

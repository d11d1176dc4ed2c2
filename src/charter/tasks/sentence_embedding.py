"""Sentence embeddings from pairs of texts that belong together: questions and answers, queries and passages, paraphrases."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from charter.data.batch import Batch
from charter.data.columns import Columns
from charter.tasks.baselines import Baseline
from charter.tasks.embedding import SEARCH, Embedding, check_inputs, embedded, equal_texts, found_in_batch
from charter.tasks.retrieval import Corpus, bm25, ranked
from charter.tasks.scoring import divided
from charter.tasks.task import Outputs, ScoreName, Task

if TYPE_CHECKING:
    from torch import Tensor, nn

MOST_BESIDE = 4000
"""With more test pairs the table of all BM25 scores takes too much memory."""


def sentence_embedding(
    *,
    temperature: Annotated[
        float, Field(gt=0, le=1, description="similarities are divided by it in training; 0.05 is usual")
    ] = 0.05,
) -> Task:
    """A vector for each text, so that texts that belong together lie near each other: for search by meaning."""
    return SentenceEmbedding(temperature=temperature)


@dataclass(frozen=True)
class SentenceEmbedding(Embedding):
    """Inputs are a text and one that belongs to it; a third, where there is one, is one that does not."""

    temperature: float = 0.05
    labels: tuple[str, ...] = ()
    name: str = "sentence_embedding"
    headline: ClassVar[str] = "ndcg_at_10"
    mixes: ClassVar[bool] = True

    def fit(self, rows: pl.DataFrame, columns: Columns) -> Self:
        """The task as it is, once the rows are pairs (or triples) of texts.

        Raises:
            DataError: they are not.
        """
        what = "a text and one that belongs to it are two, with one that does not three"
        check_inputs(self.name, rows, columns, (2, 3), what)
        return replace(self)

    def loss(self, model: "nn.Module", batch: Batch, class_weights: "Tensor | None" = None) -> "Tensor":
        """How likely each text finds its own partner among those of its batch, as cross-entropy, shape (batch,).

        Each depends on every other example of the batch. Partners that are also right (equal texts, or partners of an equal
        text) are no negatives.
        """
        del class_weights
        assert batch.sizes is not None
        each = int(batch.sizes[0])
        vectors = embedded(model, batch)
        ids = batch.inputs["input_ids"]
        right = equal_texts(ids[0::each]) | equal_texts(ids[1::each])
        texts, partners = vectors[0::each], vectors[1::each]
        beside = vectors[2::each] if each > 2 else None
        return found_in_batch(texts, partners, right, self.temperature, beside)

    def mean_loss(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> float:
        """The mean negative log-likelihood of each text's own partner among all different partners of these rows."""
        corpus = self._corpus(rows, columns)
        queries, texts = self._sides(outputs)
        own = texts[corpus.first]
        found = []
        for start in range(0, len(queries), 256):
            logits = queries[start : start + 256].astype(np.float64) @ own.T / self.temperature
            top = logits.max(axis=1, keepdims=True)
            whole = np.log(np.exp(logits - top).sum(axis=1)) + top[:, 0]
            for row, (each, total) in enumerate(zip(logits, whole, strict=True), start=start):
                relevant = each[corpus.relevant[corpus.queries[row]]]
                best = relevant.max()
                found.append(total - best - np.log(np.exp(relevant - best).sum()))
        return float(np.mean(found)) if found else 0.0

    def tally(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> NDArray[np.float64]:
        """(n, 5): 1, and each metric of the search with the row's first text among the second ones of all these rows."""
        if not len(outputs):
            return np.zeros((0, 5))
        queries, texts = self._sides(outputs)
        found = ranked(queries, texts, self._corpus(rows, columns))
        return np.concatenate([np.ones((len(found), 1)), found], axis=1)

    def scores(self, totals: NDArray[np.float64]) -> Mapping[ScoreName, NDArray[np.float64]]:
        """The mean of each metric over the queries."""
        n, *each = np.moveaxis(totals, -1, 0)
        return {(name, ""): divided(one, n) for name, one in zip(SEARCH, each, strict=True)}

    def evidence(self, tally: NDArray[Any]) -> Mapping[ScoreName, Sequence[NDArray[np.float64]]]:
        """The queries."""
        return {(name, ""): (tally[:, 0],) for name in SEARCH}

    def baselines(
        self,
        train: pl.DataFrame,
        test: pl.DataFrame,
        columns: Columns,
        *,
        others: pl.DataFrame,
        seed: int,
    ) -> Sequence[Baseline]:
        """Texts in a random order, and BM25; both as vectors whose inner products are the scores."""
        del train, others
        drawn = np.random.default_rng(seed).normal(size=(test.height, len(columns.inputs), 16))
        chance = Baseline("random_order", list(drawn.astype(np.float32)))
        if test.height > MOST_BESIDE:
            because = f"{test.height} test pairs are too many to score every text for every query; at most {MOST_BESIDE}"
            return [chance, Baseline("bm25", None, because)]
        query, *replies = (test[column].to_list() for column in columns.inputs)
        texts = [text for row in zip(*replies, strict=True) for text in row]
        scores = bm25(query, texts)
        each = len(replies)
        vectors = []
        for row in range(test.height):
            one = np.zeros((1 + each, len(texts)), dtype=np.float32)
            one[0] = scores[row]
            one[np.arange(1, each + 1), row * each + np.arange(each)] = 1.0
            vectors.append(one)
        return [chance, Baseline("bm25", vectors)]

    def searched(self, rows: pl.DataFrame, columns: Columns) -> int:
        """All different second and third texts."""
        return len(self._corpus(rows, columns).first)

    @property
    def options(self) -> Mapping[str, Any]:
        """The options that the task was made with."""
        return {"temperature": self.temperature}

    @staticmethod
    def _corpus(rows: pl.DataFrame, columns: Columns) -> Corpus:
        query, positive, *negative = (rows[column].to_list() for column in columns.inputs)
        return Corpus.of(query, positive, negative[0] if negative else ())

    @staticmethod
    def _sides(outputs: Outputs) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The vectors of the queries, and those of all other texts: the second inputs, then the third ones."""
        vectors = np.asarray(outputs, dtype=np.float32)
        return vectors[:, 0], vectors[:, 1:].swapaxes(0, 1).reshape(-1, vectors.shape[-1])

"""Sentence embeddings from pairs of texts with a score of how alike they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from charter.data.batch import Batch
from charter.data.columns import SPLIT, Columns, Form
from charter.errors import DataError
from charter.tasks.baselines import Baseline, TextFeatures
from charter.tasks.embedding import Embedding, Values, check_inputs, embedded
from charter.tasks.ranking import rank_correlation
from charter.tasks.scoring import divided
from charter.tasks.task import Outputs, ScoreName, Task

if TYPE_CHECKING:
    from torch import Tensor, nn


def sentence_similarity() -> Task:
    """A vector for each text, so that the cosine of two texts follows a given score of how alike they are."""
    return SentenceSimilarity()


@dataclass(frozen=True)
class SentenceSimilarity(Embedding):
    """Inputs are two texts, the target a number. low, high: the least and the greatest score of the training rows."""

    low: float = 0.0
    high: float = 1.0
    labels: tuple[str, ...] = ()
    name: str = "sentence_similarity"
    headline: ClassVar[str] = "pearson"

    @property
    def form(self) -> Form:
        """Two texts that must be there, and a number."""
        return Form("number", every_input=True)

    def fit(self, rows: pl.DataFrame, columns: Columns) -> Self:
        """The task with the range of the scores.

        Raises:
            DataError: no pairs of texts, or a score that never varies.
        """
        check_inputs(self.name, rows, columns, (2,), "a pair of texts is two")
        train = rows.filter(pl.col(SPLIT) == "train") if SPLIT in rows.columns else rows
        values = self._truth(train, columns)
        if not len(values) or values.min() == values.max():
            raise DataError(
                f"task {self.name}: column '{columns.target}' says the same of every training row"
            )
        return replace(self, low=float(values.min()), high=float(values.max()))

    def numbers(self, rows: pl.DataFrame, columns: Columns) -> Values:
        """(n,) the scores as cosines, from 0 for the least to 1 for the greatest of the training rows."""
        return (self._truth(rows, columns) - self.low) / (self.high - self.low)

    def loss(self, model: "nn.Module", batch: Batch, class_weights: "Tensor | None" = None) -> "Tensor":
        """The squared difference of cosine and score, shape (batch,) (Reimers and Gurevych 2019, section 3)."""
        del class_weights
        assert batch.targets is not None
        vectors = embedded(model, batch)
        loss: Tensor = ((vectors[0::2] * vectors[1::2]).sum(dim=-1) - batch.targets.float()) ** 2
        return loss

    def mean_loss(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> float:
        """The mean squared difference."""
        return float(((_cosines(outputs) - self.numbers(rows, columns)) ** 2).mean())

    def asked(self, inputs: Mapping[str, str]) -> Mapping[str, str]:
        """Both texts."""
        return dict(inputs)

    def decode(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> pl.DataFrame:
        """`similarity`: the cosine of the two texts, from -1 to 1."""
        del rows, columns
        return pl.DataFrame({"similarity": pl.Series(_cosines(outputs), dtype=pl.Float64)})

    def tally(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> Values:
        """(n, 6): 1, and of the score y and the cosine p: y, p, y², p², yp."""
        y, p = self.numbers(rows, columns), _cosines(outputs)
        return np.stack([np.ones(len(y)), y, p, y * y, p * p, y * p], axis=1)

    def scores(self, totals: NDArray[np.float64]) -> Mapping[ScoreName, NDArray[np.float64]]:
        """Pearson's correlation of cosine and score."""
        n, y, p, yy, pp, yp = np.moveaxis(totals, -1, 0)
        around, told = yy - divided(y * y, n), pp - divided(p * p, n)
        tiny = 1e-12 * np.maximum(n, 1)
        both = np.where((around > tiny) & (told > tiny), around * told, 0.0)
        return {("pearson", ""): divided(yp - divided(y * p, n), np.sqrt(both))}

    def evidence(self, tally: NDArray[Any]) -> Mapping[ScoreName, Sequence[NDArray[np.float64]]]:
        """A correlation is no share."""
        del tally
        return {}

    def ranking_scores(
        self, outputs: Outputs, rows: pl.DataFrame, columns: Columns, weights: NDArray[np.float64]
    ) -> Mapping[ScoreName, NDArray[np.float64]]:
        """Spearman's rank correlation, the usual figure of benchmarks."""
        return {("spearman", ""): rank_correlation(_cosines(outputs), self._truth(rows, columns), weights)}

    def baselines(
        self,
        train: pl.DataFrame,
        test: pl.DataFrame,
        columns: Columns,
        *,
        others: pl.DataFrame,
        seed: int,
    ) -> Sequence[Baseline]:
        """The same for every pair; and the cosine of TF-IDF, as pairs of vectors that have it."""
        del others, seed
        names = list(columns.inputs)
        features = TextFeatures(Columns(inputs={"text": "text"}))
        both = pl.concat([train.select(pl.col(name).alias("text")) for name in names])
        features.learned(both)
        one, other = (features.of(test.select(pl.col(name).alias("text"))) for name in names)
        lengths = np.sqrt(
            np.asarray([part.multiply(part).sum(axis=1) for part in (one, other)]).reshape(2, -1)
        )
        shared = np.asarray(one.multiply(other).sum(axis=1)).ravel()
        cosines = np.nan_to_num(divided(shared, lengths[0] * lengths[1]))
        return [
            Baseline("training_mean", _pairs(np.zeros(test.height))),
            Baseline("tfidf_cosine", _pairs(cosines)),
        ]

    @property
    def fitted(self) -> Mapping[str, Any]:
        """The range of the training rows' scores."""
        return {"low": self.low, "high": self.high}

    def with_fitted(self, fitted: Mapping[str, Any]) -> Self:
        """The same task with this range."""
        return replace(self, low=float(fitted["low"]), high=float(fitted["high"]))

    @staticmethod
    def _truth(rows: pl.DataFrame, columns: Columns) -> Values:
        return np.asarray(rows[str(columns.target)].cast(pl.Float64).to_numpy(), dtype=np.float64)


def _cosines(outputs: Outputs) -> Values:
    vectors = np.asarray(outputs, dtype=np.float64)
    if not len(vectors):
        return np.zeros(0)
    return np.asarray((vectors[:, 0] * vectors[:, 1]).sum(axis=-1))


def _pairs(cosines: Values) -> list[NDArray[np.float32]]:
    """Pairs of vectors of length 1 with these cosines."""
    kept = np.clip(cosines, -1, 1)
    ones = np.stack([np.ones(len(kept)), np.zeros(len(kept))], axis=1)
    return list(np.stack([ones, np.stack([kept, np.sqrt(1 - kept**2)], axis=1)], axis=1).astype(np.float32))

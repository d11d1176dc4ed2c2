"""SimCSE, unsupervised: a text is read twice with different dropout, and found again among its batch (Gao et al. 2021)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from charter.data.batch import Batch, Examples
from charter.data.columns import ROW, Columns
from charter.data.pieces import Frame, documents_encoded, found_pieces, write_pieces
from charter.errors import ModelError
from charter.tasks.baselines import Baseline
from charter.tasks.embedding import SEARCH, Embedding, check_inputs, embedded, equal_texts, found_in_batch
from charter.tasks.retrieval import Corpus, ranked
from charter.tasks.scoring import divided
from charter.tasks.task import Outputs, ScoreName, Task

if TYPE_CHECKING:
    from torch import Tensor, nn

Integers = NDArray[np.int64]
AT_ONCE = 256


def simcse(
    *,
    temperature: Annotated[
        float, Field(gt=0, le=1, description="similarities are divided by it; the paper's is 0.05")
    ] = 0.05,
) -> Task:
    """A text's vector is drawn near to itself under other dropout, and away from the other texts of its batch."""
    return SimCSE(temperature=temperature)


@dataclass(frozen=True)
class SimCSE(Embedding):
    """The loss of a text is the cross-entropy of finding its second reading among those of its batch (section 3, equation 4).

    A vector is the mean over a text's tokens, as of every sentence embedding here; the paper takes the first token's. Held-out texts
    have no partners, so each is parted in two halves of as many tokens: with the first the second is searched among all, and the
    vectors' alignment and uniformity are measured (Wang and Isola 2020, section 4.1). Outputs are (2, dimensions); (1, dimensions)
    for a text of one token, which is not judged.
    """

    temperature: float = 0.05
    labels: tuple[str, ...] = ()
    name: str = "simcse"
    headline: ClassVar[str] = "ndcg_at_10"
    mixes: ClassVar[bool] = True
    streams: ClassVar[bool] = True

    def fit(self, rows: pl.DataFrame, columns: Columns) -> Self:
        """The task as it is, once the rows are texts.

        Raises:
            DataError: they are not; several inputs.
        """
        check_inputs(self.name, rows, columns, (1,), "it reads one text")
        return replace(self)

    def begun(self, model: Any, seed: int) -> Any:
        """The model as it is.

        Raises:
            ModelError: it has no dropout, so that both readings of a text would be the same.
        """
        del seed
        rates = [module.p for module in model.modules() if type(module).__name__ == "Dropout"]
        if not any(rates):
            raise ModelError(
                f"{self.name} reads each text twice with different dropout, and this model has none: both readings would be the "
                "same. Set its rate in model.architecture, such as hidden_dropout_prob: 0.1, or take another base"
            )
        return model

    def encoded(
        self, chunks: Iterable[pl.DataFrame], columns: Columns, tokenizer: Any, max_length: int, folder: Path
    ) -> Examples:
        """Texts to learn from, each cut at `max_length` tokens; they lie in `folder`, and are found there again."""
        frame, cut = Frame.of(tokenizer, max_length), folder / "truncated.npy"

        def first(ids: Integers) -> Iterator[Integers]:
            longer.append(len(ids) > frame.room)
            yield next(frame.pieces(ids))

        longer: list[bool] = []
        pieces = found_pieces(folder) if cut.is_file() else None
        if pieces is None:
            pieces = write_pieces(folder, chunks, columns, tokenizer, first)
            np.save(cut, np.asarray(sum(longer)))
        return Examples(
            ids=pieces,
            targets=None,
            rows=pieces.rows,
            truncated=int(np.load(cut)),
            pad_id=int(tokenizer.pad_token_id),
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
        """Each text in two halves to be judged; whole without targets."""
        frame = Frame.of(tokenizer, max_length)
        each: list[list[Integers]] = []
        truncated = 0
        for ids in documents_encoded(columns.texts(rows).to_list(), tokenizer):
            most = frame.room * (2 if with_targets else 1)
            truncated += len(ids) > most
            kept = ids[:most]
            halves = np.array_split(kept, 2) if with_targets and len(kept) > 1 else [kept]
            each.append([np.concatenate([frame.before, half, frame.after]) for half in halves])
        return Examples(
            ids=tuple(half for halves in each for half in halves),
            targets=None,
            rows=rows[ROW].to_numpy(),
            truncated=truncated,
            pad_id=int(tokenizer.pad_token_id),
            sizes=np.asarray([len(halves) for halves in each], dtype=np.int64),
        )

    def loss(self, model: "nn.Module", batch: Batch, class_weights: "Tensor | None" = None) -> "Tensor":
        """How likely each text finds its own second reading among those of its batch, as cross-entropy, shape (batch,).

        Each depends on every other text of the batch. Readings of an equal text are no negatives.
        """
        import torch

        del class_weights
        twice = replace(batch, inputs={name: torch.cat([one, one]) for name, one in batch.inputs.items()})
        first, second = embedded(model, twice).chunk(2)
        return found_in_batch(first, second, equal_texts(batch.inputs["input_ids"]), self.temperature)

    def mean_loss(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> float:
        """The mean negative log-likelihood of each text's own second half among all second halves."""
        del rows, columns
        first, second = _halves(outputs)
        found = []
        for start in range(0, len(first), AT_ONCE):
            logits = first[start : start + AT_ONCE] @ second.T / self.temperature
            top = logits.max(axis=1, keepdims=True)
            whole = np.log(np.exp(logits - top).sum(axis=1)) + top[:, 0]
            found.append(whole - logits[np.arange(len(logits)), start + np.arange(len(logits))])
        return float(np.concatenate(found).mean()) if found else float("nan")

    def tally(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> NDArray[np.float64]:
        """(n, 7): 1, each metric of the search, the squared distance of both halves, and the mean kernel with other texts."""
        del rows, columns
        judged = np.asarray([len(one) > 1 for one in outputs], dtype=bool)
        found = np.zeros((len(outputs), 7))
        first, second = _halves(outputs)
        if len(first):
            numbers = [str(at) for at in range(len(first))]
            found[judged, 0] = 1
            found[judged, 1:5] = ranked(
                first.astype(np.float32), second.astype(np.float32), Corpus.of(numbers, numbers)
            )
            found[judged, 5] = ((first - second) ** 2).sum(axis=1)
            found[judged, 6] = _kernels(first)
        return found

    def scores(self, totals: NDArray[np.float64]) -> Mapping[ScoreName, NDArray[np.float64]]:
        """The mean of each metric of the search, the mean squared distance of halves, and the logarithm of the mean kernel."""
        n, *found, apart, kernels = np.moveaxis(totals, -1, 0)
        with np.errstate(divide="ignore"):
            uniformity = np.log(divided(kernels, n))
        return {
            **{(name, ""): divided(one, n) for name, one in zip(SEARCH, found, strict=True)},
            ("alignment", ""): divided(apart, n),
            ("uniformity", ""): uniformity,
        }

    def evidence(self, tally: NDArray[Any]) -> Mapping[ScoreName, Sequence[NDArray[np.float64]]]:
        """The texts that were judged."""
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
        """None: halves are made of tokens, which a task does not know."""
        del train, test, columns, others, seed
        return ()

    @property
    def options(self) -> Mapping[str, Any]:
        """The options that the task was made with."""
        return {"temperature": self.temperature}


def _halves(outputs: Outputs) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The vectors (judged, dimensions) of the first halves, and those of the second ones."""
    pairs = [one for one in outputs if len(one) > 1]
    both = np.asarray(pairs, dtype=np.float64) if pairs else np.zeros((0, 2, 0))
    return both[:, 0], both[:, 1]


def _kernels(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) the mean of exp(-2 |x - y|^2) between each vector of length 1 and the others; NaN for one alone."""
    found = np.full(len(vectors), np.nan)
    for start in range(0, len(vectors) if len(vectors) > 1 else 0, AT_ONCE):
        part = vectors[start : start + AT_ONCE]
        apart = np.maximum(2 - 2 * part @ vectors.T, 0)
        apart[np.arange(len(part)), start + np.arange(len(part))] = np.inf
        found[start : start + AT_ONCE] = np.exp(-2 * apart).sum(axis=1) / (len(vectors) - 1)
    return found

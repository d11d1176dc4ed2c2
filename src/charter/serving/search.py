"""Search by meaning: the texts of a file nearest to a query, by the vectors of a released bundle."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from charter.data.columns import PLACE, ROW, Columns
from charter.data.preparation import prepare_again
from charter.errors import CharterError, DataError
from charter.models.inference import predict_outputs
from charter.release.manifest import form_digests
from charter.runs.digest import value_digest
from charter.runs.files import read_json, write_json, write_table
from charter.serving.answers import Answerer, text_rows
from charter.spec.metrics import EMBEDDINGS

FORMAT = 1
AT_ONCE = 65_536
"""Vectors that are compared with the queries at once: about 100 MB at 384 dimensions."""
FACTS, VECTORS, TEXTS = "index.json", "vectors.npy", "texts.parquet"
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Found:
    """One text that was found: its rank from 1, the cosine with the query, where it stands, and the text as given."""

    rank: int
    similarity: float
    row: int
    place: str
    text: str


@dataclass(frozen=True)
class Index:
    """The vectors (n, dimensions) of the texts that are searched. texts: {_row, _place, text}, in the same order.

    model: names the bundle's model; only its own queries can be compared with the vectors. skipped: rows that
    preparation left nothing of. The search is exact: every vector is compared, so its time grows with their number.
    """

    vectors: Vectors
    texts: pl.DataFrame
    model: str
    skipped: int = 0

    def search(self, answerer: Answerer, queries: Sequence[str], *, most: int = 10) -> list[list[Found]]:
        """The `most` nearest texts of each query, the nearest first.

        Raises:
            CharterError: the index was made by another model, or a query of which nothing is left.
        """
        if _made_by(answerer) != self.model:
            raise CharterError("the index was made by another model; make it again with this bundle")
        asked = embed(answerer, queries)
        if np.isnan(asked).any() or asked.size == 0:
            raise DataError("a query says nothing that the model could read")
        return [self._nearest(one, most) for one in asked]

    def _nearest(self, query: Vectors, most: int) -> list[Found]:
        scores = np.concatenate(
            [self.vectors[at : at + AT_ONCE] @ query for at in range(0, max(len(self.vectors), 1), AT_ONCE)]
        )
        kept = min(most, len(scores))
        if not kept:
            return []
        best = np.argpartition(-scores, kept - 1)[:kept]
        best = best[np.lexsort((best, -scores[best]))]
        rows = self.texts[best].iter_rows(named=True)
        return [
            Found(rank, float(scores[at]), row[ROW], row[PLACE], row["text"])
            for rank, (at, row) in enumerate(zip(best.tolist(), rows, strict=True), start=1)
        ]

    def save(self, folder: Path) -> None:
        """Write the index into a folder: vectors, texts and what made them."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FACTS).unlink(missing_ok=True)  # written last, so that half an index is none
        np.save(folder / VECTORS, self.vectors, allow_pickle=False)
        write_table(folder / TEXTS, self.texts)
        write_json(folder / FACTS, {"format": FORMAT, "model": self.model, "skipped": self.skipped})


def read_index(folder: Path) -> Index:
    """An index that `Index.save` wrote; its vectors stay on disk until they are compared.

    Raises:
        CharterError: there is none, or it can't be read.
    """
    try:
        facts = read_json(folder / FACTS)
        if facts["format"] != FORMAT:
            raise CharterError(f"{folder} is an index of another format; make it again")
        vectors = np.load(folder / VECTORS, mmap_mode="r", allow_pickle=False)
        texts = pl.read_parquet(folder / TEXTS)
        if vectors.ndim != 2 or len(vectors) != texts.height:
            raise ValueError
        return Index(vectors, texts, str(facts["model"]), int(facts["skipped"]))
    except (OSError, ValueError, KeyError, TypeError, json.JSONDecodeError, pl.exceptions.PolarsError):
        raise CharterError(f"{folder} is no search index, or a damaged one; make it again") from None


def embed(
    answerer: Answerer,
    texts: Sequence[str],
    *,
    batch_size: int = 32,
    on_batch: Callable[[int, int], None] | None = None,
) -> Vectors:
    """(n, dimensions) the vector of each text, of length 1; NaN for a text of which preparation leaves nothing.

    Raises:
        CharterError: the bundle is of a task that gives no vectors.
        DataError, TypeError: as `text_rows`.
    """
    columns = one_input(answerer)
    rows = text_rows(texts, columns)
    prepared = prepare_again(rows, columns, answerer.uses)
    examples = answerer.task.examples(
        prepared.frame, columns, answerer.tokenizer, answerer.max_length, with_targets=False
    )
    outputs = (
        predict_outputs(answerer.model, answerer.task, examples, batch_size=batch_size, on_batch=on_batch)
        if len(examples)
        else []
    )
    dimensions = outputs[0].shape[-1] if len(outputs) else 0
    found = np.full((len(texts), dimensions), np.nan, dtype=np.float32)
    for row, output in zip(prepared.frame[ROW].to_list(), outputs, strict=True):
        found[row - 1] = output[0]
    return found


def one_input(answerer: Answerer) -> Columns:
    """The column that single texts stand in.

    Raises:
        CharterError: the bundle is of a task that gives no vectors.
    """
    name = answerer.task.name
    if name not in EMBEDDINGS:
        raise CharterError(
            f"this bundle is of task {name}, which gives no vectors; search needs one of {', '.join(EMBEDDINGS)}"
        )
    return Columns(inputs={answerer.columns.text: "text"})


def _made_by(answerer: Answerer) -> str:
    """What names the model of a bundle, all its released forms together."""
    return value_digest(form_digests(answerer.bundle.manifest))


def build_index(
    answerer: Answerer, texts: pl.DataFrame, *, on_batch: Callable[[int, int], None] | None = None
) -> Index:
    """The index of some texts {_row, _place, text}; rows of which preparation leaves nothing are left out and counted.

    Raises:
        CharterError, DataError: as `embed`.
    """
    vectors = embed(answerer, texts["text"].to_list(), on_batch=on_batch)
    whole = ~np.isnan(vectors).any(axis=1) & (vectors.shape[1] > 0)
    kept = texts.filter(pl.Series(whole)).select(ROW, PLACE, "text")
    return Index(vectors[whole], kept, _made_by(answerer), int((~whole).sum()))

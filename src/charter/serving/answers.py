"""Answers of a released bundle to new rows: the same preparations, the same model, the same decoding."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from charter import plugins
from charter.data.columns import PLACE, ROW, Columns
from charter.data.edits import Chain, Place, backwards, carried
from charter.data.preparation import prepare_again
from charter.errors import BundleError, DataError, ModelError, OptionError
from charter.models.base import load_model, load_tokenizer
from charter.models.inference import predict_outputs
from charter.release.bundle import Bundle
from charter.spec.model import Use
from charter.tasks import restore
from charter.tasks.task import Task


@dataclass(frozen=True)
class Answered:
    """One answer per row, in their order; and how many texts were cut at the bundle's `max_length` tokens."""

    frame: pl.DataFrame
    truncated: int


@dataclass(frozen=True)
class Answerer:
    """A bundle's model, ready to answer. `columns` name the inputs that rows must have."""

    bundle: Bundle
    task: Task
    columns: Columns
    uses: tuple[Use, ...]
    max_length: int
    model: Any
    tokenizer: Any

    def answer(
        self,
        rows: pl.DataFrame,
        *,
        batch_size: int = 32,
        on_batch: Callable[[int, int], None] | None = None,
    ) -> Answered:
        """Answer rows that hold `_row`, `_place` and the input column; one answer per row, in their order.

        A row that preparation leaves nothing of has null answers and its reason in `not_answered`. Entities of a text
        have start and end in the text as it was given, and `text` as the model read it (masked where masking is on).
        on_batch is told how many rows are done, of how many.
        """
        empty = pl.col(self.columns.text).is_null()
        prepared = prepare_again(rows.filter(~empty), self.columns, self.uses, follow=True)
        examples = self.task.examples(
            prepared.frame, self.columns, self.tokenizer, self.max_length, with_targets=False
        )
        outputs = []
        if len(examples):
            outputs = list(
                predict_outputs(self.model, self.task, examples, batch_size=batch_size, on_batch=on_batch)
            )
        decoded = self.task.decode(outputs, prepared.frame, self.columns)
        answered = pl.concat([prepared.frame.select(ROW), decoded], how="horizontal")
        if prepared.chains and "entities" in answered.columns:
            answered = _as_given(answered, rows, self.columns.text, prepared.chains)
        no_text = rows.filter(empty).select(ROW, pl.lit("no text").alias("not_answered"))
        reasons = pl.concat([prepared.dropped.select(ROW, pl.col("reason").alias("not_answered")), no_text])
        frame = (
            rows.select(ROW, PLACE)
            .join(answered, on=ROW, how="left", maintain_order="left")
            .join(reasons, on=ROW, how="left", maintain_order="left")
        )
        return Answered(frame, examples.truncated)

    def answer_texts(self, texts: str | Sequence[str | None]) -> pl.DataFrame:
        """Answer texts given one by one, or a single one. None is answered by its reason, `no text`.

        Raises:
            DataError, TypeError: as `text_rows`.
        """
        return self.answer(text_rows([texts] if isinstance(texts, str) else texts, self.columns)).frame


def text_rows(texts: Sequence[str | None], columns: Columns) -> pl.DataFrame:
    """Texts as rows that can be answered.

    Raises:
        DataError: a text with half a character in it (bytes that are no UTF-8, on a command line).
        TypeError: something that is no text.
    """
    for number, text in enumerate(texts, start=1):
        if text is not None and not isinstance(text, str):
            raise TypeError(f"text {number} is of type {type(text).__name__}; texts, or None, are answered")
        try:
            (text or "").encode()
        except UnicodeEncodeError as error:
            raise DataError(
                f"text {number} is no valid text: at character {error.start + 1} it has bytes that are no UTF-8"
            ) from None
    numbers = range(1, len(texts) + 1)
    return pl.DataFrame(
        {ROW: numbers, PLACE: [f"text {number}" for number in numbers], columns.text: list(texts)},
        schema={ROW: pl.Int64, PLACE: pl.String, columns.text: pl.String},
    )


def _as_given(
    answered: pl.DataFrame, rows: pl.DataFrame, text: str, chains: Mapping[int, Chain]
) -> pl.DataFrame:
    """Entities with their places in the texts as they were given, not as they were prepared."""
    given = dict(rows.filter(pl.col(ROW).is_in(list(chains))).select(ROW, text).iter_rows())
    cells = []
    for row, found in answered.select(ROW, "entities").iter_rows():
        if row in chains and found:
            back = backwards(chains[row], given[row])
            places = [carried(Place(one["start"], one["end"]), back) for one in found]
            found = [
                {**one, "start": place.start, "end": place.end}
                for one, place in zip(found, places, strict=True)
            ]
        cells.append(found)
    return answered.with_columns(pl.Series("entities", cells, dtype=answered.schema["entities"]))


def open_answerer(bundle: Bundle, folder: Path | None = None) -> Answerer:
    """Load a bundle's model.

    Raises:
        BundleError: its model, tokenizer, task or preparations can't be made from its files.
    """
    facts = bundle.preparation
    place = folder or bundle.folder
    try:
        task = restore(facts.task.model_dump())
        for use in facts.prepare:
            plugins.resolve("preparation", use.use, use.options)
        model, tokenizer = load_model(place, task), load_tokenizer(place)
    except (ModelError, OptionError) as error:
        raise BundleError(f"{place} can't be used: {error}") from None
    return Answerer(
        bundle=bundle,
        task=task,
        columns=Columns(inputs=facts.inputs),
        uses=facts.prepare,
        max_length=facts.max_length,
        model=model,
        tokenizer=tokenizer,
    )

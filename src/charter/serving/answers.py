"""Answers of a released bundle to new rows: the same preparations, the same model, the same decoding."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from charter import plugins
from charter.data.choices import choices_of
from charter.data.columns import PLACE, ROW, Columns
from charter.data.edits import Chain, Place, backwards, carried
from charter.data.preparation import prepare_again
from charter.errors import BundleError, DataError, ModelError, OptionError
from charter.models.base import load_tokenizer
from charter.models.exports import Exporter, check_installed
from charter.models.inference import predict_outputs
from charter.release.bundle import Bundle
from charter.spec.use import Use
from charter.tasks import restore
from charter.tasks.task import Task

Cell = str | Sequence[str] | None
"""What a row has in one input: a text, or a list of them (words, choices); None: nothing."""
Given = str | Mapping[str, Cell] | None
"""One row to answer: its text, or what it has in each input."""


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
        batch_size: int | None = None,
        on_batch: Callable[[int, int], None] | None = None,
    ) -> Answered:
        """Answer rows that hold `_row`, `_place` and the input columns; one answer per row, in their order.

        A row that preparation leaves nothing of has null answers and its reason in `not_answered`. Entities, and answers
        to questions, have start and end in the text as it was given, and their words as the model read them (masked where
        masking is on).
        batch_size: None: what suits the engine. on_batch is told how many rows are done, of how many.
        """
        given = self._filled(rows)
        prepared = prepare_again(given, self.columns, self.uses, follow=self._tells_places)
        examples = self.task.examples(
            prepared.frame, self.columns, self.tokenizer, self.max_length, with_targets=False
        )
        outputs = []
        if len(examples):
            outputs = list(
                predict_outputs(self.model, self.task, examples, batch_size=batch_size, on_batch=on_batch)
            )
        decoded = self.task.decode(outputs, prepared.frame, self.columns)
        if prepared.frame[ROW].equals(rows[ROW]) and not prepared.chains:
            nothing = pl.Series("not_answered", [None] * rows.height, dtype=pl.String)
            whole = pl.DataFrame([rows[ROW], rows[PLACE], *decoded.get_columns(), nothing])
            return Answered(whole, examples.truncated)
        answered = pl.concat([prepared.frame.select(ROW), decoded], how="horizontal")
        if prepared.chains:
            answered = _as_given(answered, rows, self.columns.spanned, prepared.chains)
        return Answered(self._with_reasons(rows, answered, prepared.dropped), examples.truncated)

    @property
    def _tells_places(self) -> bool:
        """Whether answers hold places in the text, which must then be followed through its preparation."""
        return self.task.reads_words or self.columns.form.target == "answers"

    def _filled(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows that have something to read; of several inputs, a missing one is read as an empty text."""
        whole = not any(rows[name].null_count() for name in self.columns.inputs)
        if whole and self.columns.form.target != "choice":
            return rows
        filled = rows.filter(self._unreadable(rows).is_null())
        texts = [one for one in self.columns.inputs if filled.schema[one] == pl.String]
        several = len(self.columns.inputs) > 1 and texts
        return filled.with_columns(pl.col(*texts).fill_null("")) if several else filled

    def _unreadable(self, rows: pl.DataFrame) -> pl.Series:
        """Why a row can't be read as it was given; null for those that can."""
        reason: pl.Expr = pl.when(_without_input(self.columns)).then(pl.lit("no text"))
        if self.columns.form.target == "choice":
            few = pl.Series([len(one) < 2 for one in choices_of(rows, self.columns)], dtype=pl.Boolean)
            reason = pl.coalesce(reason, pl.when(few).then(pl.lit("fewer than two choices")))
        return rows.select(reason.alias("not_answered"))["not_answered"].cast(pl.String)

    def _with_reasons(
        self, rows: pl.DataFrame, answered: pl.DataFrame, dropped: pl.DataFrame
    ) -> pl.DataFrame:
        """An answer, or the reason why there is none, for every row."""
        unread = rows.select(ROW).with_columns(self._unreadable(rows)).drop_nulls()
        reasons = pl.concat([dropped.select(ROW, pl.col("reason").alias("not_answered")), unread])
        return (
            rows.select(ROW, PLACE)
            .join(answered, on=ROW, how="left", maintain_order="left")
            .join(reasons, on=ROW, how="left", maintain_order="left")
        )

    def answer_texts(self, texts: str | Mapping[str, Cell] | Sequence[Given]) -> pl.DataFrame:
        """Answer texts given one by one, or a single one. None is answered by its reason, `no text`.

        For a bundle of several inputs each one is a mapping, input -> text.

        Raises:
            DataError, TypeError: as `text_rows`.
        """
        given = [texts] if isinstance(texts, str | Mapping) else texts
        return self.answer(text_rows(given, self.columns)).frame


def _without_input(columns: Columns) -> pl.Expr:
    """Whether a row has nothing in any input, or lacks one that the task needs."""
    missing = [pl.col(name).is_null() for name in columns.inputs]
    return pl.any_horizontal(missing) if columns.form.every_input else pl.all_horizontal(missing)


def text_rows(texts: Sequence[Given], columns: Columns) -> pl.DataFrame:
    """Texts, or for several inputs mappings of input -> text (or list of texts), as rows that can be answered.

    Raises:
        DataError: a text with half a character in it (bytes that are no UTF-8, on a command line); inputs that the
            bundle does not have, or not all of them; one text for a bundle of several inputs; an input that is a list in
            one row and a text in another.
        TypeError: something that is no text.
    """
    several = len(columns.inputs) > 1
    rows = [_inputs_of(one, number, columns) for number, one in enumerate(texts, start=1)]
    numbers = range(1, len(texts) + 1)
    what = "row" if several else "text"
    frame = pl.DataFrame({ROW: numbers, PLACE: [f"{what} {number}" for number in numbers]})
    told = [_column(name, [row[name] for row in rows]) for name in columns.inputs]
    return frame.with_columns(pl.col(ROW).cast(pl.Int64), pl.col(PLACE).cast(pl.String), *told)


def _column(name: str, cells: list[Cell]) -> pl.Series:
    """One input of all rows: texts, or lists of them; an empty list says nothing."""
    lists = [one for one in cells if isinstance(one, list | tuple)]
    if not lists:
        return pl.Series(name, cells, dtype=pl.String)
    if len(lists) != sum(one is not None for one in cells):
        raise DataError(
            f"input '{name}' has lists in some rows and texts in others; give it the same way in all"
        )
    return pl.Series(name, [list(one) if one else None for one in cells], dtype=pl.List(pl.String))


def _inputs_of(given: Given, number: int, columns: Columns) -> Mapping[str, Cell]:
    """What one row has in each input, checked."""
    listed = ", ".join(columns.inputs)
    if isinstance(given, Mapping):
        if set(given) != set(columns.inputs):
            raise DataError(f"row {number} has {', '.join(given) or 'nothing'}; this bundle reads {listed}")
        row: Mapping[str, Cell] = given
    elif len(columns.inputs) > 1:
        raise DataError(
            f"text {number} is one text, and this bundle reads {listed}: give each by its name "
            f"(--input {columns.text}=..., in Python a mapping)"
        )
    else:
        row = {columns.text: given}
    for cell in row.values():
        for text in cell if isinstance(cell, list | tuple) else [cell]:
            _check_text(text, number)
    return row


def _check_text(text: object, number: int) -> None:
    if text is None:
        return
    if not isinstance(text, str):
        raise TypeError(f"text {number} is of type {type(text).__name__}; texts, or None, are answered")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"text {number} is no valid text: at character {error.start + 1} it has bytes that are no UTF-8"
        ) from None


def _as_given(
    answered: pl.DataFrame, rows: pl.DataFrame, text: str, chains: Mapping[int, Chain]
) -> pl.DataFrame:
    """Entities and answers with their places in the texts as they were given, not as they were prepared."""
    if {"answer", "start", "end"} <= set(answered.columns):
        return _one_as_given(answered, rows, text, chains)
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


def _one_as_given(
    answered: pl.DataFrame, rows: pl.DataFrame, text: str, chains: Mapping[int, Chain]
) -> pl.DataFrame:
    given = dict(rows.filter(pl.col(ROW).is_in(list(chains))).select(ROW, text).iter_rows())
    starts, ends = answered["start"].to_list(), answered["end"].to_list()
    for place, row in enumerate(answered[ROW].to_list()):
        if row in chains and starts[place] is not None:
            back = backwards(chains[row], given[row])
            one = carried(Place(starts[place], ends[place]), back)
            starts[place], ends[place] = one.start, one.end
    return answered.with_columns(
        pl.Series("start", starts, dtype=pl.Int64), pl.Series("end", ends, dtype=pl.Int64)
    )


def open_answerer(bundle: Bundle, *, engine: str | None = None, threads: int | None = None) -> Answerer:
    """Load a bundle's model.

    engine: one of the bundle's released forms, such as `onnx-int8`; None: the first. threads: None: as many as torch
    would use; torch itself has one number for the whole process.

    Raises:
        BundleError: its model, tokenizer, task or preparations can't be made from its files.
        OptionError: the bundle holds no such form.
        MissingExtraError: the form needs libraries that are not installed.
    """
    facts = bundle.preparation
    form = _form(bundle, engine)
    place = bundle.forms[form]
    try:
        state = facts.task.model_dump()
        task = restore({**state, "fitted": facts.settled.get(form, state["fitted"])})
        for use in facts.prepare:
            plugins.resolve("preparation", use.use, use.options)
        exporter: Exporter = plugins.make("exporter", form, {})
        check_installed(form, exporter)
        model, tokenizer = exporter.opened(place, task, threads, _bases(bundle)), load_tokenizer(place)
    except (ModelError, OptionError) as error:
        raise BundleError(f"{place} can't be used: {error}") from None
    return Answerer(
        bundle=bundle,
        task=task,
        columns=Columns(inputs=facts.inputs, form=task.form),
        uses=facts.prepare,
        max_length=facts.max_length,
        model=model,
        tokenizer=tokenizer,
    )


def _bases(bundle: Bundle) -> tuple[Path, ...]:
    """Where a base that a charter names by a path may lie: from beside its charter, and from where one is."""
    return (bundle.folder.absolute().parent.parent, Path.cwd())


def _form(bundle: Bundle, engine: str | None) -> str:
    forms = tuple(bundle.forms)
    if engine is None:
        return forms[0]
    if engine not in forms:
        raise OptionError(
            f"engine '{engine}': {bundle.folder} holds {', '.join(forms)}. To release another form, name it in the "
            "charter's release.formats and run again: each form is judged by its own evidence"
        )
    return engine

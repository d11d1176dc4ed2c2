"""Answers of a released bundle to new rows: the same preparations, the same model, the same decoding."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from charter.data.columns import PLACE, ROW, Columns
from charter.data.preparation import prepare_again
from charter.models.base import load_model, load_tokenizer
from charter.models.inference import predict_outputs
from charter.release.bundle import Bundle
from charter.spec.model import Use
from charter.tasks import restore
from charter.tasks.task import Task


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

    def answer(self, rows: pl.DataFrame, *, batch_size: int = 32) -> pl.DataFrame:
        """Answer rows that hold `_row`, `_place` and the input column; one answer per row, in their order.

        A row that preparation leaves nothing of has null answers and its reason in `not_answered`.
        """
        prepared = prepare_again(rows, self.columns, self.uses)
        examples = self.task.examples(
            prepared.frame, self.columns, self.tokenizer, self.max_length, with_targets=False
        )
        outputs = (
            predict_outputs(self.model, self.task, examples, batch_size=batch_size) if len(examples) else []
        )
        decoded = self.task.decode(outputs, prepared.frame, self.columns)
        answered = pl.concat([prepared.frame.select(ROW), decoded], how="horizontal")
        reasons = prepared.dropped.select(ROW, pl.col("reason").alias("not_answered"))
        return (
            rows.select(ROW, PLACE)
            .join(answered, on=ROW, how="left", maintain_order="left")
            .join(reasons, on=ROW, how="left", maintain_order="left")
        )

    def answer_texts(self, texts: list[str]) -> pl.DataFrame:
        """Answer texts given one by one."""
        rows = pl.DataFrame(
            {
                ROW: list(range(1, len(texts) + 1)),
                PLACE: [f"text {number}" for number in range(1, len(texts) + 1)],
                self.columns.text: texts,
            },
            schema={ROW: pl.Int64, PLACE: pl.String, self.columns.text: pl.String},
        )
        return self.answer(rows)


def open_answerer(bundle: Bundle, folder: Path | None = None) -> Answerer:
    """Load a bundle's model.

    Raises:
        BundleError: the bundle's files are not what its manifest says.
    """
    facts = bundle.preparation
    task = restore(facts["task"])
    place = folder or bundle.folder
    return Answerer(
        bundle=bundle,
        task=task,
        columns=Columns(inputs=facts["inputs"]),
        uses=tuple(Use(**use) for use in facts["prepare"]),
        max_length=int(facts["max_length"]),
        model=load_model(place, task),
        tokenizer=load_tokenizer(place),
    )

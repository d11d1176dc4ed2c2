"""Multiple choice: which of several continuations or answers is the right one for a text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from charter.data.batch import Batch, Examples
from charter.data.choices import NONE, choice_columns, choices_of, right_choices
from charter.data.columns import ROW, Columns, Form
from charter.data.text import encode_rows
from charter.errors import DataError
from charter.tasks import classwise
from charter.tasks.baselines import Baseline
from charter.tasks.retrieval import bm25
from charter.tasks.scoring import divided, softmax
from charter.tasks.task import Confidences, Head, Masked, Mistakes, Outputs, ScoreName, Task

if TYPE_CHECKING:
    from torch import Tensor, nn

NEVER = -1e9
SHOWN_CHOICE = 160
"""Characters of a choice that the report shows of a misjudged row."""
STEM, CHOICE = "stem", "choice"


def multiple_choice(
    *,
    stem: Annotated[
        int,
        Field(
            ge=1,
            description="how many of data.inputs, from the first on, are the text; the others are the choices",
        ),
    ] = 1,
    first: Annotated[
        int, Field(ge=0, le=1, description="what a target of numbers calls the first choice: 0 or 1")
    ] = 0,
) -> Task:
    """The right one of several choices for a text; each choice is a column, or all are one column of lists."""
    return MultipleChoice(stem=stem, first=first)


@dataclass(frozen=True)
class MultipleChoice(Task):
    """Outputs are logits (choices,) in the order of the choices; rows may differ in how many they have."""

    stem: int = 1
    first: int = 0
    labels: tuple[str, ...] = ()
    name: str = "multiple_choice"
    headline: ClassVar[str] = "accuracy"

    @property
    def form(self) -> Form:
        """The target names a choice; the text and every choice must be there."""
        return Form("choice", every_input=True, stem=self.stem, first=self.first)

    @property
    def head(self) -> Head:
        """One logit for each text with a choice."""
        return Head("AutoModelForMultipleChoice", ("choice",))

    def fit(self, rows: pl.DataFrame, columns: Columns) -> Self:
        """The task as it is. Rows with fewer than two choices, or whose target names none, were rejected at reading.

        Raises:
            DataError: the inputs leave no column for choices, or a preparation changed a target so that it names none.
        """
        if not choice_columns(columns):
            raise DataError(
                f"task {self.name}: data.inputs names {len(columns.inputs)} column(s), of which stem: {self.stem} are the "
                "text, so no choice is left"
            )
        lost = int((_truth(rows, columns) == NONE).sum())
        if lost:
            raise DataError(
                f"task {self.name}: after preparation column '{columns.target}' of {lost} rows names none of their choices; "
                "look at what data.prepare does to it"
            )
        return replace(self)

    def examples(
        self,
        rows: pl.DataFrame,
        columns: Columns,
        tokenizer: Any,
        max_length: int,
        *,
        with_targets: bool = True,
    ) -> Examples:
        """Encode each choice beside its text, as a pair; an example owns as many sequences as it has choices."""
        choices = choices_of(rows, columns)
        sizes = np.asarray([len(one) for one in choices], dtype=np.int64)
        stems = np.repeat(np.asarray(self._stems(rows, columns), dtype=object), sizes)
        flat = pl.DataFrame(
            {STEM: pl.Series(stems.tolist(), dtype=pl.String),
             CHOICE: pl.Series([text for one in choices for text in one], dtype=pl.String)}
        )  # fmt: skip
        encoded = encode_rows(flat, Columns(inputs={STEM: "text", CHOICE: "text"}), tokenizer, max_length)
        return Examples(
            ids=encoded.ids,
            targets=_truth(rows, columns) if with_targets else None,
            rows=rows[ROW].to_numpy(),
            truncated=encoded.truncated,
            pad_id=int(tokenizer.pad_token_id),
            types=encoded.types,
            sizes=sizes,
        )

    def loss(self, model: "nn.Module", batch: Batch, class_weights: "Tensor | None" = None) -> "Tensor":
        """Cross-entropy of the right choice among those of its row, shape (batch,)."""
        from torch.nn import functional as F

        del class_weights
        assert batch.targets is not None
        return F.cross_entropy(self._logits(model, batch), batch.targets, reduction="none")

    def outputs(self, model: "nn.Module", batch: Batch, examples: Examples) -> list[NDArray[np.float32]]:
        """The logits (choices,) of each row."""
        del examples
        assert batch.sizes is not None
        logits = self._logits(model, batch).cpu().numpy()
        return [one[:size] for one, size in zip(logits, batch.sizes.tolist(), strict=True)]

    def decode(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> pl.DataFrame:
        """`choice`, the number of the answer counted as the charter counts; its text, its `probability`, and all of them."""
        best = [int(np.argmax(one)) for one in outputs]
        shares = [softmax(np.asarray(one, dtype=np.float64)) for one in outputs]
        texts = choices_of(rows, columns)
        return pl.DataFrame(
            {
                "choice": pl.Series([one + self.first for one in best], dtype=pl.Int64),
                "text": pl.Series(
                    [text[one] for text, one in zip(texts, best, strict=True)], dtype=pl.String
                ),
                "probability": pl.Series(
                    [share[one] for share, one in zip(shares, best, strict=True)], dtype=pl.Float64
                ),
                "probabilities": pl.Series([one.tolist() for one in shares], dtype=pl.List(pl.Float64)),
            }
        )

    def tally(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> NDArray[np.int64]:
        """(n, 2): 1, and whether the right choice was named."""
        best = np.asarray([int(np.argmax(one)) for one in outputs], dtype=np.int64)
        return np.stack([np.ones_like(best), best == _truth(rows, columns)], axis=1).astype(np.int64)

    def scores(self, totals: NDArray[np.float64]) -> Mapping[ScoreName, NDArray[np.float64]]:
        """Accuracy."""
        return {("accuracy", ""): divided(totals[..., 1], totals[..., 0])}

    def evidence(self, tally: NDArray[Any]) -> Mapping[ScoreName, Sequence[NDArray[np.float64]]]:
        """The rows."""
        return {("accuracy", ""): (tally[:, 0].astype(np.float64),)}

    def confidences(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> Confidences:
        """One decision per row, among its choices."""
        most = max((len(one) for one in outputs), default=2)
        logits = np.full((len(outputs), most), NEVER)
        for row, one in enumerate(outputs):
            logits[row, : len(one)] = one
        return Confidences(logits, _truth(rows, columns), np.arange(len(outputs), dtype=np.int64))

    def baselines(
        self,
        train: pl.DataFrame,
        test: pl.DataFrame,
        columns: Columns,
        *,
        others: pl.DataFrame,
        seed: int,
    ) -> Sequence[Baseline]:
        """The place that is right most often; and the choice that shares most with the text (BM25)."""
        del seed
        known = np.concatenate([_truth(train, columns), _truth(others, columns)])
        usual = int(np.bincount(known).argmax())
        choices = choices_of(test, columns)
        fixed, shared = [], []
        for stem, texts in zip(self._stems(test, columns), choices, strict=True):
            one = np.zeros(len(texts), dtype=np.float32)
            one[min(usual, len(texts) - 1)] = 1.0
            fixed.append(one)
            shared.append(bm25([stem], texts)[0])
        return [Baseline("majority", fixed), Baseline("bm25", shared)]

    def mistakes(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> Mistakes:
        """Rows of which another choice was named than the right one."""
        return classwise.class_mistakes(self.confidences(outputs, rows, columns))

    def shown(
        self, outputs: Outputs, rows: pl.DataFrame, columns: Columns, masked: Masked
    ) -> list[dict[str, Any]]:
        """Each text; the right choice and the one named, each with its number; both probabilities."""
        told = self.confidences(outputs, rows, columns)
        stems = Columns(inputs=dict(list(columns.inputs.items())[: self.stem]))
        cells = [masked(rows, column) for column in choice_columns(columns)]
        kept = [pl.Series(name, one) for name, one in zip(choice_columns(columns), cells, strict=True)]
        choices = choices_of(rows.with_columns(kept), columns)

        def named(row: int, place: int) -> str:
            return f"{place + self.first}: {classwise.cut(choices[row][place], SHOWN_CHOICE)}"

        return [
            {
                "text": text,
                "truth": named(row, truth),
                "answer": named(row, answer),
                "probability": round(float(shares[answer]), 4),
                "probability_of_truth": round(float(shares[truth]), 4),
            }
            for row, (text, truth, answer, shares) in enumerate(
                zip(
                    classwise.shown_texts(rows, stems, masked),
                    told.truth, told.answers, told.probabilities, strict=True,
                )
            )
        ]  # fmt: skip

    @property
    def options(self) -> Mapping[str, Any]:
        """The options that the task was made with."""
        return {"stem": self.stem, "first": self.first}

    def _stems(self, rows: pl.DataFrame, columns: Columns) -> list[str]:
        """The text of each row; several columns one after the other, a space between."""
        parts = [pl.col(column).fill_null("") for column in list(columns.inputs)[: self.stem]]
        found: list[str] = rows.select(pl.concat_str(parts, separator=" ").alias(STEM))[STEM].to_list()
        return found

    def fed(self, batch: Batch) -> "dict[str, Tensor]":
        """Each text with a choice as a row of one choice, (sequences, 1, length): so rows may differ in their choices."""
        return {name: tensor[:, None] for name, tensor in batch.inputs.items()}

    def _logits(self, model: "nn.Module", batch: Batch) -> "Tensor":
        """(batch, most choices): the logit of each choice, and one that is never chosen where a row has fewer."""
        from torch.nn.utils.rnn import pad_sequence

        assert batch.sizes is not None
        told = model(**self.fed(batch)).logits.float().reshape(-1)
        return pad_sequence(list(told.split(batch.sizes.tolist())), batch_first=True, padding_value=NEVER)


def _truth(rows: pl.DataFrame, columns: Columns) -> NDArray[np.int64]:
    """(n,) the place of the right choice, from 0."""
    return np.asarray(right_choices(rows, columns), dtype=np.int64)

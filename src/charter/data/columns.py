"""Which column of a table is what, and the columns that Charter adds itself."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import polars as pl

from charter.spec.data import Data

ROW = "_row"
"""Int64: the row's number in the whole source, from 1, files in order. It survives every preparation."""
PLACE = "_place"
"""String: file and record number for people, such as `reviews.csv row 17`."""
SPLIT = "_split"
"""String: train, validation, calibration or test."""

UNIT = "_unit"
"""Int64: rows of one unit are of one person or alike, in chains; they count as one where independence matters."""

TARGET = "_target"
"""List[String]: the labels of each row, where a charter names several columns of 0 and 1 as its target."""

SplitName = Literal["train", "validation", "calibration", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "calibration", "test")
SPLIT_NAMES: Mapping[str, SplitName] = {
    "train": "train", "training": "train", "训练": "train", "训练集": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation", "development": "validation",
    "验证": "validation", "验证集": "validation",
    "calibration": "calibration",
    "test": "test", "testing": "test", "测试": "test", "测试集": "test",
}  # fmt: skip
"""What published splits are called, in lower case, and what each is here."""


TargetKind = Literal["as_found", "label", "labels", "number", "answers", "choice"]


@dataclass(frozen=True)
class Form:
    """What a task asks of its columns, before any row is read.

    target: what a cell of the target becomes: `label` one text, `labels` a list of texts (none is right too), `number`
    a Float64; `answers` a list of places `{start, end}` in the last input (none: there is no answer); `as_found` a label,
    or a list of tags or spans where the column holds lists; `choice` a text that names one of the row's choices.
    separator: stands between the labels of a cell that is one text. every_input: a row without a text in one of several
    inputs is rejected; else only one without any.
    stem: of choices, how many inputs come before them; first: what a number calls the first one.
    """

    target: TargetKind = "as_found"
    separator: str | None = None
    every_input: bool = False
    stem: int = 1
    first: int = 0


@dataclass(frozen=True)
class Columns:
    """The roles of a table's columns. `inputs` maps column -> modality; the other roles name columns or are None.

    indicators: columns of 0 and 1, one per label, that reading makes the one column TARGET of; `target` is that then.
    """

    inputs: Mapping[str, str]
    target: str | None = None
    groups: tuple[str, ...] = ()
    subject: str | None = None
    time: str | None = None
    split: str | None = None
    form: Form = Form()
    indicators: tuple[str, ...] = ()

    @classmethod
    def of(cls, data: Data, form: Form = Form()) -> "Columns":
        """The roles as a charter's data section states them, and what its task asks of them."""
        several = data.target if isinstance(data.target, tuple) else ()
        target = TARGET if isinstance(data.target, tuple) else data.target
        split = data.split
        return cls(
            data.inputs, target, data.groups, data.subject, split.time, split.column, form, tuple(several)
        )

    def given_split(self, frame: pl.DataFrame) -> pl.Series | None:
        """The split of each row where the data itself says it (published parts, a column); else None."""
        name = self.split if self.split is not None else SPLIT
        return frame[name] if name in frame.columns else None

    def as_json(self) -> dict[str, Any]:
        """The roles as a JSON value: what an artefact's key holds of them."""
        return {**asdict(self), "inputs": dict(self.inputs)}

    @property
    def text(self) -> str:
        """The text column; of several the first."""
        return next(iter(self.inputs))

    @property
    def spanned(self) -> str:
        """The column whose characters the places in the target and in answers are counted in."""
        return list(self.inputs)[-1] if self.form.target == "answers" else self.text

    def texts(self, frame: pl.DataFrame) -> pl.Series:
        """What each row says, for comparing rows: the text column, or several one below the other, in their order."""
        if len(self.inputs) == 1:
            return frame[self.text]
        parts = [_joined(frame, column) for column in self.inputs]
        return frame.select(pl.concat_str(parts, separator="\n").alias(self.text))[self.text]

    def without_text(self, frame: pl.DataFrame) -> pl.Expr:
        """Whether a row lacks what is to be read: every input, or one that must be filled, is missing or blank."""
        blank = [is_blank(frame, column) for column in self.inputs]
        return pl.any_horizontal(blank) if self.form.every_input else pl.all_horizontal(blank)

    @property
    def kept(self) -> tuple[str, ...]:
        """Every column that has a role, once, in the order of the roles; all others are left behind at reading."""
        targets = self.indicators or (self.target,)
        roles = (*self.inputs, *targets, *self.groups, self.subject, self.time, self.split)
        return tuple(dict.fromkeys(role for role in roles if role is not None))


def _joined(frame: pl.DataFrame, column: str) -> pl.Expr:
    cell = pl.col(column)
    return (cell.list.join(" ") if isinstance(frame.schema[column], pl.List) else cell).fill_null("")


def is_blank(frame: pl.DataFrame, column: str) -> pl.Expr:
    """Whether a cell of texts or lists of words is missing, or holds nothing to be read."""
    if isinstance(frame.schema[column], pl.List):
        return pl.col(column).list.len().fill_null(0) == 0
    return pl.col(column).str.strip_chars().fill_null("") == ""

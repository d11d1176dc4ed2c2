"""Which column of a table is what, and the columns that Charter adds itself."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import polars as pl

from charter.spec.model import Data

ROW = "_row"
"""Int64: the row's number in the whole source, from 1, files in order. It survives every preparation."""
PLACE = "_place"
"""String: file and record number for people, such as `reviews.csv row 17`."""
SPLIT = "_split"
"""String: train, validation, calibration or test."""

UNIT = "_unit"
"""Int64: rows of one unit are of one person or alike, in chains; they count as one where independence matters."""

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


@dataclass(frozen=True)
class Columns:
    """The roles of a table's columns. `inputs` maps column -> modality; the other roles name columns or are None."""

    inputs: Mapping[str, str]
    target: str | None = None
    groups: tuple[str, ...] = ()
    subject: str | None = None
    time: str | None = None
    split: str | None = None

    @classmethod
    def of(cls, data: Data) -> "Columns":
        """The roles as a charter's data section states them."""
        return cls(data.inputs, data.target, data.groups, data.subject, data.split.time, data.split.column)

    def given_split(self, frame: pl.DataFrame) -> pl.Series | None:
        """The split of each row where the data itself says it (published parts, a column); else None."""
        name = self.split if self.split is not None else SPLIT
        return frame[name] if name in frame.columns else None

    def as_json(self) -> dict[str, Any]:
        """The roles as a JSON value: what an artefact's key holds of them."""
        return {**asdict(self), "inputs": dict(self.inputs)}

    @property
    def text(self) -> str:
        """The one text column (several inputs are not built yet)."""
        return next(iter(self.inputs))

    @property
    def kept(self) -> tuple[str, ...]:
        """Every column that has a role, once, in the order of the roles; all others are left behind at reading."""
        roles = (*self.inputs, self.target, *self.groups, self.subject, self.time, self.split)
        return tuple(dict.fromkeys(role for role in roles if role is not None))

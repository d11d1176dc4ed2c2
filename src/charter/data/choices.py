"""Choices as data sets hold them, in columns or in one column of lists, and which of them a target says is right."""

from collections.abc import Mapping, Sequence

import polars as pl

from charter.data.columns import Columns

NONE = -1


def choices_of(rows: pl.DataFrame, columns: Columns) -> list[list[str]]:
    """The choices of each row, in order: the inputs after the first `form.stem` ones, side by side."""
    parts = []
    for column in choice_columns(columns):
        cells = rows[column].to_list()
        lists = isinstance(rows.schema[column], pl.List)
        parts.append([[one or "" for one in cell or []] if lists else [cell or ""] for cell in cells])
    if not parts:
        return [[] for _ in range(rows.height)]
    return [[text for part in row for text in part] for row in zip(*parts, strict=True)]


def choice_columns(columns: Columns) -> list[str]:
    """The inputs that hold choices."""
    return list(columns.inputs)[columns.form.stem :]


def right_choices(rows: pl.DataFrame, columns: Columns) -> list[int]:
    """The place of each row's right choice, from 0; NONE where the target names none of them.

    A target is a number from `form.first` on, a letter from A on, or the name of the choice's column (in any case, since
    `normalise_label` lowers it).
    """
    listed = choice_columns(columns)
    names = {name.lower(): at for at, name in enumerate(listed)} | {
        name: at for at, name in enumerate(listed)
    }
    said: Sequence[str | None] = rows[str(columns.target)].to_list()
    return [
        _place(value, names, columns.form.first, len(choices))
        for value, choices in zip(said, choices_of(rows, columns), strict=True)
    ]


def _place(value: str | None, names: Mapping[str, int], first: int, size: int) -> int:
    said = (value or "").strip()
    named = names.get(said, names.get(said.lower()))
    if named is not None:
        return named
    if said.isascii() and said.isdigit():
        place = int(said) - first
    elif len(said) == 1 and said.isascii() and said.isalpha():
        place = ord(said.upper()) - ord("A")
    else:
        return NONE
    return place if 0 <= place < size else NONE

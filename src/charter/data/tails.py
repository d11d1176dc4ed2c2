"""Texts whose ends are held out: each is cut into what is learned from and, behind it, what is judged on."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import polars as pl

from charter.data.columns import PLACE, ROW, SPLIT, SplitName
from charter.data.table import Table
from charter.spec.data import Split

SHORT, LONG, MANY = 500, 3_000, 40
"""What is judged on is cut into passages: about MANY of a text, of so many characters at least and at most ..."""
BEYOND = 500
"""... that end with a line where one ends within so many characters more."""
TEST = 0.15
"""The share of the test split where none is given; of the other splits nothing is held out then."""
ORDER: tuple[SplitName, ...] = ("train", "validation", "calibration", "test")


def with_tails(table: Table, text: str, split: Split) -> Table:
    """Each text as the rows that it is cut into, their SPLIT said; a part without a character is no row.

    Of a text of n characters the first int(n * (1 - all shares held out)) are learned from (as nanoGPT's data/shakespeare_char
    parts its file); then come validation, calibration and test. The test part is cut into passages, since how sure a score is can be
    told from several only. Records are numbered anew: each part is one.
    """
    found = [cut for row in table.frame.iter_rows(named=True) for cut in _cut(row, text, split)]
    rejects = table.rejects.rows(named=True)
    numbers: dict[tuple[int, int], int] = {}
    for place in sorted([*((row[ROW], part) for row, part in found), *((row[ROW], 0) for row in rejects)]):
        numbers[place] = len(numbers) + 1
    frame = pl.DataFrame(
        [{**row, ROW: numbers[row[ROW], part]} for row, part in found],
        schema={**table.frame.schema, SPLIT: pl.String},
    )
    own = [{**row, ROW: numbers[row[ROW], 0]} for row in rejects]
    return replace(
        table, frame=frame, rejects=pl.DataFrame(own, schema=table.rejects.schema), records=len(numbers)
    )


def _cut(row: dict[str, Any], text: str, split: Split) -> Iterator[tuple[dict[str, Any], int]]:
    whole = row[text]
    if not isinstance(whole, str):
        yield {**row, SPLIT: "train"}, 0
        return
    start = 0
    *ends, last = zip(ORDER, _ends(len(whole), split), strict=True)
    for part, (name, end) in enumerate(ends):
        if end > start:
            yield {**row, text: whole[start:end], PLACE: f"{row[PLACE]} ({name})", SPLIT: name}, part
        start = end
    for number, passage in enumerate(_passages(whole[start:]), start=1):
        place = f"{row[PLACE]} ({last[0]} {number})"
        yield {**row, text: passage, PLACE: place, SPLIT: last[0]}, len(ends) + number


def _passages(text: str) -> Iterator[str]:
    length = min(max(len(text) // MANY, SHORT), LONG)
    start = 0
    while start < len(text):
        end = start + length
        line = text.find("\n", end - 1, end + BEYOND) + 1
        end = line or end
        end = end if len(text) - end >= SHORT // 2 else len(text)
        yield text[start:end]
        start = end


def _ends(length: int, split: Split) -> tuple[int, int, int, int]:
    test = TEST if split.test is None else split.test
    calibration = test + (split.calibration or 0.0)
    held_out = calibration + (split.validation or 0.0)
    return int(length * (1 - held_out)), int(length * (1 - calibration)), int(length * (1 - test)), length

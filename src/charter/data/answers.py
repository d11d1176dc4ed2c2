"""Answers to questions as data sets hold them, and their places in the text that they are taken from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

PLACES = pl.List(pl.Struct({"start": pl.Int64, "end": pl.Int64}))
"""The type of a target of answers: where each of them stands in its text, in characters; none: there is no answer."""


@dataclass(frozen=True)
class Said:
    """One answer as a data set says it. start: its first character in the text; None where only the words are told."""

    text: str
    start: int | None


def answers_said(value: Any) -> list[Said] | None:
    """The answers in one cell; [] where it says that there is none, None where it can't be understood.

    Understood are SQuAD's two forms, `{text: [...], answer_start: [...]}` and a list of `{text, answer_start}`, one such
    record, and a text alone.

    >>> answers_said({"text": ["Rome"], "answer_start": [4]})
    [Said(text='Rome', start=4)]
    >>> answers_said("Rome"), answers_said(None), answers_said(7)
    ([Said(text='Rome', start=None)], [], None)
    """
    if value is None:
        return []
    if isinstance(value, str):
        return [Said(value, None)] if value.strip() else []
    if isinstance(value, Mapping):
        return _of_record(value)
    if isinstance(value, Sequence):
        each = [_of_record(one) if isinstance(one, Mapping) else answers_said(one) for one in value]
        return None if None in each else [said for one in each if one for said in one]
    return None


def _of_record(record: Mapping[str, Any]) -> list[Said] | None:
    text = record.get("text")
    starts = record.get("answer_start", record.get("start"))
    if text is None or isinstance(text, str):
        if not text:
            return [] if text is None and starts is None else None
        return [Said(text, starts)] if starts is None or _is_place(starts) else None
    texts = list(text)
    places = [None] * len(texts) if starts is None else list(starts)
    if len(places) != len(texts) or not all(isinstance(one, str) and one for one in texts):
        return None
    if not all(one is None or _is_place(one) for one in places):
        return None
    return [Said(one, place) for one, place in zip(texts, places, strict=True)]


def _is_place(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def placed(said: Sequence[Said] | None, text: str | None) -> list[dict[str, int]] | None:
    """Where answers stand in their text; None where one of them does not stand there.

    One without a place stands where its words stand first.
    """
    if said is None or text is None:
        return None
    found = []
    for one in said:
        start = text.find(one.text) if one.start is None else one.start
        if start < 0 or text[start : start + len(one.text)] != one.text:
            return None
        found.append({"start": start, "end": start + len(one.text)})
    return found


def as_places(frame: pl.DataFrame, target: str, text: str) -> pl.DataFrame:
    """The frame with its target as places in the column `text`; null where an answer does not stand there."""
    cells = [
        placed(answers_said(value), given)
        for value, given in zip(frame[target].to_list(), frame[text].to_list(), strict=True)
    ]
    return frame.with_columns(pl.Series(target, cells, dtype=PLACES))

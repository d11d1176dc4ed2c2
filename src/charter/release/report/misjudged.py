"""Misjudged test rows for the report, masked: chosen by a stated rule, and only where the charter asks for them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from charter.data.columns import ROW, Columns
from charter.data.preparations.pii import mask_pii
from charter.tasks.task import Outputs, Task

CONFIDENT, RANDOM = 15, 5
"""So many of the mistakes that the model was surest of are shown, and so many of the others, drawn at random."""


def misjudged(
    task: Task, columns: Columns, rows: pl.DataFrame, outputs: Outputs, *, seed: int
) -> dict[str, Any]:
    """A few misjudged rows as JSON: the rule by which they were chosen, and the rows.

    `rows` are the test split and nothing else; `outputs` are the released model's, in their order. Texts are masked for
    every kind of personal data that is told by its form, in all locales, whatever the charter masks.

    Returns:
        {"rows", "wrong", "confident", "random", "seed", "shown"}; each one shown holds its row number, why it was
        chosen and what the task says of it: text, truth, answer and more, or words, true and found entities.
        "shown" is None for a task whose mistakes can't be shown.
    """
    found = task.mistakes(outputs, rows, columns)
    if found is None:
        return {"rows": rows.height, "wrong": 0, "seed": seed, "confident": 0, "random": 0, "shown": None}
    chosen = _chosen(np.flatnonzero(found.wrong), found.surest, seed)
    some = rows[[place for place, _ in chosen]]
    said = task.shown([outputs[place] for place, _ in chosen], some, columns, masked_cells)
    shown = [
        {"row": int(number), "chosen": why, **one}
        for number, (_, why), one in zip(some[ROW].to_list(), chosen, said, strict=True)
    ]
    counts = {why: sum(one["chosen"] == why for one in shown) for why in ("confident", "random")}
    return {"rows": rows.height, "wrong": int(found.wrong.sum()), "seed": seed, **counts, "shown": shown}


def _chosen(wrong: NDArray[np.int64], surest: NDArray[np.float64], seed: int) -> list[tuple[int, str]]:
    ordered = wrong[np.argsort(-surest[wrong], kind="stable")]
    rest = ordered[CONFIDENT:]
    drawn = np.random.default_rng(seed).permutation(rest)[:RANDOM]
    return [(int(one), "confident") for one in ordered[:CONFIDENT]] + [(int(one), "random") for one in drawn]


def masked_cells(frame: pl.DataFrame, column: str) -> list[Any]:
    """The column's texts, or lists of words, with placeholders; words keep their number."""
    mask = mask_pii(locales=("en", "zh"), urls=True, handles=True)
    return mask.apply(frame.select(ROW, column), Columns(inputs={column: "text"})).frame[column].to_list()


def marked(one: Mapping[str, Any]) -> list[dict[str, str]]:
    """The words of a misjudged sentence in runs of one marking: {text, truth, answer}, labels "" where there is none."""
    words = one["words"]
    owners = {"truth": [""] * len(words), "answer": [""] * len(words)}
    keys = {"truth": [-1] * len(words), "answer": [-1] * len(words)}
    for side in ("truth", "answer"):
        for number, span in enumerate(one[side]):
            for place in range(span["start"], span["end"]):
                owners[side][place], keys[side][place] = span["label"], number
    runs: list[dict[str, str]] = []
    before: tuple[int, int] | None = None
    for place, word in enumerate(words):
        now = (keys["truth"][place], keys["answer"][place])
        if now == before:
            runs[-1]["text"] += f" {word}"
        else:
            runs.append({"text": word, "truth": owners["truth"][place], "answer": owners["answer"][place]})
        before = now
    return runs

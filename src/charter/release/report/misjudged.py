"""Misjudged test rows for the report, masked: chosen by a stated rule, and only where the charter asks for them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from charter.data.columns import ROW, Columns
from charter.data.pii import mask_pii
from charter.tasks.entities import Entity, entities
from charter.tasks.task import Outputs, Task
from charter.tasks.token_classification import TokenClassification, sentences_of

CONFIDENT, RANDOM = 15, 5
"""So many of the mistakes that the model was surest of are shown, and so many of the others, drawn at random."""
LONGEST = 400
"""Characters of a text that are shown at most; words of a sentence, a quarter of it."""


def misjudged(
    task: Task, columns: Columns, rows: pl.DataFrame, outputs: Outputs, *, seed: int
) -> dict[str, Any]:
    """A few misjudged rows as JSON: the rule by which they were chosen, and the rows.

    `rows` are the test split and nothing else; `outputs` are the released model's, in their order. Texts are masked for
    every kind of personal data that is told by its form, in all locales, whatever the charter masks.

    Returns:
        {"rows", "wrong", "confident", "random", "seed", "shown"}; each one shown holds its row number, why it was
        chosen and, for a class, text, truth, answer and probability; for entities, words, true and found entities.
        "shown" is None for a task whose mistakes can't be shown.
    """
    told = task.confidences(outputs, rows, columns)
    if isinstance(task, TokenClassification):
        wrong = _wrong_sentences(task, rows, columns, outputs)
    elif len(told.truth) == rows.height:
        wrong = told.probabilities.argmax(axis=1) != told.truth
    else:
        return {"rows": rows.height, "wrong": 0, "seed": seed, "confident": 0, "random": 0, "shown": None}
    surest = np.zeros(rows.height)
    mistaken = told.probabilities.argmax(axis=1) != told.truth
    np.maximum.at(surest, told.example[mistaken], told.probabilities.max(axis=1)[mistaken])
    chosen = _chosen(np.flatnonzero(wrong), surest, seed)
    some = rows[[place for place, _ in chosen]]
    answers = [outputs[place] for place, _ in chosen]
    said = _said(task, some, columns, answers)
    shown = [
        {"row": int(number), "chosen": why, **one}
        for number, (_, why), one in zip(some[ROW].to_list(), chosen, said, strict=True)
    ]
    counts = {why: sum(one["chosen"] == why for one in shown) for why in ("confident", "random")}
    return {"rows": rows.height, "wrong": int(wrong.sum()), "seed": seed, **counts, "shown": shown}


def _said(task: Task, rows: pl.DataFrame, columns: Columns, outputs: Outputs) -> list[dict[str, Any]]:
    if isinstance(task, TokenClassification):
        return _entities(task, rows, columns, outputs)
    return _classes(task, rows, columns, outputs)


def _chosen(wrong: NDArray[np.int64], surest: NDArray[np.float64], seed: int) -> list[tuple[int, str]]:
    ordered = wrong[np.argsort(-surest[wrong], kind="stable")]
    rest = ordered[CONFIDENT:]
    drawn = np.random.default_rng(seed).permutation(rest)[:RANDOM]
    return [(int(one), "confident") for one in ordered[:CONFIDENT]] + [(int(one), "random") for one in drawn]


def _masked(frame: pl.DataFrame, column: str) -> list[Any]:
    """The column's texts, or lists of words, with placeholders; words keep their number."""
    mask = mask_pii(locales=("en", "zh"), urls=True, handles=True)
    return mask.apply(frame.select(ROW, column), Columns(inputs={column: "text"})).frame[column].to_list()


def _classes(task: Task, rows: pl.DataFrame, columns: Columns, outputs: Outputs) -> list[dict[str, Any]]:
    if not rows.height:
        return []
    told = task.confidences(outputs, rows, columns)
    texts = [one if isinstance(one, str) else " ".join(one) for one in _masked(rows, columns.text)]
    best = told.probabilities.argmax(axis=1)
    return [
        {
            "text": _cut(text),
            "truth": task.labels[truth],
            "answer": task.labels[answer],
            "probability": round(float(shares[answer]), 4),
            "probability_of_truth": round(float(shares[truth]), 4),
        }
        for text, truth, answer, shares in zip(texts, told.truth, best, told.probabilities, strict=True)
    ]


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _wrong_sentences(
    task: TokenClassification, rows: pl.DataFrame, columns: Columns, outputs: Outputs
) -> NDArray[np.bool_]:
    true = [entities(_tags(task, one)) for one in task.truth(rows, columns)]
    found = [entities(_tags(task, _best(one))) for one in outputs]
    return np.asarray([set(one) != set(other) for one, other in zip(true, found, strict=True)], dtype=bool)


def _entities(
    task: TokenClassification, rows: pl.DataFrame, columns: Columns, outputs: Outputs
) -> list[dict[str, Any]]:
    sentences = [list(one.words) for one in sentences_of(rows, columns)]
    frame = pl.DataFrame({ROW: rows[ROW], "words": pl.Series(sentences, dtype=pl.List(pl.String))})
    shown = []
    for words, truth, output in zip(_masked(frame, "words"), task.truth(rows, columns), outputs, strict=True):
        shares = np.exp(output - output.max(axis=1, keepdims=True)) if len(output) else output
        sure = shares.max(axis=1) / shares.sum(axis=1) if len(output) else np.zeros(0)
        true = entities(_tags(task, truth))
        found = entities(_tags(task, _best(output)))
        begin, end = _window(len(words), true, found)
        shown.append(
            {
                "words": ["…"] * (begin > 0) + words[begin:end] + ["…"] * (end < len(words)),
                "truth": _spans(true, words, begin, end),
                "answer": [
                    {**span, "probability": round(float(sure[one.start : one.end].mean()), 4)}
                    for span, one in zip(
                        _spans(found, words, begin, end), _inside(found, begin, end), strict=True
                    )
                ],
            }
        )
    return shown


def _window(length: int, true: Sequence[Entity], found: Sequence[Entity]) -> tuple[int, int]:
    """The words that are shown: all, or of a long sentence those around its first mistake."""
    most = LONGEST // 4
    if length <= most:
        return 0, length
    first = min(one.start for one in set(true) ^ set(found))
    begin = max(0, min(first - most // 2, length - most))
    return begin, begin + most


def _inside(found: Sequence[Entity], begin: int, end: int) -> list[Entity]:
    return [one for one in found if begin <= one.start and one.end <= end]


def _spans(found: Sequence[Entity], words: Sequence[str], begin: int, end: int) -> list[dict[str, Any]]:
    """Entities with their place among the words shown."""
    shift = (begin > 0) - begin
    return [
        {
            "label": one.label,
            "start": one.start + shift,
            "end": one.end + shift,
            "text": " ".join(words[one.start : one.end]),
        }
        for one in _inside(found, begin, end)
    ]


def _tags(task: TokenClassification, indices: NDArray[np.int64]) -> list[str]:
    return [task.labels[one] for one in indices.tolist()]


def _best(output: NDArray[np.float32]) -> NDArray[np.int64]:
    return np.asarray(output).argmax(axis=1) if len(output) else np.zeros(0, dtype=np.int64)


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

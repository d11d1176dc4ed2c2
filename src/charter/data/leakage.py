"""Leakage: rows that are held out although a like row, or one of the same person, is trained on."""

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from charter.data.columns import ROW, SPLIT, Columns, SplitName
from charter.data.rows import Rows
from charter.data.similarity.containment import RUN, SHARE, Holding
from charter.data.similarity.likeness import likeness_of
from charter.runs.digest import frame_digest
from charter.runs.findings import Finding
from charter.spec.data import Split

HELD_OUT: tuple[SplitName, ...] = ("test", "validation", "calibration")

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]


def leakage(
    frame: pl.DataFrame, columns: Columns, texts: Integers, pairs: Integers, split: Split, on: str
) -> Iterator[Finding]:
    """How many rows of each held-out split leak, by a similar text and by the same subject.

    frame: SPLIT (and the subject) of each row; texts: (n,) the number of its text; pairs: of texts that are alike.
    """
    training = (frame[SPLIT] == "train").to_numpy()
    for name in HELD_OUT:
        held_out = (frame[SPLIT] == name).to_numpy()
        if not held_out.any():
            continue
        leaked = {"similar text": int(_like_in_training(texts, pairs, held_out, training).sum())}
        if columns.subject is not None:
            people = frame.filter(pl.Series(training))[columns.subject].drop_nulls().unique()
            leaked["same subject"] = int(
                frame.filter(pl.Series(held_out))[columns.subject].is_in(people.implode()).sum()
            )
        for kind, count in leaked.items():
            method = "rows of the split that share a subject with training"
            if kind == "similar text":
                method = f"rows of the split with a training text at least {split.similarity:g} similar"
            yield Finding(
                "data",
                "leakage",
                float(count),
                n=int(held_out.sum()),
                slice={"kind": kind, "split": name},
                method=method,
                unit="rows",
                on=on,
            )


def passages_in_training(rows: Rows, columns: Columns, on: str) -> Iterator[Finding]:
    """How many rows of each held-out split stand in a training text: of ends of texts, which are similar to no whole text.

    rows: with SPLIT.
    """
    for name in HELD_OUT:
        held_out = pl.concat(
            [_copied(columns.texts(chunk.filter(pl.col(SPLIT) == name))) for chunk in rows.chunks()]
        )
        if not len(held_out):
            continue
        fixed, found = Holding(held_out), np.zeros(len(held_out), dtype=bool)
        for chunk in rows.chunks():
            found |= fixed.held_by(columns.texts(chunk.filter(pl.col(SPLIT) == "train")))
        yield Finding(
            "data",
            "leakage",
            float(found.sum()),
            n=len(held_out),
            slice={"kind": "text inside of a longer one", "split": name},
            method=f"rows of the split that a training text holds: {SHARE:.0%} of their runs of {RUN} words or more",
            unit="rows",
            on=on,
        )


def random_split_leakage(rows: Rows, columns: Columns, split: Split, test: float) -> list[Finding]:
    """What a naive random split of these rows would leak: test rows that have a like row in the rest.

    test: the share of the test split. Nothing where the charter's split is given or by time: there is no random split to
    compare with.
    """
    if rows.given_split(columns) is not None or split.time is not None:
        return []
    likeness = likeness_of(rows, columns)
    n = rows.height
    order = np.random.default_rng(split.seed).permutation(n)
    in_test = np.zeros(n, dtype=bool)
    in_test[order[: round(test * n)]] = True
    pairs = likeness.likes(rows, split.similarity).pairs
    leaked = _like_in_training(likeness.numbers(rows), pairs, in_test, ~in_test)
    return [
        Finding(
            "data",
            "leakage_of_random_split",
            float(leaked.sum()),
            n=int(in_test.sum()),
            method="rows of a plain random test split, none dropped for another one, "
            f"with a text in the rest at least {split.similarity:g} similar",
            unit="rows",
            on=frame_digest(pl.DataFrame({ROW: rows.numbers})),
        )
    ]


def _like_in_training(texts: Integers, pairs: Integers, held_out: Flags, training: Flags) -> Flags:
    """(n,) which held-out rows have a row of an equal or similar text in training."""
    trained = np.zeros(int(texts.max(initial=-1)) + 1, dtype=bool)
    trained[texts[training]] = True
    reached = trained.copy()
    reached[pairs[trained[pairs[:, 0]], 1]] = True
    reached[pairs[trained[pairs[:, 1]], 0]] = True
    leaked: Flags = held_out & reached[texts]
    return leaked


def _copied(texts: pl.Series) -> pl.Series:
    """Texts on their own: filtered ones would keep the whole chunk's text alive."""
    return pl.Series(texts.name, texts.to_arrow())

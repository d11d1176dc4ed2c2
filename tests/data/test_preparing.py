"""Duplicates and splits keep their promises."""

import random

import numpy as np
import polars as pl

from charter.data.columns import PLACE, ROW, SPLIT, Columns
from charter.data.duplicates import near_pairs
from charter.data.preparation import prepare
from charter.data.split import divide
from charter.spec.model import Split, Use

COLUMNS = Columns(inputs={"text": "text"}, target="label")


def frame(texts, labels=None, **more) -> pl.DataFrame:
    n = len(texts)
    columns = {
        ROW: range(1, n + 1),
        PLACE: [f"row {i}" for i in range(n)],
        "text": texts,
        "label": labels or ["a"] * n,
        **more,
    }
    return pl.DataFrame(columns, schema_overrides={ROW: pl.Int64})


def test_one_row_of_each_cluster_of_duplicates_stays():
    base = "the quick brown fox jumps over the lazy dog near the river bank today"
    texts = [base, base.upper(), base + "!", "something else entirely", base + " ok"]
    out = prepare(frame(texts), COLUMNS, [Use(use="drop_exact_duplicates"), Use(use="drop_near_duplicates")])
    assert out.frame[ROW].to_list() == [1, 4]
    assert set(out.dropped["by"]) == {"drop_exact_duplicates", "drop_near_duplicates"}


def test_near_pairs_agree_with_brute_force():
    rng = random.Random(5)
    words = [
        "alpha",
        "beta",
        "gamma",
        "delta",
        "epsilon",
        "zeta",
        "eta",
        "theta",
        "iota",
        "kappa",
        "lambda",
        "mu",
        "nu",
        "xi",
    ]
    texts = [" ".join(rng.choice(words) for _ in range(10)) for _ in range(60)]
    texts += [text.replace("alpha", "alphas", 1) + " end" for text in texts]
    grams = [{text[i : i + 5] for i in range(len(text) - 4)} for text in texts]
    true = {
        (i, j)
        for i in range(len(texts))
        for j in range(i + 1, len(texts))
        if len(grams[i] & grams[j]) >= 0.7 * len(grams[i] | grams[j])
    }
    found = {tuple(pair) for pair in near_pairs(pl.Series(texts), 0.7).tolist()}
    assert found <= true
    assert len(found) >= 0.9 * len(true)
    assert len(true) > 20


def test_likes_and_subjects_are_never_parted_and_balance_is_kept():
    rng = random.Random(1)
    texts = [f"{rng.random()} {rng.random()} text number {i}" for i in range(600)]
    texts[100:140] = ["the very same long text that stands here many times over"] * 40
    labels = [rng.choice("aab") for _ in texts]
    subjects = [f"p{i // 3}" for i in range(600)]
    columns = Columns(inputs={"text": "text"}, target="label", subject="who")
    out = divide(frame(texts, labels, who=subjects), columns, Split(test=0.2, similarity=0.8)).frame
    assert out.group_by("who").agg(pl.col(SPLIT).n_unique())[SPLIT].max() == 1
    assert out[100:140][SPLIT].n_unique() == 1
    shares = out.filter(pl.col(SPLIT) == "test")
    assert abs(shares.height / 600 - 0.2) < 0.03
    assert abs((shares["label"] == "a").mean() - (out["label"] == "a").mean()) < 0.08
    leaks = {
        tuple(f.slice.values()): f.value
        for f in divide(frame(texts, labels, who=subjects), columns, Split()).findings
        if f.metric == "leakage"
    }
    assert set(leaks.values()) == {0.0}


def test_given_parts_do_not_move_and_leakage_is_found():
    texts = [f"some long text with number {i} {i * 7919}" for i in range(20)]
    texts[19] = texts[0]
    given_parts = ["train"] * 15 + ["test"] * 5
    out = divide(frame(texts).with_columns(pl.Series(SPLIT, given_parts)), COLUMNS, Split(validation=0.2))
    names = out.frame[SPLIT].to_list()
    assert names[15:] == ["test"] * 5
    assert names.count("validation") == 3
    leak = next(f for f in out.findings if f.metric == "leakage" and f.slice["split"] == "test")
    assert leak.value >= (0 if names[0] == "validation" else 1)


def test_the_newest_rows_are_the_test_split():
    days = [f"2026-01-{day:02d}" for day in range(1, 29)]
    out = divide(
        frame([f"text {i} {i * i * 977}" for i in range(28)], time=days),
        Columns(inputs={"text": "text"}, target="label", time="time"),
        Split(time="time"),
    ).frame
    newest = out.filter(pl.col(SPLIT) == "test")["time"].min()
    assert out.filter(pl.col(SPLIT) == "train")["time"].max() < newest
    assert np.unique(out[SPLIT].to_numpy()).tolist() == ["calibration", "test", "train", "validation"]

"""Duplicates and splits keep their promises."""

import random
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charter.audits.resampling import clusters
from charter.data.columns import PLACE, ROW, SPLIT, Columns
from charter.data.passes import prepare, prepare_rows
from charter.data.preparations.duplicates import near_pairs
from charter.data.reading import sample_rows
from charter.data.rows import Rows
from charter.data.similarity import alike as similarity
from charter.data.similarity import setjoin
from charter.data.split import divide as split_rows
from charter.errors import DataError
from charter.spec.data import Split
from charter.spec.use import Use

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


def divide(rows: pl.DataFrame, columns: Columns, split: Split) -> SimpleNamespace:
    out = split_rows(Rows.of(rows), columns, split)
    return SimpleNamespace(frame=out.rows.collect(), findings=out.findings, notes=out.notes)


def likes_of(texts, at):
    joined = similarity.joined_texts(texts, at)
    return similarity.likes(joined, at, np.ones(len(texts), dtype=bool))


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
    assert found == true
    assert len(true) > 20


WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "房间", "很好", "x"]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(" ".join), min_size=2, max_size=40
    ),
    st.sampled_from([0.3, 0.5, 0.8, 0.95]),
    st.sampled_from([0, 3, 1000]),
)
def test_rows_that_are_alike_are_connected_and_pairs_are_true(texts, threshold, few):
    grams = [{text[i : i + 5] for i in range(max(len(text) - 4, 1))} for text in texts]
    true = {
        (i, j)
        for i in range(len(texts))
        for j in range(i + 1, len(texts))
        if len(grams[i] & grams[j]) >= threshold * len(grams[i] | grams[j]) - 1e-9
    }
    before, setjoin.FEW = setjoin.FEW, few
    try:
        found = near_pairs(pl.Series(texts), threshold)
    finally:
        setjoin.FEW = before
    pairs = {tuple(pair) for pair in found.tolist()}
    assert pairs <= true
    own = components(len(texts), pairs)
    assert all(own[i] == own[j] for i, j in true)
    if few == 1000 and len(set(texts)) == len(texts):
        assert pairs == true


def components(n, pairs):
    own = list(range(n))
    for i, j in pairs:
        old, new = own[i], own[j]
        own = [new if one == old else one for one in own]
    return own


def moulded(n, own, seed=1):
    """Texts of one mould of 30 words, `own` of them each text's own."""
    rng = random.Random(seed)
    words = ["".join(rng.choice("abcdefghijklmnop") for _ in range(7)) for _ in range(2000)]
    mould = [rng.choice(words) for _ in range(30 - own)]
    return [" ".join([*mould[:10], *(rng.choice(words) for _ in range(own)), *mould[10:]]) for _ in range(n)]


def test_many_texts_of_one_mould_take_few_comparisons():
    texts = list(dict.fromkeys(moulded(3000, 2)))
    found = likes_of(texts, 0.8)
    assert len(found.assumed) == 0
    assert len(found.pairs) < 200 * len(texts)
    unlike = likes_of(list(dict.fromkeys(moulded(3000, 6))), 0.8)
    assert len(unlike.pairs) < 20


def test_every_dropped_text_is_like_one_that_stays_and_none_that_stay_are_alike():
    texts = moulded(2000, 2)
    out = prepare(frame(texts), COLUMNS, [Use(use="drop_near_duplicates")])
    stay = set(out.frame[ROW].to_list())
    grams = [{text[i : i + 5] for i in range(len(text) - 4)} for text in texts]

    def alike(i, j):
        return len(grams[i] & grams[j]) >= 0.8 * len(grams[i] | grams[j]) - 1e-9

    for row in random.Random(2).sample(out.dropped[ROW].to_list(), 200):
        assert any(alike(row - 1, other - 1) for other in stay)
    assert not any(alike(i - 1, j - 1) for i in stay for j in stay if i < j)


def test_when_comparisons_run_out_texts_are_taken_for_alike_never_parted(monkeypatch):
    monkeypatch.setattr(similarity, "CHECKS_PER_TEXT", 0)
    monkeypatch.setattr(setjoin, "FEW", 2)
    texts = list(dict.fromkeys(moulded(60, 3)))
    found = likes_of(texts, 0.8)
    assert len(found.assumed) > 0
    own = components(len(texts), [tuple(one) for one in [*found.pairs.tolist(), *found.assumed.tolist()]])
    true = likes_of(texts, 0.8).pairs
    assert all(own[i] == own[j] for i, j in true.tolist())


def test_a_component_that_no_split_can_hold_is_said_and_the_rest_fills_the_fractions():
    chain = moulded(300, 1)
    other = [f"{number} {number * 7919} a text of its own {number * 104729}" for number in range(200)]
    rows = frame(chain + other, ["a", "b"] * 250)
    out = divide(rows, COLUMNS, Split(test=0.2, validation=0.1, calibration=0.05))
    assert out.frame[:300][SPLIT].n_unique() == 1
    assert out.notes == ()
    assert abs((out.frame[SPLIT] == "test").sum() - 100) <= 1
    out = divide(rows, COLUMNS, Split(test=0.4, validation=0.2, calibration=0.2))
    assert out.frame[:300][SPLIT].n_unique() == 1
    sizes = dict(out.frame[SPLIT].value_counts().iter_rows())
    assert sizes == {"train": 300, "test": 100, "validation": 50, "calibration": 50}
    assert "300 of 500 rows" in out.notes[0]
    assert {one.slice["split"] for one in out.findings if one.metric == "split_share"} >= {"test"}


def test_test_rows_of_one_mould_that_are_worth_few_are_told_with_what_to_do():
    parts = ["train" if at < 300 else "test" for at in range(600)]
    rows = frame(moulded(600, 2), [f"c{at % 2}" for at in range(600)], **{SPLIT: parts})
    (note,) = divide(rows, COLUMNS, Split()).notes
    assert "the 300 test rows are worth 1.0 independent ones" in note
    assert "set data.split.similarity to 1 (now 0.8)" in note
    assert divide(rows, COLUMNS, Split(similarity=1)).notes == ()


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


def test_duplicates_go_from_published_training_rows_only_and_the_leak_is_told():
    texts = [f"some long text with number {i} {i * 7919}" for i in range(20)]
    texts[1], texts[18], texts[19] = texts[0], texts[0], texts[0]
    published = frame(texts).with_columns(pl.Series(SPLIT, ["train"] * 15 + ["test"] * 5))
    prepared = prepare(
        published, COLUMNS, [Use(use="drop_exact_duplicates"), Use(use="drop_near_duplicates")]
    )
    assert prepared.dropped[ROW].to_list() == [2]
    leak = next(f for f in divide(prepared.frame, COLUMNS, Split()).findings if f.metric == "leakage")
    assert (leak.value, leak.n) == (2.0, 5)


def test_test_rows_stay_units_of_their_own_after_duplicates_of_published_training_rows_went():
    texts = [f"some long text with number {i} {i * 7919}" for i in range(20)]
    texts[1], texts[19] = texts[0], texts[0]
    published = frame(texts).with_columns(pl.Series(SPLIT, ["train"] * 15 + ["test"] * 5))
    prepared = prepare_rows([published], COLUMNS, [Use(use="drop_exact_duplicates")])
    out = split_rows(prepared.rows, COLUMNS, Split())  # the same stored rows, as in a run
    test = out.rows.collect().filter(pl.col(SPLIT) == "test")
    assert len(set(clusters(test, None).tolist())) == 5
    leak = next(f for f in out.findings if f.metric == "leakage" and f.slice["split"] == "test")
    assert (leak.value, leak.n) == (1.0, 5)


def test_leakage_counts_every_like_row_and_no_row_that_is_only_like_one_of_them():
    base = "the quick brown fox jumps over the lazy dog near the river bank today and again"
    other = "completely unrelated words stand here for nobody in particular to read at all"
    # test: A, B, A; train: B. A and B are alike, and A stands twice.
    texts = [base, base + "!", base, base + "!", other]
    parts = ["test", "test", "test", "train", "train"]
    found = divide(
        frame(texts).with_columns(pl.Series(SPLIT, parts)), COLUMNS, Split(similarity=0.8)
    ).findings
    assert next(f for f in found if f.metric == "leakage").value == 3.0
    # X is like Y, Y is like Z, X is not like Z: only Y leaks from Z.
    x, y, z = base, base + " a b c d e f", base + " a b c d e f g h i j k l"
    found = divide(
        frame([x, y, z, other]).with_columns(pl.Series(SPLIT, ["test", "test", "train", "train"])),
        COLUMNS,
        Split(similarity=0.85),
    ).findings
    assert next(f for f in found if f.metric == "leakage").value == 1.0


def test_a_sample_of_published_parts_is_of_the_training_rows():
    rows = frame([f"text {i}" for i in range(30)]).with_columns(
        pl.Series(SPLIT, ["train"] * 20 + ["test"] * 10)
    )
    sample = sample_rows(rows, COLUMNS, 5, 1)
    assert sample.frame[SPLIT].value_counts().sort(SPLIT)["count"].to_list() == [10, 5]
    assert sample.dropped.height == 15


def test_like_rows_of_a_test_split_count_as_one_unit():
    base = "the quick brown fox jumps over the lazy dog near the river bank today"
    texts = [f"{base} {'!' * (i % 3)}" for i in range(6)] + [
        f"text {i} {i * i * 977} of its own" for i in range(30)
    ]
    out = divide(
        frame(texts).with_columns(pl.Series(SPLIT, ["test"] * 6 + ["train"] * 30)), COLUMNS, Split()
    ).frame
    assert len(set(clusters(out.filter(pl.col(SPLIT) == "test"), None).tolist())) == 1
    assert len(set(clusters(out.filter(pl.col(SPLIT) == "train"), None).tolist())) == 30


@pytest.mark.parametrize(
    ("more", "columns", "split", "said"),
    [
        ({"time": ["2026-01-01"] * 9}, {"time": "time"}, {"time": "time"}, "all rows have one time"),
        ({"who": ["person 1"] * 9}, {"subject": "who"}, {}, "of one subject"),
    ],
)
def test_a_split_that_can_not_be_says_why(more, columns, split, said):
    rows = frame([f"text {i} {i * i * 977}" for i in range(9)], **more)
    with pytest.raises(DataError, match=said):
        divide(rows, Columns(inputs={"text": "text"}, target="label", **columns), Split(**split))
    with pytest.raises(DataError, match=r"look at data\.max_rows"):
        divide(rows[:0], Columns(inputs={"text": "text"}, target="label", **columns), Split(**split))


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

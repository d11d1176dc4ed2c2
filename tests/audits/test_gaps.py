"""The gap between groups: right on known cases, and its interval covers the truth also where there is no gap."""

import dataclasses

import numpy as np
import polars as pl
import pytest

from charter.audits.gaps import FEW, gap, gap_of, group_differences

from .test_pairing import HOW, TRUTH, answered, wrong


def grouped(answers, groups):
    one = answered(TRUTH[: len(answers)], answers)
    return dataclasses.replace(one, rows=one.rows.with_columns(pl.Series("city", groups)))


CITIES = ["Oslo" if place % 4 == 0 else None if place % 4 == 1 else "Paris" for place in range(len(TRUTH))]
NAMES = ("(missing)", "Oslo", "Paris")


def test_the_gap_is_the_largest_minus_the_smallest_score_of_groups():
    in_oslo = np.array([one == "Oslo" for one in CITIES])
    answers = np.where(in_oslo, wrong(TRUTH, 0.5, 2), TRUTH)
    found = gap(grouped(answers, CITIES), "city", NAMES, "accuracy", HOW)
    assert found.value == pytest.approx(1 - (answers == TRUTH)[in_oslo].mean())
    assert found.smallest == "Oslo"
    assert 0 < found.low < found.value < found.high
    ranked = gap(grouped(answers, CITIES), "city", NAMES, "auroc", HOW)
    assert ranked.value > 0.1
    assert ranked.low < ranked.value < ranked.high


def test_the_interval_covers_no_gap_where_there_is_none_and_a_real_one_where_there_is():
    rng = np.random.default_rng(5)
    held = {0.0: 0, 0.2: 0}
    trials = 60
    for trial in range(trials):
        for true in held:
            share = np.array([0.2 + true if one == "Oslo" else 0.2 for one in CITIES])
            answers = np.where(rng.random(len(TRUTH)) < share, (TRUTH + 1) % 3, TRUTH)
            how = dataclasses.replace(HOW, resamples=200, seed=trial)
            found = gap(grouped(answers, CITIES), "city", NAMES, "accuracy", how)
            held[true] += found.low <= true <= found.high
    assert all(count >= 0.87 * trials for count in held.values())  # 95 %, less three standard errors


def test_too_few_groups_and_scores_that_no_group_has_are_told():
    one = grouped(TRUTH, CITIES)
    assert gap(one, "city", ("Oslo",), "accuracy", HOW).because == FEW
    assert gap(one, "city", NAMES, "perplexity", HOW).value is None
    bare = gap_of("city", "accuracy", {"Oslo": 0.5, "Paris": 0.75}, "its answers are gone")
    assert (bare.value, bare.low, bare.largest) == (0.25, None, "Paris")


def test_each_group_is_compared_on_its_own_rows():
    in_oslo = np.array([one == "Oslo" for one in CITIES])
    worse = np.where(in_oslo, wrong(TRUTH, 0.5, 2), TRUTH)
    found = group_differences(grouped(TRUTH, CITIES), grouped(worse, CITIES), "city", NAMES, "accuracy", HOW)
    assert found["Oslo"].value == pytest.approx((worse == TRUTH)[in_oslo].mean() - 1)
    assert found["Oslo"].high < 0
    assert found["Paris"].value == 0

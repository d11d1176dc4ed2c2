"""Exposure ranks a canary among texts never learned from; word-for-word continuation is what greedy writing would give."""

import numpy as np
import pytest

from charter.audits.memorised import continued, exposure


def test_a_canary_that_is_likelier_than_all_references_has_the_highest_exposure():
    found = exposure(np.array([1.0, 99.0]), np.arange(10.0, 1033.0))
    assert found.most == pytest.approx(10.0)
    assert found.exposure[0] == pytest.approx(10.0)
    assert found.rank.tolist() == [1, 90]


def test_a_canary_that_left_no_trace_has_the_exposure_of_chance():
    drawn = np.random.default_rng(0).normal(size=(4000, 1))
    found = exposure(drawn[:2000, 0], drawn[2000:, 0])
    assert found.exposure.mean() == pytest.approx(1 / np.log(2), abs=0.15)


def test_ties_count_against_the_model():
    assert exposure(np.array([5.0]), np.array([5.0, 5.0, 6.0])).rank.tolist() == [1]


def test_a_text_is_continued_only_where_every_token_agrees():
    truth = [np.arange(8), np.arange(8), np.arange(5), np.arange(8)]
    told = [np.arange(8), np.arange(8), np.arange(5), np.array([9, 9, 9, 3, 4, 5, 9, 9])]
    told[1] = np.array([0, 1, 2, 3, 9, 5, 6, 7])
    assert continued(truth, told, 3, 3).tolist() == [True, False, False, True]

"""Membership inference: attacks find what was learned, their intervals cover, the control tells a shift from a leak."""

import numpy as np
import pytest
from scipy.stats import norm

from charter.audits.membership import (
    Shadows,
    Signals,
    attack_scores,
    balanced_inclusion,
    blind,
    lira,
    rmia,
)
from charter.audits.roc import (
    Scored,
    area_under_curve,
    clopper_pearson,
    curve,
    others_needed,
    true_positive_rate,
)


def scored(scores):
    return Scored(np.asarray(scores, dtype=float), np.arange(len(scores)))


def world(rows=4000, models=16, gain=1.0, seed=0):
    """Rows of different difficulty, whose log odds rise by `gain` in models that learned them."""
    rng = np.random.default_rng(seed)
    ease = rng.normal(0, 3, rows)
    included = balanced_inclusion(np.arange(rows), models + 1, 0.5, seed)
    odds = ease + gain * included + rng.normal(0, 0.5, included.shape)
    signals = Signals(-np.logaddexp(0, -odds), odds)
    member = included[0]
    target = Signals(signals.likelihood[0], signals.odds[0])
    shadows = Shadows(Signals(signals.likelihood[1:], signals.odds[1:]), included[1:])
    return target, shadows, member


def auc(scores, member):
    return area_under_curve(scored(scores[member]), scored(scores[~member]), 0.95)


def test_attacks_with_shadow_models_find_more_than_the_loss_alone():
    target, shadows, member = world()
    found = {name: auc(attack_scores(name, target, shadows, ~member), member) for name in
             ("loss", "lira", "lira_offline", "rmia", "rmia_offline")}  # fmt: skip
    assert found["loss"].value < 0.63
    best = norm.cdf(1.0 / (0.5 * np.sqrt(2)))  # of someone who knows every row's mean
    assert found["lira"].value == pytest.approx(best, abs=0.03)
    assert found["lira_offline"].value > 0.8
    assert min(found["rmia"].low, found["rmia_offline"].low) > found["loss"].high


def test_nothing_is_found_where_nothing_was_learned():
    target, shadows, member = world(gain=0.0)
    for name in ("loss", "lira", "lira_offline", "rmia", "rmia_offline"):
        found = auc(attack_scores(name, target, shadows, ~member), member)
        assert found.low < 0.51 and found.high > 0.49


def test_lira_is_the_ratio_of_normal_densities():
    values = np.array([[1.0, 0.0], [2.0, 1.0], [5.0, 4.0], [7.0, 4.5]])
    included = np.array([[True, False], [True, False], [False, True], [False, True]])
    target = np.array([1.2, 3.0])
    own = [norm(1.5, np.std([1, 2], ddof=1)), norm(4.25, np.std([4, 4.5], ddof=1))]
    out = [norm(6.0, np.std([5, 7], ddof=1)), norm(0.5, np.std([0, 1], ddof=1))]
    expected = [own[at].logpdf(target[at]) - out[at].logpdf(target[at]) for at in (0, 1)]
    assert lira(target, values, included, online=True, fixed_variance=False) == pytest.approx(expected)
    offline = [(1.2 - 6.0) / np.std([5, 7], ddof=1), (3.0 - 0.5) / np.std([0, 1], ddof=1)]
    assert lira(target, values, included, online=False, fixed_variance=False) == pytest.approx(offline)


def test_one_variance_for_all_rows_is_better_with_few_shadow_models():
    target, shadows, member = world(models=6)
    values, included = shadows.signals.odds, shadows.included
    fixed, own = (
        lira(target.odds, values, included, online=True, fixed_variance=one) for one in (True, False)
    )
    assert auc(fixed, member).value > auc(own, member).value + 0.02
    assert np.array_equal(fixed, lira(target.odds, values, included, online=True))


def test_rmia_counts_the_population_that_is_exceeded_gamma_times():
    target = np.log([0.9, 0.5, 0.2, 0.6])
    shadows = np.log([[0.5, 0.5, 0.4, 0.2], [0.3, 0.3, 0.2, 0.4]])
    included = np.array([[True, False, True, False], [False, True, False, True]])
    others = np.array([False, True, True, True])
    quotient = np.array([0.9 / 0.4, 0.5 / 0.4, 0.2 / 0.3, 0.6 / 0.3])
    found = rmia(target, shadows, included, others, online=True)
    expected = np.asarray([sum(quotient[x] / quotient[z] >= 2 for z in (1, 2, 3)) / 3 for x in range(4)])
    assert np.all((found >= expected - 1e-9) & (found < expected + 1 / 3))
    assert np.array_equal(np.argsort(found), np.argsort(quotient))


def test_the_control_tells_rows_that_differ_anyway_from_a_leak():
    _target, shadows, member = world(gain=0.0)
    shift = 2.0 * member
    moved = Shadows(Signals(shadows.signals.likelihood, shadows.signals.odds + shift), shadows.included)
    assert auc(blind(shadows), member).low < 0.5 < auc(blind(shadows), member).high
    assert auc(blind(moved), member).low > 0.6


def test_each_unit_is_learned_by_the_same_number_of_models_and_stays_together():
    units = np.repeat(np.arange(30), 3)
    included = balanced_inclusion(units, 10, 0.5, 1)
    assert (included.sum(axis=0) == 5).all()
    assert (included.reshape(10, 30, 3).std(axis=2) == 0).all()
    assert included[:, ::3].mean(axis=1).std() > 0  # drawn, not taken in turn
    odd = balanced_inclusion(np.arange(3000), 3, 0.5, 1)
    assert set(odd.sum(axis=0)) == {1, 2}
    assert odd.mean() == pytest.approx(0.5, abs=0.01)


def test_the_exact_interval_is_that_of_scipy():
    from scipy.stats import binomtest

    told = binomtest(3, 50).proportion_ci(0.95, "exact")
    assert clopper_pearson(3, 50, 0.025) == pytest.approx((told.low, told.high))
    assert clopper_pearson(0, 50, 0.025)[0] == 0.0
    assert clopper_pearson(50, 50, 0.025)[1] == 1.0


@pytest.mark.parametrize("rate", [0.01, 0.001])
def test_intervals_of_true_positive_rates_cover_the_truth_although_the_threshold_is_estimated(rate):
    rng, others, shift = np.random.default_rng(3), others_needed(rate), 1.5
    truth = norm.sf(norm.isf(rate) - shift)
    covered = naive = 0
    for _ in range(400):
        members, rest = rng.normal(shift, 1, 2000), rng.normal(0, 1, others)
        found = true_positive_rate(scored(members), scored(rest), rate, 0.95)
        covered += found.low <= truth <= found.high
        count = round(found.value * 2000)
        low, high = clopper_pearson(count, 2000, 0.025)
        naive += low <= truth <= high
    assert covered / 400 >= 0.95
    assert naive / 400 < 0.8  # an interval that takes the threshold as known is far too narrow


def test_the_rate_is_the_share_above_the_threshold_and_ties_are_not_counted_as_found():
    others = np.r_[np.full(20, 5.0), np.arange(980) / 1000]
    members = np.r_[np.full(500, 5.0), np.full(500, 9.0)]
    found = true_positive_rate(scored(members), scored(others), 0.01, 0.95)
    assert found.value == 0.5
    assert found.high == 1.0


def test_rows_that_belong_together_count_as_one():
    rng = np.random.default_rng(5)
    members, others = rng.normal(1, 1, 1000), rng.normal(0, 1, 2000)
    alone = area_under_curve(scored(members), scored(others), 0.95)
    copies = Scored(np.repeat(members[:100], 10), np.repeat(np.arange(100), 10))
    together = area_under_curve(copies, scored(others), 0.95)
    assert together.high - together.low > 2 * (alone.high - alone.low)
    assert copies.worth == pytest.approx(100)


def test_intervals_of_the_area_cover_the_truth_about_as_often_as_they_say():
    rng, covered = np.random.default_rng(8), 0
    for _ in range(300):
        found = area_under_curve(scored(rng.normal(0.5, 1, 80)), scored(rng.normal(0, 1, 120)), 0.95)
        covered += found.low <= norm.cdf(0.5 / np.sqrt(2)) <= found.high
    assert 0.92 <= covered / 300 <= 0.985


def test_the_curve_goes_from_the_first_false_positive_to_everybody():
    rng = np.random.default_rng(2)
    drawn = curve(scored(rng.normal(2, 1, 500)), scored(rng.normal(0, 1, 800)))
    assert drawn["false"][0] == pytest.approx(1 / 800)
    assert drawn["false"][-1] == 1.0
    assert drawn["true"][-1] == pytest.approx(1.0, abs=0.01)
    assert drawn["true"] == sorted(drawn["true"])


def test_scores_that_many_have_are_no_point_of_the_curve_that_nobody_can_reach():
    others, members = np.r_[np.zeros(900), np.ones(100)], np.r_[np.zeros(50), np.ones(50)]
    drawn = curve(scored(members), scored(others))
    assert drawn == {"false": [0.1, 1.0], "true": [0.5, 1.0]}

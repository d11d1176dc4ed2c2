"""Suggestions depend on the finished trials only; the charter's own values come first; nothing is tried twice."""

import math

import pytest

from charter.spec.search import Range
from charter.training.search import Trial, best_trial, read_trial, should_prune, suggest

RATES = {"learning_rate": Range(1e-6, 1e-3, logarithmic=True)}
OWN = {"learning_rate": 5e-5, "batch_size": 32, "epochs": 3, "schedule": "linear"}


def ended(number, values, score=0.5, scores=None, state="complete"):
    return Trial(number, values, state, tuple(scores or (score,)), score, 10, 1.0)


def after(space, count, score=lambda _: 0.5, seed=7, own=OWN):
    trials = []
    for number in range(1, count + 1):
        values = suggest(space, trials, own, seed=seed)
        if values is None:
            break
        trials.append(ended(number, values, score(values)))
    return trials


def test_the_charters_own_values_are_tried_first_where_they_lie_in_the_space():
    assert suggest(RATES, [], OWN, seed=7) == {"learning_rate": 5e-5}
    elsewhere = suggest(RATES, [], {"learning_rate": 0.5}, seed=7)
    assert 1e-6 <= elsewhere["learning_rate"] <= 1e-3


def test_a_suggestion_depends_on_the_finished_trials_and_the_seed_only():
    whole = after(RATES, 9)
    again = suggest(RATES, [read_trial(one.as_json()) for one in whole[:6]], OWN, seed=7)
    assert again == whole[6].values
    assert [one.values for one in after(RATES, 9, seed=8)][1:] != [one.values for one in whole][1:]


def test_numbers_have_four_digits_and_stay_within_the_range():
    for one in after(
        {"weight_decay": Range(0.0123456, 0.0123999, logarithmic=True)}, 9, own={"weight_decay": 0}
    ):
        value = one.values["weight_decay"]
        assert 0.0123456 <= value <= 0.0123999
        assert value in (0.0123456, 0.0123999) or value == float(f"{value:.4g}")


def test_the_search_learns_where_good_settings_are():
    def score(values):
        return 1 - abs(math.log10(values["learning_rate"] / 2e-4))

    found = after(RATES, 20, score, own={"learning_rate": 1.0})
    near = [abs(math.log10(one.values["learning_rate"] / 2e-4)) < 0.5 for one in found]
    assert sum(near[10:]) > sum(near[:10])
    assert best_trial(found).score > 0.9


@pytest.mark.parametrize("choices", [(8, 16, 32), tuple(range(1, 10))], ids=["few", "many"])
def test_each_setting_of_a_finite_space_is_tried_once_and_then_no_more(choices):
    found = after({"batch_size": choices}, 30)
    assert sorted(one.values["batch_size"] for one in found) == sorted(choices)


def test_null_and_words_can_be_chosen():
    space = {"class_weights": ("balanced", None), "schedule": ("linear", "cosine", "constant")}
    found = after(space, 10, own={"class_weights": None, "schedule": "linear"})
    assert found[0].values == {"class_weights": None, "schedule": "linear"}
    assert len(found) == 6


@pytest.mark.parametrize("how", ["median", "successive_halving"])
def test_a_trial_much_worse_than_those_before_it_is_stopped_and_a_better_one_is_not(how):
    before = [
        ended(number, {"learning_rate": 1e-5 * number}, 0.9, (0.7, 0.8, 0.9, 0.9)) for number in range(1, 8)
    ]
    assert should_prune(RATES, before, {"learning_rate": 9e-4}, (0.1,), how)
    assert not should_prune(RATES, before, {"learning_rate": 9e-4}, (0.95,), how)


def test_the_earliest_of_equal_trials_is_the_best_and_pruned_ones_never_are():
    trials = [
        ended(1, {}, 0.5),
        ended(2, {}, 0.9, state="pruned"),
        ended(3, {}, 0.8),
        ended(4, {}, 0.8),
        ended(5, {}, None, (), "failed"),
    ]
    assert best_trial(trials).number == 3
    assert best_trial(trials[1:2]) is None

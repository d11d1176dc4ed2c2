"""The lower bound of epsilon: below the truth as often as it says, sharp on randomised response, honest about its reach."""

import math

import numpy as np
import pytest

from charter.audits.one_run import (
    Choice,
    choices_of,
    epsilon_shown,
    largest_shown,
    lower_bound,
    p_value,
)


def flipped(m, epsilon, rng):
    """Randomised response: each coin told truly with the odds that epsilon allows."""
    included = rng.random(m) < 0.5
    true = rng.random(m) < 1 / (1 + math.exp(-epsilon))
    return np.where(true, included, ~included).astype(float) + rng.random(m) * 0.1, included


@pytest.mark.parametrize(("epsilon", "least"), [(1.0, 0.93), (2.0, 1.88), (4.0, 3.85)])
def test_randomised_response_is_bounded_closely_from_below(epsilon, least):
    scores, included = flipped(100_000, epsilon, np.random.default_rng(4))
    every = (Choice(50_000, 50_000),)
    bound = lower_bound(scores, included, confidence=0.95, choices=every)
    assert least < bound.epsilon <= epsilon


@pytest.mark.parametrize(("canaries", "epsilon"), [(10, 1.0518), (62, 3.0057)], ids=["ten", "sixty-two"])
def test_faultless_guesses_show_no_more_than_their_number_allows(canaries, epsilon):
    assert epsilon_shown(canaries, canaries, canaries, level=0.05) == pytest.approx(epsilon, abs=1e-3)
    included = np.arange(canaries) % 2 == 0
    bound = lower_bound(included.astype(float), included, confidence=0.95)
    assert bound.epsilon <= epsilon + 1e-3
    assert bound.largest == pytest.approx(bound.epsilon)
    assert bound.right == bound.choice.guesses


def test_the_p_value_is_the_binomial_tail_and_more_with_a_delta():
    from scipy.stats import binom

    accuracy = 1 / (1 + math.exp(-1.0))
    assert p_value(100, 60, 50, 1.0, 0.0) == pytest.approx(binom.sf(49, 60, accuracy))
    with_delta = p_value(100, 60, 50, 1.0, 1e-4)
    sums = [sum(binom.pmf(50 - k, 60, accuracy) for k in range(1, i + 1)) / i for i in range(1, 51)]
    assert with_delta == pytest.approx(binom.sf(49, 60, accuracy) + 2 * 100 * 1e-4 * max(sums))


def test_a_larger_delta_shows_less():
    shown = [epsilon_shown(1000, 200, 180, level=0.05, delta=delta) for delta in (0.0, 1e-5, 1e-3)]
    assert shown[0] >= shown[1] > shown[2]


def test_the_choices_are_fixed_beforehand_and_pay_for_each_other():
    assert choices_of(10) == (Choice(5, 5),)
    assert len(choices_of(1000)) == 12
    assert all(one.guesses <= 1000 for one in choices_of(1000))
    one = largest_shown(1000, confidence=0.95, choices=(Choice(500, 500),))
    assert largest_shown(1000, confidence=0.95) < one


@pytest.mark.parametrize("separation", [0.0, 1.0])
def test_the_bound_of_a_normal_mechanism_is_below_its_epsilon_in_nearly_all_runs(separation):
    """Each canary's score is drawn around 0 or `separation` with deviation 1: the Gaussian mechanism of noise 1/separation."""
    from scipy.stats import norm

    delta, rng, over, runs = 1e-5, np.random.default_rng(6), 0, 100
    epsilon = 0.0
    if separation:  # Balle and Wang 2018, theorem 8
        grid = np.linspace(0, 20, 40_001)
        holds = norm.cdf(separation / 2 - grid / separation) - np.exp(grid) * norm.cdf(
            -separation / 2 - grid / separation
        )
        epsilon = float(grid[np.argmax(holds <= delta)])
    for _ in range(runs):
        included = rng.random(400) < 0.5
        scores = rng.normal(0, 1, 400) + separation * included
        bound = lower_bound(scores, included, confidence=0.95, delta=delta)
        over += bound.epsilon > epsilon
    assert over / runs <= 0.05


def test_what_noise_would_have_hidden_is_seen_without_it():
    included = np.random.default_rng(0).random(500) < 0.5
    bound = lower_bound(included * 1.0, included, confidence=0.95, delta=1e-5)
    assert bound.epsilon > 3


@pytest.mark.parametrize("wrong", [(10, 11, 5), (10, 5, 6), (10, 5, -1)])
def test_counts_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match="guesses"):
        p_value(*wrong, 1.0, 0.0)

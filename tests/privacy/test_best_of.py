"""The best of a random number of runs: its number, its exact distribution by enumeration, dp-accounting's own figures, the ledger."""

import json
import math

import numpy as np
import pytest
from dp_accounting import GaussianDpEvent, rdp
from dp_accounting.dp_event import RepeatAndSelectDpEvent
from scipy.special import logsumexp
from scipy.stats import norm

from charter.errors import LedgerError
from charter.privacy.accounting import DISTRIBUTIONS, BestOf, Gaussian, Sampled, changed, epsilon, noise_for
from charter.privacy.best_of import ORDERS, Numbers, bound
from charter.privacy.entries import Held, mechanism_json, mechanism_of
from charter.privacy.filters import Budget, curve
from charter.privacy.ledger import Asked, Ledger, identity_of
from charter.privacy.plan import Spend
from charter.privacy.renyi import divergence

DELTA = 1e-5
MOST = 4000
"""More runs than this are too rare to count here."""
SHAPES = {"geometric": 1.0, "logarithmic": 0.0}


def chances(numbers):
    return np.array([numbers.chance(count) for count in range(1, MOST)])


def best(outcomes, numbers):
    """The chance of each outcome, from the worst to the best, to be the best of a random number of runs: by enumeration of that number."""
    up_to, counts = np.minimum(np.cumsum(outcomes), 1.0), np.arange(1, MOST)[:, None]
    with np.errstate(divide="ignore"):
        step = np.log1p(
            -np.minimum(outcomes / up_to, 1.0)
        )  # the last of so many powers less that of the outcome below
    return (chances(numbers)[:, None] * up_to**counts * -np.expm1(counts * step)).sum(axis=0)


def divergences(one, other, orders):
    return np.array([logsumexp(a * np.log(one) + (1 - a) * np.log(other)) / (a - 1) for a in orders])


def hockey_stick(one, other, at):
    return float(np.maximum(one - math.exp(at) * other, 0).sum())


def both(of, one, other, at):
    """The larger of both directions."""
    return np.maximum(of(one, other, at), of(other, one, at))


def bounded(numbers, one, other, orders):
    """What is promised of the best, for runs whose outcomes are known exactly."""
    return bound(
        numbers,
        orders,
        both(divergences, one, other, orders),
        others=(ORDERS, both(divergences, one, other, ORDERS)),
        delta=lambda at: [both(hockey_stick, one, other, each) for each in at],
    )


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("mean", [2, 12])
def test_there_is_always_a_run_and_as_many_as_asked_on_average(distribution, mean):
    numbers = Numbers(distribution, mean)
    found = chances(numbers)
    assert numbers.chance(0) == 0.0
    assert found.sum() == pytest.approx(1.0, abs=1e-9)
    assert (found * np.arange(1, MOST)).sum() == pytest.approx(mean, rel=1e-6)
    drawn = [numbers.drawn(uniform) for uniform in np.random.default_rng(5).random(4000)]
    assert min(drawn) >= 1
    for count in (1, 2, mean):
        share = np.mean(np.array(drawn) == count)
        assert share == pytest.approx(numbers.chance(count), abs=4 * math.sqrt(0.25 / len(drawn)))
    assert numbers.drawn(1 - 2**-53) > mean


TRIALS = {
    "randomised response": (np.array([0.3, 0.7]), np.array([0.7, 0.3])),
    "the best outcome is rare": (np.array([0.99, 0.01]), np.array([0.985, 0.015])),
    "the worst outcome is rare": (np.array([0.02, 0.98]), np.array([0.01, 0.99])),
    "five outcomes": (np.array([0.1, 0.2, 0.4, 0.2, 0.1]), np.array([0.12, 0.15, 0.38, 0.23, 0.12])),
}


def gaussian(mean, noise=4.0):
    """A Gaussian release as 400 outcomes in their order."""
    at = np.linspace(-8 * noise, 8 * noise + 1, 400)
    found = norm.pdf(at, mean, noise)
    return found / found.sum()


TRIALS["a Gaussian release, higher is better"] = (gaussian(0.0), gaussian(1.0))
TRIALS["a Gaussian release, lower is better"] = (gaussian(0.0)[::-1], gaussian(1.0)[::-1])


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("trial", TRIALS)
@pytest.mark.parametrize("mean", [2, 5, 20])
def test_the_best_never_tells_more_than_promised(distribution, trial, mean):
    one, other = TRIALS[trial]
    numbers, orders = Numbers(distribution, mean), np.array([1.2, 1.5, 2, 3, 5, 9, 17, 33])
    exact = both(divergences, best(one, numbers), best(other, numbers), orders)
    promised = bounded(numbers, one, other, orders)
    assert np.all(exact <= promised + 1e-9)
    assert np.all(exact > 0)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_a_promise_of_one_run_would_be_broken_and_that_of_the_best_is_not_absurdly_loose(distribution):
    """The exact epsilon of the best: above that of one run, below what is charged, and at least a third of it."""
    one, other = gaussian(0.0), gaussian(1.0)
    numbers = Numbers(distribution, 10)
    made = best(one, numbers), best(other, numbers)

    def exact_of(pair):
        low, high = 0.0, 20.0
        for _ in range(60):
            middle = (low + high) / 2
            worst = both(hockey_stick, *pair, middle)
            low, high = (middle, high) if worst > DELTA else (low, middle)
        return high

    charged = epsilon(BestOf(Gaussian(4.0), distribution, 10), DELTA)
    exact = exact_of(made)
    assert exact_of((one, other)) < exact < charged
    assert charged < 3 * exact


@pytest.mark.parametrize("distribution", ["geometric", "logarithmic"])
@pytest.mark.parametrize("mean", [3, 10, 100])
def test_divergences_are_those_of_dp_accounting(distribution, mean):
    orders = list(ORDERS)
    theirs = rdp.RdpAccountant(orders)
    theirs.compose(RepeatAndSelectDpEvent(GaussianDpEvent(5.0), mean, SHAPES[distribution]))
    ours = divergence(BestOf(Gaussian(5.0), distribution, mean), orders)
    assert list(ours) == pytest.approx(list(theirs.rdp), rel=1e-6)


def test_a_poisson_number_costs_less_than_by_dp_accounting_which_takes_delta_from_renyi_divergences():
    orders = list(ORDERS)
    theirs = rdp.RdpAccountant(orders)
    theirs.compose(RepeatAndSelectDpEvent(GaussianDpEvent(5.0), 10, math.inf))
    ours = divergence(BestOf(Gaussian(5.0), "poisson", 10), orders)
    assert np.all(ours <= np.array(theirs.rdp) + 1e-9)
    order = ORDERS[20]  # by hand: a Gaussian's delta is known (Balle and Wang 2018)
    at, shift = math.log1p(1 / (order - 1)), 1 / 5.0
    delta = norm.cdf(shift / 2 - at / shift) - math.exp(at) * norm.cdf(-shift / 2 - at / shift)
    by_hand = order / 50 + 10 * (1 - math.exp(-10)) * delta + math.log(10) / (order - 1)
    assert ours[20] == pytest.approx(by_hand, rel=2e-3)


@pytest.mark.parametrize(
    ("distribution", "neighbouring"),
    [
        pytest.param("poisson", "add_or_remove", marks=pytest.mark.slow),
        pytest.param("poisson", "replace_one", marks=pytest.mark.slow),
        ("geometric", "replace_one"),
        ("logarithmic", "add_or_remove"),
    ],
)
def test_the_noise_keeps_the_whole_search_within_the_budget(distribution, neighbouring):
    asked = {"rate": 0.1, "steps": 20, "neighbouring": neighbouring}
    noise = noise_for(3.0, DELTA, distribution=distribution, mean=8, **asked)
    whole = BestOf(Sampled(0.1, noise, 20), distribution, 8)
    assert 2.9 < epsilon(whole, DELTA, neighbouring=neighbouring) <= 3.0
    assert noise > 1.1 * noise_for(3.0, DELTA, **asked)


def test_more_trials_cost_more_and_longer_ones_too():
    def cost(mean, steps=20, noise=2.0):
        return epsilon(BestOf(Sampled(0.1, noise, steps), "geometric", mean), DELTA)

    assert cost(2) < cost(4) < cost(16)
    assert cost(4) < cost(4, steps=40)
    assert cost(4, noise=3.0) < cost(4)
    assert cost(4, steps=0) == 0.0
    assert cost(4, noise=0.0) == math.inf


def test_a_search_adds_up_with_other_releases_by_its_divergences():
    search, counts = BestOf(Sampled(0.1, 3.0, 20), "geometric", 6), Gaussian(20.0, 4)
    together = epsilon((search, counts), DELTA)
    assert epsilon(search, DELTA) < together < epsilon(search, DELTA) + epsilon(counts, DELTA)
    assert np.all(curve([search, counts], "replace_one") > curve([search], "replace_one"))


@pytest.mark.parametrize("run", [Sampled(0.1, 3.0, 20), Gaussian(2.5)])
def test_a_search_is_read_back_from_the_ledger_as_it_was_written(run):
    search = BestOf(run, "logarithmic", 12.0)
    assert mechanism_of(json.loads(json.dumps(mechanism_json(search)))) == search
    assert changed(search, steps=3).run.steps == 3
    assert changed(search, noise=9.0).noise == 9.0
    for wrong in ({"distribution": "uniform"}, {"run": mechanism_json(search)}):
        with pytest.raises(ValueError, match=r"uniform|best_of"):
            mechanism_of({**mechanism_json(search), **wrong})


def test_a_search_is_charged_once_and_fills_its_budget_beside_other_runs(tmp_path):
    ledger = Ledger(tmp_path / "ledger")
    search = BestOf(Sampled(0.1, 4.0, 20), "poisson", 6)

    def ask(secret, made):
        spend = Spend(epsilon(made, DELTA), DELTA, (made,))
        key = identity_of(secret, "search")
        return Asked("people", "row", "add_or_remove", spend, key, Held("a run", "", ""), epochs=2)

    first = ledger.reserve(ask(b"1", search), Budget(4.0, DELTA))
    assert ledger.reserve(ask(b"1", search), None).again
    ledger.settle(first)
    (account,) = ledger.statement().accounts
    assert account.spent == pytest.approx(epsilon(search, DELTA))
    assert "best of a random number of trials" in account.charges[0].accountant
    ledger.reserve(ask(b"2", Gaussian(8.0)), None)
    (account,) = ledger.statement().accounts
    assert len(account.charges) == 2
    assert epsilon((search, Gaussian(8.0)), DELTA) <= account.spent < 4.0
    with pytest.raises(LedgerError, match="another plan"):
        ledger.reserve(ask(b"1", BestOf(search.run, "poisson", 7)), None)

"""The accountant's table: our epsilon beside dp-accounting's own, Opacus's and what was measured before; a row replaced; the filter."""

import math
import warnings

import numpy as np
import pytest
from dp_accounting import (
    GaussianDpEvent,
    NeighboringRelation,
    PoissonSampledDpEvent,
    SelfComposedDpEvent,
    pld,
    rdp,
)

from charter.privacy.accounting import Gaussian, Sampled, epsilon, noise_for
from charter.privacy.filters import ORDERS, Budget, Favoured, curve, epsilon_of, favourite
from charter.privacy.renyi import divergence

DELTA = 1e-5
TABLE = [  # sampled, and what was measured of it: Renyi, loss distributions, Opacus's PRV
    (Sampled(256 / 60000, 1.1, 14062), 2.5966, 2.3817, 2.3917),
    (Sampled(256 / 60000, 1.0, 1000), 1.0979, 0.7276, 0.7377),
]


@pytest.mark.parametrize(("sampled", "renyi", "loss", "prv"), TABLE)
def test_epsilon_is_that_of_dp_accounting_and_near_opacus(sampled, renyi, loss, prv):
    event = SelfComposedDpEvent(
        PoissonSampledDpEvent(sampled.rate, GaussianDpEvent(sampled.noise)), sampled.steps
    )
    theirs = [
        accountant().compose(event).get_epsilon(DELTA)
        for accountant in (pld.PLDAccountant, rdp.RdpAccountant)
    ]
    ours = [epsilon(sampled, DELTA), epsilon(sampled, DELTA, "rdp")]
    assert ours == pytest.approx(theirs, rel=1e-6)
    assert ours == pytest.approx([loss, renyi], abs=2e-4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from opacus.accountants import PRVAccountant, RDPAccountant

        found = []
        for kind in (PRVAccountant, RDPAccountant):
            accountant = kind()
            accountant.history = [(sampled.noise, sampled.rate, sampled.steps)]
            found.append(accountant.get_epsilon(delta=DELTA))
    assert found == pytest.approx([prv, renyi], abs=2e-4)
    assert ours[0] == pytest.approx(found[0], abs=0.011)  # PRV's own error is 0.01
    assert ours[1] == pytest.approx(found[1], rel=2e-3)  # by the orders that each takes


def test_several_mechanisms_fixed_beforehand_cost_less_than_their_sum():
    parts = (Sampled(0.01, 1.0, 500), Gaussian(20.0, 4))
    together = epsilon(parts, DELTA)
    assert max(epsilon(one, DELTA) for one in parts) < together < sum(epsilon(one, DELTA) for one in parts)
    assert epsilon((Sampled(0.01, 1.0, 500), Sampled(0.01, 1.0, 500)), DELTA) == pytest.approx(
        epsilon(Sampled(0.01, 1.0, 1000), DELTA), rel=1e-3
    )


def test_a_plain_release_costs_what_the_gaussian_mechanism_is_known_to_cost():
    from dp_accounting import get_epsilon_gaussian

    assert epsilon(Gaussian(3.0), DELTA) == pytest.approx(get_epsilon_gaussian(3.0, DELTA), rel=1e-3)
    assert epsilon(Gaussian(3.0), DELTA, neighbouring="replace_one") == pytest.approx(
        get_epsilon_gaussian(1.5, DELTA), rel=1e-3
    )
    assert epsilon(Gaussian(3.0), DELTA) <= epsilon(Gaussian(3.0), DELTA, "rdp")


@pytest.mark.parametrize("sampled", [Sampled(0.01, 0.6, 1), Sampled(0.2, 1.5, 1), Sampled(0.001, 1.0, 1)])
def test_our_integral_is_the_closed_form_where_there_is_one(sampled):
    from charter.privacy.renyi import _integral

    orders = [2, 3, 5, 8, 16, 32]
    ours = [_integral(sampled.rate, sampled.noise, order, None) for order in orders]
    assert ours == pytest.approx(list(divergence(sampled, orders)), rel=1e-5)


@pytest.mark.parametrize("noise", [0.6, 1.5, 4.0])
def test_a_replaced_row_that_is_nearly_always_drawn_costs_what_a_shift_by_two_costs(noise):
    rate = 1 - 1e-12  # farther out than low orders look, the share that is not drawn would show
    found = divergence(Sampled(rate, noise, 1), [1.5, 2, 3], "replace_one")
    assert list(found) == pytest.approx([2 * order / noise**2 for order in (1.5, 2, 3)], rel=1e-3)


def test_a_divergence_too_large_for_an_exponential_is_still_told():
    found = divergence(Sampled(0.5, 0.3, 1), [64.0], "replace_one")[0]
    assert found == pytest.approx(divergence(Sampled(0.5, 0.3, 1), [64.0])[0], rel=0.05)


def between(first, second, rate, noise, order):
    """The divergence of two mixtures whose rows are vectors of the plane, by sums over a grid of it."""
    side = np.arange(-9 * noise - 1, 9 * noise + 2 * order + 1, noise / 8)
    x, y = np.meshgrid(side, np.arange(-9 * noise - 1, 9 * noise + 1, noise / 8), indexing="ij")

    def log_density(mean):
        return -((x - mean[0]) ** 2 + (y - mean[1]) ** 2) / (2 * noise**2) - math.log(2 * math.pi * noise**2)

    p, q = (
        np.logaddexp(math.log1p(-rate) + log_density((0, 0)), math.log(rate) + log_density(mean))
        for mean in (first, second)
    )
    return math.log(np.exp(order * p + (1 - order) * q).sum() * (noise / 8) ** 2) / (order - 1)


@pytest.mark.parametrize(("rate", "noise", "order"), [(0.1, 1.0, 2.0), (0.3, 0.8, 3.0), (0.05, 1.5, 6.0)])
def test_no_replaced_row_tells_more_than_the_pair_that_is_charged(rate, noise, order):
    bound = divergence(Sampled(rate, noise, 1), [order], "replace_one")[0]
    worst = 0.0
    for angle in np.linspace(0, math.pi, 7):
        for length in (0.0, 0.5, 1.0):
            second = (length * math.cos(angle), length * math.sin(angle))
            worst = max(worst, between((1.0, 0.0), second, rate, noise, order))
    assert worst <= bound
    assert between((1.0, 0.0), (-1.0, 0.0), rate, noise, order) == pytest.approx(bound, rel=1e-3)


@pytest.mark.parametrize("sampled", [Sampled(0.01, 1.0, 500), Sampled(0.2, 3.0, 20)])
def test_a_replaced_row_costs_more_than_one_removed_and_its_renyi_bound_covers_the_exact_one(sampled):
    exact = epsilon(sampled, DELTA, neighbouring="replace_one")
    assert epsilon(sampled, DELTA) < exact <= epsilon(sampled, DELTA, "rdp", "replace_one")
    theirs = pld.PLDAccountant(NeighboringRelation.REPLACE_ONE)
    event = SelfComposedDpEvent(
        PoissonSampledDpEvent(sampled.rate, GaussianDpEvent(sampled.noise)), sampled.steps
    )
    assert exact == theirs.compose(event).get_epsilon(DELTA)


@pytest.mark.slow
def test_the_noise_for_a_budget_is_more_where_a_row_is_replaced():
    added = noise_for(3.0, DELTA, rate=0.01, steps=200)
    replaced = noise_for(3.0, DELTA, rate=0.01, steps=200, neighbouring="replace_one")
    assert replaced > added
    assert epsilon(Sampled(0.01, replaced, 200), DELTA, neighbouring="replace_one") <= 3.0


def test_the_filter_costs_a_little_more_than_one_accountant_and_never_less():
    sampled, budget = Sampled(0.01, 1.0, 1000), Budget(6.0, DELTA)
    one = curve([sampled], "add_or_remove")
    favoured = favourite(one, budget)
    for runs in (1, 2, 4):
        free = epsilon(Sampled(0.01, 1.0, 1000 * runs), DELTA, "rdp")
        assert free <= epsilon_of(runs * one, DELTA, favoured) <= 1.25 * free


@pytest.mark.parametrize("order", [2.5, 4.0, 12.0])
def test_divergences_of_one_order_become_the_epsilon_that_dp_accounting_makes_of_them(order):
    assert order not in (1.5, 2, 3, 5, 9, 17, 33, 64)  # of which the grid has stakes of its own
    divergences = np.full(len(ORDERS), np.inf)
    divergences[ORDERS.index(order)] = 0.7
    told = epsilon_of(divergences, DELTA, Favoured(order, order))
    theirs, _ = rdp.compute_epsilon([order], [0.7], 0.9 * DELTA)  # both stakes together
    assert told == pytest.approx(theirs, rel=1e-9)


def test_the_filter_holds_against_one_who_chooses_the_next_noise_by_the_last_answer():
    """Whoever sees an unlucky answer spends the rest at a low order, else at a high one; the loss beyond epsilon stays below delta."""
    delta, budget = 0.05, 1.5
    draws = np.random.default_rng(3)
    first = curve([Gaussian(2.0)], "add_or_remove")
    favoured = favourite(first, Budget(budget, delta))
    losses = []
    answer = draws.normal(1.0, 2.0, 200_000)  # under the data with the row
    loss = (2 * answer - 1) / (2 * 2.0**2)
    for unlucky in (loss > np.quantile(loss, 0.8), loss <= np.quantile(loss, 0.8)):
        steps = most_steps(first, 6.0 if unlucky[0] else 30.0, Budget(budget, delta), favoured)
        noise = 6.0 if unlucky[0] else 30.0
        spread = math.sqrt(steps) / noise
        later = draws.normal(spread**2 / 2, spread, unlucky.sum())
        losses.append(loss[unlucky] + later)
    total = np.concatenate(losses)
    beyond = np.maximum(0.0, 1.0 - np.exp(budget - total)).mean()
    assert 0.0 < beyond <= delta


def most_steps(first, noise, budget, favoured):
    """How many releases with so much noise the budget has room for beside the first."""
    one, steps = curve([Gaussian(noise)], "add_or_remove"), 0
    while epsilon_of(first + (steps + 1) * one, budget.delta, favoured) <= budget.epsilon:
        steps += 1
    return steps


def test_orders_begin_above_one_and_ascend():
    assert ORDERS[0] > 1 and list(ORDERS) == sorted(set(ORDERS))

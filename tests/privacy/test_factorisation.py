"""Matrix factorisation: its sensitivity, against every way to take part; and the plan whose noise hangs together."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.linalg import toeplitz

from charter.audits.one_run import lower_bound
from charter.privacy.accounting import Gaussian, epsilon, noise_for
from charter.privacy.clipping import Flat
from charter.privacy.correlated import Correlated
from charter.privacy.factorisation import factorisation, sensitivity_of
from charter.privacy.private import Units
from charter.privacy.stream import SecretStream


def lower(column):
    return toeplitz(column, np.zeros(len(column)))


def inverse_of(found, steps):
    return lower(np.r_[found.taps, np.zeros(steps - len(found.taps))])


@pytest.mark.parametrize(
    ("steps", "apart", "momentum", "bands"), [(9, 3, 0.0, 4), (10, 4, 0.9, 2), (8, 2, 0.5, 8), (7, 7, 0.0, 7)]
)
def test_no_way_to_take_part_moves_the_updates_further_than_the_sensitivity(steps, apart, momentum, bands):
    found = factorisation(steps, apart=apart, momentum=momentum, bands=bands)
    strategy = np.linalg.inv(inverse_of(found, steps))
    worst = 0.0
    for chosen in itertools.product((-1.0, 0.0, 1.0), repeat=steps):
        places = np.flatnonzero(chosen)
        if (np.diff(places) >= apart).all():
            worst = max(worst, float(np.linalg.norm(strategy @ np.array(chosen))))
    assert found.sensitivity == pytest.approx(worst, rel=1e-9)


@pytest.mark.parametrize(
    ("steps", "apart", "bands", "momentum", "expected"),
    [
        (118, 59, 16, 0.0, 2.0779234588),
        (177, 59, 6, 0.9, 6.0419831312),
        (1000, 100, 32, 0.9, 13.1433424653),
        (50, 7, 4, 0.0, 3.9305083726),
    ],
)
def test_the_sensitivity_is_that_of_jax_privacy(steps, apart, bands, momentum, expected):
    """expected: by jax_privacy 2.0.0, toeplitz.inverse_coef and minsep_sensitivity_squared."""
    found = factorisation(steps, apart=apart, momentum=momentum, bands=bands)
    assert found.sensitivity == pytest.approx(expected, rel=1e-9)


def test_a_matrix_for_which_the_sensitivity_is_not_proven_is_refused():
    with pytest.raises(ValueError, match="take other bands"):
        sensitivity_of(np.array([1.0, 0.5, 0.6]), 1)
    with pytest.raises(ValueError, match="take other bands"):
        sensitivity_of(np.array([1.0, -0.1]), 1)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_the_error_is_that_of_the_matrices(momentum):
    steps, apart = 24, 8
    found = factorisation(steps, apart=apart, momentum=momentum, bands=5)
    means = lower((1 - momentum) * momentum ** np.arange(steps))
    noise = np.tril(np.ones((steps, steps))) @ means @ inverse_of(found, steps)
    assert found.error == pytest.approx(found.sensitivity * np.linalg.norm(noise) / math.sqrt(steps))


def test_the_bands_that_nobody_named_leave_less_noise_than_independent_draws():
    found, plain = (factorisation(200, apart=50, bands=bands) for bands in (None, 1))
    assert found.error < plain.error / 3
    assert len(found.taps) > 1


@pytest.mark.parametrize("wrong", [{"bands": 0}, {"bands": 11}, {"apart": 0}, {"momentum": 1.0}])
def test_what_cant_be_is_refused(wrong):
    with pytest.raises(ValueError):
        factorisation(10, **{"apart": 5, **wrong})


def plan(steps=40, per_epoch=20, **changed):
    factorised = factorisation(steps, apart=per_epoch, bands=4)
    given = {"batch_size": 5, "micro_batch_size": None, "clipping": Flat(1.0), "noise": 2.0, "delta": 1e-5}
    return Correlated(
        **{
            **given,
            "stream": SecretStream.reproducible(1),
            "factorised": factorised,
            "planned": steps,
            **changed,
        }
    )


def test_every_unit_is_in_one_update_of_an_epoch_always_at_the_same_place():
    epochs = [list(plan().batches(100, epoch)) for epoch in range(2)]
    assert sorted(np.concatenate(epochs[0])) == list(range(100))
    assert all(np.array_equal(one, other) for one, other in zip(*epochs, strict=True))
    assert len({len(one) for one in epochs[0]}) > 1  # each drawn by itself: a row more moves no other


def test_a_unit_more_moves_no_other():
    fewer, more = ([set(one) for one in plan().batches(count, 0)] for count in (99, 100))
    assert all(one - {99} == other for one, other in zip(more, fewer, strict=True))


def test_a_person_with_many_rows_is_in_one_update():
    of = np.repeat(np.arange(100), 5)
    seen = [set(of[index]) for index in plan(units=Units(of)).batches(500, 0)]
    assert sum(len(one) for one in seen) == 100


def noise_of(made, steps, entries=20_000):
    drawn = []
    for update in range(steps):
        total = torch.zeros(entries)
        made._add_noise(total, update, 3)
        drawn.append(total.numpy().astype(np.float64))
    return np.stack(drawn)


def test_the_noise_of_all_updates_has_the_covariance_of_the_matrix():
    made, steps = plan(), 8
    noise = noise_of(made, steps)
    each = made.noise * made.factorised.sensitivity / made.batch_size
    matrix = inverse_of(made.factorised, steps) * each
    expected = matrix @ matrix.T
    found = np.cov(noise)
    assert np.abs(found - expected).max() < 0.05 * expected[0, 0]
    assert made.deviation == pytest.approx(float(np.sqrt(found[-1, -1])), rel=0.03)


def test_undoing_the_matrix_leaves_independent_draws_of_the_stated_size():
    made, steps = plan(), 8
    independent = np.linalg.solve(inverse_of(made.factorised, steps), noise_of(made, steps))
    correlation = np.corrcoef(independent)
    assert np.abs(correlation - np.eye(steps)).max() < 0.03
    spread = independent.std(1) * made.batch_size / made.factorised.sensitivity
    assert spread == pytest.approx(np.full(steps, made.noise), rel=0.03)


def test_a_noise_that_is_not_the_first_of_its_kind_is_drawn_again_from_the_key():
    one, other = plan(), plan()
    noise_of(one, 3)
    a, b = torch.zeros(100), torch.zeros(100)
    one._add_noise(a, 5, 0)
    other._add_noise(b, 5, 0)
    assert torch.equal(a, b)


def test_all_updates_together_cost_one_gaussian_release():
    made = plan()
    assert made.cost(100, 40).epsilon == pytest.approx(epsilon(Gaussian(2.0), 1e-5))
    assert made.cost(100, 40).mechanisms == (Gaussian(2.0, 1),)
    assert made.cost(100, 0).epsilon == 0.0
    with pytest.raises(ValueError, match="made for 40 updates"):
        made.cost(100, 41)


CANARIES, EPSILON, DELTA, SURE = 30_000, 1.0, 1e-7, 0.99


def audited(made):
    """The lower bound of epsilon by whoever sees all updates and knows where each canary would be: the best test there is.

    Each canary has an entry of its own and adds 1 to it in each of its updates; half of them, by fair coins, were learned from.
    """
    coins = np.random.default_rng(5).random(CANARIES) < 0.5
    patterns = np.zeros((made.planned, CANARIES))
    epochs = range(made.planned // made.steps_per_epoch(CANARIES))
    for update, index in enumerate(index for epoch in epochs for index in made.batches(CANARIES, epoch)):
        patterns[update, index] = 1.0
    seen = patterns * coins + noise_of(made, made.planned, CANARIES) * made.batch_size
    undone = np.linalg.inv(inverse_of(factorisation(made.planned, apart=4, bands=3), made.planned))
    score = np.einsum("tc,tc->c", undone @ seen, undone @ patterns)
    return lower_bound(score, coins, confidence=SURE, delta=DELTA).epsilon


def budgeted(**changed):
    noise = noise_for(EPSILON, DELTA, rate=1.0, steps=1)
    factorised = factorisation(12, apart=4, bands=3)
    given = {
        "factorised": factorised,
        "planned": 12,
        "batch_size": CANARIES // 4,
        "noise": noise,
        "delta": DELTA,
    }
    return plan(**{**given, **changed})


def test_whoever_sees_all_updates_finds_no_more_than_the_budget():
    assert 0.3 < audited(budgeted()) <= EPSILON


@pytest.mark.parametrize(
    "bug",
    [
        {"noise": noise_for(EPSILON, DELTA, rate=1.0, steps=1) / 3},
        {"factorised": replace(factorisation(12, apart=4, bands=3), sensitivity=1.0)},
        {"factorised": replace(factorisation(12, apart=12, bands=3), taps=(1.0, -1.0))},
    ],
    ids=["a third of the noise", "a unit is in one update only", "what is taken back is all of it"],
)
def test_planted_bugs_of_the_noise_are_found(bug):
    assert audited(budgeted(**bug)) > EPSILON

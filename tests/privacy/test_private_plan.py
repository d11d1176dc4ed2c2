"""The private step plan: who is drawn, what is added, and that it is the same when it goes on."""

import numpy as np
import pytest

from charter.models.world import ALONE
from charter.privacy.accounting import Sampled, epsilon, noise_for
from charter.privacy.clipping import Flat
from charter.privacy.private import Private, Units
from charter.privacy.stream import SecretStream


def plan(**changed):
    given = {"batch_size": 16, "micro_batch_size": None, "clipping": Flat(1.0), "noise": 1.0, "delta": 1e-5}
    return Private(**{**given, "stream": SecretStream.reproducible(1), **changed})


@pytest.mark.parametrize(
    ("sampled", "expected"),
    [(Sampled(256 / 60000, 1.1, 14062), 2.3817), (Sampled(256 / 60000, 1.0, 1000), 0.7276)],
)
def test_epsilon_is_that_of_the_accountant_of_privacy_loss_distributions(sampled, expected):
    assert epsilon(sampled, 1e-5) == pytest.approx(expected, abs=2e-3)


def test_the_noise_for_a_budget_keeps_it_and_hardly_less_would():
    noise = noise_for(3.0, 1e-5, rate=0.01, steps=500)
    assert epsilon(Sampled(0.01, noise, 500), 1e-5) <= 3.0
    assert epsilon(Sampled(0.01, noise * 0.99, 500), 1e-5) > 3.0


def test_examples_are_drawn_by_themselves_so_that_batches_differ_in_size():
    sizes = [len(index) for epoch in range(20) for index in plan().batches(1600, epoch)]
    assert len(sizes) == 2000
    assert np.mean(sizes) == pytest.approx(16, abs=0.5)
    assert np.var(sizes) == pytest.approx(16 * 0.99, rel=0.15)  # binomial; shuffled batches would have none
    assert min(sizes) < 6


def test_noise_has_the_stated_scale_and_no_two_updates_share_it():
    import torch

    stream = SecretStream.fresh()
    drawn = [torch.zeros(300_001) for _ in range(2)]
    for update, one in enumerate(drawn):
        stream.add_normal(one, 2.5, update)
    again = torch.zeros(300_001)
    stream.add_normal(again, 2.5, 1)
    assert torch.equal(again, drawn[1])
    assert [float(one.std()) for one in drawn] == pytest.approx([2.5, 2.5], rel=0.01)
    assert abs(float(np.corrcoef(drawn[0], drawn[1])[0, 1])) < 0.01


def test_units_are_drawn_whole_and_of_one_with_too_many_examples_a_part_anew():
    of = np.repeat(np.arange(100), 5)
    for index in plan(units=Units(of)).batches(500, 0):
        _, each = np.unique(of[index], return_counts=True)
        assert set(each) <= {5}
        assert (np.diff(of[index]) >= 0).all()
    some = list(plan(units=Units(of, most=2), batch_size=50).batches(500, 0))
    assert all(set(np.unique(of[index], return_counts=True)[1]) == {2} for index in some)
    chosen = [set(index[of[index] == 7].tolist()) for index in some if 7 in of[index]]
    later = [
        set(index[of[index] == 7].tolist())
        for index in plan(units=Units(of, most=2), batch_size=50).batches(500, 1)
    ]
    assert len({tuple(sorted(one)) for one in [*chosen, *later]}) > 1


def test_no_unit_is_parted_between_passes():
    of = np.random.default_rng(0).integers(0, 30, 200)
    one = plan(units=Units(np.unique(of, return_inverse=True)[1]), micro_batch_size=8)
    (index,) = [*one.batches(200, 0)][:1]
    parts = one._parts(index, ALONE)
    assert np.concatenate(parts).tolist() == index.tolist()
    units = [set(of[part].tolist()) for part in parts]
    assert sum(map(len, units)) == len(set().union(*units))
    assert len(parts) > 1


def test_noise_is_normal_far_out_too():
    """What a normal distribution has beyond 4 and 5 deviations, and no end at the 6.7 that 32 bits would give."""
    import torch
    from scipy import stats

    from charter.privacy import stream

    drawn = torch.zeros(20_000_000)
    SecretStream.reproducible(5).add_normal(drawn, 1.0, 0)
    assert float(drawn.mean()) == pytest.approx(0.0, abs=1e-3)
    assert float(drawn.std()) == pytest.approx(1.0, abs=1e-3)
    for far in (1.0, 2.0, 3.0, 4.0, 4.5, 5.0):
        expected = 2 * stats.norm.sf(far) * len(drawn)
        assert abs(int((drawn.abs() > far).sum()) - expected) < 5 * expected**0.5
    whole = torch.tensor([0, 3, 255, 256, 2**31 - 1], dtype=torch.int32)
    shares = (whole.float() + 0.5) * 2.0**-31
    before = shares.clone()
    stream._refine(shares, whole, SecretStream.reproducible(5)._cipher(stream.TAILS, 0))
    steps = shares.double() * 2.0**31
    assert [int(one) for one in steps[:3]] == [0, 3, 255]
    assert (shares[:3] != before[:3]).all()
    assert torch.equal(shares[3:], before[3:])
    assert float((-2 * torch.tensor(0.5 * 2.0**-84).double().log()).sqrt()) > 10.8

"""The audits can fail: bugs planted into the private plan are caught at epsilon 1, and the plan as it is never is.

A model of two embedding tables, where each canary has a row of its own in both, so that all canaries' gradients are orthogonal and
each is told from the updates by its own two numbers (Dirac canaries: Nasr et al. 2023, "Tight Auditing of Differentially Private
Machine Learning", section 4; Steinke et al. 2023, section 6). Half of the canaries, drawn by fair coins, are learned from.
"""

import math
from dataclasses import dataclass, replace
from functools import cache

import dp_accounting
import numpy as np
import pytest
import torch
from dp_accounting import pld
from torch import nn

from charter.audits.one_run import lower_bound
from charter.audits.roc import clopper_pearson
from charter.data.batch import Batch
from charter.models.ownership import tell_batch
from charter.privacy import private
from charter.privacy.accounting import noise_for
from charter.privacy.bounded import Bounded, bounded
from charter.privacy.clipping import Flat
from charter.privacy.private import Private
from charter.privacy.stream import SecretStream

CANARIES, EPSILON, DELTA, SURE = 30_000, 1.0, 1e-7, 0.99
STEEP = 10.0
"""Each canary's gradient is so large in either table, far above the clipping norm."""


class Tables(nn.Module):
    """The score of a canary is the sum of its rows of both tables."""

    def __init__(self):
        super().__init__()
        self.first, self.second = (nn.Embedding(CANARIES, 1) for _ in range(2))

    def forward(self, ids):
        return self.first(ids) + self.second(ids)


@dataclass(frozen=True)
class Setting:
    """rate: the share of examples in an update."""

    rate: float
    steps: int

    @property
    def noise(self):
        """What epsilon 1 asks for."""
        return noise_for(EPSILON, DELTA, rate=self.rate, steps=self.steps)


WHOLE, SAMPLED = Setting(1.0, 4), Setting(0.1, 10)
NOISE = {one: one.noise for one in (WHOLE, SAMPLED)}


def plan_of(setting, n, seed):
    return Private(
        batch_size=round(setting.rate * n),
        micro_batch_size=CANARIES,
        clipping=Flat(1.0),
        noise=NOISE[setting],
        delta=DELTA,
        stream=SecretStream.reproducible(seed),
    )


@dataclass(frozen=True)
class Seen:
    """What whoever sees every update knows. along: (updates, canaries) each update in the direction of each canary.

    expected: (canaries,) where a plan that does not draw at random would put the canary, the number of an update. adds: what
    a canary that is learned from adds over all updates, on average.
    """

    along: np.ndarray
    expected: np.ndarray
    included: np.ndarray
    adds: float


def trained(setting, seed, plan=plan_of):
    """Updates of a plan on the canaries that the coins chose."""
    torch.manual_seed(seed)
    included = np.random.default_rng([seed, 1]).random(CANARIES) < 0.5
    members, model = np.flatnonzero(included), Tables()
    made = plan(setting, len(members), seed)

    def losses(index):
        ids = torch.from_numpy(members[index])[:, None]
        tell_batch(Batch({"input_ids": ids}, None, torch.from_numpy(index), torch.ones(len(index))))
        return -STEEP * model(ids)[:, 0, 0]

    along = []
    for update, index in zip(range(setting.steps), batches(made, len(members)), strict=False):
        made.gradient(model, index, losses, update=update)
        both = -(model.first.weight.grad + model.second.weight.grad)[:, 0] * made.batch_size / math.sqrt(2)
        along.append(both.numpy().copy())
    # an outsider does not know who is a member, but of a plan that goes through them in turn about where each would be
    expected = np.clip(np.cumsum(included) - 1, 0, None) * setting.steps // len(members)
    return Seen(
        np.stack(along), np.minimum(expected, setting.steps - 1), included, setting.rate * setting.steps
    )


def batches(plan, n):
    epoch = 0
    while True:
        yield from plan.batches(n, epoch)
        epoch += 1


def statistics(seen):
    """What an auditor looks at, fixed beforehand: the sum, the spread over updates, the update at which a canary is expected."""
    at = np.arange(CANARIES)
    return (seen.along.sum(axis=0), seen.along.std(axis=0), seen.along[seen.expected, at])


def shown(seen):
    """The lower bound of epsilon by the best of the statistics, corrected for their number."""
    found = statistics(seen)
    sure = 1 - (1 - SURE) / len(found)
    return max(lower_bound(one, seen.included, confidence=sure, delta=DELTA).epsilon for one in found)


def advantage(seen):
    """How much more often a canary that was learned from passes a threshold than one that was not, surely at least.

    By the best of two statistics with thresholds fixed beforehand, half of what a canary adds; of each both rates are taken at the
    end of their exact interval.
    """
    tail, found = (1 - SURE) / 4, []
    for score, added in ((seen.along.sum(axis=0), seen.adds), (statistics(seen)[2], 1.0)):
        above = score > added / 2
        members, others = above[seen.included], above[~seen.included]
        right = clopper_pearson(int(members.sum()), len(members), tail)[0]
        wrong = clopper_pearson(int(others.sum()), len(others), tail)[1]
        found.append(right - wrong)
    return max(found)


@cache
def allowed(setting):
    """The largest advantage that the accounted mechanism allows anybody: its delta at epsilon 0, the total variation.

    Sharper than (epsilon, delta) alone, since the accountant claims every pair of its curve.
    """
    accountant = pld.PLDAccountant()
    update = dp_accounting.PoissonSampledDpEvent(setting.rate, dp_accounting.GaussianDpEvent(NOISE[setting]))
    accountant.compose(dp_accounting.SelfComposedDpEvent(update, setting.steps))
    return accountant.get_delta(0.0)


# The bugs


@dataclass(frozen=True)
class Silent(SecretStream):
    def add_normal(self, to, scale, number, *, first=0):
        del to, scale, number, first


@dataclass(frozen=True)
class Halved(SecretStream):
    def add_normal(self, to, scale, number, *, first=0):
        super().add_normal(to, scale / 2, number, first=first)


@dataclass(frozen=True)
class Reused(SecretStream):
    def add_normal(self, to, scale, number, *, first=0):
        del number
        super().add_normal(to, scale, 0, first=first)


def with_stream(kind):
    def plan(setting, n, seed):
        made = plan_of(setting, n, seed)
        return replace(made, stream=kind(made.stream.key))

    return plan


class InTurn(Private):
    """The examples go by turns, as they come."""

    def batches(self, n, epoch):
        del epoch
        yield from np.array_split(np.arange(n), self.steps_per_epoch(n))


class Shuffled(Private):
    """Every example once per epoch, in batches of one size."""

    def batches(self, n, epoch):
        order = np.random.default_rng(epoch).permutation(n)
        yield from np.array_split(order, self.steps_per_epoch(n))


def as_kind(kind):
    def plan(setting, n, seed):
        return kind(**vars(plan_of(setting, n, seed)))

    return plan


def bounded_without_second(model, index, losses, clipping, **more):
    """The second table is left out of the norms, and its gradients are added as they are."""
    right, raw = (bounded(model, index, losses, one, **more) for one in (clipping, Flat(1e12)))
    second = id(model.second.weight)
    return Bounded({**right.sums, second: raw.sums[second]}, right.squares)


# The audits


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("setting", [WHOLE, SAMPLED], ids=["whole", "sampled"])
def test_the_plan_as_it_is_is_never_flagged(setting, seed):
    seen = trained(setting, seed)
    assert shown(seen) <= EPSILON
    assert advantage(seen) <= allowed(setting)


def test_an_auditor_who_sees_every_update_comes_near_what_is_allowed():
    assert advantage(trained(WHOLE, 11)) > allowed(WHOLE) / 2


def test_noise_that_is_switched_off_is_caught():
    assert shown(trained(WHOLE, 0, with_stream(Silent))) > 3 * EPSILON
    assert shown(trained(SAMPLED, 0, with_stream(Silent))) > 3 * EPSILON


@pytest.mark.parametrize("seed", range(3))
def test_noise_that_is_halved_is_caught(seed):
    assert advantage(trained(WHOLE, seed, with_stream(Halved))) > allowed(WHOLE)
    assert advantage(trained(SAMPLED, seed, with_stream(Halved))) > allowed(SAMPLED)


@pytest.mark.parametrize("seed", range(3))
def test_noise_that_is_reused_over_updates_is_caught(seed):
    assert shown(trained(SAMPLED, seed, with_stream(Reused))) > EPSILON


def test_a_layer_that_is_not_clipped_is_caught(monkeypatch):
    monkeypatch.setattr(private, "bounded", bounded_without_second)
    assert shown(trained(WHOLE, 0)) > 3 * EPSILON
    assert shown(trained(SAMPLED, 0)) > EPSILON


@pytest.mark.parametrize("seed", range(3))
def test_examples_that_go_by_turns_are_caught(seed):
    assert advantage(trained(SAMPLED, seed, as_kind(InTurn))) > allowed(SAMPLED)


# Sensitivity, asserted directly


def influence(batch_size=8):
    """The norm of what one example adds to an update before noise, over the clipping norm."""
    model = Tables()
    quiet = replace(plan_of(SAMPLED, 80, 0), stream=Silent(bytes(32)), batch_size=batch_size)

    def losses(index):
        ids = torch.from_numpy(index)[:, None]
        tell_batch(Batch({"input_ids": ids}, None, torch.from_numpy(index), torch.ones(len(index))))
        return -STEEP * model(ids)[:, 0, 0]

    found = []
    for index in (np.arange(5), np.arange(4)):
        quiet.gradient(model, index, losses, update=0)
        found.append(torch.cat([one.grad.flatten() for one in model.parameters()]).clone())
    return float((found[0] - found[1]).norm()) * batch_size / quiet.clipping.sensitivity


def test_one_example_moves_an_update_by_the_clipping_norm_and_no_more(monkeypatch):
    assert influence() == pytest.approx(1.0, abs=1e-5)
    monkeypatch.setattr(private, "bounded", bounded_without_second)
    assert influence() > 2


def spread_of_sizes(plan):
    """The variance of the sizes of batches over that of examples drawn each by itself."""
    n, rate = 1000, 0.1
    sizes = [len(index) for epoch in range(60) for index in plan.batches(n, epoch)]
    return float(np.var(sizes) / (n * rate * (1 - rate)))


def test_batches_of_one_size_are_told_from_examples_drawn_by_themselves():
    honest = plan_of(SAMPLED, 1000, 3)
    assert spread_of_sizes(honest) == pytest.approx(1.0, abs=0.25)
    assert spread_of_sizes(Shuffled(**vars(honest))) < 0.1

"""The bounded sum of architectures drawn at random equals that of one example at a time, and Opacus's."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from charter.data.batch import Batch
from charter.errors import ModelError
from charter.models.ownership import tell_batch
from charter.privacy.bounded import bounded, check_bounded
from charter.privacy.clipping import Flat


def losses_of(model, seen, targets):
    def losses(index):
        ids = torch.zeros(len(index), 1, dtype=torch.long)
        tell_batch(Batch({"input_ids": ids}, None, torch.as_tensor(index), torch.ones(len(index))))
        out = model(seen[index])
        return F.cross_entropy(out.reshape(len(index), -1)[:, :3], targets[index], reduction="none")

    return losses


def one_at_a_time(model, losses, count):
    each = []
    for row in range(count):
        model.zero_grad(set_to_none=True)
        losses(np.array([row])).sum().backward()
        each.append({name: one.grad for name, one in model.named_parameters() if one.grad is not None})
        each[-1] = {name: one.clone() for name, one in each[-1].items()}
    model.zero_grad(set_to_none=True)
    norms = torch.stack([sum(one.square().sum() for one in grads.values()).sqrt() for grads in each])
    return norms, each


def agree(model, seen, targets):
    losses, count = losses_of(model, seen, targets), len(seen)
    norms, each = one_at_a_time(model, losses, count)
    clip = float(norms.median())
    found = bounded(model, np.arange(count), losses, Flat(clip))
    torch.testing.assert_close(found.squares.sum(1).sqrt(), norms, rtol=1e-8, atol=1e-10)
    for name, one in model.named_parameters():
        wanted = sum(
            min(1.0, clip / float(norm)) * grads[name]
            for norm, grads in zip(norms, each, strict=True)
            if name in grads
        )
        torch.testing.assert_close(found.sums[id(one)], wanted, rtol=1e-7, atol=1e-9)


class Twice(nn.Module):
    """A layer that is used twice in a row."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, seen):
        return self.layer(torch.tanh(self.layer(seen)))


@st.composite
def vectors(draw):
    """Layers on rows of several vectors: (n, length, width)."""
    width = draw(st.integers(2, 5))
    layers, at = [], width
    for kind in draw(
        st.lists(st.sampled_from(["linear", "twice", "norm", "rms", "bare"]), min_size=1, max_size=5)
    ):
        if kind == "linear":
            wide = draw(st.integers(3, 7))
            layers += [nn.Linear(at, wide), nn.GELU()]
            at = wide
        elif kind == "bare":
            layers.append(nn.Linear(at, at, bias=False))
        elif kind == "twice":
            layers.append(Twice(nn.Linear(at, at)))
        else:
            layers.append(nn.LayerNorm(at) if kind == "norm" else nn.RMSNorm(at))
    return nn.Sequential(*layers, nn.Linear(at, 3)), (draw(st.integers(1, 4)), width)


@st.composite
def images(draw):
    """Convolutions over one or two dimensions: (n, channels, ...)."""
    flat = draw(st.booleans())
    conv, channels, size = (nn.Conv1d, 2, (9,)) if flat else (nn.Conv2d, 2, (7, 6))
    layers, at = [], channels
    for _ in range(draw(st.integers(1, 3))):
        groups = draw(st.sampled_from([1, 1, 2]))
        wide = 2 * draw(st.integers(1, 3))
        how = {
            "stride": draw(st.integers(1, 2)),
            "padding": draw(st.integers(0, 2)),
            "dilation": draw(st.integers(1, 2)),
            "bias": draw(st.booleans()),
        }
        layers += [conv(at, wide, 3 if how["padding"] == 2 else 1, groups=groups, **how)]
        layers += [nn.GroupNorm(2, wide), nn.GELU()] if draw(st.booleans()) else [nn.Tanh()]
        at = wide
    pooled = nn.AdaptiveAvgPool1d(1) if flat else nn.AdaptiveAvgPool2d(1)
    return nn.Sequential(*layers, pooled, nn.Flatten(), nn.Linear(at, 3)), (channels, *size)


@settings(max_examples=25, deadline=None)
@given(st.one_of(vectors(), images()), st.integers(2, 6), st.integers(0, 2**31))
def test_the_bounded_sum_is_that_of_one_example_at_a_time(drawn, count, seed):
    model, shape = drawn
    torch.manual_seed(seed)
    for one in model.parameters():
        nn.init.normal_(one, std=0.5)
    agree(model.double(), torch.randn(count, *shape, dtype=torch.float64), torch.randint(0, 3, (count,)))


@pytest.mark.filterwarnings("ignore:Full backward hook:UserWarning")  # Opacus's own
def test_it_is_opacus_s_too():
    from opacus import GradSampleModule

    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.GroupNorm(2, 4),
        nn.GELU(),
        nn.Flatten(),
        nn.LayerNorm(64),
        nn.Linear(64, 3),
    ).double()
    seen, targets = torch.randn(6, 2, 4, 4, dtype=torch.float64), torch.randint(0, 3, (6,))
    found = bounded(model, np.arange(6), losses_of(model, seen, targets), Flat(0.7))
    wrapped = GradSampleModule(model, loss_reduction="sum")
    F.cross_entropy(wrapped(seen), targets, reduction="none").sum().backward()
    norms = torch.stack([one.grad_sample.flatten(1).norm(dim=1) for one in model.parameters()]).norm(dim=0)
    torch.testing.assert_close(found.squares.sum(1).sqrt(), norms, rtol=1e-9, atol=1e-12)
    factors = (0.7 / norms).clamp(max=1.0)
    for one in model.parameters():
        wanted = torch.einsum("n,n...->...", factors, one.grad_sample)
        torch.testing.assert_close(found.sums[id(one)], wanted, rtol=1e-8, atol=1e-11)


def test_a_padding_said_by_a_word_is_refused_not_skipped():
    model = nn.Sequential(nn.Conv2d(1, 2, 3, padding="same"), nn.Flatten(), nn.Linear(32, 3)).double()
    seen, targets = torch.randn(3, 1, 4, 4, dtype=torch.float64), torch.zeros(3, dtype=torch.long)
    with pytest.raises(ModelError, match=r"'0.weight' \(2 such\)"):
        bounded(model, np.arange(3), losses_of(model, seen, targets), Flat(1.0))
    model = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(32, 3))
    with pytest.raises(ModelError, match="batch normalisation"):
        check_bounded(model, np.arange(2), losses_of(model, seen.float(), targets))


def test_weights_too_coarse_for_noise_are_refused():
    with pytest.raises(ModelError, match=r"'weight' \(2 such\) has numbers of torch.bfloat16"):
        check_bounded(nn.Linear(3, 3).to(torch.bfloat16), np.arange(2), None)


class Turned(nn.Module):
    """Two layers that read the same square, one of them turned."""

    def __init__(self, width):
        super().__init__()
        self.along, self.across, self.last = (
            nn.Linear(width, width),
            nn.Linear(width, width),
            nn.Linear(width, 3),
        )

    def forward(self, seen):
        return self.last(self.along(seen) + self.across(seen.mT))


def test_a_turned_square_is_another_input_than_the_square():
    torch.manual_seed(0)
    seen, targets = torch.randn(5, 4, 4, dtype=torch.float64), torch.randint(0, 3, (5,))
    agree(Turned(4).double(), seen, targets)


def test_a_buffer_that_follows_the_rows_is_refused_and_left_as_it_was():
    model = nn.Sequential(nn.InstanceNorm1d(4, track_running_stats=True), nn.Linear(4, 3))
    losses = losses_of(model, torch.randn(5, 4, 4), torch.randint(0, 3, (5,)))
    with pytest.raises(ModelError, match=r"buffer '0\.running_mean' \(2 such\) follows the rows"):
        check_bounded(model, np.arange(3), losses)
    assert not model[0].running_mean.any() and int(model[0].num_batches_tracked) == 0

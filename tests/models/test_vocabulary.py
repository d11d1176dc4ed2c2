"""The loss over a large vocabulary, computed part by part, is the plain one, and so are its gradients; memory is bounded."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from charter.models import vocabulary
from charter.models.vocabulary import Words, at_once, is_plain

POSITIONS, WIDTH, WORDS = 700, 12, 50


@pytest.fixture
def small_parts(monkeypatch):
    """Several parts, the last one smaller; FEWEST positions each."""
    monkeypatch.setattr(vocabulary, "AT_ONCE", 1)
    assert len(vocabulary._parts(POSITIONS, WORDS)) == 6


def given(dtype=torch.float64, *, bias=True, learns=True):
    generator = torch.Generator().manual_seed(4)
    layer = torch.nn.Linear(WIDTH, WORDS, bias=bias, dtype=dtype)
    with torch.no_grad():
        for one in layer.parameters():
            one.copy_(torch.randn(one.shape, generator=generator, dtype=dtype))
    layer.requires_grad_(learns)
    features = torch.randn(POSITIONS, WIDTH, generator=generator, dtype=dtype).requires_grad_()
    truth = torch.randint(0, WORDS, (POSITIONS,), generator=generator)
    weights = torch.rand(POSITIONS, generator=generator, dtype=dtype)
    return layer, features, truth, weights


def gradients(layer, features, nats, weights):
    for one in (features, *layer.parameters()):
        one.grad = None
    (nats * weights).sum().backward()
    return [one.grad for one in (features, *layer.parameters())]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("foretold", ["as it comes", "in other units", "equal", "wrongly"])
def test_loss_and_gradients_are_those_of_all_logits_at_once(small_parts, foretold, bias):
    layer, features, truth, weights = given(bias=bias)
    share = {"as it comes": weights, "in other units": weights * 7, "equal": None, "wrongly": weights.flip(0)}
    told = Words(features, layer).surprise(truth, share[foretold])
    plain = F.cross_entropy(layer(features), truth, reduction="none")
    torch.testing.assert_close(told.nats, plain, rtol=1e-12, atol=1e-12)
    ours = gradients(layer, features, told.nats, weights)
    for one, other in zip(ours, gradients(layer, features, plain, weights), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def test_shares_that_are_foretold_need_no_second_look_and_others_do(small_parts, monkeypatch):
    layer, features, truth, weights = given()
    looked = []
    odds = vocabulary._Layer.odds
    monkeypatch.setattr(vocabulary._Layer, "odds", lambda *told: looked.append(1) or odds(*told))
    for share, times in ((weights, 6), (weights.flip(0), 12)):
        looked.clear()
        gradients(layer, features, Words(features, layer).surprise(truth, share).nats, weights)
        assert len(looked) == times


def test_float32_agrees_to_1e_6(small_parts):
    layer, features, truth, weights = given(torch.float32)
    told = Words(features, layer).surprise(truth, weights)
    plain = F.cross_entropy(layer(features), truth, reduction="none")
    torch.testing.assert_close(told.nats, plain, rtol=1e-6, atol=1e-6)
    ours = gradients(layer, features, told.nats, weights)
    for one, other in zip(ours, gradients(layer, features, plain, weights), strict=True):
        assert float((one - other).abs().max() / other.abs().max()) < 1e-6


def test_what_does_not_learn_gets_no_gradient_and_nothing_is_kept_without_any(small_parts):
    layer, features, truth, weights = given(learns=False)
    ours, *others = gradients(layer, features, Words(features, layer).surprise(truth, weights).nats, weights)
    assert others == [None, None]
    plain = F.cross_entropy(layer(features), truth, reduction="none")
    torch.testing.assert_close(ours, gradients(layer, features, plain, weights)[0])
    with torch.no_grad():
        assert Words(features, layer).surprise(truth).nats.grad_fn is None


def test_the_likeliest_is_found_as_argmax_finds_it_also_among_equals(small_parts):
    layer, features, truth, _ = given()
    with torch.no_grad():
        layer.weight[7], layer.bias[7] = (
            layer.weight[3],
            layer.bias[3],
        )  # two tokens that are always equally likely
        layer.bias[[3, 7]] += 3.0
        truth[:200] = 3
        truth[200:400] = 7
    told = Words(features, layer).surprise(truth).found
    assert torch.equal(told, layer(features).argmax(dim=1) == truth)
    assert told[:200].any() and not told[200:400].any()


def test_half_precision_is_as_autocast_makes_it(small_parts):
    layer, features, truth, weights = given(torch.float32)
    found = []
    for way in (lambda: Words(features, layer).surprise(truth, weights).nats,
                lambda: F.cross_entropy(layer(features).float(), truth, reduction="none")):  # fmt: skip
        with torch.autocast("cpu", torch.bfloat16):
            nats = way()
        found.append([nats, *gradients(layer, features, nats, weights)])
    for ours, theirs in zip(*found, strict=True):
        assert ours.dtype == theirs.dtype == torch.float32
        torch.testing.assert_close(ours, theirs, rtol=2e-2, atol=2e-2 * float(theirs.detach().abs().max()))


def test_a_layer_that_is_more_than_its_weights_is_left_alone():
    layer = torch.nn.Linear(2, 2)
    assert is_plain(layer)
    layer.register_forward_hook(lambda *_: None)
    assert not is_plain(layer)
    assert not is_plain(torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(2, 2)))


PEAK = """
import sys, torch
from torch.nn import functional as F
from charter.models.vocabulary import Words
layer = torch.nn.Linear(16, 40_000, bias=False)
features, truth = torch.randn(2_000, 16, requires_grad=True), torch.randint(0, 40_000, (2_000,))
def peak():  # getrusage's would be that of the process which started this one, where that is larger
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
before = peak()
nats = Words(features, layer if sys.argv[1] == "parts" else None)
nats = nats.surprise(truth).nats if sys.argv[1] == "parts" else F.cross_entropy(layer(features), truth, reduction="none")
nats.sum().backward()
print((peak() - before) / 1024)
"""


def test_memory_does_not_grow_with_the_positions():
    """All logits would be 320 MB, and as much again for their log-probabilities and their gradient."""
    source = Path(__file__).parents[2] / "src"
    peak = {
        way: float(subprocess.run([sys.executable, "-c", PEAK, way], env={"PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"},
                                  capture_output=True, text=True, check=True).stdout)
        for way in ("parts", "whole")
    }  # fmt: skip
    assert at_once(40_000) == 419
    assert peak["parts"] < 250 < 600 < peak["whole"]

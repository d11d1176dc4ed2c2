"""Linear layers with their weights laid out for few rows: the same numbers, gradients as before, and nothing where it can't be."""

import pytest
import torch

from charter.models import prepacking
from charter.models.prepacking import is_known, prepack


@pytest.fixture
def model():
    """Two layers, one without a bias."""
    with torch.random.fork_rng():
        torch.manual_seed(2)
        made = torch.nn.Sequential(
            torch.nn.Linear(40, 24), torch.nn.GELU(), torch.nn.Linear(24, 3, bias=False)
        )
    if not is_known():
        pytest.skip("this build of torch has no such operators")
    return made


@pytest.mark.parametrize("shape", [(1, 40), (33, 40), (2, 5, 40)])
def test_laid_out_layers_give_the_same(model, shape):
    inputs = torch.linspace(-1, 1, 40 * (torch.Size(shape).numel() // 40)).view(shape)
    before = model(inputs).detach()
    prepack(model)
    assert "forward" in vars(model[0])
    with torch.inference_mode():
        torch.testing.assert_close(model(inputs), before, rtol=1e-5, atol=1e-6)


def test_gradients_and_other_precisions_are_computed_as_before(model):
    prepack(model)
    inputs = torch.ones(2, 40)
    model(inputs).sum().backward()
    assert model[0].weight.grad is not None
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert model(inputs).dtype == torch.bfloat16


def test_what_is_of_another_kind_is_left_as_it_is(model):
    prepack(model.double())
    assert "forward" not in vars(model[0])


@pytest.mark.parametrize("error", [AttributeError, RuntimeError, TypeError])
def test_without_the_operators_all_is_as_before(model, monkeypatch, error):
    def missing(*_):
        raise error("no such operator")

    monkeypatch.setattr(prepacking, "_product", missing)
    is_known.cache_clear()
    prepack(model)
    is_known.cache_clear()
    assert "forward" not in vars(model[0])


def test_operators_that_multiply_otherwise_are_not_used(model, monkeypatch):
    monkeypatch.setattr(prepacking, "_product", lambda inputs, *_: inputs @ torch.zeros(64, 32))
    is_known.cache_clear()
    prepack(model)
    is_known.cache_clear()
    assert "forward" not in vars(model[0])

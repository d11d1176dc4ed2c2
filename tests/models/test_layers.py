"""Layers computed again on the way back give the same numbers for less memory; compiled ones are compiled once for all lengths."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from charter.errors import ModelError
from charter.models.forward import forward_of

_found = importlib.util.spec_from_file_location("forwards", Path(__file__).with_name("test_forward.py"))
forwards = importlib.util.module_from_spec(_found)
_found.loader.exec_module(forwards)
SOURCE = Path(__file__).parents[2] / "src"


def model_of(kind, dropout=0.2):
    return forwards.made(kind, "CausalLM" if kind == "gpt2" else "TokenClassification", dropout).train()


def answered(forward, model, inputs, kept=None):
    """Outputs and gradients, after the same draws; `kept` gets the bytes that the way back needs."""
    torch.manual_seed(11)

    def count(tensor):
        if kept is not None:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with saved_tensors_hooks(count, lambda tensor: tensor):
        return forwards.answered(forward, model, inputs)


@pytest.mark.parametrize("economies", [False, True])
@pytest.mark.parametrize("kind", [*forwards.CONFIGS, "gpt2"])
def test_checkpointed_layers_give_the_same_numbers_with_the_same_dropout(kind, economies):
    model, inputs = model_of(kind), forwards.batch(kind)
    options = {"economies": economies}
    plain, gradients = answered(forward_of(model, **options), model, inputs)
    again, others = answered(forward_of(model, **options, checkpointing=True), model, inputs)
    assert torch.equal(plain, again)
    assert all(torch.equal(gradients[name], one) for name, one in others.items())
    torch.manual_seed(12)
    assert not torch.equal(plain, forwards.answered(forward_of(model, **options), model, inputs)[0])


def test_checkpointed_layers_keep_less_for_the_way_back():
    model, inputs = (
        forwards.made("bert", "TokenClassification", num_hidden_layers=8).train(),
        forwards.batch("bert"),
    )
    kept = {}
    for checkpointing in (False, True):
        kept[checkpointing] = {}
        answered(forward_of(model, checkpointing=checkpointing), model, inputs, kept[checkpointing])
    weights = sum(one.untyped_storage().nbytes() for one in model.parameters())
    assert sum(kept[True].values()) < 0.35 * (sum(kept[False].values()) - weights)


def test_a_model_that_is_not_run_padding_free_is_checkpointed_by_transformers_or_refused():
    model, inputs = model_of("deberta-v2", dropout=0.0), forwards.batch("deberta-v2")
    _, gradients = answered(forward_of(model), model, inputs)
    forward = forward_of(model, checkpointing=True)
    assert model.base_model.encoder.gradient_checkpointing
    _, others = answered(forward, model, inputs)
    for name, one in others.items():
        torch.testing.assert_close(gradients[name], one)
    with pytest.raises(ModelError, match="AlbertForTokenClassification can't; remove it"):
        forward_of(model_of("albert"), checkpointing=True)


def test_a_model_that_is_not_run_padding_free_is_not_compiled():
    with pytest.raises(ModelError, match="AlbertForTokenClassification is not run padding-free"):
        forward_of(model_of("albert"), compiled=True)


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:The .grad attribute of a Tensor that is not a leaf"
)  # dynamo looks, and hides it else
@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_compiled_layers_give_the_same_numbers_and_are_compiled_once_for_all_lengths(kind):
    from torch._dynamo.utils import counters

    model = model_of(kind, dropout=0.0)
    for checkpointing in (False, True):
        plain, compiled = forward_of(model), forward_of(model, compiled=True, checkpointing=checkpointing)
        answered(compiled, model, forwards.batch(kind))
        before = counters["stats"]["unique_graphs"]
        assert before > 0
        for lengths in ((5, 6, 7), (20, 20, 4, 3, 2), (11, 12, 13, 30, 2, 2, 2)):
            inputs = forwards.batch(kind, lengths)
            ours, theirs = answered(compiled, model, inputs), answered(plain, model, inputs)
            torch.testing.assert_close(ours[0], theirs[0], rtol=1e-9, atol=1e-11)
            for name, one in ours[1].items():
                torch.testing.assert_close(one, theirs[1][name], rtol=1e-8, atol=1e-10)
        assert counters["stats"]["unique_graphs"] == before


def test_a_machine_that_cannot_compile_says_so(tmp_path):
    asked = "from charter.models.layers import check_compiler; check_compiler()"
    environment = {
        **os.environ,
        "PYTHONPATH": str(SOURCE),
        "CXX": "/nowhere/g++",
        "TORCHINDUCTOR_CACHE_DIR": str(tmp_path),
    }
    told = subprocess.run([sys.executable, "-c", asked], env=environment, capture_output=True, text=True)
    assert (
        "charter.errors.TrainingError: training.compile: torch can't compile on this machine" in told.stderr
    )
    assert "/nowhere/g++" in told.stderr.splitlines()[-1]

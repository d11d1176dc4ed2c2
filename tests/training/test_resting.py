"""A base that does not learn: the head learns from what it says once, as from asking it anew for each batch."""

import pytest
import torch
from test_learning import fitted, setting

from charter.models import resting
from charter.models.forward import forward_of
from charter.models.resting import resting_base, states_of
from charter.privacy.clipping import Flat
from charter.privacy.private import Private
from charter.privacy.stream import SecretStream
from charter.training.fitting import fit


def weights(tiny_bert, folder, **changed):
    return fitted(tiny_bert, folder, "head", epochs=4, **changed)[3].model.state_dict()


def assert_same(one, other, **within):
    for name, values in one.items():
        torch.testing.assert_close(other[name], values, **within, msg=name)


def test_states_that_are_kept_give_the_weights_of_asking_the_base_anew(tiny_bert, tmp_path, monkeypatch):
    kept = weights(tiny_bert, tmp_path / "kept")
    monkeypatch.setattr(resting, "MOST_BYTES", 0)
    asked = weights(tiny_bert, tmp_path / "asked")
    assert_same(kept, asked, rtol=1e-4, atol=1e-6)
    moved = fitted(tiny_bert, tmp_path / "moved", "head", epochs=1)[2]
    assert not torch.allclose(moved["classifier.weight"], kept["classifier.weight"], atol=1e-3)


def test_the_base_is_asked_once_for_each_example_whatever_the_epochs(tiny_bert, tmp_path):
    asked, told = [], []
    counted = torch.nn.modules.module.register_module_forward_hook(
        lambda module, *_: asked.append(module) if isinstance(module, torch.nn.Embedding) else None
    )
    try:
        fitted(tiny_bert, tmp_path, "head", epochs=4, validated=False, on_step=told.append)
    finally:
        counted.remove()
    assert asked.count(asked[0]) == 96 / 32
    before = [(one.step, one.steps) for one in told if one.doing]
    assert before == [(32, 96), (64, 96), (96, 96)]
    assert [one.step for one in told if not one.doing] == list(range(1, 25))


def test_a_fit_that_goes_on_ends_with_the_weights_of_one_that_was_not_broken_off(
    tiny_bert, tmp_path, broken_off
):
    whole = weights(tiny_bert, tmp_path / "whole")
    with broken_off(7):
        weights(tiny_bert, tmp_path / "parts")
    assert_same(whole, weights(tiny_bert, tmp_path / "parts"), rtol=0, atol=0)


def test_it_can_be_broken_off_while_the_base_is_asked(tiny_bert, tmp_path):
    def stop(step):
        if step.doing:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(tiny_bert, tmp_path, "head", on_step=stop)
    assert_same(
        fitted(tiny_bert, tmp_path, "head")[3].model.state_dict(),
        fitted(tiny_bert, tmp_path / "other", "head")[3].model.state_dict(),
        rtol=0,
        atol=0,
    )


@pytest.mark.parametrize("adapter", ["full", "bias", "lora"])
def test_a_base_that_learns_is_asked_anew(tiny_bert, adapter):
    _, _, examples, model, _, _ = setting(tiny_bert, adapter)
    assert resting_base(model) is None
    assert states_of(model, forward_of(model), examples) is None


def test_a_private_head_learns_from_kept_states_what_it_learns_from_the_base(
    tiny_bert, tmp_path, monkeypatch
):
    def private(folder):
        task, _, examples, model, _, settings = setting(tiny_bert, "head")
        plan = Private(16, None, Flat(0.1), 0.5, 1e-5, SecretStream.reproducible(3))
        settings = settings.model_copy(update={"keep": "last"})
        made = fit(model, task, examples, None, settings, plan, work=folder / "work", logs=folder / "logs")
        return made.model.state_dict()

    kept = private(tmp_path / "kept")
    monkeypatch.setattr(resting, "MOST_BYTES", 0)
    assert_same(kept, private(tmp_path / "asked"), rtol=1e-4, atol=1e-6)

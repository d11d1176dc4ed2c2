"""Private fits: the loop by a private plan, whatever it is divided by, interrupted or run short of examples."""

import numpy as np
import pytest
import shared_fits
import torch
from shared_fits import fitted

from charter.errors import TrainingError
from charter.models.world import World
from charter.privacy.clipping import Adaptive, Flat
from charter.privacy.private import Private
from charter.privacy.stream import SecretStream


@pytest.mark.parametrize("name", list(shared_fits.PRIVATE))
def test_a_private_fit_learns_and_is_the_same_when_it_goes_on(tiny_bert, tmp_path, name, broken_off):
    """Interrupted in the middle, it draws the same examples and the same noise when it goes on."""
    whole = fitted(name, tiny_bert, tmp_path / "whole")
    with broken_off(7):
        fitted(name, tiny_bert, tmp_path / "parts")
    notes = []
    resumed = fitted(name, tiny_bert, tmp_path / "parts", on_note=notes.append)
    assert "goes on from update 7" in notes[0]
    for key, one in whole.items():
        torch.testing.assert_close(resumed[key], one, rtol=0, atol=0, msg=key)


def test_a_checkpointed_private_fit_gives_the_weights_of_one_that_is_not(tiny_bert, tmp_path, monkeypatch):
    name = "private, checkpointed and corrected"
    again = fitted(name, tiny_bert, tmp_path / "again")
    inputs, _ = shared_fits.FITS[name]
    monkeypatch.setitem(shared_fits.FITS, name, (inputs, {}))
    for key, one in fitted(name, tiny_bert, tmp_path / "kept").items():
        torch.testing.assert_close(again[key], one, rtol=1e-5, atol=1e-7, msg=key)


class Counted(World):
    """One of two processes that don't talk: each keeps its own share."""

    def add_up(self, model, loss):
        del model
        return loss


def linear(seen, targets, *more):
    from charter.data.batch import Batch
    from charter.models.ownership import tell_batch

    model = torch.nn.Sequential(torch.nn.Linear(seen.shape[1], 2), *more)

    def losses(index):
        ids = torch.zeros(len(index), 1, dtype=torch.long)
        tell_batch(Batch({"input_ids": ids}, None, torch.as_tensor(index), torch.ones(len(index))))
        return torch.nn.functional.cross_entropy(model(seen[index]), targets[index], reduction="none")

    return model, losses


def plan(**changed):
    given = {"batch_size": 8, "micro_batch_size": 3, "clipping": Flat(0.5), "noise": 1.0, "delta": 1e-5}
    return Private(**{**given, "stream": SecretStream.reproducible(1), **changed})


def gradient(model, made, index, losses, world=None, update=0):
    made.gradient(
        model, np.asarray(index, dtype=np.int64), losses, *([] if world is None else [world]), update=update
    )
    return torch.cat([one.grad.flatten() for one in model.parameters()])


def test_noise_is_added_once_however_many_processes_share_an_update():
    torch.manual_seed(0)
    seen, targets = torch.randn(10, 4), torch.randint(0, 2, (10,))
    model, losses = linear(seen, targets)
    alone = gradient(model, plan(), range(10), losses)
    parts = [gradient(model, plan(), range(10), losses, Counted(rank, 2)) for rank in range(2)]
    torch.testing.assert_close(parts[0] + parts[1], alone)
    silent = gradient(model, plan(noise=0.0), range(10), losses)
    assert (alone - silent).abs().max() > 0.01


def test_an_update_without_examples_is_noise_alone():
    model, losses = linear(torch.randn(2, 4), torch.tensor([0, 1]))
    drawn = torch.cat([gradient(model, plan(), [], losses, update=number) for number in range(4000)])
    assert float(drawn.std()) == pytest.approx(0.5 / 8, rel=0.02)
    assert float(drawn.mean()) == pytest.approx(0.0, abs=0.002)


def test_no_example_moves_an_update_by_more_than_the_sensitivity():
    """Of the same noise, an example more changes the sum by its clipped gradient and by nothing else."""
    torch.manual_seed(1)
    seen, targets = torch.randn(12, 4) * 30, torch.randint(0, 2, (12,))
    model, losses = linear(seen, targets)
    moved = [
        gradient(model, plan(), range(12), losses)
        - gradient(model, plan(), [*range(one), *range(one + 1, 12)], losses)
        for one in range(12)
    ]
    norms = [float(one.norm()) * 8 for one in moved]
    assert max(norms) <= 0.5 + 1e-4
    assert max(norms) > 0.45


def test_the_gradient_is_divided_by_the_expected_batch_not_the_real_one():
    torch.manual_seed(2)
    seen, targets = torch.randn(20, 4), torch.randint(0, 2, (20,))
    model, losses = linear(seen, targets)
    made = plan(noise=0.0, clipping=Flat(1e6))
    few = gradient(model, made, range(4), losses)
    losses(np.arange(4)).sum().backward()
    model.zero_grad()
    losses(np.arange(4)).sum().backward()
    plain = torch.cat([one.grad.flatten() for one in model.parameters()])
    torch.testing.assert_close(few, plain / 8)


def test_an_adaptive_norm_follows_noisy_counts_and_is_part_of_the_state():
    torch.manual_seed(3)
    seen, targets = torch.randn(40, 4), torch.randint(0, 2, (40,))
    model, losses = linear(seen, targets)
    made = plan(clipping=Adaptive(50.0, 0.5, 0.2, 1.0), batch_size=40, micro_batch_size=None)
    for update in range(60):
        gradient(model, made, range(40), losses, update=update)
    assert made.clipping.norm < 5
    other = plan(clipping=Adaptive(50.0, 0.5, 0.2, 1.0))
    other.restore(made.state())
    assert other.clipping.norm == made.clipping.norm


def test_a_gradient_that_is_no_number_ends_the_training():
    seen = torch.tensor([[1.0, 2.0], [float("inf"), 0.0]])
    model, losses = linear(seen, torch.tensor([0, 1]))
    with pytest.raises(TrainingError, match="gradient is no number"):
        gradient(model, plan(), range(2), losses)


def test_the_key_is_shown_nowhere_and_two_fresh_streams_differ():
    one, other = SecretStream.fresh(), SecretStream.fresh()
    assert one.key not in repr(plan(stream=one)).encode() and one.key.hex() not in repr(plan(stream=one))
    assert one.uniform(4, 1, 0).tolist() != other.uniform(4, 1, 0).tolist()


def test_a_pass_leaves_nothing_behind_that_only_a_collector_would_find(monkeypatch):
    """A graph that holds its tape, which holds the graph, is a leak of every activation of every pass."""
    import gc
    import weakref

    from charter.privacy import bounded as module

    tapes = []

    class Watched(module.Tape):
        def __init__(self, *given):
            super().__init__(*given)
            tapes.append(weakref.ref(self))

    monkeypatch.setattr(module, "Tape", Watched)
    model, losses = linear(torch.randn(6, 4), torch.zeros(6, dtype=torch.long), torch.nn.Linear(2, 2))
    gc.collect()
    gc.disable()
    try:
        gradient(model, plan(), range(6), losses)
        assert len(tapes) == 2
        assert [one() for one in tapes] == [None, None]
    finally:
        gc.enable()


def steps_of(optimizer, weights, gradients):
    for one in gradients:
        weights.grad = one.clone()
        optimizer.step()
    return weights.detach()


def test_without_noise_the_corrected_optimizer_is_adamw_and_with_it_the_noise_is_taken_out():
    from charter.training.noisy_adam import NoisyAdamW

    torch.manual_seed(0)
    gradients = [torch.randn(50) for _ in range(20)]
    begin = torch.randn(50)
    plain, noiseless, noisy, clean = (torch.nn.Parameter(begin.clone()) for _ in range(4))
    wanted = steps_of(torch.optim.AdamW([plain], lr=0.01, weight_decay=0.1, eps=0.0), plain, gradients)
    found = steps_of(
        NoisyAdamW([noiseless], 0.01, noise=0.0, weight_decay=0.1, least=0.0), noiseless, gradients
    )
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)
    # gradients of 0.1 under noise of 1: AdamW moves by a tenth of its rate, the corrected one by about its whole rate
    drowned = [0.1 + torch.randn(50) for _ in range(3000)]
    corrected = steps_of(NoisyAdamW([noisy], 1e-4, noise=1.0, least=1e-3), noisy, drowned) - begin
    usual = steps_of(torch.optim.AdamW([clean], lr=1e-4, weight_decay=0.0), clean, drowned) - begin
    assert float(corrected.mean()) < 3 * float(usual.mean()) < 0


@pytest.mark.parametrize(("momentum", "moved"), [(0.0, 2.0), (0.9, 2.9)])
def test_sgd_moves_against_the_gradient_with_its_momentum(momentum, moved):
    from charter.spec.training import Training
    from charter.training.optimizers import optimizers_of

    model = torch.nn.Linear(2, 1, bias=False)
    model.get_input_embeddings = lambda: None
    begin = model.weight.detach().clone()
    optimizer = optimizers_of(
        model, Training(optimizer="sgd", momentum=momentum, learning_rate=0.1, weight_decay=0.0)
    )
    for _ in range(2):
        model.weight.grad = torch.ones(1, 2)
        optimizer.step()
    torch.testing.assert_close(begin - model.weight.detach(), torch.full((1, 2), 0.1 * moved))

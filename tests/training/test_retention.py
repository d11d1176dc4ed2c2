"""EWC, LwF, the Fisher information and reservoir sampling against their definitions."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from transformers import AutoTokenizer

from charter.data.batch import unlabelled
from charter.data.reservoir import Reservoir
from charter.data.text import encode_texts
from charter.models.base import attach, find_base
from charter.tasks.classification import Classification
from charter.tasks.kept import EachLabel, OneClass, Steps
from charter.tasks.ordinal import class_shares
from charter.training.retention import Earlier, diagonal_fisher, ewc, lwf

TASK = Classification(labels=("bad", "good", "praise"))
TEXTS = ["the room was great", "awful crew", "my seat was very cold and dirty", "lovely meal today"]


@pytest.fixture
def model(tiny_bert):
    return attach(find_base(str(tiny_bert), None, tiny_bert), TASK, seed=2, max_length=32).eval()


@pytest.fixture
def examples(tiny_bert):
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    encoded = encode_texts(TEXTS, tokenizer, 32)
    from dataclasses import replace

    return replace(unlabelled(encoded.ids, tokenizer.pad_token_id), targets=np.array([1, 0, 0, 2]))


def earlier(model, examples, work: Path, fisher=None, classes: int = 2) -> Earlier:
    return Earlier(model, TASK, examples, classes, fisher, work)


def test_the_fisher_information_is_the_variance_of_the_score(model, examples):
    """Of the last layer's bias it has a closed form: the mean of p (1 - p) by class, when y is averaged out."""
    one = examples.batch(np.arange(len(examples)))
    shares = torch.softmax(model(**one.inputs).logits, dim=1)
    wanted = (shares * (1 - shares)).mean(dim=0)
    drawn = torch.stack([diagonal_fisher(model, examples, seed)["classifier.bias"] for seed in range(150)])
    spread = drawn.std(dim=0) / np.sqrt(len(drawn))
    assert ((drawn.mean(dim=0) - wanted).abs() <= 4 * spread).all()
    assert drawn.std(dim=0).max() > 0


def test_the_penalty_of_ewc_is_that_of_kirkpatrick_equation_3(model, examples, tmp_path):
    generator = torch.Generator().manual_seed(1)
    fisher = {name: torch.rand(one.shape, generator=generator) for name, one in model.named_parameters()}
    fisher["classifier.bias"] = torch.tensor([0.5, 0.25])  # of the two earlier classes
    held = ewc(strength=3.0).around(TASK, earlier(model, examples, tmp_path, fisher))
    batch = examples.batch(np.arange(4))
    assert torch.equal(held.loss(model, batch), TASK.loss(model, batch))  # nothing has moved
    with torch.no_grad():
        model.classifier.bias.add_(torch.tensor([1.0, 2.0, 10.0]))
    plain, penalised = TASK.loss(model, batch), held.loss(model, batch)
    torch.testing.assert_close(penalised - plain, torch.full((4,), 3.0 / 2 * (0.5 * 1 + 0.25 * 4)))
    penalised.mean().backward()
    torch.testing.assert_close(
        model.classifier.bias.grad[2],
        torch.autograd.grad(TASK.loss(model, batch).mean(), model.classifier.bias)[0][2],
    )


def test_lwf_adds_the_distillation_of_the_earlier_classes_alone(model, examples, tmp_path):
    held = lwf(temperature=2.0, weight=0.7).around(TASK, earlier(model, examples, tmp_path))
    batch = examples.batch(np.array([2, 0]))
    before = model(**batch.inputs).logits.detach()
    torch.testing.assert_close(held.loss(model, batch), TASK.loss(model, batch))
    with torch.no_grad():
        model.classifier.bias.add_(torch.tensor([0.5, -1.0, 4.0]))
    now = model(**batch.inputs).logits
    shares = F.softmax(before[:, :2] / 2, dim=1)
    wanted = (shares * (shares.log() - F.log_softmax(now[:, :2] / 2, dim=1))).sum(dim=1)
    torch.testing.assert_close(held.loss(model, batch) - TASK.loss(model, batch), 0.7 * wanted)


def test_the_earlier_answers_are_those_noted_before_the_first_update(model, examples, tmp_path):
    first = lwf().around(TASK, earlier(model, examples, tmp_path))
    with torch.no_grad():
        model.classifier.weight.mul_(5)
    again = lwf().around(TASK, earlier(model, examples, tmp_path))
    assert np.array_equal(first.answers, again.answers)
    fresh = lwf().around(TASK, earlier(model, examples, tmp_path / "other"))
    assert not np.array_equal(first.answers, fresh.answers)


def test_a_reservoir_holds_each_item_of_several_tasks_with_the_same_chance():
    counts = np.zeros(60)
    for seed in range(4000):
        sample = Reservoir.empty(6).after(10, seed).after(20, seed).after(30, seed)
        assert len(set(sample.places.tolist())) == 6
        counts[sample.places] += 1
    chance = 6 / 60
    assert np.abs(counts / 4000 - chance).max() < 4.5 * np.sqrt(chance * (1 - chance) / 4000)


def test_a_reservoir_larger_than_its_stream_holds_all_of_it():
    assert Reservoir.empty(50).after(3, 1).after(4, 1).places.tolist() == list(range(7))


def test_ordered_classes_move_by_the_divergence_of_their_distributions():
    generator = torch.Generator().manual_seed(4)
    ours, theirs = torch.randn(2, 5, 3, generator=generator).unbind()
    shares = [torch.from_numpy(class_shares(one.double().numpy() / 2)) for one in (ours, theirs)]
    wanted = (shares[1] * (shares[1].log() - shares[0].log())).sum(dim=1)
    torch.testing.assert_close(Steps().moved(ours, theirs, 2.0), wanted.float())


def test_labels_move_by_the_mean_divergence_of_each_earlier_one():
    generator = torch.Generator().manual_seed(5)
    ours, theirs = torch.randn(4, 3, generator=generator), torch.randn(4, 2, generator=generator)
    yes, now = torch.sigmoid(theirs), torch.sigmoid(ours[:, :2])
    wanted = yes * (yes / now).log() + (1 - yes) * ((1 - yes) / (1 - now)).log()
    torch.testing.assert_close(EachLabel().moved(ours, theirs, 1.0), wanted.mean(dim=1))


@pytest.mark.parametrize(("kept", "outcomes"), [(OneClass(), 3), (EachLabel(), 8), (Steps(), 4)])
def test_drawn_answers_come_as_often_as_they_are_likely(kept, outcomes):
    logits, rng = torch.tensor([0.3, -0.8, 1.3]), np.random.default_rng(3)
    drawn = np.array([float(kept.drawn(logits, rng).exp()) for _ in range(3000)]).round(6)
    likely, counts = np.unique(drawn, return_counts=True)
    assert len(likely) == outcomes and likely.sum() == pytest.approx(1.0, abs=1e-4)
    spread = np.sqrt(likely * (1 - likely) / len(drawn))
    assert (np.abs(counts / len(drawn) - likely) < 4 * spread).all()

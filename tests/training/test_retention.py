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

"""SimCSE: that the loss is the paper's, what held-out texts are judged by, and which bases can't learn it."""

import numpy as np
import polars as pl
import pytest
import torch

from charter.data.columns import ROW, Columns
from charter.errors import ModelError
from charter.models.base import attach, find_base, load_tokenizer
from charter.models.forward import forward_of
from charter.tasks.simcse import SimCSE

COLUMNS = Columns(inputs={"text": "text"})
TEXTS = [
    "the room was very clean and the crew was kind",
    "rude staff",
    "酒店房间很好服务很差",
    "we found the desk slow " * 9,
]


def rows_of(texts):
    return pl.DataFrame({ROW: range(1, len(texts) + 1), "text": texts})


@pytest.fixture
def model(tiny_bert, tmp_path):
    return attach(find_base(str(tiny_bert), None, tmp_path), SimCSE(), seed=1, max_length=24)


def test_the_loss_is_that_of_the_paper_on_the_same_two_readings(tiny_bert, model, tmp_path):
    """Equation 4: each text is read twice; the cosine of both readings over 0.05 against those with all texts of the batch."""
    tokenizer, task = load_tokenizer(tiny_bert), SimCSE()
    examples = task.encoded([rows_of(TEXTS)], COLUMNS, tokenizer, 24, tmp_path / "pieces")
    batch = examples.batch(np.arange(4))
    seen = []

    def watched(**inputs):
        seen.append(model(**inputs))
        return seen[-1]

    torch.manual_seed(3)
    ours = task.loss(watched, batch)
    (states,) = [one.last_hidden_state for one in seen]
    assert len(states) == 8 and not torch.equal(states[:4], states[4:])  # dropout was drawn for each reading
    mask = batch.inputs["attention_mask"].bool()
    first, second = (
        [state[kept].mean(dim=0) for state, kept in zip(half, mask, strict=True)]
        for half in (states[:4], states[4:])
    )
    for row in range(4):
        likely = torch.stack([torch.cosine_similarity(first[row], other, dim=0) / 0.05 for other in second])
        wanted = -(likely[row] - likely.exp().sum().log())
        assert float(ours[row].detach()) == pytest.approx(float(wanted.detach()), abs=1e-5)


def test_an_equal_text_of_the_batch_is_no_negative(tiny_bert, model, tmp_path):
    tokenizer, task = load_tokenizer(tiny_bert), SimCSE()
    examples = task.encoded([rows_of([TEXTS[0]] * 3)], COLUMNS, tokenizer, 24, tmp_path / "pieces")
    loss = task.loss(forward_of(model.train()), examples.batch(np.arange(3)))
    assert float(loss.detach().abs().max()) == 0.0


def test_texts_are_cut_and_counted_also_when_they_are_found_again(tiny_bert, tmp_path):
    tokenizer, task = load_tokenizer(tiny_bert), SimCSE()
    first = task.encoded([rows_of(TEXTS)], COLUMNS, tokenizer, 24, tmp_path / "pieces")
    again = task.encoded([], COLUMNS, tokenizer, 24, tmp_path / "pieces")
    assert first.truncated == again.truncated == 1 and len(again) == 4
    assert max(again.lengths) == 24


def test_held_out_texts_are_judged_by_their_halves(tiny_bert, model):
    tokenizer, task = load_tokenizer(tiny_bert), SimCSE()
    rows = rows_of([*TEXTS, "a"])
    examples = task.examples(rows, COLUMNS, tokenizer, 24)
    assert examples.sizes.tolist() == [2, 2, 2, 2, 1]
    whole = tokenizer(TEXTS[0], add_special_tokens=False)["input_ids"]
    assert [*examples.ids[0][1:-1], *examples.ids[1][1:-1]] == whole
    with torch.no_grad():
        outputs = task.outputs(forward_of(model.eval()), examples.batch(np.arange(5)), examples)
    tally = task.tally(outputs, rows, COLUMNS)
    assert tally[:, 0].tolist() == [1, 1, 1, 1, 0] and not tally[4].any()


def test_alignment_and_uniformity_are_those_of_wang_and_isola():
    task = SimCSE()
    vectors = np.random.default_rng(0).normal(size=(40, 2, 6))
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    scores = task.scores(task.tally(list(vectors), rows_of(["x"] * 40), COLUMNS).sum(axis=0))
    first = torch.as_tensor(vectors[:, 0])
    uniform = float(torch.pdist(first).pow(2).mul(-2).exp().mean().log())
    assert float(scores["uniformity", ""]) == pytest.approx(uniform, rel=1e-6)
    wanted = float(((vectors[:, 0] - vectors[:, 1]) ** 2).sum(-1).mean())
    assert float(scores["alignment", ""]) == pytest.approx(wanted, rel=1e-6)
    same = np.repeat(vectors[:, :1], 2, axis=1)
    told = task.scores(task.tally(list(same), rows_of(["x"] * 40), COLUMNS).sum(axis=0))
    assert float(told["recall_at_1", ""]) == 1.0 and float(told["alignment", ""]) == 0.0


def test_a_base_without_dropout_is_refused(model):
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    with pytest.raises(ModelError, match="both readings would be the same"):
        SimCSE().begun(model, 1)


def test_under_privacy_texts_of_a_batch_may_not_meet(tmp_path):
    from charter.spec.model import Charter

    with pytest.raises(ValueError, match=r"pretraining.objective simcse compares each text"):
        Charter.model_validate(
            {
                "name": "reviews",
                "data": {"source": "reviews.csv", "inputs": {"text": "text"}, "target": "label"},
                "model": {"base": "sample:minilm"},
                "pretraining": {"source": "texts.jsonl", "objective": {"use": "simcse"}},
                "task": {"use": "classification"},
                "privacy": {"epsilon": 8, "delta": 1e-5},
            }
        )

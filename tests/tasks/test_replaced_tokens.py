"""Replaced-token detection: that the loss is that of transformers' ELECTRA, and what is drawn, shared and kept."""

import numpy as np
import polars as pl
import pytest
import torch

from charter.data.batch import IGNORED
from charter.data.columns import ROW, Columns
from charter.models.base import attach, find_base, load_tokenizer
from charter.models.exports import save_model
from charter.tasks.replaced_token_detection import ReplacedTokenDetection

COLUMNS = Columns(inputs={"text": "text"})
TEXTS = [
    "the room was very clean and the crew was kind",
    "rude staff",
    "酒店房间很好服务很差",
    "we found the desk slow " * 9,
]


def rows_of(texts):
    return pl.DataFrame({ROW: range(1, len(texts) + 1), "text": texts})


@pytest.fixture(scope="module")
def electra(tiny_bert, tmp_path_factory):
    from transformers import ElectraConfig, ElectraModel

    folder, tokenizer = tmp_path_factory.mktemp("electra"), load_tokenizer(tiny_bert)
    torch.manual_seed(1)
    config = ElectraConfig(
        vocab_size=len(tokenizer), embedding_size=24, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=64, max_position_embeddings=64, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    save_model(ElectraModel(config), tokenizer, folder)
    return folder


def begun(electra, task, dropout=False):
    both = task.begun(attach(find_base(str(electra), None, electra), task, seed=1, max_length=32), 3)
    for module in both.modules():
        if isinstance(module, torch.nn.Dropout) and not dropout:
            module.p = 0.0
    return both


def test_the_loss_of_an_update_is_transformers_own_of_both_models(electra, tmp_path):
    """The mean over hidden tokens plus 50 times the mean over all tokens, from the same drawn tokens, in whatever parts."""
    tokenizer, task = load_tokenizer(electra), ReplacedTokenDetection()
    both = begun(electra, task).double().train()
    examples = task.encoded([rows_of(TEXTS)], COLUMNS, tokenizer, 24, tmp_path / "pieces")
    index = np.arange(len(examples))
    given, drawn = [], []

    def watched(filled, ids, learning):
        drawn.append(ReplacedTokenDetection._drawn(filled, ids, learning))
        return drawn[-1]

    object.__setattr__(task, "_drawn", watched)
    torch.manual_seed(5)
    ours = 0.0
    for part in np.array_split(index, 3):
        batch = examples.batch(part, index)
        given.append(batch)
        ours = ours + (task.loss(both, batch) * batch.weights).sum() / len(index)
    ours.backward()
    gradients = {name: one.grad.clone() for name, one in both.named_parameters() if one.grad is not None}
    both.zero_grad()

    def joined(parts, fill):
        return torch.cat([torch.nn.functional.pad(one, (0, 24 - one.shape[1]), value=fill) for one in parts])

    ids, mask = (joined([one.inputs[name] for one in given], 0) for name in ("input_ids", "attention_mask"))
    labels = joined([one.targets for one in given], IGNORED)
    asked = both.generator(input_ids=ids, attention_mask=mask, labels=labels).loss
    corrupt, truth = ids.clone(), ids.clone()
    corrupt[labels != IGNORED] = torch.cat(drawn)
    truth[labels != IGNORED] = labels[labels != IGNORED]
    told = both.discriminator(input_ids=corrupt, attention_mask=mask, labels=(corrupt != truth).long()).loss
    (asked + 50 * told).backward()
    assert float(ours.detach()) == pytest.approx(float((asked + 50 * told).detach()), abs=1e-5)
    assert (ids[labels != IGNORED] == tokenizer.mask_token_id).all() and (corrupt != truth).any()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, both.get_parameter(name).grad, rtol=1e-4, atol=1e-6)


def test_the_generator_is_narrower_as_deep_and_has_the_same_embeddings(electra):
    both = begun(electra, ReplacedTokenDetection(generator_size=0.5))
    own, small = both.discriminator.config, both.generator.config
    assert (small.hidden_size, small.intermediate_size, small.num_attention_heads) == (16, 32, 2)
    assert small.num_hidden_layers == own.num_hidden_layers
    assert both.generator.electra.embeddings is both.discriminator.electra.embeddings
    assert both.generator.get_output_embeddings().weight is both.discriminator.get_input_embeddings().weight


def test_tokens_are_drawn_as_likely_as_the_generator_finds_them():
    filled = torch.log(torch.tensor([[0.7, 0.2, 0.1]])).repeat(20_000, 1)
    torch.manual_seed(0)
    drawn = ReplacedTokenDetection._drawn(filled, torch.zeros(1, 1, dtype=torch.long), True)
    np.testing.assert_allclose(np.bincount(drawn) / 20_000, [0.7, 0.2, 0.1], atol=0.02)


def test_scores_are_of_the_sums_and_held_out_texts_are_judged_the_same_each_time(electra):
    tokenizer, task, rows = load_tokenizer(electra), ReplacedTokenDetection(), rows_of(TEXTS)
    both = begun(electra, task, dropout=True).eval()
    examples = task.examples(rows, COLUMNS, tokenizer, 24)
    with torch.no_grad():
        told = [np.asarray(task.outputs(both, examples.batch(np.arange(4)), examples)) for _ in range(2)]
    assert (told[0] == told[1]).all()
    assert told[0][:, 4].sum() == sum(map(len, examples.ids))
    totals = np.zeros(9)
    totals[[0, 1, 2, 4, 6, 7, 8]] = [10 * np.log(8), 10, 4, 60, 6, 2, 4]
    scores = {name: float(value) for (name, _), value in task.scores(totals).items()}
    assert scores == pytest.approx(
        {
            "detection_f1": 12 / 18,
            "detection_accuracy": 0.9,
            "generator_perplexity": 8,
            "generator_token_accuracy": 0.4,
        }
    )


def test_what_is_parted_is_a_plain_electra_and_joined_again_the_same(electra, tmp_path):
    from transformers import ElectraForPreTraining

    task = ReplacedTokenDetection()
    both = begun(electra, task)
    names = {name: one.clone() for name, one in both.state_dict().items()}
    alone = task.parted(both, tmp_path / "beside")
    save_model(alone, load_tokenizer(electra), tmp_path / "model")
    opened = ElectraForPreTraining.from_pretrained(tmp_path / "model")
    again = task.rejoined(opened, tmp_path / "beside")
    torch.testing.assert_close(dict(again.state_dict()), names)

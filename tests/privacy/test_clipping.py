"""The clipped sum of one pass equals that of one example at a time, for every architecture that is run padding-free, and padded."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from charter.data.batch import Batch
from charter.errors import ModelError
from charter.models.forward import PackedForward, forward_of, words_at
from charter.models.ownership import tell_batch
from charter.privacy.clipping import check_private, clipped

SIZES = {
    "vocab_size": 60,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 32,
    "num_labels": 3,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 3,
    "cls_token_id": 2,
    "sep_token_id": 3,
}
GPT = {"n_embd": 16, "n_layer": 2, "n_head": 2}
DISTIL = {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24}


def model_of(name, config, **more):
    import transformers

    torch.manual_seed(0)
    model = getattr(transformers, name)(getattr(transformers, config)(**SIZES, **more)).double().eval()
    with torch.no_grad():
        for one in model.parameters():  # no gradient is nought, and no norm's weight is one
            one.add_(0.1 * torch.randn_like(one))
    return model


class Data:
    """Sequences of different lengths, and the loss of some of them."""

    def __init__(self, count, *, words=False):
        drawn = np.random.default_rng(1)
        lengths = drawn.integers(3, 12, count)
        self.ids = torch.zeros(count, max(lengths), dtype=torch.long)
        self.mask = torch.zeros_like(self.ids)
        for row, length in enumerate(lengths):
            self.ids[row, :length] = torch.from_numpy(drawn.integers(4, 60, length))
            self.mask[row, :length] = 1
        self.targets = torch.from_numpy(drawn.integers(0, 3, count))
        self.hidden = torch.from_numpy(drawn.random(self.ids.shape) < 0.4) & (self.mask == 1)
        self.hidden[:, 1] = True
        self.words = words

    def losses(self, forward):
        def of(index):
            length = int(self.mask[index].sum(1).max())
            inputs = {"input_ids": self.ids[index, :length], "attention_mask": self.mask[index, :length]}
            batch = Batch(inputs, self.targets[index], torch.as_tensor(index), torch.ones(len(index)))
            tell_batch(batch)
            if self.words:
                where = self.hidden[index, :length]
                each = F.cross_entropy(
                    words_at(forward, inputs, where).logits(), inputs["input_ids"][where], reduction="none"
                )
                return each.new_zeros(len(index)).index_add(0, where.nonzero()[:, 0], each)
            if not isinstance(forward, PackedForward):
                inputs["position_ids"] = torch.arange(length).expand(len(index), length)
            return F.cross_entropy(forward(**inputs).logits, batch.targets, reduction="none")

        return of


def one_by_one(model, losses, count, clip=None):
    """Norms, and the sum of gradients clipped at their median unless told."""
    learning = {name: one for name, one in model.named_parameters() if one.requires_grad}
    each = []
    for row in range(count):
        model.zero_grad(set_to_none=True)
        losses(np.array([row])).sum().backward()
        each.append(
            {
                name: torch.zeros_like(one) if one.grad is None else one.grad.clone()
                for name, one in learning.items()
            }
        )
    model.zero_grad(set_to_none=True)
    norms = torch.stack([sum(one.square().sum() for one in grads.values()).sqrt() for grads in each])
    clip = float(norms.median()) if clip is None else clip
    factors = (clip / norms).clamp(max=1.0)
    return (
        norms,
        clip,
        {name: sum(f * grads[name] for f, grads in zip(factors, each, strict=True)) for name in learning},
    )


def check(model, losses, count):
    norms, clip, sums = one_by_one(model, losses, count)
    found = clipped(model, np.arange(count), losses, clip)
    assert float((norms > clip).sum()) >= count // 2 - 1  # some are clipped, some are not
    torch.testing.assert_close(found.norms, norms, rtol=1e-9, atol=1e-12)
    for name, one in model.named_parameters():
        if one.requires_grad:
            got = found.sums.get(id(one), torch.zeros_like(one))
            torch.testing.assert_close(
                got, sums[name], rtol=1e-7, atol=1e-10, msg=lambda text, name=name: f"{name}: {text}"
            )


@pytest.mark.parametrize(
    ("name", "config", "more"),
    [
        ("BertForSequenceClassification", "BertConfig", {}),
        ("RobertaForSequenceClassification", "RobertaConfig", {}),
        ("DistilBertForSequenceClassification", "DistilBertConfig", DISTIL),
        ("ModernBertForSequenceClassification", "ModernBertConfig", {}),
        ("GPT2ForSequenceClassification", "GPT2Config", GPT),
    ],
)
def test_the_clipped_sum_of_a_padding_free_pass_is_that_of_one_example_at_a_time(name, config, more):
    model = model_of(name, config, **more)
    forward = forward_of(model)
    assert isinstance(forward, PackedForward)
    check(model, Data(7).losses(forward), 7)


@pytest.mark.parametrize(
    ("name", "config", "more"),
    [
        ("BertForMaskedLM", "BertConfig", {}),
        ("RobertaForMaskedLM", "RobertaConfig", {}),
        ("GPT2LMHeadModel", "GPT2Config", GPT),
    ],
)
def test_so_it_is_where_the_output_layer_is_the_embedding_table(name, config, more):
    model = model_of(name, config, **more)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    check(model, Data(7, words=True).losses(forward_of(model)), 7)


def test_so_it_is_of_transformers_own_padded_pass():
    model = model_of("BertForSequenceClassification", "BertConfig")
    check(model, Data(7).losses(model), 7)


def test_positions_that_are_embedded_once_for_the_whole_batch_are_refused():
    model = model_of("BertForSequenceClassification", "BertConfig")
    data = Data(5)

    def losses(index):
        inputs = {"input_ids": data.ids[index], "attention_mask": data.mask[index]}
        tell_batch(Batch(inputs, data.targets[index], torch.as_tensor(index), torch.ones(len(index))))
        return F.cross_entropy(model(**inputs).logits, data.targets[index], reduction="none")

    with pytest.raises(ModelError, match=r"position_embeddings.weight' is applied to 1 rows"):
        clipped(model, np.arange(5), losses, 1.0)


@pytest.mark.parametrize("learns", ["bias", "classifier", "LayerNorm"])
def test_where_only_some_parameters_learn_the_norm_is_theirs(learns):
    model = model_of("BertForSequenceClassification", "BertConfig")
    for name, one in model.named_parameters():
        one.requires_grad_(learns in name)
    check(model, Data(6).losses(forward_of(model)), 6)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft's own
def test_a_lora_beside_frozen_weights_is_clipped_by_its_own_norm():
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(
        model_of("BertForSequenceClassification", "BertConfig"),
        LoraConfig(r=2, target_modules=["query", "value"], task_type="SEQ_CLS"),
    )
    with torch.no_grad():
        for name, one in model.named_parameters():
            if "lora_" in name:
                one.copy_(torch.randn_like(one))
    check(model.double(), Data(6).losses(forward_of(model)), 6)


class Odd(torch.nn.Module):
    """A parameter that a rule is known for, and one that is squared, for which none is."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 3)
        self.odd = torch.nn.Parameter(torch.ones(3))

    def forward(self, seen):
        return self.layer(seen) + (self.odd**2)


def test_a_parameter_in_an_unknown_operation_is_refused_by_name_and_never_skipped():
    model, seen = Odd().double(), torch.randn(5, 4, dtype=torch.float64)

    def losses(index):
        ids = torch.zeros(len(index), 1, dtype=torch.long)
        tell_batch(Batch({"input_ids": ids}, None, torch.as_tensor(index), torch.ones(len(index))))
        return model(seen[index]).square().sum(1)

    with pytest.raises(ModelError, match=r"'odd' \(1 such\) is used by an operation"):
        clipped(model, np.arange(5), losses, 1.0)
    assert all(one.grad is None for one in model.parameters())
    model.odd.requires_grad_(False)
    check(model, losses, 5)


def test_batch_normalisation_is_refused_since_it_mixes_examples():
    with pytest.raises(ModelError, match=r"'1' is batch normalisation"):
        check_private(torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3)))

"""The clipped sum of one pass equals that of one example at a time, for every architecture that is run padding-free, and padded."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from charter.data.batch import Batch
from charter.errors import ModelError
from charter.models.forward import PackedForward, forward_of, words_at
from charter.models.ownership import tell_batch
from charter.privacy.bounded import bounded, check_bounded
from charter.privacy.clipping import Adaptive, Flat, PerLayer

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
    found = bounded(model, np.arange(count), losses, Flat(clip))
    assert float((norms > clip).sum()) >= count // 2 - 1  # some are clipped, some are not
    torch.testing.assert_close(found.squares.sum(1).sqrt(), norms, rtol=1e-9, atol=1e-12)
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
        bounded(model, np.arange(5), losses, Flat(1.0))


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
        bounded(model, np.arange(5), losses, Flat(1.0))
    assert all(one.grad is None for one in model.parameters())
    model.odd.requires_grad_(False)
    check(model, losses, 5)


def test_batch_normalisation_is_refused_since_it_mixes_examples():
    with pytest.raises(ModelError, match=r"'1' is batch normalisation"):
        check_bounded(torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3)), np.arange(2), None)


class Meeting(torch.nn.Module):
    """Examples that meet: each has the batch's mean taken off."""

    def __init__(self, meets):
        super().__init__()
        self.layer, self.meets = torch.nn.Linear(4, 3), meets

    def forward(self, seen):
        made = self.layer(seen)
        return made - made.mean(0) if self.meets else made


@pytest.mark.parametrize("meets", [True, False])
def test_examples_that_meet_in_a_model_are_found_before_anything_is_learned(meets):
    torch.manual_seed(0)
    model, seen = Meeting(meets), torch.randn(5, 4)

    def losses(index):
        ids = torch.zeros(len(index), 1, dtype=torch.long)
        tell_batch(Batch({"input_ids": ids}, None, torch.as_tensor(index), torch.ones(len(index))))
        return (model(seen[index]) - 1).square().sum(1)

    if not meets:
        check_bounded(model, np.arange(3), losses)
        return
    with pytest.raises(ModelError, match="the examples of a batch meet in this model"):
        check_bounded(model, np.arange(3), losses)


def test_layers_are_clipped_each_by_its_own_norm_and_their_sensitivity_is_of_all_together():
    model = model_of("BertForSequenceClassification", "BertConfig")
    losses, clipping = Data(6).losses(forward_of(model)), PerLayer(0.5)
    found = bounded(model, np.arange(6), losses, clipping)
    learning = dict(model.named_parameters())
    layers = list(dict.fromkeys(name.rpartition(".")[0] for name in learning))
    assert found.squares.shape == (6, len(layers))
    assert clipping.sensitivity == pytest.approx(0.5)
    expected = {name: torch.zeros_like(one) for name, one in learning.items()}
    largest = 0.0
    for row in range(6):
        model.zero_grad(set_to_none=True)
        losses(np.array([row])).sum().backward()
        gradients = {
            name: torch.zeros_like(one) if one.grad is None else one.grad for name, one in learning.items()
        }
        whole = 0.0
        for layer in layers:
            own = [name for name in learning if name.rpartition(".")[0] == layer]
            norm = sum(gradients[name].square().sum() for name in own).sqrt()
            factor = min(1.0, float(clipping.each / norm)) if norm else 1.0
            whole += float(norm * factor) ** 2
            for name in own:
                expected[name] += gradients[name] * factor
        largest = max(largest, whole**0.5)
    assert 0 < largest <= 0.5 + 1e-9
    model.zero_grad(set_to_none=True)
    for name, one in learning.items():
        got = found.sums.get(id(one), torch.zeros_like(one))
        torch.testing.assert_close(got, expected[name], rtol=1e-7, atol=1e-10)


def test_all_examples_of_a_unit_are_clipped_jointly():
    model = model_of("BertForSequenceClassification", "BertConfig")
    losses, units = Data(7).losses(forward_of(model)), np.array([0, 0, 1, 2, 2, 2, 1])
    each = []
    for unit in range(3):
        model.zero_grad(set_to_none=True)
        losses(np.flatnonzero(units == unit)).sum().backward()
        each.append(
            {name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None}
        )
    model.zero_grad(set_to_none=True)
    norms = torch.stack([sum(one.square().sum() for one in grads.values()).sqrt() for grads in each])
    clip = float(norms.median())
    found = bounded(model, np.arange(7), losses, Flat(clip), units=units)
    torch.testing.assert_close(found.squares.sum(1).sqrt(), norms, rtol=1e-9, atol=1e-12)
    factors = (clip / norms).clamp(max=1.0)
    for name, one in model.named_parameters():
        if id(one) in found.sums:
            wanted = sum(f * grads[name] for f, grads in zip(factors, each, strict=True))
            torch.testing.assert_close(found.sums[id(one)], wanted, rtol=1e-7, atol=1e-10)


def test_an_adaptive_norm_nears_the_quantile_and_pays_for_its_counts():
    clipping = Adaptive(10.0, 0.5, 0.2, 5.0)
    norms = torch.from_numpy(np.random.default_rng(0).lognormal(0.0, 0.5, 1000))
    for _ in range(200):
        clipping.adapt(clipping.counted(norms.square()[:, None]), 1000)
    assert clipping.norm == pytest.approx(float(norms.median()), rel=0.02)
    spent = clipping.noise(1.0)
    assert spent > 1.0
    assert spent**-2 + (2 * 5.0) ** -2 == pytest.approx(1.0)
    with pytest.raises(ValueError, match="noise_of_count above 10"):
        clipping.noise(20.0)

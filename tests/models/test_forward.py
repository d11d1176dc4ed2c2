"""The padding-free forward pass gives what transformers' own gives, and so do its gradients; what it doesn't know it leaves alone."""

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st

from charter import plugins
from charter.models.attention import _by_length, _padded
from charter.models.dropout import coarse
from charter.models.forward import forward_of, logits_at, read_at
from charter.models.packing import Packing

SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
    "pad_token_id": 0,
}
OTHER = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48, "max_position_embeddings": 40}
CONFIGS = {
    "bert": SMALL,
    "roberta": {**SMALL, "pad_token_id": 1},
    "xlm-roberta": {**SMALL, "pad_token_id": 1},
    "camembert": {**SMALL, "pad_token_id": 1},
    "electra": {**SMALL, "embedding_size": 16},
    "distilbert": {**OTHER, "pad_token_id": 0},
    "modernbert": {**SMALL, "local_attention": 8, "num_hidden_layers": 4, "global_attn_every_n_layers": 3},
}
UNKNOWN = {
    "deberta-v2": SMALL,
    "albert": {**SMALL, "embedding_size": 16},
    "openai-gpt": {"n_embd": 32, "n_layer": 1, "n_head": 2, "n_positions": 40, "pad_token_id": 0},
}
GPT2 = {
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 2,
    "n_positions": 40,
    "pad_token_id": 0,
    "classifier_dropout": 0.0,
}
HEADS = ["SequenceClassification", "TokenClassification", "QuestionAnswering", "MultipleChoice", ""]


def made(kind, head, dropout=0.0, **changed):
    """A random model in float64; `dropout` everywhere."""
    ids = {"bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
    config = transformers.AutoConfig.for_model(
        kind, **{**(CONFIGS | UNKNOWN | {"gpt2": GPT2})[kind], **ids, **changed}, vocab_size=60, num_labels=3
    )
    if head == "QuestionAnswering":
        config.num_labels = 2
    for name in vars(config):
        if ("dropout" in name or "pdrop" in name) and isinstance(getattr(config, name), float):
            setattr(config, name, dropout)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        auto = getattr(transformers, f"AutoModelFor{head}" if head else "AutoModel")
        return auto.from_config(config, dtype=torch.float64)


def batch(kind, lengths=(9, 3, 30, 9, 1, 17)):
    """A padded batch of random tokens; two sequences have the same length."""
    padding = CONFIGS.get(kind, SMALL).get("pad_token_id", 0)
    generator = torch.Generator().manual_seed(3)
    ids = torch.full((len(lengths), max(lengths)), padding)
    mask = torch.zeros_like(ids)
    for row, length in enumerate(lengths):
        ids[row, :length] = torch.randint(4, 60, (length,), generator=generator)
        mask[row, :length] = 1
    return {"input_ids": ids, "attention_mask": mask}


def logits(output, mask):
    """The logits of an output: all of them, or those of its tokens; of a base without head its hidden states."""
    if not hasattr(output, "logits") and hasattr(output, "last_hidden_state"):
        return output.last_hidden_state[mask.bool()]
    if hasattr(output, "start_logits") and (not hasattr(output, "logits") or output.logits.shape[-1] == 2):
        found = torch.stack([output.start_logits, output.end_logits], -1)
    else:
        found = output.logits
    return found if found.ndim == 2 else found[mask.bool()]


def answered(forward, model, inputs):
    """Logits, and the gradient of every parameter of a sum that weighs each logit otherwise."""
    model.zero_grad()
    if type(model).__name__.endswith("MultipleChoice"):  # three texts, each with a choice of two
        inputs = {name: one.unflatten(0, (-1, 2)) for name, one in inputs.items()}
    output = logits(forward(**inputs), inputs["attention_mask"])
    weights = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view_as(output)
    (output * weights).sum().backward()
    gradients = {name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None}
    return output.detach(), gradients


def assert_same(model, inputs):
    packed = forward_of(model)
    assert packed is not model
    ours, our_gradients = answered(packed, model, inputs)
    theirs, their_gradients = answered(model, model, inputs)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)
    for name, gradient in their_gradients.items():
        found = our_gradients.get(name, torch.zeros_like(gradient))
        torch.testing.assert_close(found, gradient, rtol=1e-8, atol=1e-10, msg=name)
    assert set(our_gradients) <= set(their_gradients)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("kind", CONFIGS)
def test_outputs_and_gradients_are_those_of_transformers(kind, head, training):
    assert_same(made(kind, head).train(training), batch(kind))


def test_a_head_that_reads_the_mean_is_as_in_transformers():
    for head in ("SequenceClassification", "MultipleChoice"):
        assert_same(made("modernbert", head, classifier_pooling="mean"), batch("modernbert"))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("head", ["SequenceClassification", "TokenClassification", ""])
def test_decoders_that_judge_texts_are_those_of_transformers(head, training):
    assert_same(made("gpt2", head).train(training), batch("gpt2"))


def test_a_decoder_reads_the_last_token_that_is_no_padding_also_where_a_text_holds_one():
    inputs = batch("gpt2")
    inputs["input_ids"][0, 4:9] = 0  # padding tokens that the text itself ends with
    inputs["input_ids"][1, 0] = 0
    inputs["input_ids"][4, 0] = 0  # nothing but one
    assert_same(made("gpt2", "SequenceClassification"), inputs)
    lacking = made("gpt2", "SequenceClassification", pad_token_id=None)
    assert forward_of(lacking) is lacking


@pytest.mark.parametrize("kind", ["bert", "distilbert", "modernbert"])
def test_a_last_layer_for_some_positions_gives_the_same_there_and_the_same_gradients(kind):
    model, inputs = made(kind, "TokenClassification").train(), batch(kind)
    read = inputs["attention_mask"].bool() & (torch.arange(30)[None] % 3 == 1)  # none at all of the shortest
    found = []
    for forward in (forward_of(model), model):
        model.zero_grad()
        said = read_at(forward, inputs, read).logits[read]
        (said * torch.linspace(-1, 1, said.numel(), dtype=said.dtype).view_as(said)).sum().backward()
        found.append((said, *(one.grad.clone() for one in model.parameters())))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("kind", [*CONFIGS, "gpt2"])
def test_what_language_models_say_at_some_places_is_as_in_transformers(kind):
    model = made(kind, "CausalLM" if kind == "gpt2" else "MaskedLM")
    inputs = batch(kind)
    where = inputs["attention_mask"].bool() & (torch.arange(30)[None] % 3 == 1)
    found = []
    for forward in (forward_of(model), model):
        model.zero_grad()
        said = logits_at(forward, inputs, where)
        (said * torch.linspace(-1, 1, said.numel(), dtype=said.dtype).view_as(said)).sum().backward()
        found.append((said, *(one.grad.clone() for one in model.parameters() if one.grad is not None)))
    assert forward_of(model) is not model
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-10)


def test_what_is_not_read_is_not_computed():
    model, inputs = made("bert", "TokenClassification"), batch("bert")
    rows = []
    last = model.base_model.encoder.layer[-1].output.dense
    last.register_forward_hook(lambda *told: rows.append(len(told[-1])))
    read = torch.zeros_like(inputs["attention_mask"], dtype=torch.bool)
    read[0, 3] = read[2, 7] = True
    said = read_at(forward_of(model), inputs, read).logits
    assert rows == [2]
    assert torch.equal(said.abs().sum(-1) > 0, read)
    assert bool((read_at(forward_of(model), inputs, torch.zeros_like(read)).logits == 0).all())


@pytest.mark.parametrize("kind", ["roberta", "xlm-roberta"])
def test_positions_are_counted_as_roberta_counts_them(kind):
    """From the padding id on, without the padding token itself, which a text may hold (`<pad>`, or nothing at all)."""
    inputs = batch(kind)
    inputs["input_ids"][2, 5:8] = inputs["input_ids"][4, 0] = 1
    assert_same(made(kind, "SequenceClassification"), inputs)
    inputs = {name: one.flip(1) for name, one in inputs.items()}  # padding on the left
    assert_same(made(kind, "TokenClassification"), inputs)


@pytest.mark.parametrize("kind", ["bert", "electra"])
def test_token_types_are_read(kind):
    inputs = batch(kind)
    types = (torch.arange(inputs["input_ids"].shape[1])[None] > 4).long().expand_as(inputs["input_ids"])
    model = made(kind, "SequenceClassification")
    assert_same(model, {**inputs, "token_type_ids": types})
    plain = forward_of(model)(**inputs).logits
    assert not torch.allclose(plain, forward_of(model)(**inputs, token_type_ids=types).logits)


def test_padding_on_the_left_or_in_between_is_left_out_too():
    inputs = batch("bert")
    inputs["attention_mask"][2, 5:8] = 0
    inputs = {name: one.flip(1) if name != "input_ids" else one for name, one in inputs.items()}
    assert_same(made("bert", "TokenClassification"), inputs)


@pytest.mark.parametrize("adapter", ["lora", "head", "bias"])
def test_adapters_learn_through_it(adapter):
    model = plugins.make("adapter", adapter, {}).apply(made("bert", "SequenceClassification"))
    assert_same(model.eval(), batch("bert"))


def test_float32_agrees_to_1e_5():
    model, inputs = made("bert", "SequenceClassification").float(), batch("bert")
    ours, our_gradients = answered(forward_of(model), model, inputs)
    theirs, their_gradients = answered(model, model, inputs)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    for name, gradient in our_gradients.items():
        torch.testing.assert_close(gradient, their_gradients[name], rtol=1e-4, atol=1e-5)


def test_causal_attention_by_length_and_padded_agree():
    inputs = batch("bert")
    packing = Packing.of(inputs["attention_mask"])
    q, k, v = torch.randn(3, len(packing.tokens), 2, 8, dtype=torch.float64)
    one, other = (way(q, k, v, packing, 0.0, None, True) for way in (_by_length, _padded))
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize("kind", ["bert", "distilbert", "modernbert"])
def test_dropout_is_as_strong_as_in_transformers(kind):
    model = made(kind, "SequenceClassification", dropout=0.3).float().train()
    one = batch(kind, lengths=(12, 7))
    inputs = {name: values.repeat(500, 1) for name, values in one.items()}
    spread = {}
    for name, forward in {"ours": forward_of(model), "theirs": model}.items():
        torch.manual_seed(0)
        with torch.no_grad():
            drawn = forward(**inputs).logits.view(500, 2, 3)
        spread[name] = drawn.mean(0), drawn.std(0)
    torch.testing.assert_close(spread["ours"][1], spread["theirs"][1], rtol=0.2, atol=0)
    error = 4 * spread["theirs"][1] * (2 / 500) ** 0.5
    assert bool(((spread["ours"][0] - spread["theirs"][0]).abs() < error).all())


@pytest.mark.parametrize("kind", UNKNOWN)
def test_an_architecture_that_is_not_known_is_called_as_it_is(kind):
    model = made(kind, "SequenceClassification")
    assert forward_of(model) is model


def test_a_decoder_and_another_pooling_are_called_as_they_are():
    decoder = made("bert", "SequenceClassification", is_decoder=True)
    assert forward_of(decoder) is decoder
    pooling = made("electra", "MultipleChoice", summary_type="mean")
    assert forward_of(pooling) is pooling


def test_a_class_that_only_is_called_so_is_called_as_it_is():
    model = made("bert", "SequenceClassification")
    model.__class__ = type("BertForSequenceClassification", (type(model),), {})
    assert forward_of(model) is model


@given(st.lists(st.integers(1, 12), min_size=1, max_size=9), st.randoms())
def test_packing_and_unpacking_loses_nothing(lengths, random):
    mask = torch.zeros(len(lengths), 12, dtype=torch.long)
    for row, length in enumerate(lengths):
        mask[row, random.sample(range(12), length)] = 1
    packing = Packing.of(mask)
    padded = torch.randn(len(lengths), 12, 2) * mask[..., None]
    assert torch.equal(packing.unpack(packing.pack(padded)), padded)
    assert packing.lengths == sorted(lengths)
    firsts = packing.in_rows(packing.pack(padded)[packing.first])
    assert torch.equal(firsts, padded[torch.arange(len(lengths)), mask.argmax(1)])


def test_a_sequence_without_a_token_is_refused():
    with pytest.raises(ValueError, match="no token"):
        Packing.of(torch.tensor([[1, 1], [0, 0]]))


@pytest.mark.parametrize("window", [None, 2])
@pytest.mark.parametrize("first_only", [True, False])
def test_attention_by_length_and_padded_agree(window, first_only):
    packing = Packing.of(batch("bert")["attention_mask"])
    count = len(packing.tokens)
    generator = torch.Generator().manual_seed(1)
    query, key, value = (torch.randn(count, 4, 8, generator=generator).double() for _ in range(3))
    for one in (query, key, value):
        one.requires_grad_()
    asked = query[packing.first] if first_only else query
    found = []
    for way in (_by_length, _padded):
        out = way(asked, key, value, packing, 0.0, window)
        found.append((out, *torch.autograd.grad(out.square().sum(), (query, key, value), retain_graph=True)))
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two)


def test_coarse_dropout_keeps_the_mean_and_drops_the_nearest_share():
    module = torch.nn.Dropout(0.1).train()
    torch.manual_seed(1)
    ones = torch.ones(1001, 999, requires_grad=True)
    dropped = coarse(module, ones)
    share = float((dropped == 0).float().mean())
    assert share == pytest.approx(26 / 256, abs=0.001)
    assert float(dropped.detach().mean()) == pytest.approx(1, abs=0.002)
    dropped.sum().backward()
    assert torch.equal(ones.grad, dropped.detach())
    assert torch.equal(coarse(module.eval(), ones), ones)


def test_a_coarse_mask_is_drawn_by_the_seed():
    module = torch.nn.Dropout(0.5).train()
    drawn = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        drawn.append(coarse(module, torch.ones(97)).numpy())
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0] != drawn[2]).any()

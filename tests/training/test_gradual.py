"""Gradual unfreezing and layer-wise rates: what learns when, how fast; interrupted or shared, the same weights."""

import os
import signal

import numpy as np
import polars as pl
import pytest
import torch
import transformers

from charter.data.columns import ROW, Columns
from charter.errors import ModelError
from charter.models.adapters import adapted, full, gradual
from charter.models.base import find_base, load_tokenizer
from charter.models.depth import by_depth
from charter.privacy.plan import plain
from charter.spec.training import Training
from charter.tasks.classification import classification
from charter.training.fitting import fit
from charter.training.optimizers import optimizers_of

SMALL = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}
KINDS = {
    "bert": (transformers.BertConfig(vocab_size=50, **SMALL), "encoder.layer"),
    "roberta": (transformers.RobertaConfig(vocab_size=50, **SMALL), "encoder.layer"),
    "distilbert": (
        transformers.DistilBertConfig(vocab_size=50, dim=16, n_layers=3, n_heads=2, hidden_dim=32),
        "transformer.layer",
    ),
    "gpt2": (transformers.GPT2Config(vocab_size=50, n_embd=16, n_layer=3, n_head=2), "h"),
    "modernbert": (transformers.ModernBertConfig(vocab_size=50, pad_token_id=0, **SMALL), "layers"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("auto", ["AutoModelForSequenceClassification", "AutoModel", "LM"])
def test_parameters_lie_by_depth_the_embeddings_last_and_none_is_left_out(kind, auto):
    config, layers = KINDS[kind]
    if auto == "LM":
        auto = "AutoModelForCausalLM" if kind == "gpt2" else "AutoModelForMaskedLM"
    model = getattr(transformers, auto).from_config(config)
    names = {id(one): name for name, one in model.named_parameters()}
    found = [[names[id(one)] for one in each] for each in by_depth(model)]
    assert sorted(name for each in found for name in each) == sorted(names.values())
    assert len(found) == (4 if auto == "AutoModel" else 5)
    prefix = "" if auto == "AutoModel" else f"{model.base_model_prefix}."
    for depth, each in enumerate(found[-4:-1], start=1):  # layers from the top down
        own = [name for name in each if name.startswith(f"{prefix}{layers}.{3 - depth}.")]
        assert own == [name for name in each if f"{layers}." in name]
        assert own and (own == each or auto == "AutoModel")
    words = model.get_input_embeddings().weight
    assert names[id(words)] in found[-1]
    assert not any(f"{layers}." in name for name in found[-1])


@pytest.mark.parametrize(
    "config",
    [
        transformers.AlbertConfig(vocab_size=50, embedding_size=8, **SMALL),  # every layer is the same one
        transformers.T5Config(vocab_size=50, d_model=16, d_ff=16, num_layers=2, num_heads=2, d_kv=8),
    ],
    ids=["albert", "t5"],
)
def test_layers_that_can_not_be_told_apart_are_a_clear_error(config):
    with pytest.raises(ModelError, match=r"gradual: the layers of a .* can't be told apart.*use full"):
        gradual().apply(transformers.AutoModel.from_config(config))


def fitted(tiny_bert, folder, adapter, on_step=None, **training):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 96)
    words = [["great", "lovely"], ["awful", "rude"]]
    texts = [f"the {rng.choice(words[label])} room was it" for label in labels]
    rows = pl.DataFrame({ROW: range(96), "text": texts, "label": [["good", "bad"][one] for one in labels]})
    columns = Columns(inputs={"text": "text"}, target="label")
    task = classification().fit(rows, columns)
    base = find_base(str(tiny_bert), None, folder)
    examples = task.examples(rows, columns, load_tokenizer(base.folder), 16)
    model = adapted(base, task, adapter, seed=7, max_length=16)
    settings = Training.model_validate({"epochs": 2, "batch_size": 16, "learning_rate": 1e-3, **training})
    plan = plain(batch_size=16, micro_batch_size=None, max_grad_norm=1.0, seed=7)
    return fit(
        model, task, examples, None, settings, plan, layerwise=adapter.layerwise, work=folder / "work",
        logs=folder / "logs", on_step=None if on_step is None else lambda step: on_step(step, model),
    )  # fmt: skip


def test_without_decay_and_waiting_it_is_training_of_all(tiny_bert, tmp_path):
    ours = fitted(tiny_bert, tmp_path / "a", gradual(decay=1, over=0)).model.state_dict()
    theirs = fitted(tiny_bert, tmp_path / "b", full()).model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_layers_begin_from_the_top_and_what_rests_has_no_gradient_and_keeps_its_weights(tiny_bert, tmp_path):
    seen = []

    def watch(step, model):
        depths = by_depth(model)  # head, two layers, embeddings
        seen.append([any(one.grad is not None for one in each) for each in depths])
        if step.step == 2:
            before[:] = [one.detach().clone() for one in depths[-1]]
        if step.step in (6, 8):
            same.append(all(torch.equal(one, other) for one, other in zip(before, depths[-1], strict=True)))

    before, same = [], []
    fitted(tiny_bert, tmp_path, gradual(over=0.5), on_step=watch)  # 12 updates, a part each 2
    head, upper, lower, all_ = [True, False, False, False], [True, True, False, False], [True] * 3, [True] * 4
    assert seen == [head] * 2 + [upper] * 2 + [[*lower, False]] * 2 + [all_] * 6
    assert same == [True, False]


def test_several_layers_may_begin_at_once(tiny_bert, tmp_path):
    history = fitted(
        tiny_bert, tmp_path, gradual(over=1.0, at_once=2, decay=0.5), schedule="constant", warmup=0
    ).history
    learning = [[rate > 0 for rate in one["rates"]] for one in history if one["kind"] == "loss"]
    assert learning == [[True, False, False, False]] * 6 + [[True, True, True, False]] * 6


def test_each_layer_s_rate_is_so_many_times_that_of_the_one_above(tiny_bert, tmp_path):
    history = fitted(tiny_bert, tmp_path, gradual(decay=0.9, over=0)).history
    logged = [one for one in history if one["kind"] == "loss"]
    assert len(logged) == 12
    for one in logged:
        assert one["rates"] == pytest.approx([one["learning_rate"] * 0.9**depth for depth in range(4)])


def test_weight_decay_leaves_biases_and_norms_out_at_every_depth(tiny_bert):
    model = transformers.AutoModelForSequenceClassification.from_pretrained(tiny_bert)
    settings = Training(weight_decay=0.1)
    groups = optimizers_of(model, settings, gradual().layerwise).param_groups
    names = {id(one): name for name, one in model.named_parameters()}
    told = [names[id(one)] for group in groups for one in group["params"]]
    assert sorted(told) == sorted(names.values())
    for group in groups:
        plain_ones = {names[id(one)].endswith(("bias", "LayerNorm.weight")) for one in group["params"]}
        assert plain_ones == {group["weight_decay"] == 0.0}
    assert {group["depth"] for group in groups} == {0, 1, 2, 3}


@pytest.mark.parametrize("update", [1, 3, 5, 8])
@pytest.mark.parametrize("options", [{}, {"economies": True}])
def test_a_stop_in_any_part_of_the_unfreezing_changes_nothing(tiny_bert, tmp_path, update, options):
    adapter = gradual(decay=0.8, over=0.5)
    whole = fitted(tiny_bert, tmp_path / "whole", adapter, **options)

    def stop(step, _):
        if step.step == update:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fitted(tiny_bert, tmp_path / "parts", adapter, on_step=stop, **options)
    resumed = fitted(tiny_bert, tmp_path / "parts", adapter, **options)
    assert resumed.history == whole.history
    ours, theirs = resumed.model.state_dict(), whole.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)

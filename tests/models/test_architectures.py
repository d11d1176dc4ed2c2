"""Any transformers encoder in safetensors can be a base: each head and adapter works, is calibrated, and comes back from disk."""

import itertools
import shutil

import numpy as np
import polars as pl
import pytest
import tokenizers
import torch
import transformers
from safetensors.torch import load_file, save_file

from charter import plugins
from charter.data.columns import ROW, Columns
from charter.errors import ModelError
from charter.models.base import attach, find_base, load_model, load_tokenizer
from charter.models.exports import Exportable, save_model
from charter.models.folding import fold_temperature
from charter.models.inference import predict_outputs
from charter.tasks.classification import classification
from charter.tasks.token_classification import token_classification

SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 40,
}
CONFIGS = {
    "bert": SMALL,
    "roberta": {**SMALL, "pad_token_id": 1},
    "xlm-roberta": {**SMALL, "pad_token_id": 1},
    "electra": {**SMALL, "embedding_size": 8},
    "deberta-v2": SMALL,
    "distilbert": {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 16, "max_position_embeddings": 40},
    "albert": {**SMALL, "embedding_size": 8},
    "modernbert": SMALL,
    "gpt2": {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 40},
}
COLUMNS = Columns(inputs={"text": "text"}, target="label")


def made(kind, tiny_bert, folder):
    """A random base of this architecture, with the tiny BERT's tokenizer."""
    tokenizer = load_tokenizer(tiny_bert)
    ids = {"bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
    config = transformers.AutoConfig.for_model(
        kind, **{"pad_token_id": 0, **ids, **CONFIGS[kind]}, vocab_size=len(tokenizer)
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.AutoModel.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return find_base(str(folder), None, folder)


def fitted_task(name):
    texts = ["the room was great", "rude", "the staff found it very cold again", "lovely"] * 3
    if name == "classification":
        rows = pl.DataFrame({ROW: range(12), "text": texts, "label": ["a", "b", "c"] * 4})
        return classification().fit(rows, COLUMNS), rows
    words = [text.split() for text in texts]
    tags = [["B-X", *["O"] * (len(one) - 1)] for one in words]
    rows = pl.DataFrame({ROW: range(12), "text": words, "label": tags})
    return token_classification().fit(rows, COLUMNS), rows


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("task_name", ["classification", "token_classification"])
def test_a_head_learns_is_calibrated_and_survives_writing(kind, task_name, tiny_bert, tmp_path):
    task, rows = fitted_task(task_name)
    base = made(kind, tiny_bert, tmp_path / "base")
    tokenizer = load_tokenizer(base.folder)
    examples = task.examples(rows, COLUMNS, tokenizer, 16)
    model = attach(base, task, seed=1, max_length=16)
    task.loss(model.train(), examples.batch(np.arange(12))).sum().backward()
    assert all(one.grad is not None for name, one in model.named_parameters() if "classifier" in name)
    before = predict_outputs(model, task, examples)
    fold_temperature(model, 2.0)
    save_model(model, tokenizer, tmp_path / "out")
    after = predict_outputs(load_model(tmp_path / "out", task), task, examples)
    for one, two in zip(before, after, strict=True):
        np.testing.assert_allclose(one, two * 2.0, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("task_name", ["classification", "token_classification"])
def test_every_architecture_becomes_a_graph_that_answers_as_it_does(kind, task_name, tiny_bert, tmp_path):
    task, rows = fitted_task(task_name)
    base = made(kind, tiny_bert, tmp_path / "base")
    tokenizer = load_tokenizer(base.folder)
    examples = task.examples(rows, COLUMNS, tokenizer, 16, with_targets=False)
    model = attach(base, task, seed=1, max_length=16).eval()
    exporter = plugins.make("exporter", "onnx", {})
    facts = exporter.export(Exportable(model, tokenizer, task, examples, 16, 7), tmp_path / "out")
    assert facts["parity"]["largest_difference"] < 1e-5
    graph = exporter.open(tmp_path / "out", task, 1)
    pairs = zip(predict_outputs(model, task, examples), predict_outputs(graph, task, examples), strict=True)
    for one, two in pairs:
        np.testing.assert_allclose(one, two, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "adapter"),
    [pair for pair in itertools.product(CONFIGS, ["head", "lora", "bias"]) if pair != ("modernbert", "bias")],
)
def test_an_adapter_finds_its_layers_in_every_architecture(kind, adapter, tiny_bert, tmp_path):
    task, rows = fitted_task("classification")
    base = made(kind, tiny_bert, tmp_path / "base")
    model = attach(base, task, seed=1, max_length=16)
    use = plugins.make("adapter", adapter, {})
    adapted = use.apply(model)
    learns = {name for name, one in adapted.named_parameters() if one.requires_grad}
    assert 0 < len(learns) < len(list(adapted.parameters()))
    own = [name.removeprefix("base_model.model.") for name in learns]
    inside = {name for name in own if name.startswith(f"{model.base_model_prefix}.")}
    assert set(own) - inside
    assert bool(inside) == (adapter != "head")
    examples = task.examples(rows, COLUMNS, load_tokenizer(base.folder), 16)
    outputs = predict_outputs(use.merge(adapted).eval(), task, examples)
    assert len(outputs) == 12


def test_a_base_without_biases_is_refused_by_bitfit(tiny_bert, tmp_path):
    base = made("modernbert", tiny_bert, tmp_path / "base")
    task, _ = fitted_task("classification")
    with pytest.raises(ModelError, match="no bias term"):
        plugins.make("adapter", "bias", {}).apply(attach(base, task, seed=1, max_length=16))


@pytest.mark.parametrize("kind", ["bert", "roberta", "gpt2"])
def test_the_longest_text_that_a_base_reads_is_known(kind, tiny_bert, tmp_path):
    task, rows = fitted_task("classification")
    base = made(kind, tiny_bert, tmp_path / "base")
    most = 38 if kind == "roberta" else 40
    with pytest.raises(ModelError, match=f"at most {most} tokens"):
        attach(base, task, seed=1, max_length=most + 1)
    rows = rows.with_columns(pl.lit("the room was great " * 30).alias("text"))
    model = attach(base, task, seed=1, max_length=most)
    examples = task.examples(rows, COLUMNS, load_tokenizer(base.folder), most)
    assert {len(ids) for ids in examples.ids} == {most}
    assert len(predict_outputs(model, task, examples)) == 12


def damaged(base, folder, change):
    """A copy of a base whose tensors were changed."""
    shutil.copytree(base.folder, folder)
    tensors = load_file(base.folder / "model.safetensors")
    save_file(change(tensors), folder / "model.safetensors", metadata={"format": "pt"})
    return find_base(str(folder), None, folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: {f"foo.{name}": one for name, one in tensors.items()},
        lambda tensors: {name: one for name, one in tensors.items() if "layer.1." not in name},
        lambda tensors: {
            name: one[:-1].clone() if "word_embeddings" in name else one for name, one in tensors.items()
        },
    ],
    ids=["renamed", "a layer missing", "another vocabulary"],
)
def test_a_base_whose_files_lack_weights_is_refused_not_filled_with_noise(change, tiny_bert, tmp_path):
    whole = find_base(str(tiny_bert), None, tmp_path)
    base = damaged(whole, tmp_path / "damaged", change)
    with pytest.raises(ModelError, match="random numbers"):
        attach(base, fitted_task("classification")[0], seed=1, max_length=16)


def test_a_base_cut_off_or_of_no_sense_is_refused_without_traceback(tiny_bert, tmp_path):
    base = find_base(str(tiny_bert), None, tmp_path)
    cut = tmp_path / "cut"
    shutil.copytree(base.folder, cut)
    content = (cut / "model.safetensors").read_bytes()
    (cut / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match="can't be loaded"):
        attach(find_base(str(cut), None, tmp_path), fitted_task("classification")[0], seed=1, max_length=16)


def test_a_head_that_was_trained_before_is_not_kept_under_new_names(tiny_bert, tmp_path):
    task, _ = fitted_task("classification")
    base = find_base(str(tiny_bert), None, tmp_path)
    first = attach(base, task, seed=1, max_length=16)
    save_model(first, load_tokenizer(base.folder), tmp_path / "tuned")
    again = attach(find_base(str(tmp_path / "tuned"), None, tmp_path), task, seed=2, max_length=16)
    assert not torch.equal(first.classifier.weight, again.classifier.weight)
    assert torch.equal(
        first.bert.embeddings.word_embeddings.weight, again.bert.embeddings.word_embeddings.weight
    )


def test_words_for_a_byte_level_tokenizer_are_not_glued_together(tmp_path):
    trained = tokenizers.ByteLevelBPETokenizer()
    trained.train_from_iterator(["we found the great room"] * 20, vocab_size=320)
    transformers.RobertaTokenizerFast(tokenizer_object=trained._tokenizer).save_pretrained(tmp_path)
    encoded = load_tokenizer(tmp_path, words=True)(["the", "great"], is_split_into_words=True)
    text = load_tokenizer(tmp_path)("we the great")
    assert encoded.tokens()[-2] == text.tokens()[-2] == "Ġgreat"

"""What a model's folder may not do: name files elsewhere, bring code, or end in a traceback."""

import json
import shutil

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from charter.errors import ModelError
from charter.models.base import attach, find_base, load_model, load_tokenizer, unknown_share
from charter.models.folders import weight_files
from charter.tasks.classification import Classification

TASK = Classification(labels=("bad", "good"))


@pytest.fixture
def copy(tiny_bert, tmp_path):
    """A base folder to spoil."""
    return shutil.copytree(tiny_bert, tmp_path / "base")


def opened(folder):
    base = find_base(str(folder), None, folder.parent)
    load_tokenizer(base.folder)
    return attach(base, TASK, seed=1, max_length=16)


def split_in_two(folder):
    """The weights of a base in two files and an index, as large models come."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    parts = {"model-1.safetensors": names[:5], "model-2.safetensors": names[5:]}
    for file, own in parts.items():
        save_file({name: tensors[name] for name in own}, folder / file, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": {name: file for file, own in parts.items() for name in own}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return index


def test_weights_in_several_files_are_all_in_the_digest(copy):
    split_in_two(copy)
    before = find_base(str(copy), None, copy.parent).digest
    (copy / "stray.safetensors").write_bytes(b"never read")
    assert find_base(str(copy), None, copy.parent).digest == before
    opened(copy)
    tensors = load_file(copy / "model-2.safetensors")
    save_file({name: one + 1 for name, one in tensors.items()}, copy / "model-2.safetensors")
    assert find_base(str(copy), None, copy.parent).digest != before
    assert weight_files(copy) == (
        "model.safetensors.index.json", "model-1.safetensors", "model-2.safetensors"
    )  # fmt: skip


@pytest.mark.parametrize(
    "name", ["../model-2.safetensors", "w.bin", "/tmp/w.safetensors", "a/../model-2.safetensors"]
)
@pytest.mark.parametrize("whole", [False, True], ids=["split", "beside a whole file"])
def test_an_index_that_names_files_elsewhere_or_pickles_is_refused(copy, name, whole):
    index = split_in_two(copy)
    shutil.copy(copy / "model-2.safetensors", copy.parent)
    shutil.copy(copy / "model-2.safetensors", copy / "w.bin")
    if whole:
        shutil.copy(copy / "model-2.safetensors", copy / "model.safetensors")
    index["weight_map"]["pooler.dense.bias"] = name
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match="no safetensors file beside it"):
        opened(copy)
    with pytest.raises(ModelError, match="no safetensors file beside it"):
        load_model(copy, TASK)


@pytest.mark.parametrize("index", ["[]", "{", '{"weight_map": {"a": 1}}', "[" * 100_000])
def test_an_index_of_no_sense_is_refused(copy, index):
    split_in_two(copy)
    (copy / "model.safetensors.index.json").write_text(index)
    with pytest.raises(ModelError, match="no index of weights"):
        opened(copy)


@pytest.mark.parametrize(
    "change",
    [
        {"hidden_size": "x"}, {"hidden_size": -1}, {"num_attention_heads": 0}, {"id2label": 5}, {"id2label": {"a": "b"}},
        {"dtype": "nonsense"}, {"torch_dtype": ["x"]}, {"model_type": ["bert"]}, {"model_type": None}, {"hidden_act": "no"},
        {"pad_token_id": 10**9}, {"vocab_size": 7}, {"max_position_embeddings": "x"}, {"transformers_weights": "../w.safetensors"},
        {"quantization_config": {"quant_method": "bitsandbytes"}}, {"attn_implementation": "someone/kernel"},
    ],
    ids=str,
)  # fmt: skip
def test_a_config_of_no_sense_is_refused_without_traceback(copy, change):
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, **change}))
    if change in ({"id2label": 5}, {"id2label": {"a": "b"}}, {"dtype": "nonsense"}, {"torch_dtype": ["x"]}):
        with pytest.raises(ModelError):
            load_model(copy, TASK)  # a base's own labels and type of numbers are not read
        return
    with pytest.raises(ModelError):
        opened(copy)


@pytest.mark.parametrize(
    "file", ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"]
)
@pytest.mark.parametrize("content", ["", "{}", "[]", "5", "{", "[" * 100_000, '{"a": "\\ud800"}', "\0"])
def test_a_file_of_no_sense_is_refused_or_read_without_traceback(copy, file, content):
    (copy / file).write_text(content)
    try:
        opened(copy)
    except ModelError as error:
        assert "\n" not in str(error)
    else:
        assert file == "tokenizer_config.json"


def test_a_base_without_tokenizer_files_is_refused(copy):
    for path in copy.glob("tokenizer*"):
        path.unlink()
    (copy / "vocab.txt").unlink(missing_ok=True)
    with pytest.raises(ModelError, match=r"no tokenizer files: needs tokenizer\.json"):
        find_base(str(copy), None, copy.parent)
    with pytest.raises(ModelError, match="no tokenizer files"):
        load_tokenizer(copy)


def test_an_adapter_that_names_another_model_is_no_base(copy):
    (copy / "adapter_config.json").write_text('{"base_model_name_or_path": "/elsewhere"}')
    with pytest.raises(ModelError, match="peft adapter"):
        find_base(str(copy), None, copy.parent)


def test_a_model_with_other_outputs_than_its_task_is_refused(copy, tmp_path):
    opened(copy).save_pretrained(copy)
    assert load_model(copy, TASK).config.num_labels == 2
    with pytest.raises(ModelError, match="other labels"):
        load_model(copy, Classification(labels=("bad", "fair", "good")))
    with pytest.raises(ModelError, match="other labels"):
        load_model(copy, Classification(labels=("good", "bad")))


def test_the_share_of_unknown_tokens_leaves_special_ones_aside(tiny_bert):
    tokenizer = load_tokenizer(tiny_bert)
    ids = [np.asarray(one) for one in tokenizer(["the room", "ジ room", "ジ"])["input_ids"]]
    assert unknown_share(tokenizer, ids) == pytest.approx(2 / 5)
    assert unknown_share(tokenizer, []) == 0.0

"""LoRA as a peft adapter: it opens on the plain base with the same answers, on no other one, and is calibrated in its file."""

import json
import shutil

import numpy as np
import peft
import polars as pl
import pytest
import torch
import transformers

from charter import plugins
from charter.data.columns import ROW, Columns
from charter.errors import ModelError
from charter.models.adapters import adapted, lora
from charter.models.base import find_base, load_tokenizer
from charter.models.exports import Exportable
from charter.models.inference import predict_outputs
from charter.runs.digest import folder_digest, folder_files

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}


def base_of(kind, tiny_bert, folder):
    """The tiny BERT, or a base of another kind with its tokenizer."""
    if kind == "bert":
        return shutil.copytree(tiny_bert, folder)
    config = {
        "roberta": transformers.RobertaConfig(vocab_size=200, pad_token_id=0, **SMALL),
        "distilbert": transformers.DistilBertConfig(vocab_size=200, dim=32, n_layers=2, n_heads=2, hidden_dim=64),
        "gpt2": transformers.GPT2Config(vocab_size=200, n_embd=32, n_layer=2, n_head=2, n_positions=64),
        "modernbert": transformers.ModernBertConfig(vocab_size=200, pad_token_id=0, **SMALL),
    }[kind]  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(4)
        transformers.AutoModel.from_config(config).save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(tiny_bert).save_pretrained(folder)
    return folder


def learned(kind, tiny_bert, folder, use="classification", target="label"):
    """A LoRA whose every weight is moved, as it comes to an exporter."""
    rows = pl.DataFrame(
        {
            ROW: range(24),
            "text": ["the room was great " * (1 + number % 4) for number in range(24)],
            "label": ["a", "b", "c"] * 8,
            "number": [float(number % 7) for number in range(24)],
        }
    )
    columns = Columns(inputs={"text": "text"}, target=target)
    task = plugins.make("task", use, {}).fit(rows, columns)
    base = find_base(str(base_of(kind, tiny_bert, folder / "base")), None, folder)
    adapter = lora(rank=4)
    model = adapted(base, task, adapter, seed=3, max_length=32)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(6)
        for one in model.parameters():
            if one.requires_grad:
                one.add_(0.2 * torch.randn_like(one))
    finished = task.finished(model.eval())
    adapter.save(model, folder / "adapter")
    merged = adapter.merge(model).eval()
    tokenizer = load_tokenizer(base.folder)
    examples = finished.examples(rows, columns, tokenizer, 32, with_targets=False)
    return Exportable(merged, tokenizer, finished, examples, 32, 7, base=base, adapter=folder / "adapter")


def answers(model, given):
    return np.stack(predict_outputs(model, given.task, given.examples))


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert", "gpt2", "modernbert"])
def test_the_adapter_on_its_base_answers_as_the_merged_model(tiny_bert, tmp_path, kind):
    given = learned(kind, tiny_bert, tmp_path)
    exporter = plugins.make("exporter", "peft", {})
    told = exporter.export(given, tmp_path / "form")
    assert told["parity"]["largest_difference"] < 1e-5
    expected = answers(given.model, given)
    ours = answers(exporter.opened(tmp_path / "form", given.task, None, [given.base.folder]), given)
    np.testing.assert_allclose(ours, expected, atol=1e-5)
    plain = transformers.AutoModelForSequenceClassification.from_pretrained(given.base.folder, num_labels=3)
    if plain.config.pad_token_id is None:
        plain.config.pad_token_id = given.tokenizer.pad_token_id
    opened = peft.PeftModel.from_pretrained(plain, tmp_path / "form").eval()
    with torch.no_grad():
        said = opened(**given.examples.batch(np.arange(8)).inputs).logits.numpy()
    np.testing.assert_allclose(said, expected[:8], atol=1e-5)
    assert sum(path.stat().st_size for path in (tmp_path / "form").glob("*.safetensors")) < 0.7 * sum(
        path.stat().st_size for path in given.base.folder.glob("*.safetensors")
    )


def test_it_is_calibrated_in_its_own_file(tiny_bert, tmp_path):
    given = learned("bert", tiny_bert, tmp_path)
    exporter = plugins.make("exporter", "peft", {})
    exporter.export(given, tmp_path / "form")
    exporter.fold(tmp_path / "form", given.task, 2.5)
    ours = answers(exporter.opened(tmp_path / "form", given.task, None, [given.base.folder]), given)
    np.testing.assert_allclose(ours * 2.5, answers(given.model, given), rtol=1e-4, atol=1e-5)
    kept = {"adapter_model.safetensors", "adapter_config.json", "charter_base.json", "config.json"}
    assert set(folder_files(tmp_path / "form")) == kept | {"tokenizer.json", "tokenizer_config.json"}


def test_a_number_s_scale_is_in_the_adapter_too(tiny_bert, tmp_path):
    given = learned("bert", tiny_bert, tmp_path, "regression", "number")
    exporter = plugins.make("exporter", "peft", {})
    exporter.export(given, tmp_path / "form")
    ours = answers(exporter.opened(tmp_path / "form", given.task, None, [given.base.folder]), given)
    np.testing.assert_allclose(ours, answers(given.model, given), atol=1e-5)


def test_another_base_is_refused_and_a_missing_one_is_named(tiny_bert, tmp_path):
    given = learned("bert", tiny_bert, tmp_path)
    exporter = plugins.make("exporter", "peft", {})
    exporter.export(given, tmp_path / "form")
    weights = given.base.folder / "model.safetensors"
    model = transformers.AutoModel.from_pretrained(given.base.folder)
    with torch.no_grad():
        model.pooler.dense.bias.add_(1e-3)
    model.save_pretrained(given.base.folder)
    with pytest.raises(ModelError, match="what is found there is another one"):
        exporter.opened(tmp_path / "form", given.task, None, [given.base.folder])
    weights.unlink()
    with pytest.raises(ModelError, match="which is not found here"):
        exporter.opened(tmp_path / "form", given.task, None, [given.base.folder])


def test_a_base_whose_files_lack_what_the_head_reads_can_not_carry_an_adapter(tiny_bert, tmp_path):
    """A BERT without its pooler gets a new one, which would be neither in the base nor in the adapter."""
    model = transformers.BertModel.from_pretrained(tiny_bert, add_pooling_layer=False)
    bare = shutil.copytree(tiny_bert, tmp_path / "bare")
    model.save_pretrained(bare)
    given = learned("bert", bare, tmp_path)
    with pytest.raises(ModelError, match=r"can't be released as an adapter: .*differ from the model's by"):
        plugins.make("exporter", "peft", {}).export(given, tmp_path / "form")
    with pytest.raises(
        ModelError, match=r"lack bert\.pooler\.dense\.bias"
    ):  # and that is said before any training
        plugins.make("exporter", "peft", {}).check_base(given.base, given.task)
    plugins.make("exporter", "peft", {}).check_base(find_base(str(tiny_bert), None, tmp_path), given.task)


def test_the_same_weights_give_the_same_bytes_and_nothing_of_this_machine(tiny_bert, tmp_path):
    digests = []
    for name in "ab":
        given = learned("bert", tiny_bert, tmp_path / name)
        digests.append(folder_digest(tmp_path / name / "adapter"))
    assert digests[0] == digests[1]
    config = json.loads((tmp_path / "a" / "adapter" / "adapter_config.json").read_text(encoding="utf-8"))
    assert str(tmp_path) not in json.dumps(config)
    assert config["target_modules"] == sorted(config["target_modules"])
    assert given.adapter is not None

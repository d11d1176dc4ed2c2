"""A LoRA released beside the merged weights: its own evidence, answers on the very base, clear errors elsewhere."""

import json
import shutil
import subprocess
import sys

import pytest
import torch
import transformers

import charter
from charter.errors import BundleError, CharterFileError
from charter.pipeline import run
from charter.release.manifest import form_digests, read_manifest
from charter.release.verification import verify
from charter.spec import read

CHARTER = """\
name: reviews
data:
  source: reviews.csv
  inputs: {text: text}
  target: label
  split: {test: 0.3, validation: 0.1, calibration: 0.2}
model: {base: base, max_length: 32, adapt: {use: lora, rank: 4}}
task: {use: classification}
training: {epochs: 4, batch_size: 16, learning_rate: 1.0e-2}
audits: [{use: performance, resamples: 100}, {use: calibration, resamples: 100, minimum_n: 20}]
limits: ["accuracy >= 0.3", "format_agreement >= 0.9"]
release: {formats: [safetensors, peft]}
"""


@pytest.fixture
def released(tiny_bert, reviews_csv):
    folder = reviews_csv.parent
    shutil.copytree(tiny_bert, folder / "base")
    (folder / "charter.yaml").write_text(CHARTER, encoding="utf-8")
    return run(folder / "charter.yaml")


def test_the_adapter_has_evidence_of_its_own_and_answers_on_its_base_alone(released, tmp_path):
    assert released.released
    manifest = read_manifest(released.bundle)
    assert list(manifest.forms) == ["safetensors", "peft"] and form_digests(manifest) == manifest.forms
    assert verify(released.bundle, None).ok
    told = released.record.provenance["exports"]["peft"]
    assert told["written"]["base"]["digest"] == released.record.provenance["base"]["digest"]
    assert told["temperature"]["value"] == pytest.approx(
        released.record.provenance["exports"]["safetensors"]["temperature"]["value"], rel=1e-3
    )
    assert told["bytes"] < released.record.provenance["exports"]["safetensors"]["bytes"]
    texts = ["the room was great", "the crew was rude", "so cold and dirty"]
    opened = charter.open_bundle(released.bundle)
    whole, beside = (charter.answer(opened, texts, engine=one) for one in ("safetensors", "peft"))
    assert beside["prediction"].equals(whole["prediction"])
    assert beside["probability"].to_list() == pytest.approx(whole["probability"].to_list(), abs=1e-5)
    command = [
        sys.executable,
        "-m",
        "charter",
        "predict",
        str(released.bundle),
        "--text",
        texts[0],
        "--engine",
        "peft",
    ]
    said = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    assert whole["prediction"][0] in said.stdout
    model = transformers.AutoModel.from_pretrained(tmp_path / "base")
    with torch.no_grad():
        model.embeddings.LayerNorm.bias.add_(0.5)
    model.save_pretrained(tmp_path / "base")
    with pytest.raises(BundleError, match="what is found there is another one"):
        charter.answer(opened, texts, engine="peft")
    shutil.rmtree(tmp_path / "base")
    with pytest.raises(BundleError, match="which is not found here"):
        charter.answer(opened, texts, engine="peft")
    assert charter.answer(opened, texts)["prediction"].equals(
        whole["prediction"]
    )  # the whole model needs none


def test_an_adapter_that_was_exchanged_does_not_verify(released):
    path = released.bundle / "peft" / "adapter_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**config, "lora_alpha": 64}), encoding="utf-8")
    wrong = [line.text for line in verify(released.bundle, None).lines if not line.ok]
    assert "peft/adapter_config.json was changed" in wrong


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("adapt: {use: lora, rank: 4}", "adapt: {use: full}", "model.adapt is full: write adapt: {use: lora}"),
        (", adapt: {use: lora, rank: 4}", "", "model.adapt is full: write adapt: {use: lora}"),
        ("name: reviews\n", "name: reviews\npretraining: {source: reviews.csv, text: text}\n", "is made by the run"),
        ("{use: classification}", "{use: classification, descriptions: {good: a, bad: b}}", "starts from descriptions"),
        ("epochs: 4", "objective: {use: contrastive}, epochs: 4", "fitted by objective contrastive"),
    ],
)  # fmt: skip
def test_without_an_adapter_the_format_is_a_problem_of_the_charter(tiny_bert, reviews_csv, old, new, words):
    folder = reviews_csv.parent
    shutil.copytree(tiny_bert, folder / "base")
    text = CHARTER.replace(old, new)
    assert text != CHARTER
    (folder / "charter.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(CharterFileError) as caught:
        read(folder / "charter.yaml")
    assert [one.path for one in caught.value.problems if words in one.message] == ["release.formats[1]"]

"""A decoder that is pre-trained on texts and then judges them: last-token pooling as in transformers, in every form of release."""

import json

import numpy as np
import pytest
import torch

import charter

CHARTER = """\
name: verdicts
data: {source: reviews.csv, inputs: {text: text}, target: label, groups: [city]}
model: {architecture: {use: gpt2, n_embd: 32, n_layer: 2, n_head: 2}, tokenizer: {use: bpe, size: 320}, max_length: 48}
pretraining: {source: texts.jsonl, objective: {use: causal_language_modelling}, batch_size: 16, learning_rate: 3.0e-3}
task: {use: classification}
training: {epochs: 6, batch_size: 16, learning_rate: 5.0e-3}
audits: [{use: performance, resamples: 100}, {use: calibration, resamples: 100}]
limits: [accuracy >= 0.6]
release: {formats: [safetensors, onnx]}
"""
HAN = {"good": "酒店很好房间干净服务好", "bad": "酒店很差房间冷服务不好"}


@pytest.fixture
def released(reviews_csv):
    lines = reviews_csv.read_text(encoding="utf-8").splitlines()
    chinese = [f"{HAN[label]}{number},{label},北京" for number in range(30) for label in HAN]
    reviews_csv.write_text("\n".join([*lines, *chinese]) + "\n", encoding="utf-8")
    rows = [json.dumps({"text": f"{line.split(',')[0]} today"}, ensure_ascii=False) for line in lines[1:300]]
    folder = reviews_csv.parent
    (folder / "texts.jsonl").write_text("\n".join(rows), encoding="utf-8")
    (folder / "charter.yaml").write_text(CHARTER, encoding="utf-8")
    result = charter.run(folder / "charter.yaml")
    assert result.released
    return result.bundle


def test_a_decoder_learns_to_judge_and_answers_alike_in_transformers_and_as_a_graph(released):
    from transformers import AutoModelForSequenceClassification, pipeline

    model = AutoModelForSequenceClassification.from_pretrained(released)
    assert type(model).__name__ == "GPT2ForSequenceClassification"
    assert model.config.pad_token_id == model.config.eos_token_id == 0
    texts = ["the room was very kind and lovely", "rude crew", "酒店很好房间干净", "a" * 300]
    ours = charter.answer(released, texts)
    graph = charter.answer(released, texts, engine="onnx")
    asked = pipeline("text-classification", model=str(released), truncation=True, max_length=48)
    theirs = asked(texts, batch_size=4)
    assert ours["prediction"].to_list() == [one["label"] for one in theirs]
    np.testing.assert_allclose(ours["probability"], [one["score"] for one in theirs], atol=1e-5)
    np.testing.assert_allclose(graph["probability"], ours["probability"], atol=1e-5)
    assert ours["prediction"].to_list()[:3] == ["good", "bad", "good"]
    assert not torch.isnan(model.score.weight).any()

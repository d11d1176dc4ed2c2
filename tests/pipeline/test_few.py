"""Few examples from a charter to a bundle: zero-shot and by contrast, in Chinese, in every format, with a page that says so."""

import json
import random
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from charter.cli import run_command
from charter.data.columns import PLACE, ROW
from charter.pipeline import run
from charter.release.bundle import read_bundle
from charter.release.report import render
from charter.release.report.sentences import translated
from charter.serving.answers import open_answerer
from charter.spec import read

CHARTER = """\
name: 评价
data:
  source: {source}
  inputs: {{text: text}}
  target: label
  prepare: [{{use: repair_text}}, {{use: normalise_label}}]
  split: {{test: 0.5, validation: 0.1, calibration: 0.3}}
model: {{base: "{base}", max_length: 32}}
task: {{use: classification, descriptions: {{好评: "酒店很好，房间干净，服务好", 差评: "酒店很差，房间不干净，态度差", 其他: "三二一"}}}}
training: {training}
audits: [{{use: performance, resamples: 100}}, {{use: calibration, resamples: 100, minimum_n: 50}}]
limits: {limits}
release: {{formats: {formats}}}
report: {{language: zh}}
"""
LEARNED = "{objective: {use: contrastive}, epochs: 8, batch_size: 16, learning_rate: 1.0e-3}"


def chinese_csv(folder: Path, count=240) -> Path:
    """Made-up hotel reviews in Chinese, of two of the three classes."""
    rng = random.Random(4)
    lines = ["text,label"]
    for number in range(count):
        good = number % 2
        own = ["很好", "干净", "服务好"] if good else ["很差", "不干净", "态度差"]
        said = "，".join(rng.sample(own, 2)) + rng.choice("一二三了的是") + rng.choice("房间酒店")
        lines.append(f'"{rng.choice(["酒店", "房间", "服务"])}{said}",{"好评" if good else "差评"}')
    path = folder / "评价.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def ran(folder, base, *, training, limits='["macro_f1 >= 0.1"]', formats="[safetensors]"):
    path = folder / "charter.yaml"
    said = {"training": training, "limits": limits, "formats": formats, "base": base}
    path.write_text(CHARTER.format(source=chinese_csv(folder), **said), encoding="utf-8")
    return path


def test_few_examples_make_a_bundle_that_plain_transformers_and_an_int8_graph_answer_alike(
    tiny_bert, tmp_path, monkeypatch
):
    pytest.importorskip("onnxruntime")
    from transformers import pipeline

    limits = '["accuracy >= 0.5", "headline_gain[baseline=nearest_description] >= -0.5"]'
    path = ran(tmp_path, tiny_bert, training=LEARNED, limits=limits, formats="[safetensors, onnx-int8]")
    monkeypatch.chdir(tmp_path)
    assert run_command(["run", str(path)]) == 0
    bundle = read_bundle(tmp_path / "release" / "评价")
    texts = ["酒店很差，态度差", "房间很好，服务好"]
    told = pipeline("text-classification", model=str(bundle.folder), top_k=None)(texts)
    for engine, apart in (("safetensors", 1e-5), ("onnx-int8", 0.2)):
        rows = pl.DataFrame({ROW: [0, 1], PLACE: ["1", "2"], "text": texts})
        answers = open_answerer(bundle, engine=engine).answer(rows).frame["probabilities"].to_list()
        for plain, ours in zip(told, answers, strict=True):
            assert {one["label"]: one["score"] for one in plain} == pytest.approx(ours, abs=apart)
    assert [max(one, key=one.get) for one in answers] == ["差评", "好评"]


def test_the_page_and_the_card_say_what_the_head_started_from_and_what_learning_added(tiny_bert, tmp_path):
    result = run(ran(tmp_path, tiny_bert, training=LEARNED))
    gain = [one for one in result.findings if one.slice.get("baseline") == "nearest_description"]
    assert {one.metric for one in gain} >= {"headline_gain", "macro_f1", "accuracy"}
    page = result.report.read_text(encoding="utf-8")
    for words in ("3 个类别描述的向量", "各类别的描述", "房间不干净", "对比学习", "与类别描述最相近者"):
        assert words in page
    card = (result.bundle / "README.md").read_text(encoding="utf-8")
    assert "- 差评: 酒店很差，房间不干净，态度差" in card
    assert "Objective of training: contrastive" in card
    charter = result.record.charter
    english = charter.model_copy(update={"report": charter.report.model_copy(update={"language": "en"})})
    assert "nearest description, zero-shot" in render(replace(result.record, charter=english))


def test_without_an_epoch_the_whole_run_judges_the_nearest_description(tiny_bert, tmp_path):
    result = run(ran(tmp_path, tiny_bert, training="{epochs: 0}"))
    assert result.released
    value = {one.metric: one.value for one in result.findings if one.area == "training"}
    assert (value["steps"], value["best_step"], value["classes_not_trained"]) == (0, 0, 1)
    assert not [one for one in result.findings if one.slice.get("baseline") == "nearest_description"]
    task = json.loads((result.bundle / "charter" / "preparation.json").read_text(encoding="utf-8"))["task"]
    assert task["labels"] == sorted(task["options"]["descriptions"])


def test_a_second_run_makes_nothing_anew(tiny_bert, tmp_path):
    path = ran(tmp_path, tiny_bert, training=LEARNED)
    run(path)
    again = run(path)
    assert all(stage["reused"] for stage in again.record.stages)
    assert read(path).digest == again.record.charter.digest


def test_few_rows_are_told_with_what_to_do_in_both_languages(tiny_bert, tmp_path):
    notes = []
    path = ran(tmp_path, tiny_bert, training="{epochs: 1}")
    run(path, on_event=lambda event: notes.append(event.text) if event.kind == "note" else None)
    told = next(note for note in notes if "training rows per class" in note)
    assert "{objective: {use: contrastive}, epochs: 0}" in told
    assert "在基座向量上拟合的输出头往往更好" in translated(told)

"""Objectives of pre-training through whole runs: resumed exactly after a kill, judged on held-out texts, told on the page."""

import json
import os
import random
import signal
import subprocess
import sys

import pytest

from charter import spec
from charter.cli import run_command
from charter.errors import CharterFileError
from charter.pipeline import run
from charter.release.report import render
from charter.release.report.sentences import translated
from charter.release.verification import verify

GOOD = ["great", "lovely", "kind", "warm", "clean", "quick"]
BAD = ["awful", "rude", "cold", "dirty", "slow", "broken"]
FILL = [
    "the",
    "was",
    "very",
    "and",
    "today",
    "again",
    "we",
    "found",
    "it",
    "so",
    "my",
    "with",
    "room",
    "crew",
    "flight",
    "meal",
]
HAN = list("酒店房间很好差干净服务态度冷热不了的是")
CHARTER = """\
name: reviews
data:
  source: reviews.csv
  inputs: {{text: text}}
  target: label
  split: {{test: 0.3, validation: 0.1, calibration: 0.1}}
model: {{{model}, max_length: 32}}
pretraining:
  source: texts.jsonl
  objective: {objective}
  batch_size: 16
  held_out: 0.3
  epochs: 2
  learning_rate: 1.0e-3
task: {{use: classification}}
training: {{epochs: 1, batch_size: 16, learning_rate: 5.0e-3}}
audits: [{{use: performance, resamples: 100}}]
limits: [accuracy >= 0.1]
"""
SIZES = "hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 64"
NEW = f"architecture: {{use: bert, {SIZES}}}, tokenizer: {{use: wordpiece, size: 300}}"
KILLED = """
import os, signal, sys
from pathlib import Path
from charter.pipeline import run
from charter.training import fitting
fitting.fit.__kwdefaults__["checkpoint_seconds"] = 0.0
def kill(progress):
    if progress.stage == "pretrain" and progress.done == 14:
        os.kill(os.getpid(), signal.SIGKILL)
run(Path(sys.argv[1]), on_progress=kill)
"""


@pytest.fixture
def folder(tmp_path):
    """Reviews with labels, and documents of several sentences without, in English and Chinese, some of one sentence alone."""
    generator = random.Random(5)
    lines = ["text,label"]
    for number in range(160):
        own = GOOD if number % 2 else BAD
        words = [generator.choice(FILL) for _ in range(8)] + [generator.choice(own) for _ in range(2)]
        lines.append(f"{' '.join(words)},{'good' if number % 2 else 'bad'}")
    (tmp_path / "reviews.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    rows = []
    for number in range(240):
        own = GOOD if number % 2 else BAD
        count = 1 if number % 7 == 0 else generator.randint(2, 6)
        if number % 5:
            sentences = [
                " ".join(
                    generator.choice(FILL + own * 3) for _ in range(generator.randint(3, 9))
                ).capitalize()
                + "."
                for _ in range(count)
            ]
            text = " ".join(sentences)
        else:
            text = "".join("".join(generator.choices(HAN, k=7)) + "。" for _ in range(count))
        rows.append(json.dumps({"text": text}, ensure_ascii=False))
    (tmp_path / "texts.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return tmp_path


def write(folder, model, objective):
    path = folder / "charter.yaml"
    path.write_text(CHARTER.format(model=model, objective=objective), encoding="utf-8")
    return path


def found(result, metric, area="pretraining", **where):
    return next(
        one
        for one in result.findings
        if one.area == area and one.metric == metric and dict(one.slice) == where
    )


def weights(store):
    """The digests of every weight file of a store, by the stage that made it."""
    told = {}
    for record in store.glob("artefacts/*/artefact.json"):
        value = json.loads(record.read_text(encoding="utf-8"))
        told[value["stage"]] = {
            name: one for name, one in value["files"].items() if name.endswith(".safetensors")
        }
    assert told["pretrain"] and told["train"]
    return told


def killed_and_whole(path, folder):
    """A run that was killed in the middle of an epoch and run again, and one that never was."""
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(path)], env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert killed.returncode == -signal.SIGKILL
    events = []
    resumed = run(path, on_event=events.append)
    assert any(one.kind == "note" and "goes on from update 14" in one.text for one in events)
    run(path, store=folder / "whole")
    assert weights(folder / "runs") == weights(folder / "whole")
    return resumed


def told_in_both_languages(result, english, chinese):
    for language, words in (("en", english), ("zh", chinese)):
        page = render(result.record, language=language)
        assert all(word in page for word in words), (language, words)
    untold = {
        one.method
        for one in result.findings
        if one.area == "pretraining" and one.method and not translated(one.method)
    }
    assert not untold


@pytest.mark.parametrize(
    ("objective", "model", "words"),
    [
        (
            "next_sentence_prediction",
            NEW,
            (["next-sentence prediction", "Pairs told rightly"], ["下一句预测", "句对判断正确率"]),
        ),
        pytest.param(
            "sentence_order_prediction",
            "",
            (["sentence-order prediction"], ["句序预测"]),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_pairs_of_sentences_are_learned_and_a_killed_run_ends_with_the_same_weights(
    tiny_bert, folder, objective, model, words
):
    result = killed_and_whole(write(folder, model or f'base: "{tiny_bert}"', f"{{use: {objective}}}"), folder)
    assert result.released and verify(result.bundle, None).ok
    pairs = found(result, "pair_accuracy")
    assert 0.3 < pairs.value < 1.0 and pairs.low < pairs.value < pairs.high
    assert found(result, "perplexity").value < 300
    assert found(result, "pieces_without_pair").value >= 10
    told_in_both_languages(result, *words)
    import transformers

    stage = next(one for one in result.record.stages if one["name"] == "pretrain")
    place = folder / "runs" / "artefacts" / stage["key"] / "files" / "model"
    both, trunk = (
        transformers.BertForPreTraining.from_pretrained(place),
        transformers.BertModel.from_pretrained(place),
    )
    assert (both.bert.pooler.dense.weight == trunk.pooler.dense.weight).all()


ELECTRA = NEW.replace("bert", "electra").replace("hidden_size", "embedding_size: 24, hidden_size", 1)


def test_replaced_tokens_are_learned_to_be_told_and_a_killed_run_ends_with_the_same_weights(folder):
    path = write(folder, ELECTRA, "{use: replaced_token_detection}")
    path.write_text(path.read_text(encoding="utf-8") + "report: {examples: masked}\n", encoding="utf-8")
    result = killed_and_whole(path, folder)
    assert result.released and verify(result.bundle, None).ok
    doubted = result.record.examples["language"]["doubted"]
    swapped = [each for one in doubted for each in one["replaced"]]
    assert swapped and all(
        each["own"] != each["instead"] and 0 <= each["probability"] <= 1 for each in swapped
    )
    assert all(f"[{each['instead']}]" in one["text"] for one in doubted for each in one["replaced"])
    assert 0.0 <= found(result, "detection_f1").value < 1.0
    assert 0.5 < found(result, "detection_accuracy").value < 1.0
    perplexity = found(result, "generator_perplexity")
    assert 1 < perplexity.low < perplexity.value < 400
    told_in_both_languages(
        result,
        [
            "replaced-token detection",
            "takes for replaced",
            "F1 of replaced tokens",
            "Perplexity of the generator",
        ],
        ["替换词元检测", "哪些词元被替换", "替换词元 F1", "生成器困惑度"],
    )
    from transformers import ElectraForPreTraining, ElectraForSequenceClassification

    stage = next(one for one in result.record.stages if one["name"] == "pretrain")
    place = folder / "runs" / "artefacts" / stage["key"] / "files" / "model"
    learned = ElectraForPreTraining.from_pretrained(place)
    assert not [name for name in learned.state_dict() if "generator" in name]
    assert ElectraForSequenceClassification.from_pretrained(result.bundle).config.embedding_size == 24
    again = write(folder, f'base: "{place}"', "{use: replaced_token_detection, generator_size: 0.5}")
    assert run(again).released


@pytest.mark.slow
def test_vectors_of_texts_are_learned_and_a_killed_run_ends_with_the_same_weights(tiny_bert, folder):
    result = killed_and_whole(write(folder, f'base: "{tiny_bert}"', "{use: simcse}"), folder)
    assert result.released and verify(result.bundle, None).ok
    assert 0 <= found(result, "ndcg_at_10").value <= 1
    apart, spread = found(result, "alignment"), found(result, "uniformity")
    assert 0 < apart.low < apart.value < 4 and -8 < spread.value < 0 and spread.low < spread.high
    assert found(result, "truncated_texts").value > 0
    told_in_both_languages(
        result, ["SimCSE", "Alignment", "Uniformity", "parted in two halves"], ["SimCSE", "对齐度", "均匀度"]
    )


def test_a_base_of_both_heads_is_released_by_itself(folder, capsys):
    path = folder / "charter.yaml"
    path.write_text(
        "name: language\n"
        "data: {source: texts.jsonl, inputs: {text: text}, split: {test: 0.3}}\n"
        f"model: {{{NEW}, max_length: 32}}\n"
        "task: {use: next_sentence_prediction}\n"
        "training: {epochs: 1, batch_size: 16, learning_rate: 1.0e-3}\n"
        "limits: [perplexity <= 400, pair_accuracy >= 0.2]\n",
        encoding="utf-8",
    )
    result = run(path)
    assert result.released and verify(result.bundle, None).ok
    from transformers import AutoModelForPreTraining, pipeline

    assert type(AutoModelForPreTraining.from_pretrained(result.bundle)).__name__ == "BertForPreTraining"
    filled = pipeline("fill-mask", model=str(result.bundle))("the [MASK] was lovely")
    assert run_command(["predict", str(result.bundle), "--text", "the [MASK] was lovely"]) == 0
    assert filled[0]["token_str"] in capsys.readouterr().out
    assert run_command(["predict", str(result.bundle), "--text", "The room was lovely. We found it so."]) == 0
    assert "perplexity" in capsys.readouterr().out
    card = (result.bundle / "README.md").read_text(encoding="utf-8")
    assert "two heads" in card and "comes from a plug-in" not in card
    render(result.record, language="zh")


@pytest.mark.parametrize(
    ("model", "objective", "said"),
    [
        (
            "architecture: {use: roberta}, tokenizer: {use: bpe}",
            "{use: next_sentence_prediction}",
            "has no head that tells of pairs",
        ),
        (
            "architecture: {use: gpt2}, tokenizer: {use: bpe}",
            "{use: sentence_order_prediction}",
            "'gpt2' is a decoder",
        ),
        (
            "architecture: {use: bert}, tokenizer: {use: bpe}",
            "{use: masked_language_modelling, whole_words: chinese}",
            "words of Chinese can't be hidden whole",
        ),
        (
            "architecture: {use: bert}, tokenizer: {use: characters}",
            "{use: sentence_order_prediction, whole_words: true}",
            "are no pieces of words",
        ),
        (NEW, "{use: replaced_token_detection}", "'bert' has no head that tells which tokens were replaced"),
        (ELECTRA, "{use: replaced_token_detection}\n  economies: true", "learns two models at once"),
        (
            "architecture: {use: gpt2}, tokenizer: {use: bpe}",
            "{use: replaced_token_detection}",
            "'gpt2' is a decoder",
        ),
        (NEW, "{use: simcse}\n  micro_batch_size: 4", "compares each text with the others"),
        (NEW, "{use: masked_language_modelling, whole_words: english}", "whole_words"),
        (NEW, "{use: next_sentence_predicton}", "Did you mean 'next_sentence_prediction'"),
    ],
)
def test_an_objective_that_a_base_cannot_learn_is_refused_at_its_place(folder, model, objective, said):
    with pytest.raises(CharterFileError) as told:
        spec.read(write(folder, model, objective))
    assert said in str(told.value)
    assert all(problem.line for problem in told.value.problems)


def test_what_only_teaches_a_base_is_refused_as_a_task(folder):
    path = write(folder, ELECTRA, "{use: masked_language_modelling}")
    path.write_text(path.read_text().replace("{use: classification}", "{use: replaced_token_detection}"))
    with pytest.raises(CharterFileError, match="name it in pretraining"):
        spec.read(path)

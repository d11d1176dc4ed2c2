"""What a comparison says of transfer: what each run began from, what that cost, and which scores of language models compare."""

import dataclasses
import json
import random
from pathlib import Path

import pytest

import charter
from charter.release.report.comparison import comparison_sections, render_comparison
from charter.release.report.wording import Wording, number

from .test_chinese import TWO_WORDS, shown

FILL = ["the", "was", "very", "and", "today", "again", "we", "found", "it", "room", "crew", "meal"]
GOOD, BAD = ["great", "lovely", "kind", "warm"], ["awful", "rude", "cold", "dirty"]
GPT = "architecture: {use: gpt2, n_embd: 16, n_layer: 1, n_head: 2}"
BERT = (
    "architecture: {use: bert, hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 64}, "
    "tokenizer: {use: wordpiece, size: 120}"
)
LANGUAGE = """\
name: {name}
data: {{source: texts.jsonl, id: texts, inputs: {{text: text}}, split: {{test: 0.3, validation: 0.1}}}}
model: {{{model}, max_length: 32}}
task: {{use: {task}}}
training: {{epochs: 1, batch_size: 16, learning_rate: {rate}}}
audits: [{{use: performance, resamples: 100}}]
limits: ["token_accuracy >= 0"]
"""
CLASSES = """\
name: {name}
data: {{source: reviews.csv, id: reviews, inputs: {{text: text}}, target: label, split: {{test: 0.4, validation: 0.1}}}}
model: {{{model}, max_length: 32}}
task: {{use: classification}}
{more}
training: {{epochs: 1, batch_size: 16, learning_rate: 5.0e-3{objective}}}
audits: [{{use: performance, resamples: 100}}]
limits: ["accuracy >= 0.1"]
"""
TEXTS = "pretraining: {source: texts.jsonl, text: text, batch_size: 16, learning_rate: 1.0e-3, epochs: 2}"


def written(folder: Path):
    rng = random.Random(3)
    texts = [
        " ".join(rng.choices(FILL + rng.choice([GOOD, BAD]) * 2, k=rng.randint(5, 30))) for _ in range(120)
    ]
    lines = "".join(json.dumps({"text": one}) + "\n" for one in texts)
    (folder / "texts.jsonl").write_text(lines, encoding="utf-8")
    rows = ["text,label"]
    for at in range(160):
        words = rng.choices(FILL, k=7) + rng.choices(GOOD if number % 2 else BAD, k=2)
        rows.append(f"{' '.join(words)},{'good' if number % 2 else 'bad'}")
    (folder / "reviews.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tiny_bert, tmp_path_factory):
    place = tmp_path_factory.mktemp("transfer")
    written(place)
    language = {
        "bytes": (f"{GPT}, tokenizer: {{use: bpe, size: 300}}", "causal_language_modelling", "1.0e-3"),
        "faster": (f"{GPT}, tokenizer: {{use: bpe, size: 300}}", "causal_language_modelling", "2.0e-2"),
        "letters": (f"{GPT}, tokenizer: {{use: characters}}", "causal_language_modelling", "1.0e-3"),
        "masked": (BERT, "masked_language_modelling", "1.0e-3"),
        "fewer": (BERT, "masked_language_modelling, probability: 0.3", "1.0e-3"),
    }
    for name, (model, task, rate) in language.items():
        text = LANGUAGE.format(name=name, model=model, task=task, rate=rate)
        (place / f"{name}.yaml").write_text(text, encoding="utf-8")
        charter.run(place / f"{name}.yaml")
    base = f'base: "{tiny_bert}"'
    teacher = ", objective: {use: distillation, teacher: release/based, weight: 0.9}"
    classes = {
        "based": (base, "", ""),
        "scratch": (BERT, TEXTS.replace("epochs: 2", "epochs: 1"), ""),
        "further": (base, TEXTS, ""),
        "student": (f"{base}, adapt: {{use: head}}", "", teacher),
    }
    for name, (model, more, objective) in classes.items():
        text = CLASSES.format(name=name, model=model, more=more, objective=objective)
        (place / f"{name}.yaml").write_text(text, encoding="utf-8")
        charter.run(place / f"{name}.yaml")
    return place


def compared(folder, *names):
    return charter.compare(names, store=folder / "runs")


def score(comparison, metric):
    return next(one for one in comparison.scores() if one.metric == metric)


def test_perplexities_of_different_tokenizers_are_not_put_side_by_side_but_bits_per_byte_are(folder):
    found = compared(folder, "bytes", "letters", "faster")
    assert found.headline == "bits_per_byte"
    for metric in ("perplexity", "token_accuracy"):
        one = score(found, metric)
        assert [bool(because) for because in one.apart] == [False, True, False]
        assert one.beside(0) is not None and one.beside(1) is None and one.beside(2) is not None
        assert found.conclusion(found.pairs[0], metric) == "not comparable"
        assert found.difference(found.pairs[0], metric) is None
        assert found.difference(found.pairs[1], metric) is not None
    assert found.difference(found.pairs[0], "bits_per_byte") is not None
    assert found.conclusion(found.pairs[1]) == "better"  # a larger learning rate learns more in one epoch
    page = render_comparison(found)
    value = number(score(found, "perplexity").findings[1].value)
    assert "those of different tokenizers" in page and value in page
    told = found.as_json()
    assert {one["metric"] for one in told["pairs"][0]["differences"]} == {"bits_per_byte"}
    assert next(one for one in told["scores"] if one["metric"] == "perplexity")["apart"][1]


def test_one_tokenizer_s_perplexities_compare_and_stay_the_headline_s_neighbours(folder):
    found = compared(folder, "bytes", "faster")
    assert found.headline == "token_accuracy"
    assert not any(any(one.apart) for one in found.scores())
    assert found.conclusion(found.pairs[0], "perplexity") == "better"


@pytest.mark.parametrize(
    ("other", "because"), [("masked", "their tasks differ"), ("fewer", "they hide tokens in different ways")]
)
def test_models_that_are_asked_otherwise_are_not_compared_by_tokens(folder, other, because):
    first = "bytes" if other == "masked" else "masked"
    found = compared(folder, first, other)
    assert found.why_apart(1, "perplexity") == because
    assert found.conclusion(found.pairs[0], "perplexity") == "not comparable"
    assert found.conclusion(found.pairs[0]) == "not comparable"
    assert because in render_comparison(found)


def test_a_run_of_before_the_tokenizer_was_on_record_counts_as_another_unless_the_base_is_one(folder):
    found = compared(folder, "bytes", "faster")
    runs = []
    for run in found.runs:
        origin = {key: one for key, one in run.record.provenance.items() if key != "tokenizer"}
        runs.append(dataclasses.replace(run, record=dataclasses.replace(run.record, provenance=origin)))
    assert dataclasses.replace(found, runs=tuple(runs)).why_apart(1, "perplexity") == ""  # one new base
    other = dataclasses.replace(runs[1].record, provenance={"base": {"digest": "another"}})
    changed = (runs[0], dataclasses.replace(runs[1], record=other))
    assert "different tokenizers" in dataclasses.replace(found, runs=changed).why_apart(1, "perplexity")


def test_what_each_began_from_and_what_that_cost_lies_side_by_side(folder):
    found = compared(folder, "scratch", "based", "further", "student")
    assert all(pair.pairing is not None for pair in found.pairs)  # the same rows, whatever a model began from
    began = [one["began"] for one in found.as_json()["runs"]]
    assert began[0]["architecture"] == "bert" and began[0]["pretraining"] == "masked_language_modelling"
    assert "pretraining" not in began[1] and began[1]["base"].endswith("tiny-bert0")
    assert began[2]["pretraining_texts"] > 50
    assert began[3]["teacher"] == "based" and began[3]["adapt"] == "head"
    costs = found.costs()
    assert costs["pretraining_seconds"][1] == 0 and costs["pretraining_seconds"][2] > 0
    assert costs["teaching_seconds"][3] > 0 and costs["teaching_seconds"][0] == 0
    for place in range(4):
        parts = [
            costs[name][place] for name in ("training_seconds", "pretraining_seconds", "teaching_seconds")
        ]
        assert costs["learning_seconds"][place] == pytest.approx(sum(parts))
    tokens = next(
        one.value
        for one in found.runs[2].record.findings
        if one.area == "pretraining" and one.metric == "tokens"
    )
    assert costs["pretraining_tokens"][2] == 2 * tokens
    assert costs["training_tokens"][1] > 0
    text = render_comparison(found)
    for words in ("Where each began", "a new model of type bert", "Asking the teacher", "is not counted"):
        assert words in text


def test_runs_that_all_begin_alike_have_no_lines_of_nothing(folder):
    found = compared(folder, "bytes", "faster")
    assert not {"pretraining_seconds", "teaching_seconds", "learning_seconds"} & set(found.costs())
    begins = next(one for one in comparison_sections(found, Wording("en")) if one.id == "begins")
    assert len(begins.parts[0].rows) == 2


def test_the_chinese_page_has_no_english_sentence(folder):
    for names in (("scratch", "student"), ("bytes", "letters"), ("masked", "fewer")):
        page = render_comparison(compared(folder, *names), language="zh")
        assert [piece for piece in shown(page) if TWO_WORDS.search(piece)] == [], names

"""Pre-training before a task and by itself: what is learned from, resumed after a kill, and told."""

import json
import os
import random
import signal
import subprocess
import sys
from dataclasses import replace

import polars as pl
import pytest

from charter import spec
from charter.cli import run_command
from charter.errors import CharterFileError, DataError
from charter.pipeline import run
from charter.release.report import render
from charter.release.report.sentences import translated
from charter.release.report.view import opening
from charter.release.report.wording import Wording
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
pretraining: {{source: texts.jsonl, batch_size: 16, held_out: 0.3, epochs: {epochs}, learning_rate: 1.0e-3{more}}}
task: {{use: classification}}
training: {{epochs: 1, batch_size: 16, learning_rate: 5.0e-3}}
audits: [{{use: performance, resamples: 100}}]
limits: [accuracy >= 0.1]
"""
NEW = (
    "architecture: {use: bert, hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 64}, "
    "tokenizer: {use: wordpiece, size: 300}"
)
KILLED = """
import os, signal, sys
from pathlib import Path
from charter.pipeline import run
from charter.training import fitting
fitting.fit.__kwdefaults__["checkpoint_seconds"] = 0.0
def kill(progress):
    if progress.stage == "pretrain" and progress.done == 12:
        os.kill(os.getpid(), signal.SIGKILL)
run(Path(sys.argv[1]), on_progress=kill)
"""


@pytest.fixture
def folder(tmp_path):
    """Reviews with labels, and texts without: a word of the good kind mostly stands with others of it."""
    generator = random.Random(5)
    lines = ["text,label"]
    for number in range(200):
        own = GOOD if number % 2 else BAD
        words = [generator.choice(FILL) for _ in range(8)] + [generator.choice(own) for _ in range(2)]
        lines.append(f"{' '.join(words)},{'good' if number % 2 else 'bad'}")
    (tmp_path / "reviews.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    texts = []
    for number in range(240):
        own = GOOD if number % 2 else BAD
        words = [generator.choice(FILL + own * 3) for _ in range(generator.randint(3, 40))]
        texts.append(" ".join(words) if number % 6 else "".join(generator.choices(HAN, k=30)))
    rows = [json.dumps({"text": text}, ensure_ascii=False) for text in texts]
    (tmp_path / "texts.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return tmp_path


def write(folder, model, *, epochs=2, more=""):
    path = folder / "charter.yaml"
    path.write_text(CHARTER.format(model=model, epochs=epochs, more=more), encoding="utf-8")
    return path


def found(result, metric, **where):
    return next(
        one
        for one in result.findings
        if one.area == "pretraining" and one.metric == metric and dict(one.slice) == where
    )


def exported(result):
    return [
        stage["digest"] for stage in result.record.stages if stage["name"].startswith(("export", "pretrain"))
    ]


def test_a_base_is_pre_trained_before_it_learns_the_task_and_the_report_says_so(tiny_bert, folder):
    result = run(write(folder, f'base: "{tiny_bert}"'))
    assert result.released
    names = [stage["name"] for stage in result.record.stages]
    assert names.index("prepare texts") < names.index("pretrain") < names.index("train")
    assert verify(result.bundle, None).ok
    card = (result.bundle / "README.md").read_text(encoding="utf-8")
    assert "texts without labels (masked_language_modelling), not public" in card
    assert set(result.record.provenance["pretraining"]["texts"]) == {
        "source_digest",
        "prepared_digest",
        "test_digest",
    }
    assert found(result, "perplexity").value < 150  # of about 140 words, a fourth of them of the texts
    assert found(result, "rows", split="train", of="texts").value > 100
    assert found(result, "tokens").value > 2000
    for language, words in (("en", "masked language modelling"), ("zh", "掩码语言建模")):
        page = render(result.record, language=language)
        assert words in page and 'id="pretraining"' in page
    untold = {
        one.method
        for one in result.findings
        if one.area == "pretraining" and one.method and not translated(one.method)
    }
    assert not untold


def test_a_base_with_a_head_of_its_own_is_judged_before_too_on_the_same_tokens(tiny_bert, folder):
    import shutil

    first = run(write(folder, f'base: "{tiny_bert}"', epochs=1))
    (untold,) = [one for one in first.findings if dict(one.slice) == {"base": "before"}]
    assert untold.value is None and "no head of its own for this objective" in untold.because
    learned = next(
        one.parent
        for one in (folder / "runs" / "artefacts").glob("*/files/model/config.json")
        if "BertForMaskedLM" in one.read_text(encoding="utf-8")
    )
    shutil.copytree(learned, folder / "again")
    path = write(folder, 'base: "again"', epochs=1)
    result = run(path, store=folder / "other")
    before = found(result, "perplexity", base="before")
    assert before.value == found(first, "perplexity").value  # the same weights, the same tokens hidden
    assert before.low < before.value < before.high
    ratio = found(result, "perplexity_ratio")
    assert ratio.value == pytest.approx(found(result, "perplexity").value / before.value, rel=1e-6)
    assert ratio.low < ratio.value < ratio.high and "on the same tokens; paired" in ratio.method
    assert "预训练前后困惑度之比" in render(result.record, language="zh")
    assert all(translated(one.method) for one in (before, ratio)) and translated(untold.because)


def test_examples_to_read_are_masked_and_stand_there_only_where_the_charter_lets_them(tiny_bert, folder):
    with (folder / "texts.jsonl").open("a", encoding="utf-8") as stream:
        rows = [
            json.dumps({"text": f"call the desk {number} at ann{number}@mail.org"}) for number in range(90)
        ]
        stream.write("\n" + "\n".join(rows) + "\n")
    path = write(folder, f'base: "{tiny_bert}"', epochs=1)
    silent = run(path)
    assert silent.record.examples is None and 'id="reading"' not in render(silent.record)
    path.write_text(path.read_text() + "report: {examples: masked}\n", encoding="utf-8")
    shown = run(path).record
    told = shown.examples["language"]
    assert len(told["filled"]) == 6 and len(told["alike"]) == 3
    held = {"".join(part.split()) for part in texts_of(told)}
    assert any("[EMAIL]" in text for text in held) and not any("@mail" in text for text in held)
    for one in told["filled"]:
        assert one["hidden"].isalnum() and len(one["guesses"]) == 3
        assert 0 < one["guesses"][0]["probability"] < 1
    for language, words in (("en", "To read for yourself"), ("zh", "请您自己读一读")):
        page = render(shown, language=language)
        assert words in page and told["alike"][0]["nearest"][:12] in page
    assert run(path).record.examples == shown.examples  # drawn by the seed
    unlikely = {"text": "x", "probability": 0.001}
    guess = {
        "before": "a ",
        "hidden": "b",
        "after": " c",
        "guesses": [unlikely, {**unlikely, "probability": 0.4}],
    }
    page = render(replace(shown, examples={**shown.examples, "language": {"seed": 7, "filled": [guess]}}))
    assert "“x” &lt; 0.01 · “x” 0.40" in page


def texts_of(told):
    for one in told["filled"]:
        yield one["before"] + one["hidden"] + one["after"]
    for one in told["alike"]:
        yield from (one["text"], one["nearest"])


def test_nothing_that_the_task_is_judged_on_is_learned_from_before(tiny_bert, folder):
    reviews = (folder / "reviews.csv").read_text(encoding="utf-8").splitlines()[1:]
    rows = [json.dumps({"text": line.rpartition(",")[0]}) for line in reviews]
    with (folder / "texts.jsonl").open("a", encoding="utf-8") as stream:
        stream.write("\n".join(rows) + "\n")
    result = run(write(folder, f'base: "{tiny_bert}"', epochs=1))
    assert found(result, "texts_kept_apart", of="texts").value > 30
    apart = next(one for one in result.record.stages if one["name"] == "keep apart")
    prepared = next(one for one in result.record.stages if one["name"] == "prepare")
    places = [
        folder / "runs" / "artefacts" / one["key"] / "files" / "rows.parquet" for one in (apart, prepared)
    ]
    texts, task = (pl.read_parquet(place) for place in places)
    learned = set(texts.filter(pl.col("_split") == "train")["text"])
    judged = set(task.filter(pl.col("_split") != "train")["text"])
    counted = found(result, "rows", split="train", of="texts").value
    assert (
        counted == texts.filter(pl.col("_split") == "train").height
    )  # what was left out is not told as learned from
    assert learned & set(task.filter(pl.col("_split") == "train")["text"]) and not learned & judged


def judged_texts(folder):
    """Reviews that the task is judged on, long enough to be looked for inside of other texts."""
    place = next((folder / "runs" / "artefacts").glob("*/files/rows.parquet"))
    rows = pl.read_parquet(place).filter(pl.col("_split") == "test")["text"]
    return [text for text in rows if len(text.split()) >= 13]


def longer_reviews(folder):
    rows = [line.rpartition(",") for line in (folder / "reviews.csv").read_text().splitlines()[1:]]
    drawn = random.Random(3)
    told = [f"{' '.join([text, *drawn.choices(FILL, k=14)])},{label}" for text, _, label in rows]
    (folder / "reviews.csv").write_text("\n".join(["text,label", *told]) + "\n")


def test_a_book_that_holds_a_judged_row_is_not_learned_from(tiny_bert, folder):
    longer_reviews(folder)
    path = write(folder, f'base: "{tiny_bert}"', epochs=1)
    path.write_text(path.read_text().replace("pretraining:", "# pretraining:"))
    run(path)  # which rows are judged on
    drawn = random.Random(5)
    pages = [" ".join(drawn.choices(FILL, k=300)) for _ in range(4)]
    rows = judged_texts(folder)
    book = "\n".join([pages[0], rows[0].capitalize() + ".", pages[1]])
    with (folder / "texts.jsonl").open("a", encoding="utf-8") as stream:
        stream.write("\n" + "\n".join(json.dumps({"text": one}) for one in (book, *pages[2:])) + "\n")
    path.write_text(
        path.read_text().replace("# pretraining:", "pretraining:").replace("held_out: 0.3", "held_out: 0.02")
    )
    result = run(path)
    assert found(result, "texts_kept_apart", of="texts").value == 1
    books = [f"{' '.join(map(str, drawn.choices(range(9999), k=99)))} {one}" for one in rows[:30] * 5]
    (folder / "texts.jsonl").write_text("\n".join(json.dumps({"text": one}) for one in books))
    path.write_text(path.read_text().replace("held_out: 0.02", "held_out: 0.3"))
    with pytest.raises(
        DataError, match=r"each of the .* texts to learn from is equal or similar to a row .* or holds one"
    ):
        run(path)


def test_too_few_texts_are_told_by_the_keys_of_pre_training(tiny_bert, folder):
    (folder / "texts.jsonl").write_text(
        "\n".join(json.dumps({"text": f"{one} text"}) for one in ("a", "some", "last"))
    )
    path = write(folder, f'base: "{tiny_bert}"')
    path.write_text(path.read_text().replace("held_out: 0.3", "held_out: 0.02"))
    with pytest.raises(
        DataError, match=r"pretraining.held_out 0.02 of 3 texts leaves none to be judged on: .*tail: true"
    ):
        run(path)


def test_a_second_run_pre_trains_nothing_anew_and_another_task_takes_the_same_base(tiny_bert, folder):
    path = write(folder, f'base: "{tiny_bert}"', epochs=1)
    run(path)
    path.write_text(
        path.read_text().replace(
            "epochs: 1, batch_size: 16, learning_rate: 5", "epochs: 2, batch_size: 16, learning_rate: 5"
        )
    )
    events = []
    run(path, on_event=events.append)
    made = [one.stage for one in events if one.kind == "made"]
    assert "pretrain" not in made and "judge base" not in made and "train" in made


def test_a_run_killed_while_it_pre_trains_ends_with_the_weights_of_an_undisturbed_one(tiny_bert, folder):
    path = write(folder, f'base: "{tiny_bert}"')
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(path)], env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert killed.returncode == -signal.SIGKILL
    events = []
    resumed = run(path, on_event=events.append)
    assert any(one.kind == "note" and "goes on from update 12" in one.text for one in events)
    whole = run(path, store=folder / "whole")
    weights = [
        next((store / "artefacts").glob("*/files/model/model.safetensors")).parent.parent.parent.name
        for store in (folder / "runs", folder / "whole")
    ]
    assert weights
    assert digests(folder / "runs") == digests(folder / "whole")
    assert [one.value for one in resumed.findings if one.metric == "accuracy"] == [
        one.value for one in whole.findings if one.metric == "accuracy"
    ]


def digests(store):
    """The digests of every weight file of a store, by what made it."""
    told = {}
    for record in store.glob("artefacts/*/artefact.json"):
        value = json.loads(record.read_text(encoding="utf-8"))
        files = {name: one for name, one in value["files"].items() if name.endswith(".safetensors")}
        if files:
            told[value["stage"]] = files
    assert {"pretrain", "train"} <= set(told)
    return told


@pytest.mark.parametrize("tokenizer", ["wordpiece", "unigram", "bpe", "characters"])
def test_a_new_model_learns_its_tokenizer_and_its_language_from_the_texts(folder, tokenizer):
    model = NEW.replace("wordpiece", tokenizer)
    result = run(write(folder, model, epochs=1))
    assert found(result, "unknown_tokens").value < 0.02
    assert found(result, "characters_per_token").value >= 1.0
    assert found(result, "characters_per_token", language="zh").value < 4
    from transformers import pipeline

    asked = pipeline("text-classification", model=str(result.bundle))
    assert asked("the room was lovely")[0]["label"] in ("good", "bad")


def test_a_base_has_words_of_the_texts_added_that_begin_as_the_mean_of_their_pieces(tiny_bert, folder):
    words = ["zonal", "bureau", "quartz"]
    lines = (folder / "texts.jsonl").read_text(encoding="utf-8").splitlines()
    lines += [
        json.dumps({"text": f"{one} was very {words[at % 3]} today {at}"}) for at, one in enumerate(FILL * 3)
    ]
    (folder / "texts.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    result = run(
        write(folder, f'base: "{tiny_bert}", tokenizer: {{use: extended, size: 3, least: 5}}', epochs=1)
    )
    from charter.models.base import find_base, load_base, load_tokenizer

    begin = next(one for one in result.record.stages if one["name"] == "begin")
    place = folder / "runs" / "artefacts" / begin["key"] / "files" / "model"
    own, new = load_tokenizer(tiny_bert), load_tokenizer(place)
    rows = [
        load_base(find_base(str(one), None, folder)).get_input_embeddings().weight
        for one in (tiny_bert, place)
    ]
    for word in words:
        (number,) = new(word, add_special_tokens=False)["input_ids"]
        pieces = own(word, add_special_tokens=False)["input_ids"]
        assert len(pieces) > 1
        assert (rows[1][number] - rows[0][pieces].mean(dim=0)).abs().max() < 1e-6
    assert (
        found(result, "characters_per_token").value
        > found(result, "characters_per_token", tokenizer="base").value
    )


@pytest.mark.parametrize(
    ("task", "model", "head"),
    [
        ("masked_language_modelling", NEW, "AutoModelForMaskedLM"),
        (
            "causal_language_modelling",
            "architecture: {use: gpt2, n_embd: 32, n_layer: 2, n_head: 2}, tokenizer: {use: characters, size: 100}",
            "AutoModelForCausalLM",
        ),
    ],
)
def test_a_language_model_is_a_task_of_its_own(folder, task, model, head, capsys):
    path = folder / "charter.yaml"
    path.write_text(
        "name: language\n"
        "data: {source: texts.jsonl, inputs: {text: text}, split: {test: 0.3}}\n"
        f"model: {{{model}, max_length: 32}}\n"
        f"task: {{use: {task}}}\n"
        "training: {epochs: 1, batch_size: 16, learning_rate: 1.0e-3}\n"
        'limits: [perplexity <= 300, "perplexity_over_baseline[baseline=unigram] <= 20"]\n',
        encoding="utf-8",
    )
    result = run(path)
    assert result.released
    assert [one.outcome for one in result.verdicts] == ["kept", "kept"]
    measured = {(one.area, one.metric): one for one in result.findings if not set(one.slice) - {"baseline"}}
    assert measured["baseline", "perplexity"].slice == {"baseline": "unigram"}
    model, cheap = (measured[area, "perplexity"].value for area in ("performance", "baseline"))
    assert measured["baseline", "perplexity_over_baseline"].value == pytest.approx(model / cheap)
    assert "energy_joules" in {one.metric for one in result.findings if one.area == "training"}
    assert not any(one.slice.get("split") == "calibration" and one.value for one in result.findings)
    told = opening(result.record, Wording("en"))
    assert [one.label for one in told.facts].count("Perplexity") == 1
    assert any("token frequencies): Perplexity" in line for line in told.lines)
    import transformers

    model = getattr(transformers, head).from_pretrained(result.bundle)
    assert model.get_output_embeddings() is not None
    assert verify(result.bundle, None).ok
    assert {one.metric for one in result.findings if one.area == "performance"} >= {
        "perplexity",
        "token_accuracy",
    }
    render(result.record, language="zh")
    assert run_command(["predict", str(result.bundle), "--text", "the room was lovely"]) == 0
    assert "perplexity" in capsys.readouterr().out
    assert "comes from a plug-in" not in (result.bundle / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model: {max_length: 32}", "one is missing: a base to start from, or a new model"),
        ('model: {base: "sample:minilm", architecture: {use: bert}}', "give one of the two"),
        ("model: {architecture: {use: bert}}", "a new model needs a tokenizer of its own"),
        ('model: {base: "sample:minilm", tokenizer: {use: bpe}}', "a base keeps its own"),
        (
            "model: {architecture: {use: bret}, tokenizer: {use: bpe}}",
            "transformers has no such type. Did you mean 'bert'?",
        ),
        (
            "model: {architecture: {use: bert, hidden_sise: 8}, tokenizer: {use: bpe}}",
            "a config of 'bert' has no such key. Did you mean 'hidden_size'?",
        ),
        ("pretraining: {source: nowhere.jsonl}", "no such file"),
        (
            "pretraining: {source: texts.jsonl, objective: {use: classification}}",
            "learns from labels, and these texts have none",
        ),
        (
            "pretraining: {source: texts.jsonl, objective: {use: causal_language_modelling}}",
            "'bert' is an encoder",
        ),
        (
            "model: {architecture: {use: bert, num_attention_heads: 0}, tokenizer: {use: bpe}}",
            "no model can be made of these values (ZeroDivisionError",
        ),
        ("pretraining: {source: texts.jsonl, text: words}", "words"),
        ("pretraining: {source: texts.jsonl, objective: {use: masked_langage_modelling}}", "Did you mean"),
        (
            "pretraining: {source: texts.jsonl, class_weights: balanced}",
            "pretraining.class_weights: unknown key",
        ),
    ],
)
def test_what_is_wrong_is_said_at_its_place(folder, text, said):
    lines = [] if text.startswith("model") else ['model: {base: "sample:minilm"}']
    path = folder / "charter.yaml"
    path.write_text(
        "name: reviews\ndata: {source: reviews.csv, inputs: {text: text}, target: label}\ntask: {use: classification}\n"
        + "\n".join([*lines, text]) + "\n",
        encoding="utf-8",
    )  # fmt: skip
    with pytest.raises(CharterFileError) as told:
        spec.read(path)
    assert said in str(told.value)


def test_public_texts_before_a_private_task_are_learned_from_without_noise(tiny_bert, folder):
    path = write(folder, f'base: "{tiny_bert}"', epochs=1, more=", public: true")
    lines = (folder / "reviews.csv").read_text(encoding="utf-8").splitlines()
    people = ["person", *(f"p{number // 2}" for number in range(len(lines) - 1))]
    told = [f"{line},{person}" for line, person in zip(lines, people, strict=True)]
    (folder / "reviews.csv").write_text("\n".join(told) + "\n", encoding="utf-8")
    text = path.read_text(encoding="utf-8").replace("  target: label", "  target: label\n  subject: person")
    path.write_text(f"{text}privacy: {{epsilon: 8, delta: 1.0e-3, unit: subject}}\n", encoding="utf-8")
    result = run(path)
    assert found(result, "tokens").value > 2000  # a private training tells no count of its tokens
    spent = [one for one in result.findings if one.metric == "epsilon"]
    assert [one.area for one in spent] == ["privacy"]
    assert result.record.provenance["privacy"]["unit"] == "subject"

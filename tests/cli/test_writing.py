"""`charter predict` with prompts and masks: what is shown, as JSON too, and what is refused."""

import json
import os
import random
import signal
import subprocess
import sys

import polars as pl
import pytest

import charter
from charter.cli import run_command

WORDS = "the a room crew flight meal desk was found very clean cold kind slow today again and so"
HAN = list("酒店房间很好差干净服务态度冷热不了的是")
NEW = {
    "causal": "architecture: {use: gpt2, n_embd: 32, n_layer: 1, n_head: 2}, tokenizer: {use: bpe, size: 300}",
    "masked": "architecture: {use: bert, hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 64}, "
    "tokenizer: {use: wordpiece, size: 200}",
}
CHARTER = """\
name: {kind}
data: {{source: texts.jsonl, inputs: {{text: text}}}}
model: {{{model}, max_length: 24}}
task: {{use: {kind}_language_modelling}}
training: {{epochs: 4, batch_size: 16, learning_rate: 1.0e-2}}
audits: [{{use: performance, resamples: 100}}]
limits: [perplexity <= 100000]
release: {{formats: [safetensors, onnx]}}
"""


def text(generator, number):
    if number % 4 == 0:
        return "".join(generator.choices(HAN, k=20))
    return " ".join(generator.choice(WORDS.split()) for _ in range(generator.randint(4, 30)))


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """A causal and a masked language model of English words and Chinese characters, released in two forms."""
    folder = tmp_path_factory.mktemp("models")
    generator = random.Random(3)
    rows = [json.dumps({"text": text(generator, number)}, ensure_ascii=False) for number in range(300)]
    (folder / "texts.jsonl").write_text("\n".join(rows), encoding="utf-8")
    for kind, model in NEW.items():
        path = folder / f"{kind}.yaml"
        path.write_text(CHARTER.format(kind=kind, model=model), encoding="utf-8")
        assert charter.run(path).released
    return {kind: folder / "release" / kind for kind in NEW}


@pytest.fixture(scope="module")
def causal(bundles):
    return str(bundles["causal"])


@pytest.fixture(scope="module")
def masked(bundles):
    return str(bundles["masked"])


def as_json(capsys, *arguments):
    assert run_command(["predict", *arguments, "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_prompt_is_written_on_the_same_each_time_and_the_terminal_shows_what_json_tells(causal, capsys):
    asked = [causal, "--prompt", "the room was", "--max-tokens", "20", "--seed", "3"]
    (told,) = as_json(capsys, *asked)
    assert told["tokens"] == 20 or told["ended"] == "end of text"
    assert run_command(["predict", *asked]) == 0
    shown = capsys.readouterr()
    assert shown.out == f"the room was{told['text']}\n"
    assert f"{told['tokens']} tokens" in shown.err and "seed 3" in shown.err
    parts = charter.generate(causal, "the room was", max_tokens=20, seed=3)
    assert "".join(part.text for part in parts) == told["text"]


def test_several_samples_are_those_of_the_seeds_one_after_the_other(causal, capsys):
    asked = [causal, "--prompt", "the", "--max-tokens", "12"]
    three = as_json(capsys, *asked, "--samples", "3", "--seed", "5")
    assert [one["seed"] for one in three] == [5, 6, 7]
    assert three[2] == as_json(capsys, *asked, "--seed", "7")[0]
    assert len({one["text"] for one in three}) == 3


def test_greedy_text_does_not_depend_on_the_seed_and_goes_on_past_the_window(causal, capsys):
    asked = [causal, "--prompt", "the room", "--temperature", "0", "--max-tokens", "60"]
    first, second = (as_json(capsys, *asked, "--seed", seed)[0] for seed in ("1", "2"))
    assert first["text"] == second["text"]


def test_a_prompt_longer_than_the_window_is_told(causal, capsys):
    long = "the room was very clean today " * 10
    (told,) = as_json(capsys, causal, "--prompt", long, "--max-tokens", "3")
    assert told["unread_tokens"] > 20
    assert run_command(["predict", causal, "--prompt", long, "--max-tokens", "3"]) == 0
    assert "the model reads 24 at once" in capsys.readouterr().err


def test_a_file_of_prompts_is_written_on_as_each_alone(causal, tmp_path, capsys):
    prompts = tmp_path / "prompts.jsonl"
    rows = ['{"text": "the room"}', '{"text": 5}', '{"text": "酒店"}']
    prompts.write_text("\n".join(rows), encoding="utf-8")
    options = ["--max-tokens", "8", "--seed", "2"]
    told = as_json(capsys, causal, "--prompts", str(prompts), *options)
    alone = as_json(capsys, causal, "--prompt", "酒店", *options)[0]
    assert {**alone, "row": 3} == {key: value for key, value in told[-1].items() if key != "place"}
    out = tmp_path / "written.parquet"
    assert run_command(["predict", causal, "--prompts", str(prompts), "--out", str(out), *options]) == 0
    kept = pl.read_parquet(out)
    assert kept.filter(pl.col("row") == 3)["text"].to_list() == [alone["text"]]
    assert kept.height == 3 and kept["row"].to_list() == [1, 2, 3]


def test_ctrl_c_ends_a_text_with_a_line_and_no_traceback(causal):
    asked = ["predict", causal, "--prompt", "the", "--max-tokens", "10000000"]
    going = subprocess.Popen(
        [sys.executable, "-m", "charter", *asked],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert going.stdout is not None
    first = going.stdout.read(6)
    going.send_signal(signal.SIGINT)
    rest, said = going.communicate(timeout=120)
    assert (first + rest).startswith(b"the") and rest.endswith(b"\n")
    if going.returncode == 0:  # the model ended the text before it could be interrupted
        pytest.skip("the text ended by itself")
    assert going.returncode == 130 and said.strip().endswith(b"Interrupted.")


def test_masks_are_filled_as_transformers_fills_them(masked, capsys):
    from transformers import pipeline

    said = "the room was [MASK] and"
    (told,) = as_json(capsys, masked, "--text", said, "-k", "3")
    expected = pipeline("fill-mask", model=masked)(said, top_k=3)
    guesses = told["masks"][0]["guesses"]
    assert [one["token"] for one in guesses] == [one["token_str"].replace(" ", "") for one in expected]
    assert [one["probability"] for one in guesses] == pytest.approx(
        [one["score"] for one in expected], abs=1e-5
    )
    assert run_command(["predict", masked, "--text", said]) == 0
    assert guesses[0]["text"] in capsys.readouterr().out


def test_each_mask_is_told_by_itself_also_in_chinese_and_by_a_graph(masked, capsys):
    from transformers import pipeline

    (told,) = as_json(capsys, masked, "--text", "酒店[MASK]间很[MASK]")
    first, second = (mask["guesses"] for mask in told["masks"])
    expected = pipeline("fill-mask", model=masked)("酒店[MASK]间很[MASK]", top_k=1)
    assert [first[0]["token"], second[0]["token"]] == [one[0]["token_str"] for one in expected]
    assert len(first) == len(second) == 5
    graph = charter.fill_in(masked, ["酒店[MASK]间很[MASK]"], engine="onnx")[0]
    assert [one.text for one in graph.masks[1]] == [one["text"] for one in second]


def test_masks_beyond_what_is_read_are_told_and_a_text_without_one_is_judged(masked, capsys):
    (told,) = as_json(capsys, masked, "--text", "[MASK] " + "the room was clean " * 9 + "[MASK]")
    assert told["unread_masks"] == 1 and len(told["masks"]) == 1
    (judged,) = as_json(capsys, masked, "--text", "the room was clean")
    assert judged["perplexity"] > 1


@pytest.mark.parametrize(
    ("which", "arguments", "said"),
    [
        ("masked", ["--prompt", "the"], "fills in hidden words"),
        ("causal", ["--prompt", "the", "--engine", "onnx"], "take --engine safetensors"),
        ("causal", ["--text", "the", "--seed", "3"], "--seed: says how a text is written on"),
        ("causal", ["--text", "the", "--prompt", "the"], "give one of"),
        ("causal", ["--prompt", "the", "--temperature", "-2"], "temperature -2"),
        ("causal", ["--prompt", "the", "--stop", ""], "none of them empty"),
        ("masked", ["--text", "the <mask>"], "writes a hidden word as [MASK]"),
        ("masked", ["--text", "the [MASK]", "--text", "the"], "in two calls"),
    ],
)
def test_what_a_bundle_can_not_do_is_said(bundles, which, arguments, said, capsys):
    assert run_command(["predict", str(bundles[which]), *arguments]) == 2
    shown = capsys.readouterr()
    assert said in " ".join(shown.err.split()) and not shown.out

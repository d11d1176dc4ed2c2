"""Texts that are pre-trained on: what of them is held out, blocks of several, and what happens when a run ends half-way."""

import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet
import pytest

from charter import spec
from charter.data.columns import SPLIT
from charter.errors import CharterFileError
from charter.pipeline import run
from charter.pipeline.preparing import prepare_data
from charter.release.report import render
from charter.runs.run import begin_run
from charter.runs.store import Store
from charter.spec.model import Charter

WORDS = "the was very and today again we found it so my with room crew flight meal great rude cold".split()  # noqa: SIM905
GPT = (
    "model: {architecture: {use: gpt2, n_embd: 16, n_layer: 1, n_head: 2}, tokenizer: {use: characters, size: 100}, max_length: 32}\n"
    "task: {use: causal_language_modelling}\n"
)
BERT = (
    "architecture: {use: bert, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 32}, "
    "tokenizer: {use: wordpiece, size: 300}"
)
CHARTER = """\
name: reviews
data: {{source: reviews.jsonl, inputs: {{text: text}}, target: label, split: {{test: 0.3, validation: 0.1, calibration: 0.1}}}}
model: {{{model}, max_length: 32}}
pretraining: {{source: texts.jsonl, batch_size: 16, held_out: 0.3, learning_rate: 1.0e-3{more}}}
task: {{use: classification}}
training: {{epochs: 1, batch_size: 16}}
audits: [{{use: performance, resamples: 100}}]
limits: [accuracy >= 0.1]
"""


def sentence(dice, least=4, most=30):
    return " ".join(dice.choices(WORDS, k=dice.randint(least, most)))


@pytest.fixture
def folder(tmp_path):
    dice = random.Random(3)
    rows = [{"text": sentence(dice), "label": "ab"[at % 2]} for at in range(120)]
    (tmp_path / "reviews.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    texts = [{"text": sentence(dice)} for _ in range(200)]
    (tmp_path / "texts.jsonl").write_text("\n".join(map(json.dumps, texts)), encoding="utf-8")
    return tmp_path


def write(folder, *, model=BERT, more=""):
    path = folder / "charter.yaml"
    path.write_text(CHARTER.format(model=model, more=more), encoding="utf-8")
    return path


def language(
    folder, source, *, split="", more="", training="epochs: 1, batch_size: 16, learning_rate: 1.0e-3"
):
    path = folder / "charter.yaml"
    path.write_text(
        f"name: tales\ndata: {{source: {source}, inputs: {{text: text}}{split}}}\n{GPT}training: {{{training}}}\n{more}",
        encoding="utf-8",
    )
    return path


def prepared(folder, result, name="prepare"):
    stage = next(one for one in result.record.stages if one["name"] == name)
    return pl.read_parquet(folder / "runs" / "artefacts" / stage["key"] / "files" / "rows.parquet")


def rows_of(folder, charter):
    with begin_run(Store(folder / "looked"), charter.name, charter.digest) as begun:
        return prepare_data(begun, charter, folder).rows


def test_texts_that_are_held_out_are_named_by_the_user_and_none_else_are_taken(tmp_path):
    dice = random.Random(1)
    said = {name: [sentence(dice) for _ in range(20)] for name in ("train", "validation", "test")}
    for name, lines in said.items():
        (tmp_path / f"{name}.txt").write_text("\n".join(lines), encoding="utf-8")
    reviews = [{"text": sentence(dice), "label": "ab"[at % 2]} for at in range(120)]
    (tmp_path / "reviews.jsonl").write_text("\n".join(map(json.dumps, reviews)), encoding="utf-8")
    source = "{" + ", ".join(f"{name}: 'lines:{name}.txt'" for name in said) + "}"
    path = write(tmp_path)
    path.write_text(path.read_text().replace("texts.jsonl", source).replace(", held_out: 0.3", ""))
    result = run(path)
    rows = prepared(tmp_path, result, "prepare texts")
    told = {name: rows.filter(pl.col("_split") == name)["text"].to_list() for name in said}
    assert told == said
    assert any(one.area == "pretraining" and one.metric == "perplexity" for one in result.findings)


def test_a_language_model_learns_from_the_first_nine_tenths_of_one_long_text_and_is_judged_on_the_rest(
    tmp_path,
):
    dice = random.Random(2)
    data = "\n\n".join(sentence(dice, 20, 60) for _ in range(1200))
    (tmp_path / "input.txt").write_text(data, encoding="utf-8")
    split = ", prepare: [], split: {tail: true, test: 0.1}"
    result = run(language(tmp_path, "input.txt", split=split, more="limits: [bits_per_byte <= 9]\n"))
    rows = prepared(tmp_path, result)
    n = len(data)
    assert rows.filter(pl.col("_split") == "train")["text"].to_list() == [data[: int(n * 0.9)]]
    judged = rows.filter(pl.col("_split") != "train")
    assert set(judged["_split"]) == {"test"} and judged.height >= 30
    assert "".join(judged["text"]) == data[int(n * 0.9) :]
    found = next(one for one in result.findings if one.metric == "bits_per_byte")
    assert 0 < found.low < found.value < found.high < 9
    assert result.released
    assert f"Measured on {judged.height} passages from the ends" in render(result.record, language="en")
    assert f"末尾的 {judged.height} 个段落上测量" in render(result.record, language="zh")


def test_ends_that_stand_inside_of_another_text_are_told_as_leakage(tmp_path):
    dice = random.Random(4)
    one, two = ("\n".join(sentence(dice, 30, 60) for _ in range(400)) for _ in range(2))
    (tmp_path / "a.txt").write_text(one, encoding="utf-8")
    (tmp_path / "b.txt").write_text(
        one[int(len(one) * 0.9) :] + two * 2, encoding="utf-8"
    )  # b begins with a's end
    (tmp_path / "c.txt").write_text("\n".join(sentence(dice, 30, 60) for _ in range(400)), encoding="utf-8")
    split = ", prepare: [], split: {tail: true, test: 0.1}"
    result = run(language(tmp_path, "'*.txt'", split=split, more="limits: [bits_per_byte <= 9]\n"))
    rows = prepared(tmp_path, result).filter(pl.col("_split") == "test")
    leaked = next(one for one in result.findings if one.slice.get("kind") == "text inside of a longer one")
    from_c = rows.filter(pl.col("_place").str.contains("c.txt")).height
    assert leaked.value == rows.height - from_c and leaked.n == rows.height and from_c > 0
    for language_of_page, said in (("en", "text inside of a longer one"), ("zh", "包含在更长文本中的文本")):
        assert said in render(result.record, language=language_of_page)


def test_before_a_task_the_end_of_each_text_is_held_out_one_half_of_it_to_choose_by(folder):
    long = "\n".join(sentence(random.Random(9), 200, 300) for _ in range(9))
    (folder / "book.txt").write_text(long, encoding="utf-8")
    path = write(folder)
    path.write_text(
        path.read_text()
        .replace("texts.jsonl", "book.txt")
        .replace("held_out: 0.3", "held_out: 0.2, tail: true")
    )
    result = run(path)
    rows = prepared(folder, result, "prepare texts")
    passages = rows.filter(pl.col("_split") == "test").height
    assert f"the beginnings of 1 learned from; {passages} passages" in render(result.record, language="en")
    assert rows["_split"].unique(maintain_order=True).to_list() == ["train", "validation", "test"]
    assert "".join(rows["text"]) == long
    assert abs(len(rows["text"][0]) / len(long) - 0.8) < 0.001


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("source: texts.jsonl", "source: {validation: texts.jsonl}"), "'train' is needed"),
        (
            ("source: texts.jsonl", "source: {train: texts.jsonl, calibration: texts.jsonl}"),
            "is not calibrated",
        ),
        (
            (
                "source: texts.jsonl",
                "source: {train: texts.jsonl, validation: texts.jsonl, test: texts.jsonl}",
            ),
            "names the texts that are held out",
        ),
        (
            (
                "texts.jsonl, batch_size: 16, held_out: 0.3",
                "{train: texts.jsonl, test: texts.jsonl}, tail: true",
            ),
            "so no text is cut",
        ),
        (
            ("held_out: 0.3", "held_out: valid.txt"),
            "pretraining.source: {train: PLACE, validation: PLACE, test: PLACE}",
        ),
        (("calibration: 0.1}", "tail: true}"), "only the texts of a language model can be cut"),
        (("held_out: 0.3", "prepare: [{use: balance}]"), "works by labels, and these texts have none"),
        (("held_out: 0.3", "prepare: [{use: decontaminate, against: {x: nowhere.jsonl}}]"), "no such file"),
        (
            ("held_out: 0.3", "prepare: [{use: decontaminate, against: {x: other.jsonl}}]"),
            "columns: {x: COLUMN}",
        ),
        (("source: texts.jsonl", "source: 'lines:texts.jsonl'"), "no document among its 1 files"),
        (("size: 300", "size: 30"), "accepted: 64 or more"),
        (("wordpiece, size: 300", "bpe, size: 100"), "accepted: 260 or more"),
    ],
)
def test_what_contradicts_itself_is_said_by_check(folder, change, said):
    (folder / "other.jsonl").write_text('{"words": "x"}', encoding="utf-8")
    path = write(folder)
    text = path.read_text()
    assert change[0] in text
    path.write_text(text.replace(*change), encoding="utf-8")
    with pytest.raises(CharterFileError) as told:
        spec.read(path)
    assert said in str(told.value)


@pytest.mark.parametrize("task", ["masked", "causal"])
def test_documents_are_mixed_in_blocks_where_that_is_asked_for(folder, task):
    from charter.data.pieces import Pieces
    from charter.models.base import load_tokenizer
    from charter.tasks import restore

    model = (
        BERT
        if task == "masked"
        else "architecture: {use: gpt2, n_embd: 16, n_layer: 1, n_head: 2}, tokenizer: {use: bpe, size: 300}"
    )
    path = folder / "charter.yaml"
    path.write_text(
        "name: tales\ndata: {source: texts.jsonl, inputs: {text: text}, split: {test: 0.3}}\n"
        f"model: {{{model}, max_length: 32}}\ntask: {{use: {task}_language_modelling, mix_documents: true}}\n"
        "training: {epochs: 1, batch_size: 16}\nlimits: [perplexity <= 1000]\n",
        encoding="utf-8",
    )
    result = run(path)
    learned = next(one for one in result.record.stages if one["name"] == "train")
    files = folder / "runs" / "artefacts" / learned["key"] / "files"
    task_of = restore(json.loads((files / "task.json").read_text(encoding="utf-8")))
    assert task_of.mix_documents
    rows, tokenizer = prepared(folder, result), load_tokenizer(files / "model")
    from charter.data.columns import Columns

    train = rows.filter(pl.col("_split") == "train")
    examples = task_of.encoded([train], Columns(inputs={"text": "text"}), tokenizer, 32, folder / "pieces")
    assert isinstance(examples.ids, Pieces)
    assert set(examples.ids.lengths[:-1]) == {32}
    batch = examples.batch(np.arange(4))
    if task == "masked":
        hidden = (batch.targets != -100).sum(dim=1).tolist()
        assert hidden == examples.counts[:4].tolist() and min(hidden) >= 2
    tokens = next(one.value for one in result.findings if one.metric == "tokens")
    assert tokens == examples.ids.tokens


def test_a_model_pre_trained_on_texts_alone_keeps_away_from_evaluation_sets_that_the_charter_names(tmp_path):
    dice = random.Random(8)
    texts = [" ".join(dice.choices([f"w{at}" for at in range(400)], k=40)) for _ in range(200)]
    (tmp_path / "texts.txt").write_text("\n".join(texts), encoding="utf-8")
    known = [texts[3], texts[50].upper(), " ".join(["before", *texts[90].split()[5:25], "after"])]
    (tmp_path / "exam.jsonl").write_text(
        "\n".join(json.dumps({"question": one}) for one in known), encoding="utf-8"
    )
    against = "against: {exam: exam.jsonl}, columns: {exam: question}"
    prepare = f", prepare: [{{use: decontaminate, {against}}}], split: {{test: 0.1, validation: 0.1}}"
    rows = rows_of(tmp_path, spec.read(language(tmp_path, "'lines:texts.txt'", split=prepare)))
    learned = set(rows.filter(pl.col("_split") != "test")["text"])
    contaminated = {texts[3], texts[50], texts[90]}
    assert not learned & contaminated
    assert len(learned) > 150


STREAMED = [
    {"use": "repair_text"},
    {"use": "mask_pii"},
    {"use": "drop_short", "words": 4},
    {"use": "keep_languages", "languages": ["en"]},
    {"use": "drop_exact_duplicates"},
    {"use": "drop_near_duplicates"},
    {"use": "decontaminate", "against": {"exam": "reviews.jsonl"}},
]


@pytest.mark.parametrize(
    "prepare", [[one] for one in STREAMED] + [STREAMED], ids=lambda one: one[-1]["use"] + str(len(one))
)
def test_preparations_of_texts_never_hold_them_all(folder, monkeypatch, prepare):
    """The rows are told in small pieces, and whoever asks for all of their texts at once is caught."""
    from charter.data import aside, table
    from charter.data.rows import Rows

    monkeypatch.setattr(table, "CHUNK_BYTES", 500)
    monkeypatch.setattr(aside, "MEMORY_BYTES", 500)
    whole = Rows.collect

    def collect(self, columns=None):
        assert columns is not None and "text" not in columns, "all texts are held at once"
        return whole(self, columns)

    monkeypatch.setattr(Rows, "collect", collect)
    data = {"source": "texts.jsonl", "inputs": {"text": "text"}, "prepare": prepare, "split": {"test": 0.2}}
    charter = Charter.model_validate(
        {"name": "x", "data": data, "model": {"base": "none"}, "task": {"use": "masked_language_modelling"}}
    )
    assert rows_of(folder, charter).height > 20


HELD = """
import sys
from pathlib import Path
from charter.data.columns import Columns
from charter.pipeline.preparing import PreparedData
from charter.runs.store import Artifact
rows = PreparedData(Artifact("prepare", "a", "b", Path(sys.argv[1]), {}), Columns(inputs={"text": "text"}), (), "")
def peak():  # getrusage's would be that of the process which started this one, where that is larger
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
for _ in rows.chunks(): pass
before = peak()
print(rows.part("validation").height, (peak() - before) / 1024)
"""


def test_the_rows_of_a_split_do_not_hold_the_text_of_the_others(tmp_path):
    """Filtered by Polars they would: of 25 groups of 10 MB each 250 MB."""
    split = ["validation", *["train"] * 499]
    for group in range(25):
        part = pl.DataFrame({"text": [f"{group} {at}" + "x" * 20_000 for at in range(500)], SPLIT: split})
        if not group:
            writer = pyarrow.parquet.ParquetWriter(
                tmp_path / "rows.parquet", part.to_arrow().schema, compression="zstd"
            )
        writer.write_table(part.to_arrow())
    writer.close()
    source = Path(__file__).parents[2] / "src"
    told = subprocess.run(
        [sys.executable, "-c", HELD, str(tmp_path)],
        env={"PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        check=True,
    )
    rows, grown = told.stdout.split()
    assert int(rows) == 25
    assert float(grown) < 100

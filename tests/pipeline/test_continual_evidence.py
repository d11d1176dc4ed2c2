"""What earlier models have seen of what is judged: given splits, texts of pre-training, chains of bundles, a first run."""

import json
import random
import shutil
from pathlib import Path

import polars as pl
import pytest

from charter.pipeline import run
from charter.release.report import render
from charter.release.report.sentences import translated

from ..conftest import review

CHARTER = """\
name: {name}
data: {{source: {source}, inputs: {{text: text}}, target: label{data}}}
model: {{base: "{base}", max_length: 32{model}}}
{more}
task: {{use: classification}}
training: {{epochs: {epochs}, batch_size: 16, learning_rate: 3.0e-3}}
audits: [{{use: performance, resamples: 100, minimum_n: 10}}]
limits: [{limits}]
"""
SPLIT = ", split: {test: 0.3, validation: 0.1, calibration: 0.05}"
GIVEN = "{{train: {}, test: {}}}"


def write(folder: Path, name: str, base: object = "release/first", **asked: object) -> Path:
    settings = {"source": f"{name}.csv", "data": SPLIT, "model": "", "more": "", "epochs": 1}
    settings |= {"limits": "accuracy >= 0.01"} | asked
    path = folder / f"{name}.yaml"
    path.write_text(CHARTER.format(name=name, base=base, **settings), encoding="utf-8")
    return path


def write_rows(path: Path, seed: int, count: int = 200, extra: list[str] = (), length: int = 9) -> None:
    rng = random.Random(seed)
    lines = ["text,label"]
    for number in range(count):
        label = "good" if number % 2 else "bad"
        lines.append(f"{review(rng, label, length)} {seed},{label}")
    path.write_text("\n".join([*lines, *extra]) + "\n", encoding="utf-8")


def lines_of(folder: Path, split: str) -> list[str]:
    """The rows of a split of the first model's data, as lines of a csv file."""
    wanted = json.loads((folder / "release/first/charter/provenance.json").read_text())["data"][
        "prepared_digest"
    ]
    kept = (
        one
        for one in (folder / "runs/artefacts").glob("*/artefact.json")
        if json.loads(one.read_text())["digest"] == wanted
    )
    rows = pl.read_parquet(next(kept).parent / "files/rows.parquet").filter(pl.col("_split") == split)
    return [f"{text},{label}" for text, label in rows.select("text", "label").iter_rows()]


def found(result, metric: str, **where: str):
    return next(
        (one for one in result.record.findings if one.metric == metric and dict(one.slice) == where), None
    )


@pytest.fixture(scope="module")
def first(tiny_bert, tmp_path_factory):
    """A folder with a released bundle `first`, of 200 rows that Charter split."""
    folder = tmp_path_factory.mktemp("evidence")
    for number, name in enumerate(("first", "second", "third"), start=1):
        write_rows(folder / f"{name}.csv", number)
    run(write(folder, "first", tiny_bert, epochs=5))
    return folder


@pytest.mark.parametrize("more", ["", "continual: {keep: null}"], ids=["transfer", "continual"])
def test_a_given_test_part_keeps_the_rows_that_the_earlier_model_learned_and_says_so(first, more):
    known = lines_of(first, "train")[:20]
    write_rows(first / "given_test.csv", 8, 60, known)
    source = GIVEN.format("second.csv", "given_test.csv")
    result = run(write(first, "given", source=source, data="", more=more))
    assert found(result, "rows", split="test").value == 80
    leaked = found(result, "leakage", kind="learned from by an earlier model", split="test")
    assert (leaked.value, leaked.n) == (20, 80)
    assert found(result, "rows_known").value == 0
    assert found(result, "accuracy").n == 80
    assert translated(leaked.method) is not None
    for language, words in (
        ("en", "20 of the 80 test rows are equal or similar to rows"),
        ("zh", "80 个测试行中有 20 行"),
    ):
        assert words in render(result.record, language=language)


def test_a_given_training_part_keeps_rows_like_earlier_test_rows_which_are_judged_on_no_more(first):
    spoiling = lines_of(first, "test")
    write_rows(first / "given_train.csv", 9, 100, spoiling[:25])
    write_rows(first / "given_end.csv", 10, 60)
    source = GIVEN.format("given_train.csv", "given_end.csv")
    result = run(write(first, "spoiling", source=source, data="", more="continual: {keep: null}"))
    assert found(result, "rows", split="train").value == 125
    assert found(result, "rows_kept_apart").value == 0
    assert found(result, "rows_not_judged", earlier_task="first").value == 25
    lost = found(result, "forgetting", earlier_task="first")
    assert lost.value is not None and lost.n == len(spoiling) - 25
    page = render(result.record)
    assert "Earlier test rows left out" in page
    assert translated(found(result, "rows_not_judged", earlier_task="first").method) is not None
    # a model after it does not judge on them either
    later = run(write(first, "third", "release/spoiling", more="continual: {keep: null}"))
    assert found(later, "rows_not_judged", earlier_task="first").value == 25


def test_a_column_that_names_the_split_is_given_too(first):
    rows = lines_of(first, "train")[:10] + lines_of(first, "test")[:10]
    rng = random.Random(4)
    lines = ["text,label,part"]
    lines += [
        f"{review(rng, 'good')} {at},{'good' if at % 2 else 'bad'},{'train' if at % 3 else 'test'}"
        for at in range(120)
    ]
    lines += [f"{one},test" for one in rows]
    (first / "column.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    result = run(write(first, "column", data=", split: {column: part}"))
    assert found(result, "rows", split="test").value == 60
    assert found(result, "leakage", kind="learned from by an earlier model", split="test").value == 10
    assert found(result, "leakage", kind="learned from by an earlier model", split="validation") is None


@pytest.fixture(scope="module")
def read_before(tiny_bert, tmp_path_factory):
    """A folder whose bundle `first` was pre-trained on texts of which some hold rows of `second`, and on others."""
    folder = tmp_path_factory.mktemp("read-before")
    for number, name in enumerate(("first", "second"), start=1):
        write_rows(folder / f"{name}.csv", number, length=20)
    rng = random.Random(7)
    rows = [line.rpartition(",")[0] for line in (folder / "second.csv").read_text().splitlines()[1:41]]
    texts = [*rows[:20], *(f"{review(rng, 'good')} . {one} . {review(rng, 'bad')}" for one in rows[20:])]
    texts += [f"{review(rng, 'good', 14)} {at}" for at in range(60)]
    lines = [json.dumps({"text": text}) for text in texts]
    (folder / "texts.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    more = "pretraining: {source: texts.jsonl, batch_size: 16, held_out: 0.05, epochs: 1}"
    run(write(folder, "first", tiny_bert, more=more))
    return folder


def test_test_rows_that_an_earlier_model_was_pre_trained_on_are_counted(read_before):
    result = run(write(read_before, "second"))
    seen = found(result, "leakage", kind="pre-trained on by an earlier model", split="test")
    read = [line.rpartition(",")[0] for line in (read_before / "second.csv").read_text().splitlines()[1:41]]
    test = set(rows_of_test(read_before, result)["text"])
    assert 0 < seen.value <= len(test & set(read)) and seen.n == len(test)
    assert seen.value >= len(test & set(read)) - 5  # some of the texts are held out of the pre-training
    assert found(result, "texts_known") is None
    assert translated(seen.method) is not None
    for language, words in (
        ("en", "stand in texts that an earlier model was pre-trained on"),
        ("zh", "预训练所用的文本里"),
    ):
        assert words in render(result.record, language=language)
    alike = run(write(read_before, "alike", source="first.csv"))
    assert (
        found(alike, "leakage", kind="pre-trained on by an earlier model", split="test") is None
    )  # kept apart from them then


def rows_of_test(folder: Path, result) -> pl.DataFrame:
    key = next(one["key"] for one in result.record.stages if one["name"] == "prepare")
    return pl.read_parquet(folder / "runs/artefacts" / key / "files/rows.parquet").filter(
        pl.col("_split") == "test"
    )


def test_texts_of_pre_training_that_are_not_at_hand_leave_it_not_known(read_before, tmp_path):
    notes = []
    result = run(
        write(read_before, "second"), store=tmp_path, on_event=lambda event: notes.append(event.text)
    )
    untold = found(result, "texts_known")
    assert untold.value is None and translated(untold.because) is not None
    assert any("was pre-trained on some of the test rows is not known" in one for one in notes)
    words = "Whether an earlier model was pre-trained on some of these test rows is not known"
    assert words in render(result.record)
    assert "是否用其中一些测试行做过预训练不得而知" in render(result.record, language="zh")


def test_a_first_run_with_nothing_to_go_on_from_says_so(first, tiny_bert):
    for more, warned in (("continual: {}", True), ("continual: {remember: 5}", False)):
        notes = []
        result = run(
            write(first, "plain", tiny_bert, source="first.csv", more=more),
            on_event=lambda event, notes=notes: notes.append(event.text),
        )
        said = [one for one in notes if "no released bundle, so this is a run like any other" in one]
        assert len(said) == 1 and translated(said[0]) is not None
        page = render(result.record)
        assert "nothing: it starts from no released bundle" in page
        assert ("nothing was held on to" in page) is warned
        assert ("没有保留任何先前的内容" in render(result.record, language="zh")) is warned
        assert "no released bundle" in (result.bundle / "README.md").read_text(encoding="utf-8")


def test_of_a_chain_of_three_every_earlier_task_is_judged_from_its_source(first, tmp_path):
    """On another machine: the bundles and the data were copied, the run store was not."""
    run(write(first, "second", more="continual: {keep: null}"))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("first", "second"):
        shutil.copytree(first / "release" / name, elsewhere / "release" / name)
    for name in ("first", "second", "third"):
        shutil.copy(first / f"{name}.csv", elsewhere)
    limits = '"forgetting[earlier_task=first] <= 0.99", "forgetting[earlier_task=second] <= 0.99", "forgetting <= 0.99"'
    asked = {"base": "release/second", "limits": limits}
    result = run(write(elsewhere, "third", more="continual: {keep: null}", **asked))
    assert {one.outcome for one in result.record.verdicts} == {"no evidence"}
    result = run(write(elsewhere, "third", more="continual: {keep: null, judge_on: source}", **asked))
    assert [one.outcome for one in result.record.verdicts] == ["kept"] * 3
    here = run(write(first, "third", more="continual: {keep: null}", **asked))
    for metric in ("forgetting", "backward_transfer", "score_then"):
        for task in ("first", "second"):
            there = found(result, metric, earlier_task=task).value
            assert there == pytest.approx(found(here, metric, earlier_task=task).value, abs=1e-9)
    assert "2 earlier models" in found(result, "forgetting", earlier_task="first").method
    shutil.rmtree(elsewhere / "release/first")
    lost = found(
        run(write(elsewhere, "third", more="continual: {keep: null, judge_on: source}", **asked)),
        "forgetting",
        earlier_task="first",
    )
    assert lost.value is not None or "is not at hand" in lost.because

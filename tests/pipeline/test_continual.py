"""Going on from a released bundle without forgetting: whole runs on a tiny real model."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
import yaml
from pydantic import ValidationError

from charter import spec
from charter.cli import run_command
from charter.data.preparations.pseudonyms import make_key
from charter.errors import EXIT_NOT_VERIFIED, BundleError, CharterFileError, DataError, ModelError
from charter.pipeline import run
from charter.pipeline.comparing import compare
from charter.release.report import render
from charter.release.report.sentences import translated
from charter.release.report.verification_sentences import VERIFICATION
from charter.release.verification import verify
from charter.runs.digest import folder_digest
from charter.spec.model import Charter

from ..conftest import review

CHARTER = """\
name: {name}
data: {{source: {name}.csv, inputs: {{{text}: text}}, target: {target}, split: {{test: 0.3, validation: 0.1, calibration: 0.05}}}}
model: {{base: "{base}", max_length: 32{model}}}
{continual}
task: {{use: classification}}
training: {{epochs: {epochs}, batch_size: 16, learning_rate: 3.0e-3}}
audits: [{{use: performance, resamples: 200}}]
limits: [{limits}]
"""
PLAIN = "continual: {keep: null}"


def write(folder: Path, name: str, base: object = "release/first", **asked: object) -> Path:
    settings = {
        "continual": "",
        "model": "",
        "epochs": 2,
        "limits": "accuracy >= 0.01",
        "text": "text",
        "target": "label",
    }
    path = folder / f"{name}.yaml"
    path.write_text(CHARTER.format(name=name, base=base, **{**settings, **asked}), encoding="utf-8")
    return path


def write_rows(
    path: Path, labels: dict[str, str], seed: int, count: int = 300, header: str = "text,label"
) -> None:
    rng = random.Random(seed)
    texts = [f"{review(rng, list(labels.values())[number % len(labels)])}" for number in range(count)]
    lines = [f"{text},{list(labels)[number % len(labels)]}" for number, text in enumerate(texts)]
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def first(tiny_bert, tmp_path_factory):
    """A folder with a released bundle that carries a memory of 60 rows and Fisher information, and new data."""
    folder = tmp_path_factory.mktemp("continual")
    write_rows(folder / "first.csv", {"bad": "bad", "good": "good"}, 1)
    write_rows(folder / "turned.csv", {"bad": "good", "good": "bad"}, 2)
    write_rows(folder / "more.csv", {"praise": "good", "blame": "bad"}, 3, header="said,kind")
    run(write(folder, "first", tiny_bert, continual="continual: {remember: 60, fisher: 40}", epochs=6))
    return folder


def measured(result, metric: str, **where: str):
    return next(one for one in result.record.findings if one.metric == metric and dict(one.slice) == where)


def test_what_is_forgotten_is_measured_and_limits_may_name_it(first):
    limits = '"forgetting <= 0.9", "forgetting[earlier_task=first] <= 0.9", "backward_transfer >= -0.9", "forward_transfer >= -0.9"'
    result = run(
        write(first, "turned", "sample:minilm", continual=PLAIN, limits=limits, epochs=6),
        continue_from=first / "release/first",
    )
    assert [one.outcome for one in result.record.verdicts] == ["kept"] * 4
    lost, back = measured(result, "forgetting"), measured(result, "backward_transfer")
    assert lost.value == pytest.approx(-back.value) and lost.low <= lost.value <= lost.high
    then, now = (
        measured(result, "score_then", earlier_task="first"),
        measured(result, "score_now", earlier_task="first"),
    )
    assert lost.value == pytest.approx(then.value - now.value)
    assert lost.value > 0.2  # the new data says the contrary of the old
    before = json.loads((first / "release/first/charter/record.json").read_text())["findings"]
    main = next(
        one
        for one in before
        if one["area"] == "performance" and one["metric"] == "macro_f1" and not one.get("slice")
    )
    assert then.value == pytest.approx(main["value"])
    assert verify(result.bundle, None).ok
    said = {
        text
        for one in result.record.findings
        if one.area == "continual"
        for text in (one.method, one.because)
    }
    assert [text for text in said if text and translated(text) is None] == []
    for language, words in (("en", "Earlier tasks"), ("zh", "先前的任务")):
        page = render(result.record, language=language)
        assert words in page and "area-continual" not in page  # told once


@pytest.mark.parametrize(
    "asked",
    ["{keep: {use: lwf, weight: 50}}", "{keep: {use: ewc, strength: 1.0e+7}}", "{keep: null, replay: 60}"],
    ids=["lwf", "ewc", "replay"],
)
def test_each_way_of_keeping_forgets_less_than_learning_plainly(first, asked):
    """The new rows, fewer than the replayed ones, say the contrary of the old."""
    write_rows(first / "few.csv", {"bad": "good", "good": "bad"}, 5, count=100)
    lost = [
        measured(run(write(first, "few", continual=one, epochs=8)), "forgetting").value
        for one in (PLAIN, f"continual: {asked}")
    ]
    assert lost[1] < lost[0] - 0.1


def test_learning_without_forgetting_is_the_default(first):
    result = run(write(first, "turned", epochs=1), continue_from=first / "release/first")
    assert result.record.charter.continual.keep.use == "lwf"
    assert "keep:" in (result.bundle / "charter.yaml").read_text()
    assert result.record.charter.model.base == "release/first"


def test_new_classes_and_other_columns_go_on_with_the_old_head(first):
    asked = "continual: {keep: null, replay: 40, remember: 50, fisher: 10}"
    result = run(
        write(first, "more", continual=asked, text="said", target="kind", limits='"accuracy >= 0.01"')
    )
    config = json.loads((result.bundle / "config.json").read_text())
    assert list(config["id2label"].values()) == ["bad", "good", "blame", "praise"]
    rows = pl.read_parquet(result.bundle / "charter/memory.parquet")
    assert rows.columns == ["said", "kind"] and rows.height == 50
    assert set(rows["kind"]) == {"bad", "good", "blame", "praise"}
    left = result.record.provenance["left"]
    assert left["memory"]["seen"] > 300 and 0 < left["memory"]["earlier_rows"] < 50
    assert measured(result, "rows_replayed").value == 40
    assert measured(result, "forgetting", earlier_task="first").value is not None
    third = run(write(first, "turned", "release/more", continual="continual: {}", epochs=1))
    tasks = {
        one.slice["earlier_task"] for one in third.record.findings if one.metric == "forgetting" and one.slice
    }
    assert tasks == {"first", "more"}
    assert measured(third, "forgetting").value is not None


def test_the_privacy_of_stored_rows_is_told_in_card_and_report(first):
    bundle = first / "release/first"
    card = (bundle / "README.md").read_text(encoding="utf-8")
    assert "carries 60 of its training rows" in card and "not masked" in card
    page = (bundle / "charter/report.html").read_text(encoding="utf-8")
    assert "60" in page and "Whoever has the bundle can read them" in page


def test_without_the_earlier_test_rows_a_limit_on_forgetting_has_no_evidence(first, tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    shutil.copytree(first / "release/first", folder / "release/first")
    shutil.copy(first / "turned.csv", folder)
    result = run(write(folder, "turned", continual="continual: {}", limits='"forgetting <= 0.9"', epochs=1))
    assert [one.outcome for one in result.record.verdicts] == ["no evidence"]
    assert not result.released
    shutil.copy(first / "first.csv", folder)
    asked = "continual: {judge_on: source}"
    result = run(write(folder, "turned", continual=asked, limits='"forgetting <= 0.9"', epochs=1))
    assert [one.outcome for one in result.record.verdicts] == ["kept"]


def test_no_earlier_test_row_is_learned_from_and_no_known_row_is_judged_on(first):
    artefact = json.loads((first / "release/first/charter/record.json").read_text())["provenance"]["data"][
        "prepared_digest"
    ]
    rows = next(
        pl.read_parquet(one.parent / "files/rows.parquet")
        for one in (first / "runs/artefacts").glob("*/artefact.json")
        if json.loads(one.read_text())["digest"] == artefact
    )
    lines = [f"{text},{label}" for text, label in rows.select("text", "label").iter_rows()]
    (first / "grown.csv").write_text(
        (first / "turned.csv").read_text() + "\n".join(lines) + "\n", encoding="utf-8"
    )
    result = run(write(first, "grown", continual="continual: {keep: null, replay: 60}", epochs=1))
    kept = next(one for one in result.record.stages if one["name"] == "go on")
    joined = pl.read_parquet(first / "runs/artefacts" / kept["key"] / "files/rows.parquet")
    tests, train = (set(rows.filter(pl.col("_split") == split)["text"]) for split in ("test", "train"))
    assert not tests & set(joined.filter(pl.col("_split") != "test")["text"])
    assert not train & set(joined.filter(pl.col("_split") != "train")["text"])
    assert measured(result, "rows_kept_apart").value > 0 and measured(result, "rows_known").value > 0
    sizes = joined.filter(pl.col("_row") > -2)["_split"].value_counts()
    assert {one: measured(result, "rows", split=one).value for one in sizes["_split"]} == dict(
        sizes.iter_rows()
    )
    own = compare([result.bundle, first / "release/first"], store=first / "runs")
    assert own.pairs[0].because == "they were judged on different test rows"


def test_a_task_whose_test_rows_were_learned_from_since_is_no_evidence(first):
    """Plain transfer in between keeps nothing apart: it learns from the first task's test rows too."""
    shutil.copyfile(first / "first.csv", first / "same_again.csv")
    between = write(first, "between", "release/first", epochs=1)
    between.write_text(between.read_text().replace("between.csv", "same_again.csv, id: between"))
    between.write_text(between.read_text().replace("test: 0.3", "test: 0.3, seed: 99"))
    run(between)
    last = write(first, "last", continual=PLAIN, epochs=1)
    last.write_text(last.read_text().replace("last.csv", "turned.csv"))
    result = run(last, continue_from=first / "release/between")
    lost = measured(result, "forgetting", earlier_task="first")
    assert lost.value is None and lost.because == "'between' has learned from rows like its test rows"
    assert measured(result, "forgetting").value is None
    assert translated(lost.because) is not None


def test_what_is_replayed_and_remembered_is_masked_where_the_charter_masks(first, tiny_bert):
    """The earlier rows were not masked; they are no more public for it. The key lies beside the charter, not where the command runs."""
    folder = first / "personal"
    folder.mkdir()
    lines = (first / "first.csv").read_text(encoding="utf-8").splitlines()
    lines = [lines[0], *(f"anna{at}@example.com {line}" for at, line in enumerate(lines[1:]))]
    (folder / "first.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    shutil.copy(first / "turned.csv", folder)
    run(write(folder, "first", tiny_bert, continual="continual: {remember: 60}", epochs=1))
    assert "example.com" in str(
        pl.read_parquet(folder / "release/first/charter/memory.parquet")["text"].to_list()
    )
    later = write(folder, "masks", continual="continual: {keep: null, replay: 40, remember: 60}", epochs=1)
    later.write_text(
        later.read_text().replace(
            "source: masks.csv",
            "source: turned.csv, public: true, prepare: [{use: mask_pii, replace: pseudonym, key: own.key}]",
        )
    )
    make_key(folder / "own.key")
    result = run(later)
    left = result.record.provenance["left"]["memory"]
    assert left["earlier_rows"] > 0 and measured(result, "rows_replayed").value == 40
    assert left["masked"] and not left["public"]
    kept = next(one for one in result.record.stages if one["name"] == "go on")
    learned = pl.read_parquet(folder / "runs/artefacts" / kept["key"] / "files/rows.parquet")
    left_behind = pl.read_parquet(result.bundle / "charter/memory.parquet")
    for rows in (learned, left_behind):
        assert "example.com" not in str(rows["text"].to_list())
        assert "[EMAIL-" in str(rows["text"].to_list())


def test_answers_that_come_to_hand_later_are_evidence_after_all(first, tmp_path, tiny_bert):
    """Three tasks: without the first one's own answers there is no evidence of it, and with them again there is."""
    two = write(first, "second_of_three", continual="continual: {keep: null}", epochs=1)
    two.write_text(two.read_text().replace("second_of_three.csv", "turned.csv"))
    run(two)
    three = write(first, "third", "release/second_of_three", continual="continual: {keep: null}", epochs=1)
    three.write_text(three.read_text().replace("third.csv", "turned.csv"))
    told = json.loads((first / "release/first/charter/provenance.json").read_text())
    answers = told["exports"]["safetensors"]["answers"]
    place = next(
        one.parent
        for one in (first / "runs/artefacts").glob("*/artefact.json")
        if json.loads(one.read_text())["digest"] == answers
    )
    bundle = first / "release/first"
    shutil.move(place, tmp_path / "answers")
    assert (
        measured(run(three), "forgetting", earlier_task="first").value is not None
    )  # its bundle is asked again
    shutil.move(bundle, tmp_path / "bundle")
    assert measured(run(three), "forgetting", earlier_task="first").value is None
    shutil.move(tmp_path / "answers", place)
    try:
        assert measured(run(three), "forgetting", earlier_task="first").value is not None
    finally:
        shutil.move(tmp_path / "bundle", bundle)


def test_what_can_not_be_kept_is_said(first, tiny_bert, tmp_path):
    lean = tmp_path / "lean"
    lean.mkdir()
    for name in ("first", "turned"):
        shutil.copy(first / f"{name}.csv", lean)
    bundle = run(write(lean, "first", tiny_bert, epochs=1)).bundle
    shutil.rmtree(lean / "runs")
    with pytest.raises(ModelError, match="does not carry its Fisher information"):
        run(write(lean, "turned", continual="continual: {keep: {use: ewc}}", epochs=1), continue_from=bundle)
    with pytest.raises(DataError, match="no earlier training row is at hand"):
        run(write(lean, "turned", continual="continual: {replay: 5}", epochs=1), continue_from=bundle)
    with pytest.raises(ModelError, match="no released bundle"):
        run(write(lean, "turned", tiny_bert, continual="continual: {replay: 5}", epochs=1))
    with pytest.raises(CharterFileError, match="add a section continual"):
        spec.read(write(lean, "turned", limits='"forgetting <= 0.1"'))
    with pytest.raises(CharterFileError, match="task-incremental"):
        spec.read(write(lean, "turned", model=", head: replace", continual="continual: {}"))


@pytest.mark.parametrize("keep", ["lwf", pytest.param("ewc", marks=pytest.mark.slow)])
def test_a_killed_run_goes_on_to_the_same_weights(first, keep):
    asked = f"continual: {{keep: {{use: {keep}}}, replay: 40}}"
    path = write(first, "turned", continual=asked, epochs=12)
    code = (
        "import sys, charter.training.fitting as fitting; from functools import partial; import charter.pipeline.learning as learning;"
        "learning.fit = partial(fitting.fit, checkpoint_seconds=0.0);"
        "from pathlib import Path; from charter.pipeline import run; run(Path(sys.argv[1]), store=Path(sys.argv[2]))"
    )
    stores = [first / f"{keep}-{name}" for name in ("killed", "whole")]
    for store in stores:  # with what the first run left
        shutil.copytree(first / "runs", store)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    started = subprocess.Popen([sys.executable, "-c", code, str(path), str(stores[0])], env=environment)
    deadline = time.monotonic() + 240
    while not any((stores[0] / "work").glob("*/checkpoint.pt")) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.1)
    os.kill(started.pid, signal.SIGKILL)
    assert started.wait() == -signal.SIGKILL
    notes = []
    digests = []
    for store in stores:
        result = run(path, store=store, on_event=lambda event: notes.append(event.text))
        trained = next(one for one in result.record.stages if one["name"] == "train")
        digests.append(folder_digest(store / "artefacts" / trained["key"] / "files/model"))
    assert any("goes on from update" in note for note in notes)
    assert digests[0] == digests[1]


def test_a_model_may_go_on_under_its_own_name_again_and_again(first, tmp_path, tiny_bert):
    folder = tmp_path / "same"
    folder.mkdir()
    shutil.copy(first / "first.csv", folder)
    run(write(folder, "first", tiny_bert, epochs=1))
    digests = []
    for seed in (21, 22):
        write_rows(folder / "first.csv", {"bad": "bad", "good": "good"}, seed)
        notes: list[str] = []
        result = run(
            write(folder, "first", epochs=1),
            continue_from=folder / "release/first",
            on_event=lambda event, notes=notes: notes.append(event.text),
        )
        assert any("is replaced" in note for note in notes)
        digests.append(json.loads((result.bundle / "charter/manifest.json").read_text())["digest"])
    listed = [one["digest"] for one in result.record.provenance["ancestors"]]
    assert listed[0] == digests[0] and len(listed) == 2
    names = {
        one.slice["earlier_task"]
        for one in result.record.findings
        if one.metric == "forgetting" and one.slice
    }
    assert names == {"first", f"first {listed[1][:8]}"}
    assert measured(result, "forgetting").value is not None
    assert verify(result.bundle, None).ok


def test_under_privacy_nothing_is_stored_of_training_rows(first):
    text = (
        write(first, "turned", continual="continual: {remember: 5}").read_text()
        + "privacy: {epsilon: 8, delta: 1.0e-5}\n"
    )
    with pytest.raises(ValidationError, match="beside what a privacy budget covers"):
        Charter.model_validate(yaml.safe_load(text.replace("1.0e-5", "0.00001").replace("3.0e-3", "0.003")))


def test_the_command_line_goes_on_from_a_bundle_and_verify_tells_the_lineage(first, capsys, monkeypatch):
    monkeypatch.chdir(first)
    write(first, "turned", "sample:minilm", epochs=1)
    assert run_command(["run", "turned.yaml", "--continue", "release/nowhere"]) == EXIT_NOT_VERIFIED
    assert "no such folder" in capsys.readouterr().err
    assert run_command(["run", "turned.yaml", "--continue", "release/first"]) == 0
    assert run_command(["verify", "release/turned"]) == 0
    assert "descends from 'first'" in " ".join(capsys.readouterr().out.split())
    assert run_command(["verify", "release/turned", "--lang", "zh"]) == 0
    told = "".join(capsys.readouterr().out.split())
    assert "由“first”（" in told and "来源未经证实" in told
    lines = [line.text for line in verify(first / "release/turned", None).lines]
    assert [one for one in lines if translated(one, VERIFICATION) is None] == []
    path = first / "turned.yaml"
    path.write_text(path.read_text() + "report: {language: zh}\n")
    assert run_command(["run", "turned.yaml", "--continue", "release/first"]) == 0
    capsys.readouterr()
    assert run_command(["verify", "release/turned"]) == 0
    assert "descends" not in capsys.readouterr().out


@pytest.mark.parametrize(("made", "wrong"), [(True, "no released bundle"), (False, "no such folder")])
def test_a_folder_that_is_no_bundle_is_told_from_one_that_is_not_there(tmp_path, made, wrong):
    write_rows(tmp_path / "new.csv", {"bad": "bad", "good": "good"}, 1)
    if made:
        (tmp_path / "other").mkdir()
    with pytest.raises(BundleError, match=f"{wrong}.*name the folder of a release"):
        run(write(tmp_path, "new", "sample:minilm"), continue_from=tmp_path / "other")

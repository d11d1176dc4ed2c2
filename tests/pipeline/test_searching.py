"""A search: trials on validation only, killed and gone on with, reused; the best is trained and scored on test once."""

import os
import signal
import subprocess
import sys

import polars as pl
import pytest

from charter.errors import MissingExtraError, TrainingError
from charter.pipeline import run, searching
from charter.pipeline.preparing import PreparedData
from charter.release.report import render
from charter.release.report.sentences import translated
from charter.release.report.trials import settings_of
from charter.runs.run import list_runs
from charter.runs.store import Store
from charter.training import search

CHARTER = """\
name: reviews
data:
  source: reviews.csv
  inputs: {{text: text}}
  target: label
  split: {{test: 0.3, validation: 0.2, calibration: 0.1}}
model: {{base: "{base}", max_length: 32}}
task: {{use: classification}}
training:
  epochs: 4
  batch_size: 16
  learning_rate: 5.0e-3
  search: {{{search}}}
audits: [{{use: performance, resamples: 100}}]
limits: [accuracy >= 0.1]
"""
SPACE = "learning_rate: [1.0e-4, 5.0e-2], batch_size: {choices: [8, 16, 32]}, trials: 8"
KILLED = """
import os, signal, sys
from pathlib import Path
from charter.pipeline import run
from charter.training import fitting
fitting.fit.__kwdefaults__["checkpoint_seconds"] = 0.0
def kill(progress):
    if progress.stage == "trial 7" and progress.done == 12:
        os.kill(os.getpid(), signal.SIGKILL)
run(Path(sys.argv[1]), on_progress=kill)
"""


def write_charter(folder, base, search=SPACE):
    path = folder / "charter.yaml"
    path.write_text(CHARTER.format(base=base, search=search), encoding="utf-8")
    return path


def table_of(result):
    return next(one.attachment for one in result.record.findings if one.metric == "trials")


def outcomes(result):
    return [{key: one[key] for key in one if key != "seconds"} for one in table_of(result)["trials"]]


def exported(result):
    return [stage["digest"] for stage in result.record.stages if stage["name"].startswith("export")]


def test_a_search_killed_in_a_trial_goes_on_with_it_and_chooses_as_an_undisturbed_one(tiny_bert, reviews_csv):
    charter = write_charter(reviews_csv.parent, tiny_bert)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(charter)], env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert killed.returncode == -signal.SIGKILL
    events = []
    resumed = run(charter, on_event=events.append)
    made = [one.stage for one in events if one.kind == "made"]
    assert [one for one in made if one.startswith("trial")] == ["trial 7", "trial 8"]
    assert [one.text for one in events if one.stage == "trial 7" and one.kind == "note"] != []
    whole = run(charter, store=reviews_csv.parent / "whole")
    assert outcomes(resumed) == outcomes(whole)
    assert table_of(resumed)["best"] == table_of(whole)["best"]
    assert exported(resumed) == exported(whole)


def test_the_best_trials_weights_are_those_of_a_plain_training_with_its_settings(tiny_bert, reviews_csv):
    charter = write_charter(reviews_csv.parent, tiny_bert, SPACE.replace("trials: 8", "trials: 3"))
    found = run(charter)
    assert not list((reviews_csv.parent / "runs" / "work").iterdir())
    best = settings_of(found.record)
    text = charter.read_text().split("  epochs")[0]
    text += f"  epochs: 4\n  batch_size: {best.batch_size}\n  learning_rate: {best.learning_rate}\n"
    charter.write_text(text + "audits: [{use: performance, resamples: 100}]\nlimits: [accuracy >= 0.1]\n")
    plain = run(charter, store=reviews_csv.parent / "plain")
    assert exported(found) == exported(plain)
    assert found.record.history == plain.record.history


def test_more_trials_begin_with_those_that_are_there(tiny_bert, reviews_csv):
    folder = reviews_csv.parent
    first = run(write_charter(folder, tiny_bert, SPACE.replace("trials: 8", "trials: 2")))
    events = []
    second = run(
        write_charter(folder, tiny_bert, SPACE.replace("trials: 8", "trials: 3")), on_event=events.append
    )
    assert {one.stage for one in events if one.kind == "reused"} >= {"trial 1", "trial 2"}
    assert outcomes(second)[:2] == outcomes(first)


def test_trials_never_see_a_test_or_calibration_row(tiny_bert, reviews_csv, monkeypatch):
    seen = []
    original, part = searching.learn_from, PreparedData.part

    def watched_part(data, split):
        seen.append(split)
        return part(data, split)

    def watched(charter, base, data, work, taught):
        with monkeypatch.context() as patch:
            patch.setattr(PreparedData, "part", watched_part)
            lessons = original(charter, base, data, work, taught)
        rows = {split: part(data, split).height for split in ("train", "validation")}
        assert (len(lessons.train), lessons.validation.rows.height) == tuple(rows.values())
        return lessons

    monkeypatch.setattr(searching, "learn_from", watched)
    run(write_charter(reviews_csv.parent, tiny_bert, "learning_rate: [1.0e-4, 1.0e-2], trials: 1"))
    assert set(seen) == {"train", "validation"}


def test_the_report_says_how_many_were_tried_and_that_the_best_score_is_too_high(tiny_bert, reviews_csv):
    result = run(write_charter(reviews_csv.parent, tiny_bert, "learning_rate: [1.0e-4, 1.0e-2], trials: 3"))
    english, chinese = (render(result.record, language=one) for one in ("en", "zh"))
    assert "3 settings were tried" in english
    assert "so it is too high" in english
    assert "共试过 3 组设置" in chinese
    assert "因此偏高" in chinese
    best = next(one for one in table_of(result)["trials"] if one["number"] == table_of(result)["best"])
    assert f"learning rate {best['values']['learning_rate']:g}" in english
    said = {text for one in result.record.findings for text in (one.method, one.unit) if text}
    assert [text for text in said if translated(text) is None] == []


def test_a_trial_that_diverges_is_put_on_record_and_the_search_goes_on(tiny_bert, reviews_csv, monkeypatch):
    original = searching.fit_model

    def fails(charter, settings, *args, **options):
        if settings.batch_size == 32:
            raise TrainingError("the loss is no number any more at update 3 of 9")
        return original(charter, settings, *args, **options)

    monkeypatch.setattr(searching, "fit_model", fails)
    result = run(write_charter(reviews_csv.parent, tiny_bert, "batch_size: {choices: [16, 32]}, trials: 5"))
    assert [one["state"] for one in table_of(result)["trials"]] == ["complete", "failed"]
    failing = write_charter(reviews_csv.parent, tiny_bert, "batch_size: {choices: [32]}, trials: 5")
    with pytest.raises(TrainingError, match="none of the 1 trials"):
        run(failing)


def test_two_searches_at_once_share_their_trials(tiny_bert, reviews_csv):
    charter = write_charter(reviews_csv.parent, tiny_bert, SPACE.replace("trials: 8", "trials: 4"))
    code = "import sys; from pathlib import Path; from charter.pipeline import run; run(Path(sys.argv[1]))"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    both = [subprocess.Popen([sys.executable, "-c", code, str(charter)], env=environment) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    runs = list_runs(Store(reviews_csv.parent / "runs"))
    reused = [stage["reused"] for past in runs for stage in past.record["stages"] if "trial" in stage["name"]]
    assert sorted(reused) == [False] * 4 + [True] * 4


def test_a_search_without_optuna_ends_before_any_work_with_the_command_that_installs_it(
    tiny_bert, reviews_csv, monkeypatch
):
    monkeypatch.setattr(search, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r'pip install "charter\[search\]"'):
        run(write_charter(reviews_csv.parent, tiny_bert))
    assert not (reviews_csv.parent / "runs").exists()


def test_every_trial_is_told_as_it_goes(tiny_bert, reviews_csv):
    told = []
    run(
        write_charter(reviews_csv.parent, tiny_bert, "learning_rate: [1.0e-4, 1.0e-2], trials: 2"),
        on_progress=told.append,
    )
    assert {one.text.split(",")[0] for one in told if one.stage.startswith("trial")} == {
        "trial 1 of 2",
        "trial 2 of 2",
    }
    assert pl.DataFrame({"done": [one.done for one in told if one.stage == "trial 2"]})["done"].is_sorted()

"""Search: try settings on the validation rows, each trial an artefact of its own, and choose the best.

A trial's key holds its settings, what it learns from and, where trials are pruned, how those before it went. So a search
that was killed goes on with the trial it was at (from that one's checkpoint), makes no finished trial again, and chooses as it
would have without; a search with more trials begins with those that are there.
"""

import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from charter.errors import DataError, TrainingError
from charter.models.base import Base
from charter.models.world import ALONE, World
from charter.pipeline.learning import Heard, Lessons, fit_model, learn_from, model_libraries, train_stage
from charter.pipeline.preparing import PreparedData
from charter.pipeline.progress import OnProgress, Progress
from charter.pipeline.teaching import Taught
from charter.runs.digest import frame_digest, value_digest
from charter.runs.files import read_json, sync_folder, write_json
from charter.runs.findings import Finding
from charter.runs.locks import locked
from charter.runs.run import Run
from charter.runs.store import Stage, Store
from charter.spec.model import Charter
from charter.spec.search import Range, Search
from charter.spec.training import Training
from charter.training.checkpoint import FILE as CHECKPOINT
from charter.training.fitting import FitProgress, Fitted
from charter.training.search import (
    State,
    Trial,
    best_trial,
    check_installed,
    read_trial,
    should_prune,
    suggest,
)

VERSION = 1


@dataclass(frozen=True)
class Searched:
    """The settings to train with, and what the search was. trials: none where the charter asks for no search."""

    settings: Training
    trials: tuple[Trial, ...] = ()
    findings: tuple[Finding, ...] = ()


def check_search(charter: Charter) -> None:
    """Find before any work whether the charter's search can be made here.

    Raises:
        MissingExtraError: Optuna is not installed.
    """
    if charter.training.search is not None and charter.privacy is None:
        check_installed()


def search_settings(
    run: Run,
    charter: Charter,
    base: Base,
    data: PreparedData,
    on_progress: OnProgress,
    on_trial: Callable[[Trial], None],
    world: World = ALONE,
    taught: Taught | None = None,
) -> Searched:
    """The best settings of the charter's search; its own where it asks for none, or for a private one, which is part of the training.

    Raises:
        DataError: there are no validation rows.
        TrainingError: no trial ended with a model.
    """
    asked = charter.training.search
    if asked is None or charter.privacy is not None:
        return Searched(charter.training)
    if data.part("validation").is_empty():
        raise DataError(
            "it needs validation rows, and data.split leaves none; give them, or take it out"
        ).about("training", "search")
    searching = _Searching(run, charter, asked, base, data, on_progress, world, taught)
    trials: list[Trial] = []
    while len(trials) < asked.trials:
        values = suggest(
            asked.space, trials, charter.training.model_dump(mode="json"), seed=charter.training.seed
        )
        if values is None:
            run.note("train", f"every setting of training.search was tried, after {len(trials)} trials")
            break
        trials.append(searching.trial(values, trials))
        on_trial(trials[-1])
    best = best_trial(trials)
    if best is None:
        raise TrainingError(
            f"none of the {len(trials)} trials of training.search ended with a model; the last one: {trials[-1].because}"
        )
    return Searched(_with(charter.training, best.values), tuple(trials), _findings(asked, trials, best, data))


def _with(training: Training, values: Mapping[str, Any]) -> Training:
    return Training.model_validate(
        {**training.model_dump(mode="json", exclude={"search"}), **values}, strict=False
    )


class _Pruned(Exception):  # noqa: N818  it tells that a trial ends, not that something is wrong
    """Ends the fit of a trial that does worse than those before it."""


class _Searching:
    """One search in progress: what all of its trials share."""

    def __init__(
        self,
        run: Run,
        charter: Charter,
        asked: Search,
        base: Base,
        data: PreparedData,
        on_progress: OnProgress,
        world: World,
        taught: Taught | None,
    ) -> None:
        self.run, self.charter, self.asked, self.base, self.data = run, charter, asked, base, data
        self.on_progress, self.world, self.taught = on_progress, world, taught

    @cached_property
    def lessons(self) -> Lessons:
        """The rows, encoded when the first trial needs them."""
        like = self.like(self.charter.training)
        work = self.run.store.work_folder(like.key)
        return learn_from(self.charter, self.base, self.data, work, self.taught)

    def like(self, settings: Training) -> Stage:
        """The training that would have these settings."""
        return train_stage(self.charter, settings, self.base, self.data, self.world, self.taught)

    def trial(self, values: Mapping[str, Any], before: Sequence[Trial]) -> Trial:
        """The trial of these settings after those before it: made, gone on with, or found."""
        number, settings = len(before) + 1, _with(self.charter.training, values)

        def make(files: Path, work: Path) -> None:
            made = self._made(number, values, settings, before, files, work)
            write_json(files / "trial.json", made.as_json())

        artifact = self.run.step(self._stage(number, settings, before), make)
        return read_trial(read_json(artifact.path / "trial.json"))

    def _stage(self, number: int, settings: Training, before: Sequence[Trial]) -> Stage:
        like = self.like(settings)
        inputs, libraries = dict(like.inputs), model_libraries(self.charter)
        if self.asked.prune is not None:
            inputs["before"] = value_digest([one.outcome for one in before])
            libraries = (*libraries, "optuna")
        return Stage(
            f"trial {number}",
            VERSION,
            options={**like.options, "prune": self.asked.prune},
            inputs=inputs,
            libraries=libraries,
            seed=like.seed,
        )

    def _made(
        self,
        number: int,
        values: Mapping[str, Any],
        settings: Training,
        before: Sequence[Trial],
        files: Path,
        work: Path,
    ) -> Trial:
        watch = _Watch(self, number, values, settings, before)
        state: State = "complete"
        because, score, fitted = "", None, None
        try:
            fitted = self._fitted(settings, watch, work)
            score = watch.score
        except _Pruned:
            state, score = "pruned", watch.scores[-1]
        except TrainingError as error:
            state, because = "failed", str(error)
        write_json(files / "history.json", watch.history)
        if fitted is not None and watch.is_best():
            self._hand_over(settings, best_trial(before), work)
        return Trial(
            number, dict(values), state, tuple(watch.scores), score, watch.step, watch.seconds, because
        )

    def _fitted(self, settings: Training, watch: "_Watch", work: Path) -> Fitted:
        stage = f"trial {watch.number}"
        heard = Heard(watch.on_step, lambda text: self.run.note(stage, text), watch.on_record)
        logs = self.run.folder / "tensorboard" / f"trial-{watch.number:02d}"
        return fit_model(
            self.charter,
            settings,
            self.base,
            self.lessons,
            heard,
            self.world,
            work=work,
            logs=logs,
            save_at_end=watch.is_best,
        )

    def _hand_over(self, settings: Training, before: Trial | None, work: Path) -> None:
        """Give the best trial's last checkpoint to the training that would have its settings, which then ends at once."""
        store = self.run.store

        def place(of: Training) -> str:
            return self.like(of).key

        if before is not None:
            _forget(store, place(_with(self.charter.training, before.values)))
        key = place(settings)
        with locked(store.lock_file(key), wait=False) as mine:
            if mine and store.find(key) is None:
                home = store.work_folder(key)
                home.mkdir(parents=True, exist_ok=True)
                aside = home / f"{CHECKPOINT}.{os.getpid()}.tmp"
                _link(work / CHECKPOINT, aside)
                aside.replace(home / CHECKPOINT)
                sync_folder(home)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copyfile(source, target)


def _forget(store: Store, key: str) -> None:
    """Take away what a trial left for a training that won't come, unless somebody is at it."""
    with locked(store.lock_file(key), wait=False) as mine:
        if mine:
            shutil.rmtree(store.work_folder(key), ignore_errors=True)


class _Watch:
    """What is seen of a trial while it is fitted."""

    def __init__(
        self,
        searching: _Searching,
        number: int,
        values: Mapping[str, Any],
        settings: Training,
        before: Sequence[Trial],
    ) -> None:
        self.searching, self.number, self.values = searching, number, values
        self.settings, self.before = settings, before
        self.history: list[Mapping[str, Any]] = []
        self.scores: list[float] = []
        self.step = 0
        self.began = time.monotonic()

    def on_step(self, step: FitProgress) -> None:
        """An update was made."""
        if self.step == 0:
            self.began = time.monotonic() - step.seconds
        self.step = step.step
        of, trials = f"trial {self.number}", self.searching.asked.trials
        text = f"trial {self.number} of {trials}, loss {step.loss:.3f}"
        self.searching.on_progress(Progress(of, step.step, step.steps, text))

    def on_record(self, entry: Mapping[str, Any]) -> None:
        """Something was put on record; a bad enough evaluation ends the trial."""
        self.history.append(entry)
        self.step = max(self.step, int(entry["step"]))
        if entry["kind"] != "evaluation":
            return
        self.scores.append(float(entry["validation_score"]))
        asked = self.searching.asked
        if asked.prune is None or entry["epoch"] >= self.settings.epochs:
            return
        if should_prune(asked.space, self.before, self.values, self.scores, asked.prune):
            raise _Pruned

    @property
    def seconds(self) -> float:
        """How long it took, over all sessions."""
        return round(time.monotonic() - self.began, 3)

    @property
    def score(self) -> float:
        """The validation score of the weights that would be released."""
        return max(self.scores) if self.settings.keep == "best" else self.scores[-1]

    def is_best(self) -> bool:
        """Whether no trial before it is as good."""
        best = best_trial(self.before)
        return best is None or best.score is None or self.score > best.score


def _findings(asked: Search, trials: Sequence[Trial], best: Trial, data: PreparedData) -> tuple[Finding, ...]:
    validation = data.part("validation")
    on, rows = frame_digest(validation), validation.height
    space = {
        key: {"low": one.low, "high": one.high, "logarithmic": one.logarithmic}
        if isinstance(one, Range)
        else {"choices": list(one)}
        for key, one in asked.space.items()
    }
    table = {
        "kind": "table",
        "asked": asked.trials,
        "prune": asked.prune,
        "space": space,
        "best": best.number,
        "trials": [one.as_json() for one in trials],
    }

    def finding(metric: str, value: float, unit: str, method: str, **more: Any) -> Finding:
        return Finding(
            "training",
            metric,
            float(value),
            n=rows,
            unit=unit,
            method=method,
            on=on,
            split="validation",
            **more,
        )

    chosen = f"the best of {len(trials)} trials on the rows that chose it, so it is too high; the test split says how good the model is"
    return (
        finding("trials", len(trials), "trials", "count", attachment=table),
        finding(
            "best_trial", best.number, "trial", "the highest score on validation, the earliest of equals"
        ),
        finding("best_validation_score", best.score or 0.0, "", chosen),
        finding("search_seconds", sum(one.seconds for one in trials), "seconds", "wall clock"),
    )

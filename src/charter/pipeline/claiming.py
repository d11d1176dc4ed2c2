"""Claim: what audits of the privacy claim ask for, made here: siblings of the released model, and more of its own answers.

A sibling is trained as the released model was, by the same settings and the same plan, private where that is, on other rows. It
is never released, and nothing of it is kept but what it answered. Each is an artefact: an audit that was interrupted goes
on with the sibling it was at, from that one's checkpoint.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from charter.audits.siblings import Continuation, Sibling, Siblings
from charter.data.columns import ROW, SPLIT
from charter.errors import DataError
from charter.models.base import load_tokenizer
from charter.models.inference import predict_outputs
from charter.models.world import ALONE, World
from charter.pipeline.exporting import Exported
from charter.pipeline.learning import Heard, Trained, fit_model, learn_from, model_libraries, train_stage
from charter.pipeline.planning import destroy_key
from charter.pipeline.preparing import PreparedData
from charter.pipeline.progress import OnProgress, Progress
from charter.runs.digest import frame_digest
from charter.runs.files import write_table
from charter.runs.run import Run
from charter.runs.store import Stage
from charter.spec.model import Charter
from charter.spec.training import Training
from charter.tasks.language_model import LanguageModel
from charter.tasks.outputs import from_frame, to_frame
from charter.tasks.task import Outputs
from charter.tasks.top_tokens import TopTokens
from charter.training.fitting import FitProgress

VERSION = 1
BY_TIME = "the split is by time, so that test rows may differ from training rows by more than membership"
AS_GIVEN = "the split is given, so that test rows may differ from training rows by more than membership"
SHOWN = {"shadow": "shadow model", "canary": "sibling with canaries"}


@dataclass(frozen=True)
class Making:
    """What all siblings of a run are made from."""

    run: Run
    charter: Charter
    data: PreparedData
    trained: Trained
    settings: Training
    on_progress: OnProgress
    world: World = ALONE


def siblings_of(making: Making, exported: Exported) -> Siblings:
    """What the audits of one released form may ask for."""
    claim = making.charter.privacy
    split = making.charter.data.split
    given = AS_GIVEN if {"train", "test"} <= set(making.data.given) else ""
    return Siblings(
        answer=lambda rows: _answered(making, exported, rows),
        train=lambda sibling: _trained(making, sibling),
        continuation=lambda rows: _continuation(making, exported, rows),
        epsilon=None if claim is None else claim.epsilon,
        delta=None if claim is None else claim.delta,
        replaced=claim is not None and claim.neighbouring == "replace_one",
        ordered=BY_TIME if split.time is not None else given,
    )


def _trained(making: Making, sibling: Sibling) -> Outputs:
    """What a model says that is trained on a sibling's rows.

    Raises:
        DataError: a class has no row left.
    """
    run, charter, data = making.run, making.charter, making.data
    settings = making.settings.model_copy(update={"seed": sibling.seed})
    like = train_stage(charter, settings, making.trained.base, data, making.world)
    stage = Stage(
        f"{sibling.kind} {sibling.number}",
        VERSION,
        options={**like.options, "training_version": like.version},
        inputs={
            "base": making.trained.base.digest,
            "learned": frame_digest(sibling.rows),
            "asked": frame_digest(sibling.asked),
            "validation": frame_digest(data.part("validation")),
        },
        libraries=like.libraries,
        seed=sibling.seed,
    )

    def make(files: Path, work: Path) -> None:
        other = _with_rows(data, sibling.rows, work / "rows")
        lessons = learn_from(charter, making.trained.base, other, work)
        if lessons.task.labels != making.trained.task.labels:
            raise DataError(
                f"the {SHOWN[sibling.kind]} {sibling.number} has no row of some class to learn from, so its answers can't be compared; "
                "lower the audit's number of rows or canaries"
            )
        heard = Heard(_teller(making, sibling, stage.name), _unheard, _unheard)
        fitted = fit_model(
            charter,
            settings,
            making.trained.base,
            lessons,
            heard,
            making.world,
            work=work,
            logs=work / "logs",
        )
        task = lessons.task.finished(fitted.model)
        length = charter.model.max_length
        examples = task.examples(sibling.asked, data.columns, lessons.tokenizer, length, with_targets=False)
        outputs = predict_outputs(fitted.model, task, examples)
        write_table(files / "answers.parquet", to_frame(sibling.asked[ROW].to_numpy(), outputs))
        destroy_key(work)

    return from_frame(pl.read_parquet(run.step(stage, make).path / "answers.parquet"))


def _unheard(told: object) -> None:
    """Nobody is told a sibling's losses and notes: they would be those of the model itself again."""
    del told


def _teller(making: Making, sibling: Sibling, stage: str) -> Callable[[FitProgress], None]:
    which = f"{SHOWN[sibling.kind]} {sibling.number} of {sibling.of}"

    def tell(step: FitProgress) -> None:
        loss = "" if math.isnan(step.loss) else f", loss {step.loss:.3f}"
        making.on_progress(Progress(stage, step.step, step.steps, which + loss))

    return tell


def _with_rows(data: PreparedData, rows: pl.DataFrame, folder: Path) -> PreparedData:
    """The same data with other training rows; held-out rows stay, so that validation and the classes are the same."""
    folder.mkdir(parents=True, exist_ok=True)
    held_out = [data.part(split) for split in ("validation", "calibration", "test")]
    learned = rows.with_columns(pl.lit("train").alias(SPLIT))
    write_table(folder / "rows.parquet", pl.concat([learned, *held_out], how="diagonal_relaxed"))
    return replace(data, artifact=replace(data.artifact, path=folder))


def _answered(making: Making, exported: Exported, rows: pl.DataFrame) -> Outputs:
    """What a released form says of rows."""
    charter, columns = making.charter, making.data.columns
    stage = Stage(
        f"ask {exported.format}",
        VERSION,
        options={"max_length": charter.model.max_length, "roles": columns.as_json()},
        inputs={"model": exported.digest, "rows": frame_digest(rows)},
        libraries=(*model_libraries(charter), *exported.exporter.libraries),
    )

    def make(files: Path, work: Path) -> None:
        del work
        tokenizer, length = load_tokenizer(exported.folder), charter.model.max_length
        examples = exported.task.examples(rows, columns, tokenizer, length, with_targets=False)
        outputs = predict_outputs(
            exported.opened(None),
            exported.task,
            examples,
            on_batch=lambda done, total: making.on_progress(Progress(stage.name, done, total)),
        )
        write_table(files / "answers.parquet", to_frame(rows[ROW].to_numpy(), outputs))

    return from_frame(pl.read_parquet(making.run.step(stage, make).path / "answers.parquet"))


def _continuation(making: Making, exported: Exported, rows: pl.DataFrame) -> Continuation:
    """The tokens of texts, and what a released language model finds likeliest at each."""
    task = exported.task
    assert isinstance(task, LanguageModel)
    tokenizer = load_tokenizer(exported.folder)
    length = making.charter.model.max_length
    examples = task.examples(rows, making.data.columns, tokenizer, length, with_targets=False)
    likeliest = predict_outputs(exported.opened(None), TopTokens(task), examples)
    judged = list(task.judged(examples))
    assert examples.sizes is not None
    ends = np.cumsum(examples.sizes)
    truth = [np.concatenate(judged[end - size : end]) for end, size in zip(ends, examples.sizes, strict=True)]
    return Continuation(truth, [one.astype(np.int64) for one in likeliest])

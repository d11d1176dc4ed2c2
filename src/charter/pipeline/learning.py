"""Train, export, answer: from prepared rows to a released form of the model and what it says on every held-out row."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from charter import plugins
from charter.audits.case import Answers
from charter.data.batch import Examples
from charter.data.columns import ROW, SplitName
from charter.models.adapters import adapted
from charter.models.base import Base, find_base, load_model, load_tokenizer
from charter.models.device import pick_device
from charter.models.folding import fold_temperature
from charter.models.inference import predict_outputs
from charter.pipeline.preparing import PreparedData, distributions, resolved
from charter.pipeline.progress import OnProgress, Progress
from charter.privacy.plan import plain
from charter.runs.digest import folder_digest, frame_digest
from charter.runs.files import write_json
from charter.runs.findings import Finding, read_findings, write_findings
from charter.runs.run import Run
from charter.runs.store import Artifact, Stage
from charter.spec.model import Charter
from charter.tasks import restore
from charter.tasks.outputs import from_frame, to_frame
from charter.tasks.task import Task
from charter.tasks.temperature import fit_temperature
from charter.training.fitting import FitProgress, Fitted, Validation, fit

TRAIN_VERSION = 1
EXPORT_VERSION = 1
ANSWER_VERSION = 1
LIBRARIES = ("charter", "numpy", "peft", "tokenizers", "torch", "transformers")


@dataclass(frozen=True)
class Trained:
    """A trained model before calibration: its folder, its fitted task and how it learned."""

    artifact: Artifact
    base: Base
    task: Task
    history: tuple[Mapping[str, Any], ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Exported:
    """A released form of the model; `folder` opens in transformers. `facts` say what temperature was folded in.

    `digest` is of the model's own files, as they lie in a bundle: findings are tied to the weights by it.
    """

    artifact: Artifact
    format: str
    folder: Path
    digest: str
    facts: Mapping[str, Any]


def train_model(
    run: Run, charter: Charter, folder: Path, data: PreparedData, on_progress: OnProgress
) -> Trained:
    """Fine-tune the charter's base on the training rows.

    Raises:
        ModelError, DataError: the base or the rows don't fit the task.
    """
    base = find_base(charter.model.base, charter.model.revision, folder)
    stage = Stage(
        "train",
        TRAIN_VERSION,
        options={
            "adapt": resolved((charter.model.adapt,), "adapter")[0],
            "max_length": charter.model.max_length,
            "task": resolved((charter.task,), "task")[0],
            "training": charter.training.model_dump(mode="json"),
            "device": pick_device().type,
            "roles": data.columns.as_json(),
        },
        inputs={"rows": data.artifact.digest, "base": base.digest},
        libraries=_libraries(charter),
        seed=charter.training.seed,
    )

    def make(files: Path, work: Path) -> None:
        _train(charter, base, data, files, work, run, on_progress)

    artifact = run.step(stage, make)
    task = restore(json.loads((artifact.path / "task.json").read_text(encoding="utf-8")))
    history = tuple(json.loads((artifact.path / "history.json").read_text(encoding="utf-8")))
    return Trained(artifact, base, task, history, tuple(read_findings(artifact.path / "findings.jsonl")))


def _libraries(charter: Charter) -> tuple[str, ...]:
    """What a model's artefacts depend on, the packages of its plug-ins too."""
    adapt, task = distributions((charter.model.adapt,), "adapter"), distributions((charter.task,), "task")
    return (*LIBRARIES, *adapt, *task)


def _train(
    charter: Charter,
    base: Base,
    data: PreparedData,
    files: Path,
    work: Path,
    run: Run,
    on_progress: OnProgress,
) -> None:
    unfitted: Task = plugins.make("task", charter.task.use, charter.task.options)
    task = unfitted.fit(data.rows, data.columns)
    tokenizer = load_tokenizer(base.folder, words=task.reads_words)
    length = charter.model.max_length
    train_examples = task.examples(data.part("train"), data.columns, tokenizer, length)
    validation_rows = data.part("validation")
    validation = None
    if validation_rows.height:
        encoded = task.examples(validation_rows, data.columns, tokenizer, length)
        validation = Validation(encoded, validation_rows, data.columns)
    adapter = plugins.make("adapter", charter.model.adapt.use, charter.model.adapt.options)
    settings = charter.training
    model = adapted(base, task, adapter, seed=settings.seed, max_length=length)
    fitted = fit(
        model,
        task,
        train_examples,
        validation,
        settings,
        plain(
            batch_size=settings.batch_size,
            micro_batch_size=settings.micro_batch_size,
            max_grad_norm=settings.max_grad_norm,
            seed=settings.seed,
        ),
        work=work,
        logs=run.folder / "tensorboard",
        on_step=lambda step: on_progress(_as_progress(step)),
        on_note=lambda text: run.note("train", text),
    )
    safetensors = plugins.make("exporter", "safetensors", {})
    safetensors.export(adapter.merge(fitted.model), tokenizer, files / "model")
    write_json(files / "task.json", task.state())
    write_json(files / "history.json", list(fitted.history))
    write_findings(files / "findings.jsonl", _training_findings(fitted, train_examples, data))


def _as_progress(step: FitProgress) -> Progress:
    return Progress("train", step.step, step.steps, f"loss {step.loss:.3f}")


def _training_findings(fitted: Fitted, train: Examples, data: PreparedData) -> list[Finding]:
    on = frame_digest(data.part("train"))
    truncated = float(train.truncated)

    def finding(metric: str, value: float, unit: str, method: str) -> Finding:
        return Finding(
            "training", metric, value, n=len(train), unit=unit, method=method, on=on, split="train"
        )

    found = [
        finding("steps", float(fitted.steps), "updates", "count"),
        finding("best_step", float(fitted.best_step), "updates", "count"),
        finding("seconds", fitted.seconds, "seconds", "wall clock"),
        finding("truncated_texts", truncated, "rows", "count"),
        finding("parameters", float(fitted.parameters), "parameters", "count"),
        finding("trainable_parameters", float(fitted.trainable_parameters), "parameters", "count"),
    ]
    return found


def export_model(
    run: Run,
    charter: Charter,
    data: PreparedData,
    trained: Trained,
    format_name: str,
    on_progress: OnProgress,
) -> Exported:
    """Calibrate the trained model by temperature (when a calibration audit is asked for) and write one format."""
    calibrated = any(use.use == "calibration" for use in charter.audits)
    split: SplitName = "calibration" if data.part("calibration").height else "validation"
    rows = data.part(split)
    fits = calibrated and rows.height > 0
    stage = Stage(
        "export",
        EXPORT_VERSION,
        options={
            "format": format_name,
            "temperature_on": split if fits else "",
            "max_length": charter.model.max_length,
        },
        inputs={"model": trained.artifact.digest, "rows": frame_digest(rows) if fits else ""},
        libraries=_libraries(charter),
    )

    def make(files: Path, work: Path) -> None:
        del work
        source = trained.artifact.path / "model"
        model, tokenizer = load_model(source, trained.task), load_tokenizer(source)
        facts: dict[str, Any] = {
            "temperature": 1.0,
            "split": "",
            "because": "no calibration audit or no rows for it",
        }
        if fits:
            examples = trained.task.examples(rows, data.columns, tokenizer, charter.model.max_length)
            outputs = predict_outputs(
                model,
                trained.task,
                examples,
                on_batch=lambda done, total: on_progress(Progress("export", done, total)),
            )
            fitted = fit_temperature(trained.task, outputs, rows, data.columns)
            fold_temperature(model, fitted.value)
            facts = {
                "temperature": fitted.value,
                "split": split,
                "decisions": fitted.decisions,
                "nll_before": fitted.nll_before,
                "nll_after": fitted.nll_after,
                "because": fitted.because,
            }
        plugins.make("exporter", format_name, {}).export(model, tokenizer, files / "model")
        write_json(files / "temperature.json", facts)

    artifact = run.step(stage, make)
    facts = json.loads((artifact.path / "temperature.json").read_text(encoding="utf-8"))
    model = artifact.path / "model"
    return Exported(artifact, format_name, model, folder_digest(model), facts)


HELD_OUT: tuple[SplitName, ...] = ("validation", "calibration", "test")


@dataclass(frozen=True)
class HeldOut:
    """What an exported model said on the held-out rows, by split; `digest` is of the answers themselves."""

    answers: Mapping[SplitName, Answers]
    digest: str


def answer_held_out(
    run: Run,
    charter: Charter,
    data: PreparedData,
    trained: Trained,
    exported: Exported,
    on_progress: OnProgress,
) -> HeldOut:
    """What the exported model says on every held-out row."""
    parts = {split: rows for split in HELD_OUT if (rows := data.part(split)).height}
    digests = {split: frame_digest(rows) for split, rows in parts.items()}
    stage = Stage(
        "answer",
        ANSWER_VERSION,
        options={"max_length": charter.model.max_length, "roles": data.columns.as_json()},
        inputs={"model": exported.digest, **{str(split): one for split, one in digests.items()}},
        libraries=_libraries(charter),
    )

    def make(files: Path, work: Path) -> None:
        del work
        model, tokenizer = load_model(exported.folder, trained.task), load_tokenizer(exported.folder)
        total = sum(rows.height for rows in parts.values())
        done = 0
        for split, rows in parts.items():
            examples = trained.task.examples(
                rows, data.columns, tokenizer, charter.model.max_length, with_targets=False
            )

            def tell(now: int, _: int, before: int = done) -> None:
                on_progress(Progress("answer", before + now, total))

            outputs = predict_outputs(model, trained.task, examples, on_batch=tell)
            done += rows.height
            to_frame(rows[ROW].to_numpy(), outputs).write_parquet(files / f"{split}.parquet")

    artifact = run.step(stage, make)
    answers: dict[SplitName, Answers] = {}
    for split, rows in parts.items():
        frame = pl.read_parquet(artifact.path / f"{split}.parquet")
        if not np.array_equal(frame[ROW].to_numpy(), rows[ROW].to_numpy()):
            raise AssertionError(f"answers of {split} are not those of its rows")
        answers[split] = Answers(rows, from_frame(frame), digests[split])
    return HeldOut(answers, artifact.digest)

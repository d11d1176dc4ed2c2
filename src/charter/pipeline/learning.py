"""Train: from prepared rows to a trained model."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charter import plugins
from charter.data.batch import Examples
from charter.models.adapters import adapted
from charter.models.base import Base, find_base, load_tokenizer, unknown_share
from charter.models.device import pick_device, pick_half
from charter.pipeline.preparing import PreparedData, distributions, resolved
from charter.pipeline.progress import OnProgress, Progress
from charter.privacy.plan import plain
from charter.runs.digest import frame_digest
from charter.runs.files import write_json
from charter.runs.findings import Finding, read_findings, write_findings
from charter.runs.run import Run
from charter.runs.store import Artifact, Stage
from charter.spec.model import Charter
from charter.tasks import restore
from charter.tasks.task import Task
from charter.training.fitting import FitProgress, Fitted, Validation, fit

VERSION = 3
MANY_UNKNOWN = 0.1
"""More tokens than this that the base does not know are told at once."""
LIBRARIES = ("charter", "numpy", "peft", "tokenizers", "torch", "transformers")


@dataclass(frozen=True)
class Trained:
    """A trained model before calibration: its folder, its fitted task and how it learned."""

    artifact: Artifact
    base: Base
    task: Task
    history: tuple[Mapping[str, Any], ...]
    findings: tuple[Finding, ...]


def train_model(
    run: Run, charter: Charter, folder: Path, data: PreparedData, on_progress: OnProgress
) -> Trained:
    """Fine-tune the charter's base on the training rows.

    Raises:
        ModelError, DataError: the base or the rows don't fit the task.
    """
    base = find_base(charter.model.base, charter.model.revision, folder)
    device = pick_device()
    half = pick_half(charter.training.precision, device)
    stage = Stage(
        "train",
        VERSION,
        options={
            "adapt": resolved((charter.model.adapt,), "adapter")[0],
            "max_length": charter.model.max_length,
            "task": resolved((charter.task,), "task")[0],
            "training": charter.training.model_dump(mode="json", exclude={"precision"}),
            "precision": "bf16" if half else "float32",
            "device": device.type,
            "roles": data.columns.as_json(),
        },
        inputs={"rows": data.artifact.digest, "base": base.digest},
        libraries=model_libraries(charter),
        seed=charter.training.seed,
    )

    def make(files: Path, work: Path) -> None:
        _train(charter, base, data, files, work, run, on_progress, half=half)

    artifact = run.step(stage, make)
    task = restore(json.loads((artifact.path / "task.json").read_text(encoding="utf-8")))
    history = tuple(json.loads((artifact.path / "history.json").read_text(encoding="utf-8")))
    return Trained(artifact, base, task, history, tuple(read_findings(artifact.path / "findings.jsonl")))


def model_libraries(charter: Charter) -> tuple[str, ...]:
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
    *,
    half: bool,
) -> None:
    unfitted: Task = plugins.make("task", charter.task.use, charter.task.options)
    task = unfitted.fit(data.rows, data.columns)
    tokenizer = load_tokenizer(base.folder, words=task.reads_words)
    length = charter.model.max_length
    train_examples = task.examples(data.part("train"), data.columns, tokenizer, length)
    unknown = unknown_share(tokenizer, train_examples.ids)
    if unknown > MANY_UNKNOWN:
        run.note(
            "train",
            f"{unknown:.0%} of the training texts' tokens are unknown to the base: its vocabulary is of another language "
            "or script, and it reads little of these texts; name a base of their language",
        )
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
            tokens_per_batch=settings.tokens_per_batch,
            lengths=train_examples.lengths,
        ),
        half=half,
        work=work,
        logs=run.folder / "tensorboard",
        on_step=lambda step: on_progress(_as_progress(step)),
        on_note=lambda text: run.note("train", text),
    )
    safetensors = plugins.make("exporter", "safetensors", {})
    merged = adapter.merge(fitted.model)
    finished = task.finished(merged)
    safetensors.export(merged, tokenizer, files / "model")
    write_json(files / "task.json", finished.state())
    write_json(files / "history.json", list(fitted.history))
    write_findings(
        files / "findings.jsonl",
        _training_findings(fitted, task, train_examples, data, unknown),
    )


def _as_progress(step: FitProgress) -> Progress:
    return Progress("train", step.step, step.steps, f"loss {step.loss:.3f}")


def _training_findings(
    fitted: Fitted, task: Task, train: Examples, data: PreparedData, unknown: float
) -> list[Finding]:
    on = frame_digest(data.part("train"))

    def finding(metric: str, value: float, unit: str, method: str, n: int = len(train)) -> Finding:
        return Finding("training", metric, float(value), n=n, unit=unit, method=method, on=on, split="train")

    validated = data.part("validation").height > 0
    chosen = f"the best {task.headline} on validation" if validated else "no validation rows: the last update"
    seen = task.support(data.part("train"), data.columns)
    return [
        finding("steps", fitted.steps, "updates", "count"),
        finding("best_step", fitted.best_step, "updates", chosen),
        finding("seconds", fitted.seconds, "seconds", "wall clock"),
        finding("truncated_texts", train.truncated, "rows", "count"),
        finding("unknown_tokens", unknown, "share", "share of the training texts' tokens"),
        *(
            [finding("classes_not_trained", sum(count == 0 for count in seen.values()), "classes", "count")]
            * bool(seen)
        ),
        finding("parameters", fitted.parameters, "parameters", "count"),
        finding("trainable_parameters", fitted.trainable_parameters, "parameters", "count"),
    ]

"""Train: from prepared rows to a trained model."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from charter import plugins
from charter.data.batch import Examples, joined, unlabelled
from charter.data.text import encode_texts
from charter.models.adapters import adapted
from charter.models.base import Base, load_tokenizer, unknown_share
from charter.models.device import pick_device, pick_half
from charter.models.exports import save_model
from charter.models.pooling import pools_mean
from charter.models.world import ALONE, World
from charter.pipeline.holding import held, held_options
from charter.pipeline.learned import training_findings
from charter.pipeline.planning import LIBRARIES as PRIVATE_LIBRARIES
from charter.pipeline.planning import (
    destroy_key,
    plan_of,
    private_advice,
    settled,
    subjects_of,
    told_alone,
    trials_of,
)
from charter.pipeline.preparing import PreparedData, distributions, resolved
from charter.pipeline.progress import OnProgress, Progress
from charter.pipeline.selecting import UNTOLD, chosen_settings, select, selection_findings
from charter.pipeline.spending import Spending
from charter.pipeline.spent import Charging, privacy_findings
from charter.pipeline.teaching import Taught
from charter.privacy.stream import SecretStream
from charter.runs.files import write_json
from charter.runs.findings import Finding, read_findings, write_findings
from charter.runs.run import Run
from charter.runs.store import Artifact, Stage, Took
from charter.spec.model import Charter
from charter.spec.training import CONTRASTED, Training
from charter.spec.use import Use
from charter.tasks import restore
from charter.tasks.objective import Objective
from charter.tasks.task import Task
from charter.training.distillation import Teaching
from charter.training.fit_state import Validation
from charter.training.fitting import FitProgress, Fitted, fit
from charter.training.retention import Earlier

VERSION = 11
ADAPTER = "adapter"
"""The folder of what was learned beside the base, where the adapter is one that adds something."""
MANY_UNKNOWN = 0.1
"""More tokens than this that the base does not know are told at once."""
FEW = 50
"""With fewer training rows per class, a head fitted to vectors, best from descriptions, is advised (docs/few-examples.md)."""
DESCRIBE = "; best with every class described in a sentence: task.descriptions"
NOT_IN_KEY = {"objective", "precision", "search", "gradient_checkpointing", "workers", "engine"}
"""Settings that a trained model does not depend on, or that its key says otherwise."""
FEW_UPDATES = 20
"""Fewer updates hardly move an encoder."""
LIBRARIES = ("charter", "numpy", "peft", "tokenizers", "torch", "transformers")


@dataclass(frozen=True)
class Trained:
    """A trained model before calibration: its folder, its fitted task and how it learned. settings: those that it was trained with."""

    artifact: Artifact
    base: Base
    task: Task
    history: tuple[Mapping[str, Any], ...]
    findings: tuple[Finding, ...]
    settings: Training


@dataclass(frozen=True)
class Lessons:
    """What a model learns from: the task fitted to the training rows, and the rows encoded.

    descriptions: those of the classes, encoded, each with its class; None where the task has none.
    unknown: share of the training texts' tokens that the base does not know. teaching: what a teacher says to the training
    rows; None without one. subjects: the person of each training row, where a privacy budget protects persons.
    """

    task: Task
    tokenizer: Any
    train: Examples
    validation: Validation | None
    descriptions: Examples | None
    unknown: float
    teaching: Teaching | None = None
    subjects: Mapping[int, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Heard:
    """Who is told how a fit goes: each update, each note, each entry of its history."""

    on_step: Callable[[FitProgress], None]
    on_note: Callable[[str], None]
    on_record: Callable[[Mapping[str, Any]], None]


def train_model(
    run: Run,
    charter: Charter,
    base: Base,
    data: PreparedData,
    on_progress: OnProgress,
    on_record: Callable[[Mapping[str, Any]], None],
    *,
    settings: Training,
    world: World = ALONE,
    taught: Taught | None = None,
    spending: Spending | None = None,
    name: str = "train",
) -> Trained:
    """Train the base on the training rows, by these settings. taught: by its teacher, if it has one. name: of the stage.

    spending: where private training is charged; None where nobody's privacy is at stake. A private search is made here, since its best
    trial is the trained model.

    Raises:
        ModelError, DataError: the base or the rows don't fit the task.
        BudgetError: private training would pass the budget of its data.
        TrainingError: no trial of a private search ended with a model.
    """
    stage = train_stage(charter, settings, base, data, world, taught, name=name)
    charging = Charging(charter, data, spending, stage.key, name, settings.epochs)

    def make(files: Path, work: Path) -> Took | None:
        lessons = learn_from(charter, base, data, work, taught)
        if lessons.unknown > MANY_UNKNOWN:
            run.note(
                name,
                f"{lessons.unknown:.0%} of the training texts' tokens are unknown to the base: its vocabulary is of another "
                "language or script, and it reads little of these texts; name a base of their language",
            )
        for advice in _advice(charter, lessons):
            run.note(name, advice)
        heard = Heard(
            lambda step: on_progress(_as_progress(name, step)), lambda text: run.note(name, text), on_record
        )
        logs = run.folder / "tensorboard" / ("" if name == "train" else name)
        selected = None
        if trials_of(charter) is None:
            fitted = fit_model(
                charter, settings, base, lessons, heard, world, work=work, logs=logs, charging=charging
            )
        else:
            run.note(name, UNTOLD)

            def fit_trial(chosen: Training, folder: Path, own: SecretStream) -> Fitted:
                return fit_model(
                    charter,
                    chosen,
                    base,
                    lessons,
                    Heard(_untold, _untold, _untold),
                    world,
                    work=folder,
                    logs=folder / "logs",
                    save_at_end=lambda: True,
                    charging=charging,
                    stream=own,
                )

            selected = select(charter, lessons.task, lessons.validation, work, charging, fit_trial)
            fitted = selected.fitted
            selected.keep(files)
        adapter = _adapter(charter)
        finished = lessons.task.finished(fitted.model)
        if adapter.save is not None:
            adapter.save(fitted.model, files / ADAPTER)
        merged = lessons.task.parted(adapter.merge(fitted.model), files / "beside")
        save_model(merged, lessons.tokenizer, files / "model")
        write_json(files / "task.json", finished.state())
        write_json(files / "history.json", list(fitted.history))
        findings = training_findings(fitted, lessons, data)
        findings += privacy_findings(charter, fitted.plan, len(lessons.train), fitted.steps)
        if selected is not None:
            findings += selection_findings(charter, selected, data)
        write_findings(files / "findings.jsonl", findings)
        charging.settle(fitted.plan, len(lessons.train), fitted.steps, files)
        destroy_key(work)
        # how long all trials took would tell how many there were
        return None if selected is None else Took(fitted.seconds)

    artifact = run.step(stage, make)
    charging.charge_made(artifact.path)
    task = restore(json.loads((artifact.path / "task.json").read_text(encoding="utf-8")))
    history = tuple(json.loads((artifact.path / "history.json").read_text(encoding="utf-8")))
    findings = tuple(read_findings(artifact.path / "findings.jsonl"))
    return Trained(artifact, base, task, history, findings, chosen_settings(settings, artifact.path))


def _untold(told: object) -> None:
    """Of a trial of a private search nobody is told anything while it is made."""
    del told


def _advice(charter: Charter, lessons: Lessons) -> Iterator[str]:
    """What to do about few training rows, where the charter does not do it already."""
    task, training = lessons.task, charter.training
    each = len(lessons.train) / max(len(task.labels), 1)
    free = training.objective is None and charter.privacy is None
    if charter.task.use in CONTRASTED and free and training.epochs and each < FEW:
        described = "" if task.head.descriptions or charter.task.use != CONTRASTED[0] else DESCRIBE
        yield (
            f"only {each:.0f} training rows per class, and with fewer than {FEW} a head fitted to the base's vectors is often "
            f"better: training: {{objective: {{use: contrastive}}, epochs: 0}}, or 20 epochs to teach the encoder too{described}"
        )


def train_stage(
    charter: Charter,
    settings: Training,
    base: Base,
    data: PreparedData,
    world: World = ALONE,
    taught: Taught | None = None,
    *,
    name: str = "train",
) -> Stage:
    """What a trained model is made from; how its settings were found, and where its teacher lies, does not matter."""
    settings = settled(charter, settings)
    objective = [
        {key: one for key, one in use.items() if taught is None or key != "teacher"}
        for use in resolved(_named(settings), "objective")
    ]
    teacher = {} if taught is None else {"teacher": taught.teacher.digest, "answers": taught.artifact.digest}
    return Stage(
        name,
        VERSION,
        options={
            "adapt": resolved((charter.model.adapt,), "adapter")[0],
            "max_length": charter.model.max_length,
            "task": resolved((charter.task,), "task")[0],
            "training": settings.model_dump(mode="json", exclude=NOT_IN_KEY),
            "objective": objective,
            "precision": "bf16" if is_half(settings) else "float32",
            "device": pick_device().type,
            "processes": world.size,
            "roles": data.columns.as_json(),
            **held_options(charter, base),
            **({} if charter.privacy is None else {"privacy": charter.privacy.model_dump(mode="json")}),
            **_searched(charter),
        },
        inputs={"rows": data.artifact.digest, "base": base.digest, **teacher},
        libraries=model_libraries(charter),
        seed=settings.seed,
    )


def _searched(charter: Charter) -> dict[str, Any]:
    """A private search, whose best trial is the trained model; the result of another is settings."""
    search = charter.training.search
    if search is None or charter.privacy is None:
        return {}
    return {"search": search.model_dump(mode="json")}


def is_half(settings: Training) -> bool:
    """Whether the passes are made in bf16 on this machine: measured once, so that all trials of a search have the same."""
    return _half(settings.precision)


@cache
def _half(precision: str) -> bool:
    return pick_half(precision, pick_device())


def model_libraries(charter: Charter) -> tuple[str, ...]:
    """What a model's artefacts depend on, the packages of its plug-ins too."""
    adapt, task = distributions((charter.model.adapt,), "adapter"), distributions((charter.task,), "task")
    objective = distributions(_named(charter.training), "objective")
    private = PRIVATE_LIBRARIES if charter.privacy is not None else ()
    return (
        *LIBRARIES,
        *adapt,
        *task,
        *objective,
        *private,
        *(("scikit-learn",) if charter.training.objective else ()),
    )


def _named(settings: Training) -> tuple[Use, ...]:
    """The objective that the charter names, none where it is the task's own."""
    return (settings.objective,) if settings.objective is not None else ()


def learn_from(
    charter: Charter, base: Base, data: PreparedData, work: Path, taught: Taught | None = None
) -> Lessons:
    """The task with its classes, and the training and validation rows encoded: no other row's text is read.

    work: where a task that streams keeps the encoded training rows.
    """
    unfitted: Task = plugins.make("task", charter.task.use, charter.task.options)
    length = charter.model.max_length
    if unfitted.streams:
        task = unfitted.fit(data.scan().head(1).collect(), data.columns)
        tokenizer = load_tokenizer(base.folder)
        chunks = data.chunks("train")
        train_examples = task.encoded(chunks, data.columns, tokenizer, length, work / "pieces")
    else:
        task = (
            unfitted.extended(data.rows, data.columns, base.head)
            if base.head
            else unfitted.fit(data.rows, data.columns)
        )
        tokenizer = load_tokenizer(base.folder, words=task.reads_words)
        train_examples = task.examples(data.part("train"), data.columns, tokenizer, length)
    validation_rows = data.part("validation")
    validation = None
    if validation_rows.height:
        encoded = task.examples(validation_rows, data.columns, tokenizer, length)
        validation = Validation(encoded, validation_rows, data.columns)
    described = described_examples(task, tokenizer, length)
    unknown = unknown_share(tokenizer, train_examples.ids)
    teaching = None if taught is None else taught.teaching(task, data, train_examples, length)
    subjects = subjects_of(charter, data)
    return Lessons(task, tokenizer, train_examples, validation, described, unknown, teaching, subjects)


def described_examples(task: Task, tokenizer: Any, max_length: int) -> Examples | None:
    """The descriptions of a task's classes as examples of them; None where it has none."""
    texts = task.head.descriptions
    if not texts:
        return None
    encoded = encode_texts(texts, tokenizer, max_length)
    return replace(unlabelled(encoded.ids, tokenizer.pad_token_id), targets=np.arange(len(texts)))


def fit_model(
    charter: Charter,
    settings: Training,
    base: Base,
    lessons: Lessons,
    heard: Heard,
    world: World,
    *,
    work: Path,
    logs: Path,
    save_at_end: Callable[[], bool] | None = None,
    charging: Charging | None = None,
    stream: SecretStream | None = None,
) -> Fitted:
    """Fit the adapted base by these settings; as `charter.training.fitting.fit`. stream: as in `plan_of`.

    An objective on vectors learns from the classes' descriptions as it does from rows.

    Raises:
        DataError: as `fit`; or a batch can't be computed in parts, as the settings ask.
    """
    settings = settled(charter, settings)
    objective, examples = _objective(settings, lessons), lessons.train
    on_vectors = objective is not None and objective.on_features
    if on_vectors and lessons.descriptions is not None:
        examples = joined(examples, lessons.descriptions)
    learned = objective or lessons.task
    examples = told_alone(charter, examples)
    plan = plan_of(
        charter,
        settings,
        examples,
        learned,
        work,
        batch_size=_even(settings.batch_size, len(examples)) if on_vectors else settings.batch_size,
        subjects=lessons.subjects,
        stream=stream,
    )
    updates = settings.epochs * plan.steps_per_epoch(len(examples))
    for said in private_advice(charter, plan, len(examples), updates):
        heard.on_note(said)
    if on_vectors and 0 < updates < FEW_UPDATES:
        heard.on_note(f"only {updates} updates, which hardly move the encoder; raise training.epochs")
    adapter = _adapter(charter)
    model = adapted(
        base,
        lessons.task,
        adapter,
        seed=settings.seed,
        max_length=charter.model.max_length,
        mean_pooled=on_vectors,
    )
    model = lessons.task.begun(model, settings.seed)
    if (on_vectors or lessons.descriptions is not None) and not pools_mean(model):
        heard.on_note(
            "this base can't be made to read the mean over a text's tokens, so texts are compared by what its head reads, which "
            "is worse; a BERT, RoBERTa, ELECTRA, DistilBERT or ModernBERT can"
        )
    if base.head:
        earlier = Earlier(model, lessons.task, lessons.train, len(base.head), None, work)
        objective = held(charter, base, objective, earlier)
    return fit(
        model,
        lessons.task,
        examples,
        None if plan.promises else lessons.validation,
        settings,
        plan,
        objective=objective,
        layerwise=adapter.layerwise,
        half=is_half(settings),
        world=world,
        work=work,
        logs=logs,
        on_step=heard.on_step,
        on_note=heard.on_note,
        on_record=heard.on_record,
        save_at_end=save_at_end,
        begin=None if charging is None else lambda: charging.reserve(plan, len(examples), updates),
    )


def _objective(settings: Training, lessons: Lessons) -> Objective | None:
    """What training makes smaller, where it is not the task's own loss."""
    use = settings.objective
    return (
        None
        if use is None
        else plugins.make("objective", use.use, use.options, lessons.task, lessons.teaching)
    )


def _even(batch_size: int, examples: int) -> int:
    """The size at which as many batches are equally large: in a last one of few examples there is little to compare."""
    return math.ceil(examples / math.ceil(examples / batch_size)) if examples else batch_size


def _adapter(charter: Charter) -> Any:
    return plugins.make("adapter", charter.model.adapt.use, charter.model.adapt.options)


def _as_progress(name: str, step: FitProgress) -> Progress:
    told = step.doing or ("" if math.isnan(step.loss) else f"loss {step.loss:.3f}")
    return Progress(name, step.step, step.steps, told)

"""Teach: what a charter's teacher answers to the training rows, made once and kept; and the teacher itself, opened.

The answers are made without dropout, by the teacher's own tokenizer, once: an epoch would make them anew each time, and
they are a few numbers a row. Hidden states are too many to keep, so where they are learned the teacher answers along.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from charter import plugins
from charter.data.batch import Examples
from charter.errors import DataError, ModelError
from charter.models.base import load_model, load_tokenizer, longest
from charter.models.engines.torch import open_torch
from charter.models.folders import check_folder, read_config, read_files
from charter.models.inference import predict_outputs
from charter.pipeline.preparing import PreparedData
from charter.pipeline.progress import OnProgress, Progress
from charter.release.bundle import Bundle, read_bundle
from charter.release.manifest import MANIFEST, ROOT_FORM, form_digests
from charter.release.record import RECORD, read_record
from charter.runs.digest import file_digest, files_digest, frame_digest
from charter.runs.run import Run
from charter.runs.store import Artifact, Stage
from charter.spec.distillation import DISTILLED
from charter.spec.model import Charter
from charter.spec.training import DISTILLATION
from charter.tasks import restore
from charter.tasks.task import Task
from charter.training.distillation import Teaching

TEACH, ANSWERS = "teach", "answers.npy"
VERSION = 1
AT_ONCE = 4096
"""Rows that are answered before their answers are kept: an interrupted stage goes on after them."""
LIBRARIES = ("charter", "numpy", "tokenizers", "torch", "transformers")
WHERE = "training.objective.teacher"


@dataclass(frozen=True)
class Teacher:
    """A teacher as a charter names it. digest: of its model's files. bundle: None for a plain transformers folder."""

    reference: str
    folder: Path
    digest: str
    bundle: Bundle | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Its outputs, in their order."""
        if self.bundle is not None:
            return self.bundle.preparation.task.labels
        named = read_config(self.folder).get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}
        return tuple(str(named[str(number)]) for number in range(len(named)))

    def task(self, task: Task) -> Task:
        """The student's task, as the teacher was fitted to it."""
        if self.bundle is not None:
            return restore(self.bundle.preparation.task.model_dump())
        if not task.labels:  # a number, that a plain model answers in its own units
            return task.with_fitted({**task.fitted, "mean": 0.0, "scale": 1.0, "target": self.names[0]})
        return replace(task, labels=self.names)  # type: ignore[type-var]

    def max_length(self, model: Any, asked: int) -> int:
        """Tokens that it reads of a text."""
        if self.bundle is not None:
            return self.bundle.preparation.max_length
        return min(asked, longest(model) or asked)


@dataclass(frozen=True)
class Taught:
    """What a teacher answers to the training rows. origin: where it comes from, for the provenance."""

    teacher: Teacher
    artifact: Artifact
    hidden: bool
    origin: Mapping[str, Any] = field(default_factory=dict)

    def teaching(self, task: Task, data: PreparedData, train: Examples, max_length: int) -> Teaching:
        """Its answers in the order of the student's outputs, and itself where its hidden states are learned.

        train: the training rows as the student reads them.

        Raises:
            DataError: its classes are others; hidden states are to be learned, and it reads the texts as other tokens.
        """
        answers: NDArray[np.float32] = np.load(self.artifact.path / ANSWERS)
        answers = answers[:, _order(self.teacher, task)]
        if not self.hidden:
            return Teaching(answers)
        own = self.teacher.task(task)
        model = load_model(self.teacher.folder, own)
        length = self.teacher.max_length(model, max_length)
        examples = _encoded(self.teacher, own, data.part("train"), data, length)
        same = all(map(np.array_equal, examples.ids, train.ids))
        if not same:
            raise DataError(
                "training.objective.hidden: the teacher reads the training texts as other tokens than the student (another "
                "tokenizer, or another length that texts are cut at), so their hidden states can't be compared; remove the key, "
                "or take a student with the teacher's tokenizer and model.max_length"
            )
        return Teaching(answers, model.requires_grad_(False), examples)


def find_teacher(charter: Charter, folder: Path) -> Teacher | None:
    """The teacher that a charter names, every byte of a bundle checked; None where it names none.

    Raises:
        ModelError: there is none, it holds no weights to answer with, it was taught another task, or other classes.
        BundleError: a bundle that was changed, or whose limits were not kept.
    """
    use = charter.training.objective
    if use is None or use.use != DISTILLATION:
        return None
    reference = str(use.options["teacher"])
    place = (folder / reference).expanduser()
    if not place.is_dir():
        raise ModelError(f"{WHERE} '{reference}': no such folder, looked for {place}")
    if not (place / MANIFEST).is_file():
        try:
            check_folder(place)
            files = {name: file_digest(path) for name, path in read_files(place).items()}
        except ModelError as error:
            raise ModelError(f"{WHERE} '{reference}': {error}") from None
        return Teacher(reference, place, files_digest(files))
    bundle = read_bundle(place)
    if ROOT_FORM not in bundle.forms:
        raise ModelError(
            f"{WHERE} '{reference}' is a bundle of {', '.join(bundle.forms)} only; release it as {ROOT_FORM} too"
        )
    told = bundle.preparation.task.use
    if told != charter.task.use:
        raise ModelError(
            f"{WHERE} '{reference}' was taught task {told}, not {charter.task.use}; name a teacher of the same task"
        )
    return Teacher(reference, bundle.forms[ROOT_FORM], form_digests(bundle.manifest)[ROOT_FORM], bundle)


def teach(
    run: Run, charter: Charter, teacher: Teacher | None, data: PreparedData, on_progress: OnProgress
) -> Taught | None:
    """What the teacher answers to the training rows; None without a teacher.

    Raises:
        DataError: its classes or its inputs are others than the student's.
        ModelError: it can't be opened, or has no head for this task.
    """
    if teacher is None:
        return None
    task: Task = plugins.make("task", charter.task.use, charter.task.options)
    if charter.task.use not in DISTILLED:
        raise DataError(
            f"objective distillation: task {charter.task.use} can't be distilled; {', '.join(DISTILLED)} can"
        )
    task = task.fit(data.rows, data.columns)
    _order(teacher, task)
    _check_inputs(teacher, data)
    rows = data.part("train")
    stage = Stage(
        TEACH,
        VERSION,
        options={
            "task": charter.task.use,
            "roles": data.columns.as_json(),
            "max_length": charter.model.max_length,
            "own": None if teacher.bundle is None else teacher.bundle.preparation.model_dump(mode="json"),
        },
        inputs={"teacher": teacher.digest, "rows": frame_digest(rows)},
        libraries=LIBRARIES,
    )

    def tell(done: int, total: int) -> None:
        on_progress(Progress(TEACH, done, total))

    def make(files: Path, work: Path) -> None:
        np.save(files / ANSWERS, _answers(teacher, task, data, charter.model.max_length, work, tell))

    artifact = run.step(stage, make)
    origin = _origin(teacher, data)
    if origin.get("may_have_read_test_rows"):
        run.note(
            TEACH,
            f"the teacher '{teacher.reference}' learned from the same source, split otherwise: it may have learned from rows that "
            "this model is judged on, and scores may be too high; split both alike (data.split)",
        )
    assert charter.training.objective is not None
    hidden = float(charter.training.objective.options.get("hidden", 0)) > 0
    return Taught(teacher, artifact, hidden, origin)


def _answers(
    teacher: Teacher,
    task: Task,
    data: PreparedData,
    asked: int,
    work: Path,
    tell: Callable[[int, int], None],
) -> NDArray[np.float32]:
    """(n, outputs) what it answers to the training rows, in their order; parts that are kept in `work` are not made again."""
    own = teacher.task(task)
    model = open_torch(teacher.folder, own)
    rows, length = data.part("train"), teacher.max_length(model, asked)
    work.mkdir(parents=True, exist_ok=True)
    parts = []
    for start in range(0, rows.height, AT_ONCE):
        kept = work / f"answers-{start}.npy"
        if not kept.is_file():
            part = _encoded(teacher, own, rows.slice(start, AT_ONCE), data, length)
            told = predict_outputs(model, own, part, on_batch=_further(tell, start, rows.height))
            aside = kept.with_suffix(f".{os.getpid()}.tmp")
            with aside.open("wb") as stream:
                np.save(stream, np.asarray(told, dtype=np.float32).reshape(len(part), -1))
            aside.replace(kept)
        parts.append(np.load(kept))
    return np.concatenate(parts) if parts else np.empty((0, max(len(teacher.names), 1)), dtype=np.float32)


def _further(tell: Callable[[int, int], None], start: int, total: int) -> Callable[[int, int], None]:
    """Progress of a part that begins at `start`, as that of the whole."""
    return lambda done, _: tell(start + done, total)


def _encoded(
    teacher: Teacher, own: Task, rows: pl.DataFrame, data: PreparedData, max_length: int
) -> Examples:
    """Rows as the teacher reads them."""
    return own.examples(rows, data.columns, load_tokenizer(teacher.folder), max_length, with_targets=False)


def _order(teacher: Teacher, task: Task) -> list[int]:
    """Where the teacher has each of the student's outputs.

    Raises:
        DataError: it has others.
    """
    names = teacher.names
    if not task.labels:
        outputs = names if teacher.bundle is None else ("",)
        if len(outputs) == 1:
            return [0]
        raise DataError(
            f"{WHERE} '{teacher.reference}' has {len(outputs)} outputs, and task {task.name} has one"
        )
    if sorted(names) != sorted(task.labels):
        unlike = sorted(set(names) ^ set(task.labels))
        shown = ", ".join(f"'{one}'" for one in unlike[:5]) + (" ..." if len(unlike) > 5 else "")
        raise DataError(
            f"{WHERE} '{teacher.reference}' has {len(names)} classes and the data has {len(task.labels)}, and they are not the "
            f"same: only one of the two has {shown}. A teacher answers the student's very classes"
        )
    return [names.index(label) for label in task.labels]


def _check_inputs(teacher: Teacher, data: PreparedData) -> None:
    """A teacher of several texts reads as many as the student, joined alike."""
    if teacher.bundle is not None and len(teacher.bundle.preparation.inputs) != len(data.columns.inputs):
        raise DataError(
            f"{WHERE} '{teacher.reference}' reads {len(teacher.bundle.preparation.inputs)} input(s) and data.inputs names "
            f"{len(data.columns.inputs)}; name as many"
        )


def _origin(teacher: Teacher, data: PreparedData) -> dict[str, Any]:
    """What the provenance says of a teacher."""
    said: dict[str, Any] = {"reference": teacher.reference, "digest": teacher.digest}
    if teacher.bundle is None:
        return said
    record = read_record(teacher.bundle.folder / "charter" / RECORD)
    theirs, source = record.provenance["data"], data.artifact.record["inputs"]["source"]
    before = (one["data"] for one in record.provenance.get("ancestors", ()))
    otherwise = any(
        one["source_digest"] == source and one["test_digest"] != data.test_digest for one in (theirs, *before)
    )
    return {
        **said,
        "name": teacher.bundle.name,
        "bundle_digest": teacher.bundle.manifest.digest,
        "run": teacher.bundle.manifest.run,
        "base": record.provenance["base"],
        "data": {key: theirs[key] for key in ("id", "source_digest", "test_digest")},
        "may_have_read_test_rows": otherwise,
        **({"teacher": record.provenance["teacher"]} if "teacher" in record.provenance else {}),
    }

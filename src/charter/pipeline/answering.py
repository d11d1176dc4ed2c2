"""Answer: what an exported model says on every held-out row, kept so that audits read it and nothing is computed twice."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from charter.audits.case import Answers
from charter.data.columns import ROW, SplitName
from charter.data.pieces import documents_encoded
from charter.models.base import attach, load_tokenizer
from charter.models.inference import predict_outputs
from charter.pipeline.exporting import Exported
from charter.pipeline.learning import Trained, model_libraries
from charter.pipeline.preparing import PreparedData, resolved
from charter.pipeline.progress import OnProgress, Progress
from charter.runs.digest import frame_digest
from charter.runs.files import write_table
from charter.runs.run import Run
from charter.runs.store import Stage
from charter.spec.metrics import NEAREST, UNIGRAM
from charter.spec.model import Charter
from charter.spec.training import learns_from_descriptions
from charter.tasks.baselines import Baseline
from charter.tasks.language_model import LanguageModel
from charter.tasks.outputs import from_frame, to_frame
from charter.tasks.unigram import Unigram

VERSION = 3
HELD_OUT: tuple[SplitName, ...] = ("validation", "calibration", "test")


@dataclass(frozen=True)
class HeldOut:
    """What an exported model said on the held-out rows, by split; `digest` is of the answers themselves."""

    answers: Mapping[SplitName, Answers]
    digest: str


def answer_nearest(
    run: Run, charter: Charter, data: PreparedData, trained: Trained, on_progress: OnProgress
) -> Baseline | None:
    """What the base says of the test rows by the nearest description of a class, before it has learned anything.

    None where the classes have no descriptions, or nothing was learned: then it is the model itself.
    """
    if not learns_from_descriptions(charter.task, charter.training):
        return None
    test, task, base = data.part("test"), trained.task, trained.base
    length = charter.model.max_length
    stage = Stage(
        NEAREST,
        VERSION,
        options={
            "task": resolved((charter.task,), "task")[0],
            "max_length": length,
            "roles": data.columns.as_json(),
        },
        inputs={"base": base.digest, "test": data.test_digest},
        libraries=model_libraries(charter),
    )

    def make(files: Path, work: Path) -> None:
        del work
        model = attach(base, task, seed=charter.training.seed, max_length=length)
        examples = task.examples(test, data.columns, load_tokenizer(base.folder), length, with_targets=False)
        outputs = predict_outputs(
            model, task, examples, on_batch=lambda done, total: on_progress(Progress(NEAREST, done, total))
        )
        write_table(files / "test.parquet", to_frame(test[ROW].to_numpy(), outputs))

    frame = pl.read_parquet(run.step(stage, make).path / "test.parquet")
    return Baseline(NEAREST, from_frame(frame))


def answer_unigram(run: Run, charter: Charter, data: PreparedData, trained: Trained) -> Baseline | None:
    """What token frequencies of the training texts say of the test rows.

    None for a task that is no language model, and under a privacy budget: the frequencies would be told without noise.
    """
    if charter.privacy is not None:
        return None
    task, base, length = trained.task, trained.base, charter.model.max_length
    if not isinstance(task, LanguageModel) or not (task.fills or task.writes):
        return None
    stage = Stage(
        UNIGRAM,
        VERSION,
        options={
            "task": resolved((charter.task,), "task")[0],
            "max_length": length,
            "roles": data.columns.as_json(),
        },
        inputs={"base": base.digest, "rows": data.artifact.digest},
        libraries=("charter", "numpy", "tokenizers", "transformers"),
    )

    def make(files: Path, work: Path) -> None:
        del work
        tokenizer, test = load_tokenizer(base.folder), data.part("test")
        documents = (
            ids
            for chunk in data.chunks("train")
            for ids in documents_encoded(data.columns.texts(chunk).to_list(), tokenizer)
        )
        unigram = Unigram.of(documents, len(tokenizer), task.ending(tokenizer))
        outputs = task.cheap(unigram, task.examples(test, data.columns, tokenizer, length))
        write_table(files / "test.parquet", to_frame(test[ROW].to_numpy(), outputs))

    frame = pl.read_parquet(run.step(stage, make).path / "test.parquet")
    return Baseline(UNIGRAM, from_frame(frame))


def answer_held_out(
    run: Run,
    charter: Charter,
    data: PreparedData,
    exported: Exported,
    on_progress: OnProgress,
) -> HeldOut:
    """What the exported model says on every held-out row."""
    parts = {split: rows for split in HELD_OUT if (rows := data.part(split)).height}
    digests = {split: frame_digest(rows) for split, rows in parts.items()}
    stage = Stage(
        f"answer {exported.format}",
        VERSION,
        options={"max_length": charter.model.max_length, "roles": data.columns.as_json()},
        inputs={"model": exported.digest, **{str(split): one for split, one in digests.items()}},
        libraries=(*model_libraries(charter), *exported.exporter.libraries),
    )

    def make(files: Path, work: Path) -> None:
        del work
        model = exported.opened(None)
        tokenizer = load_tokenizer(exported.folder)
        total = sum(rows.height for rows in parts.values())
        done = 0
        for split, rows in parts.items():
            examples = exported.task.examples(
                rows, data.columns, tokenizer, charter.model.max_length, with_targets=False
            )

            def tell(now: int, _: int, before: int = done) -> None:
                on_progress(Progress(stage.name, before + now, total))

            outputs = predict_outputs(model, exported.task, examples, on_batch=tell)
            done += rows.height
            write_table(files / f"{split}.parquet", to_frame(rows[ROW].to_numpy(), outputs))

    artifact = run.step(stage, make)
    answers: dict[SplitName, Answers] = {}
    for split, rows in parts.items():
        frame = pl.read_parquet(artifact.path / f"{split}.parquet")
        if not np.array_equal(frame[ROW].to_numpy(), rows[ROW].to_numpy()):
            raise AssertionError(f"answers of {split} are not those of its rows")
        answers[split] = Answers(rows, from_frame(frame), digests[split])
    return HeldOut(answers, artifact.digest)

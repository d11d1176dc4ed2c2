"""Judge what a model that went on from an earlier one still knows: the tasks before, on their own test rows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from charter import plugins
from charter.audits.forgetting import EarlierTask, forgetting, forward_transfer
from charter.audits.resampling import Resampling
from charter.data.columns import ROW, Columns
from charter.models.base import load_tokenizer
from charter.models.carrying import untrained
from charter.models.inference import predict_outputs
from charter.pipeline.ancestry import Ancestor
from charter.pipeline.continuing import GoingOn
from charter.pipeline.exporting import Exported
from charter.pipeline.learning import Trained, model_libraries
from charter.pipeline.preparing import PreparedData
from charter.pipeline.progress import OnProgress, Progress
from charter.pipeline.replaying import EarlierData
from charter.release.manifest import ROOT_FORM
from charter.runs.digest import frame_digest
from charter.runs.findings import Finding, read_findings, write_findings
from charter.runs.run import Run
from charter.runs.store import Artifact, Stage
from charter.spec.model import Charter
from charter.tasks import restore
from charter.tasks.outputs import from_frame
from charter.tasks.task import Outputs, Task

RECALL, BEFORE = "recall", "judge before"
VERSION = 2
NEVER = -1e9
"""The logit of a class that a model does not have."""


def judge_earlier(
    run: Run,
    charter: Charter,
    going: GoingOn,
    ancestor: Ancestor | None,
    exported: Exported,
    on_progress: OnProgress,
) -> list[Finding]:
    """Forgetting and backward transfer of one released form over the tasks before; nothing where it goes on from none."""
    if ancestor is None or charter.continual is None:
        return []
    how, minimum_n = _how(charter)
    parts = [one.tested() if one.artifact is not None else None for one in going.earlier]
    stage = Stage(
        f"{RECALL} {exported.format}",
        VERSION,
        options=_options(charter, how, minimum_n),
        inputs={
            "model": exported.digest,
            "before": ancestor.bundle.manifest.digest,
            **{
                f"rows {at}": f"missing: {one.because}" if rows is None else frame_digest(rows)
                for at, (one, rows) in enumerate(zip(going.earlier, parts, strict=True))
            },
            **{
                f"answers {at}": str(one.about["answers"]) if _answers(run, one) is not None else "missing"
                for at, one in enumerate(going.earlier)
            },
            **{
                f"bundle {at}": str(one.about["digest"]) if one.bundle is not None else "missing"
                for at, one in enumerate(going.earlier)
            },
        },
        libraries=(*model_libraries(charter), "scipy", *exported.exporter.libraries),
        seed=charter.training.seed,
    )

    def make(files: Path, work: Path) -> None:
        del work

        def answered(model: "_Model", at: int) -> Outputs:
            rows = parts[at]
            assert rows is not None
            said = model.answers(
                rows,
                going.earlier[at].columns,
                lambda done, total: on_progress(Progress(stage.name, done, total)),
            )
            return in_classes(said, model.task.labels, exported.task.labels)

        asked = [at for at, rows in enumerate(parts) if rows is not None and rows.height]
        own = _on_record(run, going.earlier, parts, exported.task)
        others: dict[int, dict[str, Outputs]] = {at: {} for at in asked}
        for place, one in enumerate(
            going.earlier
        ):  # a model at a time: together they may be more than memory holds
            if one.bundle is None:
                continue
            model = _Model.of(one.bundle)
            for at in [at for at in asked if at >= place]:
                if at > place:
                    others[at][str(place)] = answered(model, at)
                elif at not in own:
                    own[at] = answered(model, at)
        now = _opened(exported, charter.model.max_length)
        tasks = [
            _earlier_task(one, parts[at], exported.task, own[at], others[at], answered(now, at))
            if at in own and at in asked
            else EarlierTask(one.name, because=one.because or _without(one, parts[at]))
            for at, one in enumerate(going.earlier)
        ]
        write_findings(
            files / "findings.jsonl", forgetting(tasks, how, of=exported.digest, minimum_n=minimum_n)
        )

    return read_findings(run.step(stage, make).path / "findings.jsonl")


def _without(one: EarlierData, rows: pl.DataFrame | None) -> str:
    """Why there is no evidence of an earlier task whose rows are at hand."""
    if rows is None or not rows.height:
        return "it has no test rows"
    return f"the answers of '{one.about['name']}' to its own test rows are not in this run store, and its bundle is not at hand"


def _earlier_task(
    one: EarlierData,
    rows: pl.DataFrame | None,
    task: Task,
    own: Outputs,
    others: Mapping[str, Outputs],
    now: Outputs,
) -> EarlierTask:
    """An earlier task with the answers of the model that had just learned it, of those since that are at hand, and of the new one."""
    assert rows is not None
    return EarlierTask(one.name, task, one.columns, rows, now, own, others, frame_digest(rows))


def _on_record(
    run: Run, earlier: Sequence[EarlierData], parts: Sequence[pl.DataFrame | None], task: Task
) -> dict[int, Outputs]:
    """By place: what older models answered to their own test rows when they were judged, where that is on record.

    The newest one's bundle is at hand, and is asked anew.
    """
    found = {}
    for at, (one, rows) in enumerate(zip(earlier, parts, strict=True)):
        artifact = _answers(run, one) if at and rows is not None else None
        if rows is None or artifact is None or not (artifact.path / "test.parquet").is_file():
            continue
        frame = pl.read_parquet(artifact.path / "test.parquet")
        frame = frame.filter(~pl.col(ROW).is_in(list(one.left_out)))
        if np.array_equal(frame[ROW].to_numpy(), rows[ROW].to_numpy()):
            found[at] = in_classes(from_frame(frame), tuple(one.about["classes"]), task.labels)
    return found


def _answers(run: Run, one: EarlierData) -> Artifact | None:
    return run.store.with_digest(str(one.about["answers"])) if one.about["answers"] else None


def judge_before(
    run: Run,
    charter: Charter,
    data: PreparedData,
    ancestor: Ancestor | None,
    trained: Trained,
    on_progress: OnProgress,
) -> list[Finding]:
    """Forward transfer: what the earlier model knew of the new test rows before it learned anything of them."""
    if ancestor is None or charter.continual is None:
        return []
    how, minimum_n = _how(charter)
    test, task, base = data.part("test"), trained.task, trained.base
    digest = frame_digest(test)
    stage = Stage(
        BEFORE,
        VERSION,
        options={
            **_options(charter, how, minimum_n),
            "classes": list(task.labels),
            "roles": data.columns.as_json(),
        },
        inputs={"before": base.digest, "bundle": ancestor.bundle.manifest.digest, "rows": digest},
        libraries=(*model_libraries(charter), "scipy"),
        seed=charter.training.seed,
    )

    def make(files: Path, work: Path) -> None:
        del work

        def tell(done: int, total: int) -> None:
            on_progress(Progress(BEFORE, done, total))

        theirs = _Model.of(ancestor)
        blank = _Model(
            untrained(base, task, charter.training.seed), task, theirs.tokenizer, charter.model.max_length
        )
        found = forward_transfer(
            task,
            data.columns,
            test,
            before=in_classes(theirs.answers(test, data.columns, tell), theirs.task.labels, task.labels),
            untrained=blank.answers(test, data.columns, tell),
            how=how,
            of=base.digest,
            on=digest,
            minimum_n=minimum_n,
        )
        write_findings(files / "findings.jsonl", [found])

    return read_findings(run.step(stage, make).path / "findings.jsonl")


class _Model:
    """A model that answers rows, whatever their columns are called."""

    def __init__(self, model: Any, task: Task, tokenizer: Any, max_length: int) -> None:
        self.task, self.tokenizer = task, tokenizer
        self._model, self._max_length = model, max_length

    @classmethod
    def of(cls, ancestor: Ancestor) -> "_Model":
        """The earlier model, as its bundle holds it."""
        ready = ancestor.bundle.preparation
        task, folder = restore(ready.task.model_dump()), ancestor.bundle.forms[ROOT_FORM]
        model = plugins.make("exporter", ROOT_FORM, {}).open(folder, task, None)
        return cls(model, task, load_tokenizer(folder, words=task.reads_words), ready.max_length)

    def answers(self, rows: pl.DataFrame, columns: Columns, on_batch: Any) -> Outputs:
        """The raw outputs of rows, in their order."""
        examples = self.task.examples(rows, columns, self.tokenizer, self._max_length, with_targets=False)
        return predict_outputs(self._model, self.task, examples, on_batch=on_batch)


def _opened(exported: Exported, max_length: int) -> _Model:
    model = exported.exporter.open(exported.folder, exported.task, None)
    tokenizer = load_tokenizer(exported.folder, words=exported.task.reads_words)
    return _Model(model, exported.task, tokenizer, max_length)


def in_classes(outputs: Outputs, theirs: tuple[str, ...], ours: tuple[str, ...]) -> Outputs:
    """Logits of some classes as logits of others: those that a model does not have it never answers."""
    if theirs == ours:
        return outputs
    places = [ours.index(label) for label in theirs if label in ours]
    known = [at for at, label in enumerate(theirs) if label in ours]
    found = np.full((len(outputs), len(ours)), NEVER, dtype=np.float32)
    found[:, places] = np.asarray(outputs, dtype=np.float32).reshape(len(outputs), -1)[:, known]
    return list(found)


def _how(charter: Charter) -> tuple[Resampling, int]:
    """As the charter's audit of performance makes its intervals; its defaults where the charter names none."""
    use = next((one for one in charter.audits if one.use == "performance"), None)
    told = plugins.resolve("audit", "performance", use.options if use is not None else {})
    return Resampling(told["resamples"], told["confidence"], charter.training.seed), told["minimum_n"]


def _options(charter: Charter, how: Resampling, minimum_n: int) -> dict[str, Any]:
    return {
        "resamples": how.resamples,
        "confidence": how.confidence,
        "minimum_n": minimum_n,
        "max_length": charter.model.max_length,
    }

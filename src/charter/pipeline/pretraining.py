"""Begin: the base that a run fine-tunes, as it is found, or further pre-trained on texts without labels."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from charter.audits.case import Answers, Case, FoldedTemperature
from charter.audits.performance import performance
from charter.data.columns import Columns
from charter.models.base import Base, find_base, load_model, load_tokenizer
from charter.models.inference import predict_outputs
from charter.models.world import World
from charter.pipeline.learning import Trained, train_model
from charter.pipeline.preparing import PreparedData, prepare_data
from charter.pipeline.progress import OnProgress, Progress
from charter.runs.digest import folder_digest, frame_digest
from charter.runs.findings import Finding, read_findings, write_findings
from charter.runs.run import Run
from charter.runs.store import Stage
from charter.spec.model import Charter, Model
from charter.spec.use import Use

PREPARE, LEARN, JUDGE = "prepare texts", "pretrain", "judge base"
VERSION = 1
AREA = "pretraining"


@dataclass(frozen=True)
class Begun:
    """The base that is fine-tuned. history, findings: how its pre-training went; nothing where there was none."""

    base: Base
    history: tuple[Mapping[str, Any], ...] = ()
    findings: tuple[Finding, ...] = ()


def begin_base(run: Run, charter: Charter, folder: Path, on_progress: OnProgress, world: World) -> Begun:
    """Find the charter's base and pre-train it further, where the charter says so.

    Raises:
        ModelError, DataError: the base can't be found or loaded; the texts can't be read, or don't fit it.
    """
    base = find_base(charter.model.base, charter.model.revision, folder)
    if charter.pretraining is None:
        return Begun(base)
    inner = pretraining_charter(charter)
    data = prepare_data(run, inner, folder, name=PREPARE)
    trained = train_model(
        run, inner, base, data, on_progress, _nobody, settings=inner.training, world=world, name=LEARN
    )
    place = trained.artifact.path / "model"
    learned = replace(
        find_base(str(place), None, folder), reference=f"{base.reference}, pre-trained on {inner.data_id}"
    )
    judged = _judged(run, inner, data, trained, on_progress)
    of_data = [replace(one, area=AREA, slice={**one.slice, "of": "texts"}) for one in data.findings]
    told = [replace(one, area=AREA) for one in trained.findings]
    return Begun(learned, trained.history, (*of_data, *told, *judged))


def pretraining_charter(charter: Charter) -> Charter:
    """The section `pretraining` as a charter of its own: its texts are the data, its objective the task."""
    asked = charter.pretraining
    if asked is None:
        raise ValueError("the charter has no section pretraining")
    return Charter.model_construct(
        **{
            **{name: getattr(charter, name) for name in Charter.model_fields},
            "data": asked.data(f"{charter.data_id}-texts"),
            "model": Model(
                base=charter.model.base, revision=charter.model.revision, max_length=asked.max_length
            ),
            "pretraining": None,
            "task": asked.objective,
            "training": asked.training,
            "audits": (Use(use="performance"),),
            "limits": (),
        }
    )


def _nobody(entry: Mapping[str, Any]) -> None:
    del entry


def _judged(
    run: Run, charter: Charter, data: PreparedData, trained: Trained, on_progress: OnProgress
) -> list[Finding]:
    """How surprised the pre-trained base is by texts that it has not learned from."""
    rows, place = data.part("test"), trained.artifact.path / "model"
    digest = frame_digest(rows)
    stage = Stage(
        JUDGE,
        VERSION,
        options={"max_length": charter.model.max_length, "task": trained.task.state()},
        inputs={"model": trained.artifact.digest, "rows": digest},
        libraries=("charter", "numpy", "tokenizers", "torch", "transformers"),
        seed=charter.training.seed,
    )

    def tell(done: int, total: int) -> None:
        on_progress(Progress(JUDGE, done, total))

    def make(files: Path, work: Path) -> None:
        del work
        tokenizer, columns = load_tokenizer(place), data.columns
        examples = trained.task.examples(rows, columns, tokenizer, charter.model.max_length)
        outputs = predict_outputs(load_model(place, trained.task), trained.task, examples, on_batch=tell)
        case = Case(
            of=folder_digest(place),
            task=trained.task,
            columns=Columns(columns.inputs, form=columns.form),
            train=rows.clear(),
            answers={"test": Answers(rows, outputs, digest)},
            temperature=FoldedTemperature(because="no temperature is fitted"),
            seed=charter.training.seed,
        )
        found = [replace(one, area=AREA) for one in performance()(case) if one.area == "performance"]
        write_findings(files / "findings.jsonl", found)

    return read_findings(run.step(stage, make).path / "findings.jsonl")

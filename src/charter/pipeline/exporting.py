"""Export: write the trained model in each form that is released; calibrate and settle each by its own answers.

A form is written uncalibrated, opened by its own engine as its users will, and answers the held-out rows. The temperature
that fits those answers is folded into its file; its task then settles (thresholds, intervals) on them. An integer form is
another model than the float one, so it never inherits either, as it never inherits evidence.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from charter import plugins
from charter.audits.case import FoldedTemperature
from charter.data.columns import SplitName
from charter.models.base import load_model, load_tokenizer
from charter.models.exports import Exportable, Exporter
from charter.models.inference import predict_outputs
from charter.pipeline.learning import ADAPTER, Trained, model_libraries
from charter.pipeline.preparing import PreparedData
from charter.pipeline.progress import OnProgress, Progress
from charter.runs.digest import folder_digest, folder_files, frame_digest
from charter.runs.files import write_json, write_text
from charter.runs.run import Run
from charter.runs.store import Artifact, Stage
from charter.spec.model import Charter
from charter.tasks import restore
from charter.tasks.task import HeldOut, Task
from charter.tasks.temperature import fit_temperature

VERSION = 4
MOST_ROWS = 256
"""Training rows that an exporter is given at most, drawn by the training seed."""
FITTED_ON: tuple[tuple[SplitName, ...], ...] = (("calibration",), ("calibration", "validation"))
"""The rows that a temperature is fitted on: the first of these that are enough. Validation chose the checkpoint only."""


@dataclass(frozen=True)
class Exported:
    """A released form of the model. `temperature` is folded into its files.

    `digest` is of the form's own files, as they lie in a bundle: findings are tied to the weights by it. `task` is
    settled: it holds the thresholds or intervals that fit this form's very outputs.
    facts: how the temperature was fitted; written: what the exporter found out; bytes: the size of the files; base: the folder
    of the base that it was made from.
    """

    artifact: Artifact
    format: str
    exporter: Exporter
    folder: Path
    digest: str
    task: Task
    temperature: FoldedTemperature
    facts: Mapping[str, Any]
    written: Mapping[str, Any]
    base: Path

    def opened(self, threads: int | None) -> Any:
        """What its task calls as its model."""
        return self.exporter.opened(self.folder, self.task, threads, (self.base,))

    @property
    def bytes(self) -> int:
        """The size of the form's files."""
        return sum(path.stat().st_size for path in folder_files(self.folder).values())


def export_model(
    run: Run,
    charter: Charter,
    data: PreparedData,
    trained: Trained,
    format_name: str,
    on_progress: OnProgress,
) -> Exported:
    """Write one form, and calibrate it by temperature when a calibration audit is asked for.

    Raises:
        ModelError: the model can't be written in this form.
    """
    exporter: Exporter = plugins.make("exporter", format_name, {})
    calibrated = any(use.use == "calibration" for use in charter.audits)
    parts: dict[SplitName, pl.DataFrame] = {split: data.part(split) for split in FITTED_ON[-1]}
    if exporter.reads_rows:
        parts["train"] = data.part("train")
    stage = Stage(
        f"export {format_name}",
        VERSION,
        options={
            "format": format_name,
            "calibrated": calibrated,
            "max_length": charter.model.max_length,
            "roles": data.columns.as_json(),
            **(
                {}
                if exporter.open_on is None
                else {"base": trained.base.reference, "revision": charter.model.revision}
            ),
        },
        inputs={
            "model": trained.artifact.digest,
            **{str(split): frame_digest(rows) for split, rows in parts.items()},
        },
        libraries=(
            *model_libraries(charter),
            *exporter.libraries,
            plugins.distribution("exporter", format_name),
        ),
        seed=charter.training.seed if exporter.reads_rows else None,
    )

    def tell(done: int, total: int) -> None:
        on_progress(Progress(stage.name, done, total))

    def make(files: Path, work: Path) -> None:
        del work
        folder = files / "model"
        given = _exportable(charter, data, trained)
        write_json(files / "written.json", exporter.export(given, folder))
        model = exporter.opened(folder, trained.task, None, (trained.base.folder,))
        held_out = _Answering(model, given.tokenizer, charter.model.max_length, data, trained.task, tell)
        facts: dict[str, Any] = {"value": 1.0, "because": "no calibration audit is asked for"}
        if calibrated:
            facts = _fitted(held_out, data, trained.task)
        task = trained.task.settle(held_out.at(facts["value"]), data.columns)
        exporter.fold(folder, trained.task, facts["value"])
        if format_name == "safetensors":  # the form that other libraries read
            for name, content in task.companions(given.model.config, charter.model.max_length).items():
                write_text(folder / name, content)
        write_json(files / "temperature.json", facts)
        write_json(files / "task.json", task.state())

    artifact = run.step(stage, make)
    facts = json.loads((artifact.path / "temperature.json").read_text(encoding="utf-8"))
    written = json.loads((artifact.path / "written.json").read_text(encoding="utf-8"))
    folder = artifact.path / "model"
    known = {
        name: facts[name]
        for name in ("value", "splits", "decisions", "digest", "because", "doubt")
        if name in facts
    }
    task = restore(json.loads((artifact.path / "task.json").read_text(encoding="utf-8")))
    return Exported(
        artifact,
        format_name,
        exporter,
        folder,
        folder_digest(folder),
        task,
        FoldedTemperature(**known),
        facts,
        written,
        trained.base.folder,
    )


def _exportable(charter: Charter, data: PreparedData, trained: Trained) -> Exportable:
    """The trained model with a sample of its training rows."""
    source, seed, length = trained.artifact.path / "model", charter.training.seed, charter.model.max_length
    model, tokenizer = load_model(source, trained.task), load_tokenizer(source)
    rows = data.part("train")
    sample = rows.sample(min(MOST_ROWS, rows.height), seed=seed, shuffle=True)
    examples = trained.task.examples(sample, data.columns, tokenizer, length, with_targets=False)
    adapter = trained.artifact.path / ADAPTER
    return Exportable(
        model,
        tokenizer,
        trained.task,
        examples,
        length,
        seed,
        base=trained.base,
        revision=charter.model.revision,
        adapter=adapter if adapter.is_dir() else None,
    )


class _Answering:
    """The trained model's outputs on held-out rows, made once for each split that is asked for."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        max_length: int,
        data: PreparedData,
        task: Task,
        on_batch: Callable[[int, int], None],
    ) -> None:
        self._model, self._tokenizer, self._max_length = model, tokenizer, max_length
        self._data, self._task, self._on_batch = data, task, on_batch
        self._made: dict[SplitName, HeldOut] = {}

    def __call__(self, split: SplitName) -> HeldOut:
        """The rows of a split and the outputs before any temperature."""
        if split not in self._made:
            rows = self._data.part(split)
            examples = self._task.examples(rows, self._data.columns, self._tokenizer, self._max_length)
            outputs = predict_outputs(
                self._model,
                self._task,
                examples,
                on_batch=self._on_batch,
            )
            self._made[split] = HeldOut(rows, outputs)
        return self._made[split]

    def at(self, temperature: float) -> Callable[[SplitName], HeldOut]:
        """The same as the released model says it, whose logits are divided by `temperature`."""

        def released(split: SplitName) -> HeldOut:
            if split not in FITTED_ON[-1]:
                raise AssertionError(f"nothing is fitted on the {split} split")
            one = self(split)
            return HeldOut(one.rows, self._task.tempered(one.outputs, temperature))

        return released


def _fitted(held_out: _Answering, data: PreparedData, task: Task) -> dict[str, Any]:
    """The temperature and how it was fitted, on the first set of splits that has enough decisions of each kind."""
    facts: dict[str, Any] = {"value": 1.0, "because": "no row is left to fit it on"}
    for splits in FITTED_ON:
        parts = [held_out(split) for split in splits]
        rows = pl.concat([one.rows for one in parts])
        if not rows.height:
            continue
        outputs = [output for one in parts for output in one.outputs]
        fitted = fit_temperature(task, outputs, rows, data.columns)
        facts = {
            "value": fitted.value,
            "splits": f"the {' and '.join(splits)} split{'s' if len(splits) > 1 else ''}",
            "decisions": fitted.decisions,
            "digest": frame_digest(rows),
            "nll_before": fitted.nll_before,
            "nll_after": fitted.nll_after,
            "because": fitted.because,
            "doubt": fitted.doubt,
        }
        if not fitted.because and not fitted.doubt:
            break
    return facts

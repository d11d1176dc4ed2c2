"""Export: calibrate the trained model, settle its task, and write it in the form that is released."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from charter import plugins
from charter.audits.case import FoldedTemperature
from charter.data.columns import SplitName
from charter.models.base import load_model, load_tokenizer
from charter.models.folding import fold_temperature
from charter.models.inference import predict_outputs
from charter.pipeline.learning import Trained, model_libraries
from charter.pipeline.preparing import PreparedData
from charter.pipeline.progress import OnProgress, Progress
from charter.runs.digest import folder_digest, frame_digest
from charter.runs.files import write_json
from charter.runs.run import Run
from charter.runs.store import Artifact, Stage
from charter.spec.model import Charter
from charter.tasks import restore
from charter.tasks.task import HeldOut, Task
from charter.tasks.temperature import fit_temperature

VERSION = 3
FITTED_ON: tuple[tuple[SplitName, ...], ...] = (("calibration",), ("calibration", "validation"))
"""The rows that a temperature is fitted on: the first of these that are enough. Validation chose the checkpoint only."""


@dataclass(frozen=True)
class Exported:
    """A released form of the model; `folder` opens in transformers. `temperature` is folded into its weights.

    `digest` is of the model's own files, as they lie in a bundle: findings are tied to the weights by it. `task` is
    settled: it holds the thresholds or intervals that fit these very outputs.
    """

    artifact: Artifact
    format: str
    folder: Path
    digest: str
    task: Task
    temperature: FoldedTemperature
    facts: Mapping[str, Any]


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
    parts = {split: data.part(split) for split in FITTED_ON[-1]}
    stage = Stage(
        "export",
        VERSION,
        options={
            "format": format_name,
            "calibrated": calibrated,
            "max_length": charter.model.max_length,
            "roles": data.columns.as_json(),
        },
        inputs={
            "model": trained.artifact.digest,
            **{str(split): frame_digest(rows) for split, rows in parts.items()},
        },
        libraries=model_libraries(charter),
    )

    def make(files: Path, work: Path) -> None:
        del work
        source = trained.artifact.path / "model"
        model, tokenizer = load_model(source, trained.task), load_tokenizer(source)
        held_out = _Answering(model, tokenizer, charter.model.max_length, data, trained.task, on_progress)
        facts: dict[str, Any] = {"value": 1.0, "because": "no calibration audit is asked for"}
        if calibrated:
            facts = _fitted(held_out, data, trained.task)
        task = trained.task.settle(held_out.at(facts["value"]), data.columns)
        fold_temperature(model, facts["value"])
        plugins.make("exporter", format_name, {}).export(model, tokenizer, files / "model")
        write_json(files / "temperature.json", facts)
        write_json(files / "task.json", task.state())

    artifact = run.step(stage, make)
    facts = json.loads((artifact.path / "temperature.json").read_text(encoding="utf-8"))
    folder = artifact.path / "model"
    known = {
        name: facts[name] for name in ("value", "splits", "decisions", "digest", "because") if name in facts
    }
    task = restore(json.loads((artifact.path / "task.json").read_text(encoding="utf-8")))
    return Exported(
        artifact, format_name, folder, folder_digest(folder), task, FoldedTemperature(**known), facts
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
        on_progress: OnProgress,
    ) -> None:
        self._model, self._tokenizer, self._max_length = model, tokenizer, max_length
        self._data, self._task, self._on_progress = data, task, on_progress
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
                on_batch=lambda done, total: self._on_progress(Progress("export", done, total)),
            )
            self._made[split] = HeldOut(rows, outputs)
        return self._made[split]

    def at(self, temperature: float) -> Callable[[SplitName], HeldOut]:
        """The same as the released model says it, whose logits are divided by `temperature`."""

        def released(split: SplitName) -> HeldOut:
            if split not in FITTED_ON[-1]:
                raise AssertionError(f"nothing is fitted on the {split} split")
            one = self(split)
            return HeldOut(one.rows, [output / np.float32(temperature) for output in one.outputs])

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
        }
        if not fitted.because:
            break
    return facts

"""Export: calibrate the trained model and write it in the form that is released."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
from charter.tasks.temperature import fit_temperature

VERSION = 2
FITTED_ON: tuple[tuple[SplitName, ...], ...] = (("calibration",), ("calibration", "validation"))
"""The rows that a temperature is fitted on: the first of these that are enough. Validation chose the checkpoint only."""


@dataclass(frozen=True)
class Exported:
    """A released form of the model; `folder` opens in transformers. `temperature` is folded into its weights.

    `digest` is of the model's own files, as they lie in a bundle: findings are tied to the weights by it.
    """

    artifact: Artifact
    format: str
    folder: Path
    digest: str
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
    parts = {split: data.part(split) for split in FITTED_ON[-1] if calibrated}
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
        facts: dict[str, Any] = {"value": 1.0, "because": "no calibration audit is asked for"}
        if calibrated:
            facts = _fitted(model, tokenizer, charter, data, trained, on_progress)
            fold_temperature(model, facts["value"])
        plugins.make("exporter", format_name, {}).export(model, tokenizer, files / "model")
        write_json(files / "temperature.json", facts)

    artifact = run.step(stage, make)
    facts = json.loads((artifact.path / "temperature.json").read_text(encoding="utf-8"))
    folder = artifact.path / "model"
    known = {
        name: facts[name] for name in ("value", "splits", "decisions", "digest", "because") if name in facts
    }
    return Exported(artifact, format_name, folder, folder_digest(folder), FoldedTemperature(**known), facts)


def _fitted(
    model: Any,
    tokenizer: Any,
    charter: Charter,
    data: PreparedData,
    trained: Trained,
    on_progress: OnProgress,
) -> dict[str, Any]:
    """The temperature and how it was fitted, on the first set of splits that has enough decisions of each kind."""
    facts: dict[str, Any] = {"value": 1.0, "because": "no row is left to fit it on"}
    for splits in FITTED_ON:
        rows = pl.concat([data.part(split) for split in splits])
        if not rows.height:
            continue
        examples = trained.task.examples(rows, data.columns, tokenizer, charter.model.max_length)
        outputs = predict_outputs(
            model,
            trained.task,
            examples,
            on_batch=lambda done, total: on_progress(Progress("export", done, total)),
        )
        fitted = fit_temperature(trained.task, outputs, rows, data.columns)
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

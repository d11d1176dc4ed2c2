"""The model card, in the Hugging Face hub's format: metrics in its metadata, the verdict and its limits in its text."""

from collections.abc import Mapping
from typing import Any

from charter.release.record import Record
from charter.runs.findings import Finding

PIPELINES = {"classification": "text-classification", "token_classification": "token-classification"}


def card(record: Record, preparation: Mapping[str, Any]) -> str:
    """A bundle's README.md."""
    from huggingface_hub import EvalResult, ModelCardData

    charter = record.charter
    kind = PIPELINES[charter.task.use]
    results = [
        EvalResult(
            task_type=kind,
            dataset_type=charter.data_id,
            dataset_name=charter.data_id,
            dataset_split="test",
            metric_type=one.metric,
            metric_name=one.metric,
            metric_value=round(one.value, 4),
        )
        for one in _main(record)
        if one.value is not None
    ]
    data = ModelCardData(
        license="other",
        library_name="transformers",
        pipeline_tag=kind,
        base_model=charter.model.base
        if "/" in charter.model.base and not charter.model.base.startswith((".", "/"))
        else None,
        model_name=charter.name,
        eval_results=results,
        tags=["charter", "released" if record.status == "released" else "refused"],
    )
    return f"---\n{data.to_yaml()}\n---\n\n" + "\n".join(_text(record, preparation)) + "\n"


def _main(record: Record) -> list[Finding]:
    """The scores over all test rows."""
    chosen = [one for one in record.findings if one.area in ("performance", "calibration") and not one.slice]
    return [one for one in chosen if one.metric not in ("confusion", "temperature")]


def _text(record: Record, preparation: Mapping[str, Any]) -> list[str]:
    charter, purpose = record.charter, record.charter.purpose
    lines = [f"# {charter.name}", ""]
    if record.status != "released":
        lines += [
            "> **REFUSED.** A limit of its charter was not kept. This draft is for study and must not be used.",
            "",
        ]
    lines += ["## Purpose", "", purpose.intended_use or "Not stated.", ""]
    lines += [f"- Affected: {purpose.affected or 'not stated'}", f"- Risk: {purpose.risk}"]
    lines += [f"- Not for: {', '.join(purpose.not_for) or 'not stated'}", "", "## Limits", ""]
    lines += ["| limit | outcome | because |", "|---|---|---|"]
    lines += [
        f"| `{one.limit}` | {one.outcome} | {one.because} |".replace("\n", " ") for one in record.verdicts
    ]
    lines += ["", "## Scores on the test split", "", "| metric | value | interval | n |", "|---|---|---|---|"]
    for one in _main(record):
        if one.value is not None:
            ends = (
                ""
                if one.low is None or one.high is None
                else f"{one.low:.3f} to {one.high:.3f} ({one.confidence:.0%})"
            )
            lines.append(f"| {one.metric} | {one.value:.3f} | {ends} | {one.n} |")
    uses = ", ".join(str(use["use"]) for use in preparation["prepare"]) or "none"
    lines += [
        "",
        "The whole evidence: `charter/report.html`, `charter/findings.jsonl`; where it comes from: `charter/provenance.json`.",
        "",
        "## Use",
        "",
        f'`charter predict FOLDER --text "..."` runs the preparations ({uses}) and then the model.',
        "Plain transformers opens this folder too and gives the same probabilities for the same text, but does **without the",
        "preparations**: nothing is repaired or masked.",
        "",
        "```python",
        "from transformers import pipeline",
        f'pipeline("{PIPELINES[charter.task.use]}", model="FOLDER")',
        "```",
        "",
        f"Data: {charter.data_id}, licence {charter.data.licence or 'not stated'}. Base: {charter.model.base}. "
        "Trained without differential privacy.",
    ]
    return lines

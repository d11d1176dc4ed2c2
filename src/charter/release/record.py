"""The record of a judged run: one value that the report, the card and the bundle are views of."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from charter.errors import StoreError
from charter.release.judge import Verdict
from charter.runs.files import read_json, write_json
from charter.runs.findings import Finding, read_finding
from charter.runs.run import PastRun, find_run, list_runs, run_name
from charter.runs.store import Store
from charter.spec.model import Charter

Status = Literal["released", "refused", "draft", "sweep"]
RECORD = "record.json"
"""A judged run's record in its folder, and in a bundle's `charter` folder."""


@dataclass(frozen=True, repr=False)
class Record:
    """What a run came to.

    status: released; refused; draft (refused, and packed all the same, marked so); or sweep (a point of one, never released).
    history: how it learned, `{"kind": "loss" | "evaluation", "step": ...}` in order of steps.
    stages: the run's stages with key, digest, seconds and whether it was reused.
    judged_before: how many other charters were judged before on this test split (`this_split`) and on this data
    (`this_data`), and which (`charters`).
    datasheet: a person's answers to the datasheet's questions, {"file": name, "answers": {section: {question: text}}}.
    examples: misjudged test rows with masked text, where the charter asks for them; else None, and no row's text is
    in the record.
    """

    charter: Charter
    status: Status
    run_id: str
    created: str
    verdicts: tuple[Verdict, ...]
    findings: tuple[Finding, ...]
    provenance: Mapping[str, Any]
    history: tuple[Mapping[str, Any], ...]
    stages: tuple[Mapping[str, Any], ...]
    judged_before: Mapping[str, Any]
    examples: Mapping[str, Any] | None = None
    datasheet: Mapping[str, Any] | None = None

    def __repr__(self) -> str:
        kept = sum(one.outcome == "kept" for one in self.verdicts)
        return f"<Record of {self.run_id}: {self.status}, {kept} of {len(self.verdicts)} limits kept>"

    def _repr_html_(self) -> str:
        from charter.release.report.notebook import record_html

        return record_html(self)

    def as_json(self) -> dict[str, Any]:
        """The record as JSON; `read_record` reads it back to an equal value."""
        value = {
            "format": 1,
            "status": self.status,
            "run_id": self.run_id,
            "created": self.created,
            "charter": self.charter.model_dump(mode="json"),
            "verdicts": [verdict.as_json() for verdict in self.verdicts],
            "findings": [finding.as_json() for finding in self.findings],
            "provenance": dict(self.provenance),
            "history": [dict(entry) for entry in self.history],
            "stages": [dict(stage) for stage in self.stages],
            "judged_before": dict(self.judged_before),
        }
        told = {"examples": self.examples, "datasheet": self.datasheet}
        return {**value, **{name: dict(one) for name, one in told.items() if one is not None}}


def write_record(path: Path, record: Record) -> None:
    """Write a record as JSON."""
    write_json(path, record.as_json())


def read_record(path: Path) -> Record:
    """Read a record written by `write_record`.

    Raises:
        StoreError: the file is missing, cut off or no record.
    """
    try:
        value = read_json(path)
        if value["status"] not in get_args(Status):
            raise ValueError("status")
        return Record(
            charter=Charter.model_validate(value["charter"]),
            status=value["status"],
            run_id=value["run_id"],
            created=value["created"],
            verdicts=tuple(read_verdict(one) for one in value["verdicts"]),
            findings=tuple(read_finding(one) for one in value["findings"]),
            provenance=value["provenance"],
            history=tuple(value["history"]),
            stages=tuple(value["stages"]),
            judged_before=value["judged_before"],
            examples=value.get("examples"),
            datasheet=value.get("datasheet"),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{path} is not a record of a run ({type(error).__name__}); it was changed or cut off. "
            "Run the charter again: its stages are reused"
        ) from None


def read_verdict(value: Mapping[str, Any]) -> Verdict:
    """A verdict from its JSON."""
    finding = value.get("finding")
    return Verdict(
        limit=value["limit"],
        judge=value["judge"],
        outcome=value["outcome"],
        because=value["because"],
        finding=None if finding is None else read_finding(finding),
        unjudged=tuple(value.get("unjudged", ())),
        form=value.get("form", ""),
    )


def newest_judged(store: Store, name: str | None = None) -> PastRun:
    """The newest run that was judged (of a charter's name).

    Raises:
        StoreError: there is none, with the names that there are.
    """
    runs = [run for run in list_runs(store) if name is None or run.name == run_name(name)]
    judged = [run for run in runs if (run.folder / RECORD).exists()]
    if judged:
        return judged[-1]
    if runs:
        raise StoreError(
            f"run {runs[-1].id} ended as '{runs[-1].status}' before it was judged: it has no report"
        )
    known = [run.name for run in list_runs(store) if (run.folder / RECORD).exists()]
    if not known:
        find_run(store, name=name)  # says where it looked
    raise StoreError(
        f"'{name}' is no judged run, run folder, bundle or charter here; {store.root} has judged runs of: "
        f"{', '.join(dict.fromkeys(known))}. `charter runs` lists them all"
    )

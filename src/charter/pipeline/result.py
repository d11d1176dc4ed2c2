"""How a run ended: what `charter.run` gives back."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charter.release.displays import Findings, Plots, Verdicts, plots_of
from charter.release.record import RECORD, Record, read_record
from charter.release.report.notebook import record_html


@dataclass(frozen=True, repr=False)
class Result:
    """How a run ended. `bundle` is None when nothing was packed; `report` is the HTML page."""

    run_id: str
    folder: Path
    record: Record
    report: Path
    bundle: Path | None

    @property
    def released(self) -> bool:
        """Whether every limit was kept, so that the model was released."""
        return self.record.status == "released"

    @property
    def findings(self) -> Findings:
        """Everything that was measured, to be filtered, read as a table, shown in a notebook."""
        return Findings(self.record.findings, self.record.charter.report.language)

    @property
    def verdicts(self) -> Verdicts:
        """Every limit's verdict."""
        return Verdicts(self.record.verdicts, self.record.charter.report.language)

    @property
    def plots(self) -> Plots:
        """The report's plots by name."""
        return plots_of(self.record)

    def __repr__(self) -> str:
        return f"<Result of {self.run_id}: {self.record.status}; report {self.report}>"

    def _repr_html_(self) -> str:
        bundle = [("term_bundle", str(self.bundle))] if self.bundle is not None else []
        return record_html(self.record, paths=[("term_report", str(self.report)), *bundle])


def found(told: Mapping[str, Any]) -> Result:
    """The result of a run that was made elsewhere."""
    record = read_record(Path(told["folder"]) / RECORD)
    bundle = None if told["bundle"] is None else Path(told["bundle"])
    return Result(record.run_id, Path(told["folder"]), record, Path(told["report"]), bundle)

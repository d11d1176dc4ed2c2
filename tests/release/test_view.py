"""The first lines of a report: what was measured on what, in both languages."""

import dataclasses

from charter.release.report.view import first_lines
from charter.release.report.wording import Wording
from charter.runs.findings import Finding


def test_rows_that_preparation_made_are_told_beside_those_learned_from(silent_run):
    record = silent_run.result.record
    made = Finding("data", "rows_added", 40.0, slice={"preparation": "balance", "kind": "repeated"})
    padded = dataclasses.replace(record, findings=(*record.findings, made))
    assert "copies or variants" not in first_lines(record, Wording("en"))[0]
    assert "had added 40 copies or variants" in first_lines(padded, Wording("en"))[0]
    assert "增添的 40 行" in first_lines(padded, Wording("zh"))[0]

"""The report: a summary for the terminal, one self-contained HTML page, and the evidence as JSON."""

from typing import Any

from charter.release.record import Record
from charter.release.report.page import render
from charter.release.report.view import Block, Summary, summary
from charter.release.report.words import Language

__all__ = ["Block", "Language", "Summary", "as_json", "render", "summary"]


def as_json(record: Record) -> dict[str, Any]:
    """The whole record as JSON."""
    return record.as_json()

"""Spec: the charter file, read into one frozen Charter."""

from pathlib import Path

from charter.spec.check import Checked, check, check_with_notes
from charter.spec.document import at_its_line, parse_document, read_document
from charter.spec.model import Charter
from charter.spec.schema import json_schema
from charter.spec.writing import written

__all__ = [
    "Charter",
    "Checked",
    "at_its_line",
    "check",
    "check_with_notes",
    "json_schema",
    "parse_document",
    "read",
    "read_with_notes",
    "written",
]


def read(path: Path) -> Charter:
    """Read and check a charter file.

    Raises:
        CharterFileError: with every problem of the file, each with its line.
    """
    return check(read_document(path))


def read_with_notes(path: Path) -> Checked:
    """As `read`, with the notes on a charter that is right: what keeps its model from being released, what is still to be said.

    Raises:
        CharterFileError: with every problem of the file, each with its line.
    """
    return check_with_notes(read_document(path))

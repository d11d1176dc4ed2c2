"""Spec: the charter file, read into one frozen Charter."""

from pathlib import Path

from charter.spec.check import check
from charter.spec.document import parse_document, read_document
from charter.spec.model import Charter
from charter.spec.schema import json_schema
from charter.spec.writing import written

__all__ = ["Charter", "check", "json_schema", "parse_document", "read", "written"]


def read(path: Path) -> Charter:
    """Read and check a charter file.

    Raises:
        CharterFileError: with every problem of the file, each with its line.
    """
    return check(read_document(path))

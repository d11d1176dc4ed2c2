"""What the prepared data is made of: its files and its columns, as a record keeps them. No value of a row."""

from typing import Any

import polars as pl

from charter.runs.store import Artifact

TYPES: dict[str, str] = {
    "String": "sc:Text",
    "Boolean": "sc:Boolean",
    "Date": "sc:Date",
    "Datetime": "sc:DateTime",
    "Float32": "cr:Float32",
    "Float64": "cr:Float64",
    **{f"{sign}Int{bits}": f"cr:{sign}Int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)},
}
"""Polars' types -> Croissant's (MLCommons Croissant 1.1, data types)."""


def prepared_facts(artifact: Artifact) -> dict[str, Any]:
    """The row files of a prepared data set and their columns.

    Returns:
        {"files": {name: {"sha256": ..., "bytes": ...}}, "columns": [{"name", "type", "repeated", "columns"}]}; a type is one
        of Croissant's, "" for a column that holds columns.
    """
    names = sorted(
        name for name in artifact.record["files"] if name.startswith("rows") and name.endswith(".parquet")
    )
    files = {
        name: {"sha256": artifact.record["files"][name], "bytes": (artifact.path / name).stat().st_size}
        for name in names
    }
    schema = pl.read_parquet_schema(artifact.path / names[0])
    return {"files": files, "columns": [_column(name, kind) for name, kind in schema.items()]}


def _column(name: str, kind: Any) -> dict[str, Any]:
    repeated = isinstance(kind, pl.List | pl.Array)
    inner = kind.inner if repeated else kind
    inside = (
        [_column(field.name, field.dtype) for field in inner.fields] if isinstance(inner, pl.Struct) else []
    )
    known = "" if inside else TYPES.get(str(inner.base_type()), "sc:Text")
    return {"name": name, "type": known, "repeated": repeated, "columns": inside}

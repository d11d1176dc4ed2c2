"""The first stage: raw data in, prepared and split rows out, every row accounted for."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from charter import plugins
from charter.data.columns import ROW, SPLIT, Columns
from charter.data.pii import personal_kinds
from charter.data.preparation import prepare
from charter.data.profile import profile
from charter.data.reading import (
    check_rejects,
    is_volatile,
    read_source,
    sample_rows,
    source_digest,
    write_rejects,
)
from charter.data.split import divide, random_split_leakage
from charter.errors import DataError
from charter.runs.digest import frame_digest, value_digest
from charter.runs.files import write_json, write_table
from charter.runs.findings import Finding, read_findings, write_findings
from charter.runs.run import Run
from charter.runs.store import Artifact, Stage
from charter.spec.model import Charter, Use

VERSION = 3
LIBRARIES = ("charter", "ftfy", "numpy", "polars", "pyarrow")


@dataclass(frozen=True)
class PreparedData:
    """The prepared rows of a run. `test_digest` names the test split by its rows' place in the source."""

    artifact: Artifact
    rows: pl.DataFrame
    columns: Columns
    findings: tuple[Finding, ...]
    test_digest: str

    def part(self, split: str) -> pl.DataFrame:
        """The rows of one split, in the order of the source."""
        return self.rows.filter(pl.col(SPLIT) == split)


def prepare_data(run: Run, charter: Charter, folder: Path) -> PreparedData:
    """Read, check, sample, prepare and split the charter's data.

    Raises:
        DataError: the source can't be read, too many of its rows are bad, or the split leaves nothing to learn from.
    """
    columns = Columns.of(charter.data)
    source = source_digest(charter.data, folder)
    stage = Stage(
        "prepare",
        VERSION,
        options=_options(charter),
        inputs={"source": source},
        libraries=(*LIBRARIES, *distributions(charter.data.prepare, "preparation")),
        seed=charter.data.split.seed,
    )

    def make(files: Path, work: Path) -> None:
        del work  # preparation is short: it starts anew
        _prepare(charter, columns, folder, files, run)
        if is_volatile(charter.data, folder) and source_digest(charter.data, folder) != source:
            raise DataError("data.source changed while it was read, so nobody could say what was; run again")

    artifact = run.step(stage, make)
    rejects = run.folder / "rejects.jsonl"
    if not rejects.exists():  # the stage was reused
        shutil.copyfile(artifact.path / "rejects.jsonl", rejects)
    rows = pl.read_parquet(artifact.path / "rows.parquet")
    test_rows = rows.filter(pl.col(SPLIT) == "test")[ROW].to_list()
    return PreparedData(
        artifact,
        rows,
        columns,
        tuple(read_findings(artifact.path / "findings.jsonl")),
        test_digest=value_digest({"source": source, "rows": sorted(test_rows)}),
    )


def _options(charter: Charter) -> dict[str, Any]:
    data = charter.data.model_dump(
        mode="json",
        include={"inputs", "target", "groups", "subject", "encoding", "max_rows", "max_bad_rows", "split"},
    )
    return {**data, "prepare": resolved(charter.data.prepare, "preparation")}


def resolved(uses: tuple[Use, ...], kind: plugins.Kind) -> list[dict[str, Any]]:
    """Plug-ins with every option filled in, as JSON: what an artefact's key holds of them."""
    return [
        {"use": use.use, **json.loads(json.dumps(plugins.resolve(kind, use.use, use.options), default=list))}
        for use in uses
    ]


def distributions(uses: tuple[Use, ...], kind: plugins.Kind) -> tuple[str, ...]:
    """The distributions that plug-ins come from: their versions belong into an artefact's key."""
    return tuple({plugins.distribution(kind, use.use) for use in uses} - {"charter"})


def _prepare(charter: Charter, columns: Columns, folder: Path, files: Path, run: Run) -> None:
    read = read_source(charter.data, folder)
    write_rejects(files / "rejects.jsonl", read.rejects)
    rejects_file = run.folder / "rejects.jsonl"
    write_rejects(rejects_file, read.rejects)
    check_rejects(read, charter.data.max_bad_rows, rejects_file)
    frame = read.frame
    dropped = pl.DataFrame(schema={ROW: pl.Int64, "by": pl.String, "reason": pl.String})
    if charter.data.max_rows is not None and frame.height > charter.data.max_rows:
        sample = sample_rows(frame, columns, charter.data.max_rows, charter.data.split.seed)
        frame = sample.frame
        dropped = sample.dropped.select(ROW, pl.lit("max_rows").alias("by"), "reason")
    check_roles(frame, columns, charter.data.prepare)
    naive = random_split_leakage(frame, columns, charter.data.split)
    prepared = prepare(frame, columns, charter.data.prepare)
    divided = divide(prepared.frame, columns, charter.data.split)
    for note in divided.notes:
        run.note("prepare", note)
    rows = divided.frame
    dropped = pl.concat([dropped, prepared.dropped]).sort(ROW)
    on = frame_digest(rows)
    findings = [*profile(read, prepared, rows, columns, on=on), *divided.findings, *naive]
    if charter.data.max_rows is not None:
        findings.append(_not_sampled(dropped, read.records, on))
    write_table(files / "rows.parquet", rows)
    write_table(files / "dropped.parquet", dropped)
    write_findings(files / "findings.jsonl", findings)
    write_json(files / "counts.json", {name: dict(counts) for name, counts in prepared.counts})


def check_roles(frame: pl.DataFrame, columns: Columns, uses: tuple[Use, ...]) -> None:
    """Refuse personal data where it would stand in artefacts, findings and the report, although masking is asked for.

    Raises:
        DataError: a group or target column whose values hold some, with their kinds and counts.
    """
    if all(use.use != "mask_pii" for use in uses):
        return
    for key, column in [*(("data.groups", one) for one in columns.groups), ("data.target", columns.target)]:
        if column is None or column not in frame.columns or frame.schema[column] != pl.String:
            continue
        found = personal_kinds(frame[column].to_list())
        if found:
            kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(found.items()))
            raise DataError(
                f"{key} '{column}': its values hold personal data ({kinds}), which would stand in the evidence; "
                "mask_pii covers inputs only. Name another column, or write codes into this one"
            )


def _not_sampled(dropped: pl.DataFrame, records: int, on: str) -> Finding:
    left_out = dropped.filter(pl.col("by") == "max_rows").height
    return Finding(
        "data",
        "rows_dropped",
        float(left_out),
        n=records,
        slice={"preparation": "max_rows", "reason": "left out by sampling"},
        method="count",
        unit="rows",
        on=on,
    )


def row_wise_uses(charter: Charter) -> list[Mapping[str, Any]]:
    """The preparations that run again on new rows, with every option filled in."""
    found: list[Mapping[str, Any]] = []
    for use, full in zip(charter.data.prepare, resolved(charter.data.prepare, "preparation"), strict=True):
        if plugins.make("preparation", use.use, use.options).row_wise:
            found.append(full)
    return found

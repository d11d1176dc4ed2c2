"""The first stage: raw data in, prepared and split rows out, every row accounted for."""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.compute
import pyarrow.parquet

from charter import plugins
from charter.data import table
from charter.data.columns import ROW, SPLIT, Columns
from charter.data.engines import engine_of
from charter.data.leakage import random_split_leakage
from charter.data.passes import PreparedRows, prepare_divided, prepare_rows
from charter.data.preparation import Preparation, made_preparations, no_drops, prepare_again
from charter.data.preparations.pii import check_key_outside, personal_kinds, unread_notes
from charter.data.profile import Tally, profile
from charter.data.reading import (
    ReadAccount,
    check_rejects,
    is_volatile,
    rejects_text,
    sample_rows,
    source_digest,
    stream_source,
)
from charter.data.rows import Rows
from charter.data.split import divide, fractions_of
from charter.errors import DataError
from charter.runs.digest import FrameDigest, value_digest
from charter.runs.files import read_json, write_json, write_table, write_table_of
from charter.runs.findings import Finding, read_findings, write_findings
from charter.runs.run import Run
from charter.runs.store import Artifact, Stage
from charter.spec.data import Data
from charter.spec.metrics import WITHOUT_CLASSES
from charter.spec.model import Charter
from charter.spec.use import Use
from charter.tasks.task import Task

VERSION = 10
GIVEN = "given.json"
LIBRARIES = ("charter", "ftfy", "numpy", "polars", "pyarrow")


@dataclass(frozen=True)
class PreparedData:
    """The prepared rows of a run. `test_digest` names the test split by its rows' place in the source.

    given: the splits that the data itself says (published parts, a column): their rows are never moved or left out.
    folder: the charter's, which the paths in its preparations start from.
    """

    artifact: Artifact
    columns: Columns
    findings: tuple[Finding, ...]
    test_digest: str
    given: tuple[str, ...] = ()
    folder: Path = Path()

    @property
    def file(self) -> Path:
        """The table of all prepared rows, as Parquet."""
        return self.artifact.path / "rows.parquet"

    @cached_property
    def rows(self) -> pl.DataFrame:
        """All rows at once, in memory."""
        return pl.read_parquet(self.file)

    def part(self, split: str) -> pl.DataFrame:
        """The rows of one split, in the order of the source, in memory; of the others a group at a time."""
        none = pl.DataFrame(schema=pl.read_parquet_schema(self.file))
        return pl.concat([none, *self.chunks(split)], rechunk=True)

    def chunks(self, split: str | None = None) -> Iterator[pl.DataFrame]:
        """The rows (of one split), group by group of the table: few enough to be held."""
        rows = pyarrow.parquet.ParquetFile(self.file)
        for group in range(rows.num_row_groups):
            held = rows.read_row_group(group)
            if (
                split is not None
            ):  # by Arrow, which copies what stays: Polars would keep the whole group's text alive with it
                held = held.filter(pyarrow.compute.field(SPLIT) == split)
            yield from table.slices(pl.DataFrame(pl.from_arrow(held)))

    def scan(self, split: str | None = None) -> pl.LazyFrame:
        """The rows (of one split), read when they are collected, and of those only the columns that are asked for."""
        rows = pl.scan_parquet(self.file)
        return rows if split is None else rows.filter(pl.col(SPLIT) == split)


def prepare_data(run: Run, charter: Charter, folder: Path, *, name: str = "prepare") -> PreparedData:
    """Read, check, sample, prepare and split the charter's data. name: of the stage.

    Raises:
        DataError: the source can't be read, too many of its rows are bad, the split leaves nothing to learn from, or a key of
            pseudonyms lies in the store.
    """
    for use in charter.data.prepare:
        if use.use == "mask_pii" and isinstance(use.options.get("key"), str):
            check_key_outside(use.options["key"], folder, run.store.root)
    charter = _split_by_need(charter)
    task: Task = plugins.make("task", charter.task.use, charter.task.options)
    columns = Columns.of(charter.data, task.form)
    source = source_digest(charter.data, folder, columns)
    beside = _beside(charter, columns, folder)
    shown = run.folder / ("rejects.jsonl" if name == "prepare" else f"rejects of {name}.jsonl")
    stage = Stage(
        name,
        VERSION,
        options={**_options(charter), "form": asdict(columns.form)},
        inputs={"source": source, **beside},
        libraries=(*LIBRARIES, *distributions(charter.data.prepare, "preparation")),
        seed=charter.data.split.seed,
    )

    def make(files: Path, work: Path) -> None:
        # It starts anew: what lies in `work` has no name.
        _prepare(charter, columns, folder, files, work, shown, lambda note: run.note(name, note))
        if is_volatile(charter.data, folder) and source_digest(charter.data, folder, columns) != source:
            raise DataError("data.source changed while it was read, so nobody could say what was; run again")
        if _changed(beside, charter, columns, folder):
            raise DataError("data.prepare: an evaluation set changed while it was read; run again")

    artifact = run.step(stage, make)
    if not shown.exists():  # the stage was reused
        shutil.copyfile(artifact.path / "rejects.jsonl", shown)
    test = pl.scan_parquet(artifact.path / "rows.parquet").filter(pl.col(SPLIT) == "test").select(ROW)
    test_rows = test.collect()[ROW].to_list()
    return PreparedData(
        artifact,
        columns,
        tuple(read_findings(artifact.path / "findings.jsonl")),
        test_digest=value_digest({"source": source, "rows": sorted(test_rows)}),
        given=tuple(read_json(artifact.path / GIVEN)),
        folder=folder,
    )


def _split_by_need(charter: Charter) -> Charter:
    """The charter without a calibration split where its task has nothing to calibrate, unless it asks for one itself."""
    split = charter.data.split
    if charter.task.use not in WITHOUT_CLASSES or split.calibration is not None:
        return charter
    data = charter.data.model_copy(update={"split": split.model_copy(update={"calibration": 0.0})})
    return charter.model_copy(update={"data": data})


def _beside(charter: Charter, columns: Columns, folder: Path) -> dict[str, str]:
    """The digests of what preparations read beside the rows, such as evaluation sets."""
    return {
        f"{name} {place}": one.digest(columns)
        for place, (name, one) in enumerate(made_preparations(charter.data.prepare, folder), start=1)
        if one.digest is not None
    }


def _changed(beside: Mapping[str, str], charter: Charter, columns: Columns, folder: Path) -> bool:
    """Whether what preparations read beside the rows is another by now; asked only of what may change as it is read."""
    made = made_preparations(charter.data.prepare, folder)
    volatile = any(one.volatile is not None and one.volatile() for _, one in made)
    return volatile and _beside(charter, columns, folder) != beside


def _options(charter: Charter) -> dict[str, Any]:
    data = charter.data.model_dump(
        mode="json",
        include={"inputs", "target", "groups", "subject", "encoding", "max_rows", "max_bad_rows", "split"},
    )
    return {**data, "prepare": resolved(charter.data.prepare, "preparation")}


def resolved(uses: tuple[Use, ...], kind: plugins.Kind) -> list[dict[str, Any]]:
    """Plug-ins with every option filled in, as JSON: what an artefact's key holds of them."""
    return [
        {
            "use": use.use,
            **json.loads(json.dumps(plugins.resolve(kind, use.use, use.options), default=_plain)),
        }
        for use in uses
    ]


def _plain(value: Any) -> Any:
    return value.model_dump() if isinstance(value, Use) else list(value)


def distributions(uses: tuple[Use, ...], kind: plugins.Kind) -> tuple[str, ...]:
    """The distributions that plug-ins come from: their versions belong into an artefact's key."""
    return tuple({plugins.distribution(kind, use.use) for use in uses} - {"charter"})


def _prepare(
    charter: Charter,
    columns: Columns,
    folder: Path,
    files: Path,
    work: Path,
    shown: Path,
    on_note: Callable[[str], None],
) -> None:
    """Read, prepare, divide and write: all of it over rows that may be more than memory holds."""
    data = charter.data
    reading = _Reading(data, columns, folder, files / "rejects.jsonl", shown)
    chunks = reading.chunks()
    dropped = no_drops()
    if data.max_rows is not None:
        sampled = _sampled(Rows.of(chunks, work), columns, data.max_rows, data.split.seed)
        dropped, chunks = sampled.dropped, sampled.rows.chunks()
    roles = RolesCheck(columns, data.prepare)
    naive: list[Finding] = []
    test = fractions_of(data.split)["test"]
    prepared = prepare_rows(
        roles.watched(chunks),
        columns,
        data.prepare,
        folder=folder,
        aside=work,
        engine=engine_of(data.engine),
        lowest_similarity=data.split.similarity,
        before_drops=lambda rows: naive.extend(random_split_leakage(rows, columns, data.split, test)),
    )
    divided = divide(prepared.rows, columns, data.split)
    for note in (*divided.notes, *unread_notes(prepared.counts, reading.account.records)):
        on_note(note)
    unread = int((divided.rows.collect([SPLIT])[SPLIT] == "calibration").sum())
    if unread and charter.task.use in WITHOUT_CLASSES:
        on_note(
            f"{unread} rows are of the calibration split, and task {charter.task.use} has nothing to calibrate: they stay aside, and no "
            "score or choice is made by them; without data.split.calibration they are learned from"
        )
    after = prepare_divided(divided.rows, columns, data.prepare, folder=folder)
    prepared = _both(prepared, after)
    dropped = pl.concat([dropped, prepared.dropped]).sort(ROW)
    tally = Tally(columns)
    state = FrameDigest(prepared.rows.schema)

    def told() -> Iterator[pl.DataFrame]:
        for chunk in prepared.rows.chunks():
            tally.add(chunk)
            state.add(chunk)
            yield chunk

    write_table_of(files / "rows.parquet", told())
    on = state.hexdigest()
    account = reading.account
    findings = [*profile(account.records, account.reasons, prepared, tally, on=on), *divided.findings, *naive]
    findings += [replace(one, on=on) for one in (*prepared.findings, *_summed(data, folder, prepared))]
    if data.max_rows is not None:
        findings.append(_not_sampled(dropped, account.records, on))
    write_table(files / "dropped.parquet", dropped)
    write_findings(files / "findings.jsonl", findings)
    write_json(files / GIVEN, list(divided.given))
    write_json(files / "counts.json", {name: dict(counts) for name, counts in prepared.counts})


def _summed(data: Data, folder: Path, prepared: PreparedRows) -> Iterator[Finding]:
    """What preparations measured over all rows, from their counts."""
    made = made_preparations(data.prepare, folder)
    counts: dict[str, Iterator[Mapping[str, int]]] = {
        name: iter([each for of, each in prepared.counts if of == name]) for name, _ in made
    }
    for name, one in made:
        own = next(counts[name], {})
        if one.summed is not None:
            yield from one.summed(own)


@dataclass
class _Reading:
    """Reads the source once: tells the good rows, writes the rejected ones as they come, and counts both."""

    data: Data
    columns: Columns
    folder: Path
    kept: Path
    shown: Path
    account: ReadAccount = field(default_factory=ReadAccount)

    def chunks(self) -> Iterator[pl.DataFrame]:
        """The rows that could be read.

        Raises:
            DataError: at the end, when too many could not be.
        """
        with self.kept.open("w", encoding="utf-8", newline="") as stream:
            for read in stream_source(self.data, self.folder, columns=self.columns):
                self.account.add(read)
                stream.write(rejects_text(read.rejects))
                yield from table.slices(read.frame)
        shutil.copyfile(self.kept, self.shown)
        check_rejects(self.account, self.data.max_bad_rows, self.shown, self.data.source)


@dataclass(frozen=True)
class _Sampled:
    rows: Rows
    dropped: pl.DataFrame


def _sampled(rows: Rows, columns: Columns, max_rows: int, seed: int) -> _Sampled:
    """So many of the rows, drawn by their subjects and given splits alone."""
    if rows.height <= max_rows:
        return _Sampled(rows, no_drops())
    frame = rows.collect(rows.there(ROW, columns.subject, columns.split, SPLIT))
    left_out = sample_rows(frame, columns, max_rows, seed).dropped
    dropped = left_out.select(ROW, pl.lit("max_rows").alias("by"), "reason")
    return _Sampled(rows.without(left_out[ROW]), dropped)


def _both(before: PreparedRows, after: PreparedRows) -> PreparedRows:
    """What was done before the split and after it, as one account."""
    return replace(
        after,
        dropped=pl.concat([before.dropped, after.dropped]),
        counts=(*before.counts, *after.counts),
        findings=(*before.findings, *after.findings),
    )


class RolesCheck:
    """Refuses personal data where it would stand in artefacts, findings and the report, although masking is asked for."""

    def __init__(self, columns: Columns, uses: tuple[Use, ...]) -> None:
        roles = [*(("data.groups", one) for one in columns.groups), ("data.target", columns.target)]
        masks = any(use.use == "mask_pii" for use in uses)
        self._labels = columns.form.target == "labels"
        self._roles = [(key, column) for key, column in roles if masks and column is not None]
        self._found: dict[tuple[str, str], Counter[str]] = {role: Counter() for role in self._roles}

    def watched(self, chunks: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        """The same chunks, until one holds some; all are looked at before that is said.

        Raises:
            DataError: at the end: a group or target column whose values hold some, with their kinds and counts.
        """
        for chunk in chunks:
            for key, column in self._roles:
                if column not in chunk.columns:
                    continue
                cells = chunk[column]
                if key == "data.target" and self._labels:
                    cells = cells.explode(empty_as_null=False, keep_nulls=False)
                if cells.dtype == pl.String:
                    self._found[key, column].update(personal_kinds(cells.to_list()))
            if not any(self._found.values()):
                yield chunk
        for (key, column), found in self._found.items():
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
    full = resolved(charter.data.prepare, "preparation")
    return [one for use, one in zip(charter.data.prepare, full, strict=True) if _is_row_wise(use)]


def _is_row_wise(use: Use) -> bool:
    made: Preparation = plugins.make("preparation", use.use, use.options)
    return made.row_wise


def prepared_anew(rows: pl.DataFrame, charter: Charter, columns: Columns, folder: Path) -> pl.DataFrame:
    """Rows from elsewhere as the charter prepares new rows, one by one (repaired, masked); those that it drops are gone.

    rows: with the inputs and the target, whatever prepared them before. folder: the charter's, which its paths start from.
    """
    uses = [use for use in charter.data.prepare if _is_row_wise(use)]
    if not uses or not rows.height:
        return rows
    numbered = rows.with_columns(pl.int_range(rows.height, dtype=pl.Int64).alias(ROW))
    roles = Columns(columns.inputs, columns.target, form=columns.form)
    return prepare_again(numbered, roles, uses, folder=folder).frame.select(rows.columns)

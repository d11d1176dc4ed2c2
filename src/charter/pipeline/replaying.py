"""The rows that a model goes on with: without those that would spoil the evidence, and with earlier ones that are learned from again."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet

from charter.data.columns import ROW, SPLIT, UNIT, Columns
from charter.data.profile import Tally, retold
from charter.data.reservoir import Reservoir
from charter.errors import DataError
from charter.models.folders import loading
from charter.pipeline.ancestry import Ancestor
from charter.pipeline.overlaps import Texts, given_leakage, said
from charter.pipeline.preparing import PreparedData, prepared_anew
from charter.runs.digest import frame_digest
from charter.runs.files import write_json, write_table
from charter.runs.findings import Finding, write_findings
from charter.runs.store import Artifact
from charter.spec.metrics import EARLIER_TASK
from charter.spec.model import Charter

AREA = "continual"
REPLAYED = -2
"""The row number of the first replayed row, which is no row of the charter's own source; the next ones are below it."""
HELD_OUT = ("validation", "calibration", "test")


@dataclass(frozen=True)
class EarlierData:
    """The rows that an ancestor learned from and was judged on. about: what the lineage says of it.

    judged: whether it is an earlier task, on whose test rows the new model is judged too.
    artifact: None where they are not at hand; `because` then says why. name: the data's id; of two that are called the same, the
    older one's has the beginning of its bundle's digest too. bundle: its own, where that is at hand. left_out: its test rows, by
    number, that are not judged on any more, since a model has learned from given rows like them.
    """

    about: Mapping[str, Any]
    columns: Columns
    artifact: Artifact | None
    because: str = ""
    name: str = ""
    judged: bool = True
    bundle: Ancestor | None = None
    left_out: tuple[int, ...] = ()

    def part(self, split: str) -> pl.DataFrame:
        """The rows of a split that are the source's own, none that was replayed."""
        return self._rows(split).filter(pl.col(ROW) > REPLAYED).collect()

    def tested(self) -> pl.DataFrame:
        """The test rows that it is judged on still."""
        return self.part("test").filter(~pl.col(ROW).is_in(list(self.left_out)))

    def learned(self) -> pl.DataFrame:
        """All that it learned from, replayed rows too."""
        return self._rows("train").collect()

    def _rows(self, split: str) -> pl.LazyFrame:
        assert self.artifact is not None
        return pl.scan_parquet(self.artifact.path / "rows.parquet").filter(pl.col(SPLIT) == split)


def join_rows(
    charter: Charter,
    data: PreparedData,
    earlier: Sequence[EarlierData],
    memory: pl.DataFrame | None,
    files: Path,
) -> None:
    """Write the rows that are gone on with, where they are others than before, and what was left out and replayed.

    Raises:
        DataError: earlier rows are to be replayed, and none is at hand; or an earlier task reads more or fewer texts.
    """
    at_hand = [one for one in earlier if one.artifact is not None]
    tasks = [one for one in at_hand if one.judged]
    remembered = [] if memory is None else [memory]
    columns, similarity = data.columns, charter.data.split.similarity
    for theirs in (
        *(one.columns for one in tasks),
        *map(_of_memory, remembered if charter.continual else ()),
    ):
        _check_inputs(theirs, columns)
    ties: dict[str, Any] = {"unit": "rows", "on": data.artifact.digest}
    if not (
        at_hand or remembered or charter.continual
    ):  # nothing to compare with: the rows, maybe many, are not read
        untold = _counts(charter, earlier, (0, 0, 0), similarity)
        write_findings(files / "findings.jsonl", [replace(one, **ties) for one in untold])
        return
    write_json(files / "learned_since.json", _learned_since(earlier, similarity))
    rows = data.rows
    tested = Texts([said(one.columns, one.part("test")) for one in tasks], similarity)
    learned = [said(one.columns, one.learned()) for one in at_hand]
    learned += [said(_of_memory(one), one) for one in remembered]
    own, held_out = said(columns, rows), rows[SPLIT].is_in(HELD_OUT).to_numpy()
    is_test, given = (rows[SPLIT] == "test").to_numpy(), rows[SPLIT].is_in(data.given).to_numpy()
    spoils, known = ~is_test & tested.like(own), held_out & Texts(learned, similarity).like(own)
    kept = rows.filter(pl.Series(given | ~(spoils | known)))
    spoiled = _spoiled(earlier, own.filter(pl.Series(given & spoils)), similarity)
    write_json(files / "left_out.json", spoiled)
    judged = Texts([said(columns, kept.filter(pl.col(SPLIT).is_in(HELD_OUT)))], similarity)
    replayed = _replayed(charter, tasks, memory, (tested, judged), data)
    if replayed.height or kept.height < rows.height:
        joined = pl.concat([kept, _as_rows(replayed, kept)]) if replayed.height else kept
        write_table(files / "rows.parquet", joined)
    counts = (replayed.height, int((spoils & ~given).sum()), int((known & ~given).sum()))
    found = [replace(one, n=rows.height) for one in _counts(charter, earlier, counts, similarity)]
    found += _not_judged(spoiled, similarity)
    stay = [one for one in data.given if one in HELD_OUT] if at_hand or remembered else []
    found += given_leakage(rows[SPLIT], known, stay, _reasons(similarity)[1])
    write_findings(files / "findings.jsonl", [replace(one, **ties) for one in found])
    reasons = (int((spoils & ~known & ~given).sum()), int((known & ~given).sum()))
    left_out = {why: count for why, count in zip(_reasons(similarity), reasons, strict=True) if count}
    tally = Tally(columns)
    tally.add(kept)
    by = "continual" if charter.continual is not None else "model.base"
    profiled = (
        retold(data.findings, left_out, by, tally, on=frame_digest(kept)) if left_out else data.findings
    )
    write_findings(files / "data.jsonl", profiled)


def _spoiled(earlier: Sequence[EarlierData], given: pl.Series, similarity: float) -> dict[str, list[int]]:
    """By name: an earlier task's test rows that are like rows of given parts which are learned from now, or were since.

    Given parts are never changed, so it is the earlier test rows that go. given: what the rows of ours say. Where a model went on by the
    section `continual` from splits of its own making, nothing like them was learned.
    """
    found: dict[str, list[int]] = {}
    for at, one in enumerate(earlier):
        since = [
            said(other.columns, other.learned())
            for other in earlier[:at]
            if other.about.get("continual")
            and other.about["data"].get("given")
            and other.artifact is not None
        ]
        if not one.judged or one.artifact is None or not (len(given) or since):
            continue
        rows = one.part("test")
        like = Texts([given, *since], similarity).like(said(one.columns, rows))
        if like.any():
            found[one.name] = rows.filter(pl.Series(like))[ROW].to_list()
    return found


def _not_judged(spoiled: Mapping[str, Sequence[int]], similarity: float) -> Iterator[Finding]:
    """How many test rows of each earlier task are not judged on any more."""
    method = (
        f"earlier test rows not judged on any more, equal or similar (at least {similarity:g}) to a row of a given part that is "
        "learned from"
    )
    for name, rows in spoiled.items():
        yield Finding(AREA, "rows_not_judged", float(len(rows)), slice={EARLIER_TASK: name}, method=method)


def _learned_since(earlier: Sequence[EarlierData], similarity: float) -> dict[str, str]:
    """By name: why an earlier task's test rows are no evidence any more, since a model after it may have learned from them.

    One that went on by the section `continual` kept them apart, but for those of given parts: which these are is not known where
    its rows are not at hand.
    """
    found: dict[str, str] = {}
    for at, one in enumerate(earlier):
        plainly = [
            since
            for since in earlier[:at]
            if not since.about.get("continual")
            or (since.about["data"].get("given") and since.artifact is None)
        ]
        if not one.judged or one.artifact is None or not plainly:
            continue
        tested = Texts([said(one.columns, one.part("test"))], similarity)
        for since in plainly:
            name = str(since.about["name"])
            if since.artifact is None:
                found[one.name] = f"whether '{name}' learned from its test rows is not known: {since.because}"
            elif tested.like(said(since.columns, since.learned())).any():
                found[one.name] = f"'{name}' has learned from rows like its test rows"
    return found


def _reasons(similarity: float) -> tuple[str, str]:
    """Why rows are left out: they are like an earlier test row, or they were learned from before."""
    said = f"equal or similar (at least {similarity:g}) to"
    return f"{said} an earlier test row", f"{said} a row that was learned from before"


def _counts(
    charter: Charter, earlier: Sequence[EarlierData], counts: tuple[int, int, int], similarity: float
) -> Iterator[Finding]:
    """How many rows were replayed and left out. Rows that nobody can look at leave it unknown whether others are like them."""
    replayed, spoiled, known = counts
    said = _reasons(similarity)
    if charter.continual is not None:
        method = "reservoir sample of earlier training rows"
        yield Finding(AREA, "rows_replayed", float(replayed), method=method)
        yield Finding(AREA, "rows_kept_apart", float(spoiled), method=f"rows left out, {said[0]}")
    because = next((one.because for one in earlier if one.artifact is None), "")
    method = f"held-out rows left out, {said[1]}"
    yield Finding(AREA, "rows_known", None if because else float(known), because=because, method=method)


def read_memory(place: Path) -> pl.DataFrame:
    """A memory from its file, which anybody may have made: read by pyarrow, since Polars panics on some damaged ones.

    Raises:
        ModelError: it is no table.
    """
    with loading(str(place)):
        return pl.DataFrame(pl.from_arrow(pyarrow.parquet.read_table(place)))


def renamed_memory(memory: pl.DataFrame, columns: Columns) -> pl.DataFrame:
    """A memory under the names of these columns; raises as `_renamed`."""
    return _renamed(memory, _of_memory(memory), columns)


def _of_memory(memory: pl.DataFrame) -> Columns:
    """A memory's columns: its inputs in their order, then its target."""
    *inputs, target = memory.columns
    return Columns(dict.fromkeys(inputs, "text"), target)


def _check_inputs(theirs: Columns, ours: Columns) -> None:
    if len(theirs.inputs) != len(ours.inputs):
        raise DataError(
            f"data.inputs names {len(ours.inputs)} text(s), and the earlier model read {len(theirs.inputs)}; a model goes on with as many"
        )


def _renamed(rows: pl.DataFrame, theirs: Columns, ours: Columns) -> pl.DataFrame:
    """Earlier rows with inputs and target under our names, by their order; nothing else of them.

    Raises:
        DataError: they have more or fewer inputs, or are no texts and classes.
    """
    named = [*theirs.inputs, str(theirs.target)]
    _check_inputs(theirs, ours)
    kind = pl.List(pl.String) if ours.form.target == "labels" else pl.String
    kinds = [*([pl.String] * len(theirs.inputs)), kind]
    if any(
        name not in rows.columns or rows.schema[name] != one for name, one in zip(named, kinds, strict=True)
    ):
        raise DataError(
            "the earlier model's rows are no texts with a class, or a list of labels, each, so they can't be learned from again"
        )
    return rows.select(
        pl.col(old).alias(new) for old, new in zip(named, [*ours.inputs, str(ours.target)], strict=True)
    )


def _replayed(
    charter: Charter,
    tasks: Sequence[EarlierData],
    memory: pl.DataFrame | None,
    apart: Sequence[Texts],
    data: PreparedData,
) -> pl.DataFrame:
    """The earlier rows that are learned from again, prepared as the new ones are: a sample of those that are like no held-out row."""
    asked, columns = charter.continual, data.columns
    if asked is None or asked.replay is None:
        return pl.DataFrame()
    if memory is None and not tasks:
        raise DataError(
            f"continual.replay {asked.replay}: no earlier training row is at hand. The earlier bundle carries none (its charter says "
            "so: continual: {remember: 500}), and this run store (--store) does not hold what it learned from; take keep: {use: "
            "lwf}, which needs none"
        )
    kept = [_renamed(one.part("train"), one.columns, columns) for one in reversed(tasks)]
    pool = pl.concat(kept) if memory is None else renamed_memory(memory, columns)
    pool = prepared_anew(pool, charter, columns, data.folder)
    texts = columns.texts(pool)
    usable = pool.filter(pl.Series(~np.logical_or.reduce([one.like(texts) for one in apart])))
    places = Reservoir.empty(asked.replay).after(usable.height, charter.training.seed).places
    chosen: pl.DataFrame = usable[np.sort(places).tolist()]
    return chosen


def _as_rows(replayed: pl.DataFrame, like: pl.DataFrame) -> pl.DataFrame:
    """Replayed rows in the form of prepared training rows, each a unit of its own."""
    count = replayed.height
    told: dict[str, pl.Series] = {
        ROW: pl.Series(REPLAYED - np.arange(count)),
        SPLIT: pl.Series(["train"] * count, dtype=pl.String),
    }
    if UNIT in like.columns:
        told[UNIT] = pl.Series(int(like[UNIT].max() or 0) + 1 + np.arange(count))  # type: ignore[arg-type]
    whole = replayed.with_columns(one.alias(name) for name, one in told.items())
    missing = [
        pl.lit(None, dtype=kind).alias(name)
        for name, kind in like.schema.items()
        if name not in whole.columns
    ]
    return whole.with_columns(missing).select(pl.col(name).cast(kind) for name, kind in like.schema.items())

"""The rows that a model goes on with: without those that would spoil the evidence, and with earlier ones that are learned from again."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet
from numpy.typing import NDArray

from charter.data.columns import ROW, SPLIT, UNIT, Columns
from charter.data.profile import Tally, retold
from charter.data.reservoir import Reservoir
from charter.data.similarity.overlap import Reference
from charter.data.similarity.shingles import text_keys
from charter.errors import DataError
from charter.models.folders import loading
from charter.pipeline.preparing import PreparedData
from charter.runs.digest import frame_digest
from charter.runs.files import write_table
from charter.runs.findings import Finding, write_findings
from charter.runs.store import Artifact
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
    older one's has the beginning of its bundle's digest too.
    """

    about: Mapping[str, Any]
    columns: Columns
    artifact: Artifact | None
    because: str = ""
    name: str = ""
    judged: bool = True

    def part(self, split: str) -> pl.DataFrame:
        """The rows of a split that are the source's own, none that was replayed."""
        return self._rows(split).filter(pl.col(ROW) > REPLAYED).collect()

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
        found = _counts(charter, earlier, (0, 0, 0), similarity)
        write_findings(files / "findings.jsonl", [replace(one, **ties) for one in found])
        return
    rows = data.rows
    tested = _Texts([_said(one.columns, one.part("test")) for one in tasks], similarity)
    learned = [_said(one.columns, one.learned()) for one in at_hand]
    learned += [_said(_of_memory(one), one) for one in remembered]
    own, held_out = _said(columns, rows), rows[SPLIT].is_in(HELD_OUT).to_numpy()
    is_test = (rows[SPLIT] == "test").to_numpy()
    spoils, known = ~is_test & tested.like(own), held_out & _Texts(learned, similarity).like(own)
    kept = rows.filter(pl.Series(~(spoils | known)))
    judged = _Texts([_said(columns, kept.filter(pl.col(SPLIT).is_in(HELD_OUT)))], similarity)
    replayed = _replayed(charter, tasks, memory, (tested, judged), columns)
    if replayed.height or kept.height < rows.height:
        joined = pl.concat([kept, _as_rows(replayed, kept)]) if replayed.height else kept
        write_table(files / "rows.parquet", joined)
    found = _counts(charter, earlier, (replayed.height, int(spoils.sum()), int(known.sum())), similarity)
    write_findings(files / "findings.jsonl", [replace(one, n=rows.height, **ties) for one in found])
    reasons = (int((spoils & ~known).sum()), int(known.sum()))
    left_out = {why: count for why, count in zip(_reasons(similarity), reasons, strict=True) if count}
    tally = Tally(columns)
    tally.add(kept)
    by = "continual" if charter.continual is not None else "model.base"
    profiled = (
        retold(data.findings, left_out, by, tally, on=frame_digest(kept)) if left_out else data.findings
    )
    write_findings(files / "data.jsonl", profiled)


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


def _said(columns: Columns, rows: pl.DataFrame) -> pl.Series:
    """What each row says as one text, words that are a list too."""
    texts = columns.texts(rows)
    return texts.list.join(" ") if isinstance(texts.dtype, pl.List) else texts


class _Texts:
    """Texts that others are compared with; hashes only."""

    def __init__(self, texts: Sequence[pl.Series], similarity: float) -> None:
        said = (
            pl.concat([one.rename("text") for one in texts])
            if texts
            else pl.Series("text", [], dtype=pl.String)
        )
        self._keys = np.unique(text_keys(said)) if len(said) else np.empty(0, dtype=np.uint64)
        self._near = Reference(said, similarity) if len(said) else None

    def like(self, texts: pl.Series) -> NDArray[np.bool_]:
        """(n,) which texts are equal or similar to one of them."""
        if self._near is None or not len(texts):
            return np.zeros(len(texts), dtype=bool)
        return np.isin(text_keys(texts), self._keys) | self._near.like(texts)


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
    if any(name not in rows.columns or rows.schema[name] != pl.String for name in named):
        raise DataError(
            "the earlier model's rows are no texts with a class each, so they can't be learned from again"
        )
    return rows.select(
        pl.col(old).alias(new) for old, new in zip(named, [*ours.inputs, str(ours.target)], strict=True)
    )


def _replayed(
    charter: Charter,
    tasks: Sequence[EarlierData],
    memory: pl.DataFrame | None,
    apart: Sequence[_Texts],
    columns: Columns,
) -> pl.DataFrame:
    """The earlier rows that are learned from again: a reservoir sample of those that are like no held-out row."""
    asked = charter.continual
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

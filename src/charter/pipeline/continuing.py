"""Going on from an earlier model: its rows, where they are at hand, kept apart from what is judged, and some learned from again."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet
from numpy.typing import NDArray

from charter.data.columns import ROW, SPLIT, UNIT, Columns
from charter.data.reservoir import Reservoir
from charter.data.similarity.overlap import Reference
from charter.data.similarity.shingles import text_keys
from charter.errors import BundleError, CharterError, DataError, ModelError
from charter.models.folders import loading
from charter.pipeline.ancestry import Ancestor, why_no_head
from charter.pipeline.preparing import PreparedData, prepare_data
from charter.release.manifest import MANIFEST, MEMORY
from charter.runs.digest import file_digest, value_digest
from charter.runs.files import write_table
from charter.runs.findings import Finding, read_findings, write_findings
from charter.runs.run import Run
from charter.runs.store import Artifact, Stage
from charter.spec.continual import Continual
from charter.spec.metrics import HEADS_KEPT
from charter.spec.model import Charter, Model

GO_ON, EARLIER = "go on", "prepare earlier"
VERSION = 1
AREA = "continual"
REPLAYED = -2
"""The row number of the first replayed row, which is no row of the charter's own source; the next ones are below it."""
HELD_OUT = ("validation", "calibration", "test")


@dataclass(frozen=True)
class EarlierData:
    """The rows that an ancestor learned from and was judged on. about: what the lineage says of it.

    artifact: None where they are not at hand; `because` then says why. name: the data's id; of two that are called the same, the
    older one's has the beginning of its bundle's digest too.
    """

    about: Mapping[str, Any]
    columns: Columns
    artifact: Artifact | None
    because: str = ""
    name: str = ""

    def part(self, split: str) -> pl.DataFrame:
        """The rows of a split that are the source's own, none that was replayed."""
        assert self.artifact is not None
        rows = pl.scan_parquet(self.artifact.path / "rows.parquet")
        return rows.filter((pl.col(SPLIT) == split) & (pl.col(ROW) > REPLAYED)).collect()


@dataclass(frozen=True)
class GoingOn:
    """The data that a model goes on with, and what is known of the tasks before, the nearest first."""

    data: PreparedData
    earlier: tuple[EarlierData, ...] = ()
    findings: tuple[Finding, ...] = ()


def continued(charter: Charter, bundle: Path, folder: Path) -> Charter:
    """The charter as it goes on from a bundle: that is its base, whose head is kept; `continual` with its defaults where it has none.

    Raises:
        CharterError: the charter's task can't go on from an earlier model.
    """
    if charter.task.use not in HEADS_KEPT:
        raise ModelError(
            f"--continue: task {charter.task.use} can't go on from an earlier model yet; {' and '.join(HEADS_KEPT)} can"
        )
    if (
        charter.model.head == "replace"
        or charter.pretraining is not None
        or charter.training.objective is not None
    ):
        raise ModelError(
            "--continue keeps the earlier model's head and learns by the task's own loss: take model.head, pretraining and "
            "training.objective out of the charter (another task beside the earlier one, task-incremental, is not built)"
        )
    if not (bundle / MANIFEST).is_file():
        raise BundleError(f"--continue {bundle}: no released bundle, it has no {MANIFEST}")
    base = os.path.relpath(bundle.absolute(), folder)
    model = Model(
        base=base,
        head="keep",
        allow_refused=charter.model.allow_refused,
        adapt=charter.model.adapt,
        max_length=charter.model.max_length,
    )
    return charter.model_copy(update={"model": model, "continual": charter.continual or Continual()})


def check_continual(charter: Charter, ancestor: Ancestor | None) -> None:
    """Check before any work that what the section `continual` asks for can be had.

    Raises:
        ModelError: it can't.
    """
    asked = charter.continual
    if asked is None:
        return
    if ancestor is None and asked.replay is not None:
        raise ModelError(
            f"continual.replay: '{charter.model.begins_with}' is no released bundle, so there are no earlier rows; name one by "
            "--continue, or as model.base"
        )
    why = "" if ancestor is None else why_no_head(charter, ancestor)
    if why:
        raise ModelError(
            f"continual goes on with the earlier model's head: {why}. Another task beside the earlier one (task-incremental) is not "
            "built; without the section continual the earlier encoder is learned on from"
        )


def go_on(run: Run, charter: Charter, folder: Path, data: PreparedData, ancestor: Ancestor | None) -> GoingOn:
    """The prepared rows without those that would spoil the evidence, and with the replayed ones.

    Left out are rows that would be learned from, or chosen by, and are like an earlier test row; and held-out rows that are like
    a row which the earlier model has learned from. Replayed rows are like no held-out row, earlier or new.

    Raises:
        DataError: earlier rows are to be replayed, and none is at hand; or no test row is left.
    """
    asked = charter.continual
    if asked is None or ancestor is None:
        return GoingOn(data)
    earlier = _earlier(run, charter, folder, ancestor)
    memory = ancestor.bundle.folder / MEMORY
    stage = Stage(
        GO_ON,
        VERSION,
        options={
            "replay": asked.replay,
            "similarity": charter.data.split.similarity,
            "inputs": list(charter.data.inputs),
            "target": charter.data.target,
        },
        inputs={
            "source": str(data.artifact.record["inputs"]["source"]),
            "rows": data.artifact.digest,
            "memory": file_digest(memory) if memory.is_file() else "",
            **{
                f"earlier {at}": one.artifact.digest
                for at, one in enumerate(earlier)
                if one.artifact is not None
            },
        },
        libraries=("charter", "numpy", "polars", "scipy"),
        seed=charter.training.seed,
    )

    def make(files: Path, work: Path) -> None:
        del work
        _join(charter, data, earlier, _remembered(ancestor), files)

    artifact = run.step(stage, make)
    rows = (
        pl.scan_parquet(artifact.path / "rows.parquet").filter(pl.col(SPLIT) == "test").select(ROW).collect()
    )
    if not rows.height:
        raise DataError(
            "no test row is left: every one is like a row that the earlier model has learned from; give rows that are new to it"
        )
    digest = value_digest(
        {"source": data.artifact.record["inputs"]["source"], "rows": sorted(rows[ROW].to_list())}
    )
    findings = tuple(read_findings(artifact.path / "findings.jsonl"))
    for one in findings:
        if one.metric == "rows_known" and one.value is None:
            run.note(
                GO_ON, f"whether rows of the test split were learned from before is not known: {one.because}"
            )
    return GoingOn(PreparedData(artifact, data.columns, data.findings, digest), earlier, findings)


def _earlier(run: Run, charter: Charter, folder: Path, ancestor: Ancestor) -> tuple[EarlierData, ...]:
    """What is at hand of every task before that was of this kind, the nearest first."""
    found: list[EarlierData] = []
    for place, about in enumerate(ancestor.lineage):
        if about["task"] != charter.task.use:
            continue
        own = about["data"]
        columns = Columns(dict.fromkeys(own["inputs"], "text"), own["target"])
        artifact = run.store.with_digest(str(own["prepared_digest"]))
        because = f"the rows of {own['id']} are not in this run store"
        if (
            artifact is None
            and place == 0
            and charter.continual is not None
            and charter.continual.judge_on == "source"
        ):
            artifact, because = _from_source(run, folder, ancestor)
        name = str(own["id"])
        name += f" {str(about['digest'])[:8]}" if name in [one.name for one in found] else ""
        found.append(EarlierData(about, columns, artifact, "" if artifact is not None else because, name))
    return tuple(found)


def _from_source(run: Run, folder: Path, ancestor: Ancestor) -> tuple[Artifact | None, str]:
    """The earlier model's rows, prepared anew by its own charter, if they are the same test rows as then."""
    try:
        again = prepare_data(run, ancestor.record.charter, folder, name=EARLIER)
    except CharterError as error:
        return (
            None,
            f"the rows of {ancestor.record.charter.data_id} can't be prepared anew ({str(error)[:200]})",
        )
    if again.test_digest != ancestor.record.provenance["data"]["test_digest"]:
        return None, f"the test rows of {ancestor.record.charter.data_id} are others by now"
    return again.artifact, ""


def _remembered(ancestor: Ancestor) -> pl.DataFrame | None:
    """The memory that the earlier bundle carries, under the names of its own inputs and target."""
    place = ancestor.bundle.folder / MEMORY
    return read_memory(place) if place.is_file() else None


def read_memory(place: Path) -> pl.DataFrame:
    """A memory from its file, which anybody may have made: read by pyarrow, since Polars panics on some damaged ones.

    Raises:
        ModelError: it is no table.
    """
    with loading(str(place)):
        return pl.DataFrame(pl.from_arrow(pyarrow.parquet.read_table(place)))


def _join(
    charter: Charter,
    data: PreparedData,
    earlier: Sequence[EarlierData],
    memory: pl.DataFrame | None,
    files: Path,
) -> None:
    columns, rows = data.columns, data.rows
    at_hand = [one for one in earlier if one.artifact is not None]
    similarity = charter.data.split.similarity
    tested = _Texts([one.columns.texts(one.part("test")) for one in at_hand], similarity)
    learned_from = [_renamed(one.part("train"), one.columns, columns) for one in reversed(at_hand)]
    remembered = [] if memory is None else [renamed_memory(memory, columns)]
    learned = _Texts([columns.texts(one) for one in (*learned_from, *remembered)], similarity)
    own, held_out = columns.texts(rows), rows[SPLIT].is_in(HELD_OUT).to_numpy()
    is_test = (rows[SPLIT] == "test").to_numpy()
    spoils, known = ~is_test & tested.like(own), held_out & learned.like(own)
    kept = rows.filter(pl.Series(~(spoils | known)))
    judged = _Texts([columns.texts(kept.filter(pl.col(SPLIT).is_in(HELD_OUT)))], similarity)
    pool = pl.concat(remembered or learned_from) if remembered or learned_from else None
    replayed = _replayed(charter, pool, (tested, judged), columns)
    write_table(
        files / "rows.parquet", pl.concat([kept, _as_rows(replayed, kept)]) if replayed.height else kept
    )
    unknown = [one for one in earlier if one.artifact is None]
    said = f"equal or similar (at least {similarity:g}) to"
    ties: dict[str, Any] = {"n": rows.height, "unit": "rows", "on": data.artifact.digest}
    no_evidence = {"value": None, "because": unknown[0].because} if unknown else {"value": float(known.sum())}
    write_findings(
        files / "findings.jsonl",
        [
            Finding(
                AREA,
                "rows_replayed",
                float(replayed.height),
                method="reservoir sample of earlier training rows",
                **ties,
            ),
            Finding(
                AREA,
                "rows_kept_apart",
                float(spoils.sum()),
                method=f"rows left out, {said} an earlier test row",
                **ties,
            ),
            Finding(
                AREA,
                "rows_known",
                method=f"held-out rows left out, {said} a row that was learned from before",
                **no_evidence,
                **ties,
            ),
        ],
    )


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


def renamed_memory(memory: pl.DataFrame, columns: Columns) -> pl.DataFrame:
    """A memory under the names of these columns; raises as `_renamed`."""
    return _renamed(memory, _of_memory(memory), columns)


def _of_memory(memory: pl.DataFrame) -> Columns:
    """A memory's columns: its inputs in their order, then its target."""
    *inputs, target = memory.columns
    return Columns(dict.fromkeys(inputs, "text"), target)


def _renamed(rows: pl.DataFrame, theirs: Columns, ours: Columns) -> pl.DataFrame:
    """Earlier rows with inputs and target under our names, by their order; nothing else of them.

    Raises:
        DataError: they have more or fewer inputs, or are no texts and classes.
    """
    named = [*theirs.inputs, str(theirs.target)]
    if len(theirs.inputs) != len(ours.inputs):
        raise DataError(
            f"data.inputs names {len(ours.inputs)} text(s), and the earlier model read {len(theirs.inputs)}; a model goes on with as many"
        )
    if any(name not in rows.columns or rows.schema[name] != pl.String for name in named):
        raise DataError(
            "the earlier model's rows are no texts with a class each, so they can't be learned from again"
        )
    return rows.select(
        pl.col(old).alias(new) for old, new in zip(named, [*ours.inputs, str(ours.target)], strict=True)
    )


def _replayed(
    charter: Charter, pool: pl.DataFrame | None, apart: Sequence[_Texts], columns: Columns
) -> pl.DataFrame:
    """The earlier rows that are learned from again: a reservoir sample of those that are like no held-out row."""
    asked = charter.continual
    if asked is None or asked.replay is None:
        return pl.DataFrame()
    if pool is None:
        raise DataError(
            f"continual.replay {asked.replay}: no earlier training row is at hand. The earlier bundle carries none (its charter says "
            "so: continual: {remember: 500}), and this run store (--store) does not hold what it learned from; take keep: {use: "
            "lwf}, which needs none"
        )
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

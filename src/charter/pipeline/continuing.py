"""Going on from an earlier model: its rows, where they are at hand, kept apart from what is judged, and some learned from again."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path

import polars as pl

from charter.data.columns import ROW, SPLIT, Columns
from charter.errors import BundleError, CharterError, DataError, ModelError
from charter.pipeline.ancestry import Ancestor, bundles_at_hand, why_not_continued
from charter.pipeline.holding import check_fisher
from charter.pipeline.overlaps import pretrained_on
from charter.pipeline.preparing import PreparedData, prepare_data, row_wise_uses
from charter.pipeline.replaying import EarlierData, join_rows, read_memory
from charter.release.manifest import MANIFEST, MEMORY
from charter.runs.digest import file_digest, value_digest
from charter.runs.files import read_json
from charter.runs.findings import Finding, read_findings
from charter.runs.run import Run
from charter.runs.store import Artifact, Stage
from charter.spec.continual import Continual
from charter.spec.metrics import HEADS_CONTINUED, listed
from charter.spec.model import Charter, Model

GO_ON, EARLIER = "go on", "prepare earlier"
VERSION = 4
TRANSFER = (
    "What can be had is transfer, which holds on to nothing: name the bundle as model.base, and leave out --continue and the section "
    "continual; its encoder is learned on from"
)
NOTHING_BEFORE = (
    "the section continual has no earlier model to go on from: '{base}' is no released bundle, so this is a run like any other; "
    "`charter run --continue BUNDLE` goes on from one"
)
MOST_BYTES = 20_000_000
"""Of a larger table, as it is packed, rows are not compared: that is done in memory."""


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
    if charter.task.use not in HEADS_CONTINUED:
        raise ModelError(
            f"--continue: task {charter.task.use} can't go on from an earlier model yet; {listed(HEADS_CONTINUED)} can. {TRANSFER}"
        )
    if (
        charter.model.head == "replace"
        or charter.pretraining is not None
        or charter.training.objective is not None
    ):
        raise ModelError(
            "--continue keeps the earlier model's head and learns by the task's own loss: take model.head, pretraining and "
            f"training.objective out of the charter (another task beside the earlier one, task-incremental, is not built). {TRANSFER}"
        )
    if not (bundle / MANIFEST).is_file():
        wrong = f"no released bundle, it has no {MANIFEST}" if bundle.is_dir() else "no such folder"
        raise BundleError(
            f"--continue {bundle}: {wrong}; name the folder of a release, as `charter run` prints it after 'Bundle'"
        )
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
    if ancestor is not None and asked.keep is not None:
        check_fisher(asked.keep, ancestor.bundle.folder)
    why = "" if ancestor is None else why_not_continued(charter, ancestor)
    if why:
        raise ModelError(
            f"continual goes on with the earlier model's head: {why}. Another task beside the earlier one (task-incremental) is not "
            f"built. {TRANSFER}"
        )


def go_on(run: Run, charter: Charter, folder: Path, data: PreparedData, ancestor: Ancestor | None) -> GoingOn:
    """The prepared rows without those that would spoil the evidence, and with the replayed ones.

    Left out are held-out rows that are like a row which an earlier model has learned from; and where earlier tasks are judged,
    rows that would be learned from, or chosen by, and are like an earlier test row. Given splits (published parts, a column) are
    never changed: their rows stay, what overlaps is a finding, and the earlier test rows in question are judged on no more.
    Replayed rows are like no held-out row, earlier or new. Without the section `continual` an earlier model that was judged on
    the very same test rows is not looked at.

    Raises:
        DataError: earlier rows are to be replayed, and none is at hand; or no test row is left.
    """
    if ancestor is None:
        if charter.continual is not None:
            run.note(GO_ON, NOTHING_BEFORE.format(base=charter.model.begins_with))
        return GoingOn(data)
    earlier = tuple(_earlier(run, charter, folder, data, ancestor))
    went_on = _kept_apart(run, charter, data, ancestor, earlier)
    read = pretrained_on(run, charter, data, went_on.data, ancestor)
    return replace(went_on, findings=(*went_on.findings, *read))


def _kept_apart(
    run: Run, charter: Charter, data: PreparedData, ancestor: Ancestor, earlier: tuple[EarlierData, ...]
) -> GoingOn:
    """As `go_on`, of the rows that the ancestors learned from."""
    tasks = tuple(one for one in earlier if one.judged)
    asked, memory = charter.continual, ancestor.bundle.folder / MEMORY
    if asked is None and not earlier:
        return GoingOn(data)
    looked_at = memory.is_file() and (asked is not None or not _is_large(data.artifact))
    stage = Stage(
        GO_ON,
        VERSION,
        options={
            "continual": asked is not None,
            "replay": None if asked is None else asked.replay,
            "prepare": [] if asked is None or asked.replay is None else row_wise_uses(charter),
            "similarity": charter.data.split.similarity,
            "inputs": list(charter.data.inputs),
            "target": charter.data.target,
            "since": [
                {
                    "name": one.name,
                    "given": one.about["data"].get("given"),
                    "continual": one.about.get("continual"),
                }
                for one in earlier
            ],
        },
        inputs={
            "source": str(data.artifact.record["inputs"]["source"]),
            "rows": data.artifact.digest,
            "memory": file_digest(memory) if looked_at else "",
            **{
                f"{'earlier' if one.judged else 'other'} {at}": f"missing: {one.because}"
                if one.artifact is None
                else one.artifact.digest
                for at, one in enumerate(earlier)
            },
        },
        libraries=("charter", "numpy", "polars", "scipy"),
        seed=charter.training.seed,
    )

    def make(files: Path, work: Path) -> None:
        del work
        join_rows(charter, data, earlier, read_memory(memory) if looked_at else None, files)

    artifact = run.step(stage, make)
    findings = tuple(read_findings(artifact.path / "findings.jsonl"))
    for one in findings:
        if one.metric == "rows_known" and one.value is None:
            run.note(
                GO_ON, f"whether rows of the test split were learned from before is not known: {one.because}"
            )
    if asked is None:
        return GoingOn(_joined(data, artifact), (), findings)
    spoiled, left_out = (read_json(artifact.path / f"{name}.json") for name in ("learned_since", "left_out"))
    tasks = tuple(
        replace(one, artifact=None, because=spoiled[one.name])
        if one.name in spoiled
        else replace(one, left_out=tuple(left_out.get(one.name, ())))
        for one in tasks
    )
    return GoingOn(_joined(data, artifact), tasks, findings)


def _joined(data: PreparedData, artifact: Artifact) -> PreparedData:
    """The rows that are gone on with: as they were where none was left out and none replayed."""
    place = artifact.path / "rows.parquet"
    if not place.is_file():
        return data
    rows = pl.scan_parquet(place).filter(pl.col(SPLIT) == "test").select(ROW).collect()[ROW].to_list()
    if not rows:
        raise DataError(
            "no test row is left: every one is like a row that the earlier model has learned from; give rows that are new to it"
        )
    digest = value_digest({"source": data.artifact.record["inputs"]["source"], "rows": sorted(rows)})
    findings = tuple(read_findings(artifact.path / "data.jsonl"))
    return replace(data, artifact=artifact, findings=findings, test_digest=digest)


def _earlier(
    run: Run, charter: Charter, folder: Path, data: PreparedData, ancestor: Ancestor
) -> Iterator[EarlierData]:
    """What is at hand of every ancestor, the nearest first. Those that are no earlier task are looked at for what they learned only."""
    names: list[str] = []
    bundles = bundles_at_hand(ancestor, folder) if charter.continual is not None else repeat(None)
    for place, (about, bundle) in enumerate(zip(ancestor.lineage, bundles, strict=False)):
        judged = charter.continual is not None and about["task"] == charter.task.use
        own = about["data"]
        same = own["source_digest"] == data.artifact.record["inputs"]["source"]
        if charter.continual is None and same and own["test_digest"] == data.test_digest:
            continue  # split alike: none of these test rows was learned from
        artifact = run.store.with_digest(str(own["prepared_digest"]))
        because = f"the rows of {own['id']} are not in this run store"
        from_source = charter.continual is not None and charter.continual.judge_on == "source"
        if artifact is None and from_source:
            artifact, because = _from_source(run, folder, bundle, place, str(own["id"]))
        if artifact is not None and not judged and (_is_large(artifact) or _is_large(data.artifact)):
            artifact, because = None, f"the rows of {own['id']} are too many to be compared"
        name = str(own["id"])
        name += f" {str(about['digest'])[:8]}" if judged and name in names else ""
        names += [name] if judged else []
        columns = Columns(
            dict.fromkeys(own["inputs"], "text"),
            own["target"],
            subject=own.get("subject"),
            form=data.columns.form,
        )
        yield EarlierData(
            about, columns, artifact, "" if artifact is not None else because, name, judged, bundle
        )


def _from_source(
    run: Run, folder: Path, ancestor: Ancestor | None, place: int, name: str
) -> tuple[Artifact | None, str]:
    """An earlier model's rows, prepared anew by its own charter, if they are the same test rows as then. place: in the lineage."""
    if ancestor is None:
        return (
            None,
            f"the rows of {name} are not in this run store, and its bundle, which holds its charter, is not at hand",
        )
    try:
        again = prepare_data(
            run, ancestor.record.charter, folder, name=f"{EARLIER} {place + 1}" if place else EARLIER
        )
    except CharterError as error:
        return None, f"the rows of {name} can't be prepared anew ({str(error)[:200]})"
    if again.test_digest != ancestor.record.provenance["data"]["test_digest"]:
        return None, f"the test rows of {name} are others by now"
    return again.artifact, ""


def _is_large(artifact: Artifact) -> bool:
    return (artifact.path / "rows.parquet").stat().st_size > MOST_BYTES

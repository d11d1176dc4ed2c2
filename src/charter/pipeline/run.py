"""A whole run on one page: charter.yaml -> prepare -> train -> export -> answer -> audit -> judge -> release."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charter import spec
from charter.audits.case import Answers
from charter.errors import BundleError
from charter.pipeline.answering import answer_held_out
from charter.pipeline.exporting import Exported, export_model
from charter.pipeline.judging import audit, preparation_facts, provenance
from charter.pipeline.learning import train_model
from charter.pipeline.preparing import PreparedData, prepare_data
from charter.pipeline.progress import OnProgress, Progress
from charter.release.bundle import Contents, check_destination, pack
from charter.release.judge import judge, released
from charter.release.manifest import read_manifest
from charter.release.record import Record, write_record
from charter.release.report import render
from charter.release.report.misjudged import misjudged
from charter.release.signing import check_key
from charter.runs.digest import value_digest
from charter.runs.files import write_text
from charter.runs.findings import Finding
from charter.runs.run import Event, Run, begin_run, charters_judged, judged_before, note_judged, run_name
from charter.runs.store import Store
from charter.spec.model import Charter


@dataclass(frozen=True)
class Result:
    """How a run ended. `bundle` is None when nothing was packed; `report` is the HTML page."""

    run_id: str
    folder: Path
    record: Record
    report: Path
    bundle: Path | None

    @property
    def released(self) -> bool:
        """Whether every limit was kept, so that the model was released."""
        return self.record.status == "released"


def run(
    charter_file: Path,
    *,
    store: Path | None = None,
    release_to: Path | None = None,
    draft: bool = False,
    on_event: Callable[[Event], None] | None = None,
    on_progress: OnProgress | None = None,
) -> Result:
    """Run a charter from its data to its verdict, and release the model when every limit is kept.

    A run that was interrupted goes on where it stopped; a second run of the same charter does no work twice.
    `store` is `runs` and `release_to` is `release` beside the charter file unless told otherwise. With `draft` a
    model whose limits are not kept is packed as well, marked as refused everywhere.

    Raises:
        CharterFileError: the charter can't be followed; nothing was run.
        CharterError: the signing key, what stands where the bundle goes, the data, the base model or the store stopped
            it; the message says what to do.
    """
    charter = spec.read(charter_file)
    folder = charter_file.resolve().parent
    kept = Store((store or folder / "runs").absolute())
    place = (release_to or folder / "release").absolute()
    sign_with = _key(charter.release.sign, folder)
    _check_release(charter, place, sign_with, draft=draft)
    tell: OnProgress = on_progress or _silent
    with begin_run(kept, run_name(charter.name), charter.digest, on_event) as going:
        data = prepare_data(going, charter, folder)
        trained = train_model(going, charter, folder, data, tell)
        exports = [
            export_model(going, charter, data, trained, name, tell) for name in charter.release.formats
        ]
        findings: list[Finding] = [*data.findings, *trained.findings]
        tested = []
        for exported in exports:
            held_out = answer_held_out(going, charter, data, exported, tell)
            findings += audit(going, charter, data, trained, exported, held_out)
            tested.append(held_out.answers["test"])

        test = {"test_digest": data.test_digest, "data_id": charter.data_id}
        before: dict[str, Any] = {**judged_before(kept, charter_digest=charter.digest, **test)}
        before["charters"] = charters_judged(kept, charter_digest=charter.digest, **test)
        note_judged(kept, charter_digest=charter.digest, run_id=going.id, **test)
        verdicts = judge(charter, findings)
        kept_all = released(verdicts)
        preparation = preparation_facts(charter, data, exports[0])
        origin = provenance(going, charter, data, trained, exports)
        origin["preparation_digest"] = value_digest(preparation)
        record = Record(
            charter=charter,
            status="released" if kept_all else "draft" if draft else "refused",
            run_id=going.id,
            created=origin["ended"],
            verdicts=tuple(verdicts),
            findings=tuple(findings),
            provenance=origin,
            history=trained.history,
            stages=tuple(going.record["stages"]),
            judged_before=before,
            examples=_examples(charter, data, exports[0], tested[0]),
        )
        page, bundle = render(record), None
        if kept_all or draft:
            contents = Contents(
                record=record,
                model_folder=exports[0].folder,
                preparation=preparation,
                charter_text=spec.written(charter),
                report=page,
                sign_with=sign_with,
            )
            bundle = pack(contents, _destination(charter, place, kept_all))
        # Only now: a run that ends before its bundle is in place must not leave a record or a page that says "released".
        report = going.folder / "report.html"
        write_record(going.folder / "record.json", record)
        write_text(report, page)
        if not kept_all:
            _tell_of_earlier(going, _destination(charter, place, True))
        going.finish(record.status, bundle=str(bundle) if bundle else None, report=str(report))
        return Result(going.id, going.folder, record, report, bundle)


def _examples(
    charter: Charter, data: PreparedData, exported: Exported, test: Answers
) -> dict[str, Any] | None:
    """Misjudged test rows for the report, masked; None, and no row's text anywhere, unless the charter asks for them."""
    if charter.report.examples != "masked":
        return None
    return misjudged(exported.task, data.columns, test.rows, test.outputs, seed=charter.training.seed)


def _destination(charter: Charter, place: Path, kept_all: bool) -> Path:
    return place / (charter.name if kept_all else f"{charter.name}-REFUSED")


def _check_release(charter: Charter, place: Path, sign_with: Path | None, *, draft: bool) -> None:
    """Find before any work what would keep the bundle from being written after it."""
    if sign_with is not None:
        check_key(sign_with)
    for kept_all in (True, False) if draft else (True,):
        check_destination(_destination(charter, place, kept_all))


def _tell_of_earlier(run: Run, bundle: Path) -> None:
    """A bundle that an earlier run released stays where it is when a later one is refused; nobody should mix them up."""
    if not os.path.lexists(bundle):
        return
    try:
        of = f"the bundle of run {read_manifest(bundle).run}"
    except BundleError:
        of = "an earlier bundle"
    run.note("release", f"{bundle} is still {of}, not of this one")


def _key(path: str | None, folder: Path) -> Path | None:
    return None if path is None else folder / path


def _silent(progress: Progress) -> None:
    del progress

"""A whole run on one page: charter.yaml -> prepare -> train -> export -> answer -> audit -> judge -> release."""

import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charter import plugins, spec
from charter.audits.case import Answers
from charter.errors import BundleError
from charter.models.base import Base
from charter.models.exports import Exporter, check_installed
from charter.models.world import ALONE, World
from charter.pipeline.ancestry import open_ancestor
from charter.pipeline.answering import answer_held_out, answer_nearest, answer_unigram
from charter.pipeline.continuing import check_continual, continued, go_on
from charter.pipeline.exporting import Exported, export_model
from charter.pipeline.judging import audit, preparation_facts, provenance
from charter.pipeline.learning import Trained, train_model
from charter.pipeline.leaving import NOTHING, leave
from charter.pipeline.on_ray import run_on_ray
from charter.pipeline.preparing import PreparedData, prepare_data
from charter.pipeline.pretraining import Begun, begin_base
from charter.pipeline.progress import OnProgress, Progress
from charter.pipeline.reading import language_examples
from charter.pipeline.remembering import judge_before, judge_earlier
from charter.pipeline.searching import check_search, search_settings
from charter.pipeline.teaching import find_teacher, teach
from charter.pipeline.telling import ending_of, make_trackers, told_trial, tracked
from charter.pipeline.weighing import weigh_form
from charter.release.bundle import Contents, check_destination, pack
from charter.release.croissant import croissant, files_beside
from charter.release.datasheet import datasheet_markdown
from charter.release.displays import Findings, Plots, Verdicts, plots_of
from charter.release.judge import judge, released
from charter.release.manifest import ROOT_FORM, read_manifest
from charter.release.record import RECORD, Record, read_record, write_record
from charter.release.report import render
from charter.release.report.misjudged import misjudged
from charter.release.report.notebook import record_html
from charter.release.signing import check_key
from charter.runs.digest import value_digest
from charter.runs.files import write_json, write_text
from charter.runs.findings import Finding
from charter.runs.run import Event, Run, begin_run, charters_judged, judged_before, note_judged, run_name
from charter.runs.store import Store
from charter.spec.datasheet import read_answers
from charter.spec.model import Charter
from charter.tasks.task import Task
from charter.training.starting import together


@dataclass(frozen=True, repr=False)
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

    @property
    def findings(self) -> Findings:
        """Everything that was measured, to be filtered, read as a table, shown in a notebook."""
        return Findings(self.record.findings, self.record.charter.report.language)

    @property
    def verdicts(self) -> Verdicts:
        """Every limit's verdict."""
        return Verdicts(self.record.verdicts, self.record.charter.report.language)

    @property
    def plots(self) -> Plots:
        """The report's plots by name."""
        return plots_of(self.record)

    def __repr__(self) -> str:
        return f"<Result of {self.run_id}: {self.record.status}; report {self.report}>"

    def _repr_html_(self) -> str:
        bundle = [("term_bundle", str(self.bundle))] if self.bundle is not None else []
        return record_html(self.record, paths=[("term_report", str(self.report)), *bundle])


def run(
    charter_file: Path,
    *,
    store: Path | None = None,
    release_to: Path | None = None,
    draft: bool = False,
    continue_from: Path | None = None,
    on_event: Callable[[Event], None] | None = None,
    on_progress: OnProgress | None = None,
    world: World = ALONE,
) -> Result:
    """Run a charter from its data to its verdict, and release the model when every limit is kept.

    A run that was interrupted goes on where it stopped; a second run of the same charter does no work twice.
    `store` is `runs` and `release_to` is `release` beside the charter file unless told otherwise. With `draft` a
    model whose limits are not kept is packed as well, marked as refused everywhere. `continue_from`: a released bundle that the
    model goes on from, by the charter's section `continual`. `world`: the processes that share
    the training (`charter.models.world.joined`), of which this is the first; alone, it starts those that the charter asks
    for.

    Raises:
        CharterFileError: the charter can't be followed; nothing was run.
        MissingExtraError: a released format needs libraries that are not installed; nothing was run.
        CharterError: the signing key, what stands where the bundle goes, the data, the base model or the store stopped
            it; the message says what to do.
    """
    folder = charter_file.resolve().parent
    charter = spec.read(charter_file)
    if continue_from is not None:
        charter = continued(charter, continue_from, folder)
    kept = Store((store or folder / "runs").absolute())
    place = (release_to or folder / "release").absolute()
    sign_with = _key(charter.release.sign, folder)
    _check_release(charter, place, sign_with, draft=draft)
    check_search(charter)
    ancestor = open_ancestor(charter, folder)
    check_continual(charter, ancestor)
    teacher = find_teacher(charter, folder)
    trackers = make_trackers(charter)
    answers = _datasheet(charter, folder)
    tell: OnProgress = on_progress or _silent
    if world is ALONE and charter.training.engine == "ray":
        ancestor_at = None if continue_from is None else continue_from.absolute()
        asked = {"store": kept.root, "release_to": place, "draft": draft, "continue_from": ancestor_at}
        return _found(run_on_ray(charter_file, charter.training.workers, **asked))
    with (
        together(charter.training.workers) if world is ALONE else nullcontext(world) as shared,
        begin_run(kept, run_name(charter.name), charter.digest, on_event) as going,
        tracked(going, charter, folder, trackers) as tracking,
    ):
        went_on = go_on(going, charter, folder, prepare_data(going, charter, folder), ancestor)
        data = went_on.data
        begun = begin_base(going, charter, folder, data, tell, shared, ancestor=ancestor)
        _check_forms(charter, begun.base)
        taught = teach(going, charter, teacher, data, tell)
        searched = search_settings(
            going, charter, begun.base, data, tell, lambda trial: told_trial(tracking, trial), shared, taught
        )
        trained = train_model(
            going,
            charter,
            begun.base,
            data,
            tell,
            tracking.record,
            settings=searched.settings,
            world=shared,
            taught=taught,
        )
        tracking.catch_up(trained.history)
        exports = [
            export_model(going, charter, data, trained, name, tell) for name in charter.release.formats
        ]
        findings: list[Finding] = [
            *data.findings,
            *went_on.findings,
            *begun.findings,
            *searched.findings,
            *trained.findings,
        ]
        answered = [answer_held_out(going, charter, data, exported, tell) for exported in exports]
        cheap = (
            answer_nearest(going, charter, data, trained, tell),
            answer_unigram(going, charter, data, trained),
        )
        beside = [one for one in cheap if one is not None]
        for exported, held_out in zip(exports, answered, strict=True):
            findings += audit(going, charter, data, trained, exported, held_out, beside)
            findings += weigh_form(going, charter, data, (exported, held_out), (exports[0], answered[0]))
            findings += judge_earlier(going, charter, went_on, ancestor, exported, tell)
        findings += judge_before(going, charter, data, ancestor, trained, tell)

        test = {"test_digest": data.test_digest, "data_id": charter.data_id}
        before: dict[str, Any] = {**judged_before(kept, charter_digest=charter.digest, **test)}
        before["charters"] = charters_judged(kept, charter_digest=charter.digest, **test)
        note_judged(kept, charter_digest=charter.digest, run_id=going.id, **test)
        verdicts = judge(charter, findings, {one.format: one.digest for one in exports})
        kept_all = released(verdicts)
        weights = next((one for one in exports if one.format == ROOT_FORM), exports[0])
        left = leave(going, charter, data, weights, ancestor) if kept_all or draft else NOTHING
        preparation = preparation_facts(charter, data, exports)
        lineage = ancestor.lineage if ancestor is not None else ()
        digests = {one.format: said.digest for one, said in zip(exports, answered, strict=True)}
        origin = provenance(
            going, charter, data, trained, exports, begun.origin, lineage, answers=digests, left=left.facts
        )
        if taught is not None:
            origin["teacher"] = dict(taught.origin)
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
            examples=_examples(charter, data, begun, trained, (exports[0], answered[0].answers["test"])),
            datasheet=answers,
        )
        page, bundle = render(record), None
        if kept_all or draft:
            contents = Contents(
                record=record,
                forms={one.format: one.folder for one in exports},
                preparation=preparation,
                charter_text=spec.written(charter),
                report=page,
                sign_with=sign_with,
                beside=left.files,
            )
            bundle = _destination(charter, place, kept_all)
            if ancestor is not None and ancestor.bundle.folder.resolve() == bundle.resolve():
                going.note("release", f"{bundle} is replaced: it was the bundle that this model goes on from")
            pack(contents, bundle)
        # Only now: a run that ends before its bundle is in place must not leave a record or a page that says "released".
        report = going.folder / "report.html"
        write_record(going.folder / RECORD, record)
        write_text(going.folder / "datasheet.md", datasheet_markdown(record))
        write_json(going.folder / "croissant.json", croissant(record, beside=files_beside(record)))
        write_text(report, page)
        if not kept_all:
            _tell_of_earlier(going, _destination(charter, place, True))
        tracking.end(ending_of(record))
        going.finish(record.status, bundle=str(bundle) if bundle else None, report=str(report))
        return Result(going.id, going.folder, record, report, bundle)


def _found(told: Mapping[str, Any]) -> Result:
    """The result of a run that was made elsewhere."""
    record = read_record(Path(told["folder"]) / RECORD)
    bundle = None if told["bundle"] is None else Path(told["bundle"])
    return Result(record.run_id, Path(told["folder"]), record, Path(told["report"]), bundle)


def _examples(
    charter: Charter, data: PreparedData, begun: Begun, trained: Trained, first: tuple[Exported, Answers]
) -> dict[str, Any] | None:
    """Misjudged test rows for the report, masked, and what a language model says; None unless the charter asks for them."""
    if charter.report.examples != "masked":
        return None
    task, seed, length = trained.task, charter.training.seed, charter.model.max_length
    place, (exported, test) = trained.artifact.path / "model", first
    said = begun.examples or language_examples(
        place, task, test.rows, data.columns, max_length=length, seed=seed
    )
    return {
        **misjudged(exported.task, data.columns, test.rows, test.outputs, seed=seed),
        **({"language": dict(said)} if said else {}),
    }


def _datasheet(charter: Charter, folder: Path) -> dict[str, Any] | None:
    """A person's answers to the datasheet's questions, where the charter names them."""
    name = charter.data.datasheet
    return None if name is None else {"file": name, "answers": read_answers(folder / name)}


def _destination(charter: Charter, place: Path, kept_all: bool) -> Path:
    return place / (charter.name if kept_all else f"{charter.name}-REFUSED")


def _check_release(charter: Charter, place: Path, sign_with: Path | None, *, draft: bool) -> None:
    """Find before any work what would keep the bundle from being written after it."""
    for name in charter.release.formats:
        check_installed(name, plugins.make("exporter", name, {}))
    if sign_with is not None:
        check_key(sign_with)
    for kept_all in (True, False) if draft else (True,):
        check_destination(_destination(charter, place, kept_all))


def _check_forms(charter: Charter, base: Base) -> None:
    """Find before any training what would keep this base from a form that is released."""
    task: Task = plugins.make("task", charter.task.use, charter.task.options)
    for name in charter.release.formats:
        exporter: Exporter = plugins.make("exporter", name, {})
        if exporter.check_base is not None:
            exporter.check_base(base, task)


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

"""A whole run on one page: charter.yaml -> prepare -> train -> export -> answer -> audit -> judge -> release."""

import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charter import spec
from charter.errors import BundleError
from charter.models.world import ALONE, World
from charter.pipeline.ancestry import check_private_base
from charter.pipeline.answering import HeldOut, answer_held_out, answer_nearest, answer_unigram
from charter.pipeline.asked import Asked, ask, check_forms
from charter.pipeline.claiming import Making, siblings_of
from charter.pipeline.continuing import GoingOn, go_on
from charter.pipeline.exporting import Exported, export_model
from charter.pipeline.judging import audit, preparation_facts, provenance
from charter.pipeline.learning import Trained, train_model
from charter.pipeline.leaving import NOTHING, Left, leave
from charter.pipeline.on_ray import run_on_ray
from charter.pipeline.planning import trials_of
from charter.pipeline.preparing import PreparedData, prepare_data
from charter.pipeline.pretraining import Begun, begin_base
from charter.pipeline.progress import OnProgress, Progress
from charter.pipeline.reading import language_examples
from charter.pipeline.remembering import judge_before, judge_earlier
from charter.pipeline.result import Result, found
from charter.pipeline.searching import search_settings
from charter.pipeline.spending import check_charged_base, check_plain, ledger_head, spending_of
from charter.pipeline.spent import outside_budget
from charter.pipeline.teaching import Taught, teach
from charter.pipeline.telling import ending_of, told_trial, tracked
from charter.pipeline.weighing import weigh_form
from charter.release.bundle import Contents, pack
from charter.release.croissant import croissant, files_beside
from charter.release.datasheet import datasheet_markdown
from charter.release.judge import judge, released
from charter.release.manifest import ROOT_FORM, read_manifest
from charter.release.record import RECORD, Record, write_record
from charter.release.report import render
from charter.release.report.misjudged import misjudged
from charter.runs.digest import value_digest
from charter.runs.files import write_json, write_text
from charter.runs.findings import Finding
from charter.runs.run import Event, Run, begin_run, charters_judged, judged_before, note_judged, run_name
from charter.spec.training import Training
from charter.tracking.tracker import Tracking
from charter.training.starting import together


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
    with spec.at_its_line(charter_file):
        asked = ask(charter_file, store, release_to, draft=draft, continue_from=continue_from)
        charter, tell = asked.charter, on_progress or _silent
        if world is ALONE and charter.training.engine == "ray":
            ancestor_at = None if continue_from is None else continue_from.absolute()
            told = {
                "store": asked.store.root,
                "release_to": asked.release_to,
                "draft": draft,
                "continue_from": ancestor_at,
            }
            return found(run_on_ray(charter_file, charter.training.workers, **told))
        return follow(asked, on_event, tell, world)


def follow(
    asked: Asked,
    on_event: Callable[[Event], None] | None = None,
    on_progress: OnProgress | None = None,
    world: World = ALONE,
) -> Result:
    """Follow a charter that was checked, on this machine; as `run`."""
    charter, tell = asked.charter, on_progress or _silent
    with (
        together(charter.training.workers) if world is ALONE else nullcontext(world) as shared,
        begin_run(asked.store, run_name(charter.name), charter.digest, on_event) as going,
        tracked(going, charter, asked.folder, asked.trackers) as tracking,
    ):
        learned = _learn(asked, going, tracking, tell, shared)
        measured = _measure(asked, going, learned, tell, shared)
        left, record = _judge(asked, going, measured)
        return _release(asked, going, tracking, measured, left, record)


@dataclass(frozen=True)
class _Learned:
    """A model that has learned by `settings`, in every form that is released. findings: what was measured on the way."""

    went_on: GoingOn
    begun: Begun
    taught: Taught | None
    settings: Training
    trained: Trained
    exports: Sequence[Exported]
    findings: Sequence[Finding]

    @property
    def data(self) -> PreparedData:
        return self.went_on.data


@dataclass(frozen=True)
class _Measured:
    """Everything that is known of the forms before they are judged."""

    learned: _Learned
    answered: Sequence[HeldOut]
    findings: Sequence[Finding]

    @property
    def exports(self) -> Sequence[Exported]:
        return self.learned.exports

    @property
    def weights(self) -> Exported:
        """The form with the weights, or the first one."""
        return next((one for one in self.exports if one.format == ROOT_FORM), self.exports[0])


def _learn(asked: Asked, going: Run, tracking: Tracking, tell: OnProgress, world: World) -> _Learned:
    charter, folder = asked.charter, asked.folder
    went_on = go_on(going, charter, folder, prepare_data(going, charter, folder), asked.ancestor)
    data = went_on.data
    check_private_base(charter, data, asked.ancestor)
    check_charged_base(going, charter, folder, data, asked.ancestor)
    check_plain(going, charter, folder, data)
    begun = begin_base(going, charter, folder, data, tell, world, ancestor=asked.ancestor)
    check_forms(charter, begun.base)
    taught = teach(going, charter, asked.teacher, data, tell)
    searched = search_settings(
        going, charter, begun.base, data, tell, lambda trial: told_trial(tracking, trial), world, taught
    )
    trained = train_model(
        going,
        charter,
        begun.base,
        data,
        tell,
        tracking.record,
        settings=searched.settings,
        world=world,
        taught=taught,
        spending=spending_of(going, charter, folder),
    )
    tracking.catch_up(trained.history)
    exports = [export_model(going, charter, data, trained, name, tell) for name in charter.release.formats]
    measured_on_the_way = (data, went_on, begun, searched, trained)
    findings = [finding for one in measured_on_the_way for finding in one.findings]
    findings += outside_budget(charter, data)
    return _Learned(went_on, begun, taught, trained.settings, trained, exports, findings)


def _measure(asked: Asked, going: Run, learned: _Learned, tell: OnProgress, world: World) -> _Measured:
    charter, data, exports, trained = asked.charter, learned.data, learned.exports, learned.trained
    answered = [answer_held_out(going, charter, data, exported, tell) for exported in exports]
    cheap = (
        answer_nearest(going, charter, data, trained, tell),
        answer_unigram(going, charter, data, trained),
    )
    beside = [one for one in cheap if one is not None]
    findings = [*learned.findings]
    making = Making(going, charter, data, trained, learned.settings, tell, world)
    for exported, held_out in zip(exports, answered, strict=True):
        findings += audit(
            going, charter, data, trained, exported, held_out, beside, siblings_of(making, exported)
        )
        findings += weigh_form(going, charter, data, (exported, held_out), (exports[0], answered[0]))
        findings += judge_earlier(going, charter, learned.went_on, asked.ancestor, exported, tell)
    findings += judge_before(going, charter, data, asked.ancestor, trained, tell)
    return _Measured(learned, answered, findings)


def _judge(asked: Asked, going: Run, measured: _Measured) -> tuple[Left, Record]:
    """What the bundle leaves to later models, and the record of the run with its verdicts."""
    charter, learned, exports = asked.charter, measured.learned, measured.exports
    data = learned.data
    check_plain(going, charter, asked.folder, data)  # a budget may have been set while it learned
    test = {"test_digest": data.test_digest, "data_id": charter.data_id}
    before: dict[str, Any] = {**judged_before(asked.store, charter_digest=charter.digest, **test)}
    before["charters"] = charters_judged(asked.store, charter_digest=charter.digest, **test)
    day_only = trials_of(charter) is not None
    note_judged(asked.store, charter_digest=charter.digest, run_id=going.id, day_only=day_only, **test)
    verdicts = judge(charter, measured.findings, {one.format: one.digest for one in exports})
    kept_all = released(verdicts)
    left = NOTHING
    if (kept_all or asked.draft) and not asked.swept:
        left = leave(going, charter, data, measured.weights, asked.ancestor)
    origin = provenance(
        going,
        charter,
        data,
        learned.trained,
        exports,
        learned.begun.origin,
        asked.ancestor.lineage if asked.ancestor is not None else (),
        answers={one.format: said.digest for one, said in zip(exports, measured.answered, strict=True)},
        left=left.facts,
        ledger=ledger_head(going, charter, asked.folder),
    )
    if learned.taught is not None:
        origin["teacher"] = dict(learned.taught.origin)
    origin["preparation_digest"] = value_digest(preparation_facts(charter, data, exports))
    return left, Record(
        charter=charter,
        status="sweep" if asked.swept else "released" if kept_all else "draft" if asked.draft else "refused",
        run_id=going.id,
        created=origin["ended"],
        verdicts=tuple(verdicts),
        findings=tuple(measured.findings),
        provenance=origin,
        history=learned.trained.history,
        stages=tuple(going.record["stages"]),
        judged_before=before,
        examples=_examples(asked, measured),
        datasheet=asked.datasheet,
    )


def _release(
    asked: Asked, going: Run, tracking: Tracking, measured: _Measured, left: Left, record: Record
) -> Result:
    """Pack the bundle where the verdicts allow it, and only then write the record and the page."""
    page, bundle, kept_all = render(record), None, record.status == "released"
    if record.status in ("released", "draft"):
        bundle = asked.destination(kept_all)
        if asked.ancestor is not None and asked.ancestor.bundle.folder.resolve() == bundle.resolve():
            going.note("release", f"{bundle} is replaced: it was the bundle that this model goes on from")
        contents = Contents(
            record=record,
            forms={one.format: one.folder for one in measured.exports},
            preparation=preparation_facts(asked.charter, measured.learned.data, measured.exports),
            charter_text=spec.written(asked.charter),
            report=page,
            sign_with=asked.sign_with,
            beside=left.files,
        )
        pack(contents, bundle)
    # Only now: a run that ends before its bundle is in place must not leave a record or a page that says "released".
    report = going.folder / "report.html"
    write_record(going.folder / RECORD, record)
    write_text(going.folder / "datasheet.md", datasheet_markdown(record))
    write_json(going.folder / "croissant.json", croissant(record, beside=files_beside(record)))
    write_text(report, page)
    if not kept_all and not asked.swept:
        _tell_of_earlier(going, asked.destination(True))
    tracking.end(ending_of(record))
    going.finish(record.status, bundle=str(bundle) if bundle else None, report=str(report))
    return Result(going.id, going.folder, record, report, bundle)


def _examples(asked: Asked, measured: _Measured) -> dict[str, Any] | None:
    """Misjudged test rows for the report, masked, and what a language model says; None unless the charter asks for them."""
    charter, learned = asked.charter, measured.learned
    trained, columns = learned.trained, learned.data.columns
    if charter.report.examples != "masked":
        return None
    test, seed = measured.answered[0].answers["test"], charter.training.seed
    said = learned.begun.examples or language_examples(
        trained.artifact.path / "model",
        trained.task,
        test.rows,
        columns,
        max_length=charter.model.max_length,
        seed=seed,
    )
    return {
        **misjudged(measured.exports[0].task, columns, test.rows, test.outputs, seed=seed),
        **({"language": dict(said)} if said else {}),
    }


def _tell_of_earlier(run: Run, bundle: Path) -> None:
    """A bundle that an earlier run released stays where it is when a later one is refused; nobody should mix them up."""
    if not os.path.lexists(bundle):
        return
    try:
        of = f"the bundle of run {read_manifest(bundle).run}"
    except BundleError:
        of = "an earlier bundle"
    run.note("release", f"{bundle} is still {of}, not of this one")


def _silent(progress: Progress) -> None:
    del progress

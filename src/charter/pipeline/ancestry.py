"""The released bundle that a model starts from: opened, verified, and put on record with its own ancestors."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from charter import plugins
from charter.data.columns import Columns
from charter.errors import BundleError, ModelError
from charter.models.base import Base
from charter.pipeline.preparing import PreparedData
from charter.release.bundle import Bundle, read_bundle
from charter.release.manifest import MANIFEST, ROOT_FORM, read_manifest
from charter.release.record import RECORD, Record, read_record
from charter.spec.bases import base_folder
from charter.spec.metrics import HEADS_CONTINUED, HEADS_KEPT, listed
from charter.spec.model import Charter
from charter.spec.privacy import MIXING_OBJECTIVES
from charter.tasks import restore
from charter.tasks.task import Task


@dataclass(frozen=True)
class Ancestor:
    """A verified bundle that a charter's model starts from, and the record of the run that made it."""

    bundle: Bundle
    record: Record

    @property
    def name(self) -> str:
        """The earlier model's name."""
        return self.bundle.name

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of its head, in its order."""
        return self.bundle.preparation.task.labels

    @property
    def outputs(self) -> tuple[str, ...]:
        """The outputs of its head, which a task without classes has too."""
        return restore(self.bundle.preparation.task.model_dump()).head.outputs

    @property
    def lineage(self) -> tuple[Mapping[str, Any], ...]:
        """It and its ancestors, the nearest first: what a bundle's provenance lists under `ancestors`."""
        origin, manifest, charter = self.record.provenance, self.bundle.manifest, self.record.charter
        own = {
            "name": manifest.name,
            "digest": manifest.digest,
            "status": manifest.status,
            "run": manifest.run,
            "charter_digest": manifest.charter_digest,
            "task": self.bundle.preparation.task.use,
            "base": charter.model.base,
            "data": {
                **{
                    key: origin["data"][key]
                    for key in ("id", "source_digest", "prepared_digest", "test_digest")
                },
                "given": list(origin["data"].get("given", ())),
                "inputs": list(charter.data.inputs),
                "target": Columns.of(charter.data).target,
                "subject": charter.data.subject,
            },
            "pretraining": self._read,
            "classes": list(self.classes),
            "continual": charter.continual is not None,
            "private": bool((origin.get("privacy") or {}).get("differential_privacy")),
            "answers": origin["exports"].get(ROOT_FORM, {}).get("answers", ""),
        }
        return (own, *origin.get("ancestors", ()))

    @property
    def _read(self) -> Mapping[str, Any] | None:
        """The texts without labels that its own run pre-trained it on: their digest, and the column that they stand in."""
        asked, told = (
            self.record.charter.pretraining,
            self.record.provenance.get("pretraining", {}).get("texts"),
        )
        if asked is None or told is None:
            return None
        return {"prepared_digest": told["prepared_digest"], "inputs": list(asked.data("texts").inputs)}


def open_ancestor(charter: Charter, folder: Path) -> Ancestor | None:
    """The bundle that `model.base` names, every byte of it and its signature's fit checked; None where it names none.

    Raises:
        BundleError: it is not what was packed.
        ModelError: it was refused and the charter does not allow that, or it holds no weights to learn on from.
    """
    base = charter.model.base
    place = None if base is None else base_folder(base, folder)
    if place is None or not (place / MANIFEST).is_file():
        return None
    manifest = read_manifest(place)
    if manifest.status != "released" and not charter.model.allow_refused:
        raise ModelError(
            f"model.base '{base}' is a draft whose limits were not kept; it was not released. To start from it all the same, "
            "write model: {allow_refused: true}"
        )
    bundle = read_bundle(place, allow_refused=True)
    if ROOT_FORM not in bundle.forms:
        raise ModelError(
            f"model.base '{base}' is a bundle of {', '.join(bundle.forms)} only, and those can't learn on; release it as "
            f"{ROOT_FORM} too (release.formats), and start from that"
        )
    return Ancestor(bundle, read_record(place / "charter" / RECORD))


def check_private_base(charter: Charter, data: PreparedData, ancestor: Ancestor | None) -> None:
    """Refuse a privacy budget for rows that the base has learned already without privacy: no noise after that bounds what it tells.

    Rows are known again by the data set's id or by equal source files.

    Raises:
        ModelError: an ancestor has learned from them so.
    """
    asked = charter.privacy
    if asked is None or ancestor is None or charter.data.public:
        return
    source = data.artifact.record["inputs"]["source"]
    for about in ancestor.lineage:
        own = about["data"]
        same = own["id"] == charter.data_id or own["source_digest"] == source
        if same and not about.get("private"):
            raise ModelError(
                f"the base descends from '{about['name']}', which learned from data '{own['id']}' without privacy, so no "
                "noise now bounds what the model tells of these rows. Begin from a base that has not learned from them; or, where "
                "nobody's privacy is at stake, say data: {public: true}"
            ).about("privacy")


def bundles_at_hand(ancestor: Ancestor, folder: Path) -> tuple[Ancestor | None, ...]:
    """The bundles of the whole lineage, the nearest first; None for one that is not found, or is not what was packed.

    One is looked for where the charter after it named it, from `folder`, and beside the bundle after it: it is known by its digest.
    """
    found: list[Ancestor | None] = [ancestor]
    beside = ancestor.bundle.folder.parent
    for newer, about in pairwise(ancestor.lineage):
        named = str(newer.get("base") or "")
        places = [base_folder(named, folder), beside / Path(named).name] if named else []
        found.append(
            next(filter(None, (_with_digest(place, str(about["digest"])) for place in places)), None)
        )
    return tuple(found)


def _with_digest(place: Path | None, digest: str) -> Ancestor | None:
    """The bundle at a place, every byte of it checked, if it is the one of this digest."""
    if place is None or not (place / MANIFEST).is_file():
        return None
    try:
        if read_manifest(place).digest != digest:
            return None
        return Ancestor(read_bundle(place, allow_refused=True), read_record(place / "charter" / RECORD))
    except BundleError:
        return None


def with_head(base: Base, charter: Charter, ancestor: Ancestor | None, data: PreparedData) -> Base:
    """The base with what of its head goes on, by what the charter says and the classes that the data has.

    Raises:
        ModelError: the charter asks for a head that can't be kept, with the reason.
    """
    goes_on = charter.continual is not None and ancestor is not None
    asked = charter.model.head or ("keep" if goes_on else None)
    if asked == "replace":
        return base
    why = why_no_head(charter, ancestor)
    if why and asked == "keep":
        raise ModelError(f"model.head keep: {why}; write model.head: replace, or remove the key")
    if why or ancestor is None:
        return base
    if asked is None and not _fits(charter, ancestor, data):
        return base
    return replace(base, head=ancestor.classes or ancestor.outputs)


def why_no_head(charter: Charter, ancestor: Ancestor | None) -> str:
    """Why an earlier head can't go on; empty where it can."""
    if ancestor is None:
        return f"'{charter.model.base}' is no released bundle, so it has no head of ours"
    task, before = ancestor.bundle.preparation.task, ancestor.record.charter
    if charter.task.use not in HEADS_KEPT:
        return f"the heads of task {charter.task.use} can't go on yet; those of {listed(HEADS_KEPT)} can"
    if task.use != charter.task.use:
        return f"'{ancestor.name}' does task {task.use}, not {charter.task.use}"
    if charter.pretraining is not None:
        return "pretraining teaches the encoder without its head, which would no longer fit it"
    pooled = before.training.objective is not None and before.training.objective.use in MIXING_OBJECTIVES
    described = any(one.task.options.get("descriptions") for one in (charter, before))
    if described or pooled:
        return "a head that starts from descriptions, or reads the mean over a text's tokens, can't go on yet"
    return ""


def why_not_continued(charter: Charter, ancestor: Ancestor) -> str:
    """Why nothing can hold on to the earlier task although its head could go on; empty where it can."""
    if charter.task.use not in HEADS_CONTINUED:
        return f"task {charter.task.use} can't go on from an earlier model yet; {listed(HEADS_CONTINUED)} can"
    if charter.task.options.get("threshold") == "tuned":
        return "with task.threshold: tuned every label has a threshold of its own, and earlier rows would be judged by the new ones"
    return why_no_head(charter, ancestor)


def _fits(charter: Charter, ancestor: Ancestor, data: PreparedData) -> bool:
    """Whether the data has the head's classes: some of them, or more where classes can be added to it."""
    task: Task = plugins.make("task", charter.task.use, charter.task.options)
    found = set(task.extended(data.rows, Columns.of(charter.data, task.form), ()).labels)
    before = set(ancestor.classes)
    if not task.grows:
        same = charter.task.options == ancestor.record.charter.task.options
        return found <= before and same
    return found <= before or before <= found

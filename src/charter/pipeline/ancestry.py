"""The released bundle that a model starts from: opened, verified, and put on record with its own ancestors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from charter import plugins
from charter.data.columns import Columns
from charter.errors import ModelError
from charter.models.base import Base
from charter.pipeline.preparing import PreparedData
from charter.release.bundle import Bundle, read_bundle
from charter.release.manifest import MANIFEST, ROOT_FORM, read_manifest
from charter.release.record import RECORD, Record, read_record
from charter.spec.bases import base_folder
from charter.spec.metrics import HEADS_KEPT
from charter.spec.model import MIXING_OBJECTIVES, Charter
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
    def lineage(self) -> tuple[Mapping[str, Any], ...]:
        """It and its ancestors, the nearest first: what a bundle's provenance lists under `ancestors`."""
        origin, manifest = self.record.provenance, self.bundle.manifest
        own = {
            "name": manifest.name,
            "digest": manifest.digest,
            "status": manifest.status,
            "run": manifest.run,
            "charter_digest": manifest.charter_digest,
            "task": self.bundle.preparation.task.use,
            "data": {
                **{
                    key: origin["data"][key]
                    for key in ("id", "source_digest", "prepared_digest", "test_digest")
                },
                "inputs": list(self.record.charter.data.inputs),
                "target": " ".join(self.record.charter.data.targets),
            },
            "classes": list(self.classes),
            "continual": self.record.charter.continual is not None,
            "answers": origin["exports"].get(ROOT_FORM, {}).get("answers", ""),
        }
        return (own, *origin.get("ancestors", ()))


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
    if asked is None and not _one_holds_the_other(ancestor.classes, _classes(charter, data)):
        return base
    return replace(base, head=ancestor.classes)


def why_no_head(charter: Charter, ancestor: Ancestor | None) -> str:
    """Why an earlier head can't go on; empty where it can."""
    if ancestor is None:
        return f"'{charter.model.base}' is no released bundle, so it has no head of ours"
    task, before = ancestor.bundle.preparation.task, ancestor.record.charter
    if charter.task.use not in HEADS_KEPT:
        return (
            f"the heads of task {charter.task.use} can't go on yet; those of {' and '.join(HEADS_KEPT)} can"
        )
    if task.use != charter.task.use:
        return f"'{ancestor.name}' does task {task.use}, not {charter.task.use}"
    if charter.pretraining is not None:
        return "pretraining teaches the encoder without its head, which would no longer fit it"
    pooled = before.training.objective is not None and before.training.objective.use in MIXING_OBJECTIVES
    if charter.task.options or before.task.options or pooled:
        return "a head that starts from descriptions, or reads the mean over a text's tokens, can't go on yet"
    return ""


def _classes(charter: Charter, data: PreparedData) -> Sequence[str]:
    task: Task = plugins.make("task", charter.task.use, charter.task.options)
    return task.extended(data.rows, Columns.of(charter.data, task.form), ()).labels


def _one_holds_the_other(one: Sequence[str], other: Sequence[str]) -> bool:
    return set(one) <= set(other) or set(other) <= set(one)

"""What a run is asked for, read and checked before any work, so that what would stop it later stops it now."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charter import plugins, spec
from charter.errors import ModelError
from charter.models.base import Base
from charter.models.exports import Exporter, check_installed
from charter.pipeline.ancestry import Ancestor, open_ancestor
from charter.pipeline.continuing import check_continual, continued
from charter.pipeline.planning import check_private
from charter.pipeline.searching import check_search
from charter.pipeline.teaching import Teacher, find_teacher
from charter.pipeline.telling import make_trackers
from charter.release.bundle import check_destination
from charter.release.signing import check_key
from charter.runs.store import Store
from charter.spec.datasheet import read_answers
from charter.spec.model import Charter
from charter.tasks.task import Task
from charter.tracking.tracker import Tracker


@dataclass(frozen=True)
class Asked:
    """A charter that can be followed as far as can be known beforehand, and where its run reads and writes.

    folder: of the charter file. release_to: the folder of bundles. ancestor: the bundle that the model goes on from.
    teacher: what it is distilled from. datasheet: a person's answers, where the charter names their file. swept: it is a point of a
    sweep: judged as ever, never packed and never released.
    """

    charter: Charter
    folder: Path
    store: Store
    release_to: Path
    draft: bool
    sign_with: Path | None
    ancestor: Ancestor | None
    teacher: Teacher | None
    trackers: list[Tracker]
    datasheet: Mapping[str, Any] | None
    swept: bool = False

    def destination(self, released: bool) -> Path:
        """Where the bundle goes."""
        return _destination(self.charter, self.release_to, released)


def ask(
    charter_file: Path,
    store: Path | None,
    release_to: Path | None,
    *,
    draft: bool,
    continue_from: Path | None,
    point: Charter | None = None,
) -> Asked:
    """Read the charter and check everything that can be checked before any work.

    point: what is followed in place of what the file says, as a point of a sweep.

    Raises:
        CharterError: what `charter.run` raises before it starts.
    """
    folder = charter_file.resolve().parent
    charter = spec.read(charter_file) if point is None else point
    if continue_from is not None:
        charter = continued(charter, continue_from, folder)
    sign_with = None if charter.release.sign is None else folder / charter.release.sign
    place = (release_to or folder / "release").absolute()
    _check_release(charter, place, sign_with, draft=draft)
    check_search(charter)
    check_private(charter)
    ancestor = open_ancestor(charter, folder)
    check_continual(charter, ancestor)
    return Asked(
        charter=charter,
        folder=folder,
        store=Store((store or folder / "runs").absolute()),
        release_to=place,
        draft=draft,
        sign_with=sign_with,
        ancestor=ancestor,
        teacher=find_teacher(charter, folder),
        trackers=make_trackers(charter),
        datasheet=_datasheet(charter, folder),
        swept=point is not None,
    )


def check_forms(charter: Charter, base: Base) -> None:
    """Find before any training what would keep this base from a form that is released."""
    task: Task = plugins.make("task", charter.task.use, charter.task.options)
    for name in charter.release.formats:
        exporter: Exporter = plugins.make("exporter", name, {})
        if exporter.check_base is not None:
            exporter.check_base(base, task)


def _datasheet(charter: Charter, folder: Path) -> dict[str, Any] | None:
    name = charter.data.datasheet
    return None if name is None else {"file": name, "answers": read_answers(folder / name)}


def _destination(charter: Charter, place: Path, released: bool) -> Path:
    return place / (charter.name if released else f"{charter.name}-REFUSED")


def _check_release(charter: Charter, place: Path, sign_with: Path | None, *, draft: bool) -> None:
    """Find before any work what would keep the bundle from being written after it."""
    for name in charter.release.formats:
        exporter: Exporter = plugins.make("exporter", name, {})
        check_installed(name, exporter)
        if charter.privacy is not None and exporter.reads_rows:
            raise ModelError(
                f"release.formats: '{name}' is made from training rows, of which a privacy budget lets nothing be told without noise; take "
                "it out"
            )
    if sign_with is not None:
        check_key(sign_with)
    for kept_all in (True, False) if draft else (True,):
        check_destination(_destination(charter, place, kept_all))

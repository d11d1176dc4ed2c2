"""Cleaning a store: what no run on record needs any more. Journals and run records of kept runs stay.

Only a folder that a run has marked as a store is touched, and in it only what bears a name of the store's own form:
a folder that happens to hold a `tmp` or `work` of somebody else's keeps it.
"""

import re
import shutil
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from charter.errors import StoreError
from charter.runs.locks import locked
from charter.runs.run import RUN_ID, PastRun, list_runs
from charter.runs.store import MARK, Store

_KEY = re.compile(r"[0-9a-f]{64}")
_ASIDE = re.compile(r"[0-9a-f]{16}-(\d+|damaged)-[0-9a-f]{8}")
_LOCK = re.compile(r"([0-9a-f]{64}|run-.+)\.lock")


@dataclass(frozen=True)
class Cleaning:
    """What was (or, in a dry run, would be) removed; `failed` is what is still there, and why."""

    runs: tuple[str, ...]
    artefacts: tuple[str, ...]
    leftovers: int
    freed_bytes: int
    failed: tuple[str, ...] = ()


def clean(store: Store, *, keep: int | None = None, dry_run: bool = False) -> Cleaning:
    """Remove artefacts that no kept run used, and what killed processes left behind.

    keep: keep only the newest so many runs of each charter name; None keeps every run.

    Raises:
        StoreError: the folder is no store, runs are in progress in it, or a run's record can't be read, so that nobody
            knows what it needs; nothing was touched.
    """
    if keep is not None and keep < 1:
        raise StoreError(f"keep must be at least 1, not {keep}")
    if not store.is_marked():
        raise StoreError(
            f"{store.root.resolve()} is no run store (it has no {MARK}); nothing was touched. A run marks its store: "
            "`charter run` once, or name another folder with --charter FILE or --store FOLDER"
        )
    with locked(store.lock_file("store"), wait=False) as held:
        if not held:
            raise StoreError(f"runs are in progress in {store.root}; clean it when they have ended")
        return _clean(store, keep, dry_run)


def _clean(store: Store, keep: int | None, dry_run: bool) -> Cleaning:
    runs = list_runs(store)
    unreadable = [run.id for run in runs if run.status == "unreadable"]
    if unreadable:
        raise StoreError(
            f"{store.root}: the record of {', '.join(unreadable)} can't be read, so nobody knows which artefacts that needs; "
            "nothing was touched. Delete that folder yourself if you don't need it, then clean again"
        )
    kept = _kept(runs, keep)
    unborn = [path for path in _children(store.root, RUN_ID) if not (path / "run.json").exists()]
    needed = {key for run in kept for key in run.keys}
    artefacts = _children(store.root / "artefacts", _KEY)
    whole = {path.name for path in artefacts}
    work = _children(store.root / "work", _KEY)
    remove = _Removal(dry_run)
    old_runs = remove.all([run.folder for run in runs if run not in kept])
    old = remove.all([path for path in artefacts if path.name not in needed])
    unfinished = [path for path in work if path.name not in needed or path.name in whole]
    leftovers = remove.all([*_children(store.root / "tmp", _ASIDE), *unfinished, *unborn])
    if not dry_run:
        alive = {f"run-{run.id}.lock" for run in list_runs(store)} | {f"{key}.lock" for key in needed}
        for path in _children(store.root / "locks", _LOCK, Path.is_file):
            if path.name not in alive:
                path.unlink(missing_ok=True)
    return Cleaning(old_runs, old, len(leftovers), remove.freed_bytes, tuple(remove.failed))


class _Removal:
    """Removes folders and counts what is really gone."""

    def __init__(self, dry_run: bool) -> None:
        self._dry_run = dry_run
        self.freed_bytes = 0
        self.failed: list[str] = []

    def all(self, folders: list[Path]) -> tuple[str, ...]:
        """Remove folders; the names of those that are gone (or would be)."""
        return tuple(folder.name for folder in folders if self._one(folder))

    def _one(self, folder: Path) -> bool:
        size = _size(folder)
        if not self._dry_run:
            try:
                shutil.rmtree(folder)
            except OSError as error:
                self.failed.append(f"{error.filename or folder}: {error.strerror or type(error).__name__}")
                return False
        self.freed_bytes += size
        return True


def _kept(runs: list[PastRun], keep: int | None) -> list[PastRun]:
    """The newest runs of each name, and those in a folder that somebody gave a name of their own."""
    if keep is None:
        return runs
    by_name: dict[str, list[PastRun]] = defaultdict(list)
    for run in runs:
        by_name[run.name].append(run)
    newest = [run for of_name in by_name.values() for run in of_name[-keep:]]
    return newest + [run for run in runs if not RUN_ID.fullmatch(run.id) and run not in newest]


def _children(folder: Path, form: re.Pattern[str], kind: Callable[[Path], bool] = Path.is_dir) -> list[Path]:
    """What lies in a folder of the store and bears a name of this form; links are nobody's."""
    if folder.is_symlink() or not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if form.fullmatch(path.name) and kind(path) and not path.is_symlink()
    )


def _size(path: Path) -> int:
    return sum(file.lstat().st_size for file in path.rglob("*") if file.is_file())

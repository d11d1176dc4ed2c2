"""Cleaning a store: what no run on record needs any more. Journals and run records of kept runs stay."""

import shutil
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from charter.errors import StoreError
from charter.runs.locks import locked
from charter.runs.run import PastRun, list_runs
from charter.runs.store import Store


@dataclass(frozen=True)
class Cleaning:
    """What was (or, in a dry run, would be) removed."""

    runs: tuple[str, ...]
    artefacts: tuple[str, ...]
    leftovers: int
    freed_bytes: int


def clean(store: Store, *, keep: int | None = None, dry_run: bool = False) -> Cleaning:
    """Remove artefacts that no kept run used, and what killed processes left behind.

    keep: keep only the newest so many runs of each charter name; None keeps every run.

    Raises:
        StoreError: runs are in progress on this store; nothing was touched.
    """
    if keep is not None and keep < 1:
        raise StoreError(f"keep must be at least 1, not {keep}")
    with locked(store.lock_file("store"), wait=False) as held:
        if not held:
            raise StoreError(f"runs are in progress in {store.root}; clean it when they have ended")
        return _clean(store, keep, dry_run)


def _clean(store: Store, keep: int | None, dry_run: bool) -> Cleaning:
    runs = list_runs(store)
    kept = _kept(runs, keep)
    needed = {key for run in kept for key in run.keys}
    old_runs = [run for run in runs if run not in kept]
    artefacts = [path for path in _children(store.root / "artefacts") if path.name not in needed]
    work = [
        path
        for path in _children(store.root / "work")
        if path.name not in needed or (store.root / "artefacts" / path.name).exists()
    ]
    leftovers = [*_children(store.root / "tmp"), *work]
    doomed = [*(run.folder for run in old_runs), *artefacts, *leftovers]
    freed = sum(_size(path) for path in doomed)
    if not dry_run:
        for path in doomed:
            shutil.rmtree(path, ignore_errors=True)
        alive = {f"run-{run.id}.lock" for run in kept} | {f"{key}.lock" for key in needed} | {"store.lock"}
        for path in _children(store.root / "locks"):
            if path.name not in alive:
                path.unlink(missing_ok=True)
    return Cleaning(
        tuple(run.id for run in old_runs), tuple(path.name for path in artefacts), len(leftovers), freed
    )


def _kept(runs: list[PastRun], keep: int | None) -> list[PastRun]:
    if keep is None:
        return runs
    by_name: dict[str, list[PastRun]] = defaultdict(list)
    for run in runs:
        by_name[run.name].append(run)
    return [run for of_name in by_name.values() for run in of_name[-keep:]]


def _children(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.exists() else []


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in files if file.is_file())

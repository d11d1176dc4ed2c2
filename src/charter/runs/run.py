"""One run of a charter: its folder, its lineage in `run.json`, and the steps that make artefacts."""

import json
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from charter.errors import StoreError
from charter.runs.files import append_line, parse_json, read_json, write_json
from charter.runs.locks import is_held, locked
from charter.runs.store import Artifact, Stage, Store, Took

Status = Literal["running", "interrupted", "failed", "released", "refused", "draft", "sweep"]
RUN_ID = re.compile(r"\d{8}-\d{6}-.+-[0-9a-f]{4}")
"""The form of a run's id; its folder is called so."""
UNTOLD = "T00:00:00Z"
"""How a time on record ends whose time of day is not told: how long a private search took would tell how many trials there were."""
EventKind = Literal["started", "reused", "made", "waiting", "note"]


@dataclass(frozen=True)
class Event:
    """Something a run tells its caller: a stage started, was made or reused, waits for another run, or a note."""

    kind: EventKind
    stage: str
    text: str = ""
    seconds: float = 0.0


@dataclass
class Run:
    """A run in progress. `step` is the only way to make an artefact; all it does is on record in `run.json`."""

    id: str
    folder: Path
    store: Store
    record: dict[str, Any]
    on_event: Callable[[Event], None] | None = None

    def step(self, stage: Stage, make: Callable[[Path, Path], Took | None]) -> Artifact:
        """The artefact of a stage: reused when its key is known, else made by `make(files, work)`, as `Store.make`."""
        key = stage.key
        entry: dict[str, Any] = {"name": stage.name, "key": key, "state": "started"}
        self.record["stages"].append(entry)
        self._save()

        def begin(files: Path, work: Path) -> Took | None:
            self._tell(Event("started", stage.name))
            return make(files, work)

        artifact, reused = self.store.make(
            stage, begin, on_wait=lambda: self._tell(Event("waiting", stage.name))
        )
        seconds = float(artifact.record["seconds"])
        entry.update(state="done", digest=artifact.digest, reused=reused, seconds=seconds)
        self._save()
        self._tell(Event("reused" if reused else "made", stage.name, seconds=seconds))
        return artifact

    def note(self, stage: str, text: str) -> None:
        """Tell the caller something worth reading that is no error."""
        self._tell(Event("note", stage, text))

    def _tell(self, event: Event) -> None:
        if self.on_event is not None:
            self.on_event(event)

    def finish(self, status: Status, **facts: Any) -> None:
        """Write how the run ended."""
        self.record.update(status=status, ended=_now(), **facts)
        self._save()

    def _save(self) -> None:
        write_json(self.folder / "run.json", self.record)


@contextmanager
def begin_run(
    store: Store, name: str, charter_digest: str, on_event: Callable[[Event], None] | None = None
) -> Iterator[Run]:
    """Open a run: its folder, its lock, and a shared hold on the store so that nothing is cleaned under it.

    An exception that ends it is put on record as `interrupted` (Ctrl-C) or `failed`, and goes on.
    """
    with locked(store.lock_file("store"), shared=True, wait=False) as held:
        if not held:
            raise StoreError(f"{store.root} is being cleaned by `charter gc`; run again when it has ended")
        run_id = f"{time.strftime('%Y%m%d-%H%M%S')}-{name}-{secrets.token_hex(2)}"
        folder = store.root / run_id
        folder.mkdir(parents=True)
        store.mark()
        record = {
            "id": run_id,
            "name": name,
            "charter_digest": charter_digest,
            "created": _now("milliseconds"),
            "status": "running",
            "pid": os.getpid(),
            "stages": [],
        }
        run = Run(run_id, folder, store, record, on_event)
        with locked(store.lock_file(f"run-{run_id}")):
            run._save()
            try:
                yield run
            except KeyboardInterrupt:
                run.finish("interrupted")
                raise
            except BaseException as error:
                run.finish("failed", because=type(error).__name__)
                raise


@dataclass(frozen=True)
class PastRun:
    """A run on record; `status` is "killed" for one that never wrote its end and lives no more.

    A record that can't be read, or is none, makes the run "unreadable"; its other facts are then empty.
    """

    id: str
    name: str
    status: str
    created: str
    folder: Path
    record: Mapping[str, Any]

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of the artefacts it made, reused or began."""
        return tuple(stage["key"] for stage in self.record.get("stages", ()))


class _Entry(BaseModel):
    """What is read of a stage in a run's record."""

    name: str
    key: str


class _Record(BaseModel):
    """What is read of a run's record; the record holds more."""

    name: str
    status: str
    created: str
    stages: tuple[_Entry, ...]


def list_runs(store: Store) -> list[PastRun]:
    """Every run on record, oldest first. A run whose record can't be read is listed as "unreadable"."""
    found = [_past_run(store, path) for path in sorted(store.root.glob("*/run.json"))]
    runs = [run for run in found if run.status != "unreadable" or RUN_ID.fullmatch(run.id)]
    return sorted(runs, key=lambda run: (run.created, run.id))


def _past_run(store: Store, path: Path) -> PastRun:
    run_id = path.parent.name
    try:
        record = read_json(path)
        known = _Record.model_validate(record)
    except (OSError, ValueError):
        return PastRun(run_id, "", "unreadable", "", path.parent, {})
    status = known.status
    if status == "running" and not is_held(store.lock_file(f"run-{run_id}")):
        status = "killed"
    return PastRun(run_id, known.name, status, known.created, path.parent, record)


def status_of(store: Store, run_id: str) -> str:
    """How a run stands, as `PastRun.status` says it; "unreadable" where it is on record no more."""
    return _past_run(store, store.root / run_id / "run.json").status


def find_run(store: Store, run_id: str | None = None, name: str | None = None) -> PastRun:
    """The run of this id (or a beginning of it that only one run has), or the newest one (of this charter's name).

    Raises:
        StoreError: no such run, or several, with what there is.
    """
    runs = list_runs(store)
    if run_id is not None:
        matching = [run for run in runs if run.id.startswith(run_id)]
        if len(matching) == 1:
            return matching[0]
        said = "no run" if not matching else f"{len(matching)} runs"
        raise StoreError(
            f"{said} in {store.root.resolve()} begin(s) with '{run_id}'; `charter runs` lists them"
        )
    matching = [run for run in runs if name is None or run.name == name]
    if not matching:
        of = f" of '{name}'" if name else ""
        raise StoreError(
            f"no run{of} in {store.root.resolve()}. `charter run` makes one; --charter FILE or --store FOLDER look elsewhere"
        )
    return matching[-1]


JUDGED = "judged.jsonl"


def note_judged(
    store: Store, *, charter_digest: str, test_digest: str, data_id: str, run_id: str, day_only: bool = False
) -> None:
    """Put on record that this charter was judged on this test split. day_only: the time of day is not told."""
    at = without_time(_now()) if day_only else _now()
    line = {"charter": charter_digest, "test": test_digest, "data": data_id, "run": run_id, "at": at}
    append_line(store.root / JUDGED, json.dumps(line, ensure_ascii=False))


def judged_before(store: Store, *, charter_digest: str, test_digest: str, data_id: str) -> dict[str, int]:
    """How many other charters were judged before on this test split (`this_split`) and on this data (`this_data`).

    A journal line that can't be read counts as one of its own in both: no evidence of innocence.
    """
    path = store.root / JUDGED
    split: set[str] = set()
    data: set[str] = set()
    if path.exists():
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").split("\n")):
            if not line.strip():
                continue
            try:
                entry = parse_json(line)
                charter, test, name = entry["charter"], entry["test"], entry["data"]
            except (ValueError, KeyError, TypeError):
                split.add(f"unreadable-{number}")
                data.add(f"unreadable-{number}")
                continue
            if charter == charter_digest:
                continue
            if test == test_digest:
                split.add(charter)
            if (
                name == data_id or test == test_digest
            ):  # the same rows are the same data, whatever it is called
                data.add(charter)
    return {"this_split": len(split), "this_data": len(data)}


def charters_judged(
    store: Store, *, charter_digest: str, test_digest: str, data_id: str
) -> list[dict[str, Any]]:
    """Which other charters were judged before on this data, in order, each once, by its last judgement.

    Each is {charter, run, at, status, same_split}; `status` is how that run ended, "" where it is on record no more.
    Lines that can't be read name no charter; `judged_before` counts them.
    """
    path = store.root / JUDGED
    found: dict[str, dict[str, Any]] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n") if path.exists() else ():
        try:
            entry = parse_json(line)
            known = {"charter": entry["charter"], "run": entry["run"], "at": entry["at"]}
            test, name = entry["test"], entry["data"]
        except (ValueError, KeyError, TypeError):
            continue
        if known["charter"] != charter_digest and (name == data_id or test == test_digest):
            same = test == test_digest or found.get(known["charter"], {}).get("same_split", False)
            found[known["charter"]] = {**known, "status": _status(store, known["run"]), "same_split": same}
    return sorted(found.values(), key=lambda one: str(one["at"]))


def _status(store: Store, run_id: str) -> str:
    try:
        record = read_json(store.root / run_id / "run.json")
        return str(record["status"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def run_name(text: str) -> str:
    """A charter's name as a part of a file name."""
    return re.sub(r"[^\w.\-]", "-", text)


def _now(precision: str = "seconds") -> str:
    return datetime.now(UTC).isoformat(timespec=precision).replace("+00:00", "Z")


def without_time(stamp: str) -> str:
    """The day of a time on record such as 2026-12-01T14:58:03Z, its time of day not told."""
    return stamp[:10] + UNTOLD

"""The store: artefacts kept by the key of everything they were made from.

    ROOT/charter-store.json              the mark that this folder is a store, so that `gc` may clean it
    ROOT/artefacts/KEY/artefact.json     the record: stage, options, inputs, files and their digests
    ROOT/artefacts/KEY/files/...         the content
    ROOT/work/KEY/                       what an unfinished stage keeps to resume from (checkpoints)
    ROOT/tmp/                            content being written aside
    ROOT/locks/                          kernel locks: one per key, one per run, one for the store
    ROOT/RUN-ID/                         one folder per run (see `charter.runs.run`)
    ROOT/judged.jsonl                    which charters were judged on which test split: never cleaned

An artefact appears by one rename, after its bytes are on disk; so a kill at any moment leaves it absent or whole.
"""

import os
import secrets
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, Field

from charter.runs.digest import file_digest, files_digest, folder_files, list_folder, value_digest
from charter.runs.files import machine_errors, read_json, sync_folder, sync_tree, write_json
from charter.runs.locks import locked
from charter.runs.machine import machine

MARK = "charter-store.json"


@dataclass(frozen=True)
class Stage:
    """What an artefact is made from; its `key` is the digest of all of it.

    version: raised by hand when the stage's code changes what it makes.
    options: resolved options, JSON. inputs: name -> digest of what it reads. libraries: distributions whose version
    changes what is made. Paths, engines and worker counts have no place here.
    """

    name: str
    version: int
    options: Mapping[str, Any]
    inputs: Mapping[str, str]
    libraries: Sequence[str] = ()
    seed: int | None = None

    @property
    def key(self) -> str:
        """The digest of everything the artefact is made from."""
        return value_digest(self.as_json())

    def as_json(self) -> dict[str, Any]:
        """The stage as JSON, library versions filled in."""
        return {
            "stage": self.name,
            "version": self.version,
            "options": dict(self.options),
            "inputs": dict(sorted(self.inputs.items())),
            "libraries": {library: _version(library) for library in sorted(self.libraries)},
            "seed": self.seed,
        }


@dataclass(frozen=True)
class Artifact:
    """A finished artefact: `path` is the folder of its files, `digest` the digest of their names and bytes."""

    stage: str
    key: str
    digest: str
    path: Path
    record: Mapping[str, Any]


@dataclass(frozen=True)
class Took:
    """What a stage's making gives back where the time that it really took is not to be told: the seconds that go on record."""

    seconds: float


class _Record(BaseModel):
    """What a run reads of an artefact's record; the record holds more."""

    stage: str
    key: str
    digest: str
    files: dict[str, str]
    inputs: dict[str, str]
    seconds: float = Field(ge=0, allow_inf_nan=False)


class Store:
    """A folder of artefacts that several runs may use at once."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def mark(self) -> None:
        """Mark the folder as a store, when its first run begins."""
        if not (self.root / MARK).exists():
            write_json(
                self.root / MARK, {"format": 1, "what": "a run store of Charter: `charter gc` cleans it"}
            )

    def is_marked(self) -> bool:
        """Whether a run has marked this folder as a store."""
        try:
            return bool(read_json(self.root / MARK)["format"] == 1)
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def lock_file(self, name: str) -> Path:
        """The lock of a key, a run or (`store`) the whole."""
        return self.root / "locks" / f"{name}.lock"

    def work_folder(self, key: str) -> Path:
        """Where the unfinished stage of this key keeps what it resumes from."""
        return self.root / "work" / key

    def find(self, key: str) -> Artifact | None:
        """The artefact of a key if it is there and every byte of it is what was written; else None."""
        home = self.root / "artefacts" / key
        try:
            record = read_json(home / "artefact.json")
            listing = list_folder(home / "files")
            files = {name: file_digest(path) for name, path in listing.files.items()}
            strange = set(listing.others.values()) - {"an empty folder"}
            known = _Record.model_validate(record)
            if strange or files != known.files or known.key != key or known.digest != files_digest(files):
                return None
            return Artifact(known.stage, key, known.digest, home / "files", MappingProxyType(record))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def with_digest(self, digest: str) -> Artifact | None:
        """An artefact of this content, whatever it was made from, if one is there and whole; else None."""
        for record in sorted((self.root / "artefacts").glob("*/artefact.json")):
            try:
                is_it = read_json(record)["digest"] == digest
            except (OSError, ValueError, KeyError, TypeError):
                continue
            found = self.find(record.parent.name) if is_it else None
            if found is not None and found.digest == digest:
                return found
        return None

    def make(
        self,
        stage: Stage,
        make: Callable[[Path, Path], Took | None],
        *,
        on_wait: Callable[[], None] | None = None,
    ) -> tuple[Artifact, bool]:
        """The artefact of a stage and whether it was there already; made by `make(files, work)` if not.

        `files` is an empty folder to write the content into; `work` survives an interruption. Two processes that want
        one key take turns, so the second finds what the first made. An artefact that was damaged is made again.
        """
        key = stage.key
        lock = self.lock_file(key)
        with locked(lock, wait=False) as mine:
            if mine:
                return self._find_or_make(stage, key, make)
        if on_wait is not None:
            on_wait()
        with locked(lock):
            return self._find_or_make(stage, key, make)

    def _find_or_make(
        self, stage: Stage, key: str, make: Callable[[Path, Path], Took | None]
    ) -> tuple[Artifact, bool]:
        known = self.find(key)
        if known is not None:
            return known, True
        aside = self.root / "tmp" / f"{key[:16]}-{os.getpid()}-{secrets.token_hex(4)}"
        work = self.work_folder(key)
        (aside / "files").mkdir(parents=True)
        work.mkdir(parents=True, exist_ok=True)
        try:
            started = time.monotonic()
            with machine_errors(self.root):
                said = make(aside / "files", work)
                seconds = said.seconds if isinstance(said, Took) else time.monotonic() - started
                artifact = self._keep(stage, key, aside, seconds)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        shutil.rmtree(work, ignore_errors=True)
        return artifact, False

    def _keep(self, stage: Stage, key: str, aside: Path, seconds: float) -> Artifact:
        files = {name: file_digest(path) for name, path in folder_files(aside / "files").items()}
        record = {
            **stage.as_json(),
            "key": key,
            "digest": files_digest(files),
            "files": files,
            "seconds": round(seconds, 3),
            "made_on": machine(),
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        write_json(aside / "artefact.json", record)
        sync_tree(aside)
        home = self.root / "artefacts" / key
        home.parent.mkdir(parents=True, exist_ok=True)
        if home.exists():  # damaged: `find` said no
            home.replace(self.root / "tmp" / f"{key[:16]}-damaged-{secrets.token_hex(4)}")
        aside.replace(home)
        sync_folder(home.parent)
        return Artifact(stage.name, key, str(record["digest"]), home / "files", MappingProxyType(record))


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "absent"

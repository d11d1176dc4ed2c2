"""Digests: what a file, a folder, a table or a JSON value is, in 64 hexadecimal digits of SHA-256."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl


def canonical(value: Any) -> str:
    """One JSON text for one value: sorted keys, no spaces, characters as they are."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def value_digest(value: Any) -> str:
    """The digest of a JSON value."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """The digest of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@dataclass(frozen=True)
class Listing:
    """What lies below a folder, by POSIX paths relative to it, sorted.

    files: regular files. others: everything else that is not just a folder with something in it, and what it is:
    `a link`, `no regular file` (a pipe, a socket, a device), `an empty folder`, `a folder that can't be read`.
    """

    files: dict[str, Path]
    others: dict[str, str]


def list_folder(folder: Path) -> Listing:
    """Everything below a folder. No link is followed, nothing is opened."""
    files: dict[str, Path] = {}
    others: dict[str, str] = {}
    folders = [folder]
    while folders:
        inside = folders.pop()
        try:
            entries = list(os.scandir(inside))
        except OSError:
            others[inside.relative_to(folder).as_posix()] = "a folder that can't be read"
            continue
        if not entries and inside != folder:
            others[inside.relative_to(folder).as_posix()] = "an empty folder"
        for entry in entries:
            path = Path(entry.path)
            if entry.is_symlink():
                others[path.relative_to(folder).as_posix()] = "a link"
            elif entry.is_dir(follow_symlinks=False):
                folders.append(path)
            elif entry.is_file(follow_symlinks=False):
                files[path.relative_to(folder).as_posix()] = path
            else:
                others[path.relative_to(folder).as_posix()] = "no regular file"
    return Listing(dict(sorted(files.items())), dict(sorted(others.items())))


def folder_files(folder: Path) -> dict[str, Path]:
    """Every regular file below a folder by its POSIX path relative to it, sorted; no link is followed or listed."""
    return list_folder(folder).files


def files_digest(digests: Mapping[str, str]) -> str:
    """The digest of a set of named files, from the digest of each."""
    return value_digest(dict(sorted(digests.items())))


def folder_digest(folder: Path) -> str:
    """The digest of a folder: of its files' names and bytes."""
    return files_digest({name: file_digest(path) for name, path in folder_files(folder).items()})


class FrameDigest:
    """The digest of a table that is told piece by piece: of its columns, types and values, in the order of its rows."""

    def __init__(self, schema: pl.Schema) -> None:
        self._state = hashlib.sha256(canonical([[name, str(kind)] for name, kind in schema.items()]).encode())

    def add(self, frame: pl.DataFrame) -> None:
        """The next rows."""
        for rows in frame.iter_slices(65_536):
            self._state.update(rows.write_ndjson().encode())

    def hexdigest(self) -> str:
        """The digest of all rows so far."""
        return self._state.hexdigest()


def frame_digest(frame: pl.DataFrame) -> str:
    """The digest of a table's columns, types and values, in the order of its rows."""
    state = FrameDigest(frame.schema)
    state.add(frame)
    return state.hexdigest()

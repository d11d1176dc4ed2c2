"""The ledger's file: lines that each hold the hash of the one before, so that nothing is taken out, moved or changed unseen.

    FOLDER/ledger.jsonl   one entry a line: {number, before, ..., hash}; `hash` is of all the rest, `before` the hash of the line above
    FOLDER/head.json      how many lines there are and the last one's hash: without it lines could be cut off at the end
    FOLDER/lock           who writes holds it
    FOLDER/key            32 random bytes for the fingerprints of rows, readable by its owner only
    FOLDER/rows/          those fingerprints

A line is in the ledger once it is on disk whole; then the head follows. Killed between the two, the next writer moves the head on. Half a
line at the end that the head does not count was never promised to anybody and is taken off.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charter.errors import LedgerError
from charter.runs.digest import canonical
from charter.runs.files import machine_errors, parse_json, read_json, sync_folder, write_json

LINES, HEAD, LOCK = "ledger.jsonl", "head.json", "lock"
BEGINNING = "0" * 64
RESTORE = (
    "Nothing is learned from data whose spending can't be read. Put the file back as it was from a copy; a ledger that was "
    "cut off or changed on purpose can't be mended"
)


@dataclass(frozen=True)
class Head:
    """How far a ledger goes: its lines, and the hash of the last one, which stands for all of them."""

    lines: int
    hash: str


def line_hash(entry: Mapping[str, Any]) -> str:
    """The hash of a line: of all it says but the hash itself."""
    said = {name: value for name, value in entry.items() if name != "hash"}
    return hashlib.sha256(canonical(said).encode()).hexdigest()


class Chain:
    """The lines of a ledger in a folder. Who calls holds the lock: `append` alone, `read` at least with others that read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def path(self) -> Path:
        """The file of lines."""
        return self.folder / LINES

    def read(self) -> list[dict[str, Any]]:
        """Every entry, in order, each checked against the one before and the last against the head.

        Raises:
            LedgerError: a line was changed, moved, added or taken out; it says which.
        """
        return self._read()[0]

    def head(self) -> Head:
        """How far it goes.

        Raises:
            LedgerError: as `read`.
        """
        return _head_of(self.read())

    def append(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Put one entry at the end, on disk before this returns; gives it with its number and hashes.

        Raises:
            LedgerError: as `read`.
            OSError: the machine refused (a full disk): the ledger is then as it was, or, where the head had moved, has the line.
        """
        entries, whole = self._read()
        told = _head_of(entries)
        line: dict[str, Any] = {"number": told.lines + 1, "before": told.hash, **entry}
        line["hash"] = line_hash(line)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write((canonical(line) + "\n").encode(), whole)
        try:
            self._move_head(line)
        except OSError:
            if self._told() != _head_of([*entries, line]):  # else it counts the line already
                self._write(b"", whole)
            raise
        return line

    def mend(self) -> None:
        """Finish what a killed writer began: take off half a line, move the head on.

        Raises:
            LedgerError: as `read`.
        """
        entries, whole = self._read()
        if self.path.exists() and self.path.stat().st_size > whole:
            self._write(b"", whole)
        if entries and self._told() != _head_of(entries):
            self._move_head(entries[-1])

    def _write(self, content: bytes, at: int) -> None:
        """Write at a place and flush it to disk; what was after it is cut off, and if it can't be written, so is it."""
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            with machine_errors(self.path):
                os.ftruncate(handle, at)
                try:
                    left = memoryview(content)
                    os.lseek(handle, at, os.SEEK_SET)
                    while left:
                        left = left[os.write(handle, left) :]
                    os.fsync(handle)
                except OSError:
                    os.ftruncate(handle, at)
                    raise
        finally:
            os.close(handle)
        sync_folder(self.folder)

    def _move_head(self, last: Mapping[str, Any]) -> None:
        write_json(self.folder / HEAD, {"format": 1, "lines": last["number"], "hash": last["hash"]})

    def _told(self) -> Head | None:
        """What the head says; None where there is none yet."""
        path = self.folder / HEAD
        if not path.exists():
            return None
        try:
            said = read_json(path)
            return Head(int(said["lines"]), str(said["hash"]))
        except (OSError, ValueError, KeyError, TypeError):
            raise LedgerError(f"{path}: the ledger's head can't be read. {RESTORE}") from None

    def _read(self) -> tuple[list[dict[str, Any]], int]:
        """The entries, and how many bytes whole lines take; half a line after them is left out."""
        content = self.path.read_bytes() if self.path.exists() else b""
        told = self._told()
        whole = content.rfind(b"\n") + 1
        entries: list[dict[str, Any]] = []
        for number, text in enumerate(content[:whole].splitlines(), start=1):
            entries.append(self._entry(number, text, entries[-1]["hash"] if entries else BEGINNING))
        self._check_head(entries, told, torn=whole < len(content))
        return entries, whole

    def _entry(self, number: int, text: bytes, before: str) -> dict[str, Any]:
        where = f"{self.path}:{number}"
        try:
            entry = parse_json(text)
            said, linked, own = int(entry["number"]), str(entry["before"]), str(entry["hash"])
        except (ValueError, KeyError, TypeError):
            raise LedgerError(
                f"{where}  this line is no entry of a ledger: it was changed. {RESTORE}"
            ) from None
        if own != line_hash(entry) or canonical(entry).encode() != text:
            raise LedgerError(
                f"{where}  this line was changed since it was written: its hash is another. {RESTORE}"
            )
        if linked != before or said != number:
            raise LedgerError(
                f"{where}  this line is number {said} and does not follow the one above it: lines were taken out, put in or moved. "
                f"{RESTORE}"
            )
        found: dict[str, Any] = entry
        return found

    def _check_head(self, entries: list[dict[str, Any]], told: Head | None, *, torn: bool) -> None:
        if told is None:
            # A first line whose writer was killed before the head; more than one line never stood without it.
            if len(entries) > 1:
                raise LedgerError(f"{self.folder / HEAD}: the ledger's head is missing. {RESTORE}")
            return
        if len(entries) < told.lines:
            half = ", the last one only half" if torn else ""
            raise LedgerError(
                f"{self.path}:{len(entries) + 1}  the ledger ends before this line{half}; its head counts {told.lines}: it was cut off. "
                f"{RESTORE}"
            )
        if told.lines and entries[told.lines - 1]["hash"] != told.hash:
            raise LedgerError(
                f"{self.path}:{told.lines}  this line is not the one that the ledger's head counts: lines were written anew. {RESTORE}"
            )
        if len(entries) > told.lines + 1:
            raise LedgerError(
                f"{self.path}:{told.lines + 2}  the ledger's head counts {told.lines} lines, and no writer leaves more than one "
                f"beyond it: lines were added. {RESTORE}"
            )


def _head_of(entries: list[dict[str, Any]]) -> Head:
    return Head(len(entries), str(entries[-1]["hash"])) if entries else Head(0, BEGINNING)

"""Fingerprints of rows: how a ledger knows people's rows again under another name of the data set, without keeping a row.

A fingerprint is the first 8 bytes of an HMAC-SHA256 of what a row says, under a random key of 32 bytes that lies beside the ledger and
nowhere else. Without the key they are random numbers: nobody can try out texts against them. With n and m fingerprints the chance that
two differing rows share one anywhere is n m / 2^64: 5 in 100 million for a million against a million.

What a row says: its text in lower case, Unicode-normalised (NFKC), of its letters, digits and other signs, spaces left out, so that
spacing and case do not tell the same row from itself. Rows that say too little to be anybody's own (fewer than `FEWEST_BYTES` bytes
of UTF-8, such as "thanks a lot") are the same by chance in unrelated data: they are not compared. Any longer row in common counts.
"""

import hashlib
import hmac
import os
import secrets
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from charter.errors import LedgerError
from charter.runs.digest import file_digest
from charter.runs.files import machine_errors, sync_folder

KEY, ROWS = "key", "rows"
KEY_BYTES = 32
BYTES = 8
FEWEST_BYTES = 24
"""Shorter rows are not compared: 24 letters of Latin script, 8 characters of Chinese."""
BLOCK = 64
"""SHA-256's, to which HMAC fills up its key (RFC 2104)."""


@dataclass(frozen=True)
class Fingerprints:
    """The fingerprints of rows: (n,) unsigned 64-bit numbers, sorted, each once. rows: how many rows they were made from.

    key: the tag of the key that they were made under.
    """

    values: NDArray[np.uint64]
    rows: int
    key: str = ""


class Fingerprinter:
    """Makes fingerprints under one key. tag: tells that key from others, and nothing else of it."""

    def __init__(self, key: bytes) -> None:
        self.tag = hmac.new(key, b"charter ledger key", hashlib.sha256).hexdigest()[:16]
        filled = key.ljust(BLOCK, b"\0")
        # one HMAC costs two copies of these, a third of what the library's own function takes for each text
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in filled))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in filled))

    def of(self, chunks: Iterable[pl.Series]) -> Fingerprints:
        """The fingerprints of what rows say, given piece by piece; 8 bytes a row are held."""
        rows = 0
        found: list[NDArray[np.uint64]] = []
        for texts in chunks:
            rows += len(texts)
            found.append(self._one(texts))
        values = np.unique(np.concatenate(found)) if found else np.empty(0, dtype=np.uint64)
        return Fingerprints(values, rows, self.tag)

    def _one(self, texts: pl.Series) -> NDArray[np.uint64]:
        said = said_by(texts)
        told = said.filter(said.str.len_bytes() >= FEWEST_BYTES)
        inner, outer, digests = self._inner, self._outer, []
        for text in told.to_list():
            first = inner.copy()
            first.update(text.encode())
            second = outer.copy()
            second.update(first.digest())
            digests.append(second.digest()[:BYTES])
        return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


def said_by(texts: pl.Series) -> pl.Series:
    """What rows say, without what does not tell them apart."""
    plain = texts.cast(pl.String).fill_null("")
    odd = ~plain.str.contains(r"^[\x00-\x7f]*$")
    folded = plain.str.to_lowercase().str.replace_all(r"\s+", "")
    if odd.any():  # plain ASCII is its own normal form
        composed = plain.str.normalize("NFKC").str.to_lowercase().str.replace_all(r"\s+", "")
        folded = composed.zip_with(odd, folded)
    return folded


def shared(some: NDArray[np.uint64], others: NDArray[np.uint64]) -> int:
    """How many fingerprints two have in common; both sorted, each value once."""
    return len(np.intersect1d(some, others, assume_unique=True))


def ledger_key(folder: Path, *, make: bool) -> bytes:
    """The key of a ledger's fingerprints; made where it is new and `make` allows it.

    Raises:
        LedgerError: it is missing or cut off, or others than its owner and group can read it.
    """
    path = folder / KEY
    if not path.exists() and make:
        _write_private(path, secrets.token_bytes(KEY_BYTES))
    try:
        key = path.read_bytes()
        mode = path.stat().st_mode
    except OSError as error:
        raise LedgerError(
            f"{path}: the key of the ledger's fingerprints can't be read ({error.strerror}), so nobody can tell whether these rows "
            "were learned from before. Put it back from a copy"
        ) from None
    if len(key) != KEY_BYTES:
        raise LedgerError(f"{path}: {len(key)} bytes, and the key has {KEY_BYTES}: it was changed or cut off")
    if mode & stat.S_IRWXO:
        raise LedgerError(f"{path}: everybody on this machine can read the key; close it: chmod 600 {path}")
    return key


def keep(folder: Path, fingerprints: Fingerprints) -> str:
    """Put fingerprints on disk; gives the name that they are kept under, the digest of the file."""
    content = fingerprints.values.astype("<u8").tobytes()
    name = hashlib.sha256(content).hexdigest()
    path = folder / ROWS / name
    if not (path.exists() and path.stat().st_size == len(content)):
        path.parent.mkdir(mode=0o700, exist_ok=True)
        _write_private(path, content)
    return name


def kept(folder: Path, name: str) -> NDArray[np.uint64]:
    """The fingerprints kept under a name.

    Raises:
        LedgerError: they are missing, or are not what was kept.
    """
    path = folder / ROWS / name
    if not path.is_file() or file_digest(path) != name:
        what = "were changed" if path.exists() else "are missing"
        raise LedgerError(
            f"{path}: fingerprints of rows that a run learned from {what}, so nobody can tell whether others hold the same people. Put "
            "the file back from a copy"
        )
    return np.frombuffer(path.read_bytes(), dtype="<u8").astype(np.uint64)


def _write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read: aside, flushed, then renamed."""
    aside = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with machine_errors(path):
            handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    sync_folder(path.parent)

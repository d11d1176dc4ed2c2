"""Writing so that a kill at any moment leaves the old file or the new one, never half of one; reading JSON strictly."""

import ctypes
import errno
import io
import json
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
from pydantic_core import from_json


def write_text(path: Path, text: str) -> None:
    """Write a text file whole: aside, flushed to disk, then renamed over the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with machine_errors(path):
            with aside.open("w", encoding="utf-8", newline="") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole, readable by people."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n")


def write_table(path: Path, frame: pl.DataFrame) -> None:
    """Write a table as zstd Parquet. Its bytes are written by Python: Polars' own writer hides why a disk refused them."""
    content = io.BytesIO()
    frame.write_parquet(content, compression="zstd")
    path.write_bytes(content.getbuffer())


ROW_GROUP = 65_536
"""Rows of one group of a table that is written piece by piece: the file does not depend on the size of the pieces."""


def write_table_of(path: Path, frames: Iterable[pl.DataFrame]) -> None:
    """Write a table that is given piece by piece, at least one, as zstd Parquet; one group of rows is held at a time."""
    import pyarrow.parquet

    waiting: list[pl.DataFrame] = []
    held = 0
    with path.open("wb") as stream:
        writer: pyarrow.parquet.ParquetWriter | None = None
        for frame in frames:
            if writer is None:
                schema = _arrow(frame.clear()).schema
                writer = pyarrow.parquet.ParquetWriter(stream, schema, compression="zstd")
            waiting.append(frame)
            held += frame.height
            while held >= ROW_GROUP:
                whole = pl.concat(waiting)
                writer.write_table(_arrow(whole[:ROW_GROUP]), row_group_size=ROW_GROUP)
                waiting = [whole[ROW_GROUP:]]
                held -= ROW_GROUP
        if writer is None:
            raise ValueError("a table needs at least one piece, which says its columns")
        if held:
            writer.write_table(_arrow(pl.concat(waiting)), row_group_size=ROW_GROUP)
        writer.close()


def _arrow(frame: pl.DataFrame) -> Any:
    """A frame as one piece of Arrow memory, in types that every reader knows."""
    return frame.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest()).combine_chunks()


@contextmanager
def machine_errors(where: Path) -> Iterator[None]:
    """Raise as the OSError that it is what other libraries tell in errors of their own; it names `where` if it names no file.

    safetensors and tokenizers (Rust) end such a text with "(os error 28)"; torch.save, whose stream had refused the bytes,
    says something else, with the refusal as its cause.

    Raises:
        OSError: the machine refused: a full disk, a quota, a limit of file sizes.
    """
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(where)
        raise
    except Exception as error:
        told = re.search(r"\(os error (\d+)\)", str(error))
        cause = error.__cause__ or error.__context__
        if told is not None:
            raise OSError(int(told[1]), os.strerror(int(told[1])), str(where)) from error
        if isinstance(cause, OSError) and cause.errno is not None:
            raise OSError(cause.errno, os.strerror(cause.errno), cause.filename or str(where)) from error
        raise


def parse_json(text: str | bytes) -> Any:
    """A JSON value from its text, read strictly.

    Raises:
        ValueError: no JSON; or JSON that Charter never writes: NaN, half a character, 200 levels deep.
    """
    return from_json(text, allow_inf_nan=False)


def read_json(path: Path) -> Any:
    """The JSON value in a file.

    Raises:
        OSError: it can't be read.
        ValueError: as `parse_json`.
    """
    return parse_json(path.read_bytes())


def append_line(path: Path, line: str) -> None:
    """Add one line to a journal in a single write, flushed to disk; a line torn by a kill is closed off first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with machine_errors(path), path.open("a+b") as stream:
        stream.seek(0, os.SEEK_END)
        if stream.tell() > 0:
            stream.seek(-1, os.SEEK_END)
            if stream.read(1) != b"\n":
                line = "\n" + line
        stream.write((line + "\n").encode())
        stream.flush()
        os.fsync(stream.fileno())


def exchange(one: Path, two: Path) -> bool:
    """Swap two paths of one file system in a single step; False, and nothing is done, where the system can't.

    Linux: renameat2 with RENAME_EXCHANGE (glibc 2.28 or newer).
    """
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    if rename(_HERE, os.fsencode(one), _HERE, os.fsencode(two), _EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EXDEV):
        return False
    raise OSError(code, os.strerror(code), str(two))


_HERE, _EXCHANGE = -100, 2  # AT_FDCWD, RENAME_EXCHANGE


def sync_tree(folder: Path) -> None:
    """Flush every file and folder below `folder`, and the folder itself, to disk."""
    for parent, _, names in os.walk(folder):
        for name in names:
            handle = os.open(Path(parent) / name, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        sync_folder(Path(parent))


def sync_folder(folder: Path) -> None:
    """Flush a folder's list of names to disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

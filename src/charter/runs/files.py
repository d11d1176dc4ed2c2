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

import numpy as np
import polars as pl
from numpy.typing import NDArray
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
GROUP_BYTES = 1 << 25
"""A group of a table that is written piece by piece has so many rows, and bytes of text, at most (one row may have more).

The file does not depend on the size of the pieces.
"""


def write_table_of(path: Path, frames: Iterable[pl.DataFrame]) -> None:
    """Write a table that is given piece by piece, at least one, as zstd Parquet; one group of rows is held at a time."""
    import pyarrow.parquet

    with path.open("wb") as stream:
        writer: pyarrow.parquet.ParquetWriter | None = None
        for group in _groups(frames):
            arrow = _arrow(group)
            writer = writer or pyarrow.parquet.ParquetWriter(stream, arrow.schema, compression="zstd")
            if group.height:
                writer.write_table(arrow, row_group_size=ROW_GROUP)
        if writer is None:
            raise ValueError("a table needs at least one piece, which says its columns")
        writer.close()


def text_bytes(frame: pl.DataFrame) -> NDArray[np.int64]:
    """(rows,) the bytes of each row's texts, in UTF-8."""
    texts = [
        pl.col(name).str.len_bytes().fill_null(0) for name, kind in frame.schema.items() if kind == pl.String
    ]
    if not texts:
        return np.zeros(frame.height, dtype=np.int64)
    return frame.select(pl.sum_horizontal(texts).cast(pl.Int64).alias("bytes"))["bytes"].to_numpy()


def _groups(frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The same rows, group by group; a group ends before the row that would make it too large."""
    waiting: list[pl.DataFrame] = []
    rows = size = 0
    for frame in frames:
        ends = np.cumsum(text_bytes(frame))
        start = 0
        while start < frame.height:
            before = int(ends[start - 1]) if start else 0
            fits = int(np.searchsorted(ends, before + GROUP_BYTES - size, side="right"))
            end = min(max(fits, start + (not rows)), start + ROW_GROUP - rows)
            waiting.append(frame[start:end])
            if end < frame.height:
                yield pl.concat(waiting)
                waiting, rows, size = [], 0, 0
            else:
                rows, size = rows + end - start, size + int(ends[end - 1]) - before
            start = end
        waiting = waiting or [frame.clear()]
    if waiting:
        yield pl.concat(waiting)


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

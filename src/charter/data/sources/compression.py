"""Packed files, read as a stream: .gz, .bz2, .xz, .zst, and .zip with one file in it. A decompression bomb is refused."""

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from charter.errors import DataError

PACKINGS = (".gz", ".bz2", ".xz", ".zst", ".zip")
"""The last ending of a packed file's name; the ending before it says the format."""
FREE_BYTES = 64 << 20
"""So much may come out of any file."""
MOST_GROWTH = 250
"""After FREE_BYTES, what has come out is at most so many times what went in. Text grows 3 to 20 times, repetitive logs 100."""
PIECE = 1 << 20

_DAMAGED = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, gzip.BadGzipFile)


def is_packed(path: Path) -> bool:
    """Whether a file's name says that it is packed."""
    return path.suffix.lower() in PACKINGS


def unpacked_name(name: str) -> str:
    """A file's name without the ending of its packing."""
    path = Path(name)
    return name[: -len(path.suffix)] if is_packed(path) else name


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A file's bytes as a stream, unpacked where its name says that it is packed.

    Raises:
        DataError: here or at any read: it can't be read, is damaged or cut off, is a zip file of several files, or grows
            beyond all text.
    """
    with ExitStack() as stack:
        with _in_words(path):
            packed = stack.enter_context(path.open("rb"))
            inner = _unpacker(path, packed, stack)
        yield io.BufferedReader(_Watched(path, packed, inner), PIECE)


def unpacked(path: Path, most: int = -1) -> bytes:
    """A file's bytes, unpacked; at most so many from its beginning, -1 for all.

    Raises:
        DataError: as `opened`.
    """
    pieces: list[bytes] = []
    left = most
    with opened(path) as stream:
        while left and (piece := stream.read(PIECE if left < 0 else min(left, PIECE))):
            pieces.append(piece)
            left -= len(piece) if most >= 0 else 0
    return b"".join(pieces)


def check_archive(path: Path) -> None:
    """Refuse an office document (a zip file of XML) that a bomb hides in; its sizes are measured, not believed.

    Raises:
        DataError: it is no such file, is damaged, or grows beyond all text.
    """
    with _in_words(path), zipfile.ZipFile(path) as archive:
        size = sum(one.file_size for one in archive.infolist())
        if size > max(FREE_BYTES, MOST_GROWTH * path.stat().st_size):
            raise _bomb(path)
        damaged = archive.testzip()  # reads no more than the sizes told, and a lie fails the checksum
    if damaged is not None:
        raise DataError(f"{path}: the file is damaged or cut off")


def member_name(path: Path) -> str:
    """The name of the one file in a zip file.

    Raises:
        DataError: as `opened`.
    """
    with _in_words(path), zipfile.ZipFile(path) as archive:
        return _member(path, archive).filename


def _unpacker(path: Path, packed: BinaryIO, stack: ExitStack) -> Any:
    ending = path.suffix.lower()
    if ending == ".gz":
        return stack.enter_context(gzip.GzipFile(fileobj=packed))
    if ending == ".bz2":
        return stack.enter_context(bz2.BZ2File(packed))
    if ending == ".xz":
        return stack.enter_context(lzma.LZMAFile(packed))
    if ending == ".zst":
        import pyarrow

        return stack.enter_context(pyarrow.CompressedInputStream(pyarrow.PythonFile(packed, "r"), "zstd"))
    if ending == ".zip":
        archive = stack.enter_context(zipfile.ZipFile(packed))
        return stack.enter_context(archive.open(_member(path, archive)))
    return packed


def _member(path: Path, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    """The only file; what macOS adds to a zip file beside it does not count."""
    files = [
        one for one in archive.infolist() if not one.is_dir() and not one.filename.startswith("__MACOSX/")
    ]
    if len(files) != 1:
        raise DataError(
            f"{path}: a zip file with one file in it is read, and this one has {len(files)}; unpack it and name its "
            "files with a glob"
        )
    if files[0].flag_bits & 1:
        raise DataError(f"{path}: the zip file is encrypted; unpack it first")
    return files[0]


class _Watched(io.RawIOBase):
    """What comes out of a packed file, told in Charter's errors, and stopped where it grows beyond all text."""

    def __init__(self, path: Path, packed: BinaryIO, inner: Any) -> None:
        self._path = path
        self._packed = packed
        self._inner = inner
        self._out = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _in_words(self._path):
            count = int(self._inner.readinto(buffer))
            self._out += count
            if self._out > FREE_BYTES and self._out > MOST_GROWTH * max(self._packed.tell(), 1):
                raise _bomb(self._path)
        return count


def _bomb(path: Path) -> DataError:
    return DataError(
        f"{path}: unpacks to more than {MOST_GROWTH} times its size, which no text does: a decompression bomb, or "
        "damage. If it is right, unpack it yourself"
    )


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGED:
        raise DataError(f"{path}: the compressed file is damaged or cut off") from None
    except (NotImplementedError, RuntimeError):
        raise DataError(f"{path}: packed in a way that is not read; unpack it first") from None
    except OSError as error:
        if error.errno is None:  # bz2's and zstd's words for damage
            raise DataError(f"{path}: the compressed file is damaged or cut off") from None
        raise DataError(f"{path}: can't be read ({error.strerror})") from None

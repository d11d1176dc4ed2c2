"""Which files a location names, how their text is decoded, and the sources that read files one by one."""

import codecs
import difflib
import glob
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from charter.data.columns import PLACE, ROW, SPLIT, UNIT
from charter.data.sources.compression import opened, unpacked
from charter.data.table import Asked, Header, Source, Table
from charter.errors import DataError
from charter.runs.digest import file_digest, files_digest

# What Python's `surrogateescape` makes of a byte that is not of the encoding, and halves of characters (utf-7 lets them by).
UNDECODED = re.compile("[\ud800-\udfff]")
HEAD_BYTES = 1 << 18
"""So much of a file is read where only its columns are asked for."""
MOST_HEADERS = 100


def file_source(
    read_file: Callable[[Path, Asked], Iterable[Table]], header_of: Callable[[Path, Asked], Header]
) -> Source:
    """The source of a file format: every file that the location names, in the order of their names."""

    def headers(location: str, folder: Path, asked: Asked) -> list[Header]:
        return [header_of(path, asked) for path in files_of(location, folder)[:MOST_HEADERS]]

    def read(location: str, folder: Path, asked: Asked) -> Iterator[Table]:
        for path in files_of(location, folder):
            yield from read_file(path, asked)

    def digest(location: str, folder: Path, asked: Asked) -> str:
        del asked
        return files_digest(
            {
                f"{number} {path.name}": file_digest(path)
                for number, path in enumerate(files_of(location, folder))
            }
        )

    return Source(read, digest, headers)


def files_of(location: str, folder: Path) -> list[Path]:
    """The files a path or glob names, sorted; relative ones start from `folder`.

    Raises:
        DataError: there is none, with the nearest name that there is.
    """
    pattern = str(Path(location).expanduser())
    whole = folder / pattern
    if whole.is_file():
        return [whole]
    if whole.is_dir():
        raise DataError(
            f"data.source '{location}' is a folder; name its files with a glob such as '{location.rstrip('/')}/*.csv'"
        )
    found = sorted(
        path
        for path in map(Path, glob.glob(pattern, root_dir=folder, recursive=True))  # noqa: PTH207  (absolute patterns too)
        if (folder / path).is_file()
    )
    if found:
        return [folder / path for path in found]
    raise DataError(f"data.source '{location}': no such file, looked for {whole}.{_near(whole)}")


def _near(path: Path) -> str:
    if not path.parent.is_dir():
        return f" There is no folder {path.parent}."
    beside = [one.name for one in path.parent.iterdir() if one.is_file()]
    near = difflib.get_close_matches(path.name, beside, n=1)
    return f" Did you mean '{near[0]}'?" if near else ""


def decoded(path: Path, encoding: str, most_bytes: int | None = None) -> str:
    """A file's text, unpacked where it is packed, without a byte-order mark; or whole lines of its beginning.

    A byte that is not of the encoding becomes one of UNDECODED, so that only its own record is rejected.

    Raises:
        DataError: the file can't be read or unpacked, or the encoding is not known.
    """
    if most_bytes is not None:
        begun = head(path, encoding, most_bytes)
        return begun.text if begun.whole else begun.text[: begun.text.rfind("\n") + 1]
    return _text(path, file_bytes(path), encoding, whole=True)


@dataclass(frozen=True)
class Head:
    """The beginning of a file's text, and whether that is all of it."""

    text: str
    whole: bool


def head(path: Path, encoding: str, size: int = HEAD_BYTES) -> Head:
    """As `decoded`, but of the first bytes only."""
    content = file_bytes(path, size + 1)
    whole = len(content) <= size
    return Head(_text(path, content[:size], encoding, whole=whole), whole)


def _text(path: Path, content: bytes, encoding: str, *, whole: bool) -> str:
    check_encoding(encoding)
    try:
        decoder = codecs.getincrementaldecoder(encoding)("surrogateescape")
        return decoder.decode(content, final=whole).removeprefix("\ufeff")
    except UnicodeError as error:  # encodings that know no surrogateescape, such as utf-16
        at = f" (byte {error.start})" if isinstance(error, UnicodeDecodeError) else ""
        raise DataError(f"{path}: not {encoding} text{at}; name its encoding in data.encoding") from None


def check_encoding(encoding: str) -> None:
    """Refuse an encoding that no text is in.

    Raises:
        DataError: it is not known.
    """
    try:
        b"ab".decode(encoding)
        codecs.getincrementaldecoder(encoding)
    except UnicodeError:
        return
    except (LookupError, ValueError):
        raise DataError(
            f"data.encoding '{encoding}' is not known; well-known ones are utf-8, gb18030, big5, latin-1 and utf-16"
        ) from None


def file_bytes(path: Path, most: int = -1) -> bytes:
    """A file's bytes, unpacked where it is packed; at most so many from its beginning, -1 for all.

    Raises:
        DataError: it can't be read or unpacked.
    """
    return unpacked(path, most)


def byte_pieces(path: Path, size: int = 1 << 20) -> Iterator[bytes]:
    """A file's bytes, unpacked where it is packed, so many at a time.

    Raises:
        DataError: as `file_bytes`.
    """
    with opened(path) as stream:
        while piece := stream.read(size):
            yield piece


def is_undecoded(text: str) -> bool:
    """Whether a text holds bytes that were not of its encoding."""
    return not text.isascii() and UNDECODED.search(text) is not None


def check_header(path: Path, header: list[str], asked: Asked) -> None:
    """Refuse a header that lacks a column asked for, or has it twice.

    Raises:
        DataError: with the columns there are and the nearest name.
    """
    for column in asked.columns.kept:
        optional = column == asked.columns.target and not asked.needs_target
        problem = absent(column, header)
        if problem and not (optional and column not in header):
            raise DataError(f"{path}: {problem}")
    pattern = next((name for name in asked.columns.kept if is_pattern(name)), None)
    if pattern is not None:
        raise DataError(f"{path}: column '{pattern}' is named like a pattern, not like one column; rename it")
    taken = [name for name in (ROW, PLACE, SPLIT, UNIT) if name in asked.columns.kept]
    if taken:
        raise DataError(f"{path}: column '{taken[0]}' is a name that Charter uses itself; rename it")


def is_pattern(name: str) -> bool:
    """Whether a column's name is one that Polars takes for a pattern of names."""
    return name == "*" or (name.startswith("^") and name.endswith("$"))


def absent(column: str, header: Sequence[str]) -> str:
    """What is wrong with a header that should have a column once; empty where nothing is."""
    count = list(header).count(column)
    if count == 1:
        return ""
    if count > 1:
        return f"column '{column}' stands {count} times in the header"
    header = [UNDECODED.sub("\ufffd", name) for name in header]
    near = difflib.get_close_matches(column, header, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    shown = ", ".join(header[:30]) + (" ..." if len(header) > 30 else "")
    return f"no column '{column}'.{hint} Columns: {shown or 'none'}."

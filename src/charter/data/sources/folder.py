"""A folder of documents: each file is a row. Sub-folders are classes: their names stand in the column `label`."""

import glob
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Annotated

import polars as pl
from pydantic import Field

from charter.data.columns import Columns
from charter.data.sources.chunks import Chunk, batched, table_of_chunk
from charter.data.sources.compression import unpacked_name
from charter.data.sources.documents import READERS, distributions_of, extra_of, read_document
from charter.data.sources.files import check_encoding, check_header, file_bytes, is_undecoded
from charter.data.table import Asked, Header, Reject, Source, Table
from charter.errors import DataError
from charter.runs.digest import file_digest, value_digest

LABEL, FILE = "label", "file"
FILES = 1_000
"""A chunk has at most so many documents."""
WILD = "*?["
LOOKED_AT = 10_000
"""So many names are looked at where only columns are asked for."""


def folder(
    *,
    pattern: Annotated[str, Field(description="which files below the folder are read, as a glob")] = "**/*",
) -> Source:
    """A folder or glob of documents (txt, md, html, pdf, docx): columns `text`, `file`, and `label` of a sub-folder's name."""
    return Source(
        lambda location, folder, asked: _read(location, folder, asked, pattern),
        lambda location, folder, asked: _digest(location, folder, asked, pattern),
        lambda location, folder, asked: [
            _header(_found(location, folder, pattern, most=LOOKED_AT), asked.columns)
        ],
        lambda location, folder: _check(location, folder, pattern),
    )


@dataclass(frozen=True)
class Found:
    """The files of a folder by their paths in it, sorted. root: the folder that labels and file names start from.

    whole: there are no others.
    """

    root: Path
    files: Mapping[str, Path]
    whole: bool = True

    @property
    def has_labels(self) -> bool:
        """Whether some of the files lie in sub-folders."""
        return any("/" in name for name in self.files)


def _found(location: str, folder: Path, pattern: str = "**/*", *, most: int | None = None) -> Found:
    """What is there, or what of it is among the first `most` names.

    Names that begin with a dot are hidden and left out, as globs leave them out.

    Raises:
        DataError: there is no such folder, or no file in it.
    """
    place = folder / Path(location).expanduser()
    if place.is_dir():
        root, wanted = place, pattern
    elif place.is_file():
        return Found(place.parent, {place.name: place})
    else:
        root, wanted = _split(str(place))
    if not root.is_dir():
        raise DataError(f"data.source '{location}': no such folder, looked for {root}")
    names = list(islice(glob.iglob(wanted, root_dir=root, recursive=True), most))  # noqa: PTH207  (leaves hidden files out)
    files = {PurePosixPath(name).as_posix(): root / name for name in sorted(names) if (root / name).is_file()}
    whole = most is None or len(names) < most
    if not files and whole:
        what = "no file" if place.is_dir() or wanted != place.name else "no such file or folder"
        raise DataError(f"data.source '{location}': {what}, looked for {root / wanted}")
    return Found(root, files, whole)


def _split(pattern: str) -> tuple[Path, str]:
    """A glob's folder, up to its first wild part, and the rest."""
    parts = Path(pattern).parts
    wild = next((at for at, part in enumerate(parts) if any(sign in part for sign in WILD)), len(parts) - 1)
    return Path(*parts[:wild]), str(PurePosixPath(*parts[wild:]))


def _check(location: str, folder: Path, pattern: str) -> None:
    found = _found(location, folder, pattern, most=LOOKED_AT)
    if found.whole and not any(_ending(name) in READERS for name in found.files):
        raise DataError(
            f"data.source '{location}': no document among its {len(found.files)} files; read are {', '.join(READERS)}"
        )
    for ending in {_ending(name) for name in found.files}:
        extra_of(ending)


def _ending(name: str) -> str:
    return Path(unpacked_name(name)).suffix.lower()


@dataclass(frozen=True)
class Documents:
    """How many documents there are below a folder, and the sub-folders they lie in."""

    count: int
    labels: tuple[str, ...]


def documents_of(folder: Path) -> Documents:
    """What `charter init` says of a folder.

    Raises:
        DataError: there is no file in it.
    """
    found = [name for name in _found(str(folder.absolute()), folder).files if _ending(name) in READERS]
    labels = dict.fromkeys(name.partition("/")[0] for name in found if "/" in name)
    return Documents(len(found), tuple(labels))


def first_bytes(
    location: str, folder: Path, most_files: int = 100, most_bytes: int = 1 << 16
) -> Iterator[bytes]:
    """The beginnings of some documents of text: what their encoding is guessed from."""
    found = _found(location, folder, most=LOOKED_AT)
    texts = [path for name, path in found.files.items() if _ending(name) in (".txt", ".md", ".html", ".htm")]
    for path in texts[:: max(1, len(texts) // most_files)][:most_files]:
        yield file_bytes(path, most_bytes)


def _header(found: Found, columns: Columns) -> Header:
    names = (_text(columns), *([LABEL] if found.has_labels else []), FILE)
    return Header(found.root.name or str(found.root), names, found.whole)


def _text(columns: Columns) -> str:
    """The text takes the name of the input that is asked for."""
    free = [name for name in columns.inputs if name not in (LABEL, FILE)]
    return free[0] if len(free) == 1 else "text"


def _read(location: str, folder: Path, asked: Asked, pattern: str) -> Iterator[Table]:
    check_encoding(asked.encoding)
    found = _found(location, folder, pattern)
    header = _header(found, asked.columns)
    check_header(found.root, list(header.columns), asked)
    wanted = [column for column in asked.columns.kept if column in header.columns]
    left = asked.most_bytes
    for at, batch in enumerate(batched(iter(found.files.items()), FILES)):
        chunk = _chunk(batch, asked, wanted)
        left = None if left is None else left - int(chunk.frame.estimated_size())
        whole = left is None or left > 0
        yield table_of_chunk(chunk, [_shown(name) for name, _ in batch], begins=at == 0, whole=whole)
        if not whole:
            return


def _chunk(batch: list[tuple[str, Path]], asked: Asked, wanted: list[str]) -> Chunk:
    rows: list[dict[str, str | None]] = []
    offsets: list[int] = []
    rejects: list[Reject] = []
    for offset, (name, path) in enumerate(batch, start=1):
        ending = _ending(name)
        if ending not in READERS:
            rejects.append(Reject(offset, "a file that is no document", (ending or "file")[:12], 0))
            continue
        document = read_document(path, ending, asked.encoding)
        problem = document.problem or ("wrong encoding" if is_undecoded(name) else "")
        if problem:
            rejects.append(Reject(offset, problem, "document", document.length))
            continue
        label = name.partition("/")[0] if "/" in name else None
        rows.append({_text(asked.columns): document.text, LABEL: label, FILE: name})
        offsets.append(offset)
    frame = pl.DataFrame(
        {column: [row[column] for row in rows] for column in wanted}, dict.fromkeys(wanted, pl.String)
    )
    return Chunk(frame, offsets, rejects)


def _shown(name: str) -> str:
    return name.encode("utf-8", "replace").decode() if is_undecoded(name) else name


def _digest(location: str, folder: Path, asked: Asked, pattern: str) -> str:
    """Of names and bytes, and of the libraries that make texts of them: another version may read another text."""
    found = _found(location, folder, pattern)
    named = {_shown(name): file_digest(path) for name, path in found.files.items()}
    return value_digest(
        {
            "files": named,
            "libraries": distributions_of({_ending(name) for name in found.files}),
            "encoding": asked.encoding,
        }
    )

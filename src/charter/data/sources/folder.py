"""A folder of documents: each file is a row, or each of its lines or paragraphs. Sub-folders are classes: column `label`."""

import glob
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

import polars as pl
from pydantic import Field

from charter.data import table
from charter.data.columns import Columns
from charter.data.sources.chunks import Chunk, table_of_chunk
from charter.data.sources.compression import unpacked_name
from charter.data.sources.documents import MOST_BYTES, READERS, distributions_of, extra_of, read_document
from charter.data.sources.files import check_encoding, check_header, file_bytes, is_undecoded
from charter.data.sources.lines import lines_in, lines_of
from charter.data.table import Asked, Header, Reject, Source, Table
from charter.errors import DataError
from charter.runs.digest import file_digest, value_digest

LABEL, FILE = "label", "file"
PLAIN = (".txt", ".md")
"""Files whose text is read piece by piece where their lines or paragraphs are the documents."""
WILD = "*?["
LOOKED_AT = 10_000
"""So many names are looked at where only columns are asked for."""


Pattern = Annotated[str, Field(description="which files below the folder are read, as a glob")]
Cut = Literal["files", "lines", "paragraphs"]
"""What of a file is a document."""


def folder(*, pattern: Pattern = "**/*") -> Source:
    """A folder or glob of documents (txt, md, html, pdf, docx): columns `text`, `file`, and `label` of a sub-folder's name."""
    return _source(pattern, "files")


def lines(*, pattern: Pattern = "**/*") -> Source:
    """Text files (or a folder, or a glob of them) of which each line that is not blank is a row; columns as `folder`."""
    return _source(pattern, "lines")


def paragraphs(*, pattern: Pattern = "**/*") -> Source:
    """Text files (or a folder, or a glob of them) of which each paragraph, up to a blank line, is a row; columns as `folder`."""
    return _source(pattern, "paragraphs")


def _source(pattern: str, cut: Cut) -> Source:
    return Source(
        lambda location, folder, asked: _read(location, folder, asked, pattern, cut),
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


@dataclass(frozen=True)
class _Document:
    """One document, by its file's name in the folder and its place for people; or why it can't be read."""

    name: str
    place: str
    text: str = ""
    problem: str = ""
    type: str = "document"
    length: int = 0


def _read(location: str, folder: Path, asked: Asked, pattern: str, cut: Cut) -> Iterator[Table]:
    check_encoding(asked.encoding)
    found = _found(location, folder, pattern)
    header = _header(found, asked.columns)
    check_header(found.root, list(header.columns), asked)
    wanted = [column for column in asked.columns.kept if column in header.columns]
    left = asked.most_bytes
    for at, batch in enumerate(_batches(_documents(found, asked.encoding, cut))):
        chunk = _chunk(batch, _text(asked.columns), wanted)
        left = None if left is None else left - int(chunk.frame.estimated_size())
        whole = left is None or left > 0
        yield table_of_chunk(chunk, [one.place for one in batch], begins=at == 0, whole=whole)
        if not whole:
            return


def _batches(documents: Iterator[_Document]) -> Iterator[list[_Document]]:
    """Documents a bounded number and size at a time; one empty list where there is none."""
    batch: list[_Document] = []
    size, told = 0, False
    for one in documents:
        batch.append(one)
        size += len(one.text)
        if len(batch) >= table.CHUNK_ROWS or size >= table.CHUNK_BYTES:
            yield batch
            batch, size, told = [], 0, True
    if batch or not told:
        yield batch


def _documents(found: Found, encoding: str, cut: Cut) -> Iterator[_Document]:
    for name, path in found.files.items():
        ending, shown = _ending(name), _shown(name)
        if ending not in READERS:
            yield _Document(name, shown, problem="a file that is no document", type=(ending or "file")[:12])
        elif is_undecoded(name):
            yield _Document(name, shown, problem="wrong encoding", length=path.stat().st_size)
        elif cut != "files" and ending in PLAIN:
            parts = lines_of(path, encoding, returns=True)
            yield from _parts(name, parts if cut == "lines" else _paragraphs(parts), cut)
        else:
            document = read_document(path, ending, encoding)
            if document.problem or cut == "files":
                yield _Document(name, shown, document.text, document.problem, length=document.length)
            else:
                parts = lines_in(document.text)
                yield from _parts(name, parts if cut == "lines" else _paragraphs(parts), cut)


def _parts(name: str, parts: Iterator[str], cut: Cut) -> Iterator[_Document]:
    """The lines or paragraphs of a file that are not blank, by their number among all of them."""
    for number, part in enumerate(parts, start=1):
        if part.strip():
            problem = "wrong encoding" if is_undecoded(part) else ""
            problem = f"a document larger than {MOST_BYTES >> 20} MiB" if len(part) > MOST_BYTES else problem
            place = f"{name} {cut.removesuffix('s')} {number}"
            yield _Document(name, place, "" if problem else part, problem, length=len(part))


def _paragraphs(lines: Iterator[str]) -> Iterator[str]:
    """Runs of lines that are not blank; of one that is too long to be a document, no more than shows that it is."""
    held: list[str] = []
    size = 0
    for line in lines:
        if not line.strip():
            if held:
                yield "\n".join(held)
            held, size = [], 0
        elif size <= MOST_BYTES:
            held.append(line)
            size += len(line) + 1
    if held:
        yield "\n".join(held)


def _chunk(batch: list[_Document], text: str, wanted: list[str]) -> Chunk:
    rows: list[dict[str, str | None]] = []
    offsets: list[int] = []
    rejects: list[Reject] = []
    for offset, one in enumerate(batch, start=1):
        if one.problem:
            rejects.append(Reject(offset, one.problem, one.type, one.length))
            continue
        label = one.name.partition("/")[0] if "/" in one.name else None
        rows.append({text: one.text, LABEL: label, FILE: one.name})
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

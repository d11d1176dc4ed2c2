"""What a place in a charter names: which source reads it, and what is left for that source to understand."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from charter import plugins
from charter.data.sources.compression import PACKINGS, member_name, unpacked_name
from charter.data.sources.files import files_of
from charter.data.table import Asked, Header, Source
from charter.errors import DataError
from charter.spec.data import WHERE
from charter.spec.use import Use
from charter.spec.uses import where_needed

ENDINGS: Mapping[str, str] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".conll": "conll",
    ".bio": "conll",
    ".iob": "conll",
    ".xlsx": "excel",
    ".xlsm": "excel",
    ".txt": "folder",
    ".md": "folder",
    ".html": "folder",
    ".htm": "folder",
    ".pdf": "folder",
    ".docx": "folder",
}
"""The source of a file by its name's ending, before one of PACKINGS; others are named as SOURCE:PATH."""
TABLES = ("csv", "tsv", "json", "jsonl", "parquet", "conll")
"""The sources that read any number of files by `files_of`, row by row."""


@dataclass(frozen=True)
class Location:
    """A source plug-in's name, what stands behind the colon (or the whole path, when its ending says the format), and options."""

    kind: str
    rest: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def source(self) -> Source:
        """The plug-in that reads it."""
        source: Source = plugins.make("source", self.kind, self.options)
        return source

    @property
    def name(self) -> str:
        """A short name for people: of a file its last part; of a database its table, never its URL."""
        if self.kind == "sql":
            return "sql:" + str(self.options.get("table") or self.rest.rpartition("#")[2] or "query")
        return Path(self.rest).name or self.rest


def find_location(place: str | Use, folder: Path = Path()) -> Location:
    """Which source reads a place such as `sample:tweets`, `csv:data/x.txt`, `data/*.parquet` or `{use: sql, ...}`.

    Only what a name leaves open is looked up in `folder`: whether it is a folder, and what lies in a zip file.

    Raises:
        DataError: neither a known prefix, nor a known ending, nor a folder.
    """
    if isinstance(place, Use):
        return _told(place)
    prefix, colon, rest = place.partition(":")
    if colon and prefix in plugins.names("source"):
        return Location(prefix, rest)
    if colon and prefix in plugins.PLANNED["source"]:
        raise DataError(plugins.unknown("source", prefix))
    if "://" in place:
        raise DataError(
            f"data.source '{prefix}://...': name a database as sql:URL#TABLE, such as "
            "sql:postgresql://me:${DB_PASSWORD}@localhost/shop#reviews"
        )
    path, sheet, _ = place.partition("#")
    if sheet and ENDINGS.get(_ending(path, folder)) == "excel":
        return Location("excel", place)
    kind = ENDINGS.get(_ending(place, folder))
    if kind is None and _is_folder(folder / Path(place).expanduser()):
        kind = "folder"
    if kind is None:
        raise DataError(
            f"data.source '{place}': its ending says no format; known are {', '.join(ENDINGS)}, also with "
            f"{', '.join(PACKINGS)}, and folders. Name the format before a colon, such as csv:data.txt"
        )
    return Location(kind, place)


def _told(use: Use) -> Location:
    where = [key for key in WHERE if isinstance(use.options.get(key), str)]
    if len(where) != 1:
        raise DataError(f"data.source {{use: {use.use}}}: {where_needed(use.use)}")
    options = {key: value for key, value in use.options.items() if key not in WHERE}
    return Location(use.use, use.options[where[0]], options)


def _ending(text: str, folder: Path) -> str:
    """The ending that says the format; of a zip file that doesn't say it, the one of the file in it."""
    named = text.rstrip("*?")
    inner = Path(unpacked_name(named)).suffix.lower()
    path = folder / Path(text).expanduser()
    if not inner and named.lower().endswith(".zip") and path.is_file():
        inner = Path(member_name(path)).suffix.lower()
    return inner


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name too long, a NUL
        return False


def check_location(place: str | Use, folder: Path) -> None:
    """Refuse a place that can't be read on this machine, without reading it; nothing is asked of a hub or a server.

    Raises:
        DataError: no such format, sample, file or folder.
        MissingExtraError: what reads it is not installed.
    """
    found = find_location(place, folder)
    if found.kind in TABLES:
        files_of(found.rest, folder)
    if found.source.check is not None:
        found.source.check(found.rest, folder)


def is_remote(place: str | Use, folder: Path) -> bool:
    """Whether its columns can be told only by asking a server."""
    found = find_location(place, folder)
    return found.kind == "sql" and not found.rest.lower().startswith(("sqlite:", "sqlite+"))


def headers_of(place: str | Use, folder: Path, asked: Asked) -> list[Header] | None:
    """The columns of every file of a place; None where a source can't tell them without reading it all.

    Raises:
        DataError: a file that can't be read.
    """
    found = find_location(place, folder)
    source = found.source
    return None if source.headers is None else source.headers(found.rest, folder, asked)

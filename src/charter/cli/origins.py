"""What the first argument of `charter init` names: a file, a glob, a folder, a sample, a data set of the hub, or parts."""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from charter.data.columns import SPLIT_NAMES, SPLITS
from charter.data.sources.compression import PACKINGS, is_packed, unpacked_name
from charter.data.sources.excel import sheets_of
from charter.data.sources.files import files_of
from charter.data.sources.folder import documents_of
from charter.data.sources.locations import ENDINGS, TABLES, check_location, find_location
from charter.errors import DataError


@dataclass(frozen=True)
class Origin:
    """Where the data are, as seen from the working folder. location: what is looked at (the training part).

    parts: published splits by their names, empty where there is one source. said: how a folder was understood.
    """

    name: str
    location: str
    parts: Mapping[str, str] = field(default_factory=dict)
    said: str = ""
    licence: str | None = None

    def written_beside(self, charter: Path) -> str | dict[str, str]:
        """`data.source` of a charter file: the same places, relative to its folder."""
        folder = charter.resolve().parent
        if self.parts:
            return {name: _relative(self.parts[name], folder) for name in SPLITS if name in self.parts}
        return _relative(self.location, folder)


def find_origin(data: str, *, validation: str | None = None, test: str | None = None) -> Origin:
    """Understand what is named.

    Raises:
        DataError: there is nothing there that can be read.
    """
    if Path(data).is_dir():
        found = _in_folder(Path(data))
    else:
        location = find_location(data)
        if location.kind in TABLES:
            files_of(location.rest, Path())
        found = Origin(_name_of(location.rest), data, said=_beside(data) if test is None else "")
        if location.kind == "folder" and Path(location.rest).is_file():
            raise DataError(
                f"{data} would be one document, one row; name the folder it lies in, or, if a table is in it, its format: "
                f"csv:{data} or tsv:{data}"
            )
        if location.kind == "excel":
            found = _workbook(data, location.rest)
        if location.kind == "sql":
            found = Origin(location.name.removeprefix("sql:"), data)
        if data == "sample:tweets":
            found = Origin("tweets", data, licence="MIT")
    given = {name: place for name, place in (("validation", validation), ("test", test)) if place is not None}
    if not given:
        return found
    for place in given.values():
        check_location(place, Path())
    train = found.parts.get("train", found.location)
    return Origin(found.name, train, {**found.parts, "train": train, **given})


def _in_folder(folder: Path) -> Origin:
    """A folder in the hub's layout; files named after splits; all files of its commonest format; or documents."""
    name = folder.resolve().name
    if any(folder.rglob("train-*-of-*.parquet")):
        return Origin(
            name, f"hf:{folder}", said="a folder in the hub's layout: read as hf:, splits as published"
        )
    files = sorted(
        path for path in folder.iterdir() if path.is_file() and ENDINGS.get(_ending(path)) in _READ
    )
    if not files:
        return _documents(folder, name)
    parts: dict[str, str] = {
        SPLIT_NAMES[stem]: str(path) for path in files if (stem := _stem(path).lower()) in SPLIT_NAMES
    }
    if "train" in parts and len(parts) > 1:
        listed = ", ".join(f"{Path(place).name} ({name})" for name, place in parts.items())
        return Origin(name, parts["train"], parts, f"published splits: {listed}")
    if len(files) == 1:
        return Origin(_name_of(str(files[0])), str(files[0]))
    shapes = Counter("".join(path.suffixes[-2:]) if is_packed(path) else path.suffix for path in files)
    ending, count = shapes.most_common(1)[0]
    left = f"; {len(files) - count} of other endings are left out" if count < len(files) else ""
    return Origin(name, str(folder / f"*{ending}"), said=f"{count} {ending} files of one folder{left}")


_READ = (*TABLES, "excel")


def _documents(folder: Path, name: str) -> Origin:
    """Documents, a row each; below sub-folders named after splits where there are such."""
    parts: dict[str, str] = {
        SPLIT_NAMES[inside.name.lower()]: f"{inside}/"
        for inside in sorted(folder.iterdir())
        if inside.is_dir() and inside.name.lower() in SPLIT_NAMES
    }
    if "train" in parts and len(parts) > 1:
        listed = ", ".join(f"{Path(place).name} ({part})" for part, place in parts.items())
        return Origin(name, parts["train"], parts, f"documents in published splits: {listed}")
    found = documents_of(folder)
    if not found.count:
        raise DataError(
            f"{folder}: no file in it can be read; known endings are {', '.join(ENDINGS)}, also with "
            f"{', '.join(PACKINGS)}"
        )
    labels = f" in {len(found.labels)} sub-folders, whose names are labels" if found.labels else ""
    said = f"{found.count:,} documents{labels}"
    return Origin(name, f"{str(folder).rstrip(os.sep)}/", said=said)


def _workbook(data: str, path: str) -> Origin:
    """A workbook; of several sheets that hold something, the first."""
    name = _name_of(path.rpartition("#")[0] or path)
    if not Path(path).is_file():
        return Origin(name, data)
    sheets = sheets_of(Path(path))
    if len(sheets) < 2:
        return Origin(name, data)
    others = ", ".join(f"{data}#{one}" for one in sheets[1:])
    return Origin(name, f"{data}#{sheets[0]}", said=f"sheet '{sheets[0]}'; there are others: {others}")


def _beside(data: str) -> str:
    """A hint at a test file that stands beside a training file."""
    path = Path(data)
    if not path.is_file() or SPLIT_NAMES.get(_stem(path).lower()) != "train":
        return ""
    others = {
        SPLIT_NAMES[_stem(one).lower()]: one
        for one in sorted(path.parent.iterdir())
        if one != path and _stem(one).lower() in SPLIT_NAMES and _ending(one) in ENDINGS
    }
    flags = " ".join(f"--{name} {others[name]}" for name in ("validation", "test") if name in others)
    return f"there are other parts beside it; to use them: {flags}" if flags else ""


def _ending(path: Path) -> str:
    return Path(unpacked_name(path.name)).suffix.lower()


def _stem(path: Path) -> str:
    return path.name.split(".")[0]


def _name_of(rest: str) -> str:
    """A name from a path: of its file, or of its folder where the file is only called a split or is a glob."""
    path = Path(rest)
    stem = _stem(path)
    if stem.lower() in SPLIT_NAMES or any(sign in stem for sign in "*?["):
        return path.absolute().parent.name
    return stem


def _relative(location: str, folder: Path) -> str:
    """A location as seen from another folder; what is no path on this machine stays as it is."""
    found = find_location(location)
    prefix = f"{found.kind}:" if location != found.rest else ""
    local, colon, rest = found.rest.partition(":")
    if found.kind == "hf" and Path(local).expanduser().exists():
        return f"hf:{os.path.relpath(Path(local).expanduser(), folder)}{colon}{rest}"
    if found.kind == "sql":
        return _relative_database(location, found.rest, folder)
    if found.kind not in ENDINGS.values():
        return location
    end = "/" if found.kind == "folder" and Path(found.rest).expanduser().is_dir() else ""
    return prefix + os.path.relpath(Path(found.rest).expanduser().absolute(), folder) + end


def _relative_database(location: str, url: str, folder: Path) -> str:
    """A SQLite file's path as seen from another folder; the URL of a server stays."""
    path, mark, table = url.removeprefix("sqlite:///").partition("#")
    if not url.startswith("sqlite:///") or path.startswith(("/", "$")):
        return location
    return f"sql:sqlite:///{os.path.relpath(Path(path).expanduser().absolute(), folder)}{mark}{table}"

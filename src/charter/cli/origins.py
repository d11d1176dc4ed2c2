"""What the first argument of `charter init` names: a file, a glob, a folder, a sample, a data set of the hub, or parts."""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from charter.data.columns import SPLIT_NAMES, SPLITS
from charter.data.files import files_of
from charter.data.reading import ENDINGS, find_location
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
        if location.kind in ENDINGS.values():
            files_of(location.rest, Path())
        found = Origin(_name_of(location.rest), data, said=_beside(data) if test is None else "")
        if data == "sample:tweets":
            found = Origin("tweets", data, licence="MIT")
    given = {name: place for name, place in (("validation", validation), ("test", test)) if place is not None}
    if not given:
        return found
    for place in given.values():
        files_of(find_location(place).rest, Path())
    train = found.parts.get("train", found.location)
    return Origin(found.name, train, {**found.parts, "train": train, **given})


def _in_folder(folder: Path) -> Origin:
    """A folder in the hub's layout; files named after splits; or all files of its commonest format."""
    name = folder.resolve().name
    if any(folder.rglob("train-*-of-*.parquet")):
        return Origin(
            name, f"hf:{folder}", said="a folder in the hub's layout: read as hf:, splits as published"
        )
    files = sorted(path for path in folder.iterdir() if path.is_file() and _ending(path) in ENDINGS)
    if not files:
        raise DataError(
            f"{folder}: no file in it can be read; known endings are {', '.join(ENDINGS)}, also with .gz"
        )
    parts: dict[str, str] = {
        SPLIT_NAMES[stem]: str(path) for path in files if (stem := _stem(path).lower()) in SPLIT_NAMES
    }
    if "train" in parts and len(parts) > 1:
        listed = ", ".join(f"{Path(place).name} ({name})" for name, place in parts.items())
        return Origin(name, parts["train"], parts, f"published splits: {listed}")
    if len(files) == 1:
        return Origin(_name_of(str(files[0])), str(files[0]))
    shapes = Counter("".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix for path in files)
    ending, count = shapes.most_common(1)[0]
    left = f"; {len(files) - count} of other endings are left out" if count < len(files) else ""
    return Origin(name, str(folder / f"*{ending}"), said=f"{count} {ending} files of one folder{left}")


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
    return Path(path.name.removesuffix(".gz")).suffix.lower()


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
    if found.kind not in ENDINGS.values():
        return location
    return prefix + os.path.relpath(Path(found.rest).expanduser().absolute(), folder)

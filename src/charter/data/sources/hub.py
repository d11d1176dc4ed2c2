"""Data sets of the Hugging Face hub, or a local folder in the hub's layout, through `datasets`."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from charter.data import table
from charter.data.columns import PLACE, ROW, SPLIT, SPLIT_NAMES
from charter.data.sources.files import check_header
from charter.data.table import Asked, Source, Table, rejects_of
from charter.errors import DataError, MissingExtraError
from charter.runs.digest import FrameDigest, folder_digest, value_digest


def hf() -> Source:
    """`hf:ID`, `hf:ID:CONFIG` or `hf:ID:CONFIG:SPLIT`; several published splits stay as they are."""
    return Source(_read, _digest)


def _read(location: str, folder: Path, asked: Asked) -> Iterator[Table]:
    parts = _load(location, folder)
    named = {name: part for name, part in parts.items() if name in SPLIT_NAMES}
    if len(parts) > 1 and "train" not in named:
        raise DataError(
            f"data.source 'hf:{location}' has the splits {', '.join(parts)} and none is 'train'; "
            "name one as hf:ID:CONFIG:SPLIT (CONFIG may be empty)"
        )
    for name, part in (named if len(parts) > 1 else parts).items():
        before = 0
        for frame in _frames(part, location, asked):
            number = pl.int_range(1, frame.height + 1, dtype=pl.Int64)
            numbered = frame.with_columns(
                number.alias(ROW), pl.format(f"hf:{location} {name} row {{}}", number + before).alias(PLACE)
            )
            if len(parts) > 1:
                numbered = numbered.with_columns(pl.lit(SPLIT_NAMES[name]).alias(SPLIT))
            yield Table(numbered, rejects_of(location, []), frame.height, begins=before == 0)
            before += frame.height


def columns_of(location: str, folder: Path) -> list[str]:
    """The columns of a data set, of its first split.

    Raises:
        DataError: it can't be loaded.
    """
    return list(next(iter(_load(location, folder).values())).column_names)


def _digest(location: str, folder: Path, asked: Asked) -> str:
    place = (folder / location).expanduser()
    if place.is_dir():
        return folder_digest(place)
    parts = _load(location, folder)
    return value_digest({name: _part_digest(part, location, asked) for name, part in parts.items()})


def _part_digest(part: Any, location: str, asked: Asked) -> str:
    state: FrameDigest | None = None
    for frame in _frames(part, location, asked):
        state = state or FrameDigest(frame.schema)
        state.add(frame)
    assert state is not None
    return state.hexdigest()


def _load(location: str, folder: Path) -> dict[str, Any]:
    try:
        import datasets
    except ImportError:
        raise MissingExtraError(f"data.source 'hf:{location}'", "hub") from None
    name, _, rest = location.partition(":")
    config, _, split = rest.partition(":")
    place = (folder / name).expanduser()
    if not place.is_dir() and (name.startswith((".", "/", "~")) or (os.sep not in name and not name)):
        raise DataError(f"data.source 'hf:{location}': no such folder, looked for {place}")
    try:
        loaded = datasets.load_dataset(
            str(place) if place.is_dir() else name, config or None, split=split or None
        )
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        first = str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
        raise DataError(f"data.source 'hf:{location}' can't be loaded: {first}") from None
    return {split: loaded} if split else dict(loaded)


def _frames(part: Any, location: str, asked: Asked) -> Iterator[pl.DataFrame]:
    """The columns asked for, piece by piece, at least one; class numbers become the names that the data set gives them."""
    check_header(Path(f"hf:{location}"), list(part.column_names), asked)
    wanted = [column for column in asked.columns.kept if column in part.column_names]
    held = part.select_columns(wanted).with_format("arrow")
    for start in range(0, max(len(part), 1), table.CHUNK_ROWS):
        frame = pl.DataFrame(pl.from_arrow(held[start : start + table.CHUNK_ROWS]))
        for column in wanted:
            feature = part.features[column]
            names = getattr(feature, "names", None)
            inner = getattr(getattr(feature, "feature", None), "names", None)
            if names:
                frame = frame.with_columns(_named(pl.col(column), names))
            elif inner:
                frame = frame.with_columns(pl.col(column).list.eval(_named(pl.element(), inner)))
        yield frame


def _named(numbers: pl.Expr, names: list[str]) -> pl.Expr:
    return numbers.replace_strict(dict(enumerate(names)), default=None, return_dtype=pl.String)

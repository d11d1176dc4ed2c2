"""Rows that may be more than memory holds: in parts of bounded size, and which of them are left."""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from charter.data import aside, table
from charter.data.columns import PLACE, ROW, SPLIT, Columns

if TYPE_CHECKING:
    from charter.data.similarity.likeness import Likeness

Flags = NDArray[np.bool_]
Integers = NDArray[np.int64]


class Parts:
    """Rows as they were stored, in the order of ROW, part by part: in memory while they are few, then aside as Parquet."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self._held: list[pl.DataFrame] = []
        self._held_bytes = 0
        self._aside: aside.Aside | None = None
        self._places: list[tuple[int, int]] = []
        self._numbers: list[Integers] = []
        self.schema: pl.Schema | None = None
        self.likeness: Likeness | None = None
        self.lowest_similarity = 1.0  # what is asked of these rows at the lowest, where that is known before

    def add(self, frame: pl.DataFrame) -> None:
        """Add the next rows."""
        if self.schema is None:
            self.schema = frame.schema
        if not frame.height and self._numbers:
            return
        if not frame[ROW].is_sorted():
            frame = frame.sort(ROW, maintain_order=True)
        self._numbers.append(frame[ROW].to_numpy().astype(np.int64))
        if self._aside is not None:
            self._write(frame)
            return
        self._held.append(frame)
        self._held_bytes += int(frame.estimated_size())
        if self._held_bytes > aside.MEMORY_BYTES:
            self._aside = aside.Aside(self.folder)
            for one in self._held:
                self._write(one)
            self._held = []

    def _write(self, frame: pl.DataFrame) -> None:
        assert self._aside is not None
        content = io.BytesIO()
        frame.write_parquet(content, compression="zstd", compression_level=1)
        start = self._aside.add(content.getbuffer())
        self._places.append((start, start + content.getbuffer().nbytes))

    @property
    def numbers(self) -> Integers:
        """(n,) ROW of every stored row."""
        if len(self._numbers) != 1:
            self._numbers = [np.concatenate(self._numbers) if self._numbers else np.zeros(0, dtype=np.int64)]
        return self._numbers[0]

    def frames(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """The stored rows, part by part."""
        if self._aside is None:
            for frame in self._held:
                yield frame if columns is None else frame.select(columns)
            return
        for place in self._places:
            content = io.BytesIO(self._aside.read(*place))
            yield pl.read_parquet(content, columns=None if columns is None else list(columns))


@dataclass(frozen=True)
class Rows:
    """Some of the rows of `parts`, in their order. left: (stored rows,) which; changed: columns that were changed or added since.

    Such a column has a value for every stored row, also for those that are gone.
    """

    parts: Parts
    left: Flags
    changed: dict[str, pl.Series] = field(default_factory=dict)

    @classmethod
    def of(cls, frames: "pl.DataFrame | Iterable[pl.DataFrame]", folder: Path | None = None) -> "Rows":
        """Store rows; the first frame, even an empty one, says the columns."""
        parts = Parts(folder)
        for frame in [frames] if isinstance(frames, pl.DataFrame) else frames:
            parts.add(frame)
        return cls.of_parts(parts)

    @classmethod
    def of_parts(cls, parts: Parts) -> "Rows":
        """All rows of some parts."""
        return cls(parts, np.ones(len(parts.numbers), dtype=bool))

    @property
    def height(self) -> int:
        """How many rows are left."""
        return int(self.left.sum())

    @property
    def schema(self) -> pl.Schema:
        """The columns and their types."""
        stored = self.parts.schema or pl.Schema({ROW: pl.Int64, PLACE: pl.String})
        own = {name: _unpacked(one.clear()).dtype for name, one in self.changed.items()}
        return pl.Schema({**stored, **own})

    @property
    def numbers(self) -> Integers:
        """(height,) ROW of the rows that are left."""
        return self.parts.numbers[self.left]

    def chunks(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """The rows that are left, in order, a bounded number at a time; never nothing: an empty frame says the columns."""
        start = 0
        told = False
        stored = None if columns is None else [name for name in columns if name in (self.parts.schema or ())]
        if stored == []:  # a frame of no column would have no row either
            stored = [ROW]
        own = {name: one for name, one in self.changed.items() if columns is None or name in columns}
        for frame in self.parts.frames(stored):
            end = start + frame.height
            frame = frame.with_columns(
                _unpacked(series[start:end]).alias(name) for name, series in own.items()
            )
            frame = frame if columns is None else frame.select(columns)
            left = self.left[start:end]
            start = end
            if not left.all():
                frame = frame.filter(pl.Series(left))
            if frame.height:
                told = True
                yield frame
        if not told:
            wanted = self.schema if columns is None else {name: self.schema[name] for name in columns}
            yield pl.DataFrame(schema=wanted)

    def there(self, *columns: str | None) -> list[str]:
        """Those of some columns that these rows have, each once."""
        return list(dict.fromkeys(name for name in columns if name is not None and name in self.schema))

    def collect(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """All rows that are left at once: for a few narrow columns."""
        return pl.concat(self.chunks(columns), rechunk=True)

    def narrow(self, columns: Columns) -> pl.DataFrame:
        """All rows that are left, without their inputs and PLACE."""
        return self.collect([name for name in self.schema if name not in (*columns.inputs, PLACE)])

    def each(self, measure: Callable[[pl.DataFrame], pl.Series], columns: Sequence[str]) -> pl.Series:
        """(height,) something measured of each row, chunk by chunk."""
        return pl.concat([measure(chunk) for chunk in self.chunks(columns)], rechunk=True)

    def only(self, keep: Flags) -> "Rows":
        """Those of the rows that are left which are to be kept; keep: (height,)."""
        left = self.left.copy()
        left[np.flatnonzero(left)[~keep]] = False
        return replace(self, left=left)

    def without(self, numbers: pl.Series) -> "Rows":
        """The rows whose ROW is none of these."""
        if not len(numbers):
            return self
        left = self.left.copy()
        left[self.places(numbers)] = False
        return replace(self, left=left)

    def with_changed(self, frame: pl.DataFrame, column: str) -> "Rows":
        """The same rows with new values of one column; frame: ROW and the column, of the rows that are left."""
        places = self.places(frame[ROW])
        if column in self.changed:
            before = _unpacked(self.changed[column])
        else:
            before = pl.concat([one[column] for one in self.parts.frames([column])], rechunk=True)
        if before.dtype != frame.schema[column]:
            raise TypeError(f"column '{column}' was {before.dtype} and became {frame.schema[column]}")
        take = np.arange(len(before))
        take[places] = len(before) + np.arange(frame.height)
        after = pl.concat([before, frame[column]], rechunk=True).gather(take)
        return replace(self, changed={**self.changed, column: _packed(after)})

    def with_column(self, name: str, values: pl.Series) -> "Rows":
        """The same rows with one column more; values: (height,). Rows that are gone have none."""
        take = np.full(len(self.left), len(values), dtype=np.int64)
        take[self.left] = np.arange(len(values))
        padded = pl.concat([values, values.clear(1)], rechunk=True)
        return replace(self, changed={**self.changed, name: _packed(padded.gather(take).alias(name))})

    def given_split(self, columns: Columns) -> pl.Series | None:
        """(height,) the split of each row where the data itself says it (published parts, a column); else None."""
        name = columns.split if columns.split is not None else SPLIT
        return self.collect([name])[name] if name in self.schema else None

    def places(self, numbers: pl.Series) -> Integers:
        """Where the rows of these ROW stand among the stored ones."""
        found: Integers = np.searchsorted(self.parts.numbers, numbers.to_numpy())
        return found


MOST_NAMES = 1 << 16


def _packed(series: pl.Series) -> pl.Series:
    """Texts of which few are different as numbers: what is held for all rows at once is small."""
    if series.dtype != pl.String:
        return series
    names = series.drop_nulls().unique()
    return series.cast(pl.Enum(names.sort())) if len(names) <= MOST_NAMES else series


def _unpacked(series: pl.Series) -> pl.Series:
    return series.cast(pl.String) if isinstance(series.dtype, pl.Enum) else series


def rechunked(frames: Iterable[pl.DataFrame], rows: int | None = None) -> Iterator[pl.DataFrame]:
    """The same rows in frames of exactly so many (the last one may have fewer); at least one frame."""
    size = rows or table.CHUNK_ROWS
    waiting: list[pl.DataFrame] = []
    held = 0
    told = False
    for frame in frames:
        waiting.append(frame)
        held += frame.height
        if held >= size:
            whole = pl.concat(waiting)
            for start in range(0, held - size + 1, size):
                told = True
                yield whole.slice(start, size)
            waiting = [whole.slice(held - held % size)]
            held %= size
    if held or not told:
        yield pl.concat(waiting)


def whole_numbers(frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The same rows, those of one ROW never parted; at least one frame. Rows of one ROW stand together."""
    waiting: pl.DataFrame | None = None
    for frame in frames:
        if waiting is None or not waiting.height:
            waiting = frame
            continue
        own = int(frame[ROW].search_sorted(waiting[ROW][-1], side="right")) if frame.height else 0
        waiting = pl.concat([waiting, frame[:own]]) if own else waiting
        if frame.height > own:
            yield waiting
            waiting = frame[own:]
    if waiting is not None:
        yield waiting

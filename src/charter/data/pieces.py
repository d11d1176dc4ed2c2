"""Documents as pieces: token ids of at most a given length, kept in a file, so that a corpus may be larger than memory.

Of one document no piece reaches into another: nothing is attended to across documents.
"""

import json
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import polars as pl
from numpy.typing import NDArray

from charter.data.columns import ROW, Columns
from charter.errors import ModelError
from charter.runs.files import read_json, sync_folder, write_json

Integers = NDArray[np.int64]
AT_ONCE = 1 << 22
"""About so many characters are encoded at once."""
_FACTS, _IDS, _ENDS, _ROWS = "pieces.json", "ids.bin", "ends.npy", "rows.npy"


Cut = Callable[[Integers], Iterator[Integers]]
"""The tokens of a document, without special ones -> its pieces, as the model reads them; at least one."""


@dataclass(frozen=True)
class Frame:
    """The special tokens around a text, and how many tokens of it have room between them."""

    before: Integers
    after: Integers
    room: int

    @classmethod
    def of(cls, tokenizer: Any, max_length: int) -> "Frame":
        """What the tokenizer puts around one text.

        Raises:
            ModelError: there is no room for a text between them.
        """
        around = tokenizer("a", return_special_tokens_mask=True)
        ids = np.asarray(around["input_ids"], dtype=np.int64)
        inside = np.flatnonzero(np.asarray(around["special_tokens_mask"]) == 0)
        first, last = (int(inside[0]), int(inside[-1])) if len(inside) else (len(ids), len(ids) - 1)
        before, after = ids[:first], ids[last + 1 :]
        room = max_length - len(before) - len(after)
        if room < 1:
            raise ModelError(f"max_length {max_length} leaves no room for a text between the special tokens")
        return cls(before, after, room)

    def pieces(self, ids: Integers) -> Iterator[Integers]:
        """A document's tokens cut into pieces, each between the special tokens."""
        for start in range(0, max(len(ids), 1), self.room):
            yield np.concatenate([self.before, ids[start : start + self.room], self.after])


def run_on(ids: Integers, end: int, max_length: int) -> Iterator[Integers]:
    """A document's tokens after `end` and before it, cut into pieces that overlap by one: each token is foretold once."""
    whole = np.concatenate([[end], ids, [end]]).astype(np.int64)
    for start in range(0, len(whole) - 1, max_length - 1):
        yield whole[start : start + max_length]


def documents_encoded(texts: Sequence[str], tokenizer: Any) -> Iterator[Integers]:
    """The tokens of each text, none cut, without special tokens; what only looks like one, such as `[MASK]`, is text."""
    for part in _by_size(texts):
        told = tokenizer(part, add_special_tokens=False, split_special_tokens=True, verbose=False)
        for encoding in told.encodings:
            yield np.asarray(encoding.ids, dtype=np.int64)


def _by_size(texts: Sequence[str]) -> Iterator[list[str]]:
    part: list[str] = []
    held = 0
    for text in texts:
        part.append(text)
        held += len(text)
        if held >= AT_ONCE:
            yield part
            part, held = [], 0
    if part:
        yield part


class Pieces(Sequence[Integers]):
    """Pieces in a folder, read as they are asked for. rows: (pieces,) the row number of each one's document."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        facts = read_json(folder / _FACTS)
        self._ids = np.memmap(folder / _IDS, dtype=np.dtype(facts["dtype"]), mode="r")
        self._ends: Integers = np.load(folder / _ENDS)
        self.rows: Integers = np.load(folder / _ROWS)

    def __reduce__(self) -> tuple[type["Pieces"], tuple[Path]]:
        return Pieces, (self.folder,)

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, place: int) -> Integers: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Integers]: ...
    def __getitem__(self, place: int | slice) -> Integers | Sequence[Integers]:
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        at = range(len(self))[place]
        start = int(self._ends[at - 1]) if at else 0
        return self._ids[start : int(self._ends[at])].astype(np.int64)

    @property
    def lengths(self) -> Integers:
        """(pieces,) tokens of each."""
        return np.diff(self._ends, prepend=0)

    @property
    def tokens(self) -> int:
        """Tokens of all pieces."""
        return int(self._ends[-1]) if len(self._ends) else 0

    def counts(self, size: int) -> Integers:
        """(size,) how often each token id stands in the pieces."""
        found = np.zeros(size, dtype=np.int64)
        for start in range(0, len(self._ids), AT_ONCE):
            found += np.bincount(self._ids[start : start + AT_ONCE], minlength=size)[:size]
        return found


def write_pieces(
    folder: Path, chunks: Iterable[pl.DataFrame], columns: Columns, tokenizer: Any, cut: Cut
) -> Pieces:
    """Encode documents, chunk by chunk, into a folder that appears whole or not at all."""
    dtype = np.dtype("<u2" if len(tokenizer) <= 1 << 16 else "<u4")
    folder.mkdir(parents=True, exist_ok=True)
    ends, rows = array("q"), array("q")
    total = 0
    with (folder / _IDS).open("wb") as stream:
        for chunk in chunks:
            texts = columns.texts(chunk).to_list()
            for row, ids in zip(chunk[ROW].to_list(), documents_encoded(texts, tokenizer), strict=True):
                for piece in cut(ids):
                    stream.write(piece.astype(dtype).tobytes())
                    total += len(piece)
                    ends.append(total)
                    rows.append(row)
        if not total:
            stream.write(bytes(dtype.itemsize))  # an empty file can't be mapped
    np.save(folder / _ENDS, np.frombuffer(ends, dtype=np.int64))
    np.save(folder / _ROWS, np.frombuffer(rows, dtype=np.int64))
    sync_folder(folder)
    write_json(folder / _FACTS, {"dtype": dtype.str})
    return Pieces(folder)


def found_pieces(folder: Path) -> Pieces | None:
    """The pieces in a folder, where all of them were written."""
    try:
        return Pieces(folder)
    except (OSError, KeyError, ValueError, json.JSONDecodeError):
        return None

"""Documents as pieces: token ids of at most a given length, kept in a file, so that a corpus may be larger than memory.

Of one document no piece reaches into another, and nothing is attended to across documents, unless blocks are asked for.
"""

import os
import weakref
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
from charter.runs.files import machine_errors, read_json, sync_tree, write_json

Integers = NDArray[np.int64]
AT_ONCE = 1 << 22
"""So many tokens are read at once where all are."""
ENCODED_AT_ONCE = 1 << 19
"""About so many characters are encoded at once: the library holds some hundred bytes for each token."""
_FACTS, _IDS, _ENDS, _ROWS = "pieces.json", "ids.bin", "ends.bin", "rows.bin"


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


class Blocks:
    """Documents one after the other, a separator after each, cut into blocks of exactly as many tokens; the last has the rest.

    Each block stands between `before` and `after`; overlap: so many tokens of a block are the first ones of the next. It is used
    once: called with the tokens of each document in turn it gives the blocks that are full.
    """

    def __init__(self, around: Frame, separator: Integers, *, begins: Integers, overlap: int = 0) -> None:
        self._around, self._separator, self._overlap = around, separator, overlap
        self._waiting = [begins]
        self._held = self._told = len(begins)

    @classmethod
    def of_texts(cls, frame: Frame) -> "Blocks":
        """As run_mlm.py and RoBERTa's full sentences have them: each block framed as a text is."""
        return cls(frame, frame.after, begins=np.zeros(0, dtype=np.int64))

    @classmethod
    def run_on(cls, end: int, max_length: int) -> "Blocks":
        """As run_clm.py and nanoGPT have them, the token `end` between documents; overlapping by one: each token is foretold once."""
        none, ends = np.zeros(0, dtype=np.int64), np.asarray([end], dtype=np.int64)
        return cls(Frame(none, none, max_length), ends, begins=ends, overlap=1)

    def __call__(self, ids: Integers) -> Iterator[Integers]:
        """One document more: the blocks that are full now."""
        self._waiting += [ids, self._separator]
        self._held += len(ids) + len(self._separator)
        room = self._around.room
        if self._held < room:
            return
        whole = np.concatenate(self._waiting)
        start = 0
        while len(whole) - start >= room:
            yield self._framed(whole[start : start + room])
            start += room - self._overlap
        self._waiting = [whole[start:]]
        self._held, self._told = len(whole) - start, self._overlap

    def rest(self) -> Iterator[Integers]:
        """The last block, shorter, where tokens are left that stand in no block."""
        if self._held > self._told:
            yield self._framed(np.concatenate(self._waiting))

    def _framed(self, ids: Integers) -> Integers:
        return np.concatenate([self._around.before, ids, self._around.after])


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
        if held >= ENCODED_AT_ONCE:
            yield part
            part, held = [], 0
    if part:
        yield part


class Pieces(Sequence[Integers]):
    """Pieces in a folder, read as they are asked for. rows: (pieces,) the row number of each one's document.

    They are read, not mapped: of a mapped file all that was ever looked at counts as this process's memory.

    Raises:
        OSError, ValueError: the folder has no pieces, or not all of them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._dtype = np.dtype(read_json(folder / _FACTS)["dtype"])
        self._ends: Integers = np.fromfile(folder / _ENDS, dtype=np.int64)
        self.rows: Integers = np.fromfile(folder / _ROWS, dtype=np.int64)
        self._handle = os.open(folder / _IDS, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._handle)
        if os.fstat(self._handle).st_size != self.tokens * self._dtype.itemsize or len(self.rows) != len(
            self
        ):
            raise ValueError(f"{folder}: not all of its pieces are there")

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
        return self._read(int(self._ends[at - 1]) if at else 0, int(self._ends[at])).astype(np.int64)

    def _read(self, start: int, end: int) -> NDArray[Any]:
        size = self._dtype.itemsize
        found = os.pread(self._handle, (end - start) * size, start * size)
        if len(found) != (end - start) * size:
            raise OSError(f"{self.folder / _IDS} ends too early")
        return np.frombuffer(found, dtype=self._dtype)

    @property
    def lengths(self) -> Integers:
        """(pieces,) tokens of each."""
        return np.diff(self._ends, prepend=0)

    @property
    def tokens(self) -> int:
        """Tokens of all pieces."""
        return int(self._ends[-1]) if len(self._ends) else 0

    def among(self, which: NDArray[np.bool_]) -> Integers:
        """(pieces,) how many tokens of each are among some of the vocabulary; which: (vocabulary,)."""
        found = np.zeros(len(self), dtype=np.int64)
        first = 0
        while first < len(self):
            start = int(self._ends[first - 1]) if first else 0
            last = max(int(np.searchsorted(self._ends, start + AT_ONCE, side="right")), first + 1)
            ids = self._read(start, int(self._ends[last - 1]))
            begins = np.concatenate([[start], self._ends[first : last - 1]]) - start
            found[first:last] = np.add.reduceat(which[ids].astype(np.int64), begins)
            first = last
        return found

    def counts(self, size: int) -> Integers:
        """(size,) how often each token id stands in the pieces."""
        found = np.zeros(size, dtype=np.int64)
        for start in range(0, self.tokens, AT_ONCE):
            ids = self._read(start, min(start + AT_ONCE, self.tokens))
            found += np.bincount(ids, minlength=size)[:size]
        return found


def write_pieces(
    folder: Path, chunks: Iterable[pl.DataFrame], columns: Columns, tokenizer: Any, cut: "Cut | Blocks"
) -> Pieces:
    """Encode documents, chunk by chunk, into a folder whose pieces are found when all were written, and else not at all.

    Raises:
        OSError: the disk refuses them.
    """
    dtype = np.dtype("<u2" if len(tokenizer) <= 1 << 16 else "<u4")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _FACTS).unlink(missing_ok=True)
    ends, rows = array("q"), array("q")
    total, row = 0, 0
    with machine_errors(folder):
        with (folder / _IDS).open("wb") as stream:

            def write(pieces: Iterable[Integers], row: int) -> None:
                nonlocal total
                for piece in pieces:
                    stream.write(piece.astype(dtype).tobytes())
                    total += len(piece)
                    ends.append(total)
                    rows.append(row)

            for chunk in chunks:
                texts = columns.texts(chunk).to_list()
                for row, ids in zip(chunk[ROW].to_list(), documents_encoded(texts, tokenizer), strict=True):
                    write(cut(ids), row)
            if isinstance(cut, Blocks):
                write(cut.rest(), row)
        for name, numbers in ((_ENDS, ends), (_ROWS, rows)):
            (folder / name).write_bytes(numbers)
        sync_tree(folder)
    write_json(folder / _FACTS, {"dtype": dtype.str})
    return Pieces(folder)


def found_pieces(folder: Path) -> Pieces | None:
    """The pieces in a folder, where all of them were written."""
    try:
        return Pieces(folder)
    except (OSError, KeyError, ValueError):
        return None

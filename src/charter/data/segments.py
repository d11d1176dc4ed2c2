"""Documents as sentences in pieces: what pairs of neighbouring segments are drawn from (Devlin et al. 2019, appendix A.2)."""

import os
import weakref
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from charter.data.columns import ROW, Columns
from charter.data.pieces import documents_encoded
from charter.data.sentences import sentences_of
from charter.runs.files import machine_errors, read_json, sync_tree, write_json

Integers = NDArray[np.int64]
_FACTS, _IDS = "segments.json", "ids.bin"
_ARRAYS = ("starts", "pieces", "documents", "rows")


class TokenFile:
    """The tokens in a file, read as they are asked for: of a mapped file all that was ever looked at counts as memory.

    Raises:
        OSError, ValueError: the file is not there, or holds not so many.
    """

    def __init__(self, path: Path, dtype: str, tokens: int) -> None:
        self._path, self._dtype = path, np.dtype(dtype)
        self._handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._handle)
        if os.fstat(self._handle).st_size != tokens * self._dtype.itemsize:
            raise ValueError(f"{path}: not all of its tokens are there")

    def __getitem__(self, part: slice) -> NDArray[Any]:
        start, size = int(part.start), self._dtype.itemsize
        wanted = (int(part.stop) - start) * size
        found = os.pread(self._handle, wanted, start * size)
        if len(found) != wanted:
            raise OSError(f"{self._path} ends too early")
        return np.frombuffer(found, dtype=self._dtype)


@dataclass(frozen=True)
class Segments:
    """Sentences side by side, and which of them are a piece, which a document. Nothing reaches over a document's end.

    ids: (tokens,) of all sentences, without special ones. starts: (sentences + 1,) where each begins in `ids`, and the end.
    pieces: (pieces + 1,) the first sentence of each piece, and the end: consecutive sentences that fit in what the model reads.
    documents: (documents + 1,) the first sentence of each document, and the end. rows: (pieces,) each one's document's row.
    folder: where they are kept, read as they are needed; None for those in memory.
    """

    ids: NDArray[Any] | TokenFile
    starts: Integers
    pieces: Integers
    documents: Integers
    rows: Integers
    folder: Path | None = None

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        if self.folder is not None:
            return _read, (self.folder,)
        return Segments, (self.ids, self.starts, self.pieces, self.documents, self.rows)

    def __len__(self) -> int:
        return len(self.rows)


class _Growing:
    """Segments while documents are added to them, all but the tokens."""

    def __init__(self) -> None:
        self.starts, self.pieces, self.documents, self.rows = (
            array("q", [0]), array("q", [0]), array("q", [0]), array("q"),
        )  # fmt: skip

    def add(self, row: int, lengths: Sequence[int], room: int) -> None:
        """One document more, of sentences with so many tokens."""
        for length in lengths:
            self.starts.append(self.starts[-1] + length)
        for count in partition(lengths, room):
            self.pieces.append(self.pieces[-1] + count)
            self.rows.append(row)
        self.documents.append(self.pieces[-1])

    def arrays(self) -> dict[str, Integers]:
        return {name: np.frombuffer(getattr(self, name), dtype=np.int64) for name in _ARRAYS}

    def segments(self, ids: Integers) -> Segments:
        return Segments(ids, **self.arrays())  # type: ignore[arg-type]


def partition(lengths: Sequence[int], room: int) -> list[int]:
    """How many consecutive sentences, of so many tokens each, go in one piece of at most `room` tokens.

    A last one does not stay alone where the piece before can spare a sentence: it needs a neighbour.
    """
    counts: list[int] = []
    held = 0
    for length in lengths:
        if not counts or held + length > room:
            counts.append(0)
            held = 0
        counts[-1] += 1
        held += length
    if len(counts) > 1 and counts[-1] == 1 and counts[-2] > 2 and sum(lengths[-2:]) <= room:
        counts[-2:] = [counts[-2] - 1, 2]
    return counts


def sentences_encoded(texts: Sequence[str], tokenizer: Any, room: int) -> Iterator[list[Integers]]:
    """The sentences of each text as tokens; one longer than half the room is cut, so that each has room for a neighbour.

    A text without any token is one empty sentence.
    """
    told = [sentences_of(text) for text in texts]
    tokens = documents_encoded([one for text in told for one in text], tokenizer)
    most = max(room // 2, 1)
    for text in told:
        whole = [ids for ids in islice(tokens, len(text)) if len(ids)]
        cut = [ids[start : start + most] for ids in whole for start in range(0, len(ids), most)]
        yield cut or [np.empty(0, dtype=np.int64)]


def segments_of(rows: Sequence[int], texts: Sequence[str], tokenizer: Any, room: int) -> Segments:
    """Texts as segments in memory; rows: the number of each."""
    growing, parts = _Growing(), [np.empty(0, dtype=np.int64)]
    for row, sentences in zip(rows, sentences_encoded(texts, tokenizer, room), strict=True):
        parts += sentences
        growing.add(row, [len(one) for one in sentences], room)
    return growing.segments(np.concatenate(parts))


def write_segments(
    folder: Path, chunks: Iterable[pl.DataFrame], columns: Columns, tokenizer: Any, room: int
) -> Segments:
    """Encode documents, chunk by chunk, into a folder that appears whole or not at all; those without any token are left out."""
    dtype = np.dtype("<u2" if len(tokenizer) <= 1 << 16 else "<u4")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _FACTS).unlink(missing_ok=True)
    growing = _Growing()
    with machine_errors(folder):
        with (folder / _IDS).open("wb") as stream:
            for chunk in chunks:
                texts = columns.texts(chunk).to_list()
                encoded = sentences_encoded(texts, tokenizer, room)
                for row, sentences in zip(chunk[ROW].to_list(), encoded, strict=True):
                    if lengths := [len(one) for one in sentences if len(one)]:
                        stream.write(b"".join(one.astype(dtype).tobytes() for one in sentences))
                        growing.add(row, lengths, room)
        for name in _ARRAYS:
            (folder / f"{name}.bin").write_bytes(getattr(growing, name))
        sync_tree(folder)
    write_json(folder / _FACTS, {"dtype": dtype.str})
    return _read(folder)


def found_segments(folder: Path) -> Segments | None:
    """The segments in a folder, where all of them were written."""
    try:
        return _read(folder)
    except (OSError, KeyError, ValueError):
        return None


def _read(folder: Path) -> Segments:
    dtype = read_json(folder / _FACTS)["dtype"]
    arrays = {name: np.fromfile(folder / f"{name}.bin", dtype=np.int64) for name in _ARRAYS}
    return Segments(TokenFile(folder / _IDS, dtype, int(arrays["starts"][-1])), **arrays, folder=folder)

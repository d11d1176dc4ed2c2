"""What a step writes aside while it works: files without a name, which the system deletes when the step ends or is killed."""

import os
import tempfile
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MEMORY_BYTES = 1 << 26
"""So much of one thing (the rows, their texts, one index) is held in memory; more of it is written aside."""


class Aside:
    """Bytes that are added piece by piece and read back by place: in memory while they are few, then in a nameless file.

    folder: where the file lies; None: where the system keeps its temporary files.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._handle = -1
        self._memory: bytearray | None = bytearray()
        self.size = 0

    def add(self, content: bytes | memoryview) -> int:
        """Add bytes and tell the place of their beginning."""
        start = self.size
        self.size += len(content)
        if self._memory is not None:
            self._memory += content
            if self.size > MEMORY_BYTES:
                self._write_aside(self._memory)
                self._memory = None
        else:
            self._write_aside(content)
        return start

    def read(self, start: int, end: int) -> bytes:
        """The bytes from one place to another."""
        if self._memory is not None:
            return bytes(self._memory[start:end])
        found = bytearray()
        while start + len(found) < end:
            more = os.pread(self._handle, min(end - start - len(found), 1 << 30), start + len(found))
            if not more:
                raise OSError("a temporary file ends too early")
            found += more
        return bytes(found)

    def _write_aside(self, content: bytes | bytearray | memoryview) -> None:
        if self._handle < 0:
            with tempfile.TemporaryFile(dir=self._folder) as file:
                self._handle = os.dup(file.fileno())
            weakref.finalize(self, os.close, self._handle)
        view = memoryview(content)
        while len(view):
            view = view[os.write(self._handle, view) :]


class Numbers:
    """Unsigned whole numbers, added in arrays, each array to one of several shares; a share is read back as one array."""

    def __init__(self, folder: Path | None, shares: int) -> None:
        self._bytes = Aside(folder)
        self._places: list[list[tuple[int, int]]] = [[] for _ in range(shares)]

    def add(self, share: int, numbers: NDArray[np.uint64]) -> None:
        """Add numbers to one share."""
        content = np.ascontiguousarray(numbers).tobytes()
        start = self._bytes.add(content)
        self._places[share].append((start, start + len(content)))

    def share(self, share: int) -> NDArray[np.uint64]:
        """All numbers of one share, in the order in which they were added."""
        pieces = [np.frombuffer(self._bytes.read(*place), dtype=np.uint64) for place in self._places[share]]
        return np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.uint64)


class Texts:
    """Texts by number, added in order; read back a few at a time."""

    def __init__(self, folder: Path | None = None) -> None:
        self._bytes = Aside(folder)
        self._ends: list[NDArray[np.int64]] = [np.zeros(1, dtype=np.int64)]
        self._bounds: NDArray[np.int64] | None = None

    def add(self, texts: "list[str]") -> None:
        """Add texts."""
        encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
        sizes = np.fromiter(map(len, encoded), dtype=np.int64, count=len(encoded))
        self._ends.append(np.cumsum(sizes) + self._bytes.size)
        self._bytes.add(b"".join(encoded))
        self._bounds = None

    @property
    def bounds(self) -> NDArray[np.int64]:
        """(n + 1,) where each text's bytes begin and end."""
        if self._bounds is None:
            self._bounds = np.concatenate(self._ends)
            self._ends = [self._bounds]
        return self._bounds

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(n,) how many bytes each text has."""
        return np.diff(self.bounds)

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def some(self, numbers: NDArray[np.int64]) -> list[str]:
        """The texts of these numbers (ascending ones are read fastest)."""
        bounds = self.bounds
        starts, ends = bounds[numbers].tolist(), bounds[numbers + 1].tolist()
        return _pieces(self._bytes.read, starts, ends)


NEAR = 1 << 16


def _pieces(read: Callable[[int, int], bytes], starts: list[int], ends: list[int]) -> list[str]:
    """Texts by their places; places that lie near each other are read at once."""
    found: list[str] = []
    at = 0
    while at < len(starts):
        last = at
        while (
            last + 1 < len(starts)
            and 0 <= starts[last + 1] - ends[last] <= NEAR
            and ends[last + 1] - starts[at] < MEMORY_BYTES
        ):
            last += 1
        base = starts[at]
        block = read(base, ends[last])
        found += [
            block[starts[one] - base : ends[one] - base].decode("utf-8", "surrogatepass")
            for one in range(at, last + 1)
        ]
        at = last + 1
    return found

"""Where chunks of rows are worked on: in this process, or by Ray Data on a cluster. What comes out is the same."""

import logging
import os
import pickle
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Protocol, TypeVar

import polars as pl

from charter.errors import CharterError, MissingExtraError

Made = TypeVar("Made")
WINDOW = 64
"""So many chunks are handed to the cluster at once: no more of them lie in its object store."""


class Engine(Protocol):
    """Where chunks are worked on: what it gives is the same, in the same order, wherever that is."""

    def map(self, work: Callable[[pl.DataFrame], Made], chunks: Iterable[pl.DataFrame]) -> Iterator[Made]:
        """The work done on each chunk, in the order of the chunks."""
        ...


class Here:
    """This process."""

    def map(self, work: Callable[[pl.DataFrame], Made], chunks: Iterable[pl.DataFrame]) -> Iterator[Made]:
        """The work done on each chunk, one after the other."""
        return map(work, chunks)


class OnRay:
    """Ray Data: on the cluster of RAY_ADDRESS, or one that is started on this machine.

    Charter must be installed on every node. A chunk whose worker or node dies is worked on again by Ray. Chunks lie in Ray's
    object store as they were read, before anything is masked in them.
    """

    def __init__(self) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reports its use otherwise
        try:
            import ray
            import ray.data
        except ImportError:
            raise MissingExtraError("data.engine 'ray'", "ray") from None
        if not ray.is_initialized():
            ray.init(log_to_driver=False, logging_level=logging.WARNING)
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        self._ray = ray

    def map(self, work: Callable[[pl.DataFrame], Made], chunks: Iterable[pl.DataFrame]) -> Iterator[Made]:
        """The work done on each chunk, by as many workers as the cluster has.

        Raises:
            CharterError: what the work itself raised on the first chunk that it refused.
        """
        work_once = _Work(work)
        waiting = iter(chunks)
        while window := list(islice(waiting, WINDOW)):
            items = [{"place": place, "chunk": pickle.dumps(one)} for place, one in enumerate(window)]
            rows = self._ray.data.from_items(items, override_num_blocks=len(items)).map(work_once)
            made = {row["place"]: row["made"] for row in rows.iter_rows()}
            for place in range(len(window)):
                one = pickle.loads(made[place])
                if isinstance(one, CharterError):
                    raise one
                yield one


class _Work:
    """The work on one chunk as Ray Data carries it: bytes in, bytes out; an error that a user can mend comes back as a value."""

    def __init__(self, work: Callable[[pl.DataFrame], Any]) -> None:
        self.work = work

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        try:
            made: Any = self.work(pickle.loads(row["chunk"]))
        except CharterError as error:
            made = error
        return {"place": row["place"], "made": pickle.dumps(made)}


def engine_of(name: str) -> Engine:
    """The engine of this name.

    Raises:
        MissingExtraError: Ray is not installed.
    """
    return OnRay() if name == "ray" else Here()

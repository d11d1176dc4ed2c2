"""Arms of a benchmark in turns: each is a process of its own, and only one of them runs at a time.

After every few updates an arm hands over to the next, so that whatever else the machine does falls on all alike. What is
measured is CPU-seconds of the updates; each arm's peak memory is its own.
"""

import json
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

AT_ONCE = 5
"""Updates that an arm makes before it hands over."""
THREADS = 1

Arm = Callable[..., dict[str, float]]
"""(name, turns, further arguments) -> what it found; it calls `turns.begin` before its first update."""


class Turns:
    """Counts the CPU-seconds between `begin` and the end, without those in which it is the others' turn."""

    def __init__(self, end: Connection) -> None:
        self.end, self.seconds, self.updates, self.since = end, 0.0, 0, 0.0

    def begin(self) -> None:
        """The first update is next."""
        self.end.send("ready")
        self.end.recv()
        self.since = time.process_time()

    def after_update(self) -> None:
        """An update was made."""
        self.updates += 1
        if self.updates % AT_ONCE == 0:
            self.stop()
            self.end.send(None)
            self.end.recv()
            self.since = time.process_time()

    def stop(self) -> None:
        """The last update was made."""
        self.seconds += time.process_time() - self.since


def in_turns(arms: Sequence[str], arm: Arm, *given: Any) -> dict[str, dict[str, float]]:
    """What every arm found, its CPU-seconds and its peak memory."""
    context = multiprocessing.get_context("spawn")
    ends: dict[str, Connection] = {}
    processes = []
    for name in arms:
        ours, theirs = context.Pipe()
        process = context.Process(target=_run, args=(arm, name, theirs, given))
        process.start()
        theirs.close()  # so that an arm that dies is heard
        if (
            ours.recv() != "ready"
        ):  # one after the other: what is set up is not measured, but should not disturb either
            sys.exit(f"{name} did not start")
        ends[name] = ours
        processes.append(process)
    found: dict[str, dict[str, float]] = {}
    while len(found) < len(arms):
        for name, end in ends.items():
            if name in found:
                continue
            end.send("go")
            told = end.recv()
            if told is not None:
                found[name] = told
                print(f"{name}: {json.dumps(told)}", file=sys.stderr)
    for process in processes:
        process.join()
    return found


def _run(arm: Arm, name: str, end: Connection, given: tuple[Any, ...]) -> None:
    os.environ.update(OMP_NUM_THREADS=str(THREADS), TOKENIZERS_PARALLELISM="false")
    import torch

    torch.set_num_threads(THREADS)
    turns = Turns(end)
    found = arm(name, turns, *given)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    end.send({"seconds": turns.seconds, "peak_memory_mb": memory, **found})

"""Processes on this machine that help to train, started and ended by the one that makes the run.

Run as a module it is one of the others: it says that it is there, and follows.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from charter.errors import CharterError, TrainingError
from charter.models.world import ALONE, World, joined, started_together
from charter.training.sharing import follow

READY = "ready"
SECONDS_TO_END = 30.0
"""A process that follows ends by itself when it is told so; one that doesn't within this time is ended."""


@contextmanager
def together(workers: int) -> Iterator[World]:
    """The world of this process and of `workers` - 1 others that are started here; or the one that torchrun started already.

    Raises:
        TrainingError: a process could not start, or they can't find one another.
    """
    if started_together() or workers == 1:
        yield ALONE
        return
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), "WORLD_SIZE": str(workers)}
    others = [_started({**place, "RANK": str(rank), "LOCAL_RANK": str(rank)}) for rank in range(1, workers)]
    before = dict(os.environ)
    try:
        for one in others:
            _wait_until_ready(one)
        os.environ.update({**place, "RANK": "0", "LOCAL_RANK": "0"})
        with joined() as world:
            for name in (*place, "RANK", "LOCAL_RANK"):
                os.environ.pop(name, None)
            yield world
    finally:
        for name in (*place, "RANK", "LOCAL_RANK"):
            if name in before:
                os.environ[name] = before[name]
            else:
                os.environ.pop(name, None)
        for one in others:
            _end(one)


def _started(environment: dict[str, str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", __name__],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )


def _wait_until_ready(process: "subprocess.Popen[str]") -> None:
    """A process that can't even import would be waited for in vain."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == READY:
            return
    raise TrainingError(
        f"training.workers: a process could not start (exit code {process.wait()}); it said why above"
    )


def _end(process: "subprocess.Popen[str]") -> None:
    try:
        process.wait(SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _follow() -> int:
    """Follow the first process, which says itself what went wrong."""
    sys.stdout.write(f"{READY}\n")
    sys.stdout.flush()
    try:
        with joined() as world:
            follow(world)
    except CharterError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_follow())

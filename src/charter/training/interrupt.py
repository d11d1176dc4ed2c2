"""Stopping between updates: a Ctrl-C is remembered until what is in hand is whole, so that half an update is never saved."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass
class Interrupt:
    """Whether to stop was `asked`; `forced` when it was asked again, which interrupts at once and leaves nothing to save."""

    asked: bool = False
    forced: bool = False

    def check(self) -> None:
        """Stop here if it was asked.

        Raises:
            KeyboardInterrupt: it was.
        """
        if self.asked:
            raise KeyboardInterrupt


PASSED_ON = 2.0
"""Seconds in which a second signal is the first one again: torchrun passes on what its whole process group got already."""


@contextmanager
def held_back(*, forcible: bool = True) -> Iterator[Interrupt]:
    """Hold back SIGINT and SIGTERM: the first one only sets `asked`, a second one interrupts at once.

    forcible: whether a second one does; a process that only follows another ends when that one says so.
    Outside the main thread, where no signal arrives, nothing is changed.
    """
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    alike = PASSED_ON if "TORCHELASTIC_RUN_ID" in os.environ else 0.0
    first = 0.0

    def remember(number: int, frame: Any) -> None:
        nonlocal first
        del number, frame
        now = time.monotonic()
        if not interrupt.asked:
            first = now
        elif forcible and now - first >= alike:
            interrupt.forced = True
            raise KeyboardInterrupt
        interrupt.asked = True

    before = {one: signal.signal(one, remember) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupt
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)

"""Stopping between updates: a Ctrl-C is remembered until what is in hand is whole, so that half an update is never saved."""

import signal
import threading
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


@contextmanager
def held_back() -> Iterator[Interrupt]:
    """Hold back SIGINT and SIGTERM: the first one only sets `asked`, a second one interrupts at once.

    Outside the main thread, where no signal arrives, nothing is changed.
    """
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return

    def remember(number: int, frame: Any) -> None:
        del number, frame
        if interrupt.asked:
            interrupt.forced = True
            raise KeyboardInterrupt
        interrupt.asked = True

    before = {one: signal.signal(one, remember) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupt
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)

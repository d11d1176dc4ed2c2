"""A run as a notebook shows it: a line per stage and a bar under way, in one output that is updated in place."""

import importlib
import os
import sys
import time
import warnings
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from charter.release.report.notebook import output
from charter.release.report.parts import Cell, Heading, Table
from charter.release.report.wording import Wording
from charter.release.report.words import Language

if TYPE_CHECKING:
    from charter.pipeline.progress import Progress
    from charter.runs.run import Event

EVERY_SECONDS = 0.3
"""An output is sent over the network: bars are not redrawn more often than this."""


def in_notebook() -> bool:
    """Whether this is a kernel of Jupyter, so that outputs can be shown and updated; IPython is not imported to find out."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


@dataclass
class _Line:
    """One stage: how it stands (started, made, reused, ended), how far it is, what is said beside it."""

    stage: str
    state: str = "started"
    seconds: float = 0.0
    done: float = 0.0
    total: float = 0.0
    text: str = ""
    began: float = 0.0


class NotebookView:
    """Shows a run as it goes; the last state stays in the notebook."""

    def __init__(self, language: Language = "en") -> None:
        self._say = Wording(language)
        self._lines: list[_Line] = []
        self._notes: list[str] = []
        self._drawn = 0.0
        self._handle: Any = None

    def __enter__(self) -> Self:
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # as in the terminal: no bars but ours
        with warnings.catch_warnings():  # without ipywidgets it warns when transformers first imports it
            warnings.simplefilter("ignore")
            importlib.import_module("tqdm.auto")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and self._lines and self._lines[-1].state == "started":
            self._lines[-1].state = "ended"
        self._draw()

    def event(self, event: "Event") -> None:
        """A stage began, ended, was reused, waits, or has a note."""
        if event.kind == "started":
            self._lines.append(_Line(event.stage, began=time.monotonic()))
        elif event.kind in ("made", "reused"):
            self._line(event.stage).state = event.kind
            self._line(event.stage).seconds = event.seconds
        else:
            said = self._say("term_waiting") if event.kind == "waiting" else self._say.said(event.text)
            self._notes.append(f"{self._say.stage(event.stage)}: {said}")
        self._draw()

    def progress(self, progress: "Progress") -> None:
        """A stage got further."""
        if not self._lines:
            return
        line = self._lines[-1]
        line.done, line.total, line.text = progress.done, progress.total, progress.text
        if time.monotonic() - self._drawn >= EVERY_SECONDS:
            self._draw()

    def _line(self, stage: str) -> _Line:
        """The stage's own line; a reused stage never began."""
        if not self._lines or self._lines[-1].stage != stage:
            self._lines.append(_Line(stage))
        return self._lines[-1]

    def _draw(self) -> None:
        module: Any = importlib.import_module("IPython.display")  # untyped

        self._drawn = time.monotonic()
        say = self._say
        headings = [Heading(say("stage")), Heading(say("time"), number=True), Heading(say("term_progress"))]
        table = Table(say("term_stages"), headings, [self._row(line) for line in self._lines], stacked=True)
        shown = module.HTML(output(say, lines=self._notes, parts=[table]))
        if self._handle is None:
            self._handle = module.display(shown, display_id=True)
        else:
            self._handle.update(shown)

    def _row(self, line: _Line) -> list[Cell]:
        say = self._say
        marks = {"started": ("…", ""), "ended": ("✗", "broken")}
        mark, kind = marks.get(line.state, ("✓", "kept"))
        name = Cell(f"{mark} {say.stage(line.stage)}", kind=kind)
        if line.state == "reused":
            return [name, Cell("", kind="number"), Cell(say("term_reused"))]
        seconds = line.seconds if line.state == "made" else time.monotonic() - line.began
        beside = Cell("")
        if line.state in ("started", "ended") and line.total:
            beside = Cell(f"{line.done:.0f}/{line.total:.0f}", line.text, bar=(line.done, line.total))
        return [name, Cell(say.duration(seconds), kind="number"), beside]

"""What the terminal shows: progress while a run goes, and tables of what came out."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from charter.pipeline.progress import Progress as StageProgress
    from charter.release.record import Record
    from charter.release.report import Block, Language
    from charter.release.verification import Verification
    from charter.runs.gc import Cleaning
    from charter.runs.run import Event, PastRun

TONES = {"✓": "green", "✗": "red", "?": "yellow"}
STATUS_TONES = {"released": "bold green", "refused": "bold red", "draft": "bold red", "sweep": "bold yellow"}


def console(*, stderr: bool = False) -> Console:
    """A console that uses colour and width only where its stream is a terminal."""
    return Console(stderr=stderr, highlight=False, soft_wrap=not sys.stdout.isatty())


class Count(ProgressColumn):
    """How much is done, `12/74`; nothing while it is not known how much there is."""

    def render(self, task: Task) -> Text:
        """The count of one bar."""
        return Text("" if task.total is None else f"{task.completed:.0f}/{task.total:.0f}")


class RunView:
    """Shows a run as it goes: a line per stage, and a bar under the one in progress when the output is a terminal."""

    def __init__(self, language: "Language" = "en") -> None:
        from charter.release.report.wording import Wording

        self._say = Wording(language)
        self._console = console(stderr=True)
        self._bars = Progress(
            SpinnerColumn(style="cyan"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            Count(),
            TimeElapsedColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("[dim]{task.fields[text]}[/]"),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._bar: TaskID | None = None

    def __enter__(self) -> Self:
        # Read when transformers is first imported: its own bars ("Writing model shards") would tear ours apart.
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def event(self, event: "Event") -> None:
        """A stage began, ended, was reused, waits, or has a note."""
        label = escape(self._say.stage(event.stage))
        if event.kind == "started":
            self._drop_bar()
            self._bar = self._bars.add_task(label, total=None, text="")
            if not self._console.is_terminal:
                self._console.print(f"… {label}")
            return
        if event.kind in ("made", "reused"):
            self._drop_bar()
        lines = {
            "made": f"[green]✓[/] {label}  [dim]{self._say.duration(event.seconds)}[/]",
            "reused": f"[green]✓[/] {label}  [dim]{self._say('term_reused')}[/]",
            "waiting": f"[yellow]…[/] {label}: {self._say('term_waiting')}",
            "note": f"[yellow]![/] {label}: {escape(self._say.said(event.text))}",
        }
        self._console.print(lines[event.kind])

    def progress(self, progress: "StageProgress") -> None:
        """A stage got further."""
        if self._bar is not None:
            self._bars.update(
                self._bar, completed=progress.done, total=progress.total, text=escape(progress.text)
            )

    def _drop_bar(self) -> None:
        if self._bar is not None:
            self._bars.remove_task(self._bar)
            self._bar = None


@contextmanager
def bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """A bar for one long piece of work, told (done, total); nothing where standard error is no terminal."""
    screen = console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=32),
        Count(),
    )
    with Progress(
        *columns,
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=screen,
        transient=True,
        disable=not screen.is_terminal,
    ) as bars:
        task = bars.add_task(label, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


def show_verification(verification: "Verification", language: str = "en") -> None:
    """What `charter verify` found, a line each."""
    from charter.release.report.verification_sentences import verification_said

    def said(text: str) -> str:
        return escape(verification_said(text, language))

    out = console()
    for line in verification.lines:
        mark = "[green]✓[/]" if line.ok else "[red]✗[/]"
        out.print(f"{mark} {said(line.text)}")
    tone = "red" if not verification.ok else "green" if verification.signature == "valid" else "yellow"
    out.print(f"[bold {tone}]{said(verification.conclusion)}[/]")
    if verification.refused:
        warning = "REFUSED: a limit of its charter was not kept. This draft must not be used."
        out.print(f"[bold red]{said(warning)}[/]")


def show_runs(runs: "Sequence[PastRun]", store: Path) -> None:
    """The runs on record as a table."""
    out = console()
    if not runs:
        out.print(
            f"No runs in {store}. `charter run` makes one; --charter or --store look elsewhere.",
            soft_wrap=True,
        )
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("run", "charter", "began", "ended as", "stages"):
        table.add_column(heading)
    for run in runs:
        stages = run.record.get("stages", ())
        reused = sum(bool(stage.get("reused")) for stage in stages)
        table.add_row(
            escape(run.id),
            escape(run.name),
            f"{run.created[:19]}Z",
            run.status,
            f"{len(stages)} ({reused} reused)",
        )
    out.print(table)


def show_cleaning(cleaning: "Cleaning", *, dry_run: bool) -> None:
    """What `charter gc` removed or would remove."""
    verb = "Would remove" if dry_run else "Removed"
    console().print(
        f"{verb} {len(cleaning.artefacts)} artefacts, {len(cleaning.runs)} runs and {cleaning.leftovers} leftovers: "
        f"{cleaning.freed_bytes / 1e6:.1f} MB."
    )


def show_summary(
    record: "Record", *, report: Path, bundle: Path | str | None, language: "Language | None" = None
) -> None:
    """A run's verdict, limits and main scores, in the charter's language unless told otherwise."""
    from charter.release.report import summary
    from charter.release.report.wording import Wording

    say = Wording(language or record.charter.report.language)
    view = summary(record, language=say.language)
    out = console()
    mark = {"released": "✓", "sweep": "•"}.get(record.status, "✗")
    out.print()
    out.print(f"[{STATUS_TONES[record.status]}]{mark} {escape(view.title)}[/]")
    for line in view.lines:
        out.print(f"  {escape(line)}" if out.soft_wrap else Padding(escape(line), (0, 0, 0, 2)))
    out.print()
    out.print(f"[bold]{escape(view.limits.title)}[/]")
    out.print(_limits(view.limits))
    out.print()
    out.print(f"[bold]{escape(view.scores.title)}[/]")
    out.print(_scores(view.scores))
    if view.formats is not None:
        out.print()
        out.print(f"[bold]{escape(view.formats.title)}[/]")
        out.print(_scores(view.formats))
    if view.pretraining is not None:
        out.print()
        out.print(f"[bold]{escape(view.pretraining.title)}[/]")
        out.print(_lines(view.pretraining.rows))
    out.print()
    out.print(f"{say('term_report')}  {escape(str(report))}", soft_wrap=True)
    if bundle is not None:
        out.print(f"{say('term_bundle')}  {escape(str(bundle))}", soft_wrap=True)


def _limits(block: "Block") -> Table:
    """Two lines each: the outcome and the limit; what was measured and why it came out so."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for limit, outcome, measured, because in block.rows:
        said = escape("  ".join(part for part in (measured, because) if part))
        table.add_row(f"[{TONES[outcome[0]]}]{escape(outcome)}[/]", f"{escape(limit)}\n[dim]{said}[/]")
    return table


def _lines(rows: "Sequence[tuple[str, str, str]]") -> Table:
    """What, its value, and a note beside it."""
    table = Table.grid(padding=(0, 2))
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for name, value, note in rows:
        table.add_row(escape(name), f"{escape(value)}  [dim]{escape(note)}[/]" if note else escape(value))
    return table


def _scores(block: "Block") -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for place, heading in enumerate(block.headings):
        table.add_column(escape(heading), justify="left" if place == 0 else "right", no_wrap=place > 0)
    for row in block.rows:
        table.add_row(*map(escape, row))
    return table


def _second(time: str) -> str:
    """A time to its second; nothing where none is known."""
    return f"{time[:19]}Z" if time else ""

"""`charter compare`: runs beside each other, in the terminal, as a page and as JSON."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table as Grid

from charter.cli.showing import console
from charter.release.report.parts import Cell, Facts, Fold, Table, Text
from charter.release.report.wording import Wording
from charter.release.report.words import Language
from charter.runs.files import write_text

if TYPE_CHECKING:
    from charter.release.comparison import Comparison

TONES = {"kept": "green", "good": "green", "broken": "red", "none": "yellow", "code": "cyan"}
NOTED = ("number", "kept", "broken", "none")
"""Kinds of cells whose smaller line the terminal shows too."""
IN_TERMINAL = ("scores", "differences", "limits", "begins", "cost", "charters")
"""The sections that the terminal shows; classes, groups and methods stand on the page."""


def page_place(store: Path, ids: Sequence[str]) -> Path:
    """Where the page of these runs goes unless told otherwise: in the store, beside the runs."""
    name = hashlib.sha256("\n".join(ids).encode()).hexdigest()[:12]
    return store / "comparisons" / f"{name}.html"


def write_page(comparison: "Comparison", path: Path, language: Language | None) -> Path:
    """Write the comparison's page."""
    from charter.release.report.comparison import render_comparison

    write_text(path, render_comparison(comparison, language=language))
    return path


def show_comparison(comparison: "Comparison", page: Path | None, language: Language | None) -> None:
    """The conclusions, then a table for each section that the terminal shows."""
    from charter.release.report.comparison import comparison_opening, comparison_sections

    say = Wording(language or comparison.runs[0].record.charter.report.language)
    out = console()
    opening = comparison_opening(comparison, say)
    out.print(f"[bold]{escape(opening.title)}[/]")
    for cell in opening.failing:
        out.print(f"  [{TONES[cell.kind]}]{escape(cell.note)}[/]")
    for said in opening.lines:
        out.print(f"  {escape(said)}")
    for section in comparison_sections(comparison, say):
        if section.id in IN_TERMINAL:
            out.print(f"\n[bold]{escape(section.title)}[/]")
            for part in _shown(section.parts):
                out.print(part)
    if page is not None:
        out.print(f"\n{say('cmp_page')}  {escape(str(page))}", soft_wrap=True)


def _shown(parts: Iterable[object]) -> Iterable[object]:
    """The tables and what is said beside them; drawings and what explains the page are left out."""
    for part in parts:
        if isinstance(part, Table):
            yield from ([f"[dim]{escape(part.title)}[/]"] if part.title else [])
            yield grid_of(part)
        elif isinstance(part, Text) and part.soft:
            yield escape(part.text)
        elif isinstance(part, Facts | Fold):
            continue


def grid_of(table: Table) -> Grid:
    """A part as a table of the terminal. The last column of the differences, how they were made, stands on the page."""
    wide = len(table.headings) - (1 if any(row[-1].note and not row[-1].text for row in table.rows) else 0)
    grid = Grid(box=None, pad_edge=False, header_style="dim")
    for heading in table.headings[:wide]:
        grid.add_column(escape(heading.text), justify="right" if heading.number else "left", overflow="fold")
    for row in table.rows:
        grid.add_row(*(_cell(cell) for cell in row[:wide]))
    return grid


def _cell(cell: Cell) -> str:
    tone = TONES.get(cell.kind, "")
    text = f"[{tone}]{escape(cell.text)}[/]" if tone else escape(cell.text)
    note = f" [dim]{escape(cell.note)}[/]" if cell.note and cell.kind in NOTED else ""
    return text + note

"""Sections of the page as lines of the card, in Markdown."""

from collections.abc import Iterable, Iterator

from charter.release.report.parts import Cell, Facts, Section, Table, Text


def section_lines(sections: Iterable[Section]) -> Iterator[str]:
    """Titles, texts, tables and facts; drawings are left to the page."""
    for section in sections:
        yield from (f"## {section.title}", "")
        for part in section.parts:
            if isinstance(part, Text):
                yield from (part.text, "")
            if isinstance(part, Table):
                yield "| " + " | ".join(_plain(one.text) for one in part.headings) + " |"
                yield "|" + "---|" * len(part.headings)
                for row in part.rows:
                    yield "| " + " | ".join(_cell(cell) for cell in row) + " |"
                yield ""
            if isinstance(part, Facts):
                yield from (f"- {term}: {_cell(cell)}" for term, cell in part.items)
                yield ""


def _cell(cell: Cell) -> str:
    return _plain(f"{cell.text} ({cell.note})" if cell.note else cell.text)


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("<", "&lt;").replace("|", "\\|")

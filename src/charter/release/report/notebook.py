"""What a notebook shows of results: small HTML that takes the notebook's own colours, in light and dark. No script, no request."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from charter.release.judge import Verdict
from charter.release.record import Record
from charter.release.report.origin import learning_section
from charter.release.report.parts import Cell, Figure, Heading, Pair, Section, Table
from charter.release.report.performance import finding_table, performance_sections, value_cell
from charter.release.report.view import first_lines, limits_table
from charter.release.report.view import title as title_of
from charter.release.report.wording import Wording
from charter.release.report.words import Language
from charter.release.selection import main_scores
from charter.runs.findings import Finding

if TYPE_CHECKING:
    from charter.release.comparison import Comparison

MOST_FINDINGS = 60


def output(
    say: Wording,
    *,
    title: str = "",
    mark: str = "",
    tone: str = "",
    lines: Sequence[str] = (),
    parts: Sequence[object] = (),
    paths: Sequence[tuple[str, str]] = (),
) -> str:
    """One output cell. mark: a sign before the title, in the colour of tone (good, bad, unsure); paths: labelled files."""
    from charter.release.report.page import fragment

    values = {"title": title, "mark": mark, "tone": tone, "lines": lines, "parts": parts, "paths": paths}
    return fragment("notebook.html", say=say, **values)


def record_html(record: Record, *, paths: Sequence[tuple[str, str]] = ()) -> str:
    """A judged run: the verdict, what must be known at once, the limits, the scores. paths: words' keys and files."""
    say = Wording(record.charter.report.language)
    released = record.status == "released"
    return output(
        say,
        title=title_of(record, say),
        mark="✓" if released else "✗",
        tone="good" if released else "bad",
        lines=first_lines(record, say),
        parts=[limits_table(record.verdicts, say), _scores(record, say)],
        paths=[(say(key), path) for key, path in paths],
    )


def verdicts_html(verdicts: Sequence[Verdict], language: Language) -> str:
    """Every limit, how it came out, and why."""
    say = Wording(language)
    return output(say, parts=[limits_table(verdicts, say)])


def findings_html(findings: Sequence[Finding], language: Language) -> str:
    """Findings as a table; of many the first ones, and how many there are."""
    say = Wording(language)
    caption = say("findings", count=len(findings))
    more = [say("and_more", count=len(findings) - MOST_FINDINGS)] if len(findings) > MOST_FINDINGS else []
    return output(say, lines=more, parts=[finding_table(findings[:MOST_FINDINGS], say, caption)])


def comparison_html(comparison: "Comparison") -> str:
    """A comparison: the conclusions, the scores, the differences, the cost."""
    from charter.release.report.comparison import comparison_opening, comparison_sections

    say = Wording(comparison.runs[0].record.charter.report.language)
    opening = comparison_opening(comparison, say)
    shown = [section for section in comparison_sections(comparison, say) if section.id != "methods"]
    parts = [one for section in shown for one in section.parts if isinstance(one, Table | Figure)]
    return output(
        say,
        title=opening.title,
        lines=[*(cell.note for cell in opening.failing), *opening.lines],
        parts=parts,
    )


def figures(record: Record, say: Wording) -> dict[str, Figure]:
    """The report's plots by name: the section they stand in, with a number where it has several."""
    found: dict[str, Figure] = {}
    for section in [*performance_sections(record, say), learning_section(record, say)]:
        for figure in _figures(section):
            names = [name for name in found if name == section.id or name.startswith(f"{section.id}_")]
            found[section.id if not names else f"{section.id}_{len(names) + 1}"] = figure
    return found


def _figures(part: object) -> list[Figure]:
    if isinstance(part, Figure):
        return [part]
    if isinstance(part, Pair):
        return [*_figures(part.first), *_figures(part.second)]
    return [figure for one in part.parts for figure in _figures(one)] if isinstance(part, Section) else []


def _scores(record: Record, say: Wording) -> Table:
    headings = [Heading(say("metric")), Heading(say("value"), number=True)]
    rows = [[Cell(say.metric(one.metric)), value_cell(one, say)] for one in main_scores(record)]
    return Table(say("term_scores"), headings, rows)

"""A sweep as sections: its curves and its table, then the comparison of its runs. Pure."""

import math
from collections.abc import Iterator
from dataclasses import replace

from charter.audits.gaps import Gap
from charter.audits.pairing import Difference
from charter.release.report.comparison import comparison_opening, comparison_sections
from charter.release.report.page import written
from charter.release.report.parts import Cell, Facts, Figure, Heading, Pair, Section, Table, Text
from charter.release.report.performance import value_cell
from charter.release.report.sweep_plot import Drawn, course, scale_of
from charter.release.report.view import Opening
from charter.release.report.when import when
from charter.release.report.wording import Wording, number
from charter.release.report.words import Language
from charter.release.sweep import Point, Swept
from charter.spec.sweep import EPSILON


def render_sweep(swept: Swept, *, language: Language | None = None) -> str:
    """The page as HTML, in the charter's language unless told otherwise; as the report, it asks nothing of any server."""
    say = Wording(language or swept.comparison.runs[0].record.charter.report.language)
    created = max(run.record.created for run in swept.comparison.runs)
    return written(
        "comparison.html",
        say=say,
        opening=sweep_opening(swept, say),
        sections=[*sweep_sections(swept, say), *comparison_sections(swept.comparison, say)],
        created=when(created),
    )


def sweep_opening(swept: Swept, say: Wording) -> Opening:
    """The first screen: what was swept, what is shown, what it was charged."""
    told = comparison_opening(swept.comparison, say)
    charters = [run.record.charter for run in swept.comparison.runs]
    charged = [one for one in charters if one.privacy is not None and not one.data.public]
    lines = [*told.lines, *_one_answers(swept, say)]
    if charged:
        lines.append(say("sweep_charged", data=charged[0].data_id))
    elif any(one.privacy is not None for one in charters):
        lines.append(say("sweep_public"))
    return replace(
        told,
        badge=say("sweep_badge"),
        title=say("sweep_title", name=swept.name, swept=swept.key, count=len(swept.points)),
        why=say("sweep_why", first=swept.comparison.runs[0].label, metric=say.metric(swept.headline)),
        lines=tuple(lines),
    )


def _one_answers(swept: Swept, say: Wording) -> Iterator[str]:
    """At which values the model tells no rows apart: its score is then one of the classes' sizes, not of anything learned."""
    told = [one for one in swept.points if swept.one_answer(one) is not None]
    if not told:
        return
    comma, opened, closed = ("、", "（", "）") if say.language == "zh" else (", ", " (", ")")
    named = (
        f"{swept.comparison.runs[one.place].label}{opened}{swept.one_answer(one)}{closed}" for one in told
    )
    key = "sweep_one_answer_all" if len(told) == len(swept.points) else "sweep_one_answer"
    said = say(key, points=comma.join(named))
    yield said + (say("sweep_one_answer_gap") if swept.groups else "")


def sweep_sections(swept: Swept, say: Wording) -> list[Section]:
    """What a sweep has beyond the comparison of its runs."""
    points = Section(
        "sweep", say("sweep_points", swept=swept.key), [*_figures(swept, say), points_table(swept, say)]
    )
    return [points, *_groups(swept, say), _how(swept, say)]


def points_table(swept: Swept, say: Wording) -> Table:
    """A row for each value."""
    private = any(swept.noise(one) is not None for one in swept.points)
    headings = [Heading(swept.key.rpartition(".")[2], own=True, again=True)]
    headings += [Heading(say("sweep_noise"), number=True)] if private else []
    headings.append(Heading(say.metric(swept.headline), number=True))
    headings += [Heading(say("sweep_gap", column=column), number=True) for column in swept.groups]
    headings += [Heading(say("sweep_seconds"), number=True), Heading(say("sweep_limits"), again=True)]
    rows = []
    for point in swept.points:
        noise, seconds = swept.noise(point), swept.seconds(point)
        cells = [_named(swept, point, say)]
        if private:
            cells.append(Cell(say("dash") if noise is None else f"{noise:.3g}", kind="number"))
        cells.append(value_cell(swept.score(point), say))
        cells += [gap_cell(one, say) for one in point.gaps]
        cells.append(Cell(say("dash") if seconds is None else say.duration(seconds), kind="number"))
        rows.append([*cells, _limits(swept, point, say)])
    return Table(say("sweep_points", swept=swept.key), headings, rows, stacked=True)


def gap_cell(gap: Gap, say: Wording) -> Cell:
    """A gap, its interval, and whose scores it lies between."""
    if gap.value is None:
        return Cell(say("dash"), say("sweep_no_gap", because=say.said(gap.because)), "none")
    ends = ""
    if gap.low is not None and gap.high is not None:
        ends = f"{number(gap.low)}–{number(gap.high)}"
    elif gap.because:
        ends = say("sweep_no_interval", because=say.said(gap.because))
    whose = say("sweep_gap_of", largest=gap.largest, smallest=gap.smallest)
    return Cell(number(gap.value), " · ".join(part for part in (ends, whose) if part), "number")


def _named(swept: Swept, point: Point, say: Wording) -> Cell:
    without = point.number is not None and math.isinf(point.number)
    notes = [say("sweep_no_privacy")] if without else []
    answer = swept.one_answer(point)
    notes += [] if answer is None else [say("sweep_answers_one", answer=answer)]
    return Cell(point.said, " · ".join(notes), "own")


def _limits(swept: Swept, point: Point, say: Wording) -> Cell:
    kept, limits = swept.kept(point)
    if not limits:
        return Cell(say("sweep_no_limits"), kind="none")
    return Cell(say("sweep_kept", kept=kept, all=limits), kind="kept" if kept == limits else "broken")


def _figures(swept: Swept, say: Wording) -> Iterator[Figure | Pair]:
    metric = say.metric(swept.headline)
    scores = {one.said: swept.score(one) for one in swept.points}
    drawn = [
        Drawn(one.said, one.number, *((None,) * 3 if found is None else (found.value, found.low, found.high)))
        for one in swept.points
        for found in (scores[one.said],)
    ]
    figures = [_figure(swept, drawn, say("sweep_score_plot", metric=metric, swept=swept.key), say)]
    for place, column in enumerate(swept.groups):
        gaps = [
            Drawn(one.said, one.number, one.gaps[place].value, one.gaps[place].low, one.gaps[place].high)
            for one in swept.points
        ]
        if any(one.value is not None for one in gaps):
            caption = say("sweep_gap_plot", metric=metric, column=column)
            figures.append(_figure(swept, gaps, caption, say, from_zero=True))
    if len(figures) == 2:
        yield Pair(*figures)
    else:
        yield from figures


def _figure(
    swept: Swept, drawn: list[Drawn], caption: str, say: Wording, *, from_zero: bool = False
) -> Figure:
    scale = scale_of([one.number for one in swept.points], epsilon=swept.key == EPSILON)
    opened, closed = ("（", "）") if say.language == "zh" else (" (", ")")
    name = swept.key + (f"{opened}{say('sweep_plot_log')}{closed}" if scale == "logarithmic" else "")
    drawing = course(caption, drawn, scale, name, say("sweep_no_privacy"), from_zero=from_zero)
    return Figure(drawing, caption)


def _groups(swept: Swept, say: Wording) -> Iterator[Section]:
    """For each group column: each group's score at each value, and what it gains or loses against the first run."""
    metric, first = say.metric(swept.headline), swept.comparison.runs[0].label
    headings = [
        Heading(say("sweep_group")),
        *(Heading(swept.comparison.runs[one.place].label, own=True, number=True) for one in swept.points),
    ]
    for place, (column, groups) in enumerate(swept.groups.items()):
        parts: list[object] = []
        if groups:
            rows = [
                [
                    _group(group, say),
                    *(value_cell(swept.of_group(one, column, group), say) for one in swept.points),
                ]
                for group in groups
            ]
            lead = say("sweep_groups_lead", metric=metric)
            parts += [Text(lead), Table(say("sweep_groups", column=column), headings, rows)]
        others = [one for one in swept.points if (one.losses or {}).get(column)]
        if others:
            parts += [
                Text(say("sweep_losses_lead", first=first)),
                _losses(swept, column, others, say("sweep_losses", metric=metric, first=first), say),
            ]
        if swept.left_out[column]:
            named = ("、" if say.language == "zh" else ", ").join(swept.left_out[column])
            parts.append(Text(say("sweep_left_out", groups=named), soft=True))
        if parts:
            yield Section(f"groups-{place + 1}", say("sweep_groups", column=column), parts)


def _losses(swept: Swept, column: str, points: list[Point], title: str, say: Wording) -> Table:
    headings = [Heading(say("sweep_group"))]
    headings += [Heading(swept.comparison.runs[one.place].label, own=True, number=True) for one in points]
    rows = [
        [_group(group, say), *(_difference((one.losses or {})[column].get(group), say) for one in points)]
        for group in swept.groups[column]
    ]
    return Table(title, headings, rows, title=title)


def _group(group: str, say: Wording) -> Cell:
    return Cell(say.value("", group), kind="own")


def _difference(found: Difference | None, say: Wording) -> Cell:
    if found is None:
        return Cell(say("dash"), kind="number")
    ends = ""
    if found.low is not None and found.high is not None:
        ends = f"{number(found.low, signed=True)} … {number(found.high, signed=True)}"
    return Cell(number(found.value, signed=True), ends, "number")


def _how(swept: Swept, say: Wording) -> Section:
    method = next((one.method for point in swept.points for one in point.gaps if one.method), "")
    items = []
    if method:
        items.append((say("sweep_gap_term"), Cell(say("sweep_gap_said"), say.said(method))))
    if swept.key == EPSILON:
        items.append((say("sweep_epsilon_term"), Cell(say("sweep_epsilon_said"))))
    items.append((say("sweep_drafts_term"), Cell(say("sweep_drafts_said"))))
    return Section("reading", say("sweep_how"), [Facts(items)])

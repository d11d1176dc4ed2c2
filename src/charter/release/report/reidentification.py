"""The section on how easily people could be told in the training rows: classes, diversity, closeness. Pure."""

from collections.abc import Iterator

from charter.release.record import Record
from charter.release.report.parts import Cell, Heading, Section, Table, Text
from charter.release.report.wording import Wording, number
from charter.release.selection import findings_of
from charter.runs.findings import Finding

AREA = "reidentification"


def reidentification_sections(record: Record, say: Wording) -> Iterator[Section]:
    """The figures, and how many classes there are of which size; nothing where the audit did not run."""
    found = [one for one in findings_of(record) if one.area == AREA]
    if not found:
        return
    options = next((use.options for use in record.charter.audits if use.use == AREA), {})
    comma = "、" if say.language == "zh" else ", "
    columns = comma.join(map(str, options.get("quasi_identifiers", ())))
    headings = [Heading(say("metric")), Heading(say("value"), number=True), Heading(say("method"))]
    rows = [
        [
            Cell(say.metric(one.metric), kind="metric", link=one.metric),
            Cell(_value(one, say), kind="number"),
            Cell(say.said(one.method or one.because)),
        ]
        for one in found
    ]
    parts: list[object] = [
        Text(say("reidentification_lead", columns=columns)),
        Table(say("reidentification_caption"), headings, rows),
    ]
    sizes = next((one.attachment["rows"] for one in found if one.attachment), None)
    if sizes:
        headings = [
            Heading(say(name), number=name != "class_of") for name in ("class_of", "classes_number", "rows")
        ]
        counted = [
            [
                Cell(_range(one["from"], one["to"], say)),
                *(Cell(say.count(one[key]), kind="number") for key in ("classes", "rows")),
            ]
            for one in sizes
        ]
        parts.append(
            Table(
                say("class_sizes_caption"), headings, counted, narrow=True, title=say("class_sizes_caption")
            )
        )
    yield Section(AREA, say("reidentification"), parts)


def _value(one: Finding, say: Wording) -> str:
    if one.value is None:
        return say.missing(one)
    return say.count(one.value) if one.unit and one.value == int(one.value) else number(one.value)


def _range(low: int, high: int, say: Wording) -> str:
    if not high:
        return say("size_and_more", low=low)
    return str(low) if low == high else f"{low}–{high}"

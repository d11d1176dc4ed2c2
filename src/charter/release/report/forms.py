"""The section on the released formats, side by side. Pure; also for the terminal."""

from collections.abc import Mapping, Sequence

from charter.release.judge import EXPORT, Verdict
from charter.release.record import Record
from charter.release.report.parts import Cell, Heading, Section, Table, Text
from charter.release.report.wording import Wording, interval, number
from charter.release.selection import first, foremost
from charter.runs.findings import Finding

ALWAYS = ("format_agreement", "latency", "size")
BESIDE = "expected_calibration_error"


def forms(record: Record) -> Mapping[str, str]:
    """The released formats and their digests, the default one first."""
    return {name: str(one["digest"]) for name, one in (record.provenance.get("exports") or {}).items()}


def forms_section(record: Record, say: Wording) -> list[Section]:
    """The formats in a table; nothing where there is only one."""
    table = forms_table(record, say)
    if table is None:
        return []
    parts = [Text(say("formats_lead")), table, *_not_compared(record, say)]
    return [Section("formats", say("formats"), parts)]


def _not_compared(record: Record, say: Wording) -> list[Text]:
    """Why nothing is said of how alike the formats answer, where that is so."""
    told = [one for one in record.findings if one.area == EXPORT and one.metric == "format_agreement"]
    reasons = dict.fromkeys(one.because for one in told if one.value is None)
    return [Text(f"{say.metric('format_agreement')}: {say.said(one)}", soft=True) for one in reasons]


def forms_table(record: Record, say: Wording, *, short: bool = False) -> Table | None:
    """A row for each format: score, calibration (unless short), agreement, time, size, and whether it keeps the limits."""
    known = forms(record)
    if len(known) < 2:
        return None
    metrics = [one for one in _metrics(record) if not (short and one == BESIDE)]
    headings = [
        Heading(say("format"), again=True),
        *(Heading(say.metric(one), number=True) for one in metrics),
    ]
    headings.append(Heading(say("limits")))
    rows = []
    for name, digest in known.items():
        own = [one for one in record.findings if one.of == digest and not one.slice]
        cells = [_cell(next((one for one in own if one.metric == metric), None), say) for metric in metrics]
        verdicts = [one for one in record.verdicts if one.form == name]
        rows.append([Cell(name, kind="code"), *cells, _outcome(verdicts, say)])
    return Table(say("formats_caption"), headings, rows, stacked=True)


def _metrics(record: Record) -> list[str]:
    calibrated = first(record.findings, "calibration", BESIDE) is not None
    return [foremost(record), *([BESIDE] if calibrated else []), *ALWAYS]


def _cell(one: Finding | None, say: Wording) -> Cell:
    if one is None or one.value is None:
        return Cell(say("dash"), kind="number")
    if one.area != EXPORT:
        return Cell(number(one.value), interval(one), "number")
    if one.metric == "format_agreement":
        return Cell(number(one.value), interval(one) if one.confidence else "", "number")
    ends = ""
    if one.confidence and one.low is not None and one.high is not None:
        ends = f"{one.low:.3g}–{one.high:.3g}"
    return Cell(f"{one.value:.3g} {one.unit}", ends, "number")


def _outcome(verdicts: Sequence[Verdict], say: Wording) -> Cell:
    bad = [one for one in verdicts if one.outcome != "kept"]
    if not bad:
        return Cell(f"✓ {say('kept')}", kind="kept")
    broken = any(one.outcome == "broken" for one in bad)
    kept = say("fact_of", kept=len(verdicts) - len(bad), all=len(verdicts))
    return Cell(f"{'✗' if broken else '?'} {kept}", kind="broken" if broken else "none")

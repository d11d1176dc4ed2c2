"""The section on how groups are treated: what each is given and how often wrongly, and how far they lie apart. Pure."""

from collections.abc import Iterator, Sequence
from typing import Any

from charter.release.record import Record
from charter.release.report import plots
from charter.release.report.parts import Cell, Figure, Fold, Heading, Section, Table, Text
from charter.release.report.performance import value_cell
from charter.release.report.wording import Wording, confidence, number
from charter.release.selection import findings_of, first
from charter.runs.findings import Finding
from charter.spec.fairness import ACROSS, CONTRASTS, GROUP_RATES, IN_EACH, REFERENCE

AREA = "fairness"
MOST_GROUPS = 25
"""With more groups than this only as many are drawn, and the table is folded away."""
DRAWN = "selection_rate"
FOUR_FIFTHS = 0.8


def fairness_sections(record: Record, say: Wording) -> Iterator[Section]:
    """The section, where the audit was asked for."""
    found = [one for one in findings_of(record) if one.area == AREA]
    if not found:
        return
    parts: list[Any] = [Text(say("fairness_lead"))]
    for across in dict.fromkeys(one.slice[ACROSS] for one in found if ACROSS in one.slice):
        parts += _apart([one for one in found if one.slice.get(ACROSS) == across], across, say)
        parts += _each(found, tuple(across.split(" & ")), say)
    parts += _contrasts(found, say)
    whole = next((one for one in found if ACROSS in one.slice and one.value is not None), None)
    if whole is not None:
        parts.append(Text(say("fairness_read", confidence=confidence(whole)), soft=True))
    parts.append(Text(say("fairness_no_proof"), soft=True))
    yield Section("fairness", say("fairness"), parts)


def _apart(found: Sequence[Finding], across: str, say: Wording) -> Iterator[Any]:
    """How far the groups of one column, or of several together, lie apart by each criterion."""
    told = [one for one in found if not one.metric.endswith("_ratio")]
    ratios = {one.metric.removesuffix("_ratio"): one for one in found if one.metric.endswith("_ratio")}
    headings = [Heading(say("criterion")), Heading(say("difference"), number=True)]
    headings += [
        Heading(say("smallest_ratio"), number=True),
        Heading(say("between")),
        Heading(say("by_chance"), number=True),
    ]
    rows = [
        [
            Cell(say.metric(one.metric), link=one.metric, kind="metric"),
            value_cell(one, say),
            value_cell(ratios.get(one.metric.removesuffix("_difference")), say),
            _between(one, say),
            _chance(one, say),
        ]
        for one in told
    ]
    yield Table(
        say("apart_caption", across=across), headings, rows, stacked=True, title=say("apart", across=across)
    )
    whole = next((one for one in told if one.value is not None), None)
    if whole is not None:
        yield Text(say("method_of", method=say.said(whole.method)), soft=True)
    parity = ratios.get("demographic_parity")
    if parity is not None and parity.value is not None and parity.attachment is not None:
        key = "four_fifths_below" if parity.value < FOUR_FIFTHS else "four_fifths_kept"
        low, high = parity.attachment["low"], parity.attachment["high"]
        yield Text(say(key, ratio=number(parity.value), low=low, high=high, label=parity.attachment["class"]))
    left_out = (whole.attachment or {}).get("left_out", []) if whole is not None else []
    if left_out:
        listed = ("、" if say.language == "zh" else ", ").join(left_out)
        yield Text(say("groups_left_out", groups=listed), soft=True)


def _between(one: Finding, say: Wording) -> Cell:
    shown = one.attachment or {}
    if one.value is None:
        return Cell(say.said(one.because))
    if "high" not in shown:
        return Cell(str(shown.get("low", "")), kind="own")
    note = say.metric(shown["rate"]) if shown.get("rate") else ""
    label = shown.get("class")
    return Cell(
        f"{shown['high']} > {shown['low']}", f"{note}{say('of_class', label=label)}" if label else note, "own"
    )


def _chance(one: Finding, say: Wording) -> Cell:
    shown = one.attachment or {}
    if one.value is None or "p" not in shown:
        return Cell(say("dash"), kind="number")
    return Cell(_p(float(shown["p_adjusted"])), say("uncorrected", p=_p(float(shown["p"]))), "number")


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _each(found: Sequence[Finding], columns: tuple[str, ...], say: Wording) -> Iterator[Any]:
    """The rates of each group, of each class a table."""
    own = [one for one in found if set(one.slice) - {"class"} == set(columns) and REFERENCE not in one.slice]
    labels = list(dict.fromkeys(one.slice["class"] for one in own if "class" in one.slice))
    groups = list(dict.fromkeys(tuple(one.slice[name] for name in columns) for one in own))
    beside = [name for name in (*IN_EACH, "accuracy") if any(one.metric == name for one in own)]
    for label in labels or [""]:
        where = {"class": label} if label else {}
        metrics = [*(GROUP_RATES if label else ()), *([] if label else beside)]
        if len(labels) == 1:
            metrics += beside
        rows = []
        for group in groups:
            place = dict(zip(columns, group, strict=True))
            cells = [
                first(own, AREA, name, **(place if name in (*IN_EACH, "accuracy") else {**where, **place}))
                for name in metrics
            ]
            count = next((one.n for one in cells if one is not None and one.n is not None), 0)
            named = " & ".join(say.value(name, value) for name, value in place.items())
            rows.append(
                [
                    Cell(named, kind="own"),
                    Cell(say.count(count), kind="number"),
                    *(value_cell(one, say) for one in cells),
                ]
            )
        headings = [Heading(" & ".join(columns), own=True), Heading(say("rows"), number=True)]
        headings += [Heading(say.metric(name), number=True) for name in metrics]
        caption = say("rates_of_class", label=label) if label else say("rates_of_groups")
        table = Table(caption, headings, rows, stacked=True, title=caption)
        if not metrics:
            continue
        if len(columns) == 1 and label:
            yield from _drawn(own, columns[0], label, say)
        fold = len(columns) > 1 or len(labels) > 2 or len(groups) > MOST_GROUPS
        yield Fold(f"{caption} · {' & '.join(columns)}", [table]) if fold else table


def _drawn(own: Sequence[Finding], column: str, label: str, say: Wording) -> Iterator[Figure]:
    told = [one for one in own if one.metric == DRAWN and one.slice.get("class") == label]
    told.sort(key=lambda one: (one.value is None, -(one.value or 0.0)))
    if sum(one.value is not None for one in told) > 1:
        caption = say("selection_drawn", label=label, column=column)
        yield Figure(plots.forest(caption, column, told[:MOST_GROUPS], None, say("too_few")), caption)


def _contrasts(found: Sequence[Finding], say: Wording) -> Iterator[Any]:
    told = [one for one in found if one.metric in CONTRASTS]
    if not told:
        return
    headings = [Heading(say("group")), Heading(say("metric")), Heading(say("difference"), number=True)]
    headings.append(Heading(say("by_chance"), number=True))
    rows = []
    for one in told:
        place = {name: value for name, value in one.slice.items() if name not in ("class", REFERENCE)}
        (named,) = place.values()
        held = say("held_against", group=named, reference=one.slice[REFERENCE])
        metric = say.metric(one.metric.removesuffix("_contrast"))
        rows.append(
            [
                Cell(held, kind="own"),
                Cell(f"{metric}{say('of_class', label=one.slice['class'])}"),
                value_cell(one, say),
                _chance(one, say),
            ]
        )
    yield Table(say("contrasts_caption"), headings, rows, stacked=True, title=say("contrasts"))

"""The section on what the model gives away of its training rows: membership, the claimed epsilon, what it knows by heart. Pure."""

from collections.abc import Iterator, Sequence
from typing import Any

from charter.release.judge import PRIVACY_AUDIT
from charter.release.record import Record
from charter.release.report import plots
from charter.release.report.parts import Cell, Facts, Figure, Heading, Section, Table, Text
from charter.release.report.wording import Wording, confidence, interval, number
from charter.release.selection import findings_of, first
from charter.runs.findings import Finding
from charter.spec.metrics import AUC, EXPOSURE, EXTRACTED, LOWER_BOUND, RATES, VERBATIM

MEMBERSHIP = (*RATES.values(), AUC)
CONTROL = "blind"


def claims_sections(record: Record, say: Wording) -> Iterator[Section]:
    """The section, where an audit of the claim was asked for."""
    found = [one for one in findings_of(record) if one.area == PRIVACY_AUDIT]
    if not found:
        return
    parts: list[Any] = [Text(say("claims_lead"))]
    parts += [*_membership(found, say), *_bound(record, found, say), *_extraction(found, say)]
    parts.append(Text(say("claims_no_proof"), soft=True))
    yield Section("claims", say("claims"), parts)


def _membership(found: Sequence[Finding], say: Wording) -> Iterator[Any]:
    told = [one for one in found if one.metric in MEMBERSHIP]
    if not told:
        return
    names = list(dict.fromkeys(one.slice["attack"] for one in told if "attack" in one.slice))
    names.sort(key=lambda name: name == CONTROL)
    headings = [Heading(say("attack"), again=True)] + [
        Heading(say.metric(one), number=True) for one in MEMBERSHIP
    ]
    rows = []
    for name in ("", *names):
        where = {"attack": name} if name else {}
        cells = [_value(first(found, PRIVACY_AUDIT, metric, **where), say) for metric in MEMBERSHIP]
        rows.append([Cell(say.value("attack", name) if name else say("attack_strongest")), *cells])
    yield Table(say("membership_caption"), headings, rows, stacked=True, title=say("membership"))
    area = first(found, PRIVACY_AUDIT, AUC)
    missing = [one for one in told if one.value is None and not one.slice]
    if area is not None and area.value is not None:
        yield Text(say("method_of", method=say.said(area.method)), soft=True)
        rate = next(iter(one for one in told if one.confidence), area)
        yield Text(say("membership_read", confidence=confidence(rate)), soft=True)
    colon = "：" if say.language == "zh" else ": "
    for one in missing:
        yield Text(f"{say.metric(one.metric)}{colon}{say.said(one.because)}", soft=True)
    if area is not None and area.attachment is not None:
        curves = {say.value("attack", name): one for name, one in area.attachment["attacks"].items()}
        drawn = plots.roc(say("roc"), curves, area.attachment["others"], say("roc_false"), say("roc_true"))
        yield Figure(drawn, say("roc_caption"))


def _bound(record: Record, found: Sequence[Finding], say: Wording) -> Iterator[Any]:
    one = first(found, PRIVACY_AUDIT, LOWER_BOUND)
    if one is None:
        return
    if one.value is None or one.attachment is None:
        yield Facts(((say.metric(LOWER_BOUND), Cell(say.missing(one), say.said(one.because))),), say("bound"))
        return
    claim = record.charter.privacy
    refuted = claim is not None and one.value > claim.epsilon
    key = "bound_none" if claim is None else "bound_refuted" if refuted else "bound_kept"
    values = {"epsilon": number(one.value), "confidence": confidence(one)}
    claimed = "" if claim is None else f"{claim.epsilon:g}"
    largest = number(float(one.attachment["largest"]))
    items = [
        (say.metric(LOWER_BOUND), Cell(say("bound_said", **values), say.said(one.method))),
        (say("bound_claim"), Cell(say(key, claimed=claimed), kind="broken" if refuted else "")),
        (say("bound_largest"), Cell(largest, say("bound_largest_note", count=say.count(one.n or 0)))),
    ]
    yield Facts(items, say("bound"))


def _extraction(found: Sequence[Finding], say: Wording) -> Iterator[Any]:
    exposed = [one for one in found if one.metric == EXPOSURE and "repeated" in one.slice]
    if exposed:
        headings = [Heading(say("repeated_times"), number=True), Heading(say("canaries"), number=True)]
        headings += [Heading(say.metric(one), number=True) for one in (EXPOSURE, EXTRACTED)]
        rows = [
            [
                Cell(one.slice["repeated"], kind="number"),
                Cell(say.count(one.n or 0), kind="number"),
                _value(one, say),
                _value(first(found, PRIVACY_AUDIT, EXTRACTED, **one.slice), say),
            ]
            for one in exposed
        ]
        yield Table(say("exposure_caption"), headings, rows, narrow=True, title=say("exposure"))
        yield Text(say("method_of", method=say.said(exposed[0].method)), soft=True)
    own, new = first(found, PRIVACY_AUDIT, VERBATIM), first(found, PRIVACY_AUDIT, VERBATIM, split="test")
    if own is not None:
        told = [(say("verbatim_train"), _value(own, say, said=True))]
        told += [(say("verbatim_test"), _value(new, say, said=True))] if new is not None else []
        yield Facts(told, say.metric(VERBATIM))


def _value(one: Finding | None, say: Wording, *, said: bool = False) -> Cell:
    """said: with how it was measured below it."""
    if one is None:
        return Cell(say("dash"), kind="number")
    if one.value is None:
        return Cell(say.missing(one), say.said(one.because) if said else "", kind="" if said else "number")
    if not said:
        return Cell(number(one.value), interval(one), "number")
    return Cell(f"{number(one.value)} ({interval(one)})", say.said(one.method))

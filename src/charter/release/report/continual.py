"""The section on continual learning: what was kept of the tasks before, how, and what this bundle leaves to later models. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from charter.release.record import Record
from charter.release.report.parts import Cell, Facts, Heading, Section, Table, Text
from charter.release.report.wording import Wording, interval, number
from charter.release.selection import findings_of, first, headline
from charter.runs.findings import Finding
from charter.spec.metrics import CONTINUAL, EARLIER_TASK

AREA = "continual"
LEARNED, PRETRAINED = "learned from by an earlier model", "pre-trained on by an earlier model"
"""The kinds of leakage that come from earlier models' data, as `pipeline.overlaps` writes them."""

LEAKS = {
    "similar text": "leaked_similar",
    "same subject": "leaked_subject",
    "text inside of a longer one": "leaked_inside",
    LEARNED: "known_given",
    PRETRAINED: "known_texts",
}
"""Every kind of leakage that a test row may be of, and the first line that says so."""


def continual_sections(record: Record, say: Wording) -> Iterator[Section]:
    """The section, where the model goes on from an earlier one, or leaves something to later ones."""
    found = [one for one in findings_of(record) if one.area == AREA]
    left = left_of(record)
    if not found and not left and not begins(record):
        return
    parts: list[Any] = [Facts([*_facts(record, found, say), *_left(left, say)])]
    judged = record.charter.continual is not None
    if found and judged:
        parts = [
            Text(say("continual_lead", metric=say.metric(headline(record)))),
            *_tasks(found, say),
            *parts,
        ]
    title = "continual_left" if left and not found else "continual" if judged else "continual_known"
    yield Section("continual", say(title), parts)


def doubts_of(record: Record, say: Wording) -> Iterator[str]:
    """What keeps it from being certain that the test rows were not learned from, a sentence each."""
    found = findings_of(record)
    for metric, key in (("rows_known", "known_untold"), ("texts_known", "known_texts_untold")):
        one = first(found, AREA, metric)
        if one is not None and one.value is None:
            yield say(key, because=say.said(one.because))
    for kind, key in LEAKS.items():
        one = first(found, "data", "leakage", kind=kind, split="test")
        if one is not None and one.value:
            yield say(key, count=say.count(one.value), all=say.count(one.n or 0))
    if begins(record) and not left_of(record):
        yield say("continual_first")
    if (record.provenance.get("teacher") or {}).get("may_have_read_test_rows"):
        yield say("known_teacher")


def begins(record: Record) -> bool:
    """Whether the charter has the section `continual` and the model nothing to go on from: the first of a chain, or a mistake."""
    return record.charter.continual is not None and not record.provenance.get("ancestors")


def left_of(record: Record) -> Mapping[str, Any]:
    """What the bundle carries for the models after it."""
    told: Mapping[str, Any] = record.provenance.get("left", {})
    return told


def _tasks(found: Sequence[Finding], say: Wording) -> Iterator[Table]:
    """The earlier tasks, a row each, and their means."""
    names = list(dict.fromkeys(one.slice[EARLIER_TASK] for one in found if EARLIER_TASK in one.slice))
    columns = ("score_then", "score_now", "backward_transfer", "forgetting")
    headings = [Heading(say("continual_task"), again=True), Heading(say("rows"), number=True)]
    headings += [Heading(say.metric(name), number=True) for name in columns]
    rows = []
    for name in (*names, *([""] if len(names) != 1 else [])):  # the mean of one says the same again
        where = {EARLIER_TASK: name} if name else {}
        told = {metric: first(found, AREA, metric, **where) for metric in columns}
        lost = told["forgetting"]
        if lost is None:
            continue
        title = Cell(name, kind="own") if name else Cell(say("continual_mean"))
        rows.append([title, Cell(say.count(lost.n) if lost.n else say("dash"), kind="number")])
        rows[-1] += [_value(told[metric], say) for metric in columns]
    if rows:
        yield Table(say("continual_tasks"), headings, rows, stacked=True, title=say("continual_tasks"))


def _value(one: Finding | None, say: Wording) -> Cell:
    if one is None:
        return Cell(say("dash"), kind="number")
    if one.value is None:
        return Cell(say.missing(one), say.said(one.because))
    signed = one.metric in CONTINUAL
    return Cell(number(one.value, signed=signed), interval(one, signed=signed), "number")


def _facts(record: Record, found: Sequence[Finding], say: Wording) -> Iterator[tuple[str, Cell]]:
    forward = first(found, AREA, "forward_transfer")
    if forward is not None:
        yield say.metric("forward_transfer"), _value(forward, say)
    asked = record.charter.continual
    if begins(record):
        yield say("continual_kept"), Cell(say("continual_kept_first"))
    if found and asked is not None:
        again = first(found, AREA, "rows_replayed")
        nothing = "continual_kept_replay" if again is not None and again.value else "continual_kept_none"
        key = nothing if asked.keep is None else f"continual_kept_{asked.keep.use}"
        name = asked.keep.use if asked.keep is not None else ""
        yield say("continual_kept"), Cell(say(key) if say.has(key) else name)
    semicolon = "；" if say.language == "zh" else "; "
    for metric in ("rows_replayed", "rows_kept_apart", "rows_not_judged", "rows_known", "texts_known"):
        for one in (one for one in found if one.metric == metric):
            told = say("continual_unknown") if one.value is None else say.count(one.value)
            where = say.slice(one.slice)
            note = say.said(one.because or one.method)
            yield say.metric(metric), Cell(told, f"{where}{semicolon}{note}" if where else note)


def _left(left: Mapping[str, Any], say: Wording) -> Iterator[tuple[str, Cell]]:
    """What the bundle carries, and the privacy of that."""
    memory = left.get("memory")
    if memory is not None:
        counts = {"rows": say.count(memory["rows"]), "seen": say.count(memory["seen"])}
        masked = say("memory_masked" if memory["masked"] else "memory_not_masked")
        public = say("memory_public" if memory["public"] else "memory_private")
        space = "" if say.language == "zh" else " "
        yield say("memory"), Cell(say("memory_said", **counts), f"{public}{space}{masked}")
    fisher = left.get("fisher")
    if fisher is not None:
        yield say("fisher"), Cell(say("fisher_said", rows=say.count(fisher["rows"])), say("fisher_note"))

"""The section to read for oneself: what a language model fills in, what it writes, which texts it finds alike. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from charter.release.record import Record
from charter.release.report.parts import Cell, Heading, Section, Table, Text
from charter.release.report.wording import Wording

HIDDEN = "▁▁▁"


def reading_sections(record: Record, say: Wording) -> Iterator[Section]:
    """The section, where the charter lets texts be shown and there is a language model."""
    told: Mapping[str, Any] | None = (record.examples or {}).get("language")
    if not told:
        return
    drawn = any(told.get(name) for name in ("filled", "doubted", "alike"))
    rule = "reading_rule" if drawn else "reading_rule_written"
    parts: list[object] = [Text(say(rule, seed=told["seed"]), soft=True)]
    parts += [
        table(told[name], say)
        for name, table in (
            ("filled", _filled),
            ("doubted", _doubted),
            ("written", _written),
            ("alike", _alike),
        )
        if told.get(name)
    ]
    yield Section("reading", say("reading"), parts)


def _filled(items: Any, say: Wording) -> Table:
    headings = [Heading(say("reading_text")), Heading(say("reading_hidden")), Heading(say("reading_guesses"))]
    rows = []
    for one in items:
        guesses = " · ".join(
            f"“{guess['text']}” {_probability(guess['probability'])}" for guess in one["guesses"]
        )
        text = f"{one['before']}{HIDDEN}{one['after']}"
        rows.append([Cell(text, kind="own"), Cell(one["hidden"], kind="own"), Cell(guesses, kind="own")])
    return Table(say("reading_filled"), headings, rows, stacked=True, title=say("reading_filled"))


def _doubted(items: Any, say: Wording) -> Table:
    headings = [Heading(say(key)) for key in ("reading_read", "reading_replaced", "reading_accused")]
    rows = []
    for one in items:
        replaced = [
            f"“{each['own']}” → “{each['instead']}” {_probability(each['probability'])}"
            for each in one["replaced"]
        ]
        accused = [f"“{each['token']}” {_probability(each['probability'])}" for each in one["accused"]]
        cells = (one["text"], " · ".join(replaced) or say("dash"), " · ".join(accused) or say("dash"))
        rows.append([Cell(text, kind="own") for text in cells])
    return Table(say("reading_doubted"), headings, rows, stacked=True, title=say("reading_doubted"))


def _probability(value: float) -> str:
    return f"{value:.2f}" if value >= 0.005 else "< 0.01"


def _written(items: Any, say: Wording) -> Table:
    headings = [Heading(say("reading_seed"), number=True), Heading(say("reading_text"))]
    rows = [[Cell(str(one["seed"]), kind="number"), Cell(one["text"] or "–", kind="own")] for one in items]
    return Table(say("reading_written"), headings, rows, title=say("reading_written"))


def _alike(items: Any, say: Wording) -> Table:
    headings = [Heading(say("reading_text")), Heading(say("reading_nearest"))]
    headings.append(Heading(say("reading_cosine"), number=True))
    rows = [
        [
            Cell(one["text"], kind="own"),
            Cell(one["nearest"], kind="own"),
            Cell(f"{one['similarity']:.2f}", kind="number"),
        ]
        for one in items
    ]
    return Table(say("reading_alike"), headings, rows, title=say("reading_alike"))

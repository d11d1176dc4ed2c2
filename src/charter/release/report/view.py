"""What the report says first: the verdict, why, on what it was measured, and every limit. Pure; also for the terminal."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from charter.release.judge import Outcome, Verdict, worst_by_limit
from charter.release.record import Record
from charter.release.report import plots
from charter.release.report.beside import beats, compares, gain_said, is_multiple, metric_of
from charter.release.report.continual import doubts_of
from charter.release.report.forms import forms_table
from charter.release.report.parts import Cell, Heading, Section, Table, Text
from charter.release.report.pretraining import PretrainingLines, pretraining_lines
from charter.release.report.privacy import privacy_doubts
from charter.release.report.reidentification import AREA as REIDENTIFICATION
from charter.release.report.trials import tried_line
from charter.release.report.wording import Wording, confidence, interval, number, read_limit
from charter.release.report.words import Language
from charter.release.selection import findings_of, first, foremost, headline, main_scores
from charter.runs.findings import Finding
from charter.spec.metrics import TRIVIAL

OUTCOME_KINDS = {"kept": "kept", "broken": "broken", "no evidence": "none"}
MARKS = {"kept": "✓", "broken": "✗", "no evidence": "?"}
MOST_NAMED, MOST_SLICES = 5, 6


@dataclass(frozen=True)
class Fact:
    """A number that matters at once: what it is, the number, a line about it; tone is good, bad, unsure or ""."""

    label: str
    value: str
    note: str = ""
    tone: str = ""


@dataclass(frozen=True)
class Opening:
    """The first screen: what was decided, why, on what it was measured."""

    badge: str
    title: str
    why: str
    failing: tuple[Cell, ...]
    lines: tuple[str, ...]
    facts: tuple[Fact, ...]


@dataclass(frozen=True)
class Block:
    """A table for the terminal: every row has as many cells as there are headings."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Summary:
    """The verdict in one line, what must be known at once, and the main tables, for the terminal."""

    title: str
    why: str
    lines: tuple[str, ...]
    limits: Block
    scores: Block
    formats: Block | None = None
    pretraining: PretrainingLines | None = None


def opening(record: Record, say: Wording) -> Opening:
    """The first screen."""
    bad = [one for one in record.verdicts if one.outcome != "kept"]
    failing = [
        Cell(_of_form(one, say), say.said(one.because), kind=OUTCOME_KINDS[one.outcome])
        for one in bad[:MOST_NAMED]
    ]
    if len(bad) > MOST_NAMED:
        failing.append(Cell(say("and_more", count=len(bad) - MOST_NAMED)))
    return Opening(
        badge=say(f"badge_{record.status}"),
        title=title(record, say),
        why=_why(record, say),
        failing=tuple(failing),
        lines=first_lines(record, say),
        facts=tuple(_facts(record, say)),
    )


def title(record: Record, say: Wording) -> str:
    """The verdict in a line."""
    outcomes = worst_by_limit(record.verdicts).values()
    bad = sum(one != "kept" for one in outcomes)
    return say(record.status, name=record.charter.name, count=bad, all=len(outcomes))


def _of_form(one: Verdict, say: Wording) -> str:
    """A limit, and the released format that it was judged for where there are several."""
    return say("of_format", form=one.form, limit=say.limit(one.limit)) if one.form else say.limit(one.limit)


def _why(record: Record, say: Wording) -> str:
    if record.status != "released":
        return say(f"why_{record.status}")
    by_value = any(one.judge == "point" for one in record.verdicts)
    return say("why_released_point" if by_value else "why_released")


def first_lines(record: Record, say: Wording) -> tuple[str, ...]:
    """The rows it was measured on, whether it beats the cheap baseline, how many settings were tried, charters judged."""
    found = findings_of(record)
    train, test = first(found, "data", "rows", split="train"), first(found, "data", "rows", split="test")
    lines = []
    if train is not None and test is not None:
        added = sum(one.value or 0 for one in found if one.area == "data" and one.metric == "rows_added")
        counts = {"train": say.count(train.value or 0), "test": say.count(test.value or 0)}
        key = "measured_on_added" if added else "measured_on"
        if not record.charter.training.epochs:
            key = "measured_on_none" if record.charter.training.objective is None else "measured_on_fitted"
        elif record.charter.data.split.tail:
            key = "measured_on_tails"
        lines.append(say(key, data=record.charter.data_id, added=say.count(added), **counts))
    lines += doubts_of(record, say)
    lines += privacy_doubts(record, say)
    searched = first(found, "data", "texts_searched")
    if searched is not None:
        lines.append(say("searched", count=say.count(searched.value or 0)))
    for one in found:
        if one.area != "baseline" or one.slice.get("baseline", TRIVIAL[0]) in TRIVIAL:
            continue
        if one.value is None and one.metric == headline(record):
            lines.append(say("no_baseline", because=say.said(one.because)))
        elif compares(one):
            name, metric = say.name(one.slice["baseline"]), say.metric(metric_of(one, headline(record)))
            lines.append(say(beats(one), baseline=name, metric=metric, gain=gain_said(one, say)))
    return (*lines, *_formats_to_leave_out(record, say), *tried_line(record, say), _judged(record, say))


def _formats_to_leave_out(record: Record, say: Wording) -> list[str]:
    """The formats without which every limit would be kept, where there are such."""
    bad = list(dict.fromkeys(one.form for one in record.verdicts if one.outcome != "kept"))
    kept = {one.form for one in record.verdicts} - set(bad)
    if not bad or not kept or "" in bad:
        return []
    comma = "、" if say.language == "zh" else ", "
    return [say("formats_to_leave_out", formats=comma.join(bad))]


def _judged(record: Record, say: Wording) -> str:
    split, data = record.judged_before["this_split"], record.judged_before["this_data"]
    key = "judged" if split else "judged_data" if data else "judged_none"
    return say(key, split=split, data=data)


def _facts(record: Record, say: Wording) -> list[Fact]:
    found = findings_of(record)
    outcomes: list[Outcome] = list(worst_by_limit(record.verdicts).values())
    kept, broken = outcomes.count("kept"), outcomes.count("broken")
    missing = len(outcomes) - kept - broken
    notes = [say("fact_broken", count=broken)] * bool(broken) + [say("fact_open", count=missing)] * bool(
        missing
    )
    comma = "，" if say.language == "zh" else ", "
    tone = "good" if kept == len(outcomes) else "bad" if broken else "unsure"
    of_all = say("fact_of", kept=kept, all=len(outcomes))
    facts = [Fact(say("fact_limits"), of_all, comma.join(notes), tone)]
    main = first(found, "performance", foremost(record))
    if main is not None and main.value is not None:
        facts.append(Fact(say.metric(main.metric), number(main.value), _with_confidence(main, say)))
    facts += _right(found, say)
    facts += _against_baselines(found, say)
    lost = first(found, "continual", "forgetting")
    if lost is not None:
        sure = (
            "bad"
            if (lost.low or 0.0) > 0
            else "good"
            if (1.0 if lost.high is None else lost.high) < 0
            else "unsure"
        )
        value = say("dash") if lost.value is None else number(lost.value, signed=True)
        facts.append(Fact(say.metric("forgetting"), value, _with_confidence(lost, say), sure))
    before = record.judged_before["this_split"]
    facts.append(
        Fact(say("fact_judged"), say.count(before), say("fact_judged_note"), "unsure" if before else "")
    )
    return facts


def _against_baselines(found: Sequence[Finding], say: Wording) -> Iterator[Fact]:
    """How the model stands beside each cheap one: by its main score or, where one was measured, by a multiple."""
    beside = [one for one in found if one.area == "baseline" and one.value is not None]
    multiples = {one.slice["baseline"]: one for one in beside if is_multiple(one)}
    for gain in beside:
        name = gain.slice.get("baseline", "")
        if gain.metric != "headline_gain" or name in TRIVIAL:
            continue
        one = multiples.get(name, gain)
        value = number(one.value or 0.0, signed=True)
        if one is not gain:
            value = say("fact_multiple", value=number(one.value or 0.0))
        tones = {"better": "good", "worse": "bad", "not_better": "unsure"}
        colon = "：" if say.language == "zh" else ": "
        note = f"{say.name(name)}{colon}{say(f'fact_{beats(one)}')}"
        if one is not gain:  # a multiple is of another score than the one beside it
            note = f"{say.metric(metric_of(one, ''))}{'，' if say.language == 'zh' else ', '}{note}"
        yield Fact(say("fact_baseline"), value, note, tones[beats(one)])


def _right(found: Sequence[Finding], say: Wording) -> Iterator[Fact]:
    """How many answers are right, in rows or in words; of numbers how far they are off."""
    test = first(found, "data", "rows", split="test")
    for metric in ("accuracy", "subset_accuracy"):
        right = first(found, "performance", metric)
        if right is not None and right.value is not None and right.n:
            by_row = test is None or test.value == right.n
            rows = {"right": say.count(right.value * right.n), "all": say.count(right.n)}
            label = (
                "fact_right_labels"
                if metric != "accuracy"
                else "fact_right"
                if by_row
                else "fact_right_words"
            )
            yield Fact(
                say(label),
                say.share(right.value),
                say("fact_right_of" if by_row else "fact_words_of", **rows),
            )
            return
    off = first(found, "performance", "mae")
    if off is not None and off.value is not None:
        yield Fact(say("fact_off"), number(off.value), _with_confidence(off, say))


def _with_confidence(one: Finding, say: Wording) -> str:
    if one.confidence is None or not interval(one):
        return ""
    ends = interval(one).replace("–", "\u2060–\u2060")  # not broken at the dash
    return say("fact_interval", confidence=confidence(one), ends=ends)


def limits_section(record: Record, say: Wording) -> Section:
    """Every limit and demand, how it came out, and why."""
    table = limits_table(record.verdicts, say)
    drawn = any(row[2].drawing for row in table.rows)
    lead = say("limits_lead") + ((" " if say.language == "en" else "") + say("gauge_key") if drawn else "")
    return Section("limits", say("limits"), [Text(lead), table])


def limits_table(verdicts: Sequence[Verdict], say: Wording) -> Table:
    """Verdicts as a table, each with its measured value against the bound."""
    headings = [Heading(say(key)) for key in ("limit", "outcome", "measured", "because")]
    rows = [_limit_row(one, say) for one in verdicts]
    if any(one.form for one in verdicts):
        headings.insert(1, Heading(say("format")))
        for row, one in zip(rows, verdicts, strict=True):
            row.insert(1, Cell(one.form or say("dash"), kind="code"))
    return Table(say("limits"), headings, rows, stacked=True)


def _limit_row(one: Verdict, say: Wording) -> list[Cell]:
    limit = read_limit(one.limit)
    because, note = say.said(one.because), ""
    if one.unjudged:
        slices = ("、" if say.language == "zh" else ", ").join(one.unjudged[:MOST_SLICES])
        if len(one.unjudged) > MOST_SLICES:
            slices += f" {say('and_more', count=len(one.unjudged) - MOST_SLICES)}"
        note = say("unjudged", count=len(one.unjudged), slices=slices)
    measured = Cell(say("dash"), kind="figure")
    if one.finding is not None and one.finding.value is not None:
        drawing = ""
        if limit is not None:
            ends = interval(one.finding) or number(one.finding.value)
            drawing = plots.gauge(say("gauge", ends=ends, bound=f"{limit.bound:g}"), limit, one.finding)
        measured = Cell(_measured(one.finding, say), interval(one.finding), "figure", drawing)
    judged = say("by_value") if one.judge == "point" else ""
    written = Cell(say.limit(one.limit), one.limit if limit is not None else "", "limit")
    outcome = Cell(f"{MARKS[one.outcome]} {say(one.outcome)}", judged, OUTCOME_KINDS[one.outcome])
    return [written, outcome, measured, Cell(because, note)]


def _is_count(one: Finding) -> bool:
    """Whether it counts people or rows of the table as it is, which has no interval."""
    return (
        one.area == REIDENTIFICATION
        and bool(one.unit)
        and one.value is not None
        and one.value == int(one.value)
    )


def _measured(one: Finding, say: Wording) -> str:
    if one.value is None:
        return ""
    return say.count(one.value) if _is_count(one) else number(one.value)


def summary(record: Record, *, language: Language | None = None) -> Summary:
    """What the terminal shows; in the charter's language unless told otherwise."""
    say = Wording(language or record.charter.report.language)
    rows = []
    for one in record.verdicts:
        because = say.said(one.because)
        if one.unjudged:
            because += ("；" if say.language == "zh" else "; ") + say(
                "unjudged_short", count=len(one.unjudged)
            )
        measured = "" if one.finding is None else _measured(one.finding, say)
        outcome = f"{MARKS[one.outcome]} {say(one.outcome)}"
        written = one.limit if read_limit(one.limit) is not None else say.said(one.limit)
        if one.form:
            written = say("of_format", form=one.form, limit=written)
        rows.append((written, outcome, measured, because))
    headings = (say("limit"), say("outcome"), say("measured"), say("because"))
    limits = Block(say("limits"), headings, tuple(rows))
    lines = first_lines(record, say)
    return Summary(
        title(record, say),
        _why(record, say),
        lines,
        limits,
        _scores(record, say),
        _formats(record, say),
        pretraining_lines(record, say),
    )


def _formats(record: Record, say: Wording) -> Block | None:
    """The released formats side by side, without intervals; None where there is only one."""
    table = forms_table(record, say, short=True)
    if table is None:
        return None
    rows = tuple(tuple(cell.text for cell in row) for row in table.rows)
    return Block(say("formats"), tuple(one.text for one in table.headings), rows)


def _scores(record: Record, say: Wording) -> Block:
    chosen = main_scores(record)
    share = next((confidence(one) for one in chosen if one.confidence), "")
    rows = [
        (say.metric(one.metric), say("too_few") if one.value is None else number(one.value), interval(one))
        for one in chosen
        if one.value is not None or one.metric == foremost(record)
    ]
    ends = f"{share} {say('interval')}" if say.language == "zh" else f"{share} {say('interval').lower()}"
    return Block(say("term_scores"), (say("metric"), say("value"), ends.strip()), tuple(rows))

"""The section on how the settings were found: the space, every trial, what choosing by validation does to a score. Pure."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from charter.release.record import Record
from charter.release.report.parts import Cell, Facts, Figure, Heading, Pair, Section, Table, Text
from charter.release.report.svg import dot, line, svg, text
from charter.release.report.wording import Wording, interval, number
from charter.release.selection import findings_of, first, headline
from charter.runs.findings import Finding
from charter.spec.training import Training


def searched(record: Record) -> Mapping[str, Any] | None:
    """What the search was, as `charter.pipeline.searching` told it; None where there was none."""
    told = _trials(record)
    return None if told is None else told.attachment


def settings_of(record: Record) -> Training:
    """The settings that the model was trained with: the charter's, or the best trial's."""
    table, private = searched(record), _private(record)
    training = record.charter.training.model_dump(mode="json", exclude={"search"})
    found = {} if table is None else _best(table)["values"]
    if private is not None and private.attachment is not None:
        found = private.attachment["values"]
    return Training.model_validate({**training, **found})


def tried_line(record: Record, say: Wording) -> tuple[str, ...]:
    """How many settings were tried, in a line; nothing where none were."""
    told, private = _trials(record), _private(record)
    if private is not None:
        mean = f"{private.value or 0:g}"
        return (say("tried_privately", mean=mean, rows=say.count(private.n or 0)),)
    if told is None:
        return ()
    return (say("tried", count=say.count(told.value or 0), rows=say.count(told.n or 0)),)


def _trials(record: Record) -> Finding | None:
    told = first(findings_of(record), "training", "trials")
    return told if told is not None and told.attachment is not None else None


def _private(record: Record) -> Finding | None:
    """What is told of a private search: what was chosen, and nothing of any other trial."""
    told = first(findings_of(record), "training", "trials_on_average")
    return told if told is not None and told.attachment is not None else None


def _best(table: Mapping[str, Any]) -> Mapping[str, Any]:
    return next(one for one in table["trials"] if one["number"] == table["best"])


def search_sections(record: Record, say: Wording) -> Iterator[Section]:
    """The section, where settings were searched."""
    private = _private(record)
    if private is not None and private.attachment is not None:
        yield _private_section(record, private, private.attachment, say)
        return
    told, table = _trials(record), searched(record)
    if told is None or table is None:
        return
    metric = say.metric(headline(record))
    counts = {
        state: sum(one["state"] == state for one in table["trials"])
        for state in ("complete", "pruned", "failed")
    }
    lead = say("search_lead", rows=say.count(told.n or 0), best=table["best"], count=len(table["trials"]))
    facts = Facts(
        [
            *((key, Cell(_range(one, say), kind="code")) for key, one in table["space"].items()),
            (say("search_trials"), Cell(say("search_states", asked=table["asked"], **counts))),
            (say("search_prune"), Cell(say(f"prune_{table['prune']}"))),
            (say("search_score", metric=metric), _scored(record, table, say)),
        ]
    )
    parts: list[Any] = [Text(lead), facts, *_figures(table, metric, say), _table(table, metric, say)]
    yield Section("search", say("search"), parts)


def _private_section(record: Record, told: Finding, table: Mapping[str, Any], say: Wording) -> Section:
    """The space, what was chosen, and its score."""
    score = first(findings_of(record), "training", "best_validation_score")
    value = 0.0 if score is None or score.value is None else score.value
    chosen = [
        (key, Cell(_value(table["values"][key]), _range(one, say), "code"))
        for key, one in table["space"].items()
    ]
    on_test = _on_test(record)
    because = say("search_private_optimistic") if not on_test else say("search_private_beside", test=on_test)
    mean = f"{told.value or 0:g}"
    facts = Facts(
        [
            *((f"{say('search_private_chosen')}: {key}", cell) for key, cell in chosen),
            (say("search_trials"), Cell(say(f"distribution_{table['distribution']}"))),
            (say("search_score", metric=say.metric(headline(record))), Cell(number(value), because)),
        ]
    )
    lead = say("search_private_lead", mean=mean, rows=say.count(told.n or 0))
    return Section("search", say("search"), [Text(lead), facts])


def _range(one: Mapping[str, Any], say: Wording) -> str:
    if "choices" in one:
        return ("、" if say.language == "zh" else ", ").join(_value(value) for value in one["choices"])
    ends = f"{one['low']:g} … {one['high']:g}"
    return f"{ends} ({say('logarithmic')})" if one["logarithmic"] else ends


def _value(value: Any) -> str:
    if value is None:
        return "null"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _scored(record: Record, table: Mapping[str, Any], say: Wording) -> Cell:
    """The winner's score on the rows that chose it, and beside it the one that counts."""
    value = number(_best(table)["score"])
    on_test = _on_test(record)
    if not on_test:
        return Cell(value, say("search_optimistic", count=len(table["trials"])))
    return Cell(value, say("search_beside", count=len(table["trials"]), test=on_test))


def _on_test(record: Record) -> str:
    """The headline score on the test rows with its interval; nothing where there is none."""
    test = first(findings_of(record), "performance", headline(record))
    if test is None or test.value is None:
        return ""
    return f"{number(test.value)} ({interval(test)})" if interval(test) else number(test.value)


def _table(table: Mapping[str, Any], metric: str, say: Wording) -> Table:
    keys = list(table["space"])
    headings = [
        Heading(say("trial"), number=True),
        *(Heading(key, own=True, number=True) for key in keys),
        Heading(metric, number=True),
        Heading(say("evaluations"), number=True),
        Heading(say("time"), number=True),
        Heading(say("outcome")),
    ]
    rows = []
    for one in table["trials"]:
        state = say("trial_best" if one["number"] == table["best"] else f"trial_{one['state']}")
        rows.append(
            [
                Cell(str(one["number"]), kind="number"),
                *(Cell(_value(one["values"][key]), kind="number") for key in keys),
                Cell(say("dash") if one["score"] is None else number(one["score"]), kind="number"),
                Cell(str(len(one["scores"])), kind="number"),
                Cell(say.duration(one["seconds"]), kind="number"),
                Cell(state, say.said(one["because"]), "kept" if one["number"] == table["best"] else ""),
            ]
        )
    return Table(
        say("trials_caption", metric=metric), headings, rows, title=say("trials_caption", metric=metric)
    )


def _figures(table: Mapping[str, Any], metric: str, say: Wording) -> list[Any]:
    """The score by trial, and by the first setting that is a range."""
    shown = [one for one in table["trials"] if one["score"] is not None]
    if len(shown) < 2:
        return []
    by_trial = Figure(
        _scatter(say("search_by_trial"), shown, [one["number"] for one in shown], say("trial"), best=True),
        say("search_by_trial"),
    )
    ranges = {key: one for key, one in table["space"].items() if "choices" not in one}
    if not ranges:
        return [by_trial]
    key, space = next(iter(ranges.items()))
    values = [float(one["values"][key]) for one in shown]
    places = [math.log10(value) for value in values] if space["logarithmic"] else values
    caption = say("search_by_value", metric=metric, setting=key)
    drawn = _scatter(caption, shown, places, key, logarithmic=space["logarithmic"])
    return [Pair(by_trial, Figure(drawn, caption))]


def _scatter(
    title: str,
    trials: Sequence[Mapping[str, Any]],
    places: Sequence[float],
    x_name: str,
    *,
    best: bool = False,
    logarithmic: bool = False,
) -> str:
    """Scores at places on the x axis, filled where complete and hollow where pruned; `best` draws the best so far."""
    width, height, left, top = 320, 190, 46, 12
    scores = [float(one["score"]) for one in trials]
    low, high = min(scores), max(scores)
    margin = max((high - low) * 0.08, 0.005)
    low, high = low - margin, min(high + margin, 1.0) if high <= 1 else high + margin
    first_, last = min(places), max(places)
    wide = (last - first_) or 1.0

    def at(place: float) -> float:
        return left + 8 + (place - first_) / wide * (width - 16)

    def up(score: float) -> float:
        return top + (high - score) / (high - low) * height

    body = []
    for part in range(5):
        value = low + (high - low) * part / 4
        body += [line(left, up(value), left + width, up(value), "guide")]
        body += [text(left - 7, up(value) + 4, f"{value:.3f}", "end")]
    if best:
        body.append(f'<polyline points="{" ".join(_steps(trials, places, at, up))}" class="curve"/>')
    for one, place, score in zip(trials, places, scores, strict=True):
        body.append(dot(at(place), up(score), "check" if one["state"] == "pruned" else "point"))
    for place, anchor in ((first_, "start"), (last, "end")):
        value = 10**place if logarithmic else place
        body.append(text(at(place), top + height + 18, f"{value:.3g}", anchor))
    body.append(text(left + width / 2, top + height + 18, x_name, "middle", "soft"))
    return svg(title, left + width + 8, top + height + 26, body)


def _steps(trials: Sequence[Mapping[str, Any]], places: Sequence[float], at: Any, up: Any) -> Iterator[str]:
    """The corners of the line of the best complete score so far."""
    best: float | None = None
    for one, place in zip(trials, places, strict=True):
        if best is not None:
            yield f"{at(place):.1f},{up(best):.1f}"
        if one["state"] == "complete" and (best is None or one["score"] > best):
            best = float(one["score"])
            yield f"{at(place):.1f},{up(best):.1f}"

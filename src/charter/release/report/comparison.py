"""The comparison of runs as sections: for the page and, part by part, for the terminal. Pure."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace

from charter.audits.pairing import Difference
from charter.release.comparison import Comparison, Pair, Score
from charter.release.report import plots
from charter.release.report.comparison_costs import begins_section, cost_section, run_headings
from charter.release.report.page import written
from charter.release.report.parts import Cell, Facts, Figure, Fold, Heading, Section, Table, Text
from charter.release.report.performance import value_cell
from charter.release.report.svg import dot, line, named, svg, text, width_of
from charter.release.report.view import MARKS, OUTCOME_KINDS, Fact, Opening
from charter.release.report.when import when
from charter.release.report.wording import Wording, interval, number
from charter.release.report.words import Language
from charter.runs.findings import Finding

TONES = {"better": "kept", "worse": "broken", "not shown": "none"}
MOST_SLICES = 30


def render_comparison(comparison: Comparison, *, language: Language | None = None) -> str:
    """The page as HTML, in the first charter's language unless told otherwise; as the report, it asks nothing of any server."""
    say = Wording(language or comparison.runs[0].record.charter.report.language)
    created = max(run.record.created for run in comparison.runs)
    return written(
        "comparison.html",
        say=say,
        opening=comparison_opening(comparison, say),
        sections=comparison_sections(comparison, say),
        created=when(created),
    )


def comparison_opening(comparison: Comparison, say: Wording) -> Opening:
    """The first screen: who is compared, what is shown, on what that rests."""
    metric = say.metric(comparison.headline)
    names = ("、" if say.language == "zh" else ", ").join(run.label for run in comparison.runs)
    facts = []
    for place, run in enumerate(comparison.runs):
        found = _main(comparison).beside(place)
        tone = "" if not place else _tone(comparison.conclusion(comparison.pairs[place - 1]))
        apart = place > 0 and bool(comparison.why_apart(place, comparison.headline))
        value = say("dash") if apart or found is None or found.value is None else number(found.value)
        ends = say("cmp_said_not_comparable") if apart else "" if found is None else interval(found)
        note = " · ".join(part for part in (ends, say(f"badge_{run.record.status}")) if part)
        facts.append(Fact(f"{run.label}{'：' if say.language == 'zh' else ': '}{metric}", value, note, tone))
    return Opening(
        badge=say("cmp_badge"),
        title=say("cmp_title", count=len(comparison.runs), names=names),
        why=say("cmp_why", first=comparison.runs[0].label, metric=metric),
        failing=tuple(
            Cell(
                f"{comparison.runs[pair.place].label}{'：' if say.language == 'zh' else ': '}"
                + say(f"cmp_said_{comparison.conclusion(pair).replace(' ', '_')}"),
                sentence(comparison, pair, say),
                OUTCOMES[comparison.conclusion(pair)],
            )
            for pair in comparison.pairs
        ),
        lines=tuple(_lines(comparison, say)),
        facts=tuple(facts),
    )


def _main(comparison: Comparison) -> Score:
    """The headline's score."""
    return next(score for score in comparison.scores() if score.metric == comparison.headline)


OUTCOMES = {"better": "good", "worse": "broken"} | dict.fromkeys(
    ("not shown", "apart", "overlapping", "not comparable"), "none"
)


def _tone(conclusion: str) -> str:
    return {"better": "good", "worse": "bad", "not shown": "unsure"}.get(conclusion, "")


def sentence(comparison: Comparison, pair: Pair, say: Wording) -> str:
    """What the evidence says of one run beside the first, by the headline."""
    conclusion, metric = comparison.conclusion(pair), comparison.headline
    told: dict[str, object] = {
        "first": comparison.runs[0].label,
        "other": comparison.runs[pair.place].label,
        "metric": say.metric(metric),
    }
    found = comparison.difference(pair, metric)
    if found is not None:
        told["gain"], told["p"] = _gain(found), _p(found)
    else:
        score, apart = _main(comparison), comparison.why_apart(pair.place, metric)
        ours, theirs = score.findings[0], score.findings[pair.place]
        told["ours"], told["theirs"] = (_ends(one, say) for one in (ours, theirs))
        because = apart or pair.because
        lacks = conclusion == "not comparable" and not because
        told["because"] = say("cmp_no_interval") if lacks else say.said(because)
    return say(f"cmp_{conclusion.replace(' ', '_')}", **told)


def _gain(found: Difference) -> str:
    ends = _signed_ends(found)
    return f"{number(found.value, signed=True)} ({ends})" if ends else number(found.value, signed=True)


def _signed_ends(found: Difference) -> str:
    if found.low is None or found.high is None:
        return ""
    return f"{number(found.low, signed=True)} … {number(found.high, signed=True)}"


def _ends(found: Finding | None, say: Wording) -> str:
    if found is None or found.value is None:
        return say("dash")
    return f"{number(found.value)} ({interval(found)})" if interval(found) else number(found.value)


def _p(found: Difference) -> str:
    value = found.p_value if found.p_adjusted is None else found.p_adjusted
    return f"{value:.4f}" if value >= 0.0001 else "< 0.0001"


def _lines(comparison: Comparison, say: Wording) -> Iterator[str]:
    paired = False
    for pair in comparison.pairs:
        other = comparison.runs[pair.place].label
        if pair.pairing is not None:
            paired = True
            counts = {name: say.count(getattr(pair.pairing, name)) for name in ("rows", "units", "differing")}
            yield say("cmp_paired_on", other=other, **counts)
        elif pair.shared_rows is not None:
            yield say("cmp_shared", other=other, shared=say.count(pair.shared_rows))
    if paired:
        yield say("cmp_chosen")
    machines = [run.record.provenance.get("hardware") for run in comparison.runs]
    if any(machine != machines[0] for machine in machines):
        yield say("cmp_hardware")


def comparison_sections(comparison: Comparison, say: Wording) -> list[Section]:
    """Every section, in order."""
    return [
        _scores(comparison, say),
        *_differences(comparison, say),
        *_slices(comparison, say),
        _limits(comparison, say),
        begins_section(comparison, say),
        cost_section(comparison, say),
        _charters(comparison, say),
        _methods(comparison, say),
    ]


def _scores(comparison: Comparison, say: Wording) -> Section:
    found = comparison.scores()
    parts: list[object] = [Text(say("cmp_scores_lead"))]
    main = next((one for one in found if one.metric == comparison.headline), None)
    if main is not None and any(one is not None and one.value is not None for one in main.findings):
        beside = [main.beside(place) for place in range(len(comparison.runs))]
        caption = say("cmp_forest", metric=say.metric(main.metric))
        named_runs = [
            replace(one, slice={"run": run.label})
            for run, one in zip(comparison.runs, beside, strict=True)
            if one is not None
        ]
        level = None if main.findings[0] is None else main.findings[0].value
        parts.append(Figure(plots.forest(caption, "run", named_runs, level, say("too_few")), caption))
    rows = [
        _score_row(Cell(say.metric(one.metric), one.metric, "metric"), one, say)
        for one in found
        if one.common
    ]
    caption = say("cmp_scores_caption")
    parts.append(
        Table(caption, run_headings(comparison, say("metric")), rows, stacked=len(comparison.runs) < 3)
    )
    parts += [Text(text, soft=True) for text in _apart(comparison, found, say)]
    partly = [one for one in found if not one.common]
    if partly:
        some = [
            f"{say.metric(one.metric)} ({', '.join(run.label for run, got in zip(comparison.runs, one.findings, strict=True) if got)})"
            for one in partly
        ]
        parts.append(
            Text(say("cmp_only", metrics=("；" if say.language == "zh" else "; ").join(some)), soft=True)
        )
    return Section("scores", say("cmp_scores"), parts)


def _apart(comparison: Comparison, found: Sequence[Score], say: Wording) -> Iterator[str]:
    """What a run's score is where it can't stand beside the first one's, and why."""
    for score in found:
        for place, because in enumerate(score.apart):
            if because and score.common:
                told = {"metric": say.metric(score.metric), "first": comparison.runs[0].label}
                told |= {"other": comparison.runs[place].label, "because": say.said(because)}
                yield say("cmp_score_apart", value=_ends(score.findings[place], say), **told)


def _score_row(name: Cell, score: Score, say: Wording) -> list[Cell]:
    cells = [
        Cell(say("dash"), say("cmp_said_not_comparable"), "none")
        if score.apart and score.apart[place]
        else value_cell(one, say)
        for place, one in enumerate(score.findings)
    ]
    return [name, *cells]


def _differences(comparison: Comparison, say: Wording) -> Iterator[Section]:
    first = comparison.runs[0].label
    parts: list[object] = []
    contrast = [
        (comparison.runs[pair.place].label, found)
        for pair in comparison.pairs
        if (found := comparison.difference(pair, comparison.headline)) is not None
    ]
    if contrast:
        confidence = f"{contrast[0][1].confidence * 100:g}%"
        told = {"metric": say.metric(comparison.headline), "first": first, "confidence": confidence}
        parts += [Text(say("cmp_differences_lead"))]
        parts += [Figure(contrasts(say("cmp_contrast", **told), contrast), say("cmp_contrast", **told))]
    for pair in comparison.pairs:
        other = comparison.runs[pair.place].label
        if pair.pairing is None:
            because = say.said(pair.because)
            parts.append(Text(say("cmp_unpaired", other=other, first=first, because=because)))
            continue
        parts.append(_pair_table(comparison, pair, say))
    yield Section("differences", say("cmp_differences"), parts)


def _pair_table(comparison: Comparison, pair: Pair, say: Wording) -> Table:
    assert pair.pairing is not None
    other, first = comparison.runs[pair.place].label, comparison.runs[0].label
    holm = len(comparison.pairs) > 1
    headings = [Heading(say("metric")), Heading(say("cmp_difference"), number=True)]
    headings += [Heading(say("cmp_conclusion")), Heading(say("method"))]
    rows = []
    shown = [one for one in pair.pairing.differences if one.metric != "micro_f1" or not _same(pair)]
    for one in sorted(shown, key=lambda each: each.metric != comparison.headline):
        conclusion = comparison.conclusion(pair, one.metric)
        method = "；" if say.language == "zh" else "; "
        rows.append(
            [
                Cell(say.metric(one.metric), one.metric, "metric"),
                Cell(number(one.value, signed=True), _signed_ends(one), "number"),
                Cell(
                    say(f"cmp_said_{conclusion.replace(' ', '_')}"),
                    say("cmp_p_holm" if holm else "cmp_p", p=_p(one)),
                    TONES[conclusion],
                ),
                Cell("", method.join(say.said(said) for said in (one.test, one.method) if said)),
            ]
        )
    title = say("cmp_against", other=other, first=first)
    return Table(title, headings, rows, stacked=True, title=title)


def _same(pair: Pair) -> bool:
    """Whether micro F1 says what accuracy says, as it does for one class per text."""
    known = {one.metric: one.value for one in (pair.pairing.differences if pair.pairing else ())}
    return "micro_f1" in known and known.get("accuracy") == known["micro_f1"]


def contrasts(title: str, found: Sequence[tuple[str, Difference]]) -> str:
    """Differences with their intervals, a line each, around the line of no difference."""
    left = min(max([width_of(name) for name, _ in found] + [40]) + 14, 170)
    width, step, top = 380 - left - 60, 28, 10
    most = max(
        [abs(end) for _, one in found for end in (one.low, one.high, one.value) if end is not None] + [1e-3]
    )
    reach = most * 1.1
    bottom = top + len(found) * step

    def at(value: float) -> float:
        return left + (value + reach) / (2 * reach) * width

    body = []
    for tick in (-most, 0.0, most):
        body.append(line(at(tick), top, at(tick), bottom, "diagonal" if tick == 0 else "guide"))
        label = "0" if tick == 0 else number(tick, signed=True)
        body.append(text(at(tick), bottom + 18, label, "middle", "soft"))
    for place, (name, one) in enumerate(found):
        y = top + (place + 0.5) * step
        body.append(named(left - 9, y + 4, name, left - 12, "end"))
        low, high = (one.value if end is None else end for end in (one.low, one.high))
        body += [line(at(low), y, at(high), y, "bar"), dot(at(one.value), y)]
        body.append(text(left + width + 58, y + 4, number(one.value, signed=True), "end"))
    return svg(title, left + width + 60, bottom + 26, body)


def _slices(comparison: Comparison, say: Wording) -> Iterator[Section]:
    found = [one for one in comparison.slices() if one.common]
    if not found:
        return
    rows = [_score_row(Cell(say.slice(one.slice), say.metric(one.metric), "own"), one, say) for one in found]
    headings = run_headings(comparison, say("cmp_part"))
    caption = say("cmp_of_each", what=say("cmp_slices"))
    table = Table(caption, headings, rows[:MOST_SLICES])
    parts: list[object] = [Text(say("cmp_slices_lead")), table]
    if len(rows) > MOST_SLICES:
        parts.append(Fold(say("all_of_them", count=len(rows)), [Table(caption, headings, rows)]))
    yield Section("slices", say("cmp_slices"), parts)


def _limits(comparison: Comparison, say: Wording) -> Section:
    rows = []
    for limit, outcomes in comparison.limits().items():
        cells = [
            Cell(say("dash"))
            if outcome is None
            else Cell(f"{MARKS[outcome]} {say(outcome)}", kind=OUTCOME_KINDS[outcome])
            for outcome in outcomes
        ]
        rows.append([Cell(say.limit(limit), kind="limit"), *cells])
    headings = [Heading(say("limit")), *(Heading(run.label, own=True) for run in comparison.runs)]
    return Section(
        "limits",
        say("limits"),
        [Text(say("cmp_limits_lead")), Table(say("cmp_of_each", what=say("limits")), headings, rows)],
    )


def _charters(comparison: Comparison, say: Wording) -> Section:
    changes = comparison.changes()
    if not changes:
        return Section("charters", say("cmp_charters"), [Text(say("cmp_same_charters"))])
    rows = [
        [
            Cell(change.key, kind="code"),
            *(
                Cell(say("dash") if one is None else _bare(one), kind="" if one is None else "code")
                for one in change.values
            ),
        ]
        for change in changes
    ]
    headings = [Heading(say("cmp_key")), *(Heading(run.label, own=True) for run in comparison.runs)]
    table = Table(say("cmp_of_each", what=say("cmp_keys")), headings, rows)
    return Section("charters", say("cmp_charters"), [Text(say("cmp_charters_lead")), table])


def _bare(value: str) -> str:
    """A JSON value as a charter would have it: a text without its quotation marks."""
    read = json.loads(value)
    return read if isinstance(read, str) else value


def _methods(comparison: Comparison, say: Wording) -> Section:
    count = sum(pair.pairing is not None for pair in comparison.pairs)
    level = next(
        (1 - one.confidence for pair in comparison.pairs if pair.pairing for one in pair.pairing.differences),
        None,
    )
    items = [
        (say("cmp_units"), Cell(say("cmp_units_said"))),
        (say("cmp_intervals"), Cell(say("cmp_intervals_said"))),
    ]
    items.append((say("cmp_tests"), Cell(say("cmp_tests_said"))))
    if count:
        holm = say("cmp_holm_said", count=count) if count > 1 else say("cmp_holm_one")
        items.append((say("cmp_holm"), Cell(holm)))
    if level is not None:
        items.append((say("cmp_level"), Cell(say("cmp_level_said", level=f"{level:.3g}"))))
    items += [
        (run.label, Cell(run.record.run_id, when(run.record.created), "code")) for run in comparison.runs
    ]
    return Section("methods", say("cmp_methods"), [Facts(items)])

"""What the report says, before it has a form: a title, first lines, and tables. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from charter.release.record import Record
from charter.release.report.words import WORDS, Language
from charter.runs.findings import Finding


@dataclass(frozen=True)
class Block:
    """A table: every row has as many cells as there are headings."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Summary:
    """The verdict in one line, what must be known at once, and the main tables."""

    title: str
    lines: tuple[str, ...]
    tables: tuple[Block, ...]


def summary(record: Record, *, language: Language = "en") -> Summary:
    """The verdict, limits and main scores."""
    whole = scores(record, language)
    short = Block(
        whole.title,
        (whole.headings[0], whole.headings[2], whole.headings[3]),
        tuple((row[0], row[2], row[3]) for row in whole.rows),
    )
    return Summary(title(record, language), first_lines(record, language), (limits(record, language), short))


def title(record: Record, language: Language) -> str:
    """The verdict in a line."""
    bad = sum(one.outcome != "kept" for one in record.verdicts)
    return WORDS[language][record.status].format(
        name=record.charter.name, count=bad, all=len(record.verdicts)
    )


def first_lines(record: Record, language: Language) -> tuple[str, ...]:
    """Whether the model beats the cheap baseline, and how many charters were judged on this split before."""
    words = WORDS[language]
    lines = []
    for one in record.findings:
        cheap = one.slice.get("baseline", "majority") != "majority"
        if one.area == "baseline" and cheap and one.value is None:
            lines.append(words["no_baseline"].format(because=one.because))
        elif one.metric == "headline_gain" and cheap:
            key = "better" if one.low is not None and one.low > 0 else "not_better"
            metric = one.method.split(" ")[0]
            lines.append(
                words[key].format(
                    baseline=one.slice["baseline"], metric=metric, gain=number(one, signed=True)
                )
            )
    before = record.judged_before
    lines.append(words["judged"].format(split=before["this_split"], data=before["this_data"]))
    return tuple(lines)


def limits(record: Record, language: Language) -> Block:
    """Every limit and demand, how it came out, and why."""
    words = WORDS[language]
    rows = []
    for one in record.verdicts:
        because = one.because
        if one.unjudged:
            because += "; " + words["unjudged"].format(slices=", ".join(one.unjudged))
        measured = "" if one.finding is None else number(one.finding)
        outcome = one.outcome if language == "en" else words[one.outcome]
        rows.append((one.limit, outcome, measured, because))
    return Block(
        words["limits"], (words["limit"], words["outcome"], words["measured"], words["because"]), tuple(rows)
    )


def scores(record: Record, language: Language) -> Block:
    """The scores over all test rows."""
    chosen = [
        one
        for one in record.findings
        if one.area in ("performance", "calibration") and not one.slice and one.metric != "confusion"
    ]
    return _block(language, "scores", chosen)


def sections(record: Record, language: Language) -> Iterator[Block]:
    """The tables of the page after limits and scores."""
    groups = set(record.charter.data.groups)
    found = record.findings
    yield _block(
        language,
        "classes",
        [one for one in found if one.area == "performance" and set(one.slice) == {"class"}],
    )
    yield _block(
        language, "groups", [one for one in found if one.area != "data" and one.slice.keys() & groups]
    )
    yield _block(language, "baselines", [one for one in found if one.area == "baseline"])
    yield _block(
        language,
        "calibration",
        [one for one in found if one.area == "calibration" and not one.slice.keys() & groups],
    )
    others = ("performance", "baseline", "calibration", "data", "training")
    for area in sorted({one.area for one in found} - set(others)):
        yield _block(language, area, [one for one in found if one.area == area])
    yield _block(language, "data", [one for one in found if one.area == "data"])
    yield _block(language, "learning", [one for one in found if one.area == "training"])


def _block(language: Language, key: str, findings: Sequence[Finding]) -> Block:
    words = WORDS[language]
    rows = [
        (
            one.metric,
            ", ".join(f"{name}: {value}" for name, value in one.slice.items()),
            number(one) if one.value is not None else one.because,
            "" if one.n is None else f"{one.n:,}",
            one.method,
        )
        for one in findings
    ]
    headings = (words["metric"], words["slice"], words["value"], words["rows"], words["method"])
    return Block(words.get(key, key), headings, tuple(rows))


def number(one: Finding, *, signed: bool = False) -> str:
    """A value with its interval: `0.712 (0.690 to 0.734)`."""
    if one.value is None:
        return "?"
    whole = one.low is None and float(one.value).is_integer()
    text = f"{one.value:,.0f}" if whole else f"{one.value:+.3f}" if signed else f"{one.value:.3f}"
    if one.low is None or one.high is None:
        return text
    ends = f"{one.low:+.3f} … {one.high:+.3f}" if signed else f"{one.low:.3f} – {one.high:.3f}"
    return f"{text} ({ends})"

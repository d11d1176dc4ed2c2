"""Reading a record's findings: which of them a part of a page, a card or a comparison is about. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from charter.release.record import Record
from charter.runs.findings import Finding
from charter.spec.metrics import HEADLINES, LANGUAGE_MODELS, OVERALL


def findings_of(record: Record) -> list[Finding]:
    """The findings on data and training, and those on the first released format (others are in the raw table)."""
    exports = record.provenance.get("exports") or {}
    first = next((one["digest"] for one in exports.values()), "")
    others = {one["digest"] for one in exports.values()} - {first}
    return [one for one in record.findings if one.of not in others]


def headline(record: Record) -> str:
    """The task's main score: what early stopping and the baselines read."""
    known = HEADLINES.get(record.charter.task.use)
    told = next((one["score"] for one in reversed(record.history) if "score" in one), None)
    measured = next((one.metric for one in record.findings if one.area == "performance"), "")
    return known or told or measured


def foremost(record: Record) -> str:
    """The score that is shown first: the main one; of a language model the one that the charter's first limit is on, or perplexity.

    A language model's main score, the share of tokens found, is what comparisons are made by; few charters are about it.
    """
    task = record.charter.task.use
    if task not in LANGUAGE_MODELS:
        return headline(record)
    measured = OVERALL["performance"][task]
    asked = (one.metric for one in record.charter.limits if not one.slices and one.metric in measured)
    return next(asked, "perplexity")


def select(
    findings: Iterable[Finding], area: str, metric: str | None = None, names: Sequence[str] = ()
) -> list[Finding]:
    """Findings of an area (and a metric) whose slice has exactly these names."""
    return [
        one
        for one in findings
        if one.area == area and metric in (None, one.metric) and set(one.slice) == set(names)
    ]


def first(findings: Iterable[Finding], area: str, metric: str, **where: str) -> Finding | None:
    """The finding of a metric on exactly this slice."""
    return next(
        (one for one in findings if one.area == area and one.metric == metric and dict(one.slice) == where),
        None,
    )


def metrics_in_order(findings: Iterable[Finding]) -> list[str]:
    """Metrics as they first appear."""
    return list(dict.fromkeys(one.metric for one in findings))


def weakest_first(findings: Sequence[Finding]) -> list[Finding]:
    """By value, the lowest first; those without evidence at the end, the larger ones first."""
    return sorted(
        findings,
        key=lambda one: (one.value is None, one.value if one.value is not None else -(one.n or 0)),
    )


@dataclass(frozen=True)
class OneAnswer:
    """The class that a model gives to every test row, and how many rows these are."""

    answer: str
    rows: int


def one_answer(found: Iterable[Finding]) -> OneAnswer | None:
    """The one answer of a model of several classes that tells no rows apart; None of every other, or where it isn't known."""
    matrix = next((one for one in found if one.metric == "confusion" and one.attachment), None)
    if matrix is None or matrix.attachment is None:
        return None
    answered = [sum(column) for column in zip(*matrix.attachment["counts"], strict=True)]
    given = [label for label, count in zip(matrix.attachment["labels"], answered, strict=True) if count]
    return OneAnswer(given[0], sum(answered)) if len(given) == 1 and len(answered) > 1 else None


def main_scores(record: Record) -> Sequence[Finding]:
    """The scores over all test rows, the foremost first; what says the same twice is left out."""
    found = findings_of(record)
    whole = [one for one in found if one.area in ("performance", "calibration") and not one.slice]
    whole = [one for one in whole if one.metric not in ("confusion", "agreement", "temperature")]
    if first(whole, "performance", "micro_precision") is None:
        whole = [one for one in whole if one.metric != "micro_f1"]  # of one class per text it equals accuracy
    return sorted(whole, key=lambda one: one.metric != foremost(record))

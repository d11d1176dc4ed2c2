"""The section on privacy: what training spent, what that promises, and what else reads people's rows. Pure."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from charter.release.record import Record
from charter.release.report.lineage import ancestors_of
from charter.release.report.parts import Cell, Facts, Heading, Section, Table, Text
from charter.release.report.wording import Wording
from charter.release.selection import findings_of, first, one_answer
from charter.runs.findings import Finding
from charter.spec.privacy import Privacy

AREA = "privacy"
WEAK = 4.0
"""Above this epsilon the page says that the promise is weak by itself."""
OUTSIDE = "rows_outside_epsilon"


def privacy_sections(record: Record, say: Wording) -> Iterator[Section]:
    """The section, where the charter asks for privacy."""
    asked = record.charter.privacy
    if asked is None:
        return
    found = [one for one in findings_of(record) if one.area == AREA]
    parts: list[Any] = [*_lead(record, asked, found, say), Facts(list(_facts(record, asked, found, say)))]
    outside = [one for one in found if one.metric == OUTSIDE]
    if outside:
        parts += [_outside(outside, say), Text(say("privacy_outside_lead"), soft=True)]
    yield Section("privacy", say("privacy_section"), parts)


def privacy_doubts(record: Record, say: Wording) -> Iterator[str]:
    """What is to be said of privacy at once: that there is none after all, and what is not measured because of it."""
    asked = record.charter.privacy
    if asked is None:
        return
    if asked.reproducible_noise:
        yield say("privacy_void")
    for one in ancestors_of(record.provenance):
        if one.get("private") and _same_data(one["data"], record):
            yield say("privacy_earlier", name=one["name"])
    found = findings_of(record)
    units = first(found, AREA, "privacy_units")
    if units is not None and asked.delta * (units.value or 0) >= 1:
        counted = {"count": say.count(units.value or 0), "units": _units(record, say)}
        yield say("privacy_delta_large", delta=f"{asked.delta:g}", **counted)
    yield say("privacy_no_baseline")
    yield from _one_answer(found, say)


def _same_data(earlier: Mapping[str, Any], record: Record) -> bool:
    own = record.provenance.get("data", {})
    return record.charter.data_id == earlier["id"] or bool(
        earlier["source_digest"] == own.get("source_digest")
    )


def _one_answer(found: Sequence[Finding], say: Wording) -> Iterator[str]:
    """That every row got the same answer, which no baseline beside the model would show."""
    one = one_answer(found)
    if one is not None:
        yield say("privacy_one_answer", answer=one.answer, count=say.count(one.rows))


def _by_person(record: Record) -> bool:
    asked = record.charter.privacy
    assert asked is not None
    return asked.unit == "subject" or (asked.unit is None and record.charter.data.subject is not None)


def _unit(record: Record, say: Wording) -> str:
    return say("privacy_subject" if _by_person(record) else "privacy_row")


def _units(record: Record, say: Wording) -> str:
    return say("privacy_units_subject" if _by_person(record) else "privacy_units_row")


def private_batch(record: Record, say: Wording) -> str | None:
    """How large an update's batch is where its units are drawn by chance; None without a section privacy."""
    if record.charter.privacy is None:
        return None
    size = say.count(record.charter.training.batch_size)
    return say("batch_persons" if _by_person(record) else "batch_rows", count=size)


def _lead(record: Record, asked: Privacy, found: Sequence[Finding], say: Wording) -> Iterator[Text]:
    spent = first(found, AREA, "epsilon")
    if asked.reproducible_noise:
        yield Text(say("privacy_void"))
    if spent is None or spent.value is None:
        return
    factor = f"{math.exp(spent.value):,.4g}"
    yield Text(
        say(
            "privacy_lead",
            epsilon=f"{spent.value:.3g}",
            delta=f"{asked.delta:.2g}",
            factor=factor,
            unit=_unit(record, say),
        )
    )
    if spent.value > WEAK:
        yield Text(say("privacy_lead_large", factor=factor), soft=True)


def _facts(
    record: Record, asked: Privacy, found: Sequence[Finding], say: Wording
) -> Iterator[tuple[str, Cell]]:
    told = {one.metric: one for one in found if not one.slice}

    def value(metric: str) -> float:
        one = told.get(metric)
        return 0.0 if one is None or one.value is None else one.value

    budget = say("privacy_budget_said", epsilon=f"{asked.epsilon:g}", delta=f"{asked.delta:g}")
    yield say("privacy_budget"), Cell(budget)
    for metric in ("epsilon", "epsilon_of_one_trial", "epsilon_renyi"):
        one = told.get(metric)
        if one is not None and one.value is not None:
            yield say.metric(metric), Cell(f"{one.value:.4g}", say.said(one.method))
    search = record.charter.training.search
    if search is not None:
        by = say(f"distribution_{search.distribution or 'poisson'}")
        yield (
            say("privacy_search"),
            Cell(say("privacy_search_said", mean=say.count(search.trials), distribution=by)),
        )
    counted = {"count": say.count(value("privacy_units")), "units": _units(record, say)}
    yield say("privacy_unit"), Cell(say("privacy_unit_said", unit=_unit(record, say), **counted))
    yield say("privacy_neighbours"), Cell(say(f"privacy_{asked.neighbouring}"))
    correlated = "noise_bands" in told
    sampling = {"rate": f"{value('sampling_rate'):.3g}", "updates": say.count(value("private_updates"))}
    key = "privacy_no_sampling_said" if correlated else "privacy_sampling_said"
    yield say("privacy_sampling"), Cell(say(key, **sampling))
    key = "privacy_noise_seed" if asked.reproducible_noise else "privacy_noise_said"
    yield say("privacy_noise"), Cell(say(key, noise=f"{value('noise_multiplier'):.4g}"))
    if correlated:
        said = {"bands": say.count(value("noise_bands")), "sums": f"{value('noise_in_sums'):.3g}"}
        yield say("privacy_bands"), Cell(say("privacy_bands_said", **said))
    kind = f"privacy_clipping_{asked.clipping.use}"
    kind = say(kind) if say.has(kind) else asked.clipping.use
    clipped = say("privacy_clipping_said", norm=f"{value('clipping_norm'):.3g}", kind=kind)
    yield say("privacy_clipping"), Cell(clipped)
    yield say("privacy_kept"), Cell(say("privacy_kept_said" if search is None else "privacy_kept_search"))


def _outside(found: Sequence[Finding], say: Wording) -> Table:
    headings = [Heading(say("privacy_reading")), Heading(say("privacy_rows"), number=True)]
    rows = [
        [Cell(_read(one.slice["read"], say)), Cell(say.count(one.value or 0), kind="number")] for one in found
    ]
    return Table(say("privacy_outside"), headings, rows, narrow=True)


def _read(name: str, say: Wording) -> str:
    kind, _, rest = name.partition(" ")
    return say(f"read_{kind}", name=rest) if rest else say(f"read_{kind}")

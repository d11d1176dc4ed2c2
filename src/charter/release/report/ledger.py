"""The privacy ledger as sections: for the page and, part by part, for the terminal. Pure: `charter.cli` reads the ledger."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from charter.release.report.page import written
from charter.release.report.parts import Cell, Facts, Figure, Heading, Section, Table, Text
from charter.release.report.svg import box, line, svg, text
from charter.release.report.view import Fact, Opening
from charter.release.report.wording import Wording
from charter.release.report.words import Language

if TYPE_CHECKING:
    from charter.privacy.accounting import Mechanism
    from charter.privacy.accounts import Account
    from charter.privacy.entries import Charge
    from charter.privacy.ledger import Statement

HASH = 16
"""Characters of a hash that are shown."""
BROKEN_OFF = ("interrupted", "failed", "killed", "unfinished")
"""States of a training that broke off: what it had reserved stays spent."""
NEARLY = 0.9
"""A budget of which so much is spent is shown as running out."""


def render_ledger(
    statement: "Statement", states: Mapping[int, str], *, language: Language, created: str
) -> str:
    """The page as HTML: no script, no request. states: what became of each charge, by its line."""
    say = Wording(language)
    return written(
        "comparison.html",
        say=say,
        opening=ledger_opening(statement, say),
        sections=ledger_sections(statement, states, say),
        created=created,
    )


def ledger_opening(statement: "Statement", say: Wording) -> Opening:
    """The first screen: what is left of each budget."""
    unit = (
        "ledger_unit_subject"
        if any(one.unit == "subject" for one in statement.accounts)
        else "ledger_unit_row"
    )
    facts = [
        Fact(
            _whose(one, say),
            f"{said(one.spent, say)} / {said(one.budget.epsilon, say)}"
            if one.budget
            else said(one.spent, say),
            _note(one, say),
            _tone(one),
        )
        for one in statement.accounts
    ]
    lines = (
        [say("ledger_checked", lines=statement.head.lines, hash=statement.head.hash[:HASH])] if facts else []
    )
    return Opening(
        badge=say("ledger_badge"),
        title=say("ledger_title"),
        why=say("ledger_why", unit=say(unit)) if facts else say("ledger_none"),
        failing=(),
        lines=tuple(lines),
        facts=tuple(facts),
    )


def ledger_sections(statement: "Statement", states: Mapping[int, str], say: Wording) -> list[Section]:
    """Every section, in order."""
    if not statement.accounts:
        return []
    sections = [
        Section(
            "accounts",
            say("ledger_accounts"),
            [Text(say("ledger_accounts_lead")), accounts_table(statement, say)],
        )
    ]
    for place, account in enumerate(statement.accounts):
        parts = [*_figure(account, say), charges_table(account, states, say)]
        sections.append(
            Section(f"account-{place + 1}", say("ledger_charges", data=_whose(account, say)), parts)
        )
    return [*sections, *_budgets(statement, say), _how(statement, say)]


def accounts_table(statement: "Statement", say: Wording) -> Table:
    """A line for each data set and unit."""
    headings = [Heading(say("ledger_data"), again=True), Heading(say("ledger_unit"), again=True)]
    headings += [Heading(say(f"ledger_{name}"), number=True) for name in ("spent", "budget", "left", "runs")]
    rows = [
        [
            Cell(one.data, kind="own"),
            Cell(say(f"ledger_unit_{one.unit}"), say(f"ledger_{one.neighbouring}")),
            Cell(said(one.spent, say), _because(one, say), "number", bar=_bar(one)),
            _budget_cell(one, say),
            Cell("–" if one.left is None else said(one.left, say), kind="number"),
            Cell(say.count(len(one.charges)), kind="number"),
        ]
        for one in statement.accounts
    ]
    return Table(say("ledger_accounts"), headings, rows, stacked=True)


def charges_table(account: "Account", states: Mapping[int, str], say: Wording) -> Table:
    """A line for each run that is charged to a data set."""
    headings = [
        Heading(say("ledger_number"), number=True),
        Heading(say("ledger_when"), again=True),
        Heading(say("ledger_run"), again=True),
    ]
    headings += [Heading(say("ledger_alone"), number=True), Heading(say("ledger_after"), number=True)]
    headings += [Heading(say("ledger_mechanism")), Heading(say("ledger_state"), again=True)]
    rows = []
    for charge, after in zip(account.charges, account.course, strict=True):
        state = states.get(charge.number, "reserved")
        good = {"settled": "kept", "running": ""}.get(
            state, "broken" if state in ("plain", "exceeded") else "none"
        )
        alone = "" if charge.plain else say("ledger_delta", delta=f"{charge.delta:g}")
        rows.append(
            [
                Cell(str(charge.number), kind="number"),
                Cell(charge.at[:16].replace("T", " ")),
                Cell(charge.held.run, say.stage(charge.stage), "code"),
                Cell(said(charge.epsilon, say), alone, "number"),
                Cell(said(after, say), kind="number"),
                Cell("; ".join(_mechanism(one, charge, say) for one in charge.mechanisms) or "–"),
                Cell(say(f"ledger_state_{state}"), _remarks(account, charge, state, say), good),
            ]
        )
    return Table(say("ledger_charges", data=account.data), headings, rows, stacked=True)


def ledger_json(statement: "Statement", states: Mapping[int, str]) -> dict[str, Any]:
    """The statement as JSON; null stands for an infinite cost."""
    return {
        "ledger": str(statement.folder),
        "head": {"lines": statement.head.lines, "hash": statement.head.hash},
        "accounts": [
            {
                "data": one.data,
                "unit": one.unit,
                "neighbouring": one.neighbouring,
                "spent": _finite(one.spent),
                "because": one.because,
                "delta": one.delta,
                "budget": None if one.budget is None else one.budget.epsilon,
                "left": one.left,
                "runs": [
                    _charge_json(charge, after, states)
                    for charge, after in zip(one.charges, one.course, strict=True)
                ],
            }
            for one in statement.accounts
        ],
        "budgets": [vars(one) for one in statement.record.budgets],
    }


def said(value: float, say: Wording) -> str:
    """An epsilon."""
    return (
        say("ledger_infinite")
        if math.isinf(value)
        else f"{value:.2f}"
        if value >= 0.1 or value == 0
        else f"{value:.2g}"
    )


def ledger_told(provenance: Mapping[str, Any]) -> Iterator[str]:
    """The ledger's head in a line of `charter verify`, a line for each account."""
    head = (provenance.get("privacy") or {}).get("ledger")
    if not head:
        return
    lines, last = int(head["lines"]), str(head["hash"])[:HASH]
    yield f"it says that its privacy ledger had {lines} lines, the last one {last}; the ledger was not looked at"
    for one in head.get("accounts", ()):
        spent = "without bound" if one["spent"] is None else f"{one['spent']:.4g}"
        budget = "no budget" if one["budget"] is None else f"a budget of {one['budget']:g}"
        data = " ".join(str(head.get("data", "")).split())[:80]
        yield f"it says that epsilon {spent} of {budget} was spent on '{data}' by {int(one['runs'])} runs, at delta {one['delta']:g}"


def _charge_json(charge: "Charge", after: float, states: Mapping[int, str]) -> dict[str, Any]:
    return {
        "line": charge.number,
        "at": charge.at,
        "data": charge.data,
        "run": charge.held.run,
        "stage": charge.stage,
        "state": states.get(charge.number, "reserved"),
        "rows": charge.rows,
        "epsilon": _finite(charge.epsilon),
        "delta": charge.delta,
        "spent_after": _finite(after),
        "accountant": charge.accountant,
        "mechanisms": [_mechanism_json(one) for one in charge.mechanisms],
        "shares": {str(number): count for number, count in charge.shares.items()},
    }


def _mechanism_json(mechanism: "Mechanism") -> dict[str, Any]:
    told = {"use": type(mechanism).__name__.lower(), **vars(mechanism)}
    return {**told, "run": _mechanism_json(mechanism.run)} if hasattr(mechanism, "run") else told


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _whose(account: "Account", say: Wording) -> str:
    opened, closed = ("（", "）") if say.language == "zh" else (" (", ")")
    return f"{account.data}{opened}{say(f'ledger_unit_{account.unit}')}{closed}"


def _because(account: "Account", say: Wording) -> str:
    return say(f"ledger_because_{account.because}") if account.because else ""


def _note(account: "Account", say: Wording) -> str:
    if account.because:
        return _because(account, say)
    delta = say("ledger_delta", delta=f"{account.delta:g}")
    if account.budget is None:
        return delta
    share = f"{account.spent / account.budget.epsilon:.0%}"
    return f"{say('ledger_used', share=share)} · {delta}"


def _tone(account: "Account") -> str:
    if account.budget is None:
        return "bad" if account.because else ""
    if account.spent > account.budget.epsilon:
        return "bad"
    return "unsure" if account.spent > NEARLY * account.budget.epsilon else "good"


def _bar(account: "Account") -> tuple[float, float] | None:
    if account.budget is None:
        return None
    return (min(account.spent, account.budget.epsilon), account.budget.epsilon)


def _budget_cell(account: "Account", say: Wording) -> Cell:
    delta = say("ledger_delta", delta=f"{account.delta:g}")
    if account.budget is None:
        return Cell(say("ledger_no_budget"), delta, "number")
    return Cell(f"{account.budget.epsilon:g}", delta, "number")


def _remarks(account: "Account", charge: "Charge", state: str, say: Wording) -> str:
    """What is to be known of a run beside its state."""
    stays = say("ledger_stays") if state in BROKEN_OFF else ""
    return " · ".join(part for part in (stays, _shared(account, charge, say)) if part)


def _shared(account: "Account", charge: "Charge", say: Wording) -> str:
    """Whose run it is where it has another id, and how many rows the two have in common."""
    if charge.data == account.data:
        return ""
    own = {one.number for one in account.charges if one.data == account.data}
    counts = [count for number, count in charge.shares.items() if number in own]
    counts += [
        one.shares[charge.number]
        for one in account.charges
        if one.number in own and charge.number in one.shares
    ]
    return say("ledger_shared", data=charge.data, rows=say.count(max(counts, default=0)))


def _mechanism(mechanism: "Mechanism", charge: "Charge", say: Wording) -> str:
    best: Any = mechanism
    if hasattr(best, "run"):
        said = {"mean": f"{best.mean:g}", "run": _mechanism(best.run, charge, say)}
        return say(f"ledger_best_{best.distribution}", **said)
    told = {"steps": say.count(mechanism.steps), "noise": f"{mechanism.noise:.4g}"}
    if hasattr(mechanism, "rate"):
        return say(f"ledger_sampled_{charge.unit or 'row'}", rate=f"{mechanism.rate:.3g}", **told)
    return say("ledger_gaussian", **told)


def _figure(account: "Account", say: Wording) -> Iterator[Figure]:
    """What was spent after each run as bars, and the budget as a line; nothing where it has no bound."""
    course = account.course
    if not course or not all(math.isfinite(one) for one in course):
        return
    caption = say("ledger_plot", data=_whose(account, say))
    yield Figure(_drawn(account, course, caption, say), caption, wide=len(course) > MOST_BARS)


MOST_BARS = 12
MOST_TICKS = 5.0


def _drawn(account: "Account", course: Sequence[float], title: str, say: Wording) -> str:
    left, top, height = 46, 24, 150
    step = 40 if len(course) <= MOST_BARS else 26
    width = max(step * len(course), 240)
    budget = None if account.budget is None else account.budget.epsilon
    most = 1.1 * max(*course, budget or 0.0, 1e-9)

    def up(value: float) -> float:
        return top + (1 - value / most) * height

    body = []
    for value in _ticks(max(*course, budget or 0.0)):
        body += [
            line(left, up(value), left + width, up(value), "guide"),
            text(left - 7, up(value) + 4, f"{value:g}", "end"),
        ]
    for place, (charge, value) in enumerate(zip(account.charges, course, strict=True)):
        x = left + place * step + 6
        before = course[place - 1] if place else 0.0
        body.append(box(x, up(before), step - 12, top + height - up(before), "mass", 0.35))
        body.append(box(x, up(value), step - 12, max(up(before) - up(value), 1.5), "mass", 0.9))
        body.append(text(x + (step - 12) / 2, top + height + 18, str(charge.number), "middle", "soft"))
    if budget is not None:
        body.append(line(left, up(budget), left + width, up(budget), "bound"))
        body.append(
            text(left + width, up(budget) - 6, say("ledger_plot_budget", epsilon=f"{budget:g}"), "end")
        )
    body.append(text(left + width / 2, top + height + 38, say("ledger_number"), "middle", "soft"))
    return svg(title, left + width + 12, top + height + 46, body)


def _ticks(most: float) -> list[float]:
    """Round values from 0 to at most this, about five of them."""
    if most <= 0:
        return [0.0]
    unit = 10.0 ** math.floor(math.log10(most))
    step = next(one * unit for one in (0.2, 0.25, 0.5, 1, 2, 2.5) if most / (one * unit) <= MOST_TICKS)
    return [round(place * step, 12) for place in range(math.floor(most / step + 1e-9) + 1)]


def _budgets(statement: "Statement", say: Wording) -> Iterator[Section]:
    budgets = statement.record.budgets
    if not budgets:
        return
    headings = [
        Heading(say("ledger_number"), number=True),
        Heading(say("ledger_when"), again=True),
        Heading(say("ledger_data"), again=True),
    ]
    headings += [Heading(say("ledger_epsilon"), number=True), Heading(say("ledger_run"), again=True)]
    rows = [
        [
            Cell(str(one.number), kind="number"),
            Cell(one.at[:16].replace("T", " ")),
            Cell(one.data, kind="own"),
            Cell(f"{one.epsilon:g}", say("ledger_delta", delta=f"{one.delta:g}"), "number"),
            Cell(one.run, kind="code"),
        ]
        for one in budgets
    ]
    yield Section(
        "budgets", say("ledger_budgets"), [Table(say("ledger_budgets"), headings, rows, stacked=True)]
    )


def _how(statement: "Statement", say: Wording) -> Section:
    accountants = dict.fromkeys(one.accountant for one in statement.record.charges if one.accountant)
    facts = [
        (say("ledger_accountant"), Cell("; ".join(say.said(one) for one in accountants) or "–")),
        (say("ledger_filter"), Cell(say("ledger_filter_said"))),
        (say("ledger_not"), Cell(say("ledger_not_said"))),
    ]
    return Section("how", say("ledger_how"), [Facts(facts)])

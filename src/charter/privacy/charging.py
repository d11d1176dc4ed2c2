"""Charging: what a training that is asked for comes to beside what a ledger has on record, and whether its budget holds that. Pure.

`charter.privacy.ledger` puts it on record; `foreseen` works it out for several trainings without writing anything.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from charter.errors import BudgetError
from charter.privacy.accounting import NEIGHBOURING, Neighbouring, accountant_named, epsilon
from charter.privacy.accounts import account_of, budget_of, charged_to, fitting, spent_by
from charter.privacy.entries import BudgetSet, Charge, Held, Record, Unit, now
from charter.privacy.filters import Budget, Favoured, curve, favourite
from charter.privacy.fingerprints import Fingerprints, kept, shared
from charter.privacy.plan import Spend
from charter.privacy.refusals import refusal, refusal_of_plain


@dataclass(frozen=True)
class Asked:
    """What a training asks for.

    data: the data set's id. spend: what it promises by itself, and what it is made of. identity: of `identity_of`. fingerprints: of
    the rows that it learns from; None where they can't be told, and no other id is then recognised. epochs: its passes over the
    data, for what is said when it is refused. made: it has ended before, maybe under another id, and its model is used again.
    """

    data: str
    unit: Unit
    neighbouring: Neighbouring
    spend: Spend
    identity: str
    held: Held
    stage: str = "train"
    fingerprints: Fingerprints | None = None
    epochs: int | None = None
    made: bool = False


def with_budget(record: Record, data: str, budget: Budget | None, run: str) -> Record:
    """The record as it is once the budget that a charter says is set; number 0: it is not on record yet."""
    known = budget_of(record, data)
    if budget is None or (
        known is not None and (known.epsilon, known.delta) == (budget.epsilon, budget.delta)
    ):
        return record
    said = BudgetSet(0, data, budget.epsilon, budget.delta, now(), run)
    return replace(record, budgets=(*record.budgets, said))


def shared_rows(record: Record, fingerprints: Fingerprints | None, folder: Path) -> dict[int, int]:
    """The entries that learned from some of these rows, and from how many."""
    if fingerprints is None:
        return {}
    counts: dict[str, int] = {}
    for name in {one.fingerprints for one in record.charges if one.fingerprints is not None}:
        counts[name] = shared(kept(folder, name), fingerprints.values)
    return {
        one.number: counts[one.fingerprints]
        for one in record.charges
        if one.fingerprints is not None and counts[one.fingerprints]
    }


def charge_of(record: Record, asked: Asked, folder: Path) -> Charge:
    """What is asked for as it will stand on record, number 0."""
    spend, relation = asked.spend, asked.neighbouring
    limit = budget_of(record, asked.data)
    budget = Budget(spend.epsilon, spend.delta) if limit is None else Budget(limit.epsilon, limit.delta)
    curves = {name: curve(spend.mechanisms, name) for name in NEIGHBOURING}
    first: Favoured = favourite(curves[relation], budget)
    alone = epsilon(spend.mechanisms, budget.delta, neighbouring=relation)
    return Charge(
        number=0,
        data=asked.data,
        at=now(),
        stage=asked.stage,
        rows=0 if asked.fingerprints is None else asked.fingerprints.rows,
        held=asked.held,
        fingerprints=None,
        shares=shared_rows(record, asked.fingerprints, folder),
        unit=asked.unit,
        neighbouring=relation,
        identity=asked.identity,
        mechanisms=tuple(spend.mechanisms),
        epsilon=spend.epsilon,
        delta=spend.delta,
        alone=(alone, budget.delta),
        accountant=accountant_named(spend.mechanisms),
        renyi=curves,
        favoured=first,
        key="" if asked.fingerprints is None else asked.fingerprints.key,
    )


def check_charge(before: Record, after: Record, charge: Charge, asked: Asked) -> None:
    """Refuse a charge with which any account that it is charged to would pass its budget.

    Raises:
        BudgetError: one would, with the figures and what would fit.
    """
    own = {one.number for one in after.charges if charge.shares.get(one.number)}
    touched = dict.fromkeys([asked.data, *(one.data for one in after.charges if one.number in own)])
    for data in touched:
        limit = budget_of(after, data)
        if limit is None:
            continue
        budget = Budget(limit.epsilon, limit.delta)
        charges = charged_to(after, data)
        views = dict.fromkeys((one.unit, one.neighbouring) for one in charges if one.data == data)
        for unit, relation in views:
            if unit is None or relation is None:
                continue
            together = spent_by(charges, unit, relation, budget.delta)
            if together <= budget.epsilon:
                continue
            earlier = (
                charged_to(before, data)
                if data != asked.data
                else tuple(o for o in charges if o is not charge)
            )
            account = replace(
                account_of(before, data, unit, relation),
                budget=limit,
                delta=budget.delta,
                charges=earlier,
            )
            account = replace(account, spent=spent_by(earlier, unit, relation, budget.delta))
            fit = fitting(earlier, charge, unit, relation, budget)
            raise refusal(
                account, charge, together, fit, asked.epochs, by_data(after, charge.shares).get(data, 0)
            )


def check_made(record: Record, made: Charge, asked: Asked) -> None:
    """Refuse a training that is on record under another id where the account of the id that uses its model again would pass its budget.

    Raises:
        BudgetError: it would, with the figures and what would fit.
    """
    charge = replace(made, data=asked.data)
    others = tuple(one for one in record.charges if one.number != made.number)
    after = sorted((*others, charge), key=lambda one: one.number)
    check_charge(replace(record, charges=others), replace(record, charges=tuple(after)), charge, asked)


def by_data(record: Record, shares: Mapping[int, int]) -> dict[str, int]:
    """Of each data set the most rows that one of its runs has in common."""
    found: dict[str, int] = {}
    for one in record.charges:
        if one.number in shares:
            found[one.data] = max(found.get(one.data, 0), shares[one.number])
    return found


def touched_by(record: Record, data: str, shares: Mapping[int, int]) -> list[str]:
    """The data sets that learning from one of them is charged to, that one first."""
    return list(dict.fromkeys([data, *sorted(one.data for one in record.charges if one.number in shares)]))


def check_plain(record: Record, data: str, shares: Mapping[int, int]) -> None:
    """Refuse learning without privacy where the data, or others with the same rows, have a budget.

    Raises:
        BudgetError: they have.
    """
    for owner in touched_by(record, data, shares):
        limit = budget_of(record, owner)
        if limit is not None:
            raise refusal_of_plain(owner, limit, by_data(record, shares), data)


@dataclass(frozen=True)
class Foreseen:
    """What several trainings would come to on the account of one data set, each in turn.

    spent: before the first. after: after each of them that is not on record yet, also beyond the budget. budget: None without one.
    refused: the first that does not fit, by its place among those asked for, and why; None where all do.
    """

    data: str
    budget: Budget | None
    spent: float
    after: tuple[float, ...]
    refused: tuple[int, BudgetError] | None = None


def foreseen(record: Record, asked: Sequence[Asked], budget: Budget | None, folder: Path) -> Foreseen:
    """Work out whether trainings on one data set fit its budget one after the other, by the ledger's own filter; nothing is written.

    asked: all of the same data set, unit and neighbouring relation; one that is on record already costs nothing more. folder: the ledger's.

    Raises:
        MissingExtraError: dp-accounting is not installed.
    """
    first = asked[0]
    record = with_budget(record, first.data, budget, first.held.run)
    view = (first.data, first.unit, first.neighbouring)
    spent, refused = account_of(record, *view).spent, None
    after: list[float] = []
    number = max([0, *(one.number for one in record.charges), *(one.number for one in record.budgets)])
    for place, one in enumerate(asked):
        if record.of_identity(one.identity) is None:
            number += 1
            charge = replace(charge_of(record, one, folder), number=number)
            grown = replace(record, charges=(*record.charges, charge))
            try:
                check_charge(record, grown, charge, one)
            except BudgetError as error:
                refused = refused or (place, error)
            record, account = grown, account_of(grown, *view)
            if not after:  # under a new id, what its rows have spent under others
                earlier = tuple(one for one in account.charges if one.number != number)
                spent = spent_by(earlier, first.unit, first.neighbouring, account.delta)
            after.append(account.spent)
    limit = budget_of(record, first.data)
    known = None if limit is None else Budget(limit.epsilon, limit.delta)
    return Foreseen(first.data, known, spent, tuple(after), refused)

"""Accounts: what was spent of a data set's privacy, by what a ledger has on record.

Who is charged. A run is charged to the data set that it names, and to every other one that learned from some of the same rows, whatever
it is called; one row in common is enough. So a data set's account holds the runs under its own name and all that share a row with one
of these, earlier ones too: whoever is in it was in at most those runs.

By which unit. An account is of one unit and one neighbouring relation. A run by subject counts by row as if the subject's whole
share were replaced, which adding or removing one of its rows can't exceed. A run by row promises nothing to a subject, who may
have any number of rows: it counts as infinite. So does everything that was learned without privacy.

How much. One run alone costs what the accountant of loss distributions says; of several, the filter adds up (`charter.privacy.filters`).
"""

import math
import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from charter.privacy.accounting import Mechanism, Neighbouring, changed, epsilon
from charter.privacy.entries import BudgetSet, Charge, Record, Unit
from charter.privacy.filters import NOTHING, ORDERS, Budget, curve, epsilon_of
from charter.runs.locks import is_held
from charter.runs.run import status_of
from charter.runs.store import Store

Why = str
BY_ROW, WITHOUT = "by row", "without privacy"
"""Why an account's cost is infinite."""


@dataclass(frozen=True)
class Account:
    """What was spent on a data set, by one unit and relation.

    budget: None where none was ever set. spent: epsilon at the budget's delta (without a budget, at that of the first run);
    infinite where a run promises nothing by this unit, and `because` then says why. left: what is missing to the budget; since
    costs do not simply add up, a further run may have somewhat more or less.
    """

    data: str
    unit: Unit
    neighbouring: Neighbouring
    budget: BudgetSet | None
    delta: float
    spent: float
    charges: tuple[Charge, ...]
    because: Why = ""

    @property
    def left(self) -> float | None:
        """Epsilon that is left; None without a budget."""
        return None if self.budget is None else max(self.budget.epsilon - self.spent, 0.0)

    @property
    def course(self) -> tuple[float, ...]:
        """What was spent after each of its runs, in order."""
        counts = range(1, len(self.charges) + 1)
        return tuple(
            spent_by(self.charges[:count], self.unit, self.neighbouring, self.delta) for count in counts
        )


def accounts_of(record: Record) -> tuple[Account, ...]:
    """Every account, in the order in which data sets were first charged."""
    found = []
    for data in dict.fromkeys(one.data for one in record.charges):
        views = dict.fromkeys((one.unit, one.neighbouring) for one in record.charges if one.data == data)
        kinds = [(unit, relation) for unit, relation in views if unit is not None and relation is not None]
        found += [account_of(record, data, *kind) for kind in kinds or [("row", "add_or_remove")]]
    return tuple(found)


def account_of(record: Record, data: str, unit: Unit, neighbouring: Neighbouring) -> Account:
    """What was spent on one data set, by one unit and relation."""
    charges = charged_to(record, data)
    budget = budget_of(record, data)
    first = next((one for one in charges if not one.plain), None)
    delta = budget.delta if budget is not None else first.delta if first is not None else 0.0
    spent = spent_by(charges, unit, neighbouring, delta)
    because = ""
    if math.isinf(spent):
        because = WITHOUT if any(one.plain for one in charges) else BY_ROW
    return Account(data, unit, neighbouring, budget, delta, spent, charges, because)


def budget_of(record: Record, data: str) -> BudgetSet | None:
    """The budget that a data set has now."""
    return next((one for one in reversed(record.budgets) if one.data == data), None)


def charged_to(record: Record, data: str) -> tuple[Charge, ...]:
    """The runs that are charged to a data set: its own, and those that share rows with one of them."""
    own = {one.number for one in record.charges if one.data == data}
    return tuple(one for one in record.charges if one.number in own or _shares(one, own, record.charges))


def _shares(charge: Charge, own: set[int], charges: Iterable[Charge]) -> bool:
    """Shares stand in the later of two entries."""
    return bool(own & set(charge.shares)) or any(
        charge.number in one.shares for one in charges if one.number in own
    )


def cost(charge: Charge, unit: Unit, neighbouring: Neighbouring) -> NDArray[np.float64]:
    """(ORDERS,) what a run tells of one unit: its divergences between neighbouring data sets."""
    if charge.renyi is None or charge.unit is None:
        return np.full(len(ORDERS), np.inf)
    if charge.unit == unit:
        return charge.renyi[neighbouring]
    if charge.unit == "subject" and neighbouring == "add_or_remove":
        return charge.renyi["replace_one"]
    return np.full(len(ORDERS), np.inf)


def total_of(charges: Sequence[Charge], unit: Unit, neighbouring: Neighbouring) -> NDArray[np.float64]:
    """(ORDERS,) the divergences of runs, summed up."""
    return sum((cost(one, unit, neighbouring) for one in charges), start=NOTHING)


def spent_by(charges: Sequence[Charge], unit: Unit, neighbouring: Neighbouring, delta: float) -> float:
    """The epsilon at a delta that runs come to together, chosen adaptively."""
    if not charges:
        return 0.0
    total = total_of(charges, unit, neighbouring)
    favoured = next((one.favoured for one in charges if not one.plain), None)
    several = math.inf if favoured is None else epsilon_of(total, delta, favoured)
    only = charges[0]
    if (
        len(charges) == 1
        and (only.unit, only.neighbouring) == (unit, neighbouring)
        and only.alone[1] <= delta
    ):
        return min(several, only.alone[0])
    return several


Broken = Literal["interrupted", "failed", "killed", "unfinished"]
"""How a training broke off. It stays spent; the same training that goes on pays nothing more."""
BROKEN: tuple[Broken, ...] = get_args(Broken)
State = Literal["settled", "running", "reserved", "plain", "exceeded"] | Broken


def state_of(charge: Charge) -> State:
    """What became of a training, by the record of its run.

    settled: it came to its end. interrupted: by whoever ran it (Ctrl-C, SIGTERM). failed: by an error. killed: its process ended without a
    word. unfinished: it runs no more, and nothing on record says why. reserved: it is another machine's, which can't be seen from here.
    plain: without privacy. exceeded: it did more than it had reserved.
    """
    if charge.plain:
        return "plain"
    if charge.exceeded:
        return "exceeded"
    if charge.settled:
        return "settled"
    held = charge.held
    if not held.store or held.host != platform.node():
        return "reserved"
    store = Store(Path(held.store))
    if is_held(store.lock_file(f"run-{held.run}")):
        return "running"
    ended = status_of(store, held.run)
    return next((one for one in BROKEN if one == ended), "unfinished")


@dataclass(frozen=True)
class Fit:
    """What of a training would still fit: so many of its updates as a share, or all of them within this epsilon; None: nothing."""

    share: float
    epsilon: float | None


MOST_NOISE = 64.0
"""More than so many times the noise is not worth naming."""


def fitting(
    before: Sequence[Charge],
    asked: Charge,
    unit: Unit,
    neighbouring: Neighbouring,
    budget: Budget,
) -> Fit:
    """What would fit beside the runs before, in place of what was asked and does not.

    Raises:
        MissingExtraError: dp-accounting is not installed.
    """
    steps = sum(one.steps for one in asked.mechanisms)
    if (
        asked.unit != unit
        or not steps
        or (before and not np.any(np.isfinite(total_of(before, unit, neighbouring))))
    ):
        return Fit(0.0, None)
    favoured = before[0].favoured if before else asked.favoured

    def fits(mechanisms: Sequence[Mechanism]) -> bool:
        if not before:
            return epsilon(mechanisms, budget.delta, neighbouring=neighbouring) <= budget.epsilon
        total = total_of(before, unit, neighbouring) + curve(mechanisms, neighbouring)
        return epsilon_of(total, budget.delta, favoured) <= budget.epsilon

    def fewer(share: float) -> list[Mechanism]:
        return [changed(one, steps=int(one.steps * share)) for one in asked.mechanisms]

    low, high = 0.0, 1.0
    for _ in range(6):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(fewer(middle)) else (low, middle)
    if not any(one.steps for one in fewer(low)):
        low = 0.0
    return Fit(low, _fitting_epsilon(asked, fits, first=not before, budget=budget))


def _fitting_epsilon(
    asked: Charge, fits: Callable[[Sequence[Mechanism]], bool], *, first: bool, budget: Budget
) -> float | None:
    if first and asked.delta >= budget.delta:
        return budget.epsilon
    low, high = 1.0, 2.0
    while not fits([changed(one, noise=one.noise * high) for one in asked.mechanisms]):
        low, high = high, high * 2
        if high > MOST_NOISE:
            return None
    for _ in range(7):
        middle = (low + high) / 2
        good = fits([changed(one, noise=one.noise * middle) for one in asked.mechanisms])
        low, high = (low, middle) if good else (middle, high)
    quieter = [changed(one, noise=one.noise * high) for one in asked.mechanisms]
    return epsilon(quieter, asked.delta, neighbouring=asked.neighbouring or "add_or_remove")

"""What is said when training would pass the privacy budget of its data: the figures, and what would fit."""

import math
from collections.abc import Mapping

from charter.errors import BudgetError
from charter.privacy.accounting import Neighbouring
from charter.privacy.accounts import WITHOUT, Account, Fit
from charter.privacy.entries import BudgetSet, Charge, Unit

RELATIONS: Mapping[Neighbouring, str] = {"add_or_remove": "added or removed", "replace_one": "replaced"}
REMEDY = "A budget is raised by whoever answers for the data, in data.privacy_budget of the charter; that it was raised stays on record"


def refusal(
    account: Account, charge: Charge, together: float, fit: Fit, epochs: int | None, rows: int
) -> BudgetError:
    """What is said of a private training. together: what all runs would come to; rows: shared with data of another id."""
    limit = account.budget
    if limit is None:
        raise ValueError("an account without a budget refuses nothing")
    whose = ""
    if account.data != charge.data:
        whose = (
            f" It is charged because {rows:,} of the rows that this training of '{charge.data}' would learn from were learned from "
            f"under the id '{account.data}'."
        )
    runs = len(account.charges)
    others = sorted({one.data for one in account.charges} - {account.data})
    under = f", some under other ids with some of the same rows ({', '.join(others)})" if others else ""
    makes = f"asked {charge.epsilon:.4g} at delta {charge.delta:g}, which makes {_said(together)} together"
    said = (
        f"privacy budget of data '{account.data}': refused, nothing was learned.{whose} By {_unit(account.unit)} "
        f"{RELATIONS[account.neighbouring]}: budget epsilon {limit.epsilon:g} at delta {limit.delta:g}; "
        f"spent {_said(account.spent)} by {runs} run{'' if runs == 1 else 's'}{under}; {makes}; "
        f"left {_said(max(limit.epsilon - account.spent, 0.0))}. "
    )
    return BudgetError(
        said + _why_infinite(account, charge, together) + _fits(fit, charge, epochs, together) + f". {REMEDY}"
    )


def refusal_of_plain(owner: str, limit: BudgetSet, shares: Mapping[str, int], data: str) -> BudgetError:
    """What is said of learning without privacy. owner: the data set with the budget."""
    why = f"data '{data}' has a privacy budget of epsilon {limit.epsilon:g}"
    if owner != data:
        why = (
            f"{shares.get(owner, 0):,} of the rows of data '{data}' were learned from under the id '{owner}', which has a privacy "
            f"budget of epsilon {limit.epsilon:g}"
        )
    return BudgetError(
        f"{why}, and learning without privacy costs more than any: refused, nothing was learned. Add a section privacy (such as privacy: "
        "{epsilon: 3, delta: 1.0e-5}); or, where nobody's privacy is at stake, say data: {public: true} and take the budget out"
    )


def _why_infinite(account: Account, charge: Charge, together: float) -> str:
    if not math.isinf(together):
        return ""
    if account.because == WITHOUT or any(one.plain for one in account.charges):
        return "Something was learned from these rows without privacy, which no budget covers. "
    units = {one.unit for one in (*account.charges, charge)}
    if len(units) > 1:
        return (
            "Some of its runs are private by row and some by subject, and a run by row promises nothing to a person, who may have many "
            "rows: keep to one unit for a data set. "
        )
    return "No order of divergence is finite for these mechanisms: they add too little noise. "


def _fits(fit: Fit, charge: Charge, epochs: int | None, together: float) -> str:
    steps = sum(one.steps for one in charge.mechanisms)
    found = []
    fewer = int(steps * fit.share)
    if fewer:
        passes = math.floor(epochs * fit.share) if epochs else 0
        of = f" ({passes} of {epochs} epochs)" if passes and epochs else ""
        found.append(f"{fewer:,} of its {steps:,} updates{of}")
    if fit.epsilon is not None:
        found.append(
            f"all {steps:,} updates with privacy.epsilon at most {math.floor(fit.epsilon * 1000) / 1000:g}"
        )
    if not found:
        return "No training like it fits" + ("" if math.isinf(together) else " any more")
    return f"What would fit: {', or '.join(found)}"


def _unit(unit: Unit) -> str:
    return "one row" if unit == "row" else "one subject"


def _said(value: float) -> str:
    return "infinite" if math.isinf(value) else f"{value:.4g}"

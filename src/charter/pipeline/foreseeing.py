"""Whether all points of a sweep fit the privacy budget of their data, worked out before the first of them learns anything."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

from charter.errors import BudgetError
from charter.models.world import ALONE
from charter.pipeline.asked import Asked as Point
from charter.pipeline.continuing import go_on
from charter.pipeline.learning import train_stage
from charter.pipeline.planning import charter_unit, kept_key, promised, unit_count
from charter.pipeline.preparing import PreparedData, prepare_data
from charter.pipeline.pretraining import begin_base
from charter.pipeline.progress import OnProgress
from charter.pipeline.spending import Spending, ledger_of, spending_of
from charter.pipeline.spent import spent_of
from charter.privacy.charging import Asked, Foreseen, check_plain, foreseen, shared_rows
from charter.privacy.ledger import identity_of
from charter.runs.run import Run
from charter.spec.sweep import Sweep


@dataclass(frozen=True)
class _Planned:
    """What a point will ask for."""

    said: str
    spending: Spending
    asked: Asked


def check_plain_points(sweep: Sweep, points: Sequence[Point]) -> None:
    """Refuse a sweep one of whose points learns without privacy from data whose charter says a budget; nothing is read for that.

    Raises:
        BudgetError: there is one.
    """
    for one, point in zip(sweep.points, points, strict=True):
        budget = _budget(point)
        if budget is not None and _is_plain(point):
            raise BudgetError(
                f"--sweep {sweep.key}={one.said}: data '{point.charter.data_id}' has a privacy budget of epsilon {budget:g}, and a point "
                "without privacy costs more than any: refused, nothing was run. Leave that point out; or, where nobody's privacy is at "
                "stake, say data: {public: true} and take the budget out"
            ).about("data", "privacy_budget")


def check_budgets(run: Run, sweep: Sweep, points: Sequence[Point], tell: OnProgress) -> tuple[Foreseen, ...]:
    """Refuse a sweep that the budget of its data does not hold, before any point of it learns; nothing is charged here.

    The rows are prepared (the runs use them again), since what a training costs depends on how many there are. Returns what each
    data set's account would come to.

    Raises:
        BudgetError: with the figures; nothing was learned and nothing charged.
        LedgerError: the ledger was changed or can't be read.
    """
    planned = []
    for one, point in zip(sweep.points, points, strict=True):
        spending = spending_of(run, point.charter, point.folder)
        if spending is None or not is_limited(point):
            continue
        prepared = prepare_data(run, point.charter, point.folder)
        data = go_on(run, point.charter, point.folder, prepared, point.ancestor).data
        if _is_plain(point):
            _check_shared(spending, data)
        elif (asked := _asked(run, point, spending, data, tell)) is not None:
            planned.append(_Planned(one.said, spending, asked))
    return tuple(_account(sweep, together) for together in _by_account(planned))


def is_limited(point: Point) -> bool:
    """Whether anything of a point can be refused: its data, or others in the same ledger, have a budget."""
    if point.charter.data.public:
        return False
    ledger = ledger_of(point.charter, point.folder, point.store)
    return _budget(point) is not None or bool(ledger.statement().record.budgets)


def _budget(point: Point) -> float | None:
    said = point.charter.data.privacy_budget
    return None if said is None or point.charter.data.public else said.epsilon


def _is_plain(point: Point) -> bool:
    asked = point.charter.privacy
    return asked is None or asked.reproducible_noise


def _check_shared(spending: Spending, data: PreparedData) -> None:
    record = spending.ledger.statement().record
    shares = shared_rows(record, spending.fingerprints(data), spending.ledger.folder)
    check_plain(record, spending.charter.data_id, shares)


def _asked(run: Run, point: Point, spending: Spending, data: PreparedData, tell: OnProgress) -> Asked | None:
    """What a private point will ask the ledger for, which may have it on record; None where it has no update, or nobody knows."""
    charter = point.charter
    if not charter.training.epochs:
        return None
    begun = begin_base(run, charter, point.folder, data, tell, ALONE, ancestor=point.ancestor)
    world = replace(ALONE, size=charter.training.workers)
    key = train_stage(charter, charter.training, begun.base, data, world).key
    made = run.store.find(key)
    if made is None:
        spend = promised(charter, unit_count(charter, data))
        identity = identity_of(kept_key(run.store.work_folder(key)) or secrets.token_bytes(32), key)
    elif (known := spent_of(made.path)) is not None:
        identity, spend = known
    else:
        return None
    assert charter.privacy is not None
    return Asked(
        data=charter.data_id,
        unit=charter_unit(charter),
        neighbouring=charter.privacy.neighbouring,
        spend=spend,
        identity=identity,
        held=spending.held(),
        fingerprints=spending.fingerprints(data) if spending.ledger.exists else None,
        epochs=charter.training.epochs,
    )


def _by_account(planned: Sequence[_Planned]) -> list[list[_Planned]]:
    """Points that are charged to one account together: of one ledger, unit and relation."""
    found: dict[tuple[object, ...], list[_Planned]] = {}
    for one in planned:
        account = (one.spending.ledger.folder, one.asked.data, one.asked.unit, one.asked.neighbouring)
        found.setdefault(account, []).append(one)
    return list(found.values())


def _account(sweep: Sweep, together: Sequence[_Planned]) -> Foreseen:
    spending = together[0].spending
    ledger = spending.ledger
    record = ledger.statement().record
    asked = [one.asked for one in together]
    comes_to = foreseen(record, asked, spending.budget, ledger.folder)
    if comes_to.refused is None:
        return comes_to
    place, because = comes_to.refused
    fitting = ", ".join(one.said for one in together[:place])
    limit = (
        ""
        if comes_to.budget is None
        else (
            f"the budget is epsilon {comes_to.budget.epsilon:g} at delta {comes_to.budget.delta:g}; spent before {comes_to.spent:.4g}; all "
            f"{len(comes_to.after)} points would make {comes_to.after[-1]:.4g}. "
        )
    )
    fits = f"In this order {fitting} would fit. " if fitting else "Not even the first of them fits. "
    raise BudgetError(
        f"--sweep {sweep.key}: refused, nothing was run and nothing charged. Each point is charged to data '{comes_to.data}': {limit}{fits}"
        f"Of the point {together[place].said}: {because}"
    ).about("data", *([] if spending.budget is None else ["privacy_budget"]))

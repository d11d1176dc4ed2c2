"""The entries of a ledger: what a line of each kind says, and how it is read.

budget    a data set's budget was set, or set anew
reserved  a training began to spend: at its full cost, before its first update
resumed   the same training goes on in another run; it costs nothing more
settled   it came to its end, as planned
plain     something was learned without privacy: at infinite cost
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, ValidationError

from charter.errors import LedgerError
from charter.privacy.accounting import (
    DISTRIBUTIONS,
    NEIGHBOURING,
    BestOf,
    Gaussian,
    Mechanism,
    Neighbouring,
    Sampled,
)
from charter.privacy.filters import ORDERS, Favoured, curve

Unit = Literal["row", "subject"]
UNITS: tuple[Unit, ...] = get_args(Unit)
Kind = Literal["budget", "reserved", "resumed", "settled", "plain"]
FORMAT = 1


class _Budget(BaseModel):
    data: str
    epsilon: float = Field(gt=0)
    delta: float = Field(gt=0, lt=1)
    at: str
    run: str = ""


class _Charged(BaseModel):
    """What a `reserved` and a `plain` entry have in common."""

    data: str
    at: str
    run: str
    stage: str = ""
    store: str = ""
    host: str = ""
    rows: int = 0
    fingerprints: str | None = None
    key: str = ""
    shares: dict[int, int] = {}


class _Reserved(_Charged):
    unit: Unit
    neighbouring: Neighbouring
    identity: str
    mechanisms: list[dict[str, Any]]
    epsilon: float
    delta: float
    alone: tuple[float | None, float]
    accountant: str
    renyi: dict[Neighbouring, list[float | None]]
    favoured: tuple[float, float]


class _Later(BaseModel):
    """What a `resumed` and a `settled` entry have in common."""

    of: int
    at: str
    run: str = ""
    store: str = ""
    host: str = ""
    renyi: dict[Neighbouring, list[float | None]] | None = None


@dataclass(frozen=True)
class Held:
    """Who works on a training, or did last: its run, in which store and on which machine."""

    run: str
    store: str
    host: str


@dataclass(frozen=True)
class Charge:
    """A training on record and what it costs.

    number: of its line. unit, neighbouring, mechanisms: empty where it was plain. renyi: its divergences at `ORDERS`, by the
    neighbouring relation. epsilon, delta: what it promised by itself; alone: the same at the budget's delta.
    shares: earlier entries that learned from some of the same rows, and of how many. key: the tag of the fingerprints' key.
    """

    number: int
    data: str
    at: str
    stage: str
    rows: int
    held: Held
    fingerprints: str | None
    shares: Mapping[int, int]
    unit: Unit | None = None
    neighbouring: Neighbouring | None = None
    identity: str = ""
    mechanisms: tuple[Mechanism, ...] = ()
    epsilon: float = math.inf
    delta: float = 0.0
    alone: tuple[float, float] = (math.inf, 0.0)
    accountant: str = ""
    renyi: Mapping[Neighbouring, NDArray[np.float64]] | None = None
    favoured: Favoured = field(default_factory=lambda: Favoured(ORDERS[0], ORDERS[0]))
    settled: str = ""
    exceeded: bool = False
    key: str = ""

    @property
    def plain(self) -> bool:
        """Whether it was learned without privacy."""
        return self.unit is None


@dataclass(frozen=True)
class BudgetSet:
    """That a data set's budget was set, when, and by which run."""

    number: int
    data: str
    epsilon: float
    delta: float
    at: str
    run: str


@dataclass(frozen=True)
class Record:
    """What a ledger's entries come to: every budget that was set and every charge, in order."""

    budgets: tuple[BudgetSet, ...] = ()
    charges: tuple[Charge, ...] = ()

    def of_identity(self, identity: str) -> Charge | None:
        """The training of this identity, if it is on record."""
        return next((one for one in self.charges if one.identity == identity), None)


def read_record(entries: Sequence[Mapping[str, Any]], where: str) -> Record:
    """What entries come to. where: the file, for errors.

    Raises:
        LedgerError: an entry of an unknown kind, or that lacks something: another version of Charter wrote it.
    """
    budgets: list[BudgetSet] = []
    charges: dict[int, Charge] = {}
    for entry in entries:
        try:
            _take(entry, budgets, charges)
        except (ValidationError, KeyError, ValueError, TypeError) as error:
            what = (
                "lacks what this version reads"
                if entry.get("kind") in get_args(Kind)
                else "is of an unknown kind"
            )
            raise LedgerError(
                f"{where}:{entry.get('number', '?')}  this entry {what} ({type(error).__name__}): another version of Charter wrote it"
            ) from None
    return Record(tuple(budgets), tuple(charges.values()))


def _take(entry: Mapping[str, Any], budgets: list[BudgetSet], charges: dict[int, Charge]) -> None:
    number, kind = int(entry["number"]), entry["kind"]
    if kind == "budget":
        said = _Budget.model_validate(entry)
        budgets.append(BudgetSet(number, said.data, said.epsilon, said.delta, said.at, said.run))
    elif kind == "reserved":
        charges[number] = _reserved(number, _Reserved.model_validate(entry))
    elif kind == "plain":
        charges[number] = _charged(number, _Charged.model_validate(entry))
    elif kind in ("resumed", "settled"):
        later = _Later.model_validate(entry)
        charges[later.of] = _after(charges[later.of], later, kind)
    else:
        raise ValueError(kind)


def _charged(number: int, said: _Charged) -> Charge:
    held = Held(said.run, said.store, said.host)
    return Charge(
        number, said.data, said.at, said.stage, said.rows, held, said.fingerprints, said.shares, key=said.key
    )


def _reserved(number: int, said: _Reserved) -> Charge:
    base = _charged(number, said)
    return Charge(
        **{
            name: getattr(base, name)
            for name in ("number", "data", "at", "stage", "rows", "held", "fingerprints", "shares", "key")
        },
        unit=said.unit,
        neighbouring=said.neighbouring,
        identity=said.identity,
        mechanisms=tuple(mechanism_of(one) for one in said.mechanisms),
        epsilon=said.epsilon,
        delta=said.delta,
        alone=(math.inf if said.alone[0] is None else said.alone[0], said.alone[1]),
        accountant=said.accountant,
        renyi={name: curve_of(one) for name, one in said.renyi.items()},
        favoured=Favoured(*said.favoured),
    )


def _after(charge: Charge, later: _Later, kind: str) -> Charge:
    if kind == "resumed":
        return replace(charge, held=Held(later.run, later.store, later.host))
    if later.renyi is None:
        return replace(charge, settled=later.at)
    before = charge.renyi or {}  # nothing is paid back at any order
    grown = {name: np.maximum(curve_of(one), before.get(name, -np.inf)) for name, one in later.renyi.items()}
    return replace(charge, settled=later.at, renyi=grown, alone=(math.inf, 0.0), exceeded=True)


def mechanism_of(value: Mapping[str, Any]) -> Mechanism:
    """A mechanism from its JSON.

    Raises:
        ValueError, KeyError: it is none.
    """
    if value["use"] != "best_of":
        return _one_of(value)
    if value["distribution"] not in DISTRIBUTIONS:
        raise ValueError(value["distribution"])
    return BestOf(_one_of(value["run"]), value["distribution"], float(value["mean"]))


def _one_of(value: Mapping[str, Any]) -> Sampled | Gaussian:
    if value["use"] == "sampled_gaussian":
        return Sampled(float(value["rate"]), float(value["noise"]), int(value["steps"]))
    if value["use"] == "gaussian":
        return Gaussian(float(value["noise"]), int(value["steps"]))
    raise ValueError(value["use"])


def mechanism_json(mechanism: Mechanism) -> dict[str, Any]:
    """A mechanism as JSON; `mechanism_of` reads it back."""
    if isinstance(mechanism, Sampled):
        return {
            "use": "sampled_gaussian",
            "rate": mechanism.rate,
            "noise": mechanism.noise,
            "steps": mechanism.steps,
        }
    if isinstance(mechanism, BestOf):
        run = mechanism_json(mechanism.run)
        return {
            "use": "best_of",
            "run": run,
            "distribution": mechanism.distribution,
            "mean": mechanism.mean,
        }
    return {"use": "gaussian", "noise": mechanism.noise, "steps": mechanism.steps}


def curve_of(values: Sequence[float | None]) -> NDArray[np.float64]:
    """Divergences from their JSON, in which null is infinite.

    Raises:
        ValueError: they are not one for each of `ORDERS`.
    """
    if len(values) != len(ORDERS):
        raise ValueError("orders")
    return np.array([math.inf if one is None else one for one in values], dtype=np.float64)


def curve_json(values: NDArray[np.float64]) -> list[float | None]:
    """Divergences as JSON, rounded up."""
    return [None if not math.isfinite(one) else float(f"{one * (1 + 1e-9):.12g}") for one in values.tolist()]


def curves_json(mechanisms: tuple[Mechanism, ...]) -> dict[str, list[float | None]]:
    """The divergences of mechanisms together as JSON, by the neighbouring relation."""
    return {name: curve_json(curve(mechanisms, name)) for name in NEIGHBOURING}


def held_json(held: Held) -> dict[str, str]:
    """Who works on a training, as JSON."""
    return {"run": held.run, "store": held.store, "host": held.host}


def _as_entry(charge: Charge, kind: str) -> dict[str, Any]:
    return {
        "kind": kind,
        "format": FORMAT,
        "data": charge.data,
        "at": charge.at,
        "stage": charge.stage,
        **held_json(charge.held),
        "rows": charge.rows,
        "fingerprints": charge.fingerprints,
        "key": charge.key,
        "shares": {str(number): count for number, count in charge.shares.items()},
    }


def plain_entry(charge: Charge) -> dict[str, Any]:
    """The entry of something that is learned without privacy."""
    return _as_entry(charge, "plain")


def reserved_entry(charge: Charge) -> dict[str, Any]:
    """The entry of a private training; `read_record` reads it back."""
    curves = charge.renyi or {}
    return {
        **_as_entry(charge, "reserved"),
        "unit": charge.unit,
        "neighbouring": charge.neighbouring,
        "identity": charge.identity,
        "mechanisms": [mechanism_json(one) for one in charge.mechanisms],
        "epsilon": charge.epsilon,
        "delta": charge.delta,
        "alone": [charge.alone[0] if math.isfinite(charge.alone[0]) else None, charge.alone[1]],
        "accountant": charge.accountant,
        "renyi": {name: curve_json(one) for name, one in curves.items()},
        "favoured": [charge.favoured.most_runs, charge.favoured.first_run],
    }


def now() -> str:
    """The time, as it goes on record."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

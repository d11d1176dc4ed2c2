"""What a private training is charged in the ledger, and what it is evidence of; and what else reads people's rows."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from charter.data.columns import SPLIT
from charter.pipeline.planning import charter_unit
from charter.pipeline.preparing import PreparedData
from charter.pipeline.spending import Spending
from charter.privacy.accounting import accountant_named, epsilon
from charter.privacy.correlated import Correlated
from charter.privacy.entries import mechanism_json, mechanism_of
from charter.privacy.ledger import Reservation, identity_of
from charter.privacy.plan import Spend, StepPlan
from charter.privacy.private import Private
from charter.runs.files import read_json, write_json
from charter.runs.findings import Finding
from charter.spec.model import Charter
from charter.spec.privacy import Privacy

AREA = "privacy"
SPENT = "spent.json"
"""What a private training has spent, kept with its model: whoever uses that again is charged for it where it is on no record yet."""
OF_HELD_OUT_ROWS = ("performance", "calibration")
"""Audits that read no training row under a privacy budget. All others may: what they tell of them has no noise."""


@dataclass
class Charging:
    """What a private training is charged in the ledger of its data. training: the key of its stage; name: the stage's.

    secret: the key of the stream that all trials of a search draw from; None: the training's own.
    """

    charter: Charter
    data: PreparedData
    spending: Spending | None
    training: str
    name: str
    epochs: int
    secret: bytes | None = None
    reservation: Reservation | None = None
    asked: bool = False
    spend: Spend | None = None

    def reserve(self, plan: StepPlan, n: int, steps: int) -> None:
        """Before the first update, of all trials; a training that goes on is known again, and pays nothing.

        Raises:
            BudgetError: it would pass the budget of the data.
            LedgerError: the ledger was changed or can't be read.
        """
        asked = self.charter.privacy
        if self.spending is None or asked is None or not isinstance(plan, Private) or self.asked:
            return
        self.asked = True
        if asked.reproducible_noise:  # it promises nothing
            self.spending.check_plain(self.data, stage=self.name)
            return
        self.reservation = self.spending.reserve(
            self.data,
            self._cost(plan, n, steps),
            secret=self.secret or plan.stream.key,
            training=self.training,
            stage=self.name,
            unit=charter_unit(self.charter),
            neighbouring=asked.neighbouring,
            epochs=self.epochs,
        )

    def settle(self, plan: StepPlan, n: int, steps: int, files: Path) -> None:
        """After the last update; files: where the model is kept.

        Raises:
            BudgetError, LedgerError: as `reserve`.
        """
        if not steps:
            return
        self.reserve(plan, n, steps)  # broken off after its last update, it has not asked in this session
        if isinstance(plan, Private) and self.charter.privacy is not None:
            self._keep(plan, n, steps, files)
        if self.spending is not None and self.reservation is not None:
            self.spending.settle(self.reservation)

    def _cost(self, plan: Private, n: int, steps: int) -> Spend:
        self.spend = self.spend or plan.cost(n, steps)
        return self.spend

    def _keep(self, plan: Private, n: int, steps: int, files: Path) -> None:
        if self.charter.privacy is None or self.charter.privacy.reproducible_noise:
            return
        spend = self._cost(plan, n, steps)
        told = {
            "identity": identity_of(self.secret or plan.stream.key, self.training),
            "epsilon": spend.epsilon,
            "delta": spend.delta,
            "mechanisms": [mechanism_json(one) for one in spend.mechanisms],
        }
        write_json(files / SPENT, told)

    def charge_made(self, files: Path) -> None:
        """Of a model that was there already: charged to these data by this ledger, unless that has it on record.

        Raises:
            BudgetError: it would pass the budget of the data.
            LedgerError: the ledger was changed or can't be read.
        """
        asked = self.charter.privacy
        if self.spending is None or asked is None or self.asked or not self.epochs:
            return
        self.asked = True
        if asked.reproducible_noise:
            self.spending.check_plain(self.data, stage=self.name)
            return
        known = spent_of(files)
        if known is None:
            self.spending.run.note(
                self.name,
                "this model was made by a version of Charter that did not keep with it what it spent, so it can't be looked up in the "
                "privacy ledger and is not charged here; another training.seed makes one that is",
            )
            return
        identity, spend = known
        self.spending.charge_made(
            self.data,
            spend,
            identity=identity,
            stage=self.name,
            unit=charter_unit(self.charter),
            neighbouring=asked.neighbouring,
        )


def spent_of(files: Path) -> tuple[str, Spend] | None:
    """The identity of the training that a private model came from, and what it spent; None where nothing was kept of it."""
    try:
        told = read_json(files / SPENT)
    except FileNotFoundError:
        return None
    made = tuple(mechanism_of(one) for one in told["mechanisms"])
    return str(told["identity"]), Spend(float(told["epsilon"]), float(told["delta"]), made)


@dataclass(frozen=True)
class _Told:
    charter: Charter
    plan: Private
    n: int
    steps: int

    def finding(self, metric: str, value: float, unit: str, method: str) -> Finding:
        return Finding(
            AREA, metric, float(value), n=self.plan.count(self.n), unit=unit, method=method, split="train"
        )


def privacy_findings(charter: Charter, plan: StepPlan, n: int, steps: int) -> list[Finding]:
    """What so many updates on n examples have spent, by which accountant, and how; none of a plan that promises nothing."""
    if not isinstance(plan, Private) or charter.privacy is None:
        return []
    return list(_findings(_Told(charter, plan, n, steps), charter.privacy))


def _findings(told: _Told, asked: Privacy) -> Iterator[Finding]:
    plan = told.plan
    spent = plan.cost(told.n, told.steps)
    unit = "persons" if charter_unit(told.charter) == "subject" else "rows"
    stood = f"{unit} are protected, neighbouring data sets differ by {_NEIGHBOURS[asked.neighbouring]}"
    method = f"accountant of {accountant_named(spent.mechanisms)}; {plan.drawn}; {stood}"
    yield (
        _not_private(told)
        if asked.reproducible_noise
        else told.finding("epsilon", spent.epsilon, "nats", method)
    )
    if plan.trials is not None:
        one = epsilon(plan.mechanism(told.n, told.steps), plan.delta, neighbouring=plan.neighbouring)
        method = f"accountant of {accountant_named()}; {plan.drawn}; {stood}"
        yield told.finding("epsilon_of_one_trial", one, "nats", method)
    elif spent.mechanisms:
        other = epsilon(spent.mechanisms[0], plan.delta, "rdp", neighbouring=plan.neighbouring)
        if math.isfinite(other):
            yield told.finding("epsilon_renyi", other, "nats", f"accountant of Renyi divergences; {stood}")
    yield told.finding("delta", plan.delta, "chance", "as the charter asks")
    yield told.finding(
        "noise_multiplier",
        plan.noise,
        "times the sensitivity",
        "calibrated to the budget before the first update",
    )
    if isinstance(plan, Correlated):
        bands = len(plan.factorised.taps)
        yield told.finding(
            "noise_bands", bands, "updates", "banded inverse square root of the matrix of weights"
        )
        in_sums = plan.noise * plan.factorised.error
        yield told.finding(
            "noise_in_sums",
            in_sums,
            "times the clipping norm",
            "root mean square over updates, of the sum of gradients",
        )
    else:
        yield told.finding("sampling_rate", plan.rate(told.n), "share", "chance of a unit to be in an update")
    yield told.finding("clipping_norm", plan.clipping.sensitivity, "norm", f"clipping {asked.clipping.use}")
    yield told.finding("private_updates", told.steps, "updates", "count")
    yield told.finding("privacy_units", plan.count(told.n), unit, "count")


_NEIGHBOURS = {"add_or_remove": "one unit added or removed", "replace_one": "one unit replaced"}


def _not_private(told: _Told) -> Finding:
    return Finding(
        AREA,
        "epsilon",
        None,
        n=told.plan.count(told.n),
        unit="nats",
        method="none",
        split="train",
        because="not private: sampling and noise follow the charter's seed (privacy.reproducible_noise), so whoever knows it can take them "
        "out again",
    )


def outside_budget(charter: Charter, data: PreparedData) -> list[Finding]:
    """What else reads people's rows and tells of them without noise: each reading, and how many rows it reads."""
    if charter.privacy is None:
        return []
    rows = data.scan().select(SPLIT).collect()[SPLIT].value_counts()
    counts: Mapping[str, int] = dict(rows.iter_rows())
    everything = sum(counts.values())
    reads = [("split", everything), *((f"preparation {use.use}", everything) for use in charter.data.prepare)]
    reads += [("profile", everything), ("digests", everything)]
    if charter.data.target is not None and not charter.task.options.get("descriptions"):
        reads.append(("classes", everything))
    reads.append(("calibration", counts.get("calibration", 0) + counts.get("validation", 0)))
    if charter.training.search is not None:
        reads.append(("search", counts.get("validation", 0)))
    reads.append(("audits", counts.get("test", 0)))
    others = dict.fromkeys(use.use for use in charter.audits if use.use not in OF_HELD_OUT_ROWS)
    reads += [(f"audit {name}", counts.get("train", 0)) for name in others]
    return [
        Finding(
            AREA,
            "rows_outside_epsilon",
            float(count),
            slice={"read": name},
            unit="rows",
            method="count of the rows that this reads; nothing of it is in epsilon",
        )
        for name, count in reads
        if count
    ]

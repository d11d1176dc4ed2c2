"""Spending: a run asks the privacy ledger before it learns from anybody's rows.

    spending = spending_of(run, charter, folder)          # None where the data are public
    spending.check_plain(data, stage="train")             # learning without privacy: refused, or on record
    reservation = spending.reserve(data, spend, secret=..., training=stage.key, stage="train")     # before the first update
    spending.settle(reservation)                          # after the last
    spending.head()                                       # for the provenance

Everything that a run learns from is charged to its charter's data id: pre-training, fine-tuning, continual updates, trials of a search.
"""

import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from charter.errors import BudgetError, LedgerError, ModelError
from charter.pipeline.preparing import PreparedData
from charter.privacy.accounting import Mechanism, Neighbouring
from charter.privacy.accounts import budget_of
from charter.privacy.charging import Asked
from charter.privacy.entries import Held, Unit
from charter.privacy.filters import Budget
from charter.privacy.fingerprints import Fingerprints
from charter.privacy.ledger import Ledger, Reservation, identity_of
from charter.privacy.plan import Spend
from charter.runs.run import Run
from charter.runs.store import Store
from charter.spec.model import Charter

if TYPE_CHECKING:
    from charter.pipeline.ancestry import Ancestor

LEDGER = "ledger"
"""The ledger's folder in a store, unless the charter names another: no cleaning touches it."""


def ledger_folder(charter: Charter, folder: Path, store: Store) -> Path:
    """Where the ledger of a charter's data lies. folder: the charter's own."""
    budget = charter.data.privacy_budget
    named = None if budget is None else budget.ledger
    return store.root / LEDGER if named is None else (folder / named).absolute()


def ledger_of(charter: Charter, folder: Path, store: Store) -> Ledger:
    """The ledger of a charter's data. folder: the charter's own.

    Raises:
        LedgerError: it would be that of another store than the charter's own, whose ledger has these data with a budget.
    """
    ledger, home = Ledger(ledger_folder(charter, folder, store)), Ledger(folder / "runs" / LEDGER)
    budget = charter.data.privacy_budget
    named = budget is not None and budget.ledger is not None
    if charter.data.public or named or _same(ledger, home) or not home.exists:
        return ledger
    record = home.statement().record
    limited = {one.data for one in record.budgets}
    known = limited | {one.data for one in record.charges}
    if charter.data_id in (limited if budget is None else known):
        raise LedgerError(
            f"data '{charter.data_id}' have an account in the ledger {home.folder}, and in the store {store.root} their budget would "
            "begin anew. Name the ledger, data: {privacy_budget: {ledger: runs/ledger}}, or leave out --store"
        )
    return ledger


def _same(one: Ledger, other: Ledger) -> bool:
    return one.folder.resolve() == other.folder.resolve()


@dataclass(frozen=True)
class Spending:
    """What a run spends of its data's privacy."""

    run: Run
    charter: Charter
    ledger: Ledger

    @property
    def budget(self) -> Budget | None:
        """The budget that the charter says."""
        said = self.charter.data.privacy_budget
        return None if said is None or said.epsilon is None else Budget(said.epsilon, said.delta)

    @property
    def _limit_key(self) -> tuple[str, ...]:
        """The key that sets the limit on plain learning; the data's own where another charter set it."""
        return ("data",) if self.budget is None else ("data", "privacy_budget")

    def check_plain(self, data: PreparedData, *, stage: str = "train") -> None:
        """Learning without privacy: refused where the data, or others with the same rows, have a budget, unless they are said to be public.

        Else it is put on record where they have an account. Nothing is read and nothing written where there is no ledger.

        Raises:
            BudgetError: there is a budget, which it would pass.
            LedgerError: the ledger was changed or can't be read.
        """
        fingerprints = self.fingerprints(data) if self.ledger.exists else None
        try:
            told = self.ledger.plain(
                self.charter.data_id,
                self.held(),
                budget=self.budget,
                fingerprints=fingerprints,
                stage=stage,
                public=self.charter.data.public,
            )
        except BudgetError as error:
            raise error.about(*self._limit_key) from None
        if told:
            self.run.note(
                stage,
                f"the privacy ledger has an account of data '{self.charter.data_id}', or of rows in it; learning without privacy "
                "is on record there, at infinite cost",
            )

    def reserve(
        self,
        data: PreparedData,
        spend: Spend,
        *,
        secret: bytes,
        training: str,
        stage: str = "train",
        unit: Unit = "row",
        neighbouring: Neighbouring = "add_or_remove",
        epochs: int | None = None,
    ) -> Reservation:
        """Charge a private training in full, before its first update; it is on disk when this returns.

        data: what it learns from, in its training part. secret: the key of its secret stream, by which it is known again when it goes on; a
        fresh one is another training, and pays. training: the key of its stage.

        Raises:
            BudgetError: it would pass the budget of the data, with the figures and what would fit.
            LedgerError: the ledger was changed or can't be read; or the spend promises nothing.
            MissingExtraError: dp-accounting is not installed.
        """
        return self._ask(
            Asked(
                data=self.charter.data_id,
                unit=unit,
                neighbouring=neighbouring,
                spend=spend,
                identity=identity_of(secret, training),
                held=self.held(),
                stage=stage,
                fingerprints=self.fingerprints(data),
                epochs=epochs,
            ),
            stage,
        )

    def charge_made(
        self,
        data: PreparedData,
        spend: Spend,
        *,
        identity: str,
        stage: str = "train",
        unit: Unit = "row",
        neighbouring: Neighbouring = "add_or_remove",
    ) -> None:
        """Charge a private training that has ended before and whose model is used again; nothing where this ledger has it on record.

        It may have been made while the data were public, or was charged in another ledger or to another id.

        Raises:
            BudgetError, LedgerError, MissingExtraError: as `reserve`.
        """
        asked = Asked(
            data=self.charter.data_id,
            unit=unit,
            neighbouring=neighbouring,
            spend=spend,
            identity=identity,
            held=self.held(),
            stage=stage,
            fingerprints=self.fingerprints(data),
            made=True,
        )
        self.ledger.settle(self._ask(asked, stage))

    def _ask(self, asked: Asked, stage: str) -> Reservation:
        said = self.budget
        before = budget_of(self.ledger.statement().record, asked.data)
        try:
            reservation = self.ledger.reserve(asked, said)
        except BudgetError as error:
            raise error.about("privacy", "epsilon") from None
        if before is not None and said is not None and Budget(before.epsilon, before.delta) != said:
            self.run.note(
                stage,
                f"the privacy budget of data '{asked.data}' was epsilon {before.epsilon:g} at delta {before.delta:g} on record; this "
                f"charter sets it to epsilon {said.epsilon:g} at delta {said.delta:g}, and both stay on record",
            )
        self._tell(reservation, stage)
        return reservation

    def settle(self, reservation: Reservation, made: tuple[Mechanism, ...] | None = None) -> None:
        """Put on record that a training came to its end. made: what it really did; None: what it had reserved.

        Raises:
            BudgetError: it did more than that.
        """
        self.ledger.settle(reservation, made)

    def head(self) -> dict[str, Any]:
        """What a bundle carries of the ledger, for the key `ledger` of the provenance's `privacy`; empty where it has no account.

        lines, hash: how far the ledger goes, by which it can be checked later that nothing was taken out of it. accounts: of this data
        set, what was spent of which budget, by how many runs.

        Raises:
            LedgerError: the ledger was changed or can't be read.
        """
        if not self.ledger.exists:
            return {}
        statement = self.ledger.statement()
        own = [one for one in statement.accounts if one.data == self.charter.data_id]
        if not own:
            return {}
        return {
            "lines": statement.head.lines,
            "hash": statement.head.hash,
            "data": self.charter.data_id,
            "accounts": [
                {
                    "unit": one.unit,
                    "neighbouring": one.neighbouring,
                    "spent": _finite(one.spent),
                    "delta": one.delta,
                    "budget": None if one.budget is None else one.budget.epsilon,
                    "runs": len(one.charges),
                }
                for one in own
            ],
        }

    def held(self) -> Held:
        """Who learns."""
        return Held(self.run.id, str(self.run.store.root.absolute()), platform.node())

    def fingerprints(self, data: PreparedData) -> Fingerprints:
        """Of the rows that are learned from, under the ledger's key.

        Raises:
            LedgerError: the key is missing or can be read by everybody.
        """

        def said() -> Iterator[pl.Series]:
            for chunk in data.chunks("train"):
                texts = data.columns.texts(chunk)
                yield texts.list.join(" ") if isinstance(texts.dtype, pl.List) else texts

        return self.ledger.fingerprinter().of(said())

    def _tell(self, reservation: Reservation, stage: str) -> None:
        for name, count in reservation.shares.items():
            self.run.note(
                stage,
                f"{count:,} of the rows that are learned from were learned from under the id '{name}' before; each of the two data sets is "
                "charged in full",
            )
        account, rows = reservation.accounts[0], reservation.charge.rows
        if account.budget is not None and rows and account.delta * rows >= 1:
            self.run.note(
                stage,
                f"delta {account.delta:g} is no less than one over the {rows:,} rows: it allows that somebody's row is given away whole; "
                "set data.privacy_budget.delta lower",
            )


def spending_of(run: Run, charter: Charter, folder: Path) -> Spending | None:
    """What a run spends, and where that is kept; None where the charter says that nobody's privacy is at stake.

    Raises:
        LedgerError: as `ledger_of`.
    """
    if charter.data.public:
        return None
    return Spending(run, charter, ledger_of(charter, folder, run.store))


def check_plain(
    run: Run, charter: Charter, folder: Path, data: PreparedData, *, stage: str = "train"
) -> None:
    """As `Spending.check_plain`, of a charter that learns without privacy, of public data too; nothing where it learns with it, or nothing.

    Raises:
        BudgetError, LedgerError: as there.
    """
    learns = (
        charter.training.epochs > 0
        or charter.training.objective is not None
        or charter.model.tokenizer is not None  # whose vocabulary shows words of the rows
        or charter.pretraining is not None
    )
    if charter.privacy is None and learns:
        Spending(run, charter, ledger_of(charter, folder, run.store)).check_plain(data, stage=stage)


def check_charged_base(
    run: Run, charter: Charter, folder: Path, data: PreparedData, ancestor: "Ancestor | None"
) -> None:
    """Refuse a base that learned from these data within a budget that the ledger does not have on record: nobody would add both up.

    Raises:
        ModelError: it did.
        LedgerError: as `ledger_of`.
    """
    spending = spending_of(run, charter, folder)
    if ancestor is None or charter.privacy is None or spending is None:
        return
    own, about = ancestor.lineage[0]["data"], ancestor.lineage[0]
    same = own["id"] == charter.data_id or own["source_digest"] == data.artifact.record["inputs"]["source"]
    told = (ancestor.record.provenance.get("privacy") or {}).get("ledger")
    if not same or not about["private"]:
        return
    if not told or not spending.ledger.holds(int(told["lines"]), str(told["hash"])):
        raise ModelError(
            f"privacy: the base '{ancestor.name}' learned from data '{own['id']}' within a budget that the ledger "
            f"{spending.ledger.folder} does not have on record, so what both trainings tell together would not be counted. Name the ledger "
            "that it was charged in, data: {privacy_budget: {ledger: FOLDER}}; or begin from another base"
        )


def ledger_head(run: Run, charter: Charter, folder: Path) -> dict[str, Any]:
    """As `Spending.head`; empty where nobody's privacy is at stake.

    Raises:
        LedgerError: as there.
    """
    spending = spending_of(run, charter, folder)
    return {} if spending is None else spending.head()


def ledger_told(head: Mapping[str, Any]) -> dict[str, Any]:
    """The small place of a ledger in the provenance's `privacy`."""
    return {"ledger": dict(head)} if head else {}


def _finite(value: float) -> float | None:
    """A number as JSON has them; None for infinite."""
    return value if value != float("inf") else None

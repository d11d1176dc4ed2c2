"""The ledger: what was spent of each data set's privacy, and what may still be.

It is the data set whose privacy is spent, not the run, so a run asks the ledger before its first update: `reserve` puts its full cost
on record or refuses. What was reserved stays spent, whatever becomes of the run: a run that was killed has perhaps been seen.
Only the same training, with the same secret stream of noise and samples, goes on without paying again. See `docs/privacy-ledger.md`.

    ledger = Ledger(Path("runs/ledger"))
    reservation = ledger.reserve(Asked("customers", "row", "add_or_remove", spend, identity, Held("run 1", "", "")), budget)
    ...                                  # learn
    ledger.settle(reservation)

A party of a federation keeps one of its own by the same calls.
"""

import hashlib
import hmac
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from charter.errors import BudgetError, LedgerError
from charter.privacy.accounting import Mechanism, changed
from charter.privacy.accounts import (
    Account,
    account_of,
    accounts_of,
    budget_of,
)
from charter.privacy.chain import HEAD, LOCK, Chain, Head
from charter.privacy.charging import (
    Asked,
    by_data,
    charge_of,
    check_charge,
    check_made,
    check_plain,
    shared_rows,
    touched_by,
    with_budget,
)
from charter.privacy.entries import (
    BudgetSet,
    Charge,
    Held,
    Record,
    curves_json,
    held_json,
    mechanism_json,
    now,
    plain_entry,
    read_record,
    reserved_entry,
)
from charter.privacy.filters import Budget
from charter.privacy.fingerprints import KEY, Fingerprinter, Fingerprints, keep, ledger_key
from charter.privacy.refusals import refusal_of_plain
from charter.runs.locks import locked


def identity_of(secret: bytes, training: str) -> str:
    """What tells one training from every other: its secret stream, and what it is made from (the key of its stage).

    The same training that goes on draws the same noise, and is one release; with a new stream it is another one, and is paid
    for again. Nobody learns the secret from it (HMAC-SHA256).
    """
    return hmac.new(secret, f"charter ledger\0{training}".encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class Reservation:
    """What was reserved. again: it was on record already, of this very training, and nothing more was charged.

    shares: of data sets with another id that hold some of the same rows, and how many.
    """

    charge: Charge
    again: bool
    accounts: tuple[Account, ...]
    shares: Mapping[str, int]


@dataclass(frozen=True)
class Statement:
    """What a ledger has on record, its lines checked."""

    folder: Path
    head: Head
    accounts: tuple[Account, ...]
    record: Record


class Ledger:
    """A ledger in a folder, which several stores and processes may share at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._chain = Chain(folder)

    @property
    def exists(self) -> bool:
        """Whether anything is on record; a head whose lines are gone is no ledger that never was."""
        return self._chain.path.exists() or (self.folder / HEAD).exists()

    def fingerprinter(self) -> Fingerprinter:
        """What makes fingerprints under the ledger's own key, which is made with the first of them.

        Raises:
            LedgerError: the key is missing, can be read by everybody, or is not the one of the fingerprints that are here.
        """
        with self._writing():
            record, _ = self._read()
            new = all(one.fingerprints is None for one in record.charges)
            made = Fingerprinter(ledger_key(self.folder, make=new))
        known = next((one.key for one in reversed(record.charges) if one.key), made.tag)
        if known != made.tag:
            raise LedgerError(
                f"{self.folder / KEY}: this is not the key that the ledger's fingerprints were made under, so rows that were learned from "
                "before would not be known again. Put that one back from a copy"
            )
        return made

    def holds(self, lines: int, hash_: str) -> bool:
        """Whether this ledger is the one that a bundle carries the head of, gone on from there with nothing taken out.

        Raises:
            LedgerError: a line was changed, moved or taken out.
        """
        entries = self._chain.read()
        return 0 < lines <= len(entries) and entries[lines - 1]["hash"] == hash_

    def statement(self) -> Statement:
        """Every account, after checking every line.

        Raises:
            LedgerError: a line was changed, moved or taken out.
        """
        if not self.exists:
            return Statement(self.folder, Head(0, ""), (), Record())
        with locked(self.folder / LOCK, shared=True):
            record, head = self._read()
        return Statement(self.folder, head, accounts_of(record), record)

    def reserve(self, asked: Asked, budget: Budget | None) -> Reservation:
        """Charge a training before its first update, on disk when this returns.

        budget: what the data set may cost, where its charter says so; None: what the ledger has on record, if anything.

        Raises:
            BudgetError: it would pass the budget of its data, or of other data with the same rows; nothing was charged.
            LedgerError: the ledger was changed or can't be read; or it is no private training.
            MissingExtraError: dp-accounting is not installed.
            OSError: the machine refused (a full disk); nothing was charged.
        """
        if not asked.spend.mechanisms or not math.isfinite(asked.spend.epsilon):
            raise LedgerError(
                f"data '{asked.data}': a training of stage '{asked.stage}' says nothing of what its privacy rests on, "
                "so it can't be reserved"
            )
        with self._writing():
            record, _ = self._read()
            before = record.of_identity(asked.identity)
            if before is not None and asked.made and before.data != asked.data:
                if before.number in shared_rows(record, asked.fingerprints, self.folder):
                    return self._elsewhere(record, before, asked, budget)
                # nothing tells that these are the same people's rows
                asked = replace(asked, identity=identity_of(asked.identity.encode(), asked.data))
                before = record.of_identity(asked.identity)
            if before is not None:
                return self._again(record, before, asked)
            record = with_budget(record, asked.data, budget, asked.held.run)
            charge = charge_of(record, asked, self.folder)
            after = replace(record, charges=(*record.charges, charge))
            check_charge(record, after, charge, asked)
            self._write_budget(record, asked.data)
            name = None if asked.fingerprints is None else keep(self.folder, asked.fingerprints)
            line = self._chain.append(reserved_entry(replace(charge, fingerprints=name)))
            charge = replace(charge, number=int(line["number"]), fingerprints=name)
            after, _ = self._read()
        return self._reservation(after, charge, again=False)

    def settle(self, reservation: Reservation, made: tuple[Mechanism, ...] | None = None) -> None:
        """Put on record that a training came to its end. made: what it really consisted of; None: what was reserved.

        Nothing is paid back: that a training ended early may itself depend on what it saw.

        Raises:
            BudgetError: it did more than it had reserved; that is charged all the same.
            LedgerError: as `reserve`.
        """
        charge = reservation.charge
        more = made is not None and _exceeds(made, charge.mechanisms)
        with self._writing():
            record, _ = self._read()
            known = record.of_identity(charge.identity)
            if known is None:
                raise LedgerError(
                    f"{self._chain.path}: the reservation of run {charge.held.run} is not in this ledger any more; it was cut off or "
                    "replaced while the run went on"
                )
            if known.settled and not more:
                return
            entry: dict[str, Any] = {"kind": "settled", "of": known.number, "at": now()}
            if more and made is not None:
                entry["made"] = [mechanism_json(one) for one in made]
                entry["renyi"] = curves_json(made)
            self._chain.append(entry)
        if more:
            raise BudgetError(
                f"data '{charge.data}': the training of run {charge.held.run} did more than it had reserved, so its promise does not "
                "hold. What it did is charged; its model must not be released"
            )

    def plain(
        self,
        data: str,
        held: Held,
        *,
        budget: Budget | None,
        fingerprints: Fingerprints | None,
        stage: str,
        public: bool = False,
    ) -> bool:
        """Whether learning without privacy was put on record; it is where the data, or others with the same rows, have an account.

        public: whoever answers for the data says that nobody's privacy is at stake: it is not refused.

        Raises:
            BudgetError: one of them has a budget, and learning without privacy costs more than any.
            LedgerError: as `reserve`.
        """
        if not self.exists:
            if budget is not None and not public:
                raise refusal_of_plain(
                    data, BudgetSet(0, data, budget.epsilon, budget.delta, "", ""), {}, data
                )
            return False
        with self._writing():
            record, _ = self._read()
            record = with_budget(record, data, budget, held.run)
            shares = shared_rows(record, fingerprints, self.folder)
            if not public:
                check_plain(record, data, shares)
            known = {one.data for one in record.charges}
            if known.isdisjoint(touched_by(record, data, shares)):
                return False
            name = None if fingerprints is None else keep(self.folder, fingerprints)
            if any(one.plain and (one.data, one.fingerprints) == (data, name) for one in record.charges):
                return True
            charge = Charge(
                0,
                data,
                now(),
                stage,
                fingerprints.rows if fingerprints else 0,
                held,
                name,
                shares,
                key=fingerprints.key if fingerprints else "",
            )
            self._chain.append(plain_entry(charge))
        return True

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(self.folder / LOCK):
            self._chain.mend()
            yield

    def _read(self) -> tuple[Record, Head]:
        entries = self._chain.read()
        head = Head(len(entries), str(entries[-1]["hash"])) if entries else Head(0, "")
        return read_record(entries, str(self._chain.path)), head

    def _again(self, record: Record, before: Charge, asked: Asked) -> Reservation:
        if before.mechanisms != asked.spend.mechanisms or before.data != asked.data:
            raise LedgerError(
                f"{self._chain.path}:{before.number}  this training is on record with another plan or other data, so its secret stream was "
                "used before; start it anew, with a stream of its own"
            )
        if before.held != asked.held and not before.settled:
            self._chain.append({"kind": "resumed", "of": before.number, "at": now(), **held_json(asked.held)})
            record, _ = self._read()
            before = record.of_identity(asked.identity) or before
        return self._reservation(record, before, again=True)

    def _elsewhere(self, record: Record, before: Charge, asked: Asked, budget: Budget | None) -> Reservation:
        """Of a training on record under another id with these rows: this id's account holds it already, and must hold it."""
        record = with_budget(record, asked.data, budget, asked.held.run)
        check_made(record, before, asked)
        self._write_budget(record, asked.data)
        return self._reservation(record, before, again=True)

    def _reservation(self, record: Record, charge: Charge, *, again: bool) -> Reservation:
        shares = {
            name: count for name, count in by_data(record, charge.shares).items() if name != charge.data
        }
        unit, relation = charge.unit or "row", charge.neighbouring or "add_or_remove"
        accounts = tuple(account_of(record, name, unit, relation) for name in (charge.data, *shares))
        return Reservation(charge, again, accounts, shares)

    def _write_budget(self, record: Record, data: str) -> None:
        said = budget_of(record, data)
        if said is not None and said.number == 0:
            told = {
                "data": data,
                "epsilon": said.epsilon,
                "delta": said.delta,
                "at": said.at,
                "run": said.run,
            }
            self._chain.append({"kind": "budget", **told})


def _exceeds(made: tuple[Mechanism, ...], reserved: tuple[Mechanism, ...]) -> bool:
    """Whether what was done is more than what was reserved: another mechanism, or more of its steps."""
    if len(made) > len(reserved):
        return True
    pairs = zip(made, reserved, strict=False)
    return any(one.steps > two.steps or changed(one, steps=0) != changed(two, steps=0) for one, two in pairs)

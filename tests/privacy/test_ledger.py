"""The ledger: what is spent stays spent, whoever asks, however a process ends."""

import errno
import json
import math
import re
import signal
import stat
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from charter.errors import BudgetError, LedgerError
from charter.privacy.accounting import Gaussian, Sampled, epsilon
from charter.privacy.accounts import account_of
from charter.privacy.chain import Chain, line_hash
from charter.privacy.charging import foreseen
from charter.privacy.entries import Held
from charter.privacy.filters import Budget
from charter.privacy.ledger import Asked, Ledger, identity_of
from charter.privacy.plan import Spend
from charter.runs.digest import canonical

DELTA = 1e-5
ONE = Gaussian(5.0)
"""About epsilon 0.8 at that delta."""
COST = epsilon(ONE, DELTA)


def rows(first, last):
    return [f"what customer number {number} wrote to us, in full" for number in range(first, last)]


def ask(
    ledger,
    data="customers",
    secret="1",
    said=None,
    made=(ONE,),
    unit="row",
    relation="add_or_remove",
    run="a run",
):
    fingerprints = None if said is None else ledger.fingerprinter().of([pl.Series(said, dtype=pl.String)])
    spend = Spend(epsilon(made, DELTA, neighbouring=relation), DELTA, tuple(made))
    held = Held(run, "", "")
    return Asked(
        data,
        unit,
        relation,
        spend,
        identity_of(secret.encode(), "key"),
        held,
        fingerprints=fingerprints,
        epochs=4,
    )


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "ledger")


def spent(ledger, data="customers", unit="row", relation="add_or_remove"):
    return account_of(ledger.statement().record, data, unit, relation).spent


def test_one_run_costs_what_the_exact_accountant_says_and_may_use_up_the_whole_budget(ledger):
    ledger.reserve(ask(ledger), Budget(COST, DELTA))
    assert spent(ledger) == COST
    with pytest.raises(BudgetError, match="left 0"):
        ledger.reserve(ask(ledger, secret="2"), Budget(COST, DELTA))
    assert spent(ledger) == COST


def test_runs_add_up_until_the_budget_ends_and_the_refusal_says_the_figures_and_what_fits(ledger):
    budget, made = Budget(2.0, DELTA), (Sampled(0.1, 4.0, 40),)
    told = ""
    for number in range(50):
        before = spent(ledger) if number else 0.0
        try:
            ledger.reserve(ask(ledger, secret=str(number), made=made), budget)
        except BudgetError as error:
            told = str(error)
            break
        assert before < spent(ledger) <= budget.epsilon
    assert number >= 2
    for figure in (
        "budget epsilon 2 at delta 1e-05",
        f"spent {before:.4g} by {number} runs",
        "asked ",
        "left ",
    ):
        assert figure in told
    fewer = int(told.split("What would fit: ")[1].split(" of its 40 updates")[0])
    ledger.reserve(ask(ledger, secret="fits", made=(replace(made[0], steps=fewer),)), budget)
    assert spent(ledger) <= budget.epsilon


def test_the_smaller_epsilon_that_a_refusal_names_fits(ledger):
    budget = Budget(2.0, DELTA)
    ledger.reserve(ask(ledger, made=(Gaussian(4.0),)), budget)
    with pytest.raises(BudgetError) as refused:
        ledger.reserve(ask(ledger, secret="2", made=(Gaussian(2.0),)), budget)
    named = float(re.search(r"privacy\.epsilon at most ([\d.]*\d)", str(refused.value))[1])
    noise = 2.0
    while epsilon(Gaussian(noise), DELTA) > named:
        noise *= 1.02
    assert noise > 2.1
    ledger.reserve(ask(ledger, secret="3", made=(Gaussian(noise),)), budget)
    assert spent(ledger) <= 2.0


def test_a_training_that_goes_on_pays_once_and_another_one_of_the_same_kind_pays_again(ledger):
    first = ledger.reserve(ask(ledger), None)
    again = ledger.reserve(ask(ledger, run="a later run"), None)
    assert (first.again, again.again) == (False, True)
    assert again.charge.held.run == "a later run"
    assert spent(ledger) == COST
    ledger.settle(again)
    assert ledger.reserve(ask(ledger), None).again  # killed after it was settled, before its model was kept
    other = ledger.reserve(ask(ledger, secret="another stream"), None)
    assert not other.again and spent(ledger) > COST


def test_one_secret_stream_for_two_plans_is_refused(ledger):
    ledger.reserve(ask(ledger), None)
    with pytest.raises(LedgerError, match="secret stream"):
        ledger.reserve(ask(ledger, made=(Gaussian(6.0),)), None)


def test_what_was_reserved_stays_spent_though_never_settled(ledger):
    ledger.reserve(ask(ledger), Budget(1.2 * COST, DELTA))
    with pytest.raises(BudgetError):
        ledger.reserve(ask(ledger, secret="2"), Budget(1.2 * COST, DELTA))


def test_a_training_that_did_more_than_it_reserved_is_charged_for_it_and_told(ledger):
    reservation = ledger.reserve(ask(ledger), None)
    with pytest.raises(BudgetError, match="did more than it had reserved"):
        ledger.settle(reservation, (replace(ONE, steps=4),))
    assert spent(ledger) > epsilon(replace(ONE, steps=4), DELTA)
    ledger.settle(ledger.reserve(ask(ledger, secret="2"), None), (ONE,))


def test_a_budget_at_a_delta_below_what_the_exact_accountant_tells_is_held_by_divergences(ledger):
    ledger.reserve(ask(ledger, made=(Sampled(0.1, 3.0, 30),)), Budget(50, 1e-20))
    (charge,) = ledger.statement().record.charges
    assert charge.alone == (math.inf, 1e-20)
    assert 0 < spent(ledger) <= 50


def test_nothing_is_reserved_for_a_training_that_promises_nothing(ledger):
    asked = replace(ask(ledger), spend=Spend(math.inf, 0.0))
    with pytest.raises(LedgerError, match="can't be reserved"):
        ledger.reserve(asked, None)


def test_the_same_rows_under_another_id_are_charged_to_both_and_to_both_budgets(ledger):
    ledger.reserve(ask(ledger, said=rows(0, 100)), Budget(1.2 * COST, DELTA))
    with pytest.raises(
        BudgetError, match=r"1 of the rows that this training of 'renamed'.*under the id 'customers'"
    ):
        ledger.reserve(ask(ledger, "renamed", "2", rows(99, 200)), Budget(50, DELTA))
    with pytest.raises(BudgetError, match="'customers'"):  # spacing and case don't hide a row
        ledger.reserve(ask(ledger, "renamed", "3", [" " + rows(5, 6)[0].upper()]), None)
    apart = ledger.reserve(ask(ledger, "others", "4", rows(100, 200)), Budget(50, DELTA))
    assert not apart.shares and spent(ledger, "others") == COST
    ledger.reserve(ask(ledger, "customers", "5", rows(50, 150)), Budget(50, DELTA))
    assert spent(ledger) > COST and spent(ledger, "others") > COST


def test_a_new_id_begins_with_what_its_rows_have_spent_under_the_old_one(ledger):
    ledger.reserve(ask(ledger, said=rows(0, 100)), None)
    ledger.reserve(ask(ledger, "renamed", "2", rows(0, 100)), None)
    assert spent(ledger, "renamed") == pytest.approx(spent(ledger, "customers"))
    assert spent(ledger) > COST


def test_short_rows_in_common_join_nothing(ledger):
    ledger.reserve(ask(ledger, said=["thanks a lot", *rows(0, 9)]), None)
    assert not ledger.reserve(ask(ledger, "others", "2", ["Thanks a lot", *rows(9, 20)]), None).shares


def test_without_the_key_nobody_can_try_a_text_and_only_its_owner_reads_it(ledger, tmp_path):
    ledger.reserve(ask(ledger, said=rows(0, 3)), None)
    key = ledger.folder / "key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600 and stat.S_IMODE(ledger.folder.stat().st_mode) == 0o700
    (kept,) = (ledger.folder / "rows").iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600 and kept.stat().st_size == 3 * 8
    other = Ledger(tmp_path / "other")
    other.reserve(ask(other, said=rows(0, 3)), None)
    (theirs,) = (other.folder / "rows").iterdir()
    assert kept.read_bytes() != theirs.read_bytes()
    assert all(text.encode() not in (ledger.folder / "ledger.jsonl").read_bytes() for text in rows(0, 3))
    key.chmod(0o644)
    with pytest.raises(LedgerError, match="chmod 600"):
        ledger.fingerprinter()
    key.unlink()
    with pytest.raises(LedgerError, match="Put it back"):
        ledger.fingerprinter()


def test_what_rows_have_spent_under_another_id_is_foreseen_and_named_in_the_refusal(ledger):
    ledger.reserve(ask(ledger, said=rows(0, 10)), None)
    again = ask(ledger, data="renamed", secret="2", said=rows(5, 15))
    comes_to = foreseen(ledger.statement().record, [again], Budget(1.0, DELTA), ledger.folder)
    assert comes_to.spent == COST < comes_to.after[0]
    assert comes_to.refused is not None
    with pytest.raises(BudgetError) as refused:
        ledger.reserve(again, Budget(1.0, DELTA))
    assert "by 1 run, some under other ids with some of the same rows (customers)" in str(refused.value)


def test_fingerprints_are_hmacs(ledger):
    import hashlib
    import hmac

    made = ledger.fingerprinter().of([pl.Series(rows(0, 1))])
    told = rows(0, 1)[0].replace(" ", "").encode()
    own = hmac.new((ledger.folder / "key").read_bytes(), told, hashlib.sha256).digest()[:8]
    assert made.values.tolist() == [int.from_bytes(own, "little")]


def test_lost_or_changed_fingerprints_stop_the_next_training(ledger):
    ledger.reserve(ask(ledger, said=rows(0, 3)), None)
    (kept,) = (ledger.folder / "rows").iterdir()
    kept.write_bytes(bytes(24))
    with pytest.raises(LedgerError, match="were changed"):
        ledger.reserve(ask(ledger, "others", "2", rows(5, 9)), None)
    kept.unlink()
    with pytest.raises(LedgerError, match="are missing"):
        ledger.reserve(ask(ledger, "others", "2", rows(5, 9)), None)


def test_learning_without_privacy_is_refused_where_any_budget_covers_the_rows(ledger):
    held, budget = Held("a run", "", ""), Budget(8, DELTA)
    with pytest.raises(BudgetError, match="has a privacy budget of epsilon 8"):
        ledger.plain("customers", held, budget=budget, fingerprints=None, stage="train")
    assert not ledger.exists
    ledger.reserve(ask(ledger, said=rows(0, 10)), budget)
    with pytest.raises(BudgetError, match="costs more than any"):  # though this charter says no budget
        ledger.plain("customers", held, budget=None, fingerprints=None, stage="train")
    same = ledger.fingerprinter().of([pl.Series(rows(9, 20))])
    with pytest.raises(BudgetError, match="1 of the rows of data 'renamed'"):
        ledger.plain("renamed", held, budget=None, fingerprints=same, stage="train")
    other = ledger.fingerprinter().of([pl.Series(rows(10, 20))])
    assert not ledger.plain("others", held, budget=None, fingerprints=other, stage="train")


def test_learning_without_privacy_beside_private_runs_is_on_record_as_infinite(ledger):
    ledger.reserve(ask(ledger, said=rows(0, 10)), None)
    held, same = Held("plain run", "", ""), ledger.fingerprinter().of([pl.Series(rows(0, 10))])
    for _ in range(2):
        assert ledger.plain("customers", held, budget=None, fingerprints=same, stage="train")
    assert math.isinf(spent(ledger)) and len(ledger.statement().record.charges) == 2
    with pytest.raises(BudgetError, match="learned from these rows without privacy"):
        ledger.reserve(ask(ledger, secret="2", said=rows(0, 10)), Budget(8, DELTA))


def test_a_run_by_row_promises_nothing_by_subject_and_one_by_subject_counts_by_row(ledger):
    ledger.reserve(ask(ledger, unit="subject"), None)
    by_row = spent(ledger, unit="row")
    assert epsilon(ONE, DELTA, neighbouring="replace_one") <= by_row < math.inf
    assert math.isinf(spent(ledger, relation="replace_one"))
    with pytest.raises(BudgetError, match="keep to one unit"):
        ledger.reserve(ask(ledger, secret="2"), Budget(50, DELTA))


def test_a_budget_that_is_raised_stays_on_record_and_holds_where_a_charter_says_none(ledger):
    ledger.reserve(ask(ledger), Budget(COST, DELTA))
    ledger.reserve(ask(ledger, secret="2"), Budget(3 * COST, DELTA))
    assert [one.epsilon for one in ledger.statement().record.budgets] == [COST, 3 * COST]
    with pytest.raises(BudgetError):
        ledger.reserve(ask(ledger, secret="3", made=(Gaussian(1.0),)), None)
    with pytest.raises(BudgetError):  # a refused wish leaves no trace
        ledger.reserve(ask(ledger, secret="4", made=(Gaussian(1.0),)), Budget(3.1 * COST, DELTA))
    assert len(ledger.statement().record.budgets) == 2


# The chain


@pytest.fixture
def long(ledger):
    for number in range(5):
        ledger.reserve(ask(ledger, secret=str(number)), None)
    return ledger


def lines_of(ledger):
    return (ledger.folder / "ledger.jsonl").read_text().splitlines()


def write_lines(ledger, lines):
    (ledger.folder / "ledger.jsonl").write_text("".join(line + "\n" for line in lines))


def test_every_single_byte_that_is_changed_is_found_in_its_line(long):
    whole = (long.folder / "ledger.jsonl").read_bytes()
    for at in range(0, len(whole), 97):
        changed = bytearray(whole)
        changed[at] ^= 1
        (long.folder / "ledger.jsonl").write_bytes(bytes(changed))
        number = whole[:at].count(b"\n") + 1
        with pytest.raises(LedgerError, match=rf"ledger\.jsonl:{number} "):
            long.statement()
    (long.folder / "ledger.jsonl").write_bytes(whole)
    assert long.statement().head.lines == 5


@pytest.mark.parametrize(
    ("what", "where"),
    [
        ("taken out", 2),
        ("moved", 2),
        ("twice", 3),
        ("cut off", 5),
        ("all but one", 2),
        ("rewritten", 5),
        ("added", 7),
        ("emptied", 1),
    ],
)
def test_lines_that_are_taken_out_moved_added_or_cut_off_are_found(long, what, where):
    lines = lines_of(long)
    if what == "taken out":
        del lines[1]
    elif what == "moved":
        lines[1], lines[2] = lines[2], lines[1]
    elif what == "twice":
        lines.insert(2, lines[1])
    elif what == "cut off":
        lines.pop()
    elif what == "all but one":
        lines = lines[:1]
    elif what == "emptied":
        lines = []
    elif what == "rewritten":  # with hashes that fit
        last = {**json.loads(lines[-1]), "data": "others"}
        lines[-1] = canonical({**last, "hash": line_hash(last)})
    else:
        for _ in range(2):
            before = json.loads(lines[-1])
            more = {**before, "number": before["number"] + 1, "before": before["hash"]}
            lines.append(canonical({**more, "hash": line_hash(more)}))
    write_lines(long, lines)
    with pytest.raises(LedgerError, match=rf"ledger\.jsonl:{where} "):
        long.statement()
    with pytest.raises(LedgerError):
        long.reserve(ask(long, secret="new"), None)


def test_a_head_that_is_taken_away_or_spoilt_is_found(long):
    head = long.folder / "head.json"
    head.write_text("{")
    with pytest.raises(LedgerError, match="head can't be read"):
        long.statement()
    head.unlink()
    with pytest.raises(LedgerError, match="head is missing"):
        long.statement()


def test_an_entry_of_a_later_version_is_refused_not_skipped(long):
    Chain(long.folder).append({"kind": "gift", "data": "customers"})
    with pytest.raises(LedgerError, match=r":6 .*unknown kind"):
        long.statement()


def test_half_a_line_that_nobody_was_promised_is_taken_off_and_the_head_moves_on(long):
    path, head = long.folder / "ledger.jsonl", long.folder / "head.json"
    behind = head.read_text()
    long.reserve(ask(long, secret="the sixth"), None)
    head.write_text(behind)  # killed between the line and the head
    assert long.statement().head.lines == 6
    with path.open("a") as stream:
        stream.write('{"number":7,"be')  # killed in a line
    assert long.statement().head.lines == 6
    long.reserve(ask(long, secret="the seventh"), None)
    assert json.loads(head.read_text())["lines"] == 7 == len(lines_of(long))


def test_a_ledger_whose_lines_are_gone_is_found_as_long_as_its_head_counts_them(long):
    (long.folder / "ledger.jsonl").unlink()
    assert long.exists
    with pytest.raises(LedgerError, match="it was cut off"):
        long.statement()
    with pytest.raises(LedgerError, match="it was cut off"):
        long.plain("customers", Held("r", "", ""), budget=None, fingerprints=None, stage="train")


def test_another_key_than_that_of_the_fingerprints_is_found(ledger):
    ledger.reserve(ask(ledger, said=rows(0, 10)), None)
    assert ledger.fingerprinter()
    key = ledger.folder / "key"
    key.write_bytes(bytes(32))  # put back from the copy of another ledger
    with pytest.raises(LedgerError, match="is not the key"):
        ask(ledger, "others", "2", rows(5, 9))


def test_nothing_is_paid_back_to_a_training_that_did_something_else_than_it_reserved(ledger):
    before = ledger.reserve(ask(ledger, made=(Sampled(0.1, 1.0, 50),)), None)
    reserved = spent(ledger)
    with pytest.raises(BudgetError, match="did more than it had reserved"):
        ledger.settle(before, (Sampled(0.1, 4.0, 10),))
    assert spent(ledger) >= reserved


def test_plain_learning_from_what_is_said_to_be_public_is_on_record_and_not_refused(ledger):
    held, budget = Held("a run", "", ""), Budget(8, DELTA)
    assert not ledger.plain("customers", held, budget=None, fingerprints=None, stage="train", public=True)
    ledger.reserve(ask(ledger, said=rows(0, 10)), budget)
    same = ledger.fingerprinter().of([pl.Series(rows(9, 20))])
    assert ledger.plain("renamed", held, budget=None, fingerprints=same, stage="train", public=True)
    assert math.isinf(spent(ledger))
    with pytest.raises(BudgetError, match="without privacy"):
        ledger.reserve(ask(ledger, secret="2", said=rows(0, 10)), budget)
    other = ledger.fingerprinter().of([pl.Series(rows(30, 40))])
    assert not ledger.plain("others", held, budget=None, fingerprints=other, stage="train", public=True)


def test_a_head_that_moved_before_the_disk_failed_leaves_a_ledger_that_can_be_read(long, monkeypatch):
    from charter.privacy import chain

    write = chain.write_json

    def fails(path, value):
        write(path, value)
        raise OSError(errno.EIO, "the folder could not be flushed")

    with monkeypatch.context() as broken:
        broken.setattr(chain, "write_json", fails)
        with pytest.raises(OSError, match="flushed"):
            long.reserve(ask(long, secret="the sixth"), None)
    assert long.statement().head.lines == 6  # charged, since the head counts it
    assert long.reserve(ask(long, secret="the sixth"), None).again


# Processes

WORKER = textwrap.dedent("""
    import sys
    from pathlib import Path
    from charter.errors import BudgetError
    from charter.privacy.accounting import Gaussian, epsilon
    from charter.privacy.entries import Held
    from charter.privacy.filters import Budget
    from charter.privacy.ledger import Asked, Ledger, identity_of
    from charter.privacy.plan import Spend
    folder, name, count, budget = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    ledger = Ledger(folder)
    epsilon(Gaussian(5.0), 1e-5)  # loads the accountant
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(count):
        identity = identity_of(f"{name} {number}".encode(), "key")
        asked = Asked("customers", "row", "add_or_remove", Spend(0.8, 1e-5, (Gaussian(5.0),)), identity, Held(name, "", ""))
        try:
            ledger.reserve(asked, Budget(budget, 1e-5))
            print("reserved", identity, flush=True)
        except BudgetError:
            print("refused", flush=True)
""")


def start(ledger, name, count, budget):
    command = [sys.executable, "-c", WORKER, str(ledger.folder), name, str(count), str(budget)]
    worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert worker.stdout.readline() == "ready\n"
    return worker


def go(worker):
    worker.stdin.write("\n")
    worker.stdin.flush()


def test_processes_at_once_never_overdraw_a_budget(ledger):
    workers = [start(ledger, name, 3, 2.2) for name in ("one", "two", "three")]
    for worker in workers:
        go(worker)
    said = [line.split()[0] for worker in workers for line in worker.communicate()[0].splitlines()]
    statement = ledger.statement()
    assert 2 <= said.count("reserved") == len(statement.record.charges) < len(said) == 9
    assert statement.accounts[0].spent <= 2.2


@pytest.mark.slow
def test_a_process_killed_at_any_moment_leaves_what_it_was_promised_and_a_ledger_that_works(ledger):
    promised = []
    for number in range(4):
        worker = start(ledger, f"killed {number}", 500, 1e6)
        go(worker)
        first = worker.stdout.readline()
        time.sleep(0.07 * number)
        worker.send_signal(signal.SIGKILL)
        told = [line for line in (first + worker.communicate()[0]).splitlines() if len(line) == 73]
        promised += [line.split()[1] for line in told]
        known = {one.identity for one in ledger.statement().record.charges}
        assert told and set(promised) <= known
        assert len(known) <= len(promised) + number + 1  # the one in flight is spent too
    ledger.reserve(ask(ledger), None)


def test_a_disk_that_is_full_refuses_and_leaves_the_ledger_as_it_was(long):
    """A limit of file sizes stands for the disk; what a write could not take is not left half."""
    before = (long.folder / "ledger.jsonl").read_bytes()
    script = textwrap.dedent(f"""
        import resource, signal, sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from pathlib import Path
        import test_ledger
        from charter.privacy.ledger import Ledger
        ledger = Ledger(Path(sys.argv[1]))
        asked = test_ledger.ask(ledger, secret="no room")
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
        try:
            ledger.reserve(asked, None)
        except OSError as error:
            print(error.errno, error.filename)
    """)
    for room in (len(before), len(before) + 100):
        command = [sys.executable, "-c", script, str(long.folder), str(room)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout.split()[0] == str(errno.EFBIG), done
        assert (long.folder / "ledger.jsonl").read_bytes() == before
    assert long.statement().head.lines == 5
    long.reserve(ask(long, secret="room again"), None)


def test_no_cleaning_of_a_store_touches_its_ledger(tmp_path):
    from charter.runs.digest import folder_digest
    from charter.runs.gc import clean
    from charter.runs.run import begin_run
    from charter.runs.store import Stage, Store

    store = Store(tmp_path)
    ledger = Ledger(tmp_path / "ledger")
    ledger.reserve(ask(ledger, said=rows(0, 5)), None)
    for _ in range(2):
        with begin_run(store, "x", "d") as run:
            run.step(Stage("toy", 1, {"n": run.id}, {}), lambda files, _: (files / "out").touch())
            run.finish("refused")
    before = folder_digest(ledger.folder)
    assert len(clean(store, keep=1).runs) == 1
    assert folder_digest(ledger.folder) == before
    assert ledger.reserve(ask(ledger, said=rows(0, 5)), None).again

"""`charter privacy`: the table, the page, the JSON, and what it finds wrong."""

import contextlib
import json
import platform
import shutil

import pytest

from charter.cli import run_command
from charter.privacy.accounting import Gaussian, Sampled, epsilon
from charter.privacy.entries import Held
from charter.privacy.filters import Budget
from charter.privacy.ledger import Asked, Ledger, identity_of
from charter.privacy.plan import Spend
from charter.runs.files import write_json
from charter.runs.run import begin_run
from charter.runs.store import Store


@pytest.fixture
def ledger(here):
    ledger = Ledger(here / "runs" / "ledger")
    for number in range(2):
        spend = Spend(epsilon(Gaussian(5.0), 1e-5), 1e-5, (Gaussian(5.0),))
        held = Held(f"run-{number}", "", "")
        asked = Asked(
            "<b>customers</b>", "row", "add_or_remove", spend, identity_of(bytes([number]), "k"), held
        )
        ledger.settle(ledger.reserve(asked, Budget(4, 1e-5)))
    return ledger


@pytest.mark.parametrize(("lang", "left", "done"), [("en", "left", "done"), ("zh", "剩余", "已完成")])
def test_spent_and_left_are_shown_for_each_data_set_and_run(ledger, capsys, lang, left, done):
    assert run_command(["privacy", "--lang", lang, "--html", "page.html"]) == 0
    said = capsys.readouterr().out
    account = ledger.statement().accounts[0]
    for word in (
        left,
        done,
        "█",
        f"{account.spent:.2f}",
        f"{account.left:.2f}",
        "run-0",
        "run-1",
        "dp-accounting",
    ):
        assert word in said
    page = (ledger.folder.parent.parent / "page.html").read_text()
    assert "<svg" in page and "<b>customers" not in page and "&lt;b&gt;customers" in page
    assert "http" not in page.replace("http-equiv", "") and f"{account.spent:.2f}" in page


def test_json_holds_every_charge_with_its_mechanisms(ledger, capsys):
    assert run_command(["privacy", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    (account,) = told["accounts"]
    assert [one["state"] for one in account["runs"]] == ["settled", "settled"]
    assert account["runs"][0]["mechanisms"] == [{"use": "gaussian", "noise": 5.0, "steps": 1}]
    assert account["runs"][1]["spent_after"] == account["spent"] == pytest.approx(4 - account["left"])
    assert "privacy loss distributions" in account["runs"][0]["accountant"]


def test_a_changed_ledger_is_told_with_its_line_and_nothing_is_shown(ledger, capsys):
    path = ledger.folder / "ledger.jsonl"
    path.write_text(path.read_text().replace('"epsilon":4', '"epsilon":9', 1))
    assert run_command(["privacy"]) == 2
    said = capsys.readouterr()
    assert "ledger.jsonl:1 " in said.err and not said.out


def test_no_ledger_and_unknown_data_are_said(here, ledger, capsys):
    assert run_command(["privacy", "--data", "others"]) == 2
    assert "there are: <b>customers</b>" in capsys.readouterr().err
    (here / "elsewhere").mkdir()
    assert run_command(["privacy", "--store", "elsewhere"]) == 0
    said = capsys.readouterr().out
    assert "Nothing was spent" in said and str(here / "elsewhere" / "ledger") in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--ledger", "mistyped"], "--ledger mistyped: no such folder"),
        (["--store", "mistyped"], "--store mistyped: no such folder"),
        ([], "no privacy ledger in"),
    ],
)
def test_a_place_that_is_mistyped_is_not_said_to_have_spent_nothing(here, capsys, options, words):
    assert run_command(["privacy", *options]) == 2
    said = capsys.readouterr()
    assert words in said.err and not said.out


def test_a_run_and_its_time_stand_in_one_line_and_what_it_was_made_of_below(here, capsys):
    spend = Spend(epsilon(Sampled(0.1, 1.0, 50), 1e-5), 1e-5, (Sampled(0.1, 1.0, 50),))
    held = Held("20261201-122043-messages-f828", "", "")
    Ledger(here / "runs" / "ledger").reserve(
        Asked("messages", "subject", "add_or_remove", spend, identity_of(b"1", "k"), held), None
    )
    assert run_command(["privacy"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(held.run in line and line.split()[2].count(":") == 1 for line in lines)
    (below,) = [
        line for line in lines if "line 1: 50 updates, each person drawn with probability 0.1" in line
    ]
    assert f"by itself {spend.epsilon:.2f} at delta 1e-05" in below


def end_by(ending, store, seed):
    """A run that reserves, and is ended so before it has settled."""
    spend = Spend(epsilon(Gaussian(5.0), 1e-5), 1e-5, (Gaussian(5.0),))
    with contextlib.suppress(KeyboardInterrupt, ValueError), begin_run(store, "r", "digest") as run:
        held = Held(run.id, str(store.root), platform.node())
        asked = Asked("messages", "row", "add_or_remove", spend, identity_of(seed, "k"), held)
        Ledger(store.root / "ledger").reserve(asked, None)
        raise ending
    return run


@pytest.mark.parametrize(
    ("ending", "state", "said", "chinese"),
    [
        (KeyboardInterrupt(), "interrupted", "interrupted", "已中断"),
        (ValueError(), "failed", "failed with an error", "因错误而失败"),
        (None, "killed", "killed", "被强行终止"),
        ("gone", "unfinished", "not finished", "没有完成"),
    ],
)
def test_a_private_run_that_broke_off_says_how_and_that_it_stays_spent(
    here, capsys, ending, state, said, chinese
):
    store = Store(here / "runs")
    run = end_by(ending if isinstance(ending, BaseException) else KeyboardInterrupt(), store, b"1")
    if ending is None:  # what a process that was killed leaves behind
        write_json(run.folder / "run.json", {**run.record, "status": "running"})
    elif ending == "gone":
        shutil.rmtree(run.folder)
    assert run_command(["privacy", "--json"]) == 0
    (account,) = json.loads(capsys.readouterr().out)["accounts"]
    assert account["runs"][0]["state"] == state and account["spent"] > 0
    assert run_command(["privacy"]) == 0
    shown = capsys.readouterr().out
    assert said in " ".join(shown.split()) and "stays spent" in shown and "crashed" not in shown
    assert run_command(["privacy", "--lang", "zh"]) == 0
    assert chinese in capsys.readouterr().out.replace("\n", "")


def test_a_ledger_that_was_rolled_back_is_not_the_one_of_the_bundle(ledger):
    head = ledger.statement().head
    assert ledger.holds(head.lines, head.hash) and ledger.holds(1, ledger._chain.read()[0]["hash"])
    assert not ledger.holds(head.lines + 1, head.hash) and not ledger.holds(head.lines, "0" * 64)

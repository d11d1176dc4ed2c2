"""`charter privacy`: the table, the page, the JSON, and what it finds wrong."""

import json

import pytest

from charter.cli import run_command
from charter.privacy.accounting import Gaussian, Sampled, epsilon
from charter.privacy.entries import Held
from charter.privacy.filters import Budget
from charter.privacy.ledger import Asked, Ledger, identity_of
from charter.privacy.plan import Spend


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
    assert any("line 1: 50 updates, each person drawn with probability 0.1" in line for line in lines)


def test_a_ledger_that_was_rolled_back_is_not_the_one_of_the_bundle(ledger):
    head = ledger.statement().head
    assert ledger.holds(head.lines, head.hash) and ledger.holds(1, ledger._chain.read()[0]["hash"])
    assert not ledger.holds(head.lines + 1, head.hash) and not ledger.holds(head.lines, "0" * 64)

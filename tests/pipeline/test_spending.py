"""A run asks the ledger of its data's privacy before it learns, and a bundle carries how far the ledger went."""

import json
import sys

import pytest

import charter
from charter.errors import BudgetError, CharterFileError, LedgerError
from charter.pipeline.preparing import prepare_data
from charter.pipeline.spending import check_plain, ledger_folder, ledger_head, ledger_told, spending_of
from charter.privacy.accounting import Sampled, epsilon
from charter.privacy.ledger import Ledger
from charter.privacy.plan import Spend
from charter.release.report.ledger import ledger_told as said
from charter.release.report.verification_sentences import verification_said
from charter.runs.run import begin_run
from charter.runs.store import Store
from charter.spec import read
from charter.spec.use import Use

UPDATES = Sampled(0.1, 3.0, 30)
SPEND = Spend(epsilon(UPDATES, 1e-5), 1e-5, (UPDATES,))


def written(folder, tiny_bert, name="x", **data):
    value = {
        "name": name,
        "data": {"source": "reviews.csv", "inputs": {"text": "text"}, "target": "label", **data},
        "model": {"base": str(tiny_bert), "max_length": 16},
        "task": {"use": "classification"},
        "training": {"epochs": 1},
    }
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


@pytest.fixture
def prepared(reviews_csv, tiny_bert, tmp_path):
    """A run whose rows are prepared: (run, charter, folder, rows)."""
    asked = read(written(tmp_path, tiny_bert))
    with begin_run(Store(tmp_path / "runs"), "x", "d") as run:
        yield run, asked, tmp_path, prepare_data(run, asked, tmp_path)
        run.finish("refused")


def test_a_private_training_is_charged_before_it_learns_and_once(prepared):
    run, asked, folder, rows = prepared
    spending = spending_of(run, asked, folder)
    told = []
    run.on_event = lambda event: told.append(event.text)
    first = spending.reserve(rows, SPEND, secret=b"a", training="key")
    assert first.charge.rows == rows.part("train").height > 100
    assert spending.reserve(rows, SPEND, secret=b"a", training="key").again
    spending.settle(first)
    head = spending.head()
    assert head["accounts"][0]["spent"] == SPEND.epsilon and head["accounts"][0]["runs"] == 1
    assert head["hash"] == Ledger(folder / "runs" / "ledger").statement().head.hash
    assert not told
    other = asked.model_copy(update={"name": "renamed"})
    spending_of(run, other, folder).reserve(rows, SPEND, secret=b"b", training="key")
    assert "under the id 'x'" in told[0]


def test_a_budgets_delta_of_one_over_the_rows_is_told(prepared):
    run, asked, folder, rows = prepared
    data = asked.data.model_validate(
        {**asked.data.model_dump(), "privacy_budget": {"epsilon": 4, "delta": 0.02}}
    )
    asked = asked.model_copy(update={"data": data})
    told = []
    run.on_event = lambda event: told.append(event.text)
    loose = Spend(epsilon(UPDATES, 0.02), 0.02, (UPDATES,))
    spending_of(run, asked, folder).reserve(rows, loose, secret=b"a", training="key")
    assert "given away whole; set data.privacy_budget.delta lower" in told[0]


def test_plain_learning_leaves_no_ledger_where_nobody_asked_for_one(prepared):
    run, asked, folder, rows = prepared
    check_plain(run, asked, folder, rows)
    assert not (folder / "runs" / "ledger").exists() and ledger_head(run, asked, folder) == {}
    assert ledger_told({}) == {}


def test_plain_learning_from_rows_with_a_budget_is_refused_under_any_id(prepared):
    run, asked, folder, rows = prepared
    data = asked.data.model_validate({**asked.data.model_dump(), "privacy_budget": {"epsilon": 4}})
    budgeted = asked.model_copy(update={"data": data})
    spending_of(run, budgeted, folder).reserve(rows, SPEND, secret=b"a", training="key")
    with pytest.raises(BudgetError, match="without privacy costs more than any"):
        check_plain(run, asked, folder, rows)
    with pytest.raises(BudgetError, match="under the id 'x'"):
        check_plain(run, asked.model_copy(update={"name": "renamed"}), folder, rows)
    public = asked.model_copy(update={"data": asked.data.model_copy(update={"public": True})})
    check_plain(run, public, folder, rows)
    assert Ledger(folder / "runs" / "ledger").statement().record.charges[-1].plain  # though nobody was asked


def test_words_that_are_learned_from_rows_are_learning_too(prepared):
    run, asked, folder, rows = prepared
    data = asked.data.model_validate({**asked.data.model_dump(), "privacy_budget": {"epsilon": 4}})
    training = asked.training.model_copy(update={"epochs": 0})
    model = asked.model.model_copy(update={"tokenizer": Use(use="extend")})
    still = asked.model_copy(update={"data": data, "training": training})
    check_plain(run, still, folder, rows)
    with pytest.raises(BudgetError, match="without privacy costs more than any"):
        check_plain(run, still.model_copy(update={"model": model}), folder, rows)


def test_a_budget_that_a_charter_sets_anew_is_told(prepared):
    run, asked, folder, rows = prepared
    told = []
    run.on_event = lambda event: told.append(event.text)

    def reserved(secret, epsilon):
        given = {**asked.data.model_dump(), "privacy_budget": {"epsilon": epsilon}}
        one = asked.model_copy(update={"data": asked.data.model_validate(given)})
        spending_of(run, one, folder).reserve(rows, SPEND, secret=secret, training="key")

    reserved(b"a", 4)
    reserved(b"b", 4)
    assert not told
    reserved(b"c", 9)
    assert "epsilon 4 at delta 1e-05 on record; this charter sets it to epsilon 9 at delta 1e-05" in told[0]


def test_a_budget_does_not_begin_anew_in_another_store(prepared):
    run, asked, folder, rows = prepared

    def limited(**said):
        given = {**asked.data.model_dump(), "privacy_budget": said}
        return asked.model_copy(update={"data": asked.data.model_validate(given)})

    spending_of(run, limited(epsilon=4), folder).reserve(rows, SPEND, secret=b"a", training="key")
    with begin_run(Store(folder / "elsewhere"), "x", "d") as other:
        for one in (limited(epsilon=4), asked):  # though this charter says no budget
            with pytest.raises(LedgerError, match="would begin anew"):
                spending_of(other, one, folder)
        with pytest.raises(LedgerError, match="would begin anew"):
            check_plain(other, asked, folder, rows)
        shared = spending_of(other, limited(ledger="runs/ledger"), folder)
        assert shared.ledger.folder == folder / "runs" / "ledger"
        unknown = asked.model_copy(update={"name": "another"})
        assert spending_of(other, unknown, folder).ledger.folder == folder / "elsewhere" / "ledger"
        other.finish("refused")


def test_a_run_without_privacy_ends_before_it_learns(reviews_csv, tiny_bert, tmp_path):
    shared = Ledger(tmp_path / "shared")
    asked = read(written(tmp_path, tiny_bert, privacy_budget={"ledger": "shared"}))
    assert ledger_folder(asked, tmp_path, Store(tmp_path / "runs")) == shared.folder
    from charter.privacy.entries import Held
    from charter.privacy.filters import Budget
    from charter.privacy.ledger import Asked, identity_of

    kept = Asked("x", "row", "add_or_remove", SPEND, identity_of(b"s", "k"), Held("r", "", ""))
    shared.reserve(kept, Budget(4, 1e-5))
    with pytest.raises(BudgetError, match="nothing was learned") as refused:
        charter.run(tmp_path / "x.yaml")
    assert str(refused.value).startswith(f"{tmp_path / 'x.yaml'}:1  data: data 'x' has a privacy budget")
    (run,) = (tmp_path / "runs").glob("*/run.json")
    record = json.loads(run.read_text())
    assert [stage["name"] for stage in record["stages"]] == ["prepare"] and record["status"] == "failed"


def test_a_budget_that_is_set_while_something_learns_without_privacy_stops_its_release(
    reviews_csv, tiny_bert, tmp_path, monkeypatch
):
    from charter.privacy.entries import Held
    from charter.privacy.filters import Budget
    from charter.privacy.ledger import Asked, identity_of

    running = sys.modules["charter.pipeline.run"]
    export = running.export_model

    def meanwhile(*args):
        asked = Asked("x", "row", "add_or_remove", SPEND, identity_of(b"s", "k"), Held("r", "", ""))
        Ledger(tmp_path / "runs" / "ledger").reserve(asked, Budget(4, 1e-5))
        return export(*args)

    monkeypatch.setattr(running, "export_model", meanwhile)
    with pytest.raises(BudgetError, match="without privacy costs more than any"):
        charter.run(written(tmp_path, tiny_bert), draft=True)
    assert not (tmp_path / "release").exists()


@pytest.mark.parametrize(
    ("data", "because"),
    [
        ({"privacy_budget": {"epsilon": 4}}, "add a section privacy"),
        ({"privacy_budget": {"epsilon": 4}, "public": True}, "remove one of the two"),
        ({"privacy_budget": {"delta": 1e-6}}, "epsilon is missing"),
        ({"privacy_budget": {"epsilon": -1}}, "greater than 0|above 0|more than 0"),
        ({"privacy_budget": {"ledger": "~/ledger"}}, "write the path out"),
    ],
)
def test_a_budget_that_can_not_be_is_a_problem_of_the_file(reviews_csv, tiny_bert, tmp_path, data, because):
    with pytest.raises(CharterFileError, match=because):
        read(written(tmp_path, tiny_bert, **data))


def test_what_a_bundle_says_of_the_ledger_is_told_in_both_languages(prepared):
    run, asked, folder, rows = prepared
    spending_of(run, asked, folder).reserve(rows, SPEND, secret=b"a", training="key")
    told = list(said({"privacy": ledger_told(ledger_head(run, asked, folder))}))
    assert "had 1 lines" in told[0] and "of no budget was spent on 'x' by 1 runs" in told[1]
    assert all("据其所称" in verification_said(line, "zh") for line in told)
    assert not list(said({"privacy": {"differential_privacy": False}}))


@pytest.mark.slow
def test_a_bundle_carries_the_ledgers_head_and_verify_shows_it(reviews_csv, tiny_bert, tmp_path, capsys):
    from charter.cli import run_command
    from charter.privacy.entries import Held
    from charter.privacy.ledger import Asked, identity_of

    ledger = Ledger(tmp_path / "runs" / "ledger")
    asked = Asked("x", "row", "add_or_remove", SPEND, identity_of(b"s", "k"), Held("r", "", ""))
    ledger.reserve(asked, None)  # an account without a budget: learning without privacy is on record
    result = charter.run(written(tmp_path, tiny_bert), draft=True)
    assert result.record.provenance["privacy"]["ledger"]["accounts"][0]["spent"] is None
    assert ledger.statement().record.charges[1].plain
    capsys.readouterr()
    assert run_command(["verify", str(result.bundle)]) == 0
    said = capsys.readouterr().out
    assert "its privacy ledger had 2 lines" in said and "epsilon without bound of no budget" in said
    look = ["privacy", "--store", str(tmp_path / "runs"), "--bundle", str(result.bundle)]
    assert run_command(look) == 0
    ledger.reserve(Asked("y", "row", "add_or_remove", SPEND, identity_of(b"t", "k"), Held("r", "", "")), None)
    assert run_command(look) == 0  # gone on from there
    for name in ("ledger.jsonl", "head.json"):
        (ledger.folder / name).unlink()
    ledger.reserve(asked, None)
    assert run_command(look) == 4
    said = capsys.readouterr().out
    assert "not the ledger" in said and "of data x: name it with --ledger" in said
    assert run_command([*look, "--lang", "zh"]) == 4
    assert "不是发布" in capsys.readouterr().out

"""A private model that is there already is charged where it is used: to these data, by this ledger, and only once."""

import pytest

from charter.errors import BudgetError
from charter.pipeline import learning, run
from charter.privacy import accounting
from charter.privacy.ledger import Ledger
from charter.training import fitting

CHARTER = """\
name: {name}
data:
  source: reviews.csv
  inputs: {{text: text}}
  target: label
  {data}
model: {{base: "{base}", max_length: 16, adapt: {{use: head}}}}
task: {{use: classification}}
training: {{epochs: 1, batch_size: 64, precision: float32}}
privacy: {{epsilon: 1, delta: 1.0e-5{more}}}
audits: [{{use: performance, resamples: 100}}]
limits: [{{limit: macro_f1 >= 0.01, judge: point}}]
"""


@pytest.fixture
def asked(reviews_csv, tiny_bert, monkeypatch):
    monkeypatch.setattr(accounting, "LOWEST", 1.0)  # at less noise the accountant is slow
    monkeypatch.setattr(accounting, "PRECISION", 0.01)

    def write(data, name="reviews", more=""):
        path = reviews_csv.parent / f"{name}.yaml"
        path.write_text(CHARTER.format(base=tiny_bert, data=data, name=name, more=more), encoding="utf-8")
        return path

    return write


def charges(path, ledger="runs/ledger"):
    return Ledger(path.parent / ledger).statement().record.charges


def test_what_was_learned_while_the_data_were_public_is_charged_once_they_are_not(asked):
    path = asked("public: true")
    assert run(path).record.status == "released"
    assert not charges(path)
    asked("privacy_budget: {epsilon: 0.5}")
    with pytest.raises(BudgetError, match=r"budget epsilon 0\.5"):
        run(path)
    assert not charges(path)
    asked("privacy_budget: {epsilon: 1.2}")
    origin = run(path).record.provenance["privacy"]
    (charge,) = charges(path)
    assert charge.settled and charge.rows > 100
    assert origin["ledger"]["accounts"][0]["spent"] == pytest.approx(1, abs=0.02)
    run(path)
    assert [one.number for one in charges(path)] == [charge.number]


def test_a_model_that_was_charged_elsewhere_is_charged_by_the_ledger_that_is_named_now(asked):
    path = asked("privacy_budget: {epsilon: 1.2}")
    run(path)
    (first,) = charges(path)
    asked("privacy_budget: {epsilon: 1.2, ledger: shared}")
    run(path)
    (second,) = charges(path, "shared")
    assert second.settled and second.identity == first.identity
    assert [one.number for one in charges(path)] == [first.number]


def test_a_model_under_another_id_must_fit_that_ones_budget_and_is_not_paid_for_twice(asked):
    run(asked("privacy_budget: {epsilon: 1.2}"))
    other = asked("privacy_budget: {epsilon: 0.5}", name="renamed")
    with pytest.raises(BudgetError, match="budget of data 'renamed': refused"):
        run(other)
    other = asked("privacy_budget: {epsilon: 1.2}", name="renamed")
    assert run(other).record.status == "released"
    assert len(charges(other)) == 1


def test_noise_from_the_seed_that_was_learned_before_is_refused_once_there_is_a_budget(asked):
    path = asked("", more=", reproducible_noise: true")
    run(path)
    asked("privacy_budget: {epsilon: 4}", more=", reproducible_noise: true")
    with pytest.raises(BudgetError, match="without privacy"):
        run(path)


def test_a_training_broken_off_after_its_last_update_is_settled_when_it_goes_on(asked, monkeypatch):
    path = asked("privacy_budget: {epsilon: 1.2}")

    def save(session, seconds):
        del seconds
        session.save()

    def stop(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(fitting._Session, "save_when_due", save)
        patched.setattr(learning, "save_model", stop)
        with pytest.raises(KeyboardInterrupt):
            run(path)
    assert [bool(one.settled) for one in charges(path)] == [False]
    run(path)
    assert [bool(one.settled) for one in charges(path)] == [True]

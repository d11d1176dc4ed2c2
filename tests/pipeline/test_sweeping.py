"""A sweep on data with a privacy budget: refused as a whole before the first run, charged once, gone on with where it stopped."""

import json

import pytest

from charter.errors import BudgetError, CharterError
from charter.pipeline.sweeping import sweep
from charter.privacy import accounting
from charter.privacy.ledger import Ledger

CHARTER = """\
name: reviews
data:
  source: reviews.csv
  inputs: {{text: text}}
  target: label
  groups: [city]
  split: {{test: 0.4, validation: 0.1}}
  {data}
model: {{base: "{base}", max_length: 16, adapt: {{use: head}}}}
task: {{use: classification}}
training: {{epochs: 1, batch_size: 64, precision: float32}}
privacy: {{epsilon: 1, delta: 1.0e-5}}
audits: [{{use: performance, resamples: 100}}]
"""


@pytest.fixture
def asked(reviews_csv, tiny_bert, monkeypatch):
    monkeypatch.setattr(
        accounting, "LOWEST", 1.0
    )  # these budgets need more noise, and at less the accountant is slow
    monkeypatch.setattr(accounting, "PRECISION", 0.01)

    def write(data):
        path = reviews_csv.parent / "charter.yaml"
        path.write_text(CHARTER.format(base=tiny_bert, data=data), encoding="utf-8")
        return path

    return write


def charges(path):
    return Ledger(path.parent / "runs" / "ledger").statement().record.charges


def stages(path):
    runs = [json.loads(one.read_text()) for one in (path.parent / "runs").glob("*/run.json")]
    return {stage["name"] for run in runs for stage in run["stages"]}


def test_a_sweep_that_the_budget_does_not_hold_is_refused_whole_with_the_figures(asked):
    path = asked("privacy_budget: {epsilon: 2}")
    with pytest.raises(BudgetError) as refused:
        sweep(path, "privacy.epsilon=0.5,1,1.5")
    said = str(refused.value)
    assert "nothing was run and nothing charged" in said
    assert said.startswith(f"{path}:") and "  data.privacy_budget: --sweep" in said
    assert "the budget is epsilon 2 at delta 1e-05; spent before 0; all 3 points would make " in said
    assert "In this order 0.5, 1 would fit" in said
    assert "Of the point 1.5: " in said
    assert not charges(path)
    assert stages(path) == {"prepare"}


def test_a_point_without_privacy_is_refused_where_there_is_a_budget_before_anything_is_read(asked):
    path = asked("privacy_budget: {epsilon: 20}")
    with pytest.raises(CharterError, match=r"epsilon=inf: .*without privacy costs more than any"):
        sweep(path, "privacy.epsilon=1,inf")
    with pytest.raises(BudgetError, match=r"reproducible_noise=true: .*without privacy costs more than any"):
        sweep(path, "privacy.reproducible_noise=false,true")
    assert not (path.parent / "runs").exists()


def test_a_sweep_goes_on_where_it_stopped_and_each_point_is_charged_once(asked):
    path = asked("privacy_budget: {epsilon: 1.6}")

    def stop(said):
        if said == "privacy.epsilon=1":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(path, "privacy.epsilon=0.5,1", on_point=stop)
    assert [one.epsilon for one in charges(path)] == [pytest.approx(0.5, abs=0.01)]
    swept = sweep(path, "privacy.epsilon=0.5,1")
    assert len(charges(path)) == 2
    assert not (path.parent / "release").exists()
    assert {swept.record(one).status for one in swept.points} == {"sweep"}
    again = sweep(path, "privacy.epsilon=0.5,1")  # twice would pass the budget
    assert len(charges(path)) == 2
    assert [again.score(one).value for one in again.points] == [
        swept.score(one).value for one in swept.points
    ]
    with pytest.raises(BudgetError, match="Not even the first of them fits"):
        sweep(path, "training.seed=1,2")

"""Intervals cover, small groups say so, calibration tells honest from overconfident, the judge never passes without evidence."""

import numpy as np
import polars as pl
import pytest

from charter.audits.calibration import calibration
from charter.audits.case import Answers, Case
from charter.audits.performance import performance
from charter.audits.resampling import Resampling, resampled_totals, summed, wilson
from charter.data.columns import ROW, Columns
from charter.release.judge import judge, released
from charter.runs.findings import Finding
from charter.spec.model import Charter
from charter.tasks.classification import classification

COLUMNS = Columns(inputs={"text": "text"}, target="label", groups=("city",))


def case(n=600, sharpness=1.0, seed=0, subject=None) -> Case:
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet([1.0, 1.0, 1.0], n)
    truth = np.array([rng.choice(3, p=share) for share in shares])
    logits = (np.log(shares) * sharpness).astype(np.float32)
    cities = ["Paris"] * (n - 10) + ["北京"] * 10
    rows = pl.DataFrame(
        {
            ROW: range(n),
            "text": [f"w{t} text" for t in truth],
            "label": [f"c{t}" for t in truth],
            "city": cities,
            "who": [str(i // 5) for i in range(n)],
        }
    )
    columns = Columns(COLUMNS.inputs, "label", ("city",), subject)
    task = classification().fit(rows, columns)
    return Case("model", task, columns, rows, {"test": Answers(rows, list(logits), "rows")}, 1.0, "", 3)


def found(findings, metric, **where):
    return next(one for one in findings if one.metric == metric and dict(one.slice) == where)


def test_bootstrap_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        right = rng.random(150) < 0.8
        totals = resampled_totals(np.c_[right, np.ones(150)].astype(np.int64), Resampling(300, 0.95, trial))
        low, high = np.quantile(totals[:, 0] / totals[:, 1], [0.025, 0.975])
        covered += low <= 0.8 <= high
    assert 0.89 <= covered / 200 <= 0.99


def test_rows_of_one_person_widen_the_interval():
    right = np.repeat(np.random.default_rng(1).random(40) < 0.7, 10)
    tally = np.c_[right, np.ones(400)].astype(np.int64)
    how = Resampling(500, 0.95, 0)
    alone = resampled_totals(tally, how)
    people = resampled_totals(summed(tally, np.repeat(np.arange(40), 10)), how)
    assert (people[:, 0] / people[:, 1]).std() > 2 * (alone[:, 0] / alone[:, 1]).std()


def test_wilson_holds_at_one():
    assert wilson(50, 50, 0.95).low == pytest.approx(0.9287, abs=1e-3)


def test_every_score_has_an_interval_and_small_groups_are_insufficient_evidence():
    findings = performance(resamples=200)(case())
    accuracy = found(findings, "accuracy")
    assert accuracy.low < accuracy.value < accuracy.high
    assert "insufficient evidence: 10 rows" in found(findings, "accuracy", city="北京").because
    assert found(findings, "headline_gain", baseline="tfidf_logistic_regression").high < 0
    assert found(findings, "accuracy", baseline="majority").value == pytest.approx(
        case().train["label"].value_counts()["count"].max() / 600
    )


def test_the_same_case_gives_the_same_findings():
    assert performance(resamples=200)(case()) == performance(resamples=200)(case())


def test_calibration_tells_honest_from_overconfident_probabilities():
    honest = found(calibration(resamples=200)(case(3000)), "expected_calibration_error")
    overconfident = found(calibration(resamples=200)(case(3000, sharpness=3.0)), "expected_calibration_error")
    assert honest.value < 0.03
    assert overconfident.low > 0.1
    assert sum(honest.attachment["n"]) == 3000


def charter(*limits, risk="minimal") -> Charter:
    return Charter.model_validate(
        {
            "name": "a",
            "purpose": {"risk": risk},
            "data": {"source": "x.csv", "inputs": {"t": "text"}, "target": "y"},
            "model": {"base": "b"},
            "task": {"use": "classification"},
            "limits": list(limits),
        }
    )


def score(metric, value, low=None, high=None, because="", **where):
    return Finding(
        "performance", metric, value, low=low, high=high, slice=where, because=because, split="test"
    )


FOUND = [
    score("accuracy", 0.8, 0.75, 0.85),
    score("accuracy", 0.7, 0.6, 0.8, city="a"),
    score("accuracy", None, because="insufficient evidence: 3 rows", city="b"),
    score("recall", 0.9),
]


@pytest.mark.parametrize(
    ("limit", "outcome"),
    [
        ("accuracy >= 0.75", "kept"), ("accuracy >= 0.76", "broken"), ({"limit": "accuracy >= 0.79", "judge": "point"}, "kept"),
        ("accuracy <= 0.84", "broken"), ("accuracy[city=a] >= 0.6", "kept"), ("accuracy[city=b] >= 0.1", "no evidence"),
        ("accuracy[city=*] >= 0.6", "kept"), ("accuracy[city=*] >= 0.61", "broken"), ("accuracy[town=*] >= 0", "no evidence"),
        ("recall >= 0.1", "no evidence"), ({"limit": "recall >= 0.1", "judge": "point"}, "kept"), ("auroc >= 0", "no evidence"),
    ],
)  # fmt: skip
def test_limits_are_judged_on_the_worse_end_and_never_without_evidence(limit, outcome):
    verdicts = judge(charter(limit), FOUND)
    assert verdicts[0].outcome == outcome
    assert released(verdicts) == (outcome == "kept")


def test_a_wildcard_lists_what_it_could_not_judge():
    assert judge(charter("accuracy[city=*] >= 0.6"), FOUND)[0].unjudged == ("city=b",)


def test_no_limit_or_unmet_demands_of_risk_stop_the_release():
    assert not released(judge(charter(), FOUND))
    high = judge(charter("accuracy >= 0.5", risk="high"), FOUND)
    assert not released(high)
    assert any("robustness" in one.limit for one in high)

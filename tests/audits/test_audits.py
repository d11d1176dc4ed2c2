"""Intervals cover, small groups say so, calibration tells honest from overconfident, the judge never passes without evidence."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from charter.audits.calibration import calibration
from charter.audits.case import Answers, Case, FoldedTemperature
from charter.audits.measuring import interval, measured, paired_gain
from charter.audits.performance import performance
from charter.audits.resampling import Resampling, resampled_totals, summed, wilson
from charter.data.columns import ROW, Columns
from charter.release.judge import judge, released
from charter.runs.findings import Finding
from charter.spec.model import Charter
from charter.tasks.classification import Classification, classification

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
    answers = {"test": Answers(rows, list(logits), "rows")}
    return Case("model", task, columns, rows, answers, FoldedTemperature(because="no rows"), 3)


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


def test_the_majority_of_balanced_training_rows_is_the_class_that_is_common_elsewhere():
    whole = case(300)
    test = whole.answers["test"]
    balanced = pl.concat([test.rows.filter(pl.col("label") == one).head(5) for one in ("c0", "c1", "c2")])
    common = test.rows.filter(pl.col("label") == "c2")
    validation = Answers(common, [test.outputs[0]] * common.height, "validation")
    told = performance(resamples=100)(
        replace(whole, train=balanced, answers={"test": test, "validation": validation})
    )
    accuracy = found(told, "accuracy", baseline="majority")
    assert accuracy.value == pytest.approx((test.rows["label"] == "c2").mean())


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
    most = case().train["label"].value_counts()["count"].max()
    assert found(findings, "accuracy", baseline="majority").value == pytest.approx(most / 600)


def test_too_few_rows_show_no_gain_over_a_baseline():
    findings = performance(resamples=100)(case(20))
    gain = found(findings, "headline_gain", baseline="tfidf_logistic_regression")
    assert (gain.value, gain.because) == (
        None,
        "insufficient evidence: 20 rows, at least 30 are needed",
    )
    assert found(findings, "accuracy", baseline="tfidf_logistic_regression").value is None
    assert not released(judge(charter("headline_gain[baseline=majority] > -1"), findings))


def decided(truth, guess, classes, subject=None) -> Case:
    """A case in which the model surely says `guess`."""
    n = len(truth)
    names = [f"c{number}" for number in range(classes)]
    rows = pl.DataFrame(
        {ROW: range(n), "text": ["x"] * n, "label": [names[one] for one in truth]}
        | ({"who": subject} if subject is not None else {})
    )
    columns = Columns({"text": "text"}, "label", subject="who" if subject is not None else None)
    logits = list(np.eye(classes, dtype=np.float32)[guess] * 5)
    task = Classification(labels=tuple(names))
    return Case("m", task, columns, rows, {"test": Answers(rows, logits, "d")}, FoldedTemperature(), 3)


def cells(shares, n, rng):
    """Truth and guess of n rows drawn from a table of shares (truth, guess)."""
    drawn = rng.choice(shares.size, size=n, p=shares.ravel())
    return drawn // len(shares), drawn % len(shares)


@pytest.mark.parametrize(
    ("prior", "confusion", "n", "scores"),
    [
        ([0.6, 0.38, 0.02], [[0.97, 0.03, 0], [0.03, 0.97, 0], [0.05, 0.05, 0.9]], 300, ["macro_f1", "macro_recall", "mcc"]),
        ([0.03, 0.97], [[0.95, 0.05], [0.001, 0.999]], 1000, ["macro_f1", "macro_recall", "mcc"]),
        ([0.5, 0.5], [[0.98, 0.02], [0.02, 0.98]], 100, ["accuracy", "macro_f1", "mcc"]),
        ([0.5, 0.5], [[0.8, 0.2], [0.2, 0.8]], 300, ["accuracy", "macro_f1", "mcc", "recall:c0", "precision:c0"]),
    ],
    ids=["a class of 2 %", "a class of 3 %", "nearly perfect", "ordinary"],
)  # fmt: skip
def test_the_true_score_lies_below_the_low_end_no_oftener_than_stated(prior, confusion, n, scores):
    shares = np.asarray(prior)[:, None] * np.asarray(confusion)
    k = len(prior)
    true = Classification(labels=tuple(f"c{number}" for number in range(k))).scores(
        np.r_[np.diag(shares), shares.sum(0), shares.sum(1)]
    )
    rng = np.random.default_rng(0)
    misses = dict.fromkeys(scores, 0)
    for trial in range(120):
        one, how = decided(*cells(shares, n, rng), k), Resampling(200, 0.95, trial)
        model = measured(one, one.answers["test"], one.answers["test"].outputs, how)
        for name in scores:
            metric, _, label = name.partition(":")
            misses[name] += interval(model, (metric, label), how).low > float(true[metric, label]) + 1e-9
    assert max(misses.values()) <= 0.06 * 120, misses


def test_one_lucky_prediction_proves_no_precision():
    truth = np.r_[np.zeros(100, int), np.ones(200, int)]
    guess = np.r_[0, np.ones(299, int)]
    finding = found(performance(resamples=200)(decided(truth, guess, 2)), "precision", **{"class": "c0"})
    assert (finding.value, finding.n) == (None, 1)
    assert "1 predicted as class c0" in finding.because


def test_a_class_of_one_person_is_no_evidence():
    truth, guess = np.r_[np.zeros(60, int), np.ones(340, int)], np.r_[[1] * 12, [0] * 48, [1] * 340]
    people = ["anna"] * 60 + [f"p{number}" for number in range(340)]
    findings = performance(resamples=200)(decided(truth, guess, 2, people))
    recall = found(findings, "recall", **{"class": "c0"})
    assert recall.value is None
    assert "worth 1.0 independent ones" in recall.because


def test_the_gain_over_a_baseline_is_paired():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 2, 800)
    cheap = np.where(rng.random(800) < 0.25, 1 - truth, truth)
    better = np.where(
        (cheap != truth) & (rng.random(800) < 0.1), truth, cheap
    )  # right wherever the cheap one is
    how = Resampling(400, 0.95, 0)
    ours, theirs = (
        measured(one, one.answers["test"], one.answers["test"].outputs, how)
        for one in (decided(truth, better, 2), decided(truth, cheap, 2))
    )
    gain = paired_gain(ours, theirs, how)
    assert gain.low > 0
    assert gain.high - gain.low < 0.05


def test_the_same_case_gives_the_same_findings():
    assert performance(resamples=200)(case()) == performance(resamples=200)(case())


def test_calibration_tells_honest_from_overconfident_probabilities():
    honest = found(calibration(resamples=200)(case(3000)), "expected_calibration_error")
    overconfident = found(calibration(resamples=200)(case(3000, sharpness=3.0)), "expected_calibration_error")
    assert honest.value < 0.03
    assert overconfident.low > 0.1
    assert sum(honest.attachment["n"]) == 3000


def told(shift, n, rng) -> Case:
    """Two classes; the model's confidence lies `shift` above the share that is right."""
    confidence = rng.uniform(0.5, 1, n)
    truth = (rng.random(n) >= confidence - shift).astype(int)
    one = decided(truth, np.zeros(n, int), 2)
    logits = np.log(np.c_[confidence, np.maximum(1 - confidence, 1e-9)]).astype(np.float32)
    test = one.answers["test"]
    return replace(one, answers={"test": replace(test, outputs=list(logits))})


@pytest.mark.parametrize(("shift", "n", "bias"), [(0.0, 400, 0.04), (0.05, 1000, 0.015), (0.15, 400, 0.015)])
def test_the_calibration_error_is_nearly_unbiased_and_its_high_end_careful(shift, n, bias):
    rng = np.random.default_rng(2)
    confidence = rng.uniform(0.5, 1, 200_000)
    true = float(np.abs(confidence - np.clip(confidence - shift, 0, 1)).mean())
    findings = [
        found(
            calibration(resamples=200)(replace(told(shift, n, rng), seed=trial)), "expected_calibration_error"
        )
        for trial in range(60)
    ]
    assert abs(np.mean([one.value for one in findings]) - true) < bias  # an error can't be less than 0
    assert np.mean([one.high < true for one in findings]) <= 0.07


def test_a_model_that_is_always_right_has_no_certain_calibration():
    findings = calibration(resamples=200)(decided(np.arange(120) % 2, np.arange(120) % 2, 2))
    for metric in ("expected_calibration_error", "brier", "negative_log_likelihood"):
        one = found(findings, metric)
        assert one.high - one.low > 0.01, metric


def test_calibration_of_one_persons_rows_is_no_evidence():
    one = decided(np.arange(150) % 2, np.arange(150) % 2, 2, ["anna"] * 150)
    assert found(calibration(resamples=200)(one), "brier").value is None


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


def test_a_demand_is_met_by_an_interval_only():
    confusion = Finding("performance", "confusion", 0.1, n=20, split="test")
    temperature = Finding("calibration", "temperature", 1.0, n=20, split="test")
    one = charter({"limit": "temperature <= 10", "judge": "point"}, risk="limited")
    assert not released(judge(one, [confusion, temperature]))


def test_a_limit_may_ask_for_more_than_the_cheap_baseline_gives():
    gain = Finding(
        "baseline", "headline_gain", 0.1, low=0.02, high=0.2, slice={"baseline": "majority"}, split="test"
    )
    assert released(judge(charter("headline_gain[baseline=majority] > 0"), [gain]))
    assert not released(judge(charter("headline_gain[baseline=majority] > 0.05"), [gain]))


def test_a_wildcard_lists_what_it_could_not_judge():
    assert judge(charter("accuracy[city=*] >= 0.6"), FOUND)[0].unjudged == ("city=b",)


def test_no_limit_or_unmet_demands_of_risk_stop_the_release():
    assert not released(judge(charter(), FOUND))
    high = judge(charter("accuracy >= 0.5", risk="high"), FOUND)
    assert not released(high)
    assert any("robustness" in one.limit for one in high)


def test_a_limit_without_wildcard_names_no_parts_that_it_left_out():
    silent = Finding(
        "performance", "accuracy", None, n=4, because="insufficient evidence: 4 rows", split="test"
    )
    verdict = judge(charter("accuracy >= 0.6"), [silent])[0]
    assert (verdict.outcome, verdict.unjudged) == ("no evidence", ())

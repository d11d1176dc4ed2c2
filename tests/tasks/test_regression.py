"""Numbers: scores as scikit-learn's and scipy's under any resample, intervals that hold what they promise, scale in the weights."""

import json

import numpy as np
import polars as pl
import pytest
from scipy import stats
from sklearn import metrics

from charter import plugins
from charter.data.batch import Batch
from charter.data.columns import ROW, SPLIT, Columns, Form
from charter.errors import DataError, OptionError
from charter.tasks import restore
from charter.tasks.ranking import rank_correlation
from charter.tasks.regression import regression
from charter.tasks.task import HeldOut

COLUMNS = Columns(inputs={"text": "text"}, target="stars", form=Form("number"))


def numbered(n=300, seed=0, noise=2.0):
    rng = np.random.default_rng(seed)
    truth = rng.normal(50, 6, n).round(1)
    told = truth + rng.normal(0, noise, n)
    rows = pl.DataFrame({ROW: np.arange(n), "text": ["x"] * n, "stars": truth, SPLIT: ["train"] * n})
    return regression().fit(rows, COLUMNS), rows, list(told.astype(np.float32)[:, None]), truth


def test_scores_of_numbers_are_those_of_scikit_learn_and_scipy():
    task, rows, outputs, truth = numbered()
    told = np.asarray(outputs, dtype=float).ravel()
    found = task.scores(task.tally(outputs, rows, COLUMNS).sum(axis=0))
    assert found["r2", ""] == pytest.approx(metrics.r2_score(truth, told))
    assert found["mae", ""] == pytest.approx(metrics.mean_absolute_error(truth, told))
    assert found["rmse", ""] == pytest.approx(metrics.root_mean_squared_error(truth, told))
    assert found["pearson", ""] == pytest.approx(stats.pearsonr(truth, told).statistic)
    ranked = task.ranking_scores(outputs, rows, COLUMNS, np.ones((1, rows.height)))
    assert ranked["spearman", ""][0] == pytest.approx(stats.spearmanr(truth, told).statistic)


def test_a_resample_s_spearman_is_that_of_the_rows_it_holds():
    rng = np.random.default_rng(4)
    one, other = rng.integers(0, 9, 60).astype(float), rng.integers(0, 9, 60).astype(float)
    weights = rng.multinomial(60, np.full(60, 1 / 60), size=20).astype(float)
    for weight, found in zip(weights, rank_correlation(one, other, weights), strict=True):
        at = np.repeat(np.arange(60), weight.astype(int))
        assert found == pytest.approx(stats.spearmanr(one[at], other[at]).statistic)


def test_a_constant_answer_has_no_correlation_and_explains_nothing():
    task, rows, outputs, truth = numbered()
    mean = [np.asarray([truth.mean()], dtype=np.float32)] * len(outputs)
    found = task.scores(task.tally(mean, rows, COLUMNS).sum(axis=0))
    assert found["r2", ""] == pytest.approx(0, abs=1e-6)
    assert np.isnan(found["pearson", ""])


def test_bounds_take_the_place_of_what_the_training_rows_say():
    _, rows, _, _ = numbered()
    task = plugins.make("task", "regression", {"bounds": [30, 70]}).fit(rows, COLUMNS)
    assert (task.mean, task.scale) == (50.0, 10.0)
    assert restore(json.loads(json.dumps(task.state()))) == task
    other = task.fit(rows.with_columns(stars=pl.lit(1.0)), COLUMNS)
    assert other == task  # nothing of the rows


def test_bounds_the_wrong_way_round_are_refused():
    with pytest.raises(OptionError, match=r"no number lies between the two"):
        plugins.make("task", "regression", {"bounds": [70, 30]})


def test_intervals_hold_the_share_that_they_promise():
    inside = []
    for seed in range(40):
        task, rows, outputs, _ = numbered(n=400, seed=seed)
        settled = task.settle(lambda _, r=rows, o=outputs: HeldOut(r[:99], o[:99]), COLUMNS)
        told = settled.intervals(outputs[99:], rows[99:], COLUMNS)
        inside.append(((told.low <= told.truth) & (told.truth <= told.high)).mean())
    # of 99 calibration rows the 90th smallest error covers 0.9 on average (Lei et al. 2018, theorem 2.2)
    assert np.mean(inside) == pytest.approx(0.9, abs=0.015)


def test_too_few_rows_for_an_interval_give_none_and_validation_rows_help():
    task, rows, outputs, _ = numbered()
    few = task.settle(lambda _: HeldOut(rows[:4], outputs[:4]), COLUMNS)
    assert few.intervals(outputs, rows, COLUMNS) is None
    assert few.decode(outputs, rows, COLUMNS)["low"].null_count() == rows.height
    more = task.settle(
        lambda split: (
            HeldOut(rows[:5], outputs[:5]) if split == "calibration" else HeldOut(rows[5:60], outputs[5:60])
        ),
        COLUMNS,
    )
    assert "calibration and validation splits, 60 rows" in more.settled_on
    assert restore(json.loads(json.dumps(more.state()))) == more


def test_the_target_s_scale_is_learned_from_training_rows_only():
    _, rows, _, _ = numbered()
    mixed = pl.concat([rows, rows.with_columns(pl.lit("test").alias(SPLIT), pl.col("stars") * 100)])
    assert regression().fit(mixed, COLUMNS).spread == pytest.approx(float(rows["stars"].std(ddof=0)))


def test_a_target_that_never_varies_is_refused():
    _, rows, _, _ = numbered()
    with pytest.raises(DataError, match="nothing to learn"):
        regression().fit(rows.with_columns(pl.lit(3.0).alias("stars")), COLUMNS)


@pytest.mark.parametrize("bias", [True, False])
def test_the_released_weights_answer_in_the_target_s_units(tiny_bert, tmp_path, bias):
    import torch

    from charter.models.base import attach, find_base

    task, _, _, _ = numbered()
    model = attach(find_base(str(tiny_bert), None, tmp_path), task, seed=1, max_length=16).eval()
    if not bias:
        model.classifier.bias = None
    ids = torch.tensor([[2, 5, 6, 3]])
    batch = Batch({"input_ids": ids}, None, torch.tensor([0]), torch.ones(1))
    with torch.inference_mode():
        before = task.outputs(model, batch, None)[0]
        finished = task.finished(model)
        after = finished.outputs(model, batch, None)[0]
        plain = float(model(ids).logits)
    assert after == pytest.approx(before, rel=1e-5)
    assert (plain == pytest.approx(float(after[0]), rel=1e-4)) == bias
    assert model.config.problem_type == "regression"
    assert model.config.id2label == {0: "stars"}

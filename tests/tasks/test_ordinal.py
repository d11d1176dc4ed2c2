"""Ordered classes: scores as scikit-learn's, probabilities that add up, a loss that is their likelihood."""

import json
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from sklearn import metrics

from charter.audits.case import Answers, Case, FoldedTemperature
from charter.audits.measuring import interval, measured
from charter.audits.resampling import Resampling
from charter.data.batch import Batch
from charter.data.columns import ROW, UNIT, Columns
from charter.errors import DataError
from charter.tasks import restore
from charter.tasks.ordinal import class_shares, median_class, ordinal, step_logits
from charter.tasks.temperature import fit_temperature

COLUMNS = Columns(inputs={"text": "text"}, target="stars")


def rated(n=400, seed=0, labels=("1", "2", "3", "4", "10"), **options):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, len(labels), n)
    logits = rng.normal(size=(n, len(labels) - 1)) + 2 * (truth[:, None] > np.arange(len(labels) - 1)) - 1
    rows = pl.DataFrame({ROW: np.arange(n), "text": ["x"] * n, "stars": [labels[one] for one in truth]})
    return ordinal(**options).fit(rows, COLUMNS), rows, list(logits.astype(np.float32)), truth


def test_scores_of_ordered_classes_are_those_of_scikit_learn():
    task, rows, outputs, truth = rated()
    guess = median_class(np.asarray(outputs, dtype=float))
    found = task.scores(task.tally(outputs, rows, COLUMNS).sum(axis=0).astype(float))
    kappa = metrics.cohen_kappa_score(truth, guess, weights="quadratic")
    assert found["quadratic_weighted_kappa", ""] == pytest.approx(kappa)
    assert found["mae", ""] == pytest.approx(metrics.mean_absolute_error(truth, guess))
    by_class = [np.abs(guess - truth)[truth == one].mean() for one in range(5)]
    assert found["macro_mae", ""] == pytest.approx(np.mean(by_class))
    assert found["mae", "10"] == pytest.approx(by_class[4])
    assert found["accuracy", ""] == pytest.approx(metrics.accuracy_score(truth, guess))


def test_classes_are_ordered_by_their_numbers_or_as_the_charter_says():
    assert rated()[0].labels == ("1", "2", "3", "4", "10")
    words = {"labels": ("bad", "fair", "good")}
    assert rated(**words, order=("bad", "fair", "good", "great"))[0].labels == (
        "bad",
        "fair",
        "good",
        "great",
    )
    with pytest.raises(DataError, match="say their order"):
        rated(**words)
    with pytest.raises(DataError, match=r"rows of column .* have a class that it does not name"):
        rated(**words, order=("bad", "good"))


def test_probabilities_add_up_and_steps_are_their_inverse():
    logits = np.random.default_rng(1).normal(size=(50, 4)) * 3
    shares = class_shares(logits)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert (shares >= 0).all()
    np.testing.assert_allclose(class_shares(step_logits(shares)), shares, atol=1e-6)


def test_the_loss_is_the_negative_log_likelihood_of_the_true_class():
    import torch

    task, rows, outputs, truth = rated(n=20)
    batch = Batch({}, torch.from_numpy(truth), torch.arange(20), torch.ones(20))
    loss = task.loss(lambda: SimpleNamespace(logits=torch.tensor(np.stack(outputs))), batch)
    shares = class_shares(np.asarray(outputs, dtype=float))
    np.testing.assert_allclose(loss.numpy(), -np.log(shares[np.arange(20), truth]), rtol=1e-4)
    assert task.mean_loss(outputs, rows, COLUMNS) == pytest.approx(float(loss.mean()), rel=1e-4)


def test_a_temperature_undoes_overconfidence_of_steps_too():
    task, rows, outputs, _ = rated(n=3000)
    calm = fit_temperature(task, outputs, rows, COLUMNS)
    hot = fit_temperature(task, [one * 3 for one in outputs], rows, COLUMNS)
    assert hot.value == pytest.approx(3 * calm.value, rel=0.01)


def test_the_answer_is_the_median_class_and_the_task_survives_writing():
    task, rows, outputs, _ = rated()
    decoded = task.decode(outputs, rows, COLUMNS)
    best = median_class(np.asarray(outputs, dtype=float))
    assert decoded["prediction"].to_list() == [task.labels[one] for one in best]
    stated = [row[task.labels[one]] for row, one in zip(decoded["probabilities"], best, strict=True)]
    np.testing.assert_allclose(decoded["probability"], stated)
    assert restore(json.loads(json.dumps(task.state()))) == task


def test_an_error_in_ranks_of_constant_answers_is_no_certainty():
    """Every row is answered with the middle class, so resamples of the macro-averaged error never vary."""
    rows = pl.DataFrame({ROW: range(60), UNIT: range(60), "text": ["x"] * 60, "stars": ["1", "2", "3"] * 20})
    task = ordinal().fit(rows, COLUMNS)
    outputs = [np.asarray([5.0, -5.0], dtype=np.float32)] * 60
    test = Answers(rows, outputs, "on")
    how = Resampling(200, 0.95, 1)
    one = measured(
        Case("of", task, COLUMNS, rows, {"test": test}, FoldedTemperature(), 1), test, outputs, how
    )
    found = interval(one, ("macro_mae", ""), how)
    assert found.value == pytest.approx(2 / 3)
    assert found.low < 0.62 and found.high > 0.72
    assert interval(one, ("mae", "2"), how).high > 0.1

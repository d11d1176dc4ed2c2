"""Several labels per text: scores as scikit-learn's, thresholds the best there are, a row without labels is a row."""

import json

import numpy as np
import polars as pl
import pytest
from sklearn import metrics

from charter.data.batch import Examples
from charter.data.columns import ROW, Columns
from charter.errors import DataError
from charter.tasks import restore
from charter.tasks.multi_label_classification import multi_label_classification, tuned_thresholds
from charter.tasks.scoring import sigmoid
from charter.tasks.task import HeldOut

COLUMNS = Columns(inputs={"text": "text"}, target="labels")


def labelled(n=400, labels=4, seed=0, **options):
    rng = np.random.default_rng(seed)
    truth = rng.random((n, labels)) < np.linspace(0.1, 0.5, labels)
    truth[0] = False
    logits = (rng.normal(size=(n, labels)) + 2 * truth - 1.2).astype(np.float32)
    names = [[f"c{one}" for one in np.flatnonzero(row)] for row in truth]
    cells = pl.Series(names, dtype=pl.List(pl.String))
    rows = pl.DataFrame({ROW: np.arange(n), "text": ["x"] * n, "labels": cells})
    return multi_label_classification(**options).fit(rows, COLUMNS), rows, list(logits), truth


def scores_of(task, outputs, rows):
    return task.scores(task.tally(outputs, rows, COLUMNS).sum(axis=0))


def test_scores_of_several_labels_are_those_of_scikit_learn():
    task, rows, outputs, truth = labelled()
    guess = sigmoid(np.asarray(outputs, dtype=float)) >= 0.5
    found = scores_of(task, outputs, rows)
    for average in ("macro", "micro"):
        for name in ("precision", "recall", "f1"):
            expected = getattr(metrics, f"{name}_score")(truth, guess, average=average, zero_division=0)
            assert found[f"{average}_{name}", ""] == pytest.approx(expected)
    assert found["subset_accuracy", ""] == pytest.approx(metrics.accuracy_score(truth, guess))
    assert found["hamming_loss", ""] == pytest.approx(metrics.hamming_loss(truth, guess))
    assert found["samples_f1", ""] == pytest.approx(
        metrics.f1_score(truth, guess, average="samples", zero_division=1)
    )
    assert found["f1", "c2"] == pytest.approx(metrics.f1_score(truth[:, 2], guess[:, 2]))


def test_mean_average_precision_and_auroc_are_those_of_scikit_learn():
    task, rows, outputs, truth = labelled()
    found = task.ranking_scores(outputs, rows, COLUMNS, np.ones((1, rows.height)))
    shares = np.asarray(outputs)
    assert found["auprc", ""][0] == pytest.approx(
        metrics.average_precision_score(truth, shares, average="macro")
    )
    assert found["auroc", ""][0] == pytest.approx(metrics.roc_auc_score(truth, shares, average="macro"))


def test_a_tuned_threshold_is_the_best_there_is_in_f1():
    _, _, outputs, truth = labelled()
    shares = sigmoid(np.asarray(outputs, dtype=float))
    for label, cut in enumerate(tuned_thresholds(shares, truth)):
        best = max(metrics.f1_score(truth[:, label], shares[:, label] >= one) for one in shares[:, label])
        assert metrics.f1_score(truth[:, label], shares[:, label] >= cut) == pytest.approx(best)


def test_a_rare_label_takes_the_threshold_of_all_labels_together():
    shares = np.random.default_rng(2).random((50, 2))
    truth = np.stack([shares[:, 0] > 0.3, np.arange(50) == 7], axis=1)
    alone = np.concatenate([shares[:, 0], shares[:, 1]])[:, None]
    common = tuned_thresholds(alone, np.concatenate([truth[:, 0], truth[:, 1]])[:, None])[0]
    own, rare = tuned_thresholds(shares, truth)
    assert rare == common
    assert 0.25 < own <= 0.35


def test_thresholds_are_tuned_on_held_out_rows_and_survive_writing():
    task, rows, outputs, truth = labelled(threshold="tuned")
    asked = []

    def held_out(split):
        asked.append(split)
        half = slice(0, 200) if split == "validation" else slice(200, 400)
        return HeldOut(rows[half], outputs[half])

    settled = task.settle(held_out, COLUMNS)
    assert set(asked) == {"validation", "calibration"}
    assert settled.thresholds == tuned_thresholds(sigmoid(np.asarray(outputs, dtype=float)), truth)
    assert restore(json.loads(json.dumps(settled.state()))) == settled
    assert scores_of(settled, outputs, rows)["macro_f1", ""] > scores_of(task, outputs, rows)["macro_f1", ""]


def test_tuning_without_held_out_rows_is_refused_and_a_fixed_threshold_needs_none():
    task, rows, *_ = labelled(threshold="tuned")
    with pytest.raises(DataError, match="needs validation or calibration rows"):
        task.settle(lambda _: HeldOut(rows[:0], []), COLUMNS)
    fixed = labelled(threshold=0.3)[0]
    assert fixed.settle(lambda _: pytest.fail("nothing is to be fitted"), COLUMNS) is fixed


def test_a_row_without_any_label_is_answered_with_none_and_counts_as_right():
    task, rows, _, _ = labelled()
    nothing = [np.full(4, -9, dtype=np.float32)]
    assert task.decode(nothing, rows[:1], COLUMNS)["predictions"].to_list() == [[]]
    found = scores_of(task, nothing, rows[:1])
    assert found["subset_accuracy", ""] == found["samples_f1", ""] == 1.0


def test_a_stated_probability_is_of_a_label_s_presence_whatever_the_threshold():
    task, rows, outputs, truth = labelled(threshold=0.2)
    told = task.confidences(outputs, rows, COLUMNS)
    np.testing.assert_allclose(told.stated, sigmoid(np.asarray(outputs, dtype=float)).ravel())
    np.testing.assert_array_equal(told.came_true, truth.ravel())
    assert task.mean_loss(outputs, rows, COLUMNS) == pytest.approx(
        metrics.log_loss(truth.ravel(), told.stated)
    )


def test_balanced_weights_make_presence_and_absence_weigh_alike():
    task, rows, _, truth = labelled()
    targets = truth.astype(np.float32)
    weights = task.balance(Examples((), targets, rows[ROW].to_numpy(), 0, 0))
    np.testing.assert_allclose(weights * truth.sum(axis=0), (~truth).sum(axis=0), rtol=1e-5)

"""Scores agree with scikit-learn and seqeval, the field's own."""

import json
import random
import warnings

import numpy as np
import polars as pl
import pytest
from sklearn import metrics

from charter.data.columns import ROW, Columns
from charter.errors import OptionError
from charter.tasks import restore
from charter.tasks.classification import classification
from charter.tasks.entities import entities, split_words
from charter.tasks.outputs import from_frame, to_frame
from charter.tasks.temperature import AT_THE_END, COOLEST, fit_temperature
from charter.tasks.token_classification import token_classification

COLUMNS = Columns(inputs={"text": "text"}, target="label")


def labelled(n=300, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, n)
    logits = rng.normal(size=(n, classes)).round(1).astype(np.float32)
    logits[np.arange(n), truth] += 1
    rows = pl.DataFrame({ROW: np.arange(n), "text": ["x"] * n, "label": [f"c{one}" for one in truth]})
    return classification().fit(rows, COLUMNS), rows, list(logits), truth


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_classification_scores_are_those_of_scikit_learn(classes):
    task, rows, outputs, truth = labelled(classes=classes)
    guess = np.argmax(outputs, axis=1)
    scores = task.scores(task.tally(outputs, rows, COLUMNS).sum(axis=0).astype(float))
    for average in ("macro", "micro"):
        assert scores[f"{average}_f1", ""] == pytest.approx(metrics.f1_score(truth, guess, average=average))
    assert scores["mcc", ""] == pytest.approx(metrics.matthews_corrcoef(truth, guess))
    assert scores["recall", "c1"] == pytest.approx(
        metrics.recall_score(truth, guess, labels=[1], average="macro")
    )
    np.testing.assert_array_equal(
        task.picture(outputs, rows, COLUMNS)["counts"], metrics.confusion_matrix(truth, guess)
    )


def test_ranks_under_weights_are_those_of_scikit_learn():
    task, rows, outputs, truth = labelled()
    weights = np.random.default_rng(1).integers(0, 4, size=(5, len(truth))).astype(float)
    found = task.ranking_scores(outputs, rows, COLUMNS, weights)
    shares = task.confidences(outputs, rows, COLUMNS).probabilities
    for row, weight in enumerate(weights):
        expected = metrics.roc_auc_score(truth == 1, shares[:, 1], sample_weight=weight)
        assert found["auroc", "c1"][row] == pytest.approx(expected)
        expected = metrics.average_precision_score(truth == 1, shares[:, 1], sample_weight=weight)
        assert found["auprc", "c1"][row] == pytest.approx(expected)


def random_tags(rng, scheme, length):
    prefixes = {"iob": "BI", "iobes": "BIES"}[scheme]
    return [rng.choice(["O", *(f"{p}-{t}" for p in prefixes for t in ("PER", "LOC"))]) for _ in range(length)]


@pytest.mark.parametrize("scheme", ["iob", "iobes"])
def test_entities_are_those_of_seqeval_on_any_tags(scheme):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from seqeval.metrics.sequence_labeling import get_entities
    rng = random.Random(3)
    for _ in range(500):
        tags = random_tags(rng, scheme, rng.randint(0, 9))
        ours = [(one.label, one.start, one.end - 1) for one in entities(tags)]
        assert ours == [tuple(one) for one in get_entities(tags)]


def test_entity_scores_are_those_of_seqeval():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from seqeval.metrics import f1_score
    rng = random.Random(4)
    truth = [random_tags(rng, "iob", 8) for _ in range(60)]
    rows = pl.DataFrame({ROW: range(60), "text": [["w"] * 8] * 60, "label": truth})
    task = token_classification().fit(rows, COLUMNS)
    guess = [[rng.choice([tag, *task.labels]) for tag in tags] for tags in truth]
    outputs = [
        np.eye(len(task.labels), dtype=np.float32)[[task.labels.index(tag) for tag in tags]] for tags in guess
    ]
    scores = task.scores(task.tally(outputs, rows, COLUMNS).sum(axis=0).astype(float))
    assert scores["micro_f1", ""] == pytest.approx(f1_score(truth, guess))
    assert scores["macro_f1", ""] == pytest.approx(f1_score(truth, guess, average="macro"))


def test_spans_of_a_chinese_text_come_back_as_they_were():
    text = "王小明在北京 works at ACME Corp."
    spans = [
        {"start": 0, "end": 3, "label": "PER"},
        {"start": 4, "end": 6, "label": "LOC"},
        {"start": 16, "end": 25, "label": "ORG"},
    ]
    rows = pl.DataFrame({ROW: [1], "text": [text], "label": [spans]})
    task = token_classification().fit(rows, COLUMNS)
    perfect = [np.eye(len(task.labels), dtype=np.float32)[truth] * 9 for truth in task.truth(rows, COLUMNS)]
    found = task.decode(perfect, rows, COLUMNS)["entities"][0].to_list()
    assert [(one["text"], one["label"]) for one in found] == [
        ("王小明", "PER"),
        ("北京", "LOC"),
        ("ACME Corp", "ORG"),
    ]
    assert split_words("a-b 北京").words == ("a", "-", "b", "北", "京")


def test_outputs_and_tasks_survive_writing():
    outputs = [np.random.default_rng(0).normal(size=(n, 3)).astype(np.float32) for n in (1, 4)]
    back = from_frame(to_frame(np.arange(2), outputs))
    assert all(np.array_equal(one, two) for one, two in zip(outputs, back, strict=True))
    task, *_ = labelled()
    assert restore(json.loads(json.dumps(task.state()))) == task


def test_temperature_undoes_overconfidence():
    task, rows, outputs, _ = labelled(n=3000)
    calm = fit_temperature(task, outputs, rows, COLUMNS)
    hot = fit_temperature(task, [one * 3 for one in outputs], rows, COLUMNS)
    assert hot.value == pytest.approx(3 * calm.value, rel=0.01)
    assert hot.nll_after < hot.nll_before
    assert fit_temperature(task, outputs[:15], rows[:15], COLUMNS).value == 1.0


def test_no_temperature_is_fitted_where_nearly_all_is_right():
    task, rows, _, truth = labelled(n=200)
    sure = np.eye(3, dtype=np.float32)[truth] * 4
    sure[:4] = np.roll(sure[:4], 1, axis=1)
    fitted = fit_temperature(task, list(sure), rows, COLUMNS)
    assert fitted.value == 1.0
    assert "4 wrong decisions" in fitted.because


def test_words_that_the_model_never_read_are_no_entities_and_no_decisions():
    words = [["a", "b", "c"]]
    rows = pl.DataFrame({ROW: [1], "text": words, "label": [["B-X", "O", "B-X"]]})
    task = token_classification().fit(rows, COLUMNS)
    output = np.eye(3, dtype=np.float32)[[1, 0, 1]] * 5
    output[2] = np.nan
    assert len(task.confidences([output], rows, COLUMNS).truth) == 2
    assert [one["start"] for one in task.decode([output], rows, COLUMNS)["entities"][0]] == [0]
    assert task.scores(task.tally([output], rows, COLUMNS)[0].astype(float))["recall", "X"] == 0.5


def test_a_state_that_is_not_of_the_task_is_refused_with_its_name():
    with pytest.raises(OptionError, match="task 'regression'"):
        restore({"use": "regression", "options": {}, "labels": [], "fitted": {"half": 3}})


def test_a_temperature_at_the_end_of_the_range_is_kept_and_said():
    task, rows, outputs, _ = labelled(n=3000)
    faint = fit_temperature(task, [one / 1000 for one in outputs], rows, COLUMNS)
    assert faint.value == COOLEST and faint.doubt == AT_THE_END and faint.because == ""
    assert faint.nll_after < faint.nll_before
    assert fit_temperature(task, outputs, rows, COLUMNS).doubt == ""

"""Paired differences: right on known cases, honest about units, corrected for many runs."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.audits.pairing import Answered, holm, joined, paired, why_unpaired
from charter.audits.resampling import Resampling
from charter.data.columns import Columns
from charter.tasks.classification import Classification

LABELS = ("bad", "good", "so-so")
HOW = Resampling(500, 0.95, 7)
COLUMNS = Columns({"text": "text"}, "label")


def answered(truth, answers, units=None):
    logits = np.full((len(truth), 3), -2.0, dtype=np.float32)
    logits[np.arange(len(truth)), answers] = 2.0
    rows = pl.DataFrame(
        {
            "_row": np.arange(1, len(truth) + 1),
            "text": ["a text"] * len(truth),
            "label": [LABELS[one] for one in truth],
            "_unit": np.arange(len(truth)) if units is None else units,
        }
    )
    return Answered(Classification(LABELS), COLUMNS, rows, list(logits))


def wrong(truth, share, seed):
    rng = np.random.default_rng(seed)
    return np.where(rng.random(len(truth)) < share, (truth + 1) % 3, truth)


def difference(pairing, metric):
    return next(one for one in pairing.differences if one.metric == metric)


TRUTH = np.random.default_rng(1).integers(0, 3, 400)


def test_a_better_model_is_found_better_by_every_score():
    found = paired(answered(TRUTH, wrong(TRUTH, 0.4, 2)), answered(TRUTH, wrong(TRUTH, 0.1, 3)), HOW)
    for metric in ("macro_f1", "accuracy", "mcc", "auroc"):
        one = difference(found, metric)
        assert one.value > 0
        assert one.low > 0
        assert one.p_value < 0.01
    assert difference(found, "brier").value < 0


def test_the_difference_turns_its_sign_when_the_models_change_places():
    ours, theirs = answered(TRUTH, wrong(TRUTH, 0.3, 2)), answered(TRUTH, wrong(TRUTH, 0.25, 3))
    there, back = paired(ours, theirs, HOW), paired(theirs, ours, HOW)
    for metric in ("macro_f1", "accuracy", "negative_log_likelihood"):
        assert difference(there, metric).value == pytest.approx(-difference(back, metric).value)
        assert difference(there, metric).p_value == pytest.approx(difference(back, metric).p_value, abs=0.02)


def test_models_that_answer_alike_differ_in_nothing_and_the_interval_does_not_collapse():
    same = answered(TRUTH, wrong(TRUTH, 0.3, 2))
    found = paired(same, same, HOW)
    assert found.differing == 0
    assert all(one.value == 0 and one.p_value == 1 for one in found.differences)
    accuracy = difference(found, "accuracy")
    assert accuracy.low < 0 < accuracy.high


def test_accuracy_of_independent_rows_has_mcnemars_exact_test():
    """Checked against the binomial by hand: 12 won and 3 lost of 15 discordant rows."""
    ours, theirs = TRUTH.copy(), TRUTH.copy()
    ours[:12] = (ours[:12] + 1) % 3
    theirs[12:15] = (theirs[12:15] + 1) % 3
    one = difference(paired(answered(TRUTH, ours), answered(TRUTH, theirs), HOW), "accuracy")
    tail = sum((455, 105, 15, 1)) / 2**15
    assert one.p_value == pytest.approx(2 * tail)
    assert "12 rows right only in the second, 3 only in the first" in one.test


def test_the_randomisation_test_agrees_with_the_exact_one():
    ours, theirs = TRUTH.copy(), TRUTH.copy()
    ours[:12] = (ours[:12] + 1) % 3
    theirs[12:15] = (theirs[12:15] + 1) % 3
    found = paired(answered(TRUTH, ours), answered(TRUTH, theirs), HOW)
    assert difference(found, "micro_f1").p_value == pytest.approx(
        difference(found, "accuracy").p_value, abs=0.01
    )


def test_rows_that_belong_together_count_as_one():
    """The same answers, four rows to a unit: the interval is wider, McNemar's test is gone."""
    truth = np.repeat(np.random.default_rng(4).integers(0, 3, 60), 4)
    ours = np.repeat(wrong(truth[::4], 0.35, 5), 4)
    theirs = np.repeat(wrong(truth[::4], 0.15, 6), 4)
    apart = difference(paired(answered(truth, ours), answered(truth, theirs), HOW), "accuracy")
    units = np.repeat(np.arange(60), 4)
    together = paired(answered(truth, ours, units), answered(truth, theirs, units), HOW)
    held = difference(together, "accuracy")
    assert together.units == 60
    assert held.high - held.low > 1.5 * (apart.high - apart.low)
    assert held.p_value > apart.p_value
    assert "McNemar" not in held.test


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=40))
def test_joined_units_hold_together_what_either_division_does(pairs):
    one, other = (np.unique([pair[at] for pair in pairs], return_inverse=True)[1] for at in (0, 1))
    units = joined(one, other)
    for division in (one, other):
        for unit in set(division.tolist()):
            assert len(set(units[division == unit].tolist())) == 1
    assert set(units.tolist()) == set(range(units.max() + 1))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_never_lowers_a_p_value_nor_changes_their_order(p_values):
    after = holm(p_values)
    assert all(new >= old for new, old in zip(after, p_values, strict=True))
    for (p, a), (q, b) in zip(
        zip(p_values, after, strict=True), list(zip(p_values, after, strict=True))[1:], strict=False
    ):
        assert (p - q) * (a - b) >= 0
    assert min(after) <= min(min(p_values) * len(p_values), 1.0) + 1e-12


def test_false_alarms_stay_at_the_level():
    """Two models that are equally good: the test says otherwise in about one case of twenty."""
    alarms = 0
    for seed in range(60):
        truth = np.random.default_rng(seed).integers(0, 3, 120)
        found = paired(
            answered(truth, wrong(truth, 0.3, 1000 + seed)),
            answered(truth, wrong(truth, 0.3, 2000 + seed)),
            Resampling(100, 0.95, seed),
        )
        alarms += difference(found, "macro_f1").p_value <= 0.05
    assert alarms <= 8  # 3 are expected; 9 or more have a chance of 0.2 %


def test_other_rows_other_truth_and_other_classes_are_not_paired():
    ours = answered(TRUTH, TRUTH)
    assert why_unpaired(ours, answered(TRUTH, wrong(TRUTH, 0.5, 1))) == ""
    assert "different test rows" in why_unpaired(ours, answered(TRUTH[:-1], TRUTH[:-1]))
    assert "truth" in why_unpaired(ours, answered(wrong(TRUTH, 0.1, 1), TRUTH))
    other = Answered(Classification((*LABELS, "new")), COLUMNS, ours.rows, ours.outputs)
    assert "classes differ" in why_unpaired(ours, other)

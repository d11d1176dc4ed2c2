"""Audits of the privacy claim on siblings that are made up: what they remember is known."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from charter import plugins
from charter.audits.case import Answers, Case, FoldedTemperature
from charter.audits.siblings import Continuation, Siblings, signals
from charter.data.columns import ROW, Columns
from charter.errors import OptionError
from charter.release.report.sentences import translated
from charter.tasks.causal_language_modelling import causal_language_modelling
from charter.tasks.classification import classification

COLUMNS = Columns(inputs={"text": "text"}, target="label")
TRUE_GAIN = 1.5


def rows_of(first, count, rng):
    labels = [f"c{at}" for at in rng.integers(0, 3, count)]
    texts = [f"text {at}" for at in range(count)]
    return pl.DataFrame({ROW: np.arange(first, first + count), "text": texts, "label": labels})


class Made:
    """Models that know each row as well as its number says, and better by `gain` with the label they learned it with."""

    def __init__(self, gain, train, test, *, shift=0.0, temperature=1.0):
        self.gain, self.train, self.shift = gain, train, shift
        self.ease = np.random.default_rng(5).normal(0, 2, train.height + test.height + 1)
        self.asked = []
        self.given = Siblings(
            answer=lambda rows: [one / np.float32(temperature) for one in self.says(train, rows, 0)],
            train=self.sibling,
            continuation=lambda _: Continuation([], []),
        )

    def says(self, learned, rows, seed):
        known = dict(zip(learned[ROW].to_list(), learned["label"].to_list(), strict=True))
        mine = set(self.train[ROW].to_list())
        rng = np.random.default_rng(seed)
        out = np.zeros((rows.height, 3), dtype=np.float32)
        for at, (row, label) in enumerate(rows.select(ROW, "label").iter_rows()):
            own = int(label[1])
            out[at, own] = self.ease[row] + self.shift * (row in mine) + rng.normal(0, 0.4)
            if row in known:
                out[at, int(known[row][1])] += self.gain
        return list(out)

    def sibling(self, asked):
        self.asked.append(asked)
        return self.says(asked.rows, asked.asked, asked.seed)


def audited(name, options, *, gain=TRUE_GAIN, shift=0.0, n=1200, temperature=1.0):
    rng = np.random.default_rng(2)
    train, test = rows_of(1, n, rng), rows_of(n + 1, n, rng)
    task = classification().fit(pl.concat([train, test]), COLUMNS)
    made = Made(gain, train, test, shift=shift, temperature=temperature)
    answers = {"test": Answers(test, made.says(train, test, 0), "rows")}
    case = Case(
        "model", task, COLUMNS, train, answers, FoldedTemperature(temperature), 3, siblings=made.given
    )
    return plugins.make("audit", name, options)(case), made


def found(findings, metric, **where):
    return next(one for one in findings if one.metric == metric and dict(one.slice) == where)


def test_membership_is_found_where_rows_are_remembered_and_intervals_say_how_surely():
    findings, _ = audited("membership_inference", {"shadow_models": 6})
    rate = found(findings, "membership_tpr_at_1pct_fpr", attack="lira")
    assert rate.low > 0.3
    assert rate.low < rate.value < rate.high
    assert "6 shadow models" in rate.method
    assert "no shadow model" in found(findings, "membership_auc", attack="loss").method
    best = found(findings, "membership_tpr_at_1pct_fpr")
    assert best.value == max(
        found(findings, best.metric, attack=one).value for one in ("loss", "lira", "rmia")
    )
    assert best.low <= rate.low
    low = found(findings, "membership_tpr_at_0.1pct_fpr")
    assert low.because == "insufficient evidence: 1,200 non-members, at least 10,000 are needed"


def test_nothing_is_found_where_nothing_is_remembered():
    findings, _ = audited("membership_inference", {"shadow_models": 4}, gain=0.0)
    assert found(findings, "membership_auc").low < 0.52
    assert found(findings, "membership_tpr_at_1pct_fpr").value < 0.05


def test_a_shift_between_training_and_test_rows_shows_in_the_control():
    findings, _ = audited("membership_inference", {"shadow_models": 4}, gain=0.0, shift=2.0)
    assert found(findings, "membership_auc", attack="blind").low > 0.6
    assert found(findings, "membership_auc", attack="loss").low > 0.6  # fooled
    assert found(findings, "membership_auc", attack="lira").low < 0.52  # not fooled


def test_the_loss_alone_needs_no_shadow_model():
    findings, made = audited("membership_inference", {"attack": ["loss"]})
    assert made.asked == []
    assert "no shadow model" in found(findings, "membership_auc").method
    with pytest.raises(OptionError, match="shadow_models: 2"):
        plugins.make("audit", "membership_inference", {"attack": ["rmia"], "shadow_models": 1})


def test_canaries_show_more_the_more_is_remembered():
    bounds = [
        found(audited("privacy_lower_bound", {"canaries": 600}, gain=gain)[0], "epsilon_lower_bound")
        for gain in (0.0, 1.0, 8.0)
    ]
    assert bounds[0].value < 0.3
    assert bounds[0].value < bounds[1].value < bounds[2].value
    assert bounds[2].value > 3
    assert "epsilon 4." in bounds[2].method


def test_a_claim_of_replaced_rows_is_said_to_be_tested_by_less():
    rng = np.random.default_rng(2)
    train, test = rows_of(1, 300, rng), rows_of(301, 300, rng)
    made = Made(TRUE_GAIN, train, test)
    answers = {"test": Answers(test, made.says(train, test, 0), "rows")}
    given = replace(made.given, epsilon=8.0, delta=1e-5, replaced=True)
    task = classification().fit(train, COLUMNS)
    case = Case("model", task, COLUMNS, train, answers, FoldedTemperature(1.0), 3, siblings=given)
    (one,) = plugins.make("audit", "privacy_lower_bound", {"canaries": 100})(case)
    assert one.method.endswith("of replacing a row, promises")
    assert one.attachment["claimed"] == 8.0
    assert translated(one.method) is not None


def test_a_canary_is_a_person_of_its_own_and_every_copy_of_it_a_unit():
    rng = np.random.default_rng(4)
    columns = Columns(inputs={"text": "text"}, target="label", subject="who")
    persons = pl.Series("who", [f"p{at // 3}" for at in range(90)])
    train, test = rows_of(1, 90, rng).with_columns(persons), rows_of(91, 90, rng).with_columns(persons)
    made = Made(TRUE_GAIN, train, test)
    answers = {"test": Answers(test, made.says(train, test, 0), "rows")}
    task = classification().fit(pl.concat([train, test]), columns)
    case = Case("model", task, columns, train, answers, FoldedTemperature(1.0), 3, siblings=made.given)
    plugins.make("audit", "privacy_lower_bound", {"canaries": 40})(case)
    canaries = made.asked[0].asked
    assert canaries["who"].null_count() == canaries.height == 40
    learned = made.asked[0].rows.join(train, on=ROW, suffix="_was")
    nobodys = set(learned.filter(pl.col("who").is_null())[ROW])
    assert nobodys == set(canaries[ROW]) & set(learned[ROW]) and 5 < len(nobodys) < 35
    kept = learned.drop_nulls("who")
    assert kept.height == 50 and (kept["who"] == kept["who_was"]).all()

    case = replace(case, task=causal_language_modelling(), siblings=replace(made.given, train=told(made)))
    plugins.make("audit", "extraction", {"canaries": 5, "repetitions": [1, 8], "references": 100})(case)
    learned = made.asked[1].rows
    copies = learned.filter(~pl.col(ROW).is_in(train[ROW].to_list()))
    assert copies.height == 5 + 5 * 8 and copies["text"].n_unique() == 10
    assert copies[ROW].n_unique() == copies.height  # rows of one number would be bounded as one unit
    assert copies["who"].null_count() == copies.height


def told(made):
    """What a language model tells of each text, whatever it has learned."""

    def sibling(asked):
        made.asked.append(asked)
        return [np.asarray([1.0, 2.0, 1.0, 4.0], dtype=np.float32)] * asked.asked.height

    return sibling


def test_too_few_canaries_show_nothing():
    bound = found(audited("privacy_lower_bound", {}, n=12)[0], "epsilon_lower_bound")
    assert bound.because == "insufficient evidence: 6 canaries, at least 10 are needed"


def test_log_odds_keep_their_digits_where_the_model_is_sure():
    rows = pl.DataFrame({ROW: [1, 2], "text": ["a", "b"], "label": ["c0", "c1"]})
    task = classification().fit(rows, COLUMNS)
    told = signals(task, [np.float32([60, 0]), np.float32([0, 55])], rows, COLUMNS)
    assert told.odds == pytest.approx([60, 55])


def test_a_temperature_that_was_folded_in_is_taken_out_before_models_are_compared():
    options = {"attack": ["lira"], "shadow_models": 4}
    plain, hot = (audited("membership_inference", options, temperature=one)[0] for one in (1.0, 0.25))
    assert found(plain, "membership_auc").value == pytest.approx(found(hot, "membership_auc").value, abs=1e-4)

"""Re-identification: figures as the papers and pycanon give them, people rather than rows, nothing of a value in a finding."""

import itertools
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charter.audits.reidentification import (
    SensitiveShares,
    distinct_l,
    entropy_l,
    reidentification,
    sensitive_shares,
    t_distance,
)
from charter.data.columns import ROW, Columns
from charter.errors import DataError

# Machanavajjhala et al. 2007, figure 2: a 4-anonymous table of 12 patients.
PATIENTS = {
    "zip": ["130**"] * 4 + ["1485*"] * 4 + ["130**"] * 4,
    "age": ["<30"] * 4 + [">=40"] * 4 + ["3*"] * 4,
    "condition": ["heart", "heart", "viral", "viral", "cancer", "heart", "viral", "viral", *["cancer"] * 4],
}


def case(columns, subject=None):
    height = len(next(iter(columns.values())))
    rows = pl.DataFrame({ROW: range(1, height + 1), **columns}, schema_overrides={ROW: pl.Int64})
    groups = tuple(name for name in columns if name != subject)
    return SimpleNamespace(
        of="model", columns=Columns({"text": "text"}, "label", groups, subject), train=rows, answers={}
    )


def figures(columns, subject=None, **options):
    found = reidentification(**options)(case(columns, subject))
    return {one.metric: one.value for one in found}


def test_the_hospital_table_is_4_anonymous_and_its_last_class_has_one_condition():
    found = figures(PATIENTS, quasi_identifiers=("zip", "age"), sensitive="condition")
    assert found["k_anonymity"] == 4 and found["classes"] == 3 and found["rows_in_small_classes"] == 1.0
    assert found["distinct_l_diversity"] == 1 and found["entropy_l_diversity"] == pytest.approx(1.0)
    # whole: 5 cancer, 3 heart, 4 viral of 12; the last class is all cancer
    assert found["t_closeness"] == pytest.approx((7 / 12 + 3 / 12 + 4 / 12) / 2)


def test_ordered_distances_are_those_of_the_paper():
    # Li et al. 2007, section 4.2: salaries 3k to 11k; {3k, 4k, 5k} lies 0.375 away, {6k, 8k, 11k} 0.167
    whole = np.full(9, 1 / 9)
    low, spread = np.zeros(9), np.zeros(9)
    low[[0, 1, 2]] = spread[[3, 5, 8]] = 1 / 3
    assert t_distance(SensitiveShares(low[None], whole), "ordered") == pytest.approx(0.375)
    assert t_distance(SensitiveShares(spread[None], whole), "ordered") == pytest.approx(0.1667, abs=1e-4)
    assert t_distance(SensitiveShares(low[None], whole), "categorical") == pytest.approx(6 / 9)


TABLES = st.lists(st.tuples(*[st.sampled_from("abc")] * 2, st.integers(0, 4)), min_size=1, max_size=40)


@settings(max_examples=100, deadline=None)
@given(TABLES)
def test_figures_are_those_of_counting_one_by_one(table):
    columns = {
        "x": [one[0] for one in table],
        "y": [one[1] for one in table],
        "s": [str(one[2]) for one in table],
    }
    classes = [[s for x, y, s in table if (x, y) == key] for key in itertools.product("abc", "abc")]
    classes = [one for one in classes if one]
    found = figures(columns, quasi_identifiers=("x", "y"), sensitive="s", k=3)
    assert found["k_anonymity"] == min(map(len, classes))
    assert found["rows_alone"] == pytest.approx(sum(len(one) == 1 for one in classes) / len(table))
    assert found["rows_in_small_classes"] == pytest.approx(
        sum(len(one) for one in classes if len(one) < 3) / len(table)
    )
    assert found["distinct_l_diversity"] == min(len(set(one)) for one in classes)


@settings(max_examples=50, deadline=None)
@given(TABLES)
def test_ordered_distance_is_scipys_wasserstein_distance_of_ranks(table):
    from scipy.stats import wasserstein_distance

    rows = pl.DataFrame({"x": [one[0] for one in table], "s": [one[2] for one in table]})
    values = sorted({one[2] for one in table})
    ranks = {value: rank for rank, value in enumerate(values)}
    far = [
        wasserstein_distance([ranks[s] for x, _, s in table if x == key], [ranks[s] for *_, s in table])
        for key in {one[0] for one in table}
    ]
    got = t_distance(sensitive_shares(rows, ["x"], "s", "ordered"), "ordered")
    assert got == pytest.approx(max(far) / max(len(values) - 1, 1))


def test_figures_are_pycanons():
    anonymity = pytest.importorskip("pycanon.anonymity", reason="pycanon is not installed")
    import pandas as pd

    rng = np.random.default_rng(2)
    table = {
        name: rng.choice(list(signs), 300).tolist()
        for name, signs in (("a", "xyz"), ("b", "pq"), ("s", "1234"))
    }
    frame = pd.DataFrame(table)
    found = figures(table, quasi_identifiers=("a", "b"), sensitive="s")
    assert found["k_anonymity"] == anonymity.k_anonymity(frame, ["a", "b"])
    assert found["distinct_l_diversity"] == anonymity.l_diversity(frame, ["a", "b"], ["s"])
    assert int(found["entropy_l_diversity"]) == anonymity.entropy_l_diversity(frame, ["a", "b"], ["s"])
    assert found["t_closeness"] == pytest.approx(anonymity.t_closeness(frame, ["a", "b"], ["s"]), abs=1e-6)


def test_missing_values_are_a_value_or_leave_their_rows_out():
    columns = {"x": ["a", "a", None, None, "a"]}
    assert figures(columns, quasi_identifiers=("x",))["k_anonymity"] == 2
    found = reidentification(quasi_identifiers=("x",), missing="left_out")(case(columns))
    assert found[0].value == 3 and "2 rows without a quasi-identifier left out" in found[0].method
    none = reidentification(quasi_identifiers=("x",), missing="left_out")(case({"x": [None, None]}))
    assert none[0].value is None and "no row has every quasi-identifier" in none[0].because


def test_a_class_counts_people_where_rows_name_them():
    columns = {"x": ["a", "a", "a", "b", "b"], "who": ["1", "1", "1", "2", "3"]}
    assert figures(columns, subject="who", quasi_identifiers=("x",))["k_anonymity"] == 1
    assert figures({"x": columns["x"]}, quasi_identifiers=("x",))["k_anonymity"] == 2


def test_rows_that_are_repeated_count_once():
    twice = case({"x": ["a", "a", "b"]})
    twice.train = pl.concat([twice.train, twice.train])
    assert reidentification(quasi_identifiers=("x",))(twice)[0].value == 1


def test_no_value_stands_in_a_finding_or_an_error():
    secret = {"zip": ["90210"] * 2 + ["10115"], "illness": ["gout", "plague", "gout"]}
    told = str(reidentification(quasi_identifiers=("zip",), sensitive="illness")(case(secret)))
    assert not any(value in told for value in ("90210", "10115", "gout", "plague"))
    with pytest.raises(DataError) as error:
        figures(secret, quasi_identifiers=("zip",), sensitive="illness", distance="ordered")
    assert "3 of 3 values" in str(error.value) and "gout" not in str(error.value)


def test_a_column_without_a_role_is_refused():
    with pytest.raises(DataError, match=r"name it in data\.groups"):
        figures({"x": ["a"]}, quasi_identifiers=("age",))


def test_evenness_is_measured():
    even = SensitiveShares(np.array([[0.25] * 4]), np.full(4, 0.25))
    assert (
        distinct_l(even) == 4
        and entropy_l(even) == pytest.approx(4.0)
        and t_distance(even, "categorical") == 0
    )
    skewed = SensitiveShares(np.array([[0.97, 0.01, 0.01, 0.01]]), np.full(4, 0.25))
    assert distinct_l(skewed) == 4 and entropy_l(skewed) < 1.3

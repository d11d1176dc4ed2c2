"""Joined tables: every row of the source finds one partner or none; rows never multiply, and places stay those of the source."""

import json
import sqlite3

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charter.data.columns import PLACE, ROW
from charter.data.reading import read_source, source_digest
from charter.errors import DataError
from charter.spec.data import Data


def data(join, source="labels.csv", **more) -> Data:
    return Data.model_validate(
        {"source": source, "join": join, "inputs": {"text": "text"}, "target": "label", **more}
    )


@pytest.fixture
def here(tmp_path):
    (tmp_path / "labels.csv").write_text(
        "id,label,author\n1,a,7\n2,b,8\n3,a,9\n,b,7\n5,a,7\n", encoding="utf-8"
    )
    texts = [{"id": 1.0, "text": "one"}, {"id": "2", "text": "two"}, {"id": 3, "text": "three"}]
    (tmp_path / "texts.jsonl").write_text("\n".join(map(json.dumps, texts)), encoding="utf-8")
    with sqlite3.connect(tmp_path / "shop.db") as shop:
        shop.execute("create table users (user_id integer primary key, city text)")
        shop.executemany("insert into users values (?, ?)", [(7, "Oslo"), (8, "Paris")])
    return tmp_path


TEXTS = {"source": "texts.jsonl", "on": "id"}
USERS = {"source": "sql:sqlite:///shop.db#users", "on": {"author": "user_id"}}


def test_columns_come_from_where_they_are_and_rows_without_partner_are_counted(here):
    read = read_source(data([TEXTS, {**USERS, "unmatched": "keep"}], groups=["city"]), here)
    assert read.frame.select("text", "label", "city").rows() == [
        ("one", "a", "Oslo"),
        ("two", "b", "Paris"),
        ("three", "a", None),
    ]
    assert read.rejects.select(PLACE, "reason", "type").rows() == [
        ("labels.csv row 4", "no key in column 'id'", "missing"),
        ("labels.csv row 5", "no partner in texts.jsonl", "text"),
    ]
    assert read.records == 5


def test_a_partner_is_demanded_unless_the_charter_says_otherwise(here):
    read = read_source(data([TEXTS, USERS], groups=["city"]), here)
    assert "no partner in sql:users" in read.rejects["reason"].to_list()


def test_a_key_that_stands_twice_is_refused_with_both_places(here):
    with (here / "texts.jsonl").open("a", encoding="utf-8") as file:
        file.write('\n{"id": " 1", "text": "again"}')
    with pytest.raises(
        DataError,
        match=r"key 'id' stand more than once, the first at texts.jsonl line 1 and texts.jsonl line 4",
    ):
        read_source(data([TEXTS]), here)


def test_a_column_in_two_tables_is_refused_until_one_is_chosen(here):
    (here / "more.csv").write_text("id,text,label\n1,other,z\n2,other,z\n", encoding="utf-8")
    more = {"source": "more.csv", "on": "id"}
    with pytest.raises(
        DataError, match=r"column 'text' stands in texts.jsonl and in more.csv; choose one with"
    ):
        read_source(data([TEXTS, {**more, "columns": ["label"]}, more]), here)
    read = read_source(data([{**more, "columns": ["text"]}]), here)
    assert read.frame.select("text", "label").rows() == [("other", "a"), ("other", "b")]


@pytest.mark.parametrize(
    ("join", "words"),
    [
        ({**TEXTS, "on": "idd"}, "no column 'idd'. Did you mean 'id'"),
        ({**TEXTS, "columns": ["texts"]}, "no column 'texts'. Did you mean 'text'"),
        (
            {"source": "sql:sqlite:///shop.db#users", "on": {"author": "user_id"}},
            "in none of the tables: no column 'text'",
        ),
    ],
)
def test_what_is_in_no_table_is_told(here, join, words):
    with pytest.raises(DataError, match=words):
        read_source(data([join]), here)


def test_the_digest_names_every_table_and_how_they_are_joined(here):
    first = source_digest(data([TEXTS]), here)
    assert source_digest(data([{**TEXTS, "unmatched": "keep"}]), here) != first
    (here / "texts.jsonl").write_text('{"id": 1, "text": "changed"}', encoding="utf-8")
    assert source_digest(data([TEXTS]), here) != first


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.integers(0, 9) | st.none(), max_size=20),
    st.lists(st.integers(0, 9), max_size=10, unique=True),
)
def test_every_row_is_joined_once_or_rejected_once(tmp_path, left, right):
    lines = ["id,label", *(f"{'' if one is None else one},x" for one in left)]
    (tmp_path / "l.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "r.csv").write_text(
        "\n".join(["id,text", *(f"{one},t{one}" for one in right)]) + "\n", encoding="utf-8"
    )
    read = read_source(data([{"source": "r.csv", "on": "id"}], "l.csv"), tmp_path)
    numbers = [*read.frame[ROW].to_list(), *read.rejects[ROW].to_list()]
    assert sorted(numbers) == list(range(1, len(left) + 1))
    assert read.frame["text"].to_list() == [f"t{one}" for one in left if one in right]

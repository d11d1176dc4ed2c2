"""A real SQLite is read, never written; a secret in a charter is refused and never shown."""

import json
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charter.cli import run_command
from charter.data.columns import PLACE, Columns
from charter.data.look import look_at
from charter.data.reading import absent_columns, read_source
from charter.data.sources.database import shown, told, unreadable
from charter.data.sources.locations import find_location
from charter.errors import DataError
from charter.spec.data import Data

WHERE = "sql:sqlite:///shop.db#reviews"


def data(source, **more) -> Data:
    return Data.model_validate({"source": source, "inputs": {"text": "text"}, "target": "label", **more})


@pytest.fixture
def here(tmp_path):
    with sqlite3.connect(tmp_path / "shop.db") as shop:
        shop.execute("create table reviews (id integer primary key, text, label, n real)")
        shop.executemany(
            "insert into reviews values (?, ?, ?, ?)",
            [
                (3, "three", 1.0, 2.5),
                (1, "one", "1", None),
                (2, 5, "x", 1.0),
                (4, b"\x00", "x", 1.0),
                (5, None, "x", 1),
            ],
        )
        shop.execute("insert into reviews values (6, cast(x'ff41' as text), 'x', 1)")
        shop.execute("create view seen as select * from reviews")
    return tmp_path


def test_rows_come_by_their_key_and_a_cell_of_another_type_is_rejected(here):
    read = read_source(data(WHERE), here)
    assert read.frame.select("text", "label").rows() == [("one", "1"), ("three", "1")]
    assert dict(read.rejects.select(PLACE, "reason").iter_rows()) == {
        "sql:reviews row 2": "wrong type in column 'text'",
        "sql:reviews row 4": "wrong type in column 'text'",
        "sql:reviews row 5": "no text in column 'text'",
        "sql:reviews row 6": "wrong encoding",
    }


def test_a_query_needs_an_order_and_a_view_too(here):
    url = "sqlite:///shop.db"
    ask = "select text, label from reviews where id in (1, 3)"
    with pytest.raises(DataError, match="a query says ORDER BY"):
        read_source(data({"use": "sql", "url": url, "query": ask}), here)
    read = read_source(data({"use": "sql", "url": url, "query": f"{ask} order by id desc;"}), here)
    assert read.frame["text"].to_list() == ["three", "one"]
    with pytest.raises(DataError, match="no primary key"):
        read_source(data(f"sql:{url}#seen"), here)
    assert (
        read_source(data({"use": "sql", "url": url, "table": "seen", "order_by": ["id"]}), here).records == 6
    )


def test_the_database_is_never_written_or_made(here):
    before = (here / "shop.db").read_bytes()
    with pytest.raises(DataError):
        read_source(
            data(
                {
                    "use": "sql",
                    "url": "sqlite:///shop.db",
                    "query": "with a as (select 1) delete from reviews order by 1",
                }
            ),
            here,
        )
    assert (here / "shop.db").read_bytes() == before
    with pytest.raises(DataError, match="no such file"):
        read_source(data("sql:sqlite:///none.db#reviews"), here)
    assert not (here / "none.db").exists()


def test_columns_are_told_and_looked_at(here):
    absent = absent_columns(WHERE, here, Columns({"txt": "text"}, "label"), "utf-8")
    assert "Did you mean 'text'" in absent["txt"]
    look = look_at(WHERE, here)
    assert (look.read, [one.name for one in look.columns]) == (4, ["id", "text", "label", "n"])


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hunter2@host/shop", "postgresql://me:hunter2/@host/shop", "postgresql://me:hun@ter2@host/shop",
        "mysql://host/shop?password=hunter2", "postgresql://me:hunter2?@host/shop",
    ],
)  # fmt: skip
def test_a_secret_in_a_url_is_refused_and_not_shown(tmp_path, url):
    with pytest.raises(DataError, match=r"write \$\{DB_PASSWORD\}") as caught:
        read_source(data(f"sql:{url}#reviews"), tmp_path)
    assert "ter2" not in str(caught.value)


def test_a_url_without_its_prefix_is_told_without_its_secret(tmp_path):
    with pytest.raises(DataError, match="name a database as sql:URL#TABLE") as caught:
        find_location("postgresql://me:hunter2@host/shop")
    assert "hunter2" not in str(caught.value)


def test_a_drivers_words_are_passed_on_without_what_the_environment_filled_in(monkeypatch):
    monkeypatch.setenv("SHOP_PASSWORD", "hunter2")
    monkeypatch.setenv("SHOP_URL", "postgresql://me:hunter3@host/shop")
    said = unreadable(
        "sql:t", "postgresql://me:${SHOP_PASSWORD}@host/shop", OSError("no hunter2 here"), says=True
    )
    assert str(said) == "sql:t: the database refuses (OSError): no *** here"
    assert "hunter3" not in str(unreadable("sql:t", "${SHOP_URL}", OSError("hunter3?"), says=True))
    assert "diary" not in str(unreadable("sql:t", "sqlite:///a", OSError("my diary"), says=False))


secrets = st.text(st.characters(exclude_categories=["Cs"]), min_size=4, max_size=12).map(
    lambda text: "S3" + text + "7X"
)


@settings(max_examples=200, deadline=None)
@given(secrets)
def test_no_secret_is_ever_shown_whatever_signs_it_has(secret):
    for url in (f"postgresql://me:{secret}@host:5432/shop", f"postgresql://me:{secret}", f"me:{secret}"):
        assert secret not in shown(url)
        assert secret not in shown(url.partition("#")[0])
    with pytest.raises(DataError) as caught:
        told(f"postgresql://me:{secret}@host:5432/shop", Path())
    assert secret not in str(caught.value)


@pytest.mark.parametrize("where", ["source", "evaluation set"])
def test_rows_that_change_while_they_are_read_stop_the_run(here, tiny_bert, capsys, where):
    many = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 60)"
    query = f"{many} select 'text ' || random() as text, i % 2 as label from n order by i"
    changing = {"use": "sql", "url": "sqlite:///shop.db", "query": query}
    still = {**changing, "query": query.replace("random()", "(i * 7919 % 997)")}
    against = [{"use": "decontaminate", "against": {"a": changing}, "similarity": None}]
    charter = {
        "name": "a", "data": {"source": changing if where == "source" else still, "inputs": {"text": "text"},
        "prepare": against if where != "source" else [],
        "target": "label", "max_bad_rows": 1.0, "split": {"test": 0.3, "validation": 0.2}},
        "model": {"base": str(tiny_bert), "max_length": 32},
        "task": {"use": "classification"},
    }  # fmt: skip
    (here / "charter.yaml").write_text(json.dumps(charter), encoding="utf-8")
    assert run_command(["run", str(here / "charter.yaml")]) == 2
    said = capsys.readouterr().err
    assert "changed while it was read" in said and where in said


def test_a_table_without_rows_is_told(here):
    with sqlite3.connect(here / "shop.db") as shop:
        shop.execute("delete from reviews")
    read = read_source(data(WHERE), here)
    assert (read.records, read.frame.columns) == (0, ["_row", "_place", "text", "label"])
    with pytest.raises(DataError, match="there is no row"):
        look_at(WHERE, here)

"""A real PostgreSQL is read in chunks, in a transaction that only reads, and tells no secret."""

import json
import random
import tracemalloc

import pytest

from charter.cli import run_command
from charter.data.columns import PLACE, Columns
from charter.data.reading import read_source, source_digest
from charter.data.sources.locations import find_location
from charter.data.table import Asked
from charter.errors import DataError
from charter.spec.data import Data


@pytest.fixture
def shop(postgresql, monkeypatch):
    monkeypatch.setenv("CHARTER_TEST_PASSWORD", postgresql.password)
    postgresql.run("DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    return postgresql


def data(source, **more) -> Data:
    return Data.model_validate({"source": source, "inputs": {"text": "text"}, "target": "label", **more})


def refused(source, folder, password) -> str:
    with pytest.raises(DataError) as caught:
        read_source(data(source), folder)
    assert password not in str(caught.value)
    return str(caught.value)


def test_every_type_becomes_the_text_that_people_write(shop, tmp_path):
    shop.run(
        "CREATE TABLE reviews (id int PRIMARY KEY, text text, label numeric(5,2), ok boolean, day date, at timestamptz)",
        "INSERT INTO reviews VALUES (2, '房间很好', 1.00, true, '2026-01-02', '2026-01-02 10:00+00'),"
        " (1, 'fine', 2.5, false, '2026-01-03', NULL), (3, NULL, 1, NULL, NULL, NULL)",
    )
    read = read_source(data(f"sql:{shop.url}#reviews", groups=["ok", "day"]), tmp_path)
    assert read.frame["text"].to_list() == ["fine", "房间很好"], "in the order of the primary key"
    assert read.frame["label"].to_list() == ["2.5", "1"]
    assert read.frame["ok"].to_list() == ["false", "true"]
    assert read.frame["day"].to_list() == ["2026-01-03", "2026-01-02"]
    assert read.rejects[PLACE].to_list() == ["sql:reviews row 3"]


def test_words_tags_and_spans_are_read_from_arrays_and_json(shop, tmp_path):
    shop.run(
        "CREATE TABLE tags (id int PRIMARY KEY, text text[], label text[])",
        "INSERT INTO tags VALUES (1, '{Ann,of}', '{B-PER,O}'), (2, '{x}', '{O,O}')",
        "CREATE TABLE spans (id int PRIMARY KEY, text text, label jsonb)",
        """INSERT INTO spans VALUES (1, 'Ann of Paris', '[{"start": 0, "end": 3, "label": "PER"}]'), (2, 'none', '[]')""",
    )
    tags = read_source(data(f"sql:{shop.url}#tags"), tmp_path)
    assert tags.frame["text"].to_list() == [["Ann", "of"]]
    assert tags.rejects["reason"].to_list() == [
        "words and tags differ in number (columns 'text' and 'label')"
    ]
    spans = read_source(data(f"sql:{shop.url}#spans"), tmp_path)
    assert [len(one) for one in spans.frame["label"].to_list()] == [1, 0]


def test_a_query_is_read_as_it_stands_and_can_change_nothing(shop, tmp_path):
    shop.run(
        "CREATE TABLE t (id int PRIMARY KEY, body text)",
        "INSERT INTO t VALUES (1, 'at 12:30 :x 100%'), (2, 'b')",
    )
    query = "SELECT body AS text, CASE WHEN body LIKE '%:x 100%' THEN 'a' ELSE 'b' END AS label FROM t ORDER BY id::bigint"
    read = read_source(data({"use": "sql", "url": shop.url, "query": query}), tmp_path)
    assert read.frame["label"].to_list() == ["a", "b"]
    deleting = "WITH gone AS (DELETE FROM t RETURNING id, body) SELECT body AS text, 'a' AS label FROM gone ORDER BY id"
    assert "SQLSTATE" in refused({"use": "sql", "url": shop.url, "query": deleting}, tmp_path, shop.password)
    assert read_source(data({"use": "sql", "url": shop.url, "query": query}), tmp_path).records == 2


def test_a_function_that_would_change_something_is_refused(shop, tmp_path):
    shop.run("CREATE SEQUENCE numbers")
    counting = "SELECT 'text ' || nextval('numbers') AS text, 'a' AS label ORDER BY 1"
    said = refused({"use": "sql", "url": shop.url, "query": counting}, tmp_path, shop.password)
    assert "SQLSTATE 25006" in said, "a read-only transaction; a rollback would not undo this"


def test_many_rows_stream_by_in_chunks_of_one_type(shop, tmp_path):
    shop.run(
        "CREATE TABLE many (id int PRIMARY KEY, text text, label text)",
        "INSERT INTO many SELECT n, CASE WHEN n > 15000 THEN repeat('word ', 100) || n END, CASE WHEN n > 15000 THEN 'x' END"
        " FROM generate_series(1, 60000) n",
    )
    source = find_location(f"sql:{shop.url}#many").source
    rest = f"{shop.url}#many"
    tracemalloc.start()
    heights, kinds = [], set()
    for table in source.read(rest, tmp_path, Asked(Columns({"text": "text"}, "label"))):
        heights.append(table.records)
        kinds.add(tuple(table.frame.schema.values()))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert heights == [10_000] * 6
    assert len(kinds) == 1, "a column without a value in its first chunk has the same type there"
    assert peak < 25 << 20, "60,000 rows of 500 characters are not held at once"


def test_the_digest_names_the_rows_and_nothing_else(shop, tmp_path):
    shop.run(
        "CREATE TABLE t (id int PRIMARY KEY, text text, label text, other int)",
        "INSERT INTO t VALUES (1, 'a', 'x', 1)",
    )
    asked = data(f"sql:{shop.url}#t")
    first = source_digest(asked, tmp_path)
    shop.run("UPDATE t SET other = 2")
    assert source_digest(asked, tmp_path) == first
    shop.run("UPDATE t SET text = 'b'")
    assert source_digest(asked, tmp_path) != first


def test_no_error_holds_a_secret_or_a_value(shop, tmp_path, monkeypatch):
    shop.run(
        "CREATE TABLE t (id int PRIMARY KEY, text text, label text)",
        "INSERT INTO t VALUES (1, 'my diary', 'x')",
    )
    assert "no such table; there is t" in refused(f"sql:{shop.url}#none", tmp_path, shop.password)
    failing = "SELECT text::int AS text, label FROM t ORDER BY id"
    said = refused({"use": "sql", "url": shop.url, "query": failing}, tmp_path, shop.password)
    assert "SQLSTATE 22P02" in said
    assert "diary" not in said
    monkeypatch.setenv("CHARTER_TEST_PASSWORD", "wrong-" + shop.password)
    said = refused(f"sql:{shop.url}#t", tmp_path, shop.password)
    assert "authentication failed" in said
    monkeypatch.delenv("CHARTER_TEST_PASSWORD")
    assert "CHARTER_TEST_PASSWORD, which is not set" in refused(f"sql:{shop.url}#t", tmp_path, shop.password)


def test_the_whole_url_may_stand_in_the_environment(shop, tmp_path, monkeypatch):
    from urllib.parse import quote

    shop.run("CREATE VIEW v AS SELECT 'a' AS text, 'x' AS label, 1 AS n")
    secret = quote(shop.password, safe="")
    monkeypatch.setenv("SHOP_URL", f"postgres://app:{secret}@127.0.0.1:{shop.port}/shop")
    told = {"use": "sql", "url": "${SHOP_URL}", "table": "public.v"}
    assert "has no primary key" in refused(told, tmp_path, shop.password)
    assert read_source(data({**told, "order_by": ["n"]}), tmp_path).records == 1


def test_a_charter_on_a_database_is_drafted_and_run_and_keeps_no_secret(
    shop, tmp_path, tiny_bert, monkeypatch
):
    rng = random.Random(3)
    rows = [
        (n, " ".join(rng.choices(["room", "great", "cold", "crew", str(n)], k=9)), "ab"[n % 2])
        for n in range(160)
    ]
    shop.run(
        "CREATE TABLE reviews (id int PRIMARY KEY, text text, label text)",
        "INSERT INTO reviews SELECT * FROM json_to_recordset('"
        + json.dumps([dict(zip(("id", "text", "label"), row, strict=True)) for row in rows])
        + "') AS r(id int, text text, label text)",
    )
    monkeypatch.chdir(tmp_path)
    where = f"sql:{shop.url}#reviews"
    assert run_command(["init", where, "--yes", "--base", str(tiny_bert), "--name", "shop"]) == 0
    charter = tmp_path / "charter.yaml"
    text = (
        charter.read_text(encoding="utf-8")
        .replace("{use: full}", "{use: head}")
        .replace("epochs: 3", "epochs: 1")
    )
    charter.write_text(text, encoding="utf-8")
    assert run_command(["check"]) == 0
    assert run_command(["run", "--draft"]) in (0, 3)
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "report.html" for path in written)
    secret = shop.password.encode()
    assert not [path for path in written if secret in path.read_bytes()]

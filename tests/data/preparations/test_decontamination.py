"""No training row of a text that stands in a named evaluation set is left, however it is written."""

import sqlite3
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charter.data.columns import PLACE, ROW, SPLIT, UNIT, Columns
from charter.data.passes import prepare_divided as prepare_divided_rows
from charter.data.preparation import made_preparations
from charter.data.rows import Rows
from charter.data.similarity.overlap import Reference
from charter.errors import DataError, OptionError
from charter.spec.use import Use


def prepare_divided(frame, columns, uses, folder=Path()):
    out = prepare_divided_rows(Rows.of(frame), columns, uses, folder=folder)
    told = {name: getattr(out, name) for name in ("dropped", "counts", "added", "findings")}
    return SimpleNamespace(frame=out.rows.collect(), **told)


COLUMNS = Columns(inputs={"text": "text"}, target="label")
LONG = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"


def frame(texts, split="train") -> pl.DataFrame:
    n = len(texts)
    rows = {ROW: range(1, n + 1), PLACE: "r", "text": texts, "label": "a", SPLIT: split, UNIT: range(n)}
    return pl.DataFrame(rows, schema_overrides={ROW: pl.Int64, UNIT: pl.Int64})


def against(folder, evaluated, texts, split="train", **options):
    (folder / "set.jsonl").write_text(pl.DataFrame({"text": evaluated}).write_ndjson(), encoding="utf-8")
    use = Use(use="decontaminate", against={"bench": "set.jsonl"}, **options)
    return prepare_divided(
        pl.concat([frame(["stays"]).with_columns(pl.lit(0, pl.Int64).alias(ROW)), frame(texts, split)]),
        COLUMNS,
        [use],
        folder,
    )


def test_equal_similar_and_overlapping_texts_go_each_with_its_reason(tmp_path):
    evaluated = [
        "The room was Clean!",
        LONG,
        "a rather long sentence about a cold breakfast",
        "酒店的早餐非常丰盛，服务态度也特别好",
    ]
    texts = [
        "the room   was clean",
        "Ｔhe ｒoom was clean",
        f"quite another beginning; {LONG.upper()}; and another end of the text, which is much longer than that",
        "a rather long sentence about a cold breakfast!!",
        "我们都说酒店的早餐非常丰盛服务态度也特别好，但是房间太小，隔音也不行",
        "an unrelated text about trains",
    ]
    out = against(tmp_path, evaluated, texts)
    assert out.frame[ROW].to_list() == [0, 6]
    said = dict(out.dropped.select(ROW, "reason").iter_rows())
    assert said[1] == said[2] == "in evaluation set 'bench': equal text"
    assert said[3] == said[5] == "in evaluation set 'bench': 13 words in a row"
    assert said[4] == "in evaluation set 'bench': equal text"


def test_a_similar_text_goes_from_the_similarity_on(tmp_path):
    evaluated, texts = (
        ["the breakfast was cold and the staff rude today"],
        ["the breakfast was cold and the staff rude now"],
    )
    assert against(tmp_path, evaluated, texts, similarity=0.7).dropped["reason"].to_list() == [
        "in evaluation set 'bench': similar text (at least 0.7)"
    ]
    assert against(tmp_path, evaluated, texts, similarity=0.95).dropped.height == 0
    assert against(tmp_path, evaluated, texts, similarity=None).dropped.height == 0


@pytest.mark.parametrize(
    ("split", "left"), [("train", 1), ("validation", 1), ("calibration", 1), ("test", 2)]
)
def test_the_test_split_alone_is_not_touched(tmp_path, split, left):
    assert against(tmp_path, ["a text"], ["a text"], split).frame.height == left


words = st.lists(
    st.sampled_from(["alpha", "beta", "gamma", "房间", "很好", "x"]), min_size=1, max_size=9
).map(" ".join)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(words, min_size=1, max_size=12),
    st.lists(words, min_size=1, max_size=12),
    st.sampled_from([0.3, 0.6, 0.8, 1.0]),
)
def test_similar_texts_of_two_sides_are_those_of_brute_force(fixed, texts, similarity):
    def grams(text):
        return {text[i : i + 5] for i in range(max(len(text) - 4, 1))}

    true = [
        any(
            len(grams(text) & grams(one)) >= similarity * len(grams(text) | grams(one)) - 1e-9
            for one in fixed
        )
        for text in texts
    ]
    assert Reference(pl.Series(fixed), similarity).like(pl.Series(texts)).tolist() == true


def test_the_sets_are_named_by_their_bytes_and_read_beside_the_charter(tmp_path):
    (tmp_path / "set.csv").write_text("sentence\nhello there\n", encoding="utf-8")
    use = Use(use="decontaminate", against={"a": "set.csv"}, columns={"a": "sentence"})
    [(_, one)] = made_preparations([use], tmp_path)
    before = one.digest(COLUMNS)
    (tmp_path / "set.csv").write_text("sentence\nhello here\n", encoding="utf-8")
    assert one.digest(COLUMNS) != before


def test_a_set_may_be_any_source_with_its_options(tmp_path):
    with sqlite3.connect(tmp_path / "sets.db") as sets:
        sets.execute("create table bench (id integer primary key, sentence text)")
        sets.execute("insert into bench (sentence) values ('hello there')")
    place = {"use": "sql", "url": "sqlite:///sets.db", "table": "bench"}
    use = Use(use="decontaminate", against={"a": place}, columns={"a": "sentence"})
    out = prepare_divided(frame(["Hello there!", "another"]), COLUMNS, [use], tmp_path)
    assert out.frame["text"].to_list() == ["another"]
    [(_, one)] = made_preparations([use], tmp_path)
    assert one.volatile()


def test_rows_may_come_in_batches_and_what_a_set_lacks_is_counted_once(tmp_path):
    (tmp_path / "set.csv").write_text('text\na text\n""\n', encoding="utf-8")
    [(_, one)] = made_preparations([Use(use="decontaminate", against={"a": "set.csv"})], tmp_path)
    outcomes = [one.apply(frame([text]), COLUMNS) for text in ("a text", "another", "A text!")]
    assert [outcome.dropped.height for outcome in outcomes] == [1, 0, 1]
    assert [dict(outcome.counts) for outcome in outcomes] == [
        {"left: rows of evaluation set 'a' that can't be read": 1},
        {},
        {},
    ]


def test_a_set_that_cannot_be_used_is_named_without_its_values(tmp_path):
    (tmp_path / "set.csv").write_text("text\n\n", encoding="utf-8")
    use = Use(use="decontaminate", against={"a": "set.csv"}, columns={"a": "sentence"})
    with pytest.raises(DataError, match=r"set 'a'.*sentence"):
        prepare_divided(frame(["x"]), COLUMNS, [use], tmp_path)
    with pytest.raises(OptionError, match="'b', which is no set"):
        made_preparations([Use(use="decontaminate", against={"a": "set.csv"}, columns={"b": "text"})])

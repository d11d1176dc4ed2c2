"""Texts whose ends are held out: what is learned from and what is judged on never overlap, and nothing is lost."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.data.columns import PLACE, ROW, SPLIT
from charter.data.table import REJECTS, Table
from charter.data.tails import ORDER, with_tails
from charter.spec.data import Split


def table(texts, rejected=()):
    numbers = [at for at in range(1, len(texts) + len(rejected) + 1) if at not in rejected]
    places = [f"x line {number}" for number in numbers]
    frame = pl.DataFrame(
        {ROW: numbers, PLACE: places, "text": texts},
        schema={ROW: pl.Int64, PLACE: pl.String, "text": pl.String},
    )
    rows = [(number, f"x line {number}", "wrong encoding", "document", 3) for number in rejected]
    return Table(frame, pl.DataFrame(rows, schema=REJECTS, orient="row"), len(texts) + len(rejected))


@given(
    st.lists(st.text(max_size=60), min_size=1, max_size=6),
    st.sets(st.integers(1, 6), max_size=2),
    st.floats(0.01, 0.4),
    st.floats(0.01, 0.4),
)
def test_each_text_is_cut_in_order_into_parts_that_make_it_whole(texts, rejected, test, validation):
    rejected = sorted(number for number in rejected if number <= len(texts))
    cut = with_tails(table(texts, rejected), "text", Split(tail=True, test=test, validation=validation))
    owners = cut.frame[PLACE].str.extract(r"line (\d+)").to_list()
    parts = {}
    for owner, text, split in zip(owners, cut.frame["text"], cut.frame[SPLIT], strict=True):
        parts.setdefault(owner, []).append((ORDER.index(split), text))
    assert all(parts[one] == sorted(parts[one], key=lambda part: part[0]) for one in parts)
    assert ["".join(text for _, text in parts[one]) for one in parts] == [text for text in texts if text]
    numbers = sorted([*cut.frame[ROW], *cut.rejects[ROW]])
    assert numbers == list(range(1, cut.records + 1))
    assert cut.frame[ROW].is_sorted() and cut.rejects.height == len(rejected)


def test_the_last_tenth_of_a_file_is_what_nanogpt_holds_out():
    data = "".join(chr(97 + at % 26) for at in range(1_115_394))
    cut = with_tails(table([data]), "text", Split(tail=True, test=0.1)).frame
    n = len(data)
    assert cut.filter(pl.col(SPLIT) == "train")["text"].to_list() == [data[: int(n * 0.9)]]
    judged = cut.filter(pl.col(SPLIT) == "test")["text"]
    assert "".join(judged) == data[int(n * 0.9) :]
    assert 30 <= len(judged) <= 50


def test_passages_end_with_lines_where_lines_end():
    data = "\n".join("word " * (at % 13) + "end" for at in range(9_000))
    judged = with_tails(table([data]), "text", Split(tail=True, test=0.3)).frame.filter(
        pl.col(SPLIT) == "test"
    )
    assert judged.height > 30
    assert all(text.endswith("end\n") for text in judged["text"][:-1])


def test_a_text_too_short_to_be_cut_is_learned_from_or_judged_by_but_not_both():
    cut = with_tails(table(["a", "ab"]), "text", Split(tail=True, test=0.1)).frame
    assert cut.select("text", SPLIT).rows() == [("a", "test"), ("a", "train"), ("b", "test")]


@pytest.mark.parametrize("more", [{"column": "part"}, {"time": "year"}])
def test_a_split_by_a_column_cuts_no_text(more):
    with pytest.raises(ValueError, match="parts each text itself"):
        Split(tail=True, **more)

"""Spans stand at the same characters after any preparation, and answers find their way back to the text as given."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charter.data.columns import PLACE, ROW, Columns
from charter.data.edits import Edit, Place, aligned, applied, backwards, carried, moved, moved_spans
from charter.data.passes import prepare
from charter.data.preparation import Outcome, Preparation, prepare_again
from charter.spec.use import Use

COLUMNS = Columns(inputs={"text": "text"}, target="spans")
REPAIR, MASK = Use(use="repair_text"), Use(use="mask_pii")


def prepared_spans(text, spans, *uses):
    rows = pl.DataFrame(
        {
            ROW: [1, 2],
            PLACE: ["a", "b"],
            "text": [text, "untouched"],
            "spans": [[dict(zip(("start", "end", "label"), one, strict=True)) for one in spans], []],
        },
        schema_overrides={
            ROW: pl.Int64,
            "spans": pl.List(pl.Struct({"start": pl.Int64, "end": pl.Int64, "label": pl.String})),
        },
    )
    out = prepare(rows, COLUMNS, uses)
    assert out.frame["text"][1] == "untouched"
    new = out.frame["text"][0]
    return [(new[one["start"] : one["end"]], one["label"]) for one in out.frame["spans"][0]], out


def place_of(text, part):
    start = text.index(part)
    return start, start + len(part)


@pytest.mark.parametrize(
    ("text", "part", "expected", "use"),
    [
        ("mail ann@x.org or Bob Lee", "Bob Lee", "Bob Lee", MASK),
        ("mail ann@x.org or Bob", "ann@x.org", "[EMAIL]", MASK),
        ("mail ann@x.org or Bob", "x.org", "[EMAIL]", MASK),
        ("mail ann@x.org or Bob", "x.org or Bob", "[EMAIL] or Bob", MASK),
        ("电话13812345678，住在北京", "北京", "北京", MASK),
        ("a &amp; b met &lt;Ann&gt;", "Ann", "Ann", REPAIR),
        ("in MÃ¼nchen and KÃ¶ln", "KÃ¶ln", "Köln", REPAIR),
        ("in MÃ¼nchen and KÃ¶ln", "MÃ¼nchen", "München", REPAIR),
        ("one\r\ntwo\x07 Paris", "Paris", "Paris", REPAIR),
        ("&#97;a b", "a b", "a b", REPAIR),
        ("&amp;amp; Ann", "Ann", "Ann", REPAIR),
    ],
)
def test_a_span_moves_with_its_text(text, part, expected, use):
    found, _ = prepared_spans(text, [(*place_of(text, part), "X")], use)
    assert found == [(expected, "X")]


def test_a_span_whose_text_vanished_is_counted_and_its_row_stays():
    found, out = prepared_spans("a\x07\x07b Ann", [(1, 3, "X"), (5, 8, "Y")], REPAIR, MASK)
    assert found == [("Ann", "Y")]
    assert dict(out.counts)["repair_text"]["spans whose text vanished"] == 1


def test_spans_move_with_a_preparation_that_says_nothing_of_places(monkeypatch):
    def shout():
        def apply(frame, columns):
            text = pl.col(columns.text).str.replace("Mr ", "Mister ")
            return Outcome(frame.with_columns(text), frame.head(0).select(ROW, reason=pl.lit("")), {})

        return Preparation(row_wise=True, apply=apply)

    from charter import plugins

    monkeypatch.setattr(plugins, "load", lambda *_: shout)
    found, _ = prepared_spans("dear Mr Lee of Paris", [(15, 20, "X"), (5, 11, "Y")], Use(use="shout"))
    assert found == [("Paris", "X"), ("Mister Lee", "Y")]


def test_a_place_in_the_prepared_text_leads_back_to_the_text_as_given():
    text = "Ã¼ber ann@x.org &amp; Bob\x07 in KÃ¶ln"
    rows = pl.DataFrame({ROW: [7], PLACE: ["a"], "text": [text]})
    out = prepare_again(rows, Columns(inputs={"text": "text"}), [REPAIR, MASK], follow=True)
    new = out.frame["text"][0]
    assert new == "über [EMAIL] & Bob in Köln"
    for part, meant in (("[EMAIL]", "ann@x.org"), ("Bob", "Bob"), ("Köln", "KÃ¶ln"), ("über", "Ã¼ber")):
        place = carried(Place(*place_of(new, part)), backwards(out.chains[7], text))
        assert text[place.start : place.end] == meant


TEXT = st.text(alphabet="ab c&;", max_size=20)


@settings(max_examples=300, deadline=None)
@given(TEXT, TEXT)
def test_alignment_leads_from_one_text_to_the_other_and_back(before, after):
    edits = aligned(before, after)
    assert applied(edits, before) == after
    assert applied(backwards((edits,), before)[0], after) == before


@settings(max_examples=300, deadline=None)
@given(TEXT, st.data())
def test_what_no_edit_touches_keeps_its_characters(text, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pairs = list(zip(cuts[::2], cuts[1::2], strict=False))
    # marked parts hold a sign that stands nowhere else, so that touching them shows
    edits = tuple(
        Edit(start, end, data.draw(st.sampled_from(["", "X", "XYZ"])))
        for place, (start, end) in enumerate(pairs)
        if place == 0 or start > pairs[place - 1][1]
    )
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    new = applied(edits, text)
    place = moved(Place(start, end), edits)
    assert 0 <= place.start <= place.end <= len(new)
    if end > start and all(one.end <= start or one.start >= end for one in edits):
        assert new[place.start : place.end] == text[start:end]


def test_spans_keep_their_other_fields():
    out = moved_spans([{"start": 1, "end": 2, "label": "X"}], ((Edit(0, 0, "ab"),),))
    assert out.spans == ({"start": 3, "end": 4, "label": "X"},)

"""A sheet's cells are the text that people see in them, its rows keep their numbers, and a workbook that can't be read is told."""

from datetime import datetime

import pytest
import xlsxwriter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charter.data.columns import PLACE
from charter.data.look import look_at
from charter.data.reading import read_source, source_digest
from charter.errors import DataError
from charter.spec.data import Data


def data(source, **more) -> Data:
    return Data.model_validate({"source": source, "inputs": {"text": "text"}, "target": "label", **more})


@pytest.fixture
def book(tmp_path):
    """A workbook as people keep them: a title above, a gap, merged cells, dates, a note beside the table."""
    with xlsxwriter.Workbook(tmp_path / "x.xlsx") as made:
        sheet = made.add_worksheet("Reviews")
        day = made.add_format({"num_format": "yyyy-mm-dd"})
        sheet.write_row("B3", ["text", "label", "day", "ok"])
        sheet.write_row("B4", ["good", 1.0])
        sheet.write_datetime("D4", datetime(2026, 1, 2), day)
        sheet.write_boolean("E4", True)
        sheet.write_row("B6", ["half", 0.5])
        sheet.write_row("B7", ["first", None])
        sheet.merge_range("C7:C8", "both")
        sheet.write("B8", "second")
        sheet.write("B9", 7)
        sheet.write("C9", "x")
        sheet.write("G12", "a note")
    return tmp_path / "x.xlsx"


def test_cells_are_text_as_people_see_them_and_rows_keep_their_numbers(book, tmp_path):
    read = read_source(data("x.xlsx", groups=["day", "ok"]), tmp_path)
    assert read.frame.select("text", "label", "day", "ok").rows() == [
        ("good", "1", "2026-01-02", "true"),
        ("half", "0.5", None, None),
        ("first", "both", None, None),
        ("second", "both", None, None),
    ]
    assert read.frame[PLACE].to_list()[:2] == ["x.xlsx sheet 'Reviews' row 4", "x.xlsx sheet 'Reviews' row 6"]
    assert read.rejects.select(PLACE, "reason").rows() == [
        ("x.xlsx sheet 'Reviews' row 9", "wrong type in column 'text'")
    ]


def test_the_sheet_must_be_named_where_several_hold_something(tmp_path):
    with xlsxwriter.Workbook(tmp_path / "x.xlsx") as made:
        for name in ("A", "B"):
            made.add_worksheet(name).write_column("A1", ["text", name])
        made.add_worksheet("Empty")
        made.worksheets_objs[0].write_column("B1", ["label", "x"])
        made.worksheets_objs[1].write_column("B1", ["label", "y"])
    with pytest.raises(
        DataError, match=r"the sheets A, B all hold something; name one behind a #, such as x.xlsx#A"
    ):
        read_source(data("x.xlsx"), tmp_path)
    assert read_source(data("x.xlsx#B"), tmp_path).frame["label"].to_list() == ["y"]
    told = {"use": "excel", "path": "x.xlsx", "sheet": "A"}
    assert read_source(data(told), tmp_path).frame["label"].to_list() == ["x"]
    assert source_digest(data("x.xlsx#A"), tmp_path) != source_digest(data("x.xlsx#B"), tmp_path)
    with pytest.raises(DataError, match="no sheet 'C'; there is A, B, Empty"):
        read_source(data("x.xlsx#C"), tmp_path)


def test_a_title_above_is_passed_over_by_naming_the_header_row(tmp_path):
    with xlsxwriter.Workbook(tmp_path / "x.xlsx") as made:
        sheet = made.add_worksheet()
        sheet.write("A1", "Our reviews of 2026")
        sheet.write_row("A2", ["text", "label"])
        sheet.write_row("A3", ["fine", "a"])
    with pytest.raises(DataError, match="no column 'text'"):
        read_source(data("x.xlsx"), tmp_path)
    assert read_source(data({"use": "excel", "path": "x.xlsx", "header": 2}), tmp_path).records == 1


def test_many_rows_come_in_chunks_and_are_looked_at(tmp_path):
    with xlsxwriter.Workbook(tmp_path / "x.xlsx", {"constant_memory": True}) as made:
        sheet = made.add_worksheet()
        sheet.write_row(0, 0, ["text", "label"])
        for row in range(1, 10_501):
            sheet.write_row(row, 0, [f"text {row}", row % 2])
    read = read_source(data("x.xlsx"), tmp_path)
    assert (read.records, read.frame["_row"].to_list()) == (10_500, list(range(1, 10_501)))
    assert look_at("x.xlsx", tmp_path).column("label").kind == "number"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_bytes_are_a_workbook_or_refused_in_words(book, tmp_path, data):
    content = bytearray(book.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        start = data.draw(st.integers(0, len(content)))
        content[start : start + data.draw(st.integers(0, 30))] = data.draw(st.binary(max_size=12))
    (tmp_path / "y.xlsx").write_bytes(bytes(content))
    try:
        read_source(globals()["data"]("y.xlsx"), tmp_path)
    except DataError as error:
        assert "y.xlsx" in str(error)

"""Excel workbooks: one sheet, a row that names the columns, typed cells; a row's place is its sheet and its number in it."""

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from charter.data.sources.cells import Cells, as_text
from charter.data.sources.chunks import ROWS, batched, table_of_chunk
from charter.data.sources.compression import check_archive
from charter.data.sources.files import check_header, files_of
from charter.data.table import Asked, Header, Source, Table
from charter.errors import DataError, MissingExtraError
from charter.runs.digest import file_digest, files_digest

HEADER_ROWS = 100
"""The row that names the columns is looked for in so many rows."""


def excel(
    *,
    sheet: Annotated[
        str | None, Field(description="the sheet's name; needed where several hold something")
    ] = None,
    header: Annotated[
        int | None,
        Field(ge=1, description="the row that names the columns; default: the first that is not empty"),
    ] = None,
) -> Source:
    """Excel workbooks (xlsx, xlsm): `PATH` or `PATH#SHEET`. A merged cell's value counts for every row it spans."""
    options = _Options(sheet, header)
    return Source(
        lambda location, folder, asked: _read(location, folder, asked, options),
        lambda location, folder, asked: _digest(location, folder),  # noqa: ARG005
        lambda location, folder, asked: _headers(location, folder, options),  # noqa: ARG005
        lambda location, folder: _check(location, folder, options),
    )


@dataclass(frozen=True)
class _Options:
    sheet: str | None
    header: int | None


@dataclass(frozen=True)
class _Sheet:
    """A sheet's columns, and the number of the row that names them."""

    path: Path
    name: str
    content: Any
    columns: tuple[str, ...]
    header: int

    @property
    def title(self) -> str:
        return f"{self.path.name} sheet '{self.name}'"


def sheets_of(path: Path) -> list[str]:
    """The names of a workbook's sheets that hold something, hidden ones left out, in their order.

    Raises:
        DataError: it is no workbook, or is damaged.
        MissingExtraError: the library that reads it is not installed.
    """
    with _opened(path) as book:
        return [name for name in _visible(book) if book.get_sheet_by_name(name).start is not None]


def _check(location: str, folder: Path, options: _Options) -> None:
    _headers(location, folder, options)


def _headers(location: str, folder: Path, options: _Options) -> list[Header]:
    paths, options = _named(location, folder, options)
    found = []
    for path in paths:
        with _opened(path) as book:
            sheet = _sheet(path, book, options)
            found.append(Header(sheet.title, tuple(filter(None, sheet.columns))))
    return found


def _digest(location: str, folder: Path) -> str:
    paths, options = _named(location, folder, _Options(None, None))
    named = {f"{number} {path.name}#{options.sheet or ''}": path for number, path in enumerate(paths)}
    return files_digest({name: file_digest(path) for name, path in named.items()})


def _read(location: str, folder: Path, asked: Asked, options: _Options) -> Iterator[Table]:
    paths, options = _named(location, folder, options)
    for path in paths:
        with _opened(path) as book:
            yield from _tables(_sheet(path, book, options), asked)


def _named(location: str, folder: Path, options: _Options) -> tuple[list[Path], _Options]:
    """The workbooks of a location, and the options with the sheet that stands behind its #."""
    path, mark, sheet = location.rpartition("#")
    if mark and not (folder / Path(location).expanduser()).is_file():
        if options.sheet not in (None, sheet):
            raise DataError(
                f"data.source '{location}' names a sheet, and so does its option; remove one of the two"
            )
        return files_of(path, folder), replace(options, sheet=sheet)
    return files_of(location, folder), options


def _opened(path: Path) -> Any:
    try:
        from python_calamine import CalamineError, CalamineWorkbook, PasswordError
    except ImportError:
        raise MissingExtraError(f"data.source '{path.name}'", "excel") from None
    if zipfile.is_zipfile(path):  # what is none is told below
        check_archive(path)
    try:
        return CalamineWorkbook.from_path(path)
    except PasswordError:
        raise DataError(f"{path}: the workbook has a password; save it without one") from None
    except (CalamineError, OSError, ValueError):
        raise DataError(f"{path}: not an Excel workbook, or damaged or cut off") from None


def _visible(book: Any) -> list[str]:
    from python_calamine import SheetTypeEnum, SheetVisibleEnum

    return [
        one.name
        for one in book.sheets_metadata
        if one.visible == SheetVisibleEnum.Visible and one.typ == SheetTypeEnum.WorkSheet
    ]


def _sheet(path: Path, book: Any, options: _Options) -> _Sheet:
    """The sheet that is named, or the only one that holds something."""
    from python_calamine import CalamineError

    name = options.sheet
    try:
        if name is not None and name not in book.sheet_names:
            raise DataError(f"{path}: no sheet '{name}'; there is {', '.join(book.sheet_names)}")
        if name is None:
            filled = [one for one in _visible(book) if book.get_sheet_by_name(one).start is not None]
            if len(filled) != 1:
                raise DataError(_which(path, filled))
            name = filled[0]
        content = book.get_sheet_by_name(name)
    except (CalamineError, ValueError):
        raise DataError(f"{path}: a sheet of the workbook is damaged") from None
    row, names = _header_row(content, options.header)
    if not any(names):
        raise DataError(f"{path} sheet '{name}': no row names the columns")
    return _Sheet(path, name, content, names, row)


def _which(path: Path, filled: Sequence[str]) -> str:
    if not filled:
        return f"{path}: the workbook is empty"
    return (
        f"{path}: the sheets {', '.join(filled)} all hold something; name one behind a #, such as "
        f"{path.name}#{filled[0]}, or {{use: excel, path: {path.name}, sheet: {filled[0]}}}"
    )


def _header_row(content: Any, wanted: int | None) -> tuple[int, tuple[str, ...]]:
    for number, row in enumerate(content.iter_rows(), start=1):
        names = tuple(as_text(cell).strip() for cell in row)
        if number == wanted or (wanted is None and any(names)):
            return number, names
        if number >= max(HEADER_ROWS, wanted or 0):
            break
    return wanted or 1, ()


def _tables(sheet: _Sheet, asked: Asked) -> Iterator[Table]:
    """A sheet in chunks; empty rows are no records. The workbook itself is held: xlsx can't be read from its middle."""
    check_header(Path(sheet.title), [name for name in sheet.columns if name], asked)
    wanted = [column for column in asked.columns.kept if column in sheet.columns]
    places = [sheet.columns.index(column) for column in wanted]
    cells = Cells(asked.columns, wanted)
    left = asked.most_bytes
    for at, batch in enumerate(batched(_rows(sheet), ROWS)):
        chunk = cells.chunk([[row[place] for place in places] for _, row in batch])
        left = None if left is None else left - int(chunk.frame.estimated_size())
        whole = left is None or left > 0
        numbers = [f"{sheet.title} row {number}" for number, _ in batch]
        yield table_of_chunk(chunk, numbers, begins=at == 0, whole=whole)
        if not whole:
            return


def _rows(sheet: _Sheet) -> Iterator[tuple[int, list[Any]]]:
    """The rows below the header that hold something in a named column, with their numbers; "" is an empty cell."""
    spans = _merged(sheet)
    named = [place for place, name in enumerate(sheet.columns) if name]
    for number, row in enumerate(sheet.content.iter_rows(), start=1):
        filled = [None if cell == "" else cell for cell in row]
        for place, span in spans.get(number, ()):
            filled[place] = span.value_at(number, filled[place])
        if number > sheet.header and any(filled[place] is not None for place in named):
            yield number, filled


@dataclass
class _Span:
    """A merged cell of one column: its first row has the value, which counts for all of them."""

    first: int
    value: Any = None

    def value_at(self, row: int, cell: Any) -> Any:
        if row == self.first:
            self.value = cell
        return self.value


def _merged(sheet: _Sheet) -> dict[int, list[tuple[int, _Span]]]:
    """By row, the columns that a merged cell spans downwards. Across columns its value stays in the first."""
    start = sheet.content.start
    left = start[1] if start is not None else 0
    spans: dict[int, list[tuple[int, _Span]]] = {}
    for (top, column), (bottom, _) in sheet.content.merged_cell_ranges or ():
        if bottom > top >= sheet.header and 0 <= column - left < len(sheet.columns):
            span = _Span(top + 1)
            for row in range(top, bottom + 1):
                spans.setdefault(row + 1, []).append((column - left, span))
    return spans

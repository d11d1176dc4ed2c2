"""Rows of a database through SQLAlchemy, streamed in chunks by a server-side cursor, in a transaction that only reads.

Secrets stay outside: a URL names them as ${NAME}, which is read from the environment when the database is opened, and no
error holds them. Rows come in a stated order, so that equal data are equal artefacts.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from charter.data.sources.cells import Cells
from charter.data.sources.chunks import ROWS, batched, table_of_chunk
from charter.data.sources.database import opened, shown, told, unreadable
from charter.data.sources.files import check_header
from charter.data.table import Asked, Header, Source, Table
from charter.errors import DataError


def sql(
    *,
    table: Annotated[str | None, Field(description="a table or view, SCHEMA.NAME where needed")] = None,
    query: Annotated[
        str | None, Field(description="a SELECT that says ORDER BY, in place of a table")
    ] = None,
    order_by: Annotated[
        tuple[str, ...],
        Field(description="the columns that order the rows; default: the table's primary key"),
    ] = (),
) -> Source:
    """A database: `URL#TABLE` with a SQLAlchemy URL, whose secrets are named as ${NAME} and read from the environment."""
    asks = _Asks(table, query, order_by)
    return Source(
        lambda location, folder, asked: _read(location, folder, asked, asks),
        lambda location, folder, asked: _digest(location, folder, asked, asks),
        lambda location, folder, asked: _headers(location, folder, asks),  # noqa: ARG005
        lambda location, folder: _check(location, folder, asks),
        volatile=True,
    )


@dataclass(frozen=True)
class _Asks:
    table: str | None
    query: str | None
    order_by: tuple[str, ...]


@dataclass(frozen=True)
class _Selection:
    """What is selected from which database: a statement in its dialect, and a name for people."""

    url: str
    table: str
    query: str
    order_by: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"sql:{self.table}" if self.table else "sql:query"


def _selection(location: str, asks: _Asks) -> _Selection:
    """The table behind the #, or the option's table or query.

    Raises:
        DataError: none of them or several, or a query that gives its rows in no order.
    """
    url, _, table = location.partition("#")
    said = [one for one in (table, asks.table, asks.query) if one]
    if len(said) != 1:
        raise DataError(
            f"data.source 'sql:{shown(url)}': say once what is read: sql:URL#TABLE, or "
            "{use: sql, url: URL, table: TABLE}, or {use: sql, url: URL, query: SELECT ... ORDER BY ...}"
        )
    query = (asks.query or "").strip().rstrip(";").strip()
    if query and not re.match(r"(?:select|with|values)\b", query, re.I):
        raise DataError("data.source: a query reads rows: it begins with SELECT, WITH or VALUES")
    if query and not re.search(r"\border\s+by\b", query, re.I):
        raise DataError(
            "data.source: a query says ORDER BY, over columns that order its rows for good, such as their key: without it "
            "a database may give them in another order each time"
        )
    if query and asks.order_by:
        raise DataError("data.source: order_by is of a table; a query says its own ORDER BY")
    return _Selection(url, table or asks.table or "", query, asks.order_by)


def _check(location: str, folder: Path, asks: _Asks) -> None:
    """Without asking a server: the form, and for SQLite the file."""
    selection = _selection(location, asks)
    told(selection.url, folder)


def _headers(location: str, folder: Path, asks: _Asks) -> list[Header]:
    selection = _selection(location, asks)
    with _cursor(selection, folder, ()) as result:
        return [Header(selection.name, tuple(result.keys()))]


def _read(location: str, folder: Path, asked: Asked, asks: _Asks) -> Iterator[Table]:
    selection = _selection(location, asks)
    left = asked.most_bytes
    with _cursor(selection, folder, asked.columns.kept) as result:
        header = list(result.keys())
        check_header(Path(selection.name), header, asked)
        wanted = [column for column in asked.columns.kept if column in header]
        places = [header.index(column) for column in wanted]
        cells = Cells(asked.columns, wanted)
        number = 0
        for batch in batched(_fetched(result, selection), ROWS):
            chunk = cells.chunk([[record[place] for place in places] for record in batch])
            left = None if left is None else left - int(chunk.frame.estimated_size())
            whole = left is None or left > 0
            names = [f"{selection.name} row {number + at}" for at in range(1, len(batch) + 1)]
            yield table_of_chunk(chunk, names, begins=number == 0, whole=whole)
            number += len(batch)
            if not whole:
                return


def _digest(location: str, folder: Path, asked: Asked, asks: _Asks) -> str:
    """Of the rows themselves, as they are read: a database has no bytes to name."""
    state = hashlib.sha256()
    for table in _read(location, folder, asked, asks):
        schema = [[name, str(kind)] for name, kind in table.frame.schema.items()]
        state.update(repr(schema).encode())
        state.update(table.frame.write_ndjson().encode())
        state.update(table.rejects.write_ndjson().encode())
    return state.hexdigest()


@contextmanager
def _cursor(selection: _Selection, folder: Path, columns: Sequence[str]) -> Iterator[Any]:
    """The rows of a selection as a cursor on the server; `columns` are those wanted of a table, or nothing for all."""
    from sqlalchemy.exc import SQLAlchemyError

    with opened(selection.url, folder) as connection:
        try:
            if selection.query:
                # passed on as it stands: a colon or a percent sign in it is no parameter
                result = connection.execution_options(no_parameters=True).exec_driver_sql(selection.query)
            else:
                result = connection.execute(_select(connection, selection, columns))
        except SQLAlchemyError as error:
            raise unreadable(selection.name, selection.url, error, says=True) from None
        with result:
            yield result


def _select(connection: Any, selection: _Selection, columns: Sequence[str]) -> Any:
    """SELECT of a table's columns, in the order of its primary key or of the columns named."""
    import sqlalchemy

    schema, _, name = selection.table.rpartition(".")
    inspector = sqlalchemy.inspect(connection)
    try:
        there = [one["name"] for one in inspector.get_columns(name, schema=schema or None)]
    except sqlalchemy.exc.NoSuchTableError:
        known = [
            *inspector.get_table_names(schema=schema or None),
            *inspector.get_view_names(schema=schema or None),
        ]
        raise DataError(
            f"{selection.name}: no such table; there is {', '.join(sorted(known)[:30]) or 'none'}"
        ) from None
    key = selection.order_by or tuple(
        inspector.get_pk_constraint(name, schema=schema or None).get("constrained_columns") or ()
    )
    unknown = [column for column in key if column not in there]
    if unknown:
        raise DataError(
            f"{selection.name}: order_by names '{unknown[0]}', which is none of its columns: {', '.join(there)}"
        )
    if not key:
        raise DataError(
            f"{selection.name}: has no primary key, so its rows have no order of their own; name the columns that order "
            f"them: {{use: sql, url: ..., table: {selection.table}, order_by: [{there[0] if there else 'COLUMN'}]}}"
        )
    wanted = [column for column in there if column in columns] or there
    of = sqlalchemy.table(name, *map(sqlalchemy.column, there), schema=schema or None)
    return sqlalchemy.select(*(of.c[one] for one in wanted)).order_by(*(of.c[one] for one in key))


def _fetched(result: Any, selection: _Selection) -> Iterator[Sequence[Any]]:
    """The rows, fetched in chunks; what a driver says of a row may hold its values, so it is not passed on."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        for chunk in result.partitions(ROWS):
            yield from chunk
    except SQLAlchemyError as error:
        raise unreadable(selection.name, selection.url, error, says=False) from None

"""Open a database by a URL whose secrets stand in the environment; say what goes wrong without them."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from charter.data.sources.chunks import ROWS
from charter.errors import DataError, MissingExtraError

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SECRET = re.compile(r"pass|pwd|secret|token|key$", re.I)
"""Parameters of a URL that are secrets, by their names."""
DRIVERS = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg"}
"""What is meant where a URL names no driver."""


def variables(url: str) -> list[str]:
    """The names of the environment variables that a URL is filled in from."""
    return list(dict.fromkeys(_VARIABLE.findall(url)))


def shown(url: str) -> str:
    """A URL as it may be shown: no parameters, and no password unless it is only named. What is no URL is not shown."""
    scheme, mark, rest = url.partition("://")
    if not mark:
        return url if _VARIABLE.fullmatch(url) or ":" not in url else "..."
    before, at, host = rest.rpartition("@")
    place = (host if at else rest).partition("?")[0]
    if not _PLACE.fullmatch(place):  # perhaps cut out of a password
        place = "..."
    user, colon, password = before.partition(":")
    hidden = colon + (password if _VARIABLE.fullmatch(password) else "***") if colon else ""
    return f"{scheme}://{user}{hidden}{at}{place}"


_PLACE = re.compile(r"[^:]*(:\d+)?(/[^:]*)?")


def _password(url: str) -> str:
    before, at, _ = url.partition("://")[2].rpartition("@")
    return before.partition(":")[2] if at else ""


def told(url: str, folder: Path) -> None:
    """Refuse a URL that can't be opened, without opening it: its form, a secret in it, and for SQLite its file.

    Raises:
        DataError: what is wrong, without the secret.
        MissingExtraError: SQLAlchemy is not installed.
    """
    if _VARIABLE.fullmatch(url):
        _library()
        return
    try:
        scheme, given = urlsplit(url).scheme, parse_qsl(url.partition("?")[2], keep_blank_values=True)
    except ValueError:
        raise DataError(f"data.source 'sql:{shown(url)}': no database URL") from None
    if not scheme or "://" not in url:
        raise DataError(
            f"data.source 'sql:{shown(url)}': no database URL; such as sql:sqlite:///shop.db#reviews or "
            "sql:postgresql://me:${DB_PASSWORD}@localhost/shop#reviews"
        )
    password = _password(url)
    literal = [name for name, value in given if _SECRET.search(name) and not _VARIABLE.fullmatch(value)]
    if (password and not _VARIABLE.fullmatch(password)) or literal:
        raise DataError(
            f"data.source 'sql:{shown(url)}': a password stands in the charter, which is kept and shown; write "
            "${DB_PASSWORD} in its place and set that variable in the environment"
        )
    sqlite_file(url, folder)
    _library()


def sqlite_file(url: str, folder: Path) -> Path | None:
    """The file of an SQLite database, relative ones from `folder`; None for another kind.

    Raises:
        DataError: there is no such file.
    """
    if not url.lower().startswith(("sqlite:", "sqlite+")):
        return None
    path = folder / Path(_filled(url.partition("://")[2].partition("?")[0].removeprefix("/"))).expanduser()
    if not path.is_file():
        raise DataError(f"data.source 'sql:{url}': no such file, looked for {path}")
    return path


@contextmanager
def opened(url: str, folder: Path) -> Iterator[Any]:
    """A connection in a transaction that only reads, in one snapshot where the database knows such; rolled back at the end.

    Raises:
        DataError: it can't be opened; the message holds no secret.
        MissingExtraError: SQLAlchemy or the driver is not installed.
    """
    told(url, folder)
    sqlalchemy = _library()
    full, options = _full(url, folder, sqlalchemy)
    try:
        engine = sqlalchemy.create_engine(full, poolclass=sqlalchemy.pool.NullPool, hide_parameters=True)
    except sqlalchemy.exc.NoSuchModuleError:
        raise DataError(
            f"data.source 'sql:{shown(url)}': SQLAlchemy knows no such kind of database"
        ) from None
    except ImportError as error:
        if "psycopg" in str(error):
            raise MissingExtraError(f"data.source 'sql:{shown(url)}'", "sql") from None
        raise DataError(
            f"data.source 'sql:{shown(url)}': its driver is not installed ({error.name}); install it beside Charter"
        ) from None
    if full.get_backend_name() == "sqlite":
        sqlalchemy.event.listen(engine, "connect", _keep_undecoded)
    try:
        connection = engine.connect()
    except (sqlalchemy.exc.SQLAlchemyError, UnicodeError) as error:
        raise unreadable(f"data.source 'sql:{shown(url)}'", url, error, says=True) from None
    try:
        yield connection.execution_options(
            stream_results=True, yield_per=ROWS, max_row_buffer=ROWS, **options
        )
    finally:
        connection.rollback()
        connection.close()
        engine.dispose()


def _full(url: str, folder: Path, sqlalchemy: Any) -> tuple[Any, dict[str, Any]]:
    """The URL with its secrets filled in, part by part so that no sign in one is taken for a part's end; and options."""
    try:
        whole = _VARIABLE.fullmatch(url)
        made = sqlalchemy.make_url(_filled(url) if whole else url)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        where = f"the variable {url}" if _VARIABLE.fullmatch(url) else f"'sql:{shown(url)}'"
        raise DataError(f"data.source: {where} holds no database URL") from None
    made = made.set(
        drivername=DRIVERS.get(made.drivername, made.drivername),
        **{
            name: _filled(value)
            for name in ("username", "password", "host", "database")
            if (value := getattr(made, name)) is not None and not whole
        },
    )
    made = made.update_query_dict(
        {
            name: value if whole or not isinstance(value, str) else _filled(value)
            for name, value in made.query.items()
        }
    )
    if made.get_backend_name() == "postgresql":
        return made, {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    if made.get_backend_name() == "sqlite":
        path = sqlite_file(f"sqlite:///{made.database or ''}", folder)
        made = made.set(database=f"file:{_quoted(str(path))}").update_query_dict(
            {"mode": "ro", "uri": "true"}
        )
    return made, {}


def _quoted(path: str) -> str:
    from urllib.parse import quote

    return quote(path)


def _filled(text: str) -> str:
    """A text with the variables it names read from the environment.

    Raises:
        DataError: one is not set.
    """

    def value(found: re.Match[str]) -> str:
        given = os.environ.get(found[1])
        if given is None:
            raise DataError(
                f"data.source names the environment variable {found[1]}, which is not set; set it to what it stands for"
            )
        return given

    return _VARIABLE.sub(value, text)


def _keep_undecoded(connection: Any, _: Any) -> None:
    """Let a text that is no UTF-8 cost its own row only."""
    connection.text_factory = lambda content: content.decode("utf-8", "surrogateescape")


def unreadable(name: str, url: str, error: Exception, *, says: bool) -> DataError:
    """A database's error. says: whether its own words may be passed on: of a statement, yes; of rows, no (values)."""
    origin = getattr(error, "orig", None) or error
    state = getattr(origin, "sqlstate", None)
    kind = type(origin).__name__ + (f", SQLSTATE {state}" if state else "")
    lines = str(origin).strip().splitlines() if says and not str(state).startswith("22") else []
    words = f": {_without_secrets(lines[0], url)[:300]}" if lines else ""
    return DataError(f"{name}: the database refuses ({kind}){words}")


def _without_secrets(text: str, url: str) -> str:
    """Words without what the environment filled in, and without passwords of a whole URL from there."""
    secrets = [os.environ.get(name, "") for name in variables(url)]
    for whole in list(secrets):
        if "://" in whole:
            try:
                secrets += [urlsplit(whole).password or ""]
            except ValueError:
                return "(its words are left out)"
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def _library() -> Any:
    try:
        import sqlalchemy
    except ImportError:
        raise MissingExtraError("data.source 'sql:...'", "sql") from None
    return sqlalchemy

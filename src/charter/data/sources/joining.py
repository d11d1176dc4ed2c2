"""Several tables as one: the columns of further tables are added to the rows of the source, each by a key.

The source's rows stream by; what is looked up is held. A key stands once in a table that is looked up in, so a row finds
one partner or none, and rows never multiply. Places and numbers of rows stay those of the source.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import polars as pl

from charter.data.columns import PLACE, ROW, SPLIT, Columns
from charter.data.sources.files import absent
from charter.data.sources.hub import columns_of
from charter.data.sources.locations import Location, find_location
from charter.data.table import REJECTS, Asked, Header, Table
from charter.data.targets import as_label
from charter.errors import DataError
from charter.spec.data import Join
from charter.spec.use import Use

KEY, FOUND = "__key", "__found"
"""No column of a charter may begin with two underscores."""


@dataclass(frozen=True)
class JoinProblem:
    """What keeps tables from being joined: of a column with a role, or else of the join of this number."""

    message: str
    column: str | None = None
    join: int | None = None


@dataclass(frozen=True)
class Partner:
    """A table to look up in: what it is asked for, the key's column in the source and here, and what it adds."""

    location: Location
    folder: Path
    asked: Asked
    keys: tuple[str, str]
    adds: tuple[str, ...]
    keeps_unmatched: bool

    def digest(self) -> list[object]:
        """What names the bytes that are looked up in, and how."""
        found = self.location.source.digest(self.location.rest, self.folder, self.asked)
        return [self.location.kind, found, list(self.keys), list(self.adds), self.keeps_unmatched]

    @cached_property
    def table(self) -> pl.DataFrame:
        """KEY, FOUND and the columns it adds; a row without a key can be nobody's partner.

        Raises:
            DataError: a key stands twice, or the table can't be read.
        """
        frames = [
            table.frame.with_columns(_key(table.frame, self.keys[1]))
            for table in self.location.source.read(self.location.rest, self.folder, self.asked)
        ]
        try:
            whole = pl.concat(frames, how="vertical_relaxed").drop_nulls(KEY)
        except pl.exceptions.PolarsError:
            raise DataError(f"{self.location.name}: its files differ in their columns or types") from None
        twice = whole.filter(pl.col(KEY).is_duplicated())
        if twice.height:
            places = twice.filter(pl.col(KEY) == twice[KEY][0])[PLACE].head(2).to_list()
            raise DataError(
                f"{self.location.name}: {twice[KEY].n_unique()} values of the key '{self.keys[1]}' stand more than once, "
                f"the first at {places[0]} and {places[1]}; a row must find one partner: keep one row of each key, or "
                "make this table data.source and join the other one to it"
            )
        return whole.select(KEY, pl.lit(True).alias(FOUND), *self.adds)

    def joined(self, table: Table) -> Table:
        """A table of the source with the columns added; rows without partner are rejected, or kept with empty cells."""
        keyed = table.frame.with_columns(_key(table.frame, self.keys[0]))
        frame = keyed.join(self.table, on=KEY, how="left", maintain_order="left")
        if self.keeps_unmatched:
            return replace(table, frame=frame.drop(KEY, FOUND))
        alone = frame.filter(pl.col(FOUND).is_null())
        no_key = pl.lit(f"no key in column '{self.keys[0]}'")
        rejects = alone.select(
            ROW,
            PLACE,
            pl.when(pl.col(KEY).is_null())
            .then(no_key)
            .otherwise(pl.lit(f"no partner in {self.location.name}"))
            .alias("reason"),
            pl.when(pl.col(KEY).is_null()).then(pl.lit("missing")).otherwise(pl.lit("text")).alias("type"),
            pl.col(KEY).str.len_chars().fill_null(0).cast(pl.Int64).alias("length"),
        ).cast(REJECTS)  # type: ignore[arg-type]
        found = frame.filter(pl.col(FOUND).is_not_null()).drop(KEY, FOUND)
        return replace(table, frame=found, rejects=pl.concat([table.rejects, rejects]))


@dataclass(frozen=True)
class JoinPlan:
    """What the source is asked for, and the tables that the rest comes from."""

    asked: Asked
    partners: tuple[Partner, ...]
    kept: tuple[str, ...]

    def joined(self, table: Table) -> Table:
        """A table of the source with every column that has a role, and no other."""
        for partner in self.partners:
            table = partner.joined(table)
        names = [name for name in table.frame.columns if name in (ROW, PLACE, SPLIT, *self.kept)]
        return replace(table, frame=table.frame.select(names))


def plan_join(joins: Sequence[Join], place: str | Use, folder: Path, asked: Asked) -> JoinPlan | None:
    """Which table gives which column; None where there is nothing to join.

    Raises:
        DataError: a key or a column is in none of the tables, or a column is in several.
    """
    if not joins:
        return None
    sides = _sides(joins, place, folder, asked)
    problems = _problems(joins, sides, asked)
    if problems:
        raise DataError(problems[0].message)
    gives = _gives(joins, sides, asked)
    partners = tuple(
        Partner(
            side.location,
            folder,
            replace(asked, columns=_only(asked.columns, gives[number + 1], join.keys[1])),
            join.keys,
            gives[number + 1],
            join.unmatched == "keep",
        )
        for number, (join, side) in enumerate(zip(joins, sides[1:], strict=True))
    )
    own = _only(asked.columns, gives[0], *(join.keys[0] for join in joins))
    return JoinPlan(replace(asked, columns=own), partners, asked.columns.kept)


def join_problems(joins: Sequence[Join], place: str | Use, folder: Path, asked: Asked) -> list[JoinProblem]:
    """Everything that keeps tables from being joined; only beginnings of files are read.

    Raises:
        DataError: a table that can't be read.
    """
    sides = _sides(joins, place, folder, asked)
    return _problems(joins, sides, asked)


@dataclass(frozen=True)
class _Side:
    location: Location
    header: Header


def _sides(joins: Sequence[Join], place: str | Use, folder: Path, asked: Asked) -> list[_Side]:
    return [_side(one, folder, asked) for one in (place, *(join.source for join in joins))]


def _side(place: str | Use, folder: Path, asked: Asked) -> _Side:
    found = find_location(place, folder)
    if found.kind == "conll":
        raise DataError(f"{found.name}: a CoNLL file has words and tags only, so nothing can be joined to it")
    headers = found.source.headers
    if headers is not None:
        return _Side(found, headers(found.rest, folder, asked)[0])
    if found.kind == "hf":
        return _Side(found, Header(found.name, tuple(columns_of(found.rest, folder))))
    raise DataError(
        f"{found.name}: a source of kind '{found.kind}' can't tell its columns, so it can't be joined"
    )


def _problems(joins: Sequence[Join], sides: Sequence[_Side], asked: Asked) -> list[JoinProblem]:
    own = sides[0].header
    problems = []
    for number, (join, side) in enumerate(zip(joins, sides[1:], strict=True)):
        named = [
            (join.keys[0], own),
            (join.keys[1], side.header),
            *((one, side.header) for one in join.columns),
        ]
        for column, header in named:
            because = absent(column, header.columns)
            if because and (header.whole or column in header.columns):
                problems.append(JoinProblem(f"{header.name}: {because}", join=number))
    for column in asked.columns.kept:
        where = [sides[at].header.name for at in _holders(column, joins, sides)]
        if len(where) > 1:
            said = f"column '{column}' stands in {' and in '.join(where)}; choose one with data.join.columns"
            problems.append(JoinProblem(said, column))
        elif not where and own.whole and not (column == asked.columns.target and not asked.needs_target):
            everywhere = dict.fromkeys(name for side in sides for name in side.header.columns)
            problems.append(JoinProblem(f"in none of the tables: {absent(column, list(everywhere))}", column))
    return problems


def _holders(column: str, joins: Sequence[Join], sides: Sequence[_Side]) -> list[int]:
    """The tables that a column may come from, by number: 0 the source, then the joined ones. One that names it is chosen."""
    chosen = [number for number, join in enumerate(joins, start=1) if column in join.columns]
    if chosen:
        return chosen
    return [
        number
        for number, side in enumerate(sides)
        if column in side.header.columns
        and (number == 0 or not _is_shared_key(column, joins[number - 1]))
        and (number == 0 or not joins[number - 1].columns)
    ]


def _is_shared_key(column: str, join: Join) -> bool:
    return join.keys == (column, column)


def _gives(joins: Sequence[Join], sides: Sequence[_Side], asked: Asked) -> Mapping[int, tuple[str, ...]]:
    gives: dict[int, list[str]] = {number: [] for number in range(len(sides))}
    for column in asked.columns.kept:
        gives[next(iter(_holders(column, joins, sides)), 0)].append(column)
    if not asked.needs_target and asked.columns.target not in sides[0].header.columns:
        gives[0] = [one for one in gives[0] if one != asked.columns.target]
    return {number: tuple(columns) for number, columns in gives.items()}


def _only(columns: Columns, names: Iterable[str], *keys: str) -> Columns:
    """The roles of these columns; a key without a role is read as a label."""
    kept = set(names)

    def if_kept(name: str | None) -> str | None:
        return name if name in kept else None

    return Columns(
        {name: modality for name, modality in columns.inputs.items() if name in kept},
        if_kept(columns.target),
        (*(name for name in columns.groups if name in kept), *(key for key in keys if key not in kept)),
        if_kept(columns.subject),
        if_kept(columns.time),
        if_kept(columns.split),
    )


def _key(frame: pl.DataFrame, column: str) -> pl.Series:
    """A key as text: 1, 1.0, "1" and " 1 " are one key; blank is missing."""
    return frame.select(as_label(frame, column))[column].str.strip_chars().alias(KEY)

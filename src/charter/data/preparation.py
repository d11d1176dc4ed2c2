"""Preparations: what happens to rows between reading and learning. Every row that goes has its reason."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import polars as pl

from charter import plugins
from charter.data.columns import ROW, Columns, SplitName
from charter.data.edits import Chain, aligned, applied, moved_spans
from charter.errors import DataError
from charter.runs.findings import Finding
from charter.spec.use import Use

if TYPE_CHECKING:
    from charter.data.rows import Rows

DROPPED = {ROW: pl.Int64, "reason": pl.String}


@dataclass(frozen=True)
class Outcome:
    """What a preparation did. dropped: {_row, reason} of the rows that are gone; counts: what it changed, by kind.

    A preparation that changes texts leaves spans in the target as they are: Charter moves them. `edits` tells, from a
    text as it was, which of its characters became what; without it the two texts are aligned.

    added: how many rows it made, by kind. Only what runs after the split makes rows; each has the row number, the unit
    and the roles of the row it was made from. findings: what it measured; `on` is filled in when the rows are written.
    """

    frame: pl.DataFrame
    dropped: pl.DataFrame
    counts: Mapping[str, int]
    edits: Callable[[str], Chain] | None = None
    added: Mapping[str, int] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


Apply = Callable[[pl.DataFrame, Columns], Outcome]
"""(rows, roles of their columns) -> what became of them."""
Over = Callable[["Rows", Columns], Outcome]
"""(rows that may be more than memory holds, roles) -> what became of them; its `frame` has ROW only."""
Reach = Literal["row", "labels", "columns", "rows"]
"""What a preparation is given at once.

row: any number of rows; it looks at each alone, so it is called chunk by chunk and its counts are added up. After the split
    it may make rows of each; all rows of one number are given at once.
labels: ROW and the target of all rows, where it is one label per row; it changes the target and drops no row.
columns: all rows, without the input columns and PLACE. It may drop rows and change the target, nothing else.
rows: every row, whole, in memory: only where nothing else will do.
"""


def _over_only(frame: pl.DataFrame, columns: Columns) -> Outcome:
    del frame, columns
    raise TypeError("this preparation runs over rows that are not held: call its `over`")


@dataclass(frozen=True)
class Preparation:
    """One preparation. Row-wise ones look at each row alone; they run again on new rows in `charter predict`.

    splits: it runs after the rows are divided and sees the rows of these splits only, with SPLIT and UNIT, so that it
    can't change what a model is judged on; None: it runs before, on all rows.
    digest: names the bytes that it reads beside the rows; it stands in the artefact's key. volatile: whether they may change
    while they are read, as a database's may, so that they are named again afterwards.
    reach: what it is given at once; None: "row" where it is row-wise, else "rows". over: for what must see the texts of all rows
    but never holds them all: it is called instead of `apply`. check: looks at its rows without their texts before it is called on any
    of them chunk by chunk, and refuses what can't be. similarity: at which it compares texts, so that all who
    compare them are told by one join. summed: what it measured over all rows, from its counts added up.
    """

    row_wise: bool
    apply: Apply = _over_only
    splits: tuple[SplitName, ...] | None = None
    digest: Callable[[Columns], str] | None = None
    volatile: Callable[[], bool] | None = None
    reach: Reach | None = None
    over: Over | None = None
    check: Callable[[pl.DataFrame, Columns], None] | None = None
    similarity: float | None = None
    summed: Callable[[Mapping[str, int]], tuple[Finding, ...]] | None = None

    @property
    def needs(self) -> Reach:
        """What it is given at once."""
        return self.reach or ("row" if self.row_wise else "rows")


Named = tuple[str, Preparation]
"""A preparation with the name that its drops and counts are told under."""


@dataclass(frozen=True)
class Prepared:
    """Prepared rows; {_row, by, reason} of those dropped; and the counts of each preparation, in order.

    chains: by row number, what became of each changed text (only where it was followed).
    """

    frame: pl.DataFrame
    dropped: pl.DataFrame
    counts: tuple[tuple[str, Mapping[str, int]], ...]
    chains: Mapping[int, Chain] = field(default_factory=dict)


def nothing_dropped() -> pl.DataFrame:
    """An empty table of dropped rows."""
    return pl.DataFrame(schema=DROPPED)


def made_preparations(uses: Sequence[Use], folder: Path = Path()) -> list[Named]:
    """The preparations that a charter names. One with a positional parameter is given the folder of relative paths.

    Raises:
        OptionError: an unknown plug-in or option.
    """
    return [(use.use, plugins.make("preparation", use.use, use.options, folder)) for use in uses]


def prepare_again(
    frame: pl.DataFrame,
    columns: Columns,
    uses: Sequence[Use],
    *,
    folder: Path = Path(),
    follow: bool = False,
) -> Prepared:
    """Run the row-wise preparations on new rows; with `follow`, `chains` say what became of each changed text.

    folder: that relative paths in options start from: the charter's, or, where a bundle serves, the working directory.
    """
    dropped = [no_drops()]
    counts = []
    chains: dict[int, Chain] = {}
    for name, one in made_preparations(uses, folder):
        if one.row_wise and one.splits is None:
            outcome, now = applied_to(frame, columns, name, one, follow=follow)
            chains |= {row: chains.get(row, ()) + chain for row, chain in now.items()}
            frame = outcome.frame
            if outcome.dropped.height:
                dropped.append(drops_by(name, outcome))
            counts.append((name, outcome.counts))
    empty = frame.select(columns.without_text(frame)).to_series()
    if empty.any():  # asked first: for one text alone, a table less costs as much as reading it
        reason = pl.lit("prepare").alias("by"), pl.lit("no text is left").alias("reason")
        dropped.append(frame.filter(empty).select(ROW, *reason))
        frame = frame.filter(~empty)
    return Prepared(frame, pl.concat(dropped), tuple(counts), chains)


def applied_to(
    frame: pl.DataFrame, columns: Columns, name: str, one: Preparation, *, follow: bool = False
) -> tuple[Outcome, dict[int, Chain]]:
    """What a preparation makes of whole rows, spans of the target moved with their texts; and what it did to each text.

    Raises:
        DataError: it loses or makes rows without saying so.
    """
    outcome = one.apply(frame, columns)
    check_account(name, frame, outcome)
    spans = _holds_spans(frame, columns)
    chains: dict[int, Chain] = {}
    if spans or (follow and _is_followed(frame, columns)):
        chains = _chains(frame, outcome, columns)
        outcome = _with_spans_moved(outcome, columns, chains) if spans else outcome
        if columns.form.target == "answers":
            outcome = _without_vanished(outcome, frame, columns)
    return outcome, chains


def no_drops() -> pl.DataFrame:
    """An empty table of dropped rows that says which preparation each was dropped by."""
    return pl.DataFrame(schema={ROW: pl.Int64, "by": pl.String, "reason": pl.String})


def drops_by(name: str, outcome: Outcome) -> pl.DataFrame:
    """The rows that a preparation dropped, under its name."""
    return outcome.dropped.select(pl.col(ROW).cast(pl.Int64), pl.lit(name).alias("by"), "reason")


def _is_followed(frame: pl.DataFrame, columns: Columns) -> bool:
    """Whether answers may name places in a text, which are then carried back to the text as it was given."""
    one = len(columns.inputs) == 1 or columns.form.target == "answers"
    return one and frame.schema[columns.spanned] == pl.String


def _without_vanished(outcome: Outcome, before: pl.DataFrame, columns: Columns) -> Outcome:
    """Drop the rows of which every answer vanished: they must not become questions without an answer."""
    target = str(columns.target)
    if target not in before.columns:
        return outcome
    had = before.filter(pl.col(target).list.len() > 0)[ROW]
    gone = outcome.frame.filter((pl.col(target).list.len() == 0) & pl.col(ROW).is_in(had.implode()))
    if not gone.height:
        return outcome
    why = gone.select(ROW, pl.lit("nothing is left of its answers").alias("reason"))
    kept = outcome.frame.join(gone.select(ROW), on=ROW, how="anti", maintain_order="left")
    return replace(outcome, frame=kept, dropped=pl.concat([outcome.dropped.select(ROW, "reason"), why]))


def _holds_spans(frame: pl.DataFrame, columns: Columns) -> bool:
    kind = frame.schema.get(columns.target or "")
    return isinstance(kind, pl.List) and isinstance(kind.inner, pl.Struct)


def _chains(before: pl.DataFrame, outcome: Outcome, columns: Columns) -> dict[int, Chain]:
    """By row number, how one preparation changed each text that it changed."""
    text = columns.spanned
    if outcome.frame[text].equals(before[text]):
        return {}
    old = before.select(ROW, pl.col(text).alias("_old"))
    both = outcome.frame.select(ROW, pl.col(text).alias("_new")).join(old, on=ROW)
    changed = both.filter(pl.col("_old") != pl.col("_new"))
    return {row: _chain(outcome, old, new) for row, new, old in changed.iter_rows()}


def _chain(outcome: Outcome, old: str, new: str) -> Chain:
    """What the preparation says became of the text, if that is what it made of it; else both texts aligned."""
    if outcome.edits is not None:
        chain = outcome.edits(old)
        made = old
        for edits in chain:
            made = applied(edits, made)
        if made == new:
            return chain
    return (aligned(old, new),)


def _with_spans_moved(outcome: Outcome, columns: Columns, chains: Mapping[int, Chain]) -> Outcome:
    if not chains:
        return outcome
    target = str(columns.target)
    cells = outcome.frame[target].to_list()
    vanished = 0
    for place, row in enumerate(outcome.frame[ROW].to_list()):
        if row in chains and cells[place]:
            moved = moved_spans(cells[place], chains[row])
            cells[place] = list(moved.spans)
            vanished += moved.vanished
    frame = outcome.frame.with_columns(pl.Series(target, cells, dtype=outcome.frame.schema[target]))
    counts = {**outcome.counts, **({"spans whose text vanished": vanished} if vanished else {})}
    return replace(outcome, frame=frame, counts=counts)


def check_account(name: str, before: pl.DataFrame, outcome: Outcome) -> None:
    """Refuse an outcome that does not account for every row that came in.

    Raises:
        DataError: rows are lost or made.
    """
    told = pl.concat([outcome.frame[ROW].cast(pl.Int64), outcome.dropped[ROW].cast(pl.Int64)]).sort()
    if not told.equals(before[ROW].cast(pl.Int64).sort()):
        raise DataError(
            f"preparation '{name}' lost or made rows without saying so: {before.height} came in, "
            f"{outcome.frame.height} went out and {outcome.dropped.height} are said to be dropped"
        )


def check_made(name: str, before: pl.DataFrame, outcome: Outcome) -> None:
    """After the split a preparation may make rows, from those it was given; the numbers must agree all the same.

    Raises:
        DataError: they don't, or there are rows that did not come in.
    """
    told = before.height - outcome.dropped.height + sum(outcome.added.values())
    strange = set(outcome.frame[ROW].to_list()) - set(before[ROW].to_list())
    if outcome.frame.height != told or strange:
        raise DataError(
            f"preparation '{name}' lost or made rows without saying so: {before.height} came in, {outcome.dropped.height} "
            f"are said to be dropped and {sum(outcome.added.values())} to be made, and {outcome.frame.height} went out"
            + (f", {len(strange)} of rows that did not come in" if strange else "")
        )

"""Preparations: what happens to rows between reading and learning. Every row that goes has its reason."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from charter import plugins
from charter.data.columns import ROW, SPLIT, Columns, SplitName
from charter.data.edits import Chain, aligned, applied, moved_spans
from charter.errors import DataError
from charter.runs.findings import Finding
from charter.spec.model import Use

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


@dataclass(frozen=True)
class Preparation:
    """One preparation. Row-wise ones look at each row alone; they run again on new rows in `charter predict`.

    splits: it runs after the rows are divided and sees the rows of these splits only, with SPLIT and UNIT, so that it
    can't change what a model is judged on; None: it runs before, on all rows.
    digest: names the bytes that it reads beside the rows; it stands in the artefact's key.
    """

    row_wise: bool
    apply: Apply
    splits: tuple[SplitName, ...] | None = None
    digest: Callable[[Columns], str] | None = None


Named = tuple[str, Preparation]
"""A preparation with the name that its drops and counts are told under."""


@dataclass(frozen=True)
class Prepared:
    """Prepared rows; {_row, by, reason} of those dropped; and the counts of each preparation, in order.

    chains: by row number, what became of each changed text (only where it was followed).
    added: {name of a preparation, kind -> rows made}; findings: what preparations measured.
    """

    frame: pl.DataFrame
    dropped: pl.DataFrame
    counts: tuple[tuple[str, Mapping[str, int]], ...]
    chains: Mapping[int, Chain] = field(default_factory=dict)
    added: tuple[tuple[str, Mapping[str, int]], ...] = ()
    findings: tuple[Finding, ...] = ()


def nothing_dropped() -> pl.DataFrame:
    """An empty table of dropped rows."""
    return pl.DataFrame(schema=DROPPED)


def made_preparations(uses: Sequence[Use], folder: Path = Path()) -> list[Named]:
    """The preparations that a charter names. One with a positional parameter is given the folder of relative paths.

    Raises:
        OptionError: an unknown plug-in or option.
    """
    return [(use.use, plugins.make("preparation", use.use, use.options, folder)) for use in uses]


def prepare(frame: pl.DataFrame, columns: Columns, uses: Sequence[Use]) -> Prepared:
    """Run, in order, the preparations that come before the split; rows left without text are dropped at the end.

    Spans of characters in the target move with the text; those whose text vanished are left out and counted.

    Raises:
        DataError: a plug-in that loses or makes rows without saying so.
    """
    return _run(frame, columns, [(name, one) for name, one in made_preparations(uses) if one.splits is None])


def prepare_divided(
    frame: pl.DataFrame, columns: Columns, uses: Sequence[Use], folder: Path = Path()
) -> Prepared:
    """Run, in order, the preparations that come after the split, each on the rows of its splits. All else stays as it is.

    Raises:
        DataError: a plug-in that loses or makes rows without saying so; or no training row is left.
    """
    dropped = [_no_drops()]
    counts, added = [], []
    findings: list[Finding] = []
    for name, one in made_preparations(uses, folder):
        if one.splits is None:
            continue
        its_own = pl.col(SPLIT).is_in(one.splits)
        part = frame.filter(its_own)
        outcome = one.apply(part, columns)
        _check_made(name, part, outcome)
        left = outcome.frame.select(frame.columns)
        frame = pl.concat([left, frame.filter(~its_own)]).sort(ROW, maintain_order=True)
        dropped.append(_by(name, outcome))
        counts.append((name, outcome.counts))
        added.append((name, outcome.added))
        findings += outcome.findings
        if not (frame[SPLIT] == "train").any():
            raise DataError(f"preparation '{name}' leaves no row to train on")
    return Prepared(frame, pl.concat(dropped), tuple(counts), added=tuple(added), findings=tuple(findings))


def prepare_again(
    frame: pl.DataFrame, columns: Columns, uses: Sequence[Use], *, follow: bool = False
) -> Prepared:
    """Run the row-wise preparations on new rows; with `follow`, `chains` say what became of each changed text."""
    made = made_preparations(uses)
    return _run(frame, columns, [(name, one) for name, one in made if one.row_wise], follow=follow)


def _no_drops() -> pl.DataFrame:
    return pl.DataFrame(schema={ROW: pl.Int64, "by": pl.String, "reason": pl.String})


def _by(name: str, outcome: Outcome) -> pl.DataFrame:
    return outcome.dropped.select(ROW, pl.lit(name).alias("by"), "reason")


def _run(
    frame: pl.DataFrame,
    columns: Columns,
    made: Sequence[Named],
    *,
    follow: bool = False,
) -> Prepared:
    dropped = [_no_drops()]
    counts = []
    findings: list[Finding] = []
    chains: dict[int, Chain] = {}
    spans = _holds_spans(frame, columns)
    for name, one in made:
        outcome = one.apply(frame, columns)
        _check_account(name, frame, outcome)
        if spans or (follow and len(columns.inputs) == 1 and frame.schema[columns.text] == pl.String):
            now = _chains(frame, outcome, columns)
            chains |= {row: chains.get(row, ()) + chain for row, chain in now.items()}
            outcome = _with_spans_moved(outcome, columns, now) if spans else outcome
        frame = outcome.frame
        dropped.append(_by(name, outcome))
        counts.append((name, outcome.counts))
        findings += outcome.findings
    empty = columns.without_text(frame)
    gone = frame.filter(empty).select(
        ROW, pl.lit("prepare").alias("by"), pl.lit("no text is left").alias("reason")
    )
    left = frame.filter(~empty)
    return Prepared(left, pl.concat([*dropped, gone]), tuple(counts), chains, findings=tuple(findings))


def _holds_spans(frame: pl.DataFrame, columns: Columns) -> bool:
    kind = frame.schema.get(columns.target or "")
    return isinstance(kind, pl.List) and isinstance(kind.inner, pl.Struct)


def _chains(before: pl.DataFrame, outcome: Outcome, columns: Columns) -> dict[int, Chain]:
    """By row number, how one preparation changed each text that it changed."""
    old = before.select(ROW, pl.col(columns.text).alias("_old"))
    both = outcome.frame.select(ROW, pl.col(columns.text).alias("_new")).join(old, on=ROW)
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


def _check_account(name: str, before: pl.DataFrame, outcome: Outcome) -> None:
    told = sorted([*outcome.frame[ROW].to_list(), *outcome.dropped[ROW].to_list()])
    if told != sorted(before[ROW].to_list()):
        raise DataError(
            f"preparation '{name}' lost or made rows without saying so: {before.height} came in, "
            f"{outcome.frame.height} went out and {outcome.dropped.height} are said to be dropped"
        )


def _check_made(name: str, before: pl.DataFrame, outcome: Outcome) -> None:
    """After the split a preparation may make rows, from those it was given; the numbers must agree all the same."""
    told = before.height - outcome.dropped.height + sum(outcome.added.values())
    strange = set(outcome.frame[ROW].to_list()) - set(before[ROW].to_list())
    if outcome.frame.height != told or strange:
        raise DataError(
            f"preparation '{name}' lost or made rows without saying so: {before.height} came in, {outcome.dropped.height} "
            f"are said to be dropped and {sum(outcome.added.values())} to be made, and {outcome.frame.height} went out"
            + (f", {len(strange)} of rows that did not come in" if strange else "")
        )

"""All preparations over rows that may be more than memory holds: what looks at each row alone runs chunk by chunk."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from charter.data.columns import ROW, SPLIT, Columns
from charter.data.engines import Engine, Here
from charter.data.preparation import (
    Named,
    Outcome,
    Preparation,
    Prepared,
    applied_to,
    check_account,
    check_made,
    drops_by,
    made_preparations,
    no_drops,
)
from charter.data.rows import Parts, Rows, rechunked, whole_numbers
from charter.errors import DataError
from charter.runs.findings import Finding
from charter.spec.use import Use

Counts = tuple[tuple[str, Mapping[str, int]], ...]


@dataclass(frozen=True)
class PreparedRows:
    """Prepared rows; {_row, by, reason} of those dropped; and the counts of each preparation, in order.

    added: {name of a preparation, kind -> rows made}; findings: what preparations measured.
    """

    rows: Rows
    dropped: pl.DataFrame
    counts: Counts
    added: Counts = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class ChunkPass:
    """Some preparations in a row on one chunk; it travels to other machines as the uses that it is made from.

    places: which of the uses are run, by their place.
    """

    columns: Columns
    uses: tuple[Use, ...]
    places: tuple[int, ...]
    folder: Path

    def __call__(self, frame: pl.DataFrame) -> "ChunkDone":
        """What becomes of a chunk."""
        made = made_preparations(self.uses, self.folder)
        dropped: dict[int, pl.DataFrame] = {}
        counts: dict[int, Mapping[str, int]] = {}
        labels: dict[int, pl.DataFrame] = {}
        for place in self.places:
            name, one = made[place]
            if one.needs == "labels":
                target = self.columns.target
                several = self.columns.form.target == "labels" and target in frame.columns
                if target is not None and (several or frame.schema.get(target) == pl.String):
                    labels[place] = frame.select(ROW, target)
                continue
            outcome, _ = applied_to(frame, self.columns, name, one)
            if outcome.findings:
                raise TypeError(f"preparation '{name}' looks at each row alone: it tells counts, no findings")
            frame = outcome.frame
            dropped[place] = drops_by(name, outcome)
            counts[place] = outcome.counts
        return ChunkDone(frame, dropped, counts, labels)


@dataclass(frozen=True)
class ChunkDone:
    """What became of a chunk, by the place of each preparation. labels: ROW and target as they were there."""

    frame: pl.DataFrame
    dropped: Mapping[int, pl.DataFrame]
    counts: Mapping[int, Mapping[str, int]]
    labels: Mapping[int, pl.DataFrame]


def prepare(frame: pl.DataFrame, columns: Columns, uses: Sequence[Use]) -> Prepared:
    """Run the preparations that come before the split on rows that are in memory.

    Raises:
        DataError: as `prepare_rows`.
    """
    done = prepare_rows([frame], columns, uses)
    return Prepared(done.rows.collect(), done.dropped, done.counts)


def prepare_rows(
    chunks: Iterable[pl.DataFrame],
    columns: Columns,
    uses: Sequence[Use],
    *,
    folder: Path = Path(),
    aside: Path | None = None,
    engine: Engine | None = None,
    lowest_similarity: float = 1.0,
    before_drops: Callable[[Rows], None] | None = None,
) -> PreparedRows:
    """Run, in order, the preparations that come before the split; rows left without text are dropped at the end.

    Spans of characters in the target move with the text; those whose text vanished are left out and counted. Of what looks at
    each row alone, all that follows one another runs in one pass, before anything is written aside.

    aside: where rows lie that are too many for memory. lowest_similarity: at which texts will be compared afterwards.
    before_drops: told the rows once, before one is dropped for what other rows hold.

    Raises:
        DataError: a plug-in that loses or makes rows without saying so.
    """
    course = _Course(columns, tuple(uses), folder, aside, engine or Here(), lowest_similarity)
    course.begin(chunks)
    for place, (_, one) in enumerate(course.made):
        if one.splits is not None or place in course.done:
            continue
        if one.needs in ("row", "labels"):
            course.run_chunks(course.rows.chunks(), course.following(place))
            continue
        if before_drops is not None:
            before_drops(course.rows)
            before_drops = None
        course.run_whole(place)
    if before_drops is not None:
        before_drops(course.rows)
    return course.ended()


@dataclass
class _Course:
    """The rows on their way through the preparations, and the account of it."""

    columns: Columns
    uses: tuple[Use, ...]
    folder: Path
    aside: Path | None
    engine: Engine
    lowest_similarity: float
    dropped: dict[int, list[pl.DataFrame]] = field(default_factory=dict)
    counts: dict[int, Mapping[str, int]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    done: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.made: list[Named] = made_preparations(self.uses, self.folder)
        asked = [one.similarity for _, one in self.made if one.similarity is not None]
        self.lowest_similarity = min([self.lowest_similarity, *asked])

    def begin(self, chunks: Iterable[pl.DataFrame]) -> None:
        """Store the rows after the first pass over them."""
        first = next((place for place, (_, one) in enumerate(self.made) if one.splits is None), None)
        self.run_chunks(chunks, self.following(first) if first is not None else ())

    def following(self, place: int) -> tuple[int, ...]:
        """The places, from this one on, of what can run in one pass."""
        found = []
        for at in range(place, len(self.made)):
            one = self.made[at][1]
            if one.splits is not None:
                continue
            if one.needs not in ("row", "labels") or one.over is not None:
                break
            found.append(at)
        return tuple(found)

    def run_chunks(self, chunks: Iterable[pl.DataFrame], places: tuple[int, ...]) -> None:
        """One pass over all rows, which are stored anew."""
        parts = self._parts()
        totals: dict[int, Counter[str]] = {place: Counter() for place in places}
        labels: dict[int, list[pl.DataFrame]] = {}
        work = ChunkPass(self.columns, self.uses, places, self.folder)
        for done in self.engine.map(work, chunks) if places else map(work, chunks):
            parts.add(done.frame)
            for place, dropped in done.dropped.items():
                self.dropped.setdefault(place, []).append(dropped)
            for place, counts in done.counts.items():
                totals[place].update(counts)
            for place, frame in done.labels.items():
                labels.setdefault(place, []).append(frame)
        self.rows = Rows.of_parts(parts)
        for place in places:
            self.counts[place] = dict(sorted(totals[place].items()))
        self._relabel({place: pl.concat(frames) for place, frames in labels.items()})
        self.done |= set(places)

    def _relabel(self, labels: Mapping[int, pl.DataFrame]) -> None:
        """Run what changes labels on the labels of all rows; each sees what the one before it made of them."""
        target = str(self.columns.target)
        now: pl.DataFrame | None = None
        for place in sorted(labels):
            name, one = self.made[place]
            frame = labels[place]
            if now is not None:
                frame = frame.select(ROW).join(now, on=ROW, how="left", maintain_order="left")
            outcome, _ = applied_to(frame, self.columns, name, one)
            if outcome.dropped.height:
                raise DataError(
                    f"preparation '{name}' changes labels and drops rows: its reach must be 'columns'"
                )
            now = outcome.frame
            self.counts[place] = outcome.counts
        if now is not None:
            left = now.filter(pl.col(ROW).is_in(pl.Series(self.rows.numbers).implode()))
            self.rows = self.rows.with_changed(left, target)

    def run_whole(self, place: int) -> None:
        """Run what must see all rows at once."""
        name, preparation = self.made[place]
        rows = self.rows
        if preparation.over is not None:
            outcome = preparation.over(rows, self.columns)
            check_account(name, pl.DataFrame({ROW: rows.numbers}), outcome)
            self.rows = rows.without(outcome.dropped[ROW])
        elif preparation.needs == "columns":
            frame = rows.narrow(self.columns)
            outcome, _ = applied_to(frame, self.columns, name, preparation)
            self.rows = _with_target(rows.without(outcome.dropped[ROW]), frame, outcome, self.columns)
        else:
            outcome, _ = applied_to(rows.collect(), self.columns, name, preparation)
            parts = self._parts()
            parts.add(outcome.frame)
            self.rows = Rows.of_parts(parts)
        self.dropped[place] = [drops_by(name, outcome)]
        self.counts[place] = outcome.counts
        self.findings += outcome.findings

    def ended(self) -> PreparedRows:
        """The account, once rows without text are gone."""
        columns = self.columns
        empty = self.rows.each(
            lambda chunk: chunk.select(empty=columns.without_text(chunk))["empty"], list(columns.inputs)
        ).to_numpy()
        gone = pl.DataFrame({ROW: self.rows.numbers[empty]}).select(
            ROW, pl.lit("prepare").alias("by"), pl.lit("no text is left").alias("reason")
        )
        counts = tuple((self.made[place][0], self.counts[place]) for place in sorted(self.counts))
        dropped = pl.concat(
            [no_drops(), *(one for place in sorted(self.dropped) for one in self.dropped[place]), gone]
        )
        return PreparedRows(self.rows.only(~empty), dropped, counts, findings=tuple(self.findings))

    def _parts(self) -> Parts:
        parts = Parts(self.aside)
        parts.lowest_similarity = self.lowest_similarity
        return parts


def _with_target(rows: Rows, before: pl.DataFrame, outcome: Outcome, columns: Columns) -> Rows:
    target = columns.target
    if target is None or target not in before.columns:
        return rows
    return rows.with_changed(outcome.frame.select(ROW, target), target)


def prepare_divided(
    rows: Rows, columns: Columns, uses: Sequence[Use], *, folder: Path = Path()
) -> PreparedRows:
    """Run, in order, the preparations that come after the split, each on the rows of its splits. All else stays as it is.

    rows: with SPLIT and UNIT. What looks at each row alone runs chunk by chunk, what needs no texts is given none; for others
    the rows are held in memory.

    Raises:
        DataError: a plug-in that loses or makes rows without saying so; or no training row is left.
    """
    account = PreparedRows(rows, no_drops(), ())
    for name, one in made_preparations(uses, folder):
        if one.splits is None:
            continue
        if one.over is not None:
            done = _divided_over(account.rows, columns, name, one)
        elif one.needs == "row":
            done = _divided_by_chunks(account.rows, columns, name, one)
        elif one.needs == "columns":
            done = _divided_narrow(account.rows, columns, name, one)
        else:
            done = _divided_whole(account.rows, columns, name, one)
        account = PreparedRows(
            done.rows,
            pl.concat([account.dropped, done.dropped]),
            (*account.counts, *done.counts),
            (*account.added, *done.added),
            (*account.findings, *done.findings),
        )
        if not (account.rows.collect([SPLIT])[SPLIT] == "train").any():
            raise DataError(f"preparation '{name}' leaves no row to train on")
    return account


def _divided_over(rows: Rows, columns: Columns, name: str, one: Preparation) -> PreparedRows:
    assert one.over is not None
    its_own = rows.collect([SPLIT])[SPLIT].is_in(list(one.splits or ())).to_numpy()
    part = rows.only(its_own)
    outcome = one.over(part, columns)
    check_account(name, pl.DataFrame({ROW: part.numbers}), outcome)
    gone = np.isin(rows.numbers, outcome.dropped[ROW].to_numpy())
    return _accounted(rows.only(~gone), name, outcome)


def _divided_by_chunks(rows: Rows, columns: Columns, name: str, one: Preparation) -> PreparedRows:
    """What looks at each row alone; it may make rows of it, which stand beside it."""
    its_own = pl.col(SPLIT).is_in(one.splits or ())
    if one.check is not None:
        one.check(rows.narrow(columns).filter(its_own), columns)
    parts = Parts(rows.parts.folder)
    dropped = [no_drops()]
    counts: Counter[str] = Counter()
    added: Counter[str] = Counter()
    for chunk in whole_numbers(rows.chunks()):
        own = chunk.filter(its_own)
        if one.row_wise:
            outcome, _ = applied_to(own, columns, name, one)
        else:
            outcome = _applied_divided(own, columns, name, one)
        parts.add(_together(outcome.frame, chunk, its_own))
        dropped.append(drops_by(name, outcome))
        counts.update(outcome.counts)
        added.update(outcome.added)
    return PreparedRows(
        Rows.of_parts(parts),
        pl.concat(dropped),
        ((name, dict(sorted(counts.items()))),),
        ((name, dict(sorted(added.items()))),),
    )


def _divided_narrow(rows: Rows, columns: Columns, name: str, one: Preparation) -> PreparedRows:
    """Rows are told apart by their place: several may have the number of the row that they were made from."""
    its_own = pl.col(SPLIT).is_in(one.splits or ())
    before = rows.narrow(columns).with_row_index(_AT).filter(its_own)
    outcome = _applied_divided(before, columns, name, one)
    if _AT not in outcome.frame.columns:
        raise TypeError(f"preparation '{name}' gives other columns than it was given")
    target = [column for column in (columns.target,) if column in before.columns]
    parts = Parts(rows.parts.folder)
    start = 0
    for chunk in rows.chunks():
        own = chunk.with_row_index(_AT, offset=start).filter(its_own).drop(target)
        after = own.join(outcome.frame.select(_AT, *target), on=_AT, how="inner", maintain_order="left_right")
        parts.add(_together(after, chunk, its_own))
        start += chunk.height
    return _accounted(Rows.of_parts(parts), name, outcome)


_AT = "_at"


def _divided_whole(rows: Rows, columns: Columns, name: str, one: Preparation) -> PreparedRows:
    its_own = pl.col(SPLIT).is_in(one.splits or ())
    frame = rows.collect()
    outcome = _applied_divided(frame.filter(its_own), columns, name, one)
    parts = Parts(rows.parts.folder)
    for chunk in rechunked([_together(outcome.frame, frame, its_own)]):
        parts.add(chunk)
    return _accounted(Rows.of_parts(parts), name, outcome)


def _applied_divided(part: pl.DataFrame, columns: Columns, name: str, one: Preparation) -> Outcome:
    outcome = one.apply(part, columns)
    check_made(name, part, outcome)
    return outcome


def _together(left: pl.DataFrame, before: pl.DataFrame, its_own: pl.Expr) -> pl.DataFrame:
    others = before.filter(~its_own)
    return pl.concat([left.select(before.columns), others]).sort(ROW, maintain_order=True)


def _accounted(rows: Rows, name: str, outcome: Outcome) -> PreparedRows:
    return PreparedRows(
        rows, drops_by(name, outcome), ((name, outcome.counts),), ((name, outcome.added),), outcome.findings
    )

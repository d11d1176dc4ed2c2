"""Divide rows into train, validation, calibration and test, with near-duplicates and a person's rows on one side."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from charter.data.columns import ROW, SPLIT, SPLITS, UNIT, Columns, SplitName
from charter.data.leakage import HELD_OUT, leakage, passages_in_training
from charter.data.rows import Rows
from charter.data.similarity.alike import Likes
from charter.data.similarity.likeness import likeness_of
from charter.errors import DataError
from charter.runs.digest import frame_digest
from charter.runs.findings import Finding
from charter.spec.data import Split

DEFAULTS: Mapping[SplitName, float] = {"test": 0.15, "validation": 0.10, "calibration": 0.05}


class NothingLeftError(DataError):
    """A split that leaves a part without a row. missing: train or test; sizes: the rows of each split."""

    def __init__(self, missing: SplitName, sizes: Mapping[str, int], hint: str) -> None:
        self.missing, self.sizes = missing, sizes
        purpose = "to train on" if missing == "train" else "to be judged on"
        counts = ", ".join(f"{name}: {sizes.get(name, 0)}" for name in SPLITS)
        super().__init__(f"data.split leaves no row {purpose} ({counts}); {hint}")


@dataclass(frozen=True)
class Divided:
    """Rows with SPLIT and UNIT, and what was found on the way: the largest component, leakage, shares missed.

    notes: what a person should be told at once. given: the splits that the data itself says, whose rows are never changed.
    """

    rows: Rows
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()
    given: tuple[str, ...] = ()


def divide(rows: Rows, columns: Columns, split: Split) -> Divided:
    """Divide rows as the charter says.

    Given splits (published parts, a column) are never changed; a fraction asked for a part that they lack is taken from
    the training rows. By time, the newest rows are the test split, and rows of one time stay together. Else rows are
    drawn at random, stratified by the target, in units: rows that are similar (in chains of truly similar pairs) or of
    one subject are never parted.

    Raises:
        NothingLeftError: a split leaves nothing to train on or nothing to test on.
    """
    likeness = likeness_of(rows, columns)
    texts = likeness.numbers(rows)
    found = likeness.likes(rows, split.similarity)
    label = _balanced(rows, columns)
    frame = rows.collect(rows.there(ROW, columns.subject, columns.time, columns.split, SPLIT, label))
    units = _units(frame, columns, texts, np.concatenate([found.pairs, found.assumed]))
    if columns.split is not None:
        frame = frame.with_columns(pl.col(columns.split).alias(SPLIT))
    parts = tuple(one for one in SPLITS if SPLIT in frame.columns and (frame[SPLIT] == one).any())
    given = bool(parts) or SPLIT in frame.columns
    if given:
        names = _fill_missing(frame, columns, split, units)
    elif split.time is not None:
        names = _by_time(frame, split)
    else:
        names = _by_units(frame, columns, fractions_of(split), units, split)
    frame = frame.with_columns(pl.Series(SPLIT, names, dtype=pl.String))
    _check(frame, units, split, given=given)
    on = frame_digest(frame.select(ROW, SPLIT))
    kept_together = not given and split.time is None
    findings = [
        *leakage(frame, columns, texts, found.pairs, split, on),
        *_components(units, found, split, on, kept_together=kept_together),
    ]
    notes: tuple[str, ...] = ()
    if kept_together:
        missed = _missed(frame, fractions_of(split), on)
        findings += missed
        notes = _notes(missed, units)
    notes += _hardly_parted(frame, units, split)
    divided = rows.with_column(SPLIT, frame[SPLIT])
    divided = divided.with_column(UNIT, pl.Series(units + 1, dtype=pl.Int64))
    if split.tail:
        findings += passages_in_training(divided, columns, on)
    return Divided(divided, tuple(findings), notes, parts)


def fractions_of(split: Split) -> dict[SplitName, float]:
    """The share of each held-out split, asked for or by default."""
    asked = {name: getattr(split, name) for name in HELD_OUT}
    return {name: DEFAULTS[name] if share is None else share for name, share in asked.items()}


def _units(
    frame: pl.DataFrame, columns: Columns, texts: NDArray[np.int64], pairs: NDArray[np.int64]
) -> NDArray[np.int64]:
    """(n,) the unit of each row, in the order of their first rows: rows joined by likeness or by their subject.

    texts: (n,) the number of each row's text; pairs: of texts that are alike.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = int(texts.max()) + 1 if len(texts) else 0
    edges = [pairs]
    if columns.subject is not None:
        subjects = frame[columns.subject].rank("dense")
        known = subjects.is_not_null().to_numpy()
        ranks = subjects.drop_nulls().to_numpy().astype(np.int64) - 1
        edges.append(np.stack([texts[known], count + ranks], axis=1))
        count += int(ranks.max()) + 1 if len(ranks) else 0
    joined = np.concatenate(edges)
    ones = np.ones(len(joined), dtype=np.int8)
    graph = coo_array((ones, (joined[:, 0], joined[:, 1])), shape=(count, count))
    component = connected_components(graph, directed=False)[1][texts]
    _, first, own = np.unique(component, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    units: NDArray[np.int64] = rank[own]
    return units


def _by_units(
    frame: pl.DataFrame,
    columns: Columns,
    fractions: Mapping[SplitName, float],
    units: NDArray[np.int64],
    split: Split,
) -> list[str]:
    """Random splits whose shares of each class are as near to the fractions as whole units allow.

    Units of several rows go first, largest first, each to the split that most lacks rows of its classes; single rows
    then fill what is missing, drawn at random within their class.
    """
    rng = np.random.default_rng(split.seed)
    strata = _strata(frame, columns) if split.stratify else np.zeros(frame.height, dtype=np.int64)
    classes = int(strata.max()) + 1 if frame.height else 1
    names: list[SplitName] = [*fractions, "train"]
    shares = np.asarray([*fractions.values(), 1 - sum(fractions.values())])
    counts = np.bincount(strata, minlength=classes)
    wanted = _whole_quotas(counts, shares)
    chosen = np.full(frame.height, len(names) - 1, dtype=np.int64)
    sizes = np.bincount(units)
    order = np.argsort(units, kind="stable")
    ends = np.cumsum(sizes)
    several = np.flatnonzero(sizes > 1)
    tie = rng.permutation(len(sizes))
    for unit in several[np.lexsort((tie[several], -sizes[several]))].tolist():
        rows = order[ends[unit] - sizes[unit] : ends[unit]]
        need = np.bincount(strata[rows], minlength=classes)
        room = np.minimum(wanted, need[:, None]).sum(axis=0) / np.maximum(shares, 1e-9) ** 0.5
        fits = wanted.sum(axis=0) >= need.sum()
        best = int(np.argmax(np.where(fits, room, -1.0))) if fits.any() else len(names) - 1
        chosen[rows] = best
        wanted[:, best] -= need
    single = np.flatnonzero(sizes[units] == 1)
    for stratum in range(classes):
        rows = rng.permutation(single[strata[single] == stratum])
        take = np.maximum(wanted[stratum, :-1], 0)
        if take.sum() > len(
            rows
        ):  # larger units took too much elsewhere: each part gets its share of what there is
            take = _whole_quotas(np.asarray([len(rows)]), take / take.sum())[0]
        ends = np.minimum(np.cumsum(take), len(rows))
        for index, (begin, end) in enumerate(zip(np.r_[0, ends[:-1]], ends, strict=True)):
            chosen[rows[begin:end]] = index
    return [names[index] for index in chosen]


def _whole_quotas(counts: NDArray[np.int64], shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """(classes, splits): whole numbers of rows, each class's adding up to its count, the splits' totals kept in step."""
    quotas = np.zeros((len(counts), len(shares)), dtype=np.int64)
    owed = np.zeros(len(shares))
    for stratum, count in enumerate(counts):
        exact = count * shares + owed
        whole = np.maximum(np.floor(exact), 0).astype(np.int64)
        while whole.sum() > count:
            whole[np.argmax(whole)] -= 1
        for index in np.argsort(-(exact - whole), kind="stable"):
            if whole.sum() == count:
                break
            whole[index] += 1
        if whole.sum() < count:
            whole[-1] += count - whole.sum()
        owed = exact - whole
        quotas[stratum] = whole
    return quotas


NUMBER_PARTS = 10


def _balanced(rows: Rows, columns: Columns) -> str | None:
    """The target where splits can be balanced by it: classes, labels, numbers, answers; None for tags and spans."""
    kind = rows.schema.get(columns.target or "")
    known = kind is not None and (kind == pl.String or columns.form.target in ("labels", "number", "answers"))
    return columns.target if known else None


def _strata(frame: pl.DataFrame, columns: Columns) -> NDArray[np.int64]:
    """(n,) what is balanced: the class, a row's rarest label (the last: none), a number's tenth, whether there is an answer."""
    target = columns.target
    if target is None or target not in frame.columns or frame.height == 0:
        return np.zeros(frame.height, dtype=np.int64)
    if columns.form.target == "labels":
        counts = frame[target].explode(empty_as_null=False, keep_nulls=False).value_counts()
        order = counts.sort(["count", target])[target].to_list()
        place = {label: number for number, label in enumerate(order)}
        cells = frame[target].to_list()
        rarest = [min((place[label] for label in cell), default=len(order)) for cell in cells]
        return np.asarray(rarest, dtype=np.int64)
    if columns.form.target == "answers":
        return (frame[target].list.len() > 0).cast(pl.Int64).to_numpy()
    if columns.form.target == "number":
        ranks = frame[target].rank("average").to_numpy()
        return np.asarray(np.floor((ranks - 0.5) / frame.height * NUMBER_PARTS), dtype=np.int64)
    if frame.schema[target] != pl.String:
        return np.zeros(frame.height, dtype=np.int64)
    return frame[target].rank("dense").to_numpy().astype(np.int64) - 1


def _by_time(frame: pl.DataFrame, split: Split) -> list[str]:
    """Oldest rows train, then validation, calibration, and the newest test; a bound never parts rows of one time."""
    fractions = fractions_of(split)
    n = frame.height
    order = frame.with_row_index("at").sort(str(split.time), ROW)["at"].to_numpy()
    times = frame[str(split.time)].gather(order)
    first_of_time = times.rank("min").to_numpy().astype(np.int64) - 1
    names = np.full(n, "train", dtype=object)
    rest = n
    bounds = []
    for name in ("test", "calibration", "validation"):
        rest -= round(fractions[name] * n)
        bounds.append((name, int(first_of_time[max(rest, 0)]) if n else 0))
    end = n
    for name, begin in bounds:
        names[order[min(begin, end) : end]] = name
        end = min(begin, end)
    return [str(name) for name in names]


def _fill_missing(frame: pl.DataFrame, columns: Columns, split: Split, units: NDArray[np.int64]) -> list[str]:
    """Given splits as they are; parts that they lack, taken from the training rows where a fraction is asked for."""
    present = set(frame[SPLIT].unique().to_list())
    asked: dict[SplitName, float] = {
        name: fraction
        for name in HELD_OUT
        if not split.tail and name not in present and (fraction := getattr(split, name))
    }
    names: list[str] = frame[SPLIT].to_list()
    if asked:
        train = np.flatnonzero((frame[SPLIT] == "train").to_numpy())
        part = frame.filter(pl.col(SPLIT) == "train")
        own = np.unique(units[train], return_inverse=True)[1]
        taken = _by_units(part, columns, asked, own, split)
        for at, name in zip(train.tolist(), taken, strict=True):
            names[at] = name
    return names


def _check(frame: pl.DataFrame, units: NDArray[np.int64], split: Split, *, given: bool) -> None:
    sizes = dict(frame[SPLIT].value_counts().iter_rows())
    for name in ("train", "test"):
        if not sizes.get(name):
            raise NothingLeftError(name, sizes, _hint(frame, units, split, name, given=given))


def _hint(frame: pl.DataFrame, units: NDArray[np.int64], split: Split, missing: str, *, given: bool) -> str:
    """What can be done about a split without rows."""
    if not frame.height:
        return "no row came this far: look at data.max_rows (whole subjects are drawn) and at what data.prepare drops"
    if split.tail:
        return (
            "the texts are too short for their ends to be held out: hold out whole texts (split.tail: false)"
        )
    if given:
        return (
            f"give split.{missing} as a fraction of the training rows"
            if missing == "test"
            else "give more rows"
        )
    if split.time is not None and frame[split.time].n_unique() < 2:
        return f"all rows have one time in column '{split.time}', and rows of one time stay together: leave split.time out"
    if frame.height > 1 and int(units.max()) == 0:
        return (
            "all rows are alike or of one subject, and those stay together: look at data.subject, and raise "
            "data.split.similarity"
        )
    return "give more rows"


def _components(
    units: NDArray[np.int64], found: Likes, split: Split, on: str, *, kept_together: bool
) -> Iterator[Finding]:
    sizes = np.bincount(units)
    said = "they stay on one side" if kept_together else "this split, given or by time, may part them"
    yield Finding(
        "data",
        "largest_component",
        float(sizes.max()),
        n=len(units),
        method=f"most rows joined by similarity of at least {split.similarity:g} or by one subject; {said}",
        unit="rows",
        on=on,
    )
    if len(found.assumed):
        yield Finding(
            "data",
            "assumed_similar",
            float(len(found.assumed)),
            n=len(units),
            method="pairs kept on one side without being compared: too many rows share one mould to compare them all",
            unit="pairs",
            on=on,
        )


MISSED = 0.02
"""A split whose share of the rows is further than this from what was asked for is said."""


def _missed(frame: pl.DataFrame, fractions: Mapping[SplitName, float], on: str) -> list[Finding]:
    """The splits whose share could not be met, because rows that stay together are too many."""
    found = []
    for name, asked in fractions.items():
        share = float((frame[SPLIT] == name).mean() or 0.0)  # type: ignore[arg-type]
        if abs(share - asked) > min(MISSED, asked / 2) and abs(share - asked) * frame.height >= 2:
            found.append(
                Finding(
                    "data",
                    "split_share",
                    share,
                    n=frame.height,
                    slice={"split": name},
                    method=f"share of the rows; {asked:g} was asked for, rows that stay together are too many",
                    unit="share",
                    on=on,
                )
            )
    return found


def _notes(missed: Sequence[Finding], units: NDArray[np.int64]) -> tuple[str, ...]:
    if not missed:
        return ()
    shares = ", ".join(f"{one.slice['split']} {one.value:.1%}" for one in missed)
    largest = int(np.bincount(units).max())
    return (
        f"the fractions of data.split are not met ({shares}): {largest:,} of {len(units):,} rows are alike, in chains, or of "
        "one subject, and stay on one side; drop_near_duplicates before it, or a higher data.split.similarity, parts more",
    )


FEW, MANY = 30, 100
"""Fewer independent test rows show nothing, as audits have it by default; with so many rows that is worth saying at once."""


def _hardly_parted(frame: pl.DataFrame, units: NDArray[np.int64], split: Split) -> tuple[str, ...]:
    """That many test rows are worth few, because most of them are taken for alike: nothing could be shown by them."""
    counts = np.bincount(units[(frame[SPLIT] == "test").to_numpy()])
    rows = int(counts.sum())
    worth = rows**2 / float((counts.astype(np.float64) ** 2).sum())
    if rows < MANY or worth >= FEW:
        return ()
    return (
        f"the {rows:,} test rows are worth {worth:.1f} independent ones, since {int(counts.max()):,} of them are alike, in chains, or of "
        "one subject: scores will read too few. Where they are different cases in one form, as rows of a table are, set "
        f"data.split.similarity to 1 (now {split.similarity:g}), so that only equal ones belong together",
    )

"""A profile of the data as findings: sizes, balance, lengths, missing values, groups, drops. Counts only, no values."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from charter.data.columns import SPLIT, SPLITS, Columns
from charter.data.passes import PreparedRows
from charter.runs.findings import Finding

QUANTILES = (("minimum", 0.0), ("median", 0.5), ("95 %", 0.95), ("maximum", 1.0))
HAN_SHARE = "han_share"
"""Of rows in which a model learns to find things: which texts it can be used on later depends on it."""
OF_KEPT = ("rows", "label_share", "target", "answered_share", "missing_share", "characters", HAN_SHARE)
"""The metrics that are of the rows that stayed, not of those that were read."""


@dataclass
class Tally:
    """What is counted of the rows that are left, chunk by chunk.

    labels: by split, how often each class stands there (for tags and spans: the entities' tags). numbers: by split, how many
    the target has, their sum and that of their squares, both less the first number that was seen.
    answered: by split, how many questions have an answer. letters, han: of texts with tags or spans, and how many are Chinese.
    """

    columns: Columns
    sizes: Counter[str] = field(default_factory=Counter)
    labels: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    numbers: dict[str, list[float]] = field(default_factory=lambda: defaultdict(lambda: [0.0, 0.0, 0.0]))
    first: float | None = None
    answered: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    groups: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    lengths: list[pl.Series] = field(default_factory=list)
    letters: int = 0
    han: int = 0

    def add(self, chunk: pl.DataFrame) -> None:
        """Count the next rows, with SPLIT."""
        self.sizes.update(dict(chunk[SPLIT].value_counts().iter_rows()))
        for (split,), part in chunk.group_by(SPLIT):
            if self.columns.target is not None:
                self._count(str(split), part[self.columns.target])
        for column in self.told:
            self.missing[column] += chunk[column].null_count()
        for column in self.columns.groups:
            self.groups[column].update(dict(chunk[column].fill_null("(missing)").value_counts().iter_rows()))
        texts = self.columns.texts(chunk)
        if isinstance(texts.dtype, pl.List):
            texts = texts.list.join(" ")
        self.lengths.append(texts.str.len_chars())
        if self.columns.form.target == "as_found" and self._has_spans(chunk):
            self.letters += int(texts.str.count_matches(r"\p{L}").sum() or 0)
            self.han += int(texts.str.count_matches(r"\p{Han}").sum() or 0)

    def _has_spans(self, chunk: pl.DataFrame) -> bool:
        target = self.columns.target
        return target is not None and isinstance(chunk[target].dtype, pl.List)

    def _count(self, split: str, targets: pl.Series) -> None:
        if self.columns.form.target == "answers":
            self.answered[split] += int((targets.list.len() > 0).sum())
            return
        if self.columns.form.target != "number":
            self.labels[split].update(_labels(targets))
            return
        if self.first is None and len(targets):
            self.first = float(targets[0])
        apart = targets.cast(pl.Float64) - (self.first or 0.0)
        for place, one in enumerate((len(apart), apart.sum(), (apart * apart).sum())):
            self.numbers[split][place] += float(one)

    @property
    def told(self) -> tuple[str, ...]:
        """The columns whose missing values are told."""
        shown = (self.columns.target, *self.columns.indicators, *self.columns.inputs)
        return tuple(column for column in self.columns.kept if column not in shown)


def _labels(targets: pl.Series) -> Mapping[str, int]:
    if isinstance(targets.dtype, pl.List):
        targets = targets.explode(empty_as_null=False, keep_nulls=False)
        if isinstance(targets.dtype, pl.Struct):
            targets = targets.struct.field("label")
    return dict(targets.value_counts().iter_rows())


def profile(
    records: int, reasons: Mapping[str, int], prepared: PreparedRows, tally: Tally, *, on: str
) -> list[Finding]:
    """What was read, rejected (by reason), dropped and kept."""
    finding = _counted(on)

    def all_of_them() -> Iterator[Finding]:
        yield finding("rows_read", records, records)
        for reason, count in sorted(reasons.items()):
            yield finding("rows_rejected", count, records, {"reason": reason})
        dropped = prepared.dropped.group_by("by", "reason", maintain_order=True).len()
        for by, reason, count in dropped.iter_rows():
            yield finding("rows_dropped", count, records, {"preparation": by, "reason": reason})
        for name, counts in prepared.counts:
            for kind, count in counts.items():
                masked = kind.removeprefix("masked.")
                if masked != kind:
                    yield finding("masked", count, records, {"type": masked}, "places")
                else:
                    yield finding("changed", count, records, {"preparation": name, "kind": kind})
        for name, made in prepared.added:
            for kind, count in made.items():
                yield finding("rows_added", count, records, {"preparation": name, "kind": kind})

    return [*all_of_them(), *_kept(tally, finding)]


def retold(
    findings: Sequence[Finding], left_out: Mapping[str, int], by: str, tally: Tally, *, on: str
) -> list[Finding]:
    """A profile once more rows were left out, by their reasons: what it says of the rows that stayed is told anew."""
    finding, records = _counted(on), next((one.n or 0 for one in findings if one.metric == "rows_read"), 0)
    return [
        *(one for one in findings if one.metric not in OF_KEPT),
        *(
            finding("rows_dropped", count, records, {"preparation": by, "reason": reason})
            for reason, count in left_out.items()
        ),
        *_kept(tally, finding),
    ]


def _counted(on: str) -> Callable[..., Finding]:
    def finding(
        metric: str, value: float, n: int, where: Mapping[str, str] | None = None, unit: str = "rows"
    ) -> Finding:
        return Finding("data", metric, float(value), n=n, slice=where or {}, method="count", unit=unit, on=on)

    return finding


def _kept(tally: Tally, finding: Callable[..., Finding]) -> Iterator[Finding]:
    """What is told of the rows that stayed: OF_KEPT."""
    rows = tally.sizes.total()
    yield finding("rows", rows, rows)
    for split in SPLITS:
        yield finding("rows", tally.sizes[split], rows, {"split": split})
    yield from _shares(tally, finding)
    for column in tally.told:
        yield finding(
            "missing_share", tally.missing[column] / max(rows, 1), rows, {"column": column}, "share"
        )
    for column, sizes in tally.groups.items():
        for value, count in sorted(sizes.items(), key=lambda one: (-one[1], one[0])):
            yield finding("rows", count, rows, {column: value})
    lengths = pl.concat(tally.lengths)
    for name, quantile in QUANTILES:
        length = lengths.quantile(quantile, interpolation="nearest")
        yield finding("characters", length or 0.0, rows, {"quantile": name}, "characters")
    if tally.letters:
        yield finding(HAN_SHARE, tally.han / tally.letters, tally.letters, unit="share")


def _shares(tally: Tally, finding: Callable[..., Finding]) -> Iterator[Finding]:
    """The share of each class in each split: of the rows, for tags and spans of the tags; or what numbers are like."""
    for split in SPLITS:
        rows = tally.columns.form.target == "labels"
        total = tally.sizes[split] if rows else tally.labels[split].total()
        for label, count in sorted(tally.labels[split].items()):
            where = {"split": split, "class": str(label)}
            yield finding("label_share", count / total, total, where, "share")
        yield from _numbers(tally, split, finding)
        if tally.columns.form.target == "answers" and (size := tally.sizes[split]):
            yield finding("answered_share", tally.answered[split] / size, size, {"split": split}, "share")


def _numbers(tally: Tally, split: str, finding: Callable[..., Finding]) -> Iterator[Finding]:
    """Mean and standard deviation of a number; no row's own number is told."""
    n, total, squares = tally.numbers[split]
    if n:
        mean = total / n
        yield finding(
            "target", mean + (tally.first or 0.0), int(n), {"split": split, "statistic": "mean"}, ""
        )
        spread = math.sqrt(max(squares / n - mean**2, 0.0))
        yield finding("target", spread, int(n), {"split": split, "statistic": "standard deviation"}, "")

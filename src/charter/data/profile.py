"""A profile of the data as findings: sizes, balance, lengths, missing values, groups, drops. Counts only, no values."""

from collections.abc import Iterator, Mapping

import polars as pl

from charter.data.columns import SPLIT, SPLITS, Columns
from charter.data.preparation import Prepared
from charter.data.reading import Read
from charter.runs.findings import Finding

QUANTILES = (("minimum", 0.0), ("median", 0.5), ("95 %", 0.95), ("maximum", 1.0))


def profile(
    read: Read, prepared: Prepared, frame: pl.DataFrame, columns: Columns, *, on: str
) -> list[Finding]:
    """What was read, rejected, dropped and kept; `frame` holds the rows that are left, with SPLIT."""

    def finding(
        metric: str, value: float, n: int, where: Mapping[str, str] | None = None, unit: str = "rows"
    ) -> Finding:
        return Finding("data", metric, float(value), n=n, slice=where or {}, method="count", unit=unit, on=on)

    def all_of_them() -> Iterator[Finding]:
        yield finding("rows_read", read.records, read.records)
        for reason, count in read.rejects["reason"].value_counts().sort("reason").iter_rows():
            yield finding("rows_rejected", count, read.records, {"reason": reason})
        dropped = prepared.dropped.group_by("by", "reason", maintain_order=True).len()
        for by, reason, count in dropped.iter_rows():
            yield finding("rows_dropped", count, read.records, {"preparation": by, "reason": reason})
        for name, counts in prepared.counts:
            for kind, count in counts.items():
                masked = kind.removeprefix("masked.")
                if masked != kind:
                    yield finding("masked", count, read.records, {"type": masked}, "places")
                else:
                    yield finding("changed", count, read.records, {"preparation": name, "kind": kind})
        for name, made in prepared.added:
            for kind, count in made.items():
                yield finding("rows_added", count, read.records, {"preparation": name, "kind": kind})
        yield finding("rows", frame.height, frame.height)
        for split in SPLITS:
            size = frame.filter(pl.col(SPLIT) == split).height
            yield finding("rows", size, frame.height, {"split": split})
        yield from _labels(frame, columns, finding)
        for column in columns.kept:
            if column in frame.columns and column not in (
                columns.target,
                *columns.indicators,
                *columns.inputs,
            ):
                missing = frame[column].null_count() / max(frame.height, 1)
                yield finding("missing_share", missing, frame.height, {"column": column}, "share")
        for column in columns.groups:
            sizes = frame[column].fill_null("(missing)").value_counts(sort=True)
            for value, count in sizes.iter_rows():
                yield finding("rows", count, frame.height, {column: value})
        lengths = _lengths(frame, columns)
        for name, quantile in QUANTILES:
            value = lengths.quantile(quantile, interpolation="nearest")
            yield finding("characters", value or 0.0, frame.height, {"quantile": name}, "characters")

    return list(all_of_them())


def _labels(frame: pl.DataFrame, columns: Columns, finding: object) -> Iterator[Finding]:
    """The share of each class in each split: of the rows, for tags and spans of the tags; or what numbers are like."""
    target = str(columns.target)
    if columns.form.target == "number":
        yield from _numbers(frame, target, finding)
        return
    for split in SPLITS:
        part = frame.filter(pl.col(SPLIT) == split)[target]
        rows = len(part)
        if isinstance(part.dtype, pl.List):
            part = part.explode(empty_as_null=False, keep_nulls=False)
            if isinstance(part.dtype, pl.Struct):
                part = part.struct.field("label")
        total = rows if columns.form.target == "labels" else len(part)
        for label, count in part.value_counts().sort(part.name).iter_rows():
            where = {"split": split, "class": str(label)}
            yield finding("label_share", count / total, total, where, "share")  # type: ignore[operator]


def _numbers(frame: pl.DataFrame, target: str, finding: object) -> Iterator[Finding]:
    """Mean and standard deviation of a number in each split; single values, the ends too, are told of no row."""
    for split in SPLITS:
        part = frame.filter(pl.col(SPLIT) == split)[target].cast(pl.Float64)
        for name, value in (("mean", part.mean()), ("standard deviation", part.std())):
            if value is not None:
                where = {"split": split, "statistic": name}
                yield finding("target", value, len(part), where, "")  # type: ignore[operator]


def _lengths(frame: pl.DataFrame, columns: Columns) -> pl.Series:
    texts = columns.texts(frame)
    if isinstance(texts.dtype, pl.List):
        texts = texts.list.join(" ")
    return texts.str.len_chars()

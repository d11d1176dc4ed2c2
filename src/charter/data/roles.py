"""Columns checked against their roles: each in the type that its role asks for, rows without such a value rejected."""

import polars as pl

from charter.data.choices import NONE, choice_columns, choices_of, right_choices
from charter.data.columns import PLACE, ROW, SPLIT_NAMES, SPLITS, Columns, is_blank
from charter.data.table import REJECTS, Asked, Table
from charter.data.targets import as_label, as_target, in_words, no_target
from charter.errors import DataError


def checked(table: Table, asked: Asked) -> Table:
    """One table with every column in the type of its role; rows that have no such value become rejects."""
    columns = asked.columns
    frame = table.frame
    problems: list[pl.Expr] = []
    present = [one for one in (*columns.indicators, columns.target) if one in frame.columns]
    for column in columns.inputs:
        frame = _as_input(frame, column)
    problems += _texts(frame, columns)
    if columns.form.target == "choice":
        problems += _few_choices(frame, columns)
    if present:
        frame = as_target(frame, columns)
        target = str(columns.target)
        if asked.needs_target:
            problems.append(_first_problem(_no_target(frame, columns), no_target(columns), frame, target))
            if columns.form.target == "as_found":
                problems += _pairing(frame, columns.text, target)
            if columns.form.target == "choice":
                problems += _choosing(frame, columns)
    for label in {*columns.groups, columns.subject, columns.split} - {None, *present}:
        frame = frame.with_columns(as_label(frame, str(label)))
    if columns.split is not None:
        frame = frame.with_columns(_as_split(columns.split))
        known = pl.col(columns.split).is_in(list(SPLITS))
        said = f"column '{columns.split}' says none of {', '.join(SPLITS)}"
        problems.append(_first_problem(~known.fill_null(False), said, frame, columns.split))
    if columns.time is not None:
        frame = as_time(frame, columns.time)
        problems.append(
            _first_problem(
                pl.col(columns.time).is_null(), f"no time in column '{columns.time}'", frame, columns.time
            )
        )
    marked = frame.with_columns(pl.coalesce(*problems).alias("_problem"))
    bad = marked.filter(pl.col("_problem").is_not_null()).select(
        ROW, PLACE, pl.col("_problem").struct.unnest()
    )
    good = marked.filter(pl.col("_problem").is_null()).drop("_problem")
    if len(columns.inputs) > 1:
        texts = [one for one in columns.inputs if good.schema[one] == pl.String]
        good = good.with_columns(pl.col(*texts).fill_null("")) if texts else good
    return Table(good, pl.concat([table.rejects, bad.cast(REJECTS)]), table.records)  # type: ignore[arg-type]


def _texts(frame: pl.DataFrame, columns: Columns) -> list[pl.Expr]:
    """Problems of rows that say nothing: of one input, or of several which must all be filled, each by its name; and of holes."""
    lists = [one for one in columns.inputs if isinstance(frame.schema[one], pl.List)]
    holes = [
        _first_problem(
            pl.col(one).list.eval(pl.element().is_null()).list.any(),
            f"one of the list is missing in column '{one}'",
            frame,
            one,
        )
        for one in lists
    ]
    if len(columns.inputs) == 1 or columns.form.every_input:
        return [
            _first_problem(is_blank(frame, column), f"no text in column '{column}'", frame, column)
            for column in columns.inputs
        ] + holes
    said = f"no text in columns {', '.join(repr(column) for column in columns.inputs)}"
    return [_first_problem(columns.without_text(frame), said, frame, columns.text), *holes]


def _no_target(frame: pl.DataFrame, columns: Columns) -> pl.Expr:
    """Whether a row's target is missing: a row without any label has none to miss."""
    kind = frame.schema[str(columns.target)]
    return (
        pl.col(str(columns.target)).is_null() if kind != pl.String else is_blank(frame, str(columns.target))
    )


def _first_problem(is_bad: pl.Expr, reason: str, frame: pl.DataFrame, column: str) -> pl.Expr:
    kind = frame.schema[column]
    length = (
        pl.col(column).list.len()
        if isinstance(kind, pl.List)
        else pl.col(column).cast(pl.String, strict=False).str.len_chars()
    )
    said = pl.struct(
        pl.lit(reason).alias("reason"),
        pl.when(pl.col(column).is_null())
        .then(pl.lit("missing"))
        .otherwise(pl.lit(_type_name(kind)))
        .alias("type"),
        length.fill_null(0).cast(pl.Int64).alias("length"),
    )
    return pl.when(is_bad).then(said)


def _type_name(kind: pl.DataType) -> str:
    if kind == pl.String:
        return "text"
    return "list" if isinstance(kind, pl.List) else str(kind)


def _as_input(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    kind = frame.schema[column]
    if kind == pl.String or kind == pl.List(pl.String):
        return frame
    if isinstance(kind, pl.Categorical | pl.Enum) or kind == pl.Null:
        return frame.with_columns(pl.col(column).cast(pl.String))
    raise DataError(f"data.inputs.{column}: text is expected, the column holds {in_words(kind)}")


def _as_split(column: str) -> pl.Expr:
    """The name of a split in any of its usual spellings; any other value stays, to be rejected."""
    folded = pl.col(column).str.strip_chars().str.to_lowercase()
    return folded.replace(list(SPLIT_NAMES), list(SPLIT_NAMES.values())).alias(column)


def as_time(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    """A time that sorts: dates and numbers as they are, text read as ISO 8601 or as a number.

    Raises:
        DataError: most of its values are neither.
    """
    reading = time_reading(frame, column)
    return frame if reading is None else frame.with_columns(reading.alias(column))


def time_reading(frame: pl.DataFrame, column: str) -> pl.Expr | None:
    """How most of a column's times are read; None where it holds times or whole numbers already.

    Raises:
        DataError: most of its values are neither ISO 8601 nor numbers.
    """
    kind = frame.schema[column]
    if kind.is_float():
        return _finite(pl.col(column))
    if kind.is_temporal() or kind.is_numeric():
        return None
    if kind != pl.String:
        raise DataError(
            f"data.split.time '{column}': a date, a time or a number is expected, the column holds {in_words(kind)}"
        )
    present = frame[column].drop_nulls().str.strip_chars()
    present = present.filter(present != "")
    text = pl.col(column).str.strip_chars()
    for reading in (
        _finite(text.cast(pl.Float64, strict=False)),
        text.str.to_datetime(strict=False, time_zone="UTC", exact=True, format="%+"),
        text.str.replace("T", " ").str.to_datetime("%Y-%m-%d %H:%M:%S%.f", strict=False),
        text.str.replace("T", " ").str.to_datetime("%Y-%m-%d %H:%M", strict=False),
        text.str.replace_all("[/.]", "-").str.to_datetime("%Y-%m-%d", strict=False),
    ):
        read = frame.select(reading)[column]
        if read.drop_nulls().len() >= 0.5 * max(present.len(), 1) and present.len():
            return reading
    raise DataError(
        f"data.split.time '{column}': most of its values are neither ISO 8601 (2026-11-24, 2026-11-24T10:00:00) nor numbers"
    )


def _finite(number: pl.Expr) -> pl.Expr:
    """Numbers that sort as times do: NaN would be the newest of all."""
    return pl.when(number.is_finite()).then(number)


def _few_choices(frame: pl.DataFrame, columns: Columns) -> list[pl.Expr]:
    """The problem of a row with nothing to choose from."""
    listed = choice_columns(columns)
    if not listed:
        return []  # the task says so, of the charter itself
    few = pl.Series([len(one) < 2 for one in choices_of(frame, columns)], dtype=pl.Boolean)
    return [_first_problem(pl.lit(few), "fewer than two choices", frame, listed[-1])]


def _choosing(frame: pl.DataFrame, columns: Columns) -> list[pl.Expr]:
    """The problem of a row whose target names none of its choices."""
    target = str(columns.target)
    none = pl.Series([one == NONE for one in right_choices(frame, columns)], dtype=pl.Boolean)
    said = f"column '{target}' names none of the row's choices"
    return [_first_problem(pl.lit(none), said, frame, target)] if choice_columns(columns) else []


def _pairing(frame: pl.DataFrame, text: str, target: str) -> list[pl.Expr]:
    """Problems of a row whose words and tags, or text and spans, don't belong together."""
    of_words = isinstance(frame.schema[text], pl.List)
    kind = frame.schema[target]
    if not isinstance(kind, pl.List):
        if of_words:
            raise DataError(
                f"data.target '{target}': a list of tags is expected for lists of words in '{text}'"
            )
        return []
    if isinstance(kind.inner, pl.Struct):
        if of_words:
            raise DataError(
                f"data.target '{target}': spans need a text column of whole texts, '{text}' holds lists of words"
            )
        span = pl.element().struct
        start, end = span.field("start"), span.field("end")
        whole = (start >= 0) & (end > start) & span.field("label").is_not_null()
        inside = pl.col(target).list.eval(whole.fill_null(False)).list.all()
        last = pl.col(target).list.eval(end).list.max().fill_null(0)
        bad = (~inside.fill_null(True)) | (last > pl.col(text).str.len_chars())
        return [_first_problem(bad, f"a span of column '{target}' lies outside the text", frame, target)]
    if not of_words:
        raise DataError(
            f"data.target '{target}' holds lists of tags, so '{text}' must hold lists of words, or {target} spans of the text"
        )
    differ = pl.col(target).list.len() != pl.col(text).list.len()
    holes = pl.col(target).list.eval(pl.element().is_null()).list.any()
    return [
        _first_problem(
            differ, f"words and tags differ in number (columns '{text}' and '{target}')", frame, target
        ),
        _first_problem(holes, f"a tag is missing in column '{target}'", frame, target),
    ]

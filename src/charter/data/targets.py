"""A target's cells in the form that its task asks for: a label, labels, a number, answers, or tags and spans as found."""

import polars as pl

from charter.data.answers import as_places
from charter.data.columns import TARGET, Columns
from charter.errors import DataError

PRESENT = ("1", "true", "yes", "y", "t")
ABSENT = ("0", "false", "no", "n", "f")


def as_target(frame: pl.DataFrame, columns: Columns) -> pl.DataFrame:
    """The frame with its target in the form asked for; a cell that can't be of that form is null, to be rejected.

    Raises:
        DataError: the column's type is never of that form.
    """
    if columns.indicators:
        return _of_indicators(frame, columns)
    if columns.form.target == "number":
        return _number(frame, str(columns.target))
    if columns.form.target == "answers":
        return _answers(frame, columns)
    if columns.form.target == "labels":
        return _labels(frame, str(columns.target), columns.form.separator)
    if columns.form.target in ("label", "choice") and frame.schema[str(columns.target)].is_nested():
        raise DataError(
            f"data.target '{columns.target}': one class per row is expected, the column holds lists"
        )
    return _as_found(frame, str(columns.target))


def no_target(columns: Columns) -> str:
    """Why a row is rejected whose target is null, in words."""
    if columns.indicators:
        return f"neither 0 nor 1 in one of the target's {len(columns.indicators)} columns"
    if columns.form.target == "answers":
        return f"an answer of column '{columns.target}' does not stand in column '{columns.spanned}'"
    what = "number" if columns.form.target == "number" else "target"
    return f"no {what} in column '{columns.target}'"


def _answers(frame: pl.DataFrame, columns: Columns) -> pl.DataFrame:
    """Places of the answers; lists of texts are several right answers, not words of one."""
    target, text = str(columns.target), columns.spanned
    kind = frame.schema[target]
    if frame.schema[text] != pl.String:
        raise DataError(f"data.inputs.{text}: answers are places in a text, the column holds lists of words")
    if not (kind.is_nested() or kind in (pl.String, pl.Null)):
        raise DataError(
            f"data.target '{target}': answers are expected (a text, {{text, answer_start}}, or lists of them), the column "
            f"holds {in_words(kind)}"
        )
    return as_places(frame, target, text)


def _number(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    kind = frame.schema[column]
    if kind.is_nested() or kind.is_temporal() or kind in (pl.Binary, pl.Boolean):
        raise DataError(f"data.target '{column}': numbers are expected, the column holds {in_words(kind)}")
    values = pl.col(column)
    if kind == pl.String or kind == pl.Categorical:
        values = values.cast(pl.String).str.strip_chars().cast(pl.Float64, strict=False)
    number = values.cast(pl.Float64, strict=False)
    return frame.with_columns(pl.when(number.is_finite()).then(number).alias(column))


def _labels(frame: pl.DataFrame, column: str, separator: str | None) -> pl.DataFrame:
    """Lists of different labels, in the order given; an empty cell of text is a row without any label."""
    kind = frame.schema[column]
    if isinstance(kind, pl.List):
        if kind.inner.is_nested():
            raise DataError(
                f"data.target '{column}': lists of labels are expected, the column holds {in_words(kind)}"
            )
        lists = pl.col(column).cast(pl.List(pl.String))
    elif kind == pl.Null:
        lists = pl.lit([], dtype=pl.List(pl.String))
    elif kind.is_nested() or kind == pl.Binary or separator is None:
        raise DataError(
            f"data.target '{column}': lists of labels are expected, the column holds {in_words(kind)}. For labels in one text write "
            'task: {use: multi_label_classification, separator: ","}; for a column of 0 and 1 per label write '
            "data.target: [COLUMN, COLUMN]"
        )
    else:
        lists = pl.col(column).cast(pl.String).fill_null("").str.split(separator)
    tidy = lists.list.eval(pl.element().str.strip_chars()).list.eval(
        pl.element().filter(pl.element() != "").unique(maintain_order=True)
    )
    return frame.with_columns(tidy.alias(column))


def _of_indicators(frame: pl.DataFrame, columns: Columns) -> pl.DataFrame:
    """One list of the names of the columns that say 1; null where one says neither 0 nor 1."""
    known = [name for name in columns.indicators if name in frame.columns]
    if not known:
        return frame
    texts = {
        name: pl.col(name)
        .cast(pl.String)
        .str.strip_chars()
        .str.to_lowercase()
        .str.strip_suffix(".0")
        .fill_null("?")
        for name in known
    }
    says = [texts[name].is_in(list(PRESENT)) for name in known]
    clear = pl.all_horizontal([texts[name].is_in([*PRESENT, *ABSENT]) for name in known])
    named = pl.concat_list(
        [pl.when(one).then(pl.lit(name)) for name, one in zip(known, says, strict=True)]
    ).list.drop_nulls()
    return frame.with_columns(pl.when(clear).then(named).alias(TARGET)).drop(known)


def _as_found(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    kind = frame.schema[column]
    if isinstance(kind, pl.List):
        inner = kind.inner
        if isinstance(inner, pl.Struct):
            names = {field.name for field in inner.fields}
            if not {"start", "end", "label"} <= names:
                raise DataError(
                    f"data.target '{column}': a span needs start, end and label, it has {', '.join(sorted(names))}"
                )
            span = pl.struct(
                pl.element().struct.field("start").cast(pl.Int64),
                pl.element().struct.field("end").cast(pl.Int64),
                pl.element().struct.field("label").cast(pl.String),
            )
            return frame.with_columns(pl.col(column).list.eval(span))
        return frame.with_columns(pl.col(column).cast(pl.List(pl.String)))
    return frame.with_columns(as_label(frame, column))


def as_label(frame: pl.DataFrame, column: str) -> pl.Expr:
    """A label as text: 1, 1.0 and "1" are one label; blank is missing.

    Raises:
        DataError: the column holds lists, records or bytes.
    """
    kind = frame.schema[column]
    if kind.is_nested() or kind in (pl.Binary, pl.Duration, pl.Object):
        raise DataError(f"column '{column}': labels are expected, the column holds {in_words(kind)}")
    values = pl.col(column)
    if kind == pl.Boolean:
        return pl.when(values).then(pl.lit("true")).when(values.not_()).then(pl.lit("false")).alias(column)
    if kind.is_float():
        whole = values.round(0) == values
        text = (
            pl.when(whole)
            .then(values.cast(pl.Int64, strict=False).cast(pl.String))
            .otherwise(values.cast(pl.String))
        )
        return text.alias(column)
    text = values.cast(pl.String)
    return pl.when(text.str.strip_chars() != "").then(text).alias(column)


def in_words(kind: pl.DataType) -> str:
    """A column's type for people."""
    if kind.is_numeric():
        return f"numbers ({kind})"
    if kind == pl.Boolean:
        return "truth values"
    return f"{kind}"

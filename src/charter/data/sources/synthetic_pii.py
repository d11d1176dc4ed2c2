"""A source of made-up texts with marked names, addresses and organisations, for teaching what masks them."""

import importlib.util
import random
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import polars as pl
from pydantic import Field

from charter.data import table
from charter.data.columns import SPLIT
from charter.data.synthetic import chinese, chinese_templates, english, english_templates
from charter.data.synthetic.templates import PARTS, Marked, Part, Slot, filled
from charter.data.table import Asked, Header, Source, Table, table_of
from charter.errors import DataError, MissingExtraError
from charter.runs.digest import value_digest

VERSION = 3
COLUMNS = ("text", "spans", "template", "locale")
SPANS = pl.List(pl.Struct({"start": pl.Int64, "end": pl.Int64, "label": pl.String}))
NOT_BY_FORM = ("PERSON", "ADDRESS", "LOCATION", "ORGANIZATION")
"""The kinds that no form tells: what a model is for."""
_TEMPLATES: Mapping[str, Any] = {"en": english_templates, "zh": chinese_templates}
_SHARES: Mapping[Part, float] = {"train": 0.8, "validation": 0.1, "test": 0.1}


def synthetic_pii(
    *,
    rows: Annotated[int, Field(ge=20, description="how many texts, over all parts")] = 5_000,
    seed: Annotated[int, Field(ge=0, description="another seed, other texts")] = 7,
    kinds: Annotated[
        tuple[str, ...], Field(min_length=1, description="the kinds of personal data that are marked")
    ] = NOT_BY_FORM,
) -> Source:
    """Made-up texts with marked personal data: `synthetic_pii:en`, `synthetic_pii:zh`, `synthetic_pii:en+zh`.

    Columns `text`, `spans` ({start, end, label}), `template` and `locale`. 8 in 10 rows are for training, 1 for validation, 1 for
    the test, and these parts share no template; given names, streets, cities and organisations of one are none of another's.
    """

    def read(location: str, folder: Path, asked: Asked) -> Iterator[Table]:
        del folder
        locales = _locales(location)
        name = f"synthetic_pii:{location}"
        before = 0
        for frame in _frames(locales, rows, seed, kinds):
            kept = [column for column in frame.columns if column in (*asked.columns.kept, SPLIT)]
            yield table_of(
                name,
                frame.select(kept),
                range(before + 1, before + 1 + frame.height),
                [],
                "row",
                before=before,
            )
            before += frame.height

    def digest(location: str, folder: Path, asked: Asked) -> str:
        del folder, asked
        told = {
            "version": VERSION,
            "locales": _locales(location),
            "rows": rows,
            "seed": seed,
            "kinds": list(kinds),
        }
        return value_digest({**told, "faker": _faker_version()})

    return Source(
        read,
        digest,
        lambda location, folder, asked: [Header(f"synthetic_pii:{location}", COLUMNS)],  # noqa: ARG005
        lambda location, folder: _check(location),  # noqa: ARG005
    )


def marked_texts(locale: str, part: Part, rows: int, seed: int) -> Iterator[Marked]:
    """Texts of one part, in a locale (`en`, `zh`), with the spans of every kind."""
    slots = _slots(locale)
    templates = getattr(_TEMPLATES[locale], part.upper())
    draw = random.Random(f"{locale} {part} {seed}")
    for _ in range(rows):
        number = draw.randrange(len(templates))
        yield filled(templates[number], number, slots, draw, part)


@cache
def _slots(locale: str) -> Mapping[str, Slot]:
    return english.slots() if locale == "en" else chinese.slots()


def _frames(locales: list[str], rows: int, seed: int, kinds: tuple[str, ...]) -> Iterator[pl.DataFrame]:
    for part in PARTS:
        for locale in locales:
            left = round(rows * _SHARES[part] / len(locales))
            texts = marked_texts(locale, part, left, seed)
            while left > 0:
                some = [next(texts) for _ in range(min(left, table.CHUNK_ROWS))]
                left -= len(some)
                yield _frame(some, locale, part, kinds)


def _frame(texts: list[Marked], locale: str, part: Part, kinds: tuple[str, ...]) -> pl.DataFrame:
    spans = [
        [{"start": start, "end": end, "label": kind} for start, end, kind in one.spans if kind in kinds]
        for one in texts
    ]
    return pl.DataFrame(
        {
            "text": [one.text for one in texts],
            "spans": pl.Series(spans, dtype=SPANS),
            "template": [f"{locale} {part} {one.template}" for one in texts],
            "locale": [locale] * len(texts),
            SPLIT: [part] * len(texts),
        }
    )


def _locales(location: str) -> list[str]:
    found = location.split("+")
    unknown = [one for one in found if one not in _TEMPLATES]
    if unknown or len(set(found)) != len(found):
        raise DataError(
            f"data.source 'synthetic_pii:{location}': there are {', '.join(_TEMPLATES)}, and several joined by +, such as en+zh"
        )
    return found


def _check(location: str) -> None:
    _locales(location)
    if importlib.util.find_spec("faker") is None:
        raise MissingExtraError(f"data.source 'synthetic_pii:{location}'", "pii")


def _faker_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("faker")
    except PackageNotFoundError:
        raise MissingExtraError("data.source 'synthetic_pii'", "pii") from None

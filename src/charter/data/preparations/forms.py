"""Search a text for everything that is told by its form: which kinds, in which order, and what none of them may touch."""

import re
import string
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from charter.data.identifiers import IBAN_LENGTHS
from charter.data.preparations import documents, personal
from charter.data.preparations.searches import TAKEN, Kind

Locale = Literal["en", "zh"]

ROUNDS = 8
"""What is found may free its neighbours from each other, so the search goes on until nothing is left, at most this often."""
PSEUDONYM_SIGNS = 10
"""Hexadecimal digits of a pseudonym: 40 bits, so that of a million values about one pair shares its pseudonym."""
BY_MEANING = ("PERSON", "ADDRESS", "LOCATION", "ORGANIZATION")
"""Kinds that no form tells; a detector finds them."""

# Full-width signs, dashes and odd spaces read as their plain ones, one for one, so that places stay the same.
_SIGNS = str.maketrans(
    "＠．－＋（）／：＿Ｘｘ　–‑—―−‐‒﹣\u00a0\u2007\u2009\u202f", "@.-+()/:_Xx --------    "
)
_SIGNS |= {0xFEE0 + ord(sign): ord(sign) for sign in string.ascii_letters}  # full-width
_OTHER_DIGIT = re.compile(r"(?![0-9])\d")

# Only texts that hold one of these are searched; the first of each pair is for Polars, the second for a plain text.
_ADDRESS = r"[@＠][^\s@＠]+[.．]"
_LINK = r"(?i:https?://|www\.)"
_NUMBER = rf"\p{{Nd}}(?:[^\p{{L}}\n]{{0,3}}\p{{Nd}}){{6}}|(?i:{'|'.join(IBAN_LENGTHS)})[0-9]{{2}}(?i:[ \-]?[0-9a-z]){{11}}"
_NUMBERS = re.compile(r"[0-9](?:(?:[^\w\n]{0,3}[0-9]){6}|(?<=[A-Za-z]{2}[0-9])[0-9][ \-]?[0-9A-Za-z]{4})")
_LINKS = re.compile(r"://|[Ww][Ww][Ww]\.")


@dataclass(frozen=True, order=True)
class Found:
    """Characters start to end (exclusive) are personal data of the kind `name`."""

    start: int
    end: int
    name: str


def kinds_of(locales: Sequence[Locale], *, urls: bool, handles: bool) -> tuple[Kind, ...]:
    """The kinds to look for, in the order of their claims: what is checked before what is not, exact before loose."""
    zh, en = "zh" in locales, "en" in locales
    asked = (
        (True, personal.EMAIL),
        (urls, personal.URL),
        (True, personal.IBAN),
        (zh, personal.CN_ID),
        (zh, documents.CN_RESIDENCE),
        (zh, personal.CN_USCC),
        (zh, personal.CN_PASSPORT),
        (zh, personal.CN_PERMIT),
        (zh, personal.CN_TAIWAN_PERMIT),
        (zh, documents.HK_ID),
        (zh, documents.TW_ID),
        (zh, documents.CN_MILITARY),
        (zh, documents.CN_PLATE),
        (en, documents.PASSPORT),
        (True, personal.CARD),
        (True, personal.CARD_AFTER_CUE),
        (zh, personal.CN_OLD_ID),
        (en, personal.SSN),
        (en, personal.SSN_AFTER_CUE),
        (zh, personal.CN_MOBILE),
        (zh, personal.CN_LANDLINE),
        (en, personal.US_PHONE),
        (en, personal.NATIONAL_PHONE),
        (True, personal.PHONE),
        (en, personal.PHONE_AFTER_CUE),
        (zh, personal.CN_PHONE_AFTER_CUE),
        (handles, personal.HANDLE),
    )
    return tuple(kind for wanted, kind in asked if wanted)


EVERY_KIND = kinds_of(("en", "zh"), urls=True, handles=True)


def placeholders(names: Iterable[str] = ()) -> re.Pattern[str]:
    """What stands for masked values already, pseudonyms too: of all forms, of BY_MEANING and of further kinds."""
    known = sorted({kind.name for kind in EVERY_KIND} | set(BY_MEANING) | set(names))
    return re.compile(rf"\[(?:{'|'.join(map(re.escape, known))})(?:-[0-9a-f]{{{PSEUDONYM_SIGNS}}})?\]")


PLACEHOLDER = placeholders()


def flagged(texts: pl.Series, kinds: Sequence[Kind]) -> pl.Series:
    """Which texts can hold anything at all; quick, and never false where something is found. Null for a missing text."""
    needs = {kind.needs for kind in kinds}
    patterns = [
        _NUMBER,
        "[@＠]" if personal.HANDLE in kinds else _ADDRESS,
        *([_LINK] if "link" in needs else []),
        *([documents.PLATE_LIKE] if "plate" in needs else []),
    ]
    return texts.str.contains("|".join(patterns))


def find(text: str, kinds: Sequence[Kind], protected: re.Pattern[str] = PLACEHOLDER) -> list[Found]:
    """What was found, in order; an earlier kind has the first claim on a place. protected: what nothing is found in."""
    plain = protected.sub(lambda one: TAKEN * len(one.group()), _plain(text))
    found: list[Found] = []
    for _ in range(ROUNDS):
        before = len(found)
        holds = {
            "@": "@" in plain,
            "link": bool(_LINKS.search(plain)),
            "digits": bool(_NUMBERS.search(plain)),
            "plate": bool(documents.PLATE_SEEN.search(plain)),
        }
        for kind in kinds:
            new = (
                [Found(place.start, place.end, kind.name) for place in kind.search(plain)]
                if holds[kind.needs]
                else []
            )
            if new:
                plain = _taken(plain, new)
                found += new
        if len(found) == before:
            break
    return sorted(found)


def _plain(text: str) -> str:
    if text.isascii():
        return text
    return _OTHER_DIGIT.sub(lambda digit: str(unicodedata.decimal(digit.group())), text.translate(_SIGNS))


def _taken(text: str, found: Sequence[Found]) -> str:
    parts: list[str] = []
    at = 0
    for one in found:
        parts += [text[at : one.start], TAKEN * (one.end - one.start)]
        at = one.end
    return "".join([*parts, text[at:]])

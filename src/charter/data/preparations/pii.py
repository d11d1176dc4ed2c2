"""Mask personal data that can be told by its form: numbers with check digits, addresses of e-mail, phones.

Names, street addresses and free-text hints are not found by form, and not promised.
"""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import polars as pl
from pydantic import Field

from charter.data.columns import Columns
from charter.data.edits import Edit, Edits, applied
from charter.data.preparation import Outcome, Preparation, nothing_dropped
from charter.data.preparations import documents, personal
from charter.data.preparations.identifiers import IBAN_LENGTHS
from charter.data.preparations.searches import TAKEN, Kind

Locale = Literal["en", "zh"]
Cell = str | list[str | None]
"""A text, or a list of words."""

ROUNDS = 8
"""What is found may free its neighbours from each other, so the search goes on until nothing is left, at most this often."""

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


def mask_pii(
    *,
    locales: Annotated[
        tuple[Locale, ...], Field(min_length=1, description="whose forms are looked for: en, zh")
    ] = ("en", "zh"),
    urls: Annotated[bool, Field(description="mask web addresses too")] = False,
    handles: Annotated[bool, Field(description="mask @handles too")] = False,
) -> Preparation:
    """Put typed placeholders for e-mail, phone, card, IBAN, US SSN and Chinese documents; check digits verified."""
    kinds = _kinds(locales, urls=urls, handles=handles)

    def apply(frame: pl.DataFrame, columns: Columns) -> Outcome:
        counts: Counter[str] = Counter()
        for column in columns.inputs:
            cells = frame[column]
            if isinstance(cells.dtype, pl.List):
                flagged = _flagged(cells.list.join(""), kinds) | _flagged(cells.list.join(" "), kinds)
                masked: list[Cell] = [
                    _mask_words(one, kinds, counts) for one in cells.filter(flagged).to_list()
                ]
            else:
                flagged = _flagged(cells, kinds)
                masked = [mask(text, kinds, counts) for text in cells.filter(flagged).to_list()]
            if masked:
                frame = frame.with_columns(_with(cells, flagged, masked))
        told = {f"masked.{name}": count for name, count in sorted(counts.items())}
        return Outcome(frame, nothing_dropped(), told, lambda text: (_edits(_find(text, kinds)),))

    return Preparation(row_wise=True, apply=apply)


def count_pii(texts: pl.Series) -> Counter[str]:
    """How many places of each type the texts hold that `mask_pii` could mask, all options on; nothing is changed."""
    kinds = _kinds(("en", "zh"), urls=True, handles=True)
    flagged = texts.filter(_flagged(texts, kinds))
    return Counter(one.kind.name for text in flagged.to_list() for one in _find(text, kinds))


def personal_kinds(values: Iterable[object]) -> Counter[str]:
    """How many of the values hold each type of personal data; a value counts once for each type.

    For columns that are kept as they are (groups, targets, subjects): web addresses and handles are not looked for.
    Numbers are read by their digits; missing values hold nothing.
    """
    times = Counter(str(value) for value in values if value is not None)
    texts = pl.Series(list(times), dtype=pl.String)
    kinds = _kinds(("en", "zh"), urls=False, handles=False)
    counts: Counter[str] = Counter()
    for text in texts.filter(_flagged(texts, kinds)).to_list():
        counts.update(dict.fromkeys({one.kind.name for one in _find(text, kinds)}, times[text]))
    return counts


def mask(text: str, kinds: Sequence[Kind], counts: Counter[str]) -> str:
    """The text with placeholders for what was found; `counts` gets how many of each type."""
    found = _find(text, kinds)
    counts.update(one.kind.name for one in found)
    return applied(_edits(found), text)


@dataclass(frozen=True)
class _Found:
    start: int
    end: int
    kind: Kind


def _edits(found: Sequence[_Found]) -> Edits:
    return tuple(Edit(one.start, one.end, one.kind.placeholder) for one in found)


def _flagged(texts: pl.Series, kinds: Sequence[Kind]) -> pl.Series:
    """Which texts can hold anything at all; quick, and never false where something is found. Null for a missing text."""
    needs = {kind.needs for kind in kinds}
    patterns = [
        _NUMBER,
        "[@＠]" if personal.HANDLE in kinds else _ADDRESS,
        *([_LINK] if "link" in needs else []),
        *([documents.PLATE_LIKE] if "plate" in needs else []),
    ]
    return texts.str.contains("|".join(patterns))


def _with(cells: pl.Series, flagged: pl.Series, changed: Sequence[Cell]) -> pl.Series:
    """The cells with those that are flagged changed."""
    if not isinstance(cells.dtype, pl.List):
        return cells.scatter(flagged.arg_true(), pl.Series(changed, dtype=pl.String))
    new = iter(changed)
    values = [next(new) if flag else cell for flag, cell in zip(flagged, cells.to_list(), strict=True)]
    return pl.Series(cells.name, values, dtype=pl.List(pl.String))


def _find(text: str, kinds: Sequence[Kind]) -> list[_Found]:
    """What was found, in order; an earlier kind has the first claim on a place."""
    plain = _PLACEHOLDER.sub(lambda one: TAKEN * len(one.group()), _plain(text))
    found: list[_Found] = []
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
                [_Found(place.start, place.end, kind) for place in kind.search(plain)]
                if holds[kind.needs]
                else []
            )
            if new:
                plain = _taken(plain, new)
                found += new
        if len(found) == before:
            break
    return sorted(found, key=lambda one: one.start)


def _plain(text: str) -> str:
    if text.isascii():
        return text
    return _OTHER_DIGIT.sub(lambda digit: str(unicodedata.decimal(digit.group())), text.translate(_SIGNS))


def _taken(text: str, found: Sequence[_Found]) -> str:
    parts: list[str] = []
    at = 0
    for one in found:
        parts += [text[at : one.start], TAKEN * (one.end - one.start)]
        at = one.end
    return "".join([*parts, text[at:]])


def _mask_words(words: Sequence[str | None], kinds: Sequence[Kind], counts: Counter[str]) -> list[str | None]:
    """Words with placeholders; what runs over several words makes each of them its placeholder: none appears or goes.

    They are searched twice: as they were written, as far as that can be told, and with a space between all of them.
    """
    known = [word or "" for word in words]
    glued = [_are_glued(*three) for three in zip(known, known[1:], [*known[2:], ""], strict=False)]
    masked = _masked_joined(words, ["" if one else " " for one in glued], kinds, counts)
    return _masked_joined(masked, [" "] * len(glued), kinds, counts) if any(glued) else masked


def _masked_joined(
    words: Sequence[str | None], joints: Sequence[str], kinds: Sequence[Kind], counts: Counter[str]
) -> list[str | None]:
    ends: list[int] = []
    parts: list[str] = []
    for word, joint in zip(words, [*joints, ""], strict=True):
        ends.append((ends[-1] + len(parts[-1]) if ends else 0) + len(word or ""))
        parts += [word or "", joint]
    masked = list(words)
    place = 0
    for one in _find("".join(parts), kinds):
        counts[one.kind.name] += 1
        while ends[place] <= one.start:
            place += 1
        while place < len(words) and ends[place] - len(words[place] or "") < one.end:
            masked[place] = one.kind.placeholder
            place += 1
        place -= 1  # the last word may hold the next find too
    return masked


_DOMAIN_END = frozenset(("com", "org", "net", "edu", "gov", "info", "cn"))


def _are_glued(word: str, following: str, then: str) -> bool:
    """Whether two words were probably written without a space: single signs, and signs that tokenisers part from words."""
    if len(word) <= 1 and len(following) <= 1:
        return True
    if following == ".":
        return word[-1:].isdigit() or then in _DOMAIN_END
    if word == ".":
        return following in _DOMAIN_END
    return word in ("(", "+", "@", "-", "/", "_") or following in (")", "@", "-", "/", "_")


def _kinds(locales: Sequence[Locale], *, urls: bool, handles: bool) -> tuple[Kind, ...]:
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


_PLACEHOLDER = re.compile(
    "|".join(sorted({re.escape(kind.placeholder) for kind in _kinds(("en", "zh"), urls=True, handles=True)}))
)

"""Mask personal data that can be told by its form: numbers with check digits, addresses of e-mail, phones.

Names, street addresses and free-text hints are not found by form, and not promised.
"""

import datetime
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import polars as pl
from pydantic import Field

from charter.data.columns import Columns
from charter.data.edits import Edit, Edits, applied
from charter.data.preparation import Outcome, Preparation, nothing_dropped

Locale = Literal["en", "zh"]

# Full-width forms read as their plain ones, one character for one, so that places stay the same.
_PLAIN = {ord("０") + n: str(n) for n in range(10)} | {
    ord("＠"): "@", ord("．"): ".", ord("－"): "-", ord("＋"): "+", ord("（"): "(", ord("）"): ")", ord("　"): " ",
    ord("–"): "-", ord("‑"): "-", ord("\u00a0"): " ", ord("Ｘ"): "X", ord("ｘ"): "x", ord("／"): "/", ord("："): ":",
}  # fmt: skip
_CANDIDATE = r"[@＠]|https?://|[Ww][Ww][Ww]\.|[0-9０-９](?:[^\p{L}\n]{0,3}[0-9０-９]){6}|[A-Z]{2}[0-9]{2}[ ]?[A-Z0-9]{4}"

# A number starts and ends where no digit or Latin letter touches it; Han characters may (no \b, which takes them for letters).
_HEAD = r"(?<![0-9A-Za-z_])"
_TAIL = r"(?![0-9A-Za-z_])"


@dataclass(frozen=True)
class Kind:
    """One kind of personal data: its placeholder, the pattern of candidates, and the check a candidate must pass."""

    name: str
    pattern: re.Pattern[str]
    passes: Callable[[str], bool]

    @property
    def placeholder(self) -> str:
        """What stands in its place."""
        return f"[{self.name}]"


def mask_pii(
    *,
    locales: Annotated[
        tuple[Locale, ...], Field(min_length=1, description="whose forms are looked for: en, zh")
    ] = ("en", "zh"),
    urls: Annotated[bool, Field(description="mask web addresses too")] = False,
    handles: Annotated[bool, Field(description="mask @handles too")] = False,
) -> Preparation:
    """Put typed placeholders for e-mail, phone, card, IBAN, US SSN, Chinese resident ID and mobile; check digits verified."""
    kinds = _kinds(locales, urls=urls, handles=handles)

    def apply(frame: pl.DataFrame, columns: Columns) -> Outcome:
        counts: Counter[str] = Counter()
        for column in columns.inputs:
            cells = frame[column]
            if isinstance(frame.schema[column], pl.List):
                masked = [
                    None if words is None else _mask_words(words, kinds, counts) for words in cells.to_list()
                ]
                frame = frame.with_columns(pl.Series(column, masked, dtype=pl.List(pl.String)))
                continue
            flagged = cells.str.contains(_CANDIDATE).fill_null(False)
            if flagged.any():
                masked_texts = [mask(text, kinds, counts) for text in cells.filter(flagged).to_list()]
                cells = cells.scatter(flagged.arg_true(), pl.Series(masked_texts, dtype=pl.String))
                frame = frame.with_columns(cells.alias(column))
        told = {f"masked.{name}": count for name, count in sorted(counts.items())}
        return Outcome(frame, nothing_dropped(), told, lambda text: (_edits(_find(text, kinds)),))

    return Preparation(row_wise=True, apply=apply)


def count_pii(texts: pl.Series) -> Counter[str]:
    """How many places of each type the texts hold that `mask_pii` could mask, all options on; nothing is changed."""
    kinds = _kinds(("en", "zh"), urls=True, handles=True)
    flagged = texts.filter(texts.str.contains(_CANDIDATE).fill_null(False))
    return Counter(one.kind.name for text in flagged.to_list() for one in _find(text, kinds))


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


def _find(text: str, kinds: Sequence[Kind]) -> list[_Found]:
    """What was found, in order; an earlier kind has the first claim on a place."""
    plain = text.translate(_PLAIN)
    found: list[_Found] = []
    for kind in kinds:
        for match in kind.pattern.finditer(plain):
            start, end = match.span()
            free = all(end <= one.start or start >= one.end for one in found)
            if free and kind.passes(match.group()):
                found.append(_Found(start, end, kind))
    return sorted(found, key=lambda one: one.start)


def _mask_words(words: Sequence[str], kinds: Sequence[Kind], counts: Counter[str]) -> list[str]:
    """Words with placeholders; what runs over several words makes each of them its placeholder: none appears or goes."""
    masked = list(words)
    joined = " ".join(words)
    starts = [0]
    for word in words:
        starts.append(starts[-1] + len(word) + 1)
    for one in _find(joined, kinds):
        counts[one.kind.name] += 1
        for place, word in enumerate(words):
            if starts[place] < one.end and starts[place] + len(word) > one.start:
                masked[place] = one.kind.placeholder
    return masked


def _kinds(locales: Sequence[Locale], *, urls: bool, handles: bool) -> tuple[Kind, ...]:
    kinds = [_EMAIL]
    if urls:
        kinds.append(_URL)
    kinds.append(_IBAN)
    if "zh" in locales:
        kinds.append(_CN_ID)
    kinds.append(_CARD)
    if "zh" in locales:
        kinds += [_CN_MOBILE, _CN_LANDLINE]
    if "en" in locales:
        kinds += [_SSN, _US_PHONE]
    kinds.append(_PHONE)
    if handles:
        kinds.append(_HANDLE)
    return tuple(kinds)


def _digits(text: str) -> str:
    return re.sub(r"[^0-9]", "", text)


def _always(text: str) -> bool:
    del text
    return True


def _is_card(text: str) -> bool:
    """Length and first digits of a known issuer, and the Luhn check (ISO/IEC 7812-1)."""
    digits = _digits(text)
    if not re.match(r"4|5[1-5]|2[2-7]|3[4-7]|30[0-5]|3095|38|39|6", digits) or len(set(digits)) == 1:
        return False
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


_IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28,
    "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18,
    "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22,
    "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20,
    "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18,
    "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SC": 31, "SE": 24,
    "SI": 19, "SK": 24, "SM": 27, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24,
    "XK": 20,
}  # fmt: skip


def _is_iban(text: str) -> bool:
    """The country's length and the check modulo 97 (ISO 13616)."""
    compact = text.replace(" ", "").upper()
    if _IBAN_LENGTHS.get(compact[:2]) != len(compact):
        return False
    return int("".join(str(int(sign, 36)) for sign in compact[4:] + compact[:4])) % 97 == 1


def _is_cn_id(text: str) -> bool:
    """Region, a real date of birth, and the check character (GB 11643-1999, ISO 7064 MOD 11-2)."""
    compact = text.upper().replace(" ", "")
    if not 11 <= int(compact[:2]) <= 91:
        return False
    try:
        born = datetime.date(int(compact[6:10]), int(compact[10:12]), int(compact[12:14]))
    except ValueError:
        return False
    if not 1880 <= born.year <= 2100:
        return False
    total = sum(int(digit) * (2 ** (17 - place) % 11) for place, digit in enumerate(compact[:17]))
    return "10X98765432"[total % 11] == compact[17]


def _is_ssn(text: str) -> bool:
    """An area, group and number that may be given out (Social Security Administration, since 2011)."""
    area, group, number = re.split(r"[- ]", text)
    return area not in ("000", "666") and area < "900" and group != "00" and number != "0000"


def _is_us_phone(text: str) -> bool:
    """A number of the North American plan: area and exchange begin with 2 to 9."""
    digits = _digits(text)[-10:]
    return digits[0] in "23456789" and digits[3] in "23456789" and len(set(digits)) > 1


def _is_phone(text: str) -> bool:
    """An international number: 8 to 15 digits after the plus (ITU-T E.164)."""
    return 8 <= len(_digits(text)) <= 15


_EMAIL = Kind(
    "EMAIL",
    re.compile(r"(?<![A-Za-z0-9._%+\-@])[A-Za-z0-9][A-Za-z0-9._%+\-]{0,63}@(?:[A-Za-z0-9](?:[A-Za-z0-9\-]{0,62})\.){1,8}[A-Za-z]{2,24}(?![A-Za-z0-9@])"),
    _always,
)  # fmt: skip
_URL = Kind(
    "URL",
    re.compile(r"(?:https?://|(?<![A-Za-z0-9@.])www\.)[^\s<>\"'，。；、！？）】》\u4e00-\u9fff]+", re.I),
    _always,
)
_HANDLE = Kind("HANDLE", re.compile(r"(?<![A-Za-z0-9_@./])@[A-Za-z0-9_]{1,30}(?![A-Za-z0-9_@])"), _always)
_IBAN = Kind(
    "IBAN",
    re.compile(_HEAD + r"[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?" + _TAIL),
    _is_iban,
)
_CARD = Kind("CARD", re.compile(_HEAD + r"[0-9](?:[ \-]?[0-9]){12,18}" + _TAIL), _is_card)
_CN_ID = Kind(
    "CN_ID", re.compile(_HEAD + r"[1-9][0-9]{5} ?(?:18|19|20|21)[0-9]{6} ?[0-9]{3}[0-9Xx]" + _TAIL), _is_cn_id
)
_CN_MOBILE = Kind(
    "CN_MOBILE",
    re.compile(
        r"(?<![0-9A-Za-z_.])(?:(?:\+|00)?86[ \-]?)?1[3-9][0-9](?:[ \-]?[0-9]{4}){2}(?![0-9A-Za-z_]|\.[0-9])"
    ),
    _always,
)
_CN_LANDLINE = Kind(
    "PHONE", re.compile(r"(?<![0-9A-Za-z_.\-])(?:\(0[1-9][0-9]{1,2}\) ?|0[1-9][0-9]{1,2}-)[2-8][0-9]{6,7}(?:-[0-9]{1,5})?" + _TAIL), _always
)  # fmt: skip
_SSN = Kind(
    "SSN", re.compile(r"(?<![0-9A-Za-z_\-])[0-9]{3}([- ])[0-9]{2}\1[0-9]{4}(?![0-9A-Za-z_]|-[0-9])"), _is_ssn
)
_US_PHONE = Kind(
    "PHONE",
    re.compile(
        r"(?<![0-9A-Za-z_.\-/])(?:\+?1[ .\-]?)?(?:\([0-9]{3}\) ?|[0-9]{3}[ .\-])[0-9]{3}[ .\-][0-9]{4}(?![0-9A-Za-z_]|[.\-][0-9])"
    ),
    _is_us_phone,
)
_PHONE = Kind(
    "PHONE", re.compile(r"(?<![0-9A-Za-z_+])\+[1-9](?:[ .\-]?\(?[0-9]\)?){6,14}(?![0-9A-Za-z_])"), _is_phone
)

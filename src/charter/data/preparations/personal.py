"""The kinds of personal data that can be told by form: where each is looked for, and what a find must pass.

Numbers with a check digit are looked for anywhere; those without one only in their usual notation, or after a cue word.
Texts are searched with full-width signs and the digits of other scripts made plain.
"""

import re
from collections.abc import Iterator

from charter.data.edits import Place
from charter.data.identifiers import (
    IBAN_LENGTHS,
    digits_of,
    is_card,
    is_cn_id,
    is_iban,
    is_nanp,
    is_old_cn_id,
    is_ssn,
    is_uscc,
    passes_luhn,
)
from charter.data.preparations.searches import (
    ALONE,
    DATE,
    END,
    Kind,
    compiled_at_first_use,
    cued,
    glued,
    matches,
)


def _always(text: str) -> bool:
    del text
    return True


# --- E-mail, web addresses, handles -----------------------------------------------------------------------------------

# Letters of any alphabet but Han, kana and hangul, whose texts leave no space around an address.
_EAST = "\u1100-\u11ff\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff"
_LETTER = rf"[^\W_{_EAST}]"
_LABEL = rf"(?:{_LETTER}|-)+"
_TOP = rf"(?!\d){_LETTER}(?:{_LETTER}|-)*{_LETTER}"
_EAST_TOP = "中国|中國|公司|网络|網絡|香港|台湾|台灣|新加坡|政务|公益|网址|在线|中文网|한국|みんな"
_EAST_DOMAIN = rf"[{_EAST}](?:[{_EAST}]|{_LETTER}|-){{0,62}}\.(?:{_EAST_TOP}|{_TOP})"
# RFC 5321 and 5322, internationalised by RFC 6531 (local part) and RFC 5890 (domain).
_AT_DOMAIN = re.compile(rf"@(?:(?:{_LABEL}\.)+{_TOP}|({_EAST_DOMAIN}))")
_LOCAL = re.compile(rf"[^\W{_EAST}]|[.%+\-'’&~\u0300-\u036f]")
_EAST_LOCAL = re.compile(rf"[{_EAST}]{{1,4}}$")


def _emails(text: str) -> Iterator[Place]:
    after = 0
    for match in _AT_DOMAIN.finditer(text):
        start = match.start()
        while start > after and _LOCAL.match(text, start - 1) and text[start - 1 : start + 1] != "..":
            start -= 1
        while text[start] in ".'’&~" and start < match.start():
            start += 1
        if start == match.start() and match.group(1):
            name = _EAST_LOCAL.search(text, max(after, start - 4), start)
            start = name.start() if name else start
        if any(sign.isalnum() for sign in text[start : match.start()]):
            yield Place(start, match.end())
            after = match.end()


EMAIL = Kind("EMAIL", "@", _emails)
URL = Kind(  # RFC 3986; where an address ends in running text is a matter of use
    "URL",
    "link",
    matches(
        r"((?:https?://|(?<![a-z0-9@.])www\.)(?:[^\s<>\"'，。；、！？）】》\u4e00-\u9fff\x00]*[^\s<>\"'，。；、！？）】》\u4e00-\u9fff\x00.,;:!?]))",
        _always,
    ),
)
HANDLE = Kind(
    "HANDLE",
    "@",
    matches(
        rf"(@(?<![a-z0-9_@./]@)(?:[a-z0-9_]{{1,30}}(?![a-z0-9_@])|[{_EAST}][\w\-]{{1,29}}(?![\w@])))", _always
    ),
)

# --- Numbers with a check digit -----------------------------------------------------------------------------------------


def _iban_pattern() -> str:
    by_length: dict[int, list[str]] = {}
    for country, length in IBAN_LENGTHS.items():
        by_length.setdefault(length, []).append(country)
    return "|".join(
        rf"(?:{'|'.join(countries)})[0-9]{{2}}(?:[ \-]?[0-9a-z]){{{length - 4}}}(?![0-9a-z])"
        for length, countries in by_length.items()
    )


_IBAN_BODY = _iban_pattern()
_CN_ID_END = r"(?:[0-9](?![0-9])|x(?![0-9a-z_]))"
_CN_ID_BODY = (
    r"[1-9][0-9]{5}[ \-]?(?:18|19|20)[0-9]{2}[ \-]?[0-9]{2}[ \-]?[0-9]{2}[ \-]?[0-9]{3}[ \-]?" + _CN_ID_END
    + r"|[1-9][0-9]{3}[ \-][0-9]{2}(?:18|19|20)[ \-][0-9]{2}[01][0-9][ \-][0-3][0-9]{3}[ \-][0-9]" + _CN_ID_END
)  # fmt: skip
_SHAPED = compiled_at_first_use(rf"(?<![0-9a-z])(?:{_IBAN_BODY})|(?<![0-9])(?:{_CN_ID_BODY})")
_CARD_BODY = (
    r"[0-9]{4}(?:\.[0-9]{4}){3}(?![0-9])"
    r"|[0-9]{4,19}(?![0-9])(?:[ \-][0-9]{3,15}(?![0-9])){0,5}(?:[ \-][0-9]{1,2}(?![0-9]))?"
)
_CARD_START = re.compile(f"{glued('card', 'visa', 'mastercard', 'amex', 'cc')}(?=({_CARD_BODY}))", re.I)
_LATIN = re.compile(r"[A-Za-z_]")
_GROUP_END = re.compile(r"(?<=[0-9])(?![0-9])")


def _compact(text: str) -> str:
    return re.sub(r"[ .\-]", "", text)


def _cards(text: str) -> Iterator[Place]:
    """At each group of digits the longest run of groups that is a card, and is no part of what is formed as something else."""
    after = 0
    shaped: Iterator[re.Match[str]] | None = None
    shape: re.Match[str] | None = None
    for match in _CARD_START.finditer(text):
        start = match.start(1)
        end = _card_end(match) if start >= after else None
        if end is None:
            continue
        if shaped is None:
            shaped = _SHAPED().finditer(text)
            shape = next(shaped, None)
        while shape is not None and shape.end() <= start:
            shape = next(shaped, None)
        if shape is None or shape.start() >= end:
            yield Place(start, end)
            after = end


def _card_end(match: re.Match[str]) -> int | None:
    run = match.group(1)
    for place in reversed([one.start() for one in _GROUP_END.finditer(run)]):
        digits = digits_of(run[:place])
        end = match.start(1) + place
        if 13 <= len(digits) <= 19 and not _LATIN.match(match.string, end) and is_card(digits):
            return end
    return None


IBAN = Kind(  # ISO 13616-1:2020
    "IBAN",
    "digits",
    matches(
        rf"(?:(?<![0-9a-z])|(?<=(?<![a-z])iban))(?=({_IBAN_BODY}))", lambda text: is_iban(_compact(text))
    ),
)
CN_ID = Kind(  # GB 11643-1999; the permits of residents of Hong Kong, Macau and Taiwan (81, 82, 83) have the same form
    "CN_ID", "digits", matches(rf"(?<![0-9])(?=({_CN_ID_BODY}))", lambda text: is_cn_id(_compact(text)))
)
CN_USCC = Kind(  # GB 32100-2015
    "CN_USCC",
    "digits",
    matches(rf"{ALONE}(?=([1-9a-gny][1-9][0-9]{{6}}[0-9a-hj-npqrtuwxy]{{10}})(?![0-9a-z]))", is_uscc),
)
CARD = Kind("CARD", "digits", _cards)  # ISO/IEC 7812-1:2017
CARD_AFTER_CUE = Kind(  # the same check, for first digits and lengths that are no known issuer's
    "CARD",
    "digits",
    cued(
        r"(?<![a-z])(?:card|cc)(?![a-z])|银行卡|信用卡|储蓄卡|借记卡|卡号|銀行卡|卡號",
        rf"[0-9]{{4}}(?:[ \-]?[0-9]){{8,15}}{END}",
        lambda text: passes_luhn(digits_of(text)),
    ),
)

# --- Documents of China without a check digit -----------------------------------------------------------------------------

CN_OLD_ID = Kind(  # GB 11643-1989
    "CN_ID",
    "digits",
    matches(
        rf"{glued('id', 'idcard')}(?=([1-9][0-9]{{5}}[ \-]?[0-9]{{6}}[ \-]?[0-9]{{3}}){END})",
        lambda text: is_old_cn_id(digits_of(text)),
        weak=True,
    ),
)
CN_PASSPORT = Kind(  # as the National Immigration Administration numbers ordinary, diplomatic, service and public passports
    "CN_PASSPORT",
    "digits",
    cued(
        r"护照|護照|(?<![a-z])passport",
        rf"(?:[egdsp][0-9]{{8}}|e[a-hj-np-z][0-9]{{7}}|[dsp]e[0-9]{{7}}){END}",
        _always,
    ),
)
CN_PERMIT = Kind(  # permits for travel between the mainland and Hong Kong, Macau and Taiwan
    "CN_PERMIT",
    "digits",
    cued(
        r"通行证|通行證|回乡证|回鄉證|台胞证|台胞證|travel permit|home return permit",
        rf"(?:[cwtlhm][0-9]{{8}}(?:[0-9]{{2}})?|c[a-hj-np-z][0-9]{{7}}){END}",
        _always,
    ),
)
CN_TAIWAN_PERMIT = Kind(
    "CN_PERMIT",
    "digits",
    cued(r"台胞证|台胞證", rf"[0-9]{{8}}(?:[0-9]{{2}}(?:\([0-9a-z]\))?)?{END}", _always),
)

# --- Telephones and the US social security number ---------------------------------------------------------------------

_PHONE_WORDS = (
    "tel", "phone", "mobile", "mob", "cell", "wx", "weixin", "wechat", "vx", "v", "qq", "call", "ph", "t", "m", "id",
    "whatsapp", "fax",
)  # fmt: skip
_PHONE_START = glued(*_PHONE_WORDS) + r"(?<!\+)(?<![0-9][\-/])"
_PHONE_END = r"(?![0-9a-z_]|[.\-/][0-9])"
_EXTENSION = r"(?:[ ]?(?:x|ext\.?|extension|转|轉|分机|-)[ ]?[0-9]{1,6})?"


def _is_phone(text: str) -> bool:
    """7 to 15 digits (ITU-T E.164, 2010), and neither a date nor a decimal fraction nor almost all noughts."""
    number = re.split(r"(?i)[x转轉分e]", text)[0]
    digits = digits_of(number)
    is_fraction = re.fullmatch(r"[0-9]+\.[0-9]+", number) is not None
    is_dated = DATE.match(number) or re.search(
        r"(?<![0-9])[0-9]{1,2}([./\-])[0-9]{1,2}\1(?:19|20)[0-9]{2}$", number
    )
    return 7 <= len(digits) <= 15 and len(set(digits)) > 1 and not is_fraction and not is_dated


def _is_mobile(text: str) -> bool:
    return not text.endswith("00000000")


def _is_national(text: str) -> bool:
    """10 to 12 digits with the leading 0; pairs that only grow are a list, not a French number."""
    pairs = re.split(r"[ .\-]", text)
    is_list = len(pairs) == 5 and pairs == sorted(pairs)
    return 10 <= len(digits_of(text)) <= 12 and not is_list and not DATE.match(text)


CN_MOBILE = Kind(  # YD/T 1127 and the Ministry's numbering plan of telecommunications networks (2017): 11 digits, 1 and 3 to 9
    "CN_MOBILE",
    "digits",
    matches(
        rf"(?:(?<![0-9+])(?=[+(])|{glued(*_PHONE_WORDS)}(?<!\+))"
        r"(?=(\(?(?:(?:\+|00)?86\)?[ \-]{0,2}(?:\(0\))?)?(?<!\()1[3-9][0-9]"
        r"(?:[ \-]?[0-9]{4}[ \-]?[0-9]{4}|[ \-]?[0-9]{3}[ \-]?[0-9]{5}))(?![0-9a-z_]|\.[0-9]))",
        _is_mobile,
        weak=True,
    ),
)
_AREA_3 = r"0(?:10|2[0-57-9])"
_AREA = rf"(?:{_AREA_3}|0[3-9][0-9]{{2}})"
CN_LANDLINE = Kind(  # the same plan: area codes of 3 and 4 digits, numbers of 7 and 8 that begin with 2 to 8
    "PHONE",
    "digits",
    matches(
        rf"{_PHONE_START}(?=((?:\({_AREA}\)[ \-]?[2-8][0-9]{{2,3}}[ \-]?[0-9]{{4}}"
        rf"|{_AREA}-[2-8][0-9]{{2,3}}[ \-]?[0-9]{{4}}|{_AREA_3}[ ]?[2-8][0-9]{{3}}[ \-]?[0-9]{{4}}"
        rf"|0[3-9][0-9]{{2}}[ ][2-8][0-9]{{6,7}}|86-(?:10|2[0-57-9]|[3-9][0-9]{{2}})-[2-8][0-9]{{6,7}}"
        rf"|[48]00-[0-9]{{3}}-?[0-9]{{4}}|[48]00-[0-9]{{4}}-[0-9]{{3}}|[48]00[0-9]-[0-9]{{3}}-[0-9]{{3}})"
        rf"{_EXTENSION}){_PHONE_END})",
        _is_phone,
        weak=True,
    ),
)
SSN = Kind(  # Social Security Administration
    "SSN",
    "digits",
    matches(
        rf"{glued('ssn', 'ssn-')}(?<![0-9]-)(?=([0-9]{{3}}([.\-])[0-9]{{2}}\2[0-9]{{4}}){_PHONE_END})",
        lambda text: is_ssn(digits_of(text)),
    ),
)
SSN_AFTER_CUE = Kind(
    "SSN",
    "digits",
    cued(
        r"(?<![a-z])(?:ssn|social security|social)(?![a-z])",
        rf"[0-9]{{3}}[ .\-]?[0-9]{{2}}[ .\-]?[0-9]{{4}}{_PHONE_END}",
        lambda text: is_ssn(digits_of(text)),
    ),
)
_US_SPACED = r"[2-9][0-9]{2}[ ][2-9][0-9]{2}[ ][0-9]{4}"
US_PHONE = Kind(  # the North American Numbering Plan
    "PHONE",
    "digits",
    matches(
        rf"{_PHONE_START}(?=((?:(?:\+|00)?1[ .\-]?)?(?:\([2-9][0-9]{{2}}\)[ .\-]{{0,2}}[0-9]{{3}}[ .\-]?[0-9]{{4}}"
        rf"|[2-9][0-9]{{2}}[.\-][0-9]{{3}}[.\-][0-9]{{4}}|(?<![^\n]){_US_SPACED}(?=[ ]*(?![^\n]))){_EXTENSION}){_PHONE_END})",
        lambda text: is_nanp(digits_of(re.split("(?i)[xe]", text)[0])),
        weak=True,
    ),
)
NATIONAL_PHONE = Kind(  # with the national prefix 0 (ITU-T E.123, 2001), as in the UK, Germany, France, Switzerland, Australia
    "PHONE",
    "digits",
    matches(
        rf"{_PHONE_START}(?=(0[1-9][0-9]{{1,3}}[ ][0-9]{{3,4}}[ ][0-9]{{3,4}}|0[1-9][0-9]{{1,4}}[ /\-][0-9]{{5,8}}"
        r"|0[1-9][0-9]{2}(?:[ ][0-9]{2}){3}|0[1-9][0-9]{1,2}[ ][0-9]{3}(?:[ ][0-9]{2}){2}"
        r"|0[1-9]([ .\-])[0-9]{2}(?:\2[0-9]{2}){3}|\(0[1-9][0-9]{1,4}\)[ ]?[0-9]{3,4}[ \-]?[0-9]{3,5}"
        rf"|07[1-57-9][0-9]{{8}}|01[5-7][0-9]{{8,9}}){_PHONE_END})",
        _is_national,
        weak=True,
    ),
)
PHONE = Kind(  # ITU-T E.164 (2010): 8 to 15 digits after the plus or the prefix 00
    "PHONE",
    "digits",
    matches(
        rf"{glued(*_PHONE_WORDS)}(?<!\+)(?=((?:\+[1-9](?:[ .\-/]?\(?[0-9]\)?){{7,14}}"
        rf"|(?<![0-9][ \-])00(?:1|7|[2-689][0-9]{{1,2}})[ \-](?:[ .\-/]?\(?[0-9]\)?){{6,13}})(?![0-9]){_EXTENSION})(?![0-9a-z_]))",
        _is_phone,
        weak=True,
    ),
)
_CUED_NUMBER = rf"(?:{_US_SPACED}(?![0-9a-z_])|\+?\(?[0-9](?:[ .\-/()]{{0,2}}[0-9]){{6,14}}(?![0-9])){_EXTENSION}(?![0-9a-z_])"
PHONE_AFTER_CUE = Kind(
    "PHONE",
    "digits",
    cued(
        r"(?<![a-z])(?:tel(?:ephone)?|telefon|téléphone|tél|teléfono|phones?|mobiles?|mob|cell(?:phone)?|fax|desk|whatsapp"
        r"|hotline|call(?: me| us| him| her| them)?(?: back)?|dial|text me|answering at|(?:reach|contact)(?: me| us| him| her"
        r"| them)? (?:at|on)|(?:my|your|his|her|our|their) (?:home |work |new |old )?number)(?![a-z])",
        _CUED_NUMBER,
        _is_phone,
    ),
)
CN_PHONE_AFTER_CUE = Kind(
    "PHONE",
    "digits",
    cued(
        "电话|電話|手机|手機|座机|座機|热线|熱線|传真|傳真|联系方式|聯繫方式|联系|聯繫|致电|致電|拨打|撥打|来电|來電|固话|固話|总机|總機|短信|客服",
        _CUED_NUMBER,
        _is_phone,
    ),
)

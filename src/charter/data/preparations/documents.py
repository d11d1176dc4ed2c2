"""Number plates and further documents that can be told by form: of mainland China, Hong Kong and Taiwan; foreign passports.

Bank cards stand in `personal` (ISO/IEC 7812 with the issuers' first digits, UnionPay's 62 and 81 among them, and the Luhn check).
"""

import re

from charter.data.identifiers import is_cn_residence, is_hk_id, is_tw_id
from charter.data.preparations.searches import ALONE, END, Kind, cued, matches

PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
"""The signs that plates of provinces begin with (GA 36-2018, annex; full names would be words, not plates)."""
_LETTER = "A-HJ-NP-Z"
_LAST = "学挂港澳警领超"


def is_plate(text: str) -> bool:
    """What GA 36-2018 allows after the province's sign and the authority's letter.

    Five signs with two letters at most, or four digits and a word sign; or six of a new-energy car: five digits and a letter A
    to K without I, before them (then one more sign may be a letter) or after them.
    """
    signs = re.sub(r"[^0-9A-Z]", "", text[1:].upper())[1:]
    if text[-1] in _LAST:
        return len(signs) == 4 and sum(sign.isalpha() for sign in signs) <= 1
    if len(signs) == 5:
        return sum(sign.isalpha() for sign in signs) <= 2
    small = re.fullmatch(rf"[A-HJK][{_LETTER}0-9][0-9]{{4}}", signs)
    return small is not None or re.fullmatch(r"[0-9]{5}[A-HJK]", signs) is not None


CN_PLATE = Kind(  # GA 36-2018; 使 and 领: embassies and consulates
    "CN_PLATE",
    "plate",
    matches(
        rf"((?:[{PROVINCES}][{_LETTER}](?![{_LETTER}]{{3}})[·•・.\- ]?(?:[{_LETTER}0-9]{{4}}[{_LAST}]|[{_LETTER}0-9]{{5,6}})"
        rf"|使[ ·]?[0-9]{{6}}))(?![0-9a-z_·])(?![栋座幢楼室层型])",
        lambda text: text[0] == "使" or is_plate(text),
        weak=True,
    ),
)
PLATE_LIKE = rf"[{PROVINCES}](?i:[a-zａ-ｚ])[·•・.．\-－ 　]?(?i:[a-z0-9ａ-ｚ０-９])|使[ 　·]?[0-9０-９]"
"""What a text must hold to be searched for plates at all; for Polars."""
PLATE_SEEN = re.compile(rf"[{PROVINCES}][A-Za-z]|使[ ·]?[0-9]")

CN_RESIDENCE = Kind(  # the foreigners' permanent residence card of 2023, GA/T 1186: 9, province, country, date of birth, check
    "CN_RESIDENCE", "digits", matches(rf"{ALONE}(?=(9[0-9]{{16}}[0-9x]){END})", is_cn_residence)
)
HK_ID = Kind(  # Hong Kong identity card: one or two letters, six digits, a check sign in brackets
    "HK_ID", "digits", matches(r"(?<![0-9a-z_])(?=([a-z]{1,2}[0-9]{6}\([0-9a]\)))", is_hk_id)
)
TW_ID = Kind(  # national identification of Taiwan, and the numbers of residents (second sign 8 or 9)
    "TW_ID",
    "digits",
    cued(
        r"身分證|身份證|身分证|身份证|統一編號|居留證|(?<![a-z])id(?![a-z])",
        rf"[a-z][1289][0-9]{{8}}{END}",
        is_tw_id,
    ),
)
CN_MILITARY = Kind(
    "CN_MILITARY",
    "digits",
    cued(r"军官证|士兵证|警官证|文职证|军人证", r"\w?字?第?[0-9]{7,8}号?", lambda text: True),  # noqa: ARG005
)
PASSPORT = Kind(  # ICAO Doc 9303, part 4: at most nine letters and digits
    "PASSPORT",
    "digits",
    cued(r"(?<![a-z])passport", rf"[a-z]{{0,2}}[0-9]{{7,9}}{END}", lambda text: len(text) <= 9),
)

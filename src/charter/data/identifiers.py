"""Check digits and numbering plans: whether a number can be what it looks like. Pure functions of compact text."""

import datetime
import re

# The IBAN registry of ISO 13616-2:2020: country -> characters of the whole IBAN.
IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28,
    "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18,
    "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22,
    "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20,
    "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18,
    "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SC": 31, "SE": 24,
    "SI": 19, "SK": 24, "SM": 27, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24,
    "XK": 20,
}  # fmt: skip

# First two digits of GB/T 2260-2007 (provinces), 83 (Taiwan, residents' permits) and 91 (abroad).
_PROVINCES = frozenset(
    f"{zone}{place}"
    for zone, places in enumerate(
        ("12345", "123", "1234567", "123456", "01234", "12345", "1", "123", "1"), start=1
    )
    for place in places
)

# Issuers' first digits (ISO/IEC 7812-1:2017 leaves them to the schemes, who publish them) and lengths of their numbers.
_ISSUERS = (
    (r"4", (13, 16, 19)),  # Visa
    (r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720", (16,)),  # Mastercard
    (r"3[47]", (15,)),  # American Express
    (r"30[0-5]|3095|36|3[89]", range(14, 20)),  # Diners Club
    (r"352[89]|35[3-8]", range(16, 20)),  # JCB
    (r"2131|1800", (15,)),  # JCB, older
    (r"220[0-4]", range(16, 20)),  # Mir
    (r"81|9558", range(16, 20)),  # UnionPay, and ICBC's older cards
    (r"50|5[6-8]|6", range(13, 20)),  # Maestro, UnionPay, Discover
)
_ISSUERS_COMPILED = tuple((re.compile(head), frozenset(lengths)) for head, lengths in _ISSUERS)

_USCC_SIGNS = "0123456789ABCDEFGHJKLMNPQRTUWXY"


def digits_of(text: str) -> str:
    """The ASCII digits of a text."""
    return re.sub(r"[^0-9]", "", text)


def passes_luhn(digits: str) -> bool:
    """The check digit of ISO/IEC 7812-1:2017, annex B (Luhn); all digits alike is no number."""
    if len(set(digits)) == 1:
        return False
    return _luhn_sum(digits) % 10 == 0


def _luhn_sum(digits: str) -> int:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total


def luhn_digit(body: str) -> str:
    """The Luhn check digit that follows these digits."""
    return next(digit for digit in "0123456789" if _luhn_sum(body + digit) % 10 == 0)


def is_card(digits: str) -> bool:
    """First digits and length of a known issuer, and the Luhn check (ISO/IEC 7812-1:2017)."""
    known = any(len(digits) in lengths and head.match(digits) for head, lengths in _ISSUERS_COMPILED)
    return known and passes_luhn(digits)


def is_iban(compact: str) -> bool:
    """The country's length and the check modulo 97 (ISO 13616-1:2020); half the account's signs or more are digits."""
    compact = compact.upper()
    account = compact[4:]
    if IBAN_LENGTHS.get(compact[:2]) != len(compact) or 2 * len(digits_of(account)) < len(account):
        return False
    return int("".join(str(int(sign, 36)) for sign in account + compact[:4])) % 97 == 1


def is_cn_id(compact: str) -> bool:
    """Resident identity number, 18 signs: province, a real date of birth, check sign (GB 11643-1999, ISO 7064 MOD 11-2)."""
    compact = compact.upper()
    if compact[:2] not in _PROVINCES or not "1880" <= compact[6:10] <= "2100" or not _is_day(compact[6:14]):
        return False
    return cn_id_check(compact[:17]) == compact[17]


def cn_id_check(body: str) -> str:
    """The check sign of the 17 digits before it (ISO 7064 MOD 11-2)."""
    total = sum(int(digit) * (2 ** (17 - place) % 11) for place, digit in enumerate(body))
    return "10X98765432"[total % 11]


def is_cn_residence(compact: str) -> bool:
    """Foreigners' permanent residence card since 2023: 9, province, country, date of birth, serial, check sign (as `is_cn_id`)."""
    dated = "1880" <= compact[6:10] <= "2100" and _is_day(compact[6:14])
    return compact[1:3] in _PROVINCES and dated and cn_id_check(compact[:17]) == compact[17].upper()


def is_hk_id(text: str) -> bool:
    """Hong Kong identity card, `A123456(3)`: weights 9 to 2 and the check sign make a multiple of 11 (A as check sign is 10)."""
    compact = re.sub(r"[()]", "", text.upper()).rjust(9)
    values = [36 if sign == " " else int(sign, 36) for sign in compact[:8]]
    check = 10 if compact[8] == "A" else int(compact[8])
    return (sum(value * (9 - place) for place, value in enumerate(values)) + check) % 11 == 0


def is_tw_id(compact: str) -> bool:
    """Identification of Taiwan: the letter as two digits, weights 1, 9, 8 ... 1, 1 make a multiple of 10."""
    letter = "ABCDEFGHJKLMNPQRSTUVXYWZIO".index(compact[0].upper()) + 10
    values = [letter // 10, letter % 10, *(int(sign) for sign in compact[1:])]
    return (
        sum(value * weight for value, weight in zip(values, (1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1), strict=True))
        % 10
        == 0
    )


def is_old_cn_id(digits: str) -> bool:
    """Resident identity number of 15 digits, given out until 1999: province and a real date of birth (GB 11643-1989)."""
    return digits[:2] in _PROVINCES and _is_day("19" + digits[6:12]) and digits[12:] != "000"


def is_uscc(compact: str) -> bool:
    """Unified social credit identifier, 18 signs: province and check sign modulo 31 (GB 32100-2015)."""
    compact = compact.upper()
    if compact[2:4] not in _PROVINCES and compact[2:4] != "10":  # 10: registered with the state itself
        return False
    try:
        values = [_USCC_SIGNS.index(sign) for sign in compact]
    except ValueError:
        return False
    total = sum(value * pow(3, place, 31) for place, value in enumerate(values[:17]))
    return (31 - total % 31) % 31 == values[17]


def is_ssn(digits: str) -> bool:
    """An area, group and serial that may be given out (Social Security Administration, randomisation of June 2011)."""
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"


def is_nanp(digits: str) -> bool:
    """A number of the North American plan: area and exchange begin with 2 to 9 (NPA-NXX, as open since 1995).

    200, 300 and 400 are no areas of it: round numbers stay.
    """
    last = digits[-10:]
    return (
        last[:3] not in ("200", "300", "400")
        and last[0] in "23456789"
        and last[3] in "23456789"
        and len(set(last)) > 1
    )


def _is_day(digits: str) -> bool:
    try:
        datetime.date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))
    except ValueError:
        return False
    return True

"""Texts in English: names, addresses and organisations as Faker's locales of Europe and the Americas write them."""

import random
from collections.abc import Callable
from functools import cache
from typing import Any

from charter.data.synthetic.templates import Part, Slot, of_part, parted

LOCALES = (
    "en_US", "en_US", "en_US", "en_GB", "en_AU", "en_CA", "en_IN", "de_DE", "fr_FR", "es_ES", "it_IT", "pt_BR", "nl_NL", "pl_PL",
    "cs_CZ", "da_DK", "fi_FI", "no_NO", "sv_SE", "hu_HU", "hr_HR", "sl_SI", "ro_RO", "tr_TR", "es_MX",
)  # fmt: skip
"""Whose names and addresses are written in Latin letters; those of the USA three times as often."""
THINGS = (
    "printer", "phone case", "apple", "orange", "amazon parrot", "java course", "python script", "washing machine", "turkey sandwich",
    "china plate", "jersey", "brie cheese", "cologne", "denim jacket", "champagne", "hamburger", "rose garden", "lily", "robin's nest",
    "jack plug", "bill", "mark sheet", "frank discussion", "grant application", "summer sale", "april issue", "june bug", "dawn chorus",
    "basil plant", "ginger tea", "olive oil", "pearl necklace", "ruby ring", "sandy beach", "daisy chain", "holly wreath", "iris scan",
    "password", "account", "subscription", "router", "battery", "headset", "keyboard", "coffee maker", "bicycle", "novel", "film",
    "refund", "invoice", "delivery", "newsletter", "homepage", "chess", "guitar", "violin", "museum", "library card", "train ticket",
    "wall street", "main road sign", "cooking class", "carter's cart", "smithy", "potter's wheel", "fisher boat", "baker's dozen",
    "kindle reader", "galaxy phone", "windows laptop", "oracle table", "visa application", "mercury thermometer", "champion", "victor",
)  # fmt: skip
_ENDS = ("Solutions", "Group", "Labs", "Partners", "Holdings", "Systems", "Media", "Bank", "Foundation", "University", "Hospital",
         "Analytics", "Health", "Networks", "Airlines", "Insurance", "Records", "Motors", "College", "School", "Council")  # fmt: skip
_BEGINS = ("Data", "Info", "Open", "Green", "Smart", "Cyber", "Geo", "Net", "Power", "Blue", "Meta", "Eco", "Omni", "Trans", "Nova",
           "Hyper", "Micro", "True", "Rapid", "First", "Inter", "Bio")  # fmt: skip


@cache
def _faker(locale: str) -> Any:
    from faker import Faker

    fake = Faker(locale)
    for provider in fake.get_providers():
        if isinstance(
            getattr(provider, "cities", None), list
        ):  # it_IT's come from a set, in another order in each process
            provider.cities = sorted(provider.cities)
    return fake


def _of(draw: random.Random) -> Any:
    """One locale's generator, going on from the state of the one that draws."""
    fake = _faker(draw.choice(LOCALES))
    fake.seed_instance(draw.randrange(2**32))
    return fake


def _words(draw: random.Random) -> Any:
    """English words and countries, going on from the state of the one that draws: as Faker starts, it goes by the system's chance."""
    words = _faker("en_US")
    words.seed_instance(draw.randrange(2**32))
    return words


def _drawn(make: Callable[[Any, random.Random], str]) -> Callable[[random.Random, Part], str]:
    return lambda draw, part: of_part(part, lambda: make(_of(draw), draw))


def _first(draw: random.Random, part: Part) -> str:
    return of_part(part, lambda: str(_of(draw).first_name()))


def _last(draw: random.Random, part: Part) -> str:
    return of_part(part, lambda: str(_of(draw).last_name()))


def _person(draw: random.Random, part: Part) -> str:
    fake = _of(draw)
    first = of_part(part, lambda: str(fake.first_name()))
    last = of_part(part, lambda: str(fake.last_name()))
    how = draw.random()
    if how < 0.7:
        name = f"{first} {last}"
    elif how < 0.8:
        name = f"{first} {draw.choice('ABCDEFGHJKLMNPRST')}. {last}"
    elif how < 0.85:
        name = f"{first[0]}. {last}"
    elif how < 0.92:
        name = f"{first} {fake.first_name()} {last}"
    else:
        name = f"{first} {last}-{fake.last_name()}"
    turn = draw.random()
    return name.upper() if turn < 0.04 else name.lower() if turn < 0.07 else name


def _street(draw: random.Random, part: Part) -> str:
    fake = _of(draw)

    def make() -> str:
        street = str(fake.street_address()).replace("\n", ", ")
        return (
            street
            if draw.random() < 0.85
            else f"{street}, {draw.choice(('Apt.', 'Suite', 'Flat', 'Unit'))} {draw.randint(1, 999)}"
        )

    return of_part(part, make)


def _address(draw: random.Random, part: Part) -> str:
    """On one line or several, the country sometimes last, sometimes without it."""
    fake = _of(draw)

    def make() -> str:
        how = draw.random()
        if how < 0.35:
            address = str(fake.address())
        else:
            lines = [str(fake.street_address()).replace("\n", ", "), str(fake.city()), str(fake.postcode())]
            if draw.random() < 0.5:
                lines[1:] = [f"{lines[2]} {lines[1]}" if draw.random() < 0.5 else f"{lines[1]} {lines[2]}"]
            if draw.random() < 0.4:
                lines.append(str(_words(draw).country()))
            address = draw.choice(("\n", ", ", " ", "\n ")).join(lines)
        return address if draw.random() < 0.6 else address.replace("\n", ", ")

    return of_part(part, make)


def _noise(draw: random.Random, part: Part) -> str:
    """A sentence of common words in no order, so that a model learns how most words are used: for nobody's name."""
    del part
    words = _words(draw)
    how = draw.random()
    if how < 0.6:
        return str(words.sentence(nb_words=draw.randint(5, 18)))
    return (
        f"{str(words.bs()).capitalize()} {words.sentence(nb_words=5).lower()}"
        if how < 0.8
        else f"{words.catch_phrase()}."
    )


def _date(draw: random.Random, part: Part) -> str:
    del part
    day, month, year = draw.randint(1, 28), draw.randint(1, 12), draw.randint(1930, 2030)
    in_numbers = f"{month}/{day}/{year}", f"{year}-{month:02d}-{day:02d}", f"{day}.{month}.{year}"
    return draw.choice((*in_numbers, f"{_MONTHS[month - 1]} {day}, {year}", f"{year}"))


_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
           "December")  # fmt: skip


def _city(fake: Any, draw: random.Random) -> str:
    name = str(fake.city())
    return name.upper() if draw.random() < 0.05 else name


def _organisation(fake: Any, draw: random.Random) -> str:
    how = draw.random()
    if how < 0.4:
        return str(fake.company())
    words = _words(draw)
    if how < 0.55:
        return f"{str(words.word()).title()} {str(words.word()).title()} {draw.choice(_ENDS)}"
    if how < 0.7:
        return draw.choice(_BEGINS) + draw.choice(
            (str(words.word()), draw.choice(_BEGINS).lower(), "ly", "ix", "ware")
        )
    if how < 0.85:
        return f"{draw.choice((str(fake.city()), str(fake.last_name())))} {draw.choice(_ENDS)}"
    if how < 0.93:
        return f"{str(words.word()).title()} {draw.choice(('and', '&'))} {str(words.word()).title()}"
    return "".join(draw.choice("ABCDEFGHIKLMNOPRST") for _ in range(draw.randint(3, 4)))


_DAYS = ("Monday", "3 May", "12/04/2021", "June 2019", "Friday", "2020-07-01")


def _phone(draw: random.Random, part: Part) -> str:
    del part
    return f"{draw.randint(200, 989)}-{draw.randint(200, 989)}-{draw.randrange(10**4):04d}"


def _country(fake: Any, draw: random.Random) -> str:
    del fake
    return str(
        _words(draw).country()
        if draw.random() < 0.8
        else draw.choice(("USA", "the UK", "UAE", "U.S.", "Holland"))
    )


def slots() -> dict[str, Slot]:
    """What fills the slots of English templates."""
    return {
        "person": Slot("PERSON", _person),
        "first": Slot("PERSON", _first),
        "last": Slot("PERSON", _last),
        "street": Slot("ADDRESS", _street),
        "address": Slot("ADDRESS", _address),
        "city": Slot("LOCATION", _drawn(_city)),
        "country": Slot("LOCATION", lambda draw, part: _country(None, draw)),  # noqa: ARG005
        "org": Slot("ORGANIZATION", _drawn(_organisation)),
        "zip": Slot("ADDRESS", lambda draw, part: str(_of(draw).postcode())),  # noqa: ARG005
        "phone": Slot("PHONE", _phone),
        "email": Slot("EMAIL", lambda draw, part: str(_of(draw).ascii_free_email())),  # noqa: ARG005
        "thing": Slot(None, lambda draw, part: draw.choice(parted(THINGS, part))),
        "noise": Slot(None, _noise),
        "date": Slot(None, _date),
        "age": Slot(None, lambda draw, part: str(draw.randint(18, 99))),  # noqa: ARG005
        "n": Slot(None, lambda draw, part: str(draw.randint(1, 99999))),  # noqa: ARG005
        "day": Slot(None, lambda draw, part: draw.choice(_DAYS)),  # noqa: ARG005
    }

"""Sentence templates filled with made-up values: the text, and where each value stands in it.

A template is text with slots and choices: `<Dear|Hello> {first}, your order reached {address}.`
"""

import random
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")

_CHOICE = re.compile(r"<([^<>]*)>")
_SLOT = re.compile(r"\{(\w+)\}")
MOST_DRAWS = 200
"""How often a value is drawn anew until it is one of the part asked for."""


@dataclass(frozen=True)
class Slot:
    """How a slot is filled: its kind of personal data (None: none), and a value by a random generator and a part."""

    kind: str | None
    make: Callable[[random.Random, Part], str]


@dataclass(frozen=True)
class Marked:
    """A text and its spans (start, end, kind), in characters, end exclusive, in order. template: which one it was made of."""

    text: str
    spans: tuple[tuple[int, int, str], ...]
    template: int


def filled(template: str, number: int, slots: Mapping[str, Slot], draw: random.Random, part: Part) -> Marked:
    """A template with its choices made and its slots filled.

    Raises:
        KeyError: a slot that nothing fills.
    """
    chosen = template
    while _CHOICE.search(chosen):
        chosen = _CHOICE.sub(lambda one: draw.choice(one.group(1).split("|")), chosen)
    parts: list[str] = []
    spans: list[tuple[int, int, str]] = []
    length = at = 0
    for one in _SLOT.finditer(chosen):
        slot = slots[one.group(1)]
        value = slot.make(draw, part)
        before = chosen[at : one.start()]
        length += len(before)
        if slot.kind is not None:
            spans.append((length, length + len(value), slot.kind))
        parts += [before, value]
        length += len(value)
        at = one.end()
    return Marked("".join([*parts, chosen[at:]]), tuple(spans), number)


def part_of(word: str) -> Part:
    """Which part a word belongs to, the same in every process: 8 in 10 are for training, the rest for the other two."""
    tenth = zlib.crc32(word.encode()) % 10
    return "train" if tenth < 8 else "validation" if tenth == 8 else "test"


def of_part(part: Part, make: Callable[[], str]) -> str:
    """A value that belongs to the part, so that what a model is judged by was never learned."""
    for _ in range(MOST_DRAWS):
        value = make()
        if part_of(value) == part:
            return value
    raise RuntimeError(f"no value of part '{part}' in {MOST_DRAWS} draws: the words to draw from are too few")


def parted(words: Sequence[str], part: Part) -> tuple[str, ...]:
    """Those of the words that belong to the part."""
    return tuple(word for word in words if part_of(word) == part)

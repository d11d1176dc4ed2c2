"""Entities in sequences of tags, as seqeval counts them; and words in texts."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_PREFIXES = {"B": "B", "I": "I", "E": "E", "S": "S", "L": "E", "U": "S", "M": "I"}
# A Han character is a word of its own; kana, Hangul and Latin run together; every other sign stands alone.
_WORD = re.compile(
    r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af]|[^\W_\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+|[^\s]"
)


@dataclass(frozen=True, order=True)
class Entity:
    """An entity of `label` over words start (inclusive) to end (exclusive)."""

    label: str
    start: int
    end: int


@dataclass(frozen=True)
class Words:
    """The words of a text and where each stands: `spans` are (start, end) characters."""

    words: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]


def split_words(text: str) -> Words:
    """Words of a text: runs of letters and digits, each Han character, each other sign."""
    found = list(_WORD.finditer(text))
    return Words(tuple(one.group() for one in found), tuple(one.span() for one in found))


def is_tag(tag: str) -> bool:
    """Whether a tag is O or a prefix of IOB, IOBES or BILOU with a type."""
    return tag == "O" or (len(tag) > 2 and tag[0] in _PREFIXES and tag[1] == "-")


def entities(tags: Sequence[str]) -> list[Entity]:
    """The entities in a sequence of tags, in order, by seqeval's default rule.

    IOB1, IOB2, IOBES and BILOU are read alike: an I without a B before it begins an entity; a change of type ends one.
    """
    found: list[Entity] = []
    before, label_before, begun = "O", "", 0
    for place, tag in enumerate([*tags, "O"]):
        prefix, label = ("O", "") if tag == "O" else (_PREFIXES[tag[0]], tag[2:])
        if before != "O" and (before in "ES" or prefix in "BSO" or label != label_before):
            found.append(Entity(label_before, begun, place))
            before = "O"
        if prefix != "O" and (before == "O"):
            begun = place
        before, label_before = prefix, label
    return found


def as_iob2(found: Sequence[Entity], length: int) -> list[str]:
    """Tags B-, I- and O of a sequence with these entities."""
    tags = ["O"] * length
    for one in found:
        tags[one.start] = f"B-{one.label}"
        for place in range(one.start + 1, one.end):
            tags[place] = f"I-{one.label}"
    return tags


MOST_WORDS = 100
"""Words of a sentence that the report shows at most."""


def shown_entities(
    words: list[str], true: Sequence[Entity], found: Sequence[Entity], sure: NDArray[np.float64]
) -> dict[str, Any]:
    """A misjudged sentence as JSON: the words shown, true and found entities; sure: (words,) of each word's tag."""
    begin, end = _window(len(words), true, found)
    return {
        "words": ["…"] * (begin > 0) + words[begin:end] + ["…"] * (end < len(words)),
        "truth": _spans(true, words, begin, end),
        "answer": [
            {**span, "probability": round(float(sure[one.start : one.end].mean()), 4)}
            for span, one in zip(_spans(found, words, begin, end), _inside(found, begin, end), strict=True)
        ],
    }


def _window(length: int, true: Sequence[Entity], found: Sequence[Entity]) -> tuple[int, int]:
    """The words that are shown: all, or of a long sentence those around its first mistake."""
    most = MOST_WORDS
    if length <= most:
        return 0, length
    first = min(one.start for one in set(true) ^ set(found))
    begin = max(0, min(first - most // 2, length - most))
    return begin, begin + most


def _inside(found: Sequence[Entity], begin: int, end: int) -> list[Entity]:
    return [one for one in found if begin <= one.start and one.end <= end]


def _spans(found: Sequence[Entity], words: Sequence[str], begin: int, end: int) -> list[dict[str, Any]]:
    """Entities with their place among the words shown."""
    shift = (begin > 0) - begin
    return [
        {
            "label": one.label,
            "start": one.start + shift,
            "end": one.end + shift,
            "text": " ".join(words[one.start : one.end]),
        }
        for one in _inside(found, begin, end)
    ]

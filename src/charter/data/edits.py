"""What a preparation did to a text, place by place, so that spans move with it and answers find their way back."""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Span = Mapping[str, Any]


@dataclass(frozen=True)
class Edit:
    """Characters start to end (exclusive) of a text became `text`; start == end is an insertion."""

    start: int
    end: int
    text: str


Edits = tuple[Edit, ...]
"""Edits of one text, in order, none touching the characters of another."""
Chain = tuple[Edits, ...]
"""Edits made one after the other: each speaks of the text that the one before it left."""


@dataclass(frozen=True)
class Place:
    """Characters start to end (exclusive). start == end: nothing is left of it."""

    start: int
    end: int


def applied(edits: Edits, text: str) -> str:
    """The text after the edits."""
    parts: list[str] = []
    at = 0
    for one in edits:
        parts += [text[at : one.start], one.text]
        at = one.end
    return "".join([*parts, text[at:]])


def replaced(pattern: re.Pattern[str], by: Callable[[re.Match[str]], str], text: str) -> Edits:
    """The edits that `re.sub` would make."""
    found = (Edit(*match.span(), by(match)) for match in pattern.finditer(text))
    return tuple(one for one in found if text[one.start : one.end] != one.text)


def inverted(edits: Edits, text: str) -> Edits:
    """The edits that lead back, from what `edits` make of `text` to `text`."""
    back: list[Edit] = []
    shift = 0
    for one in edits:
        start = one.start + shift
        back.append(Edit(start, start + len(one.text), text[one.start : one.end]))
        shift += len(one.text) - (one.end - one.start)
    return tuple(back)


def moved(place: Place, edits: Edits) -> Place:
    """Where a place stands after the edits; one that begins or ends inside an edited part takes the whole of it.

    What is inserted just before or just after a place does not belong to it.
    """
    start = end = None
    shift = 0
    for one in edits:
        after = one.start + shift
        if start is None and (place.start < one.end or place.start == one.start < one.end):
            start = place.start + shift if place.start <= one.start else after
        if end is None and (place.end <= one.start or place.end < one.end):
            end = place.end + shift if place.end <= one.start else after + len(one.text)
        if start is not None and end is not None:
            break
        shift += len(one.text) - (one.end - one.start)
    start = place.start + shift if start is None else start
    end = place.end + shift if end is None else end
    return Place(start, max(start, end))


def carried(place: Place, chain: Iterable[Edits]) -> Place:
    """Where a place stands after a whole chain."""
    for edits in chain:
        place = moved(place, edits)
    return place


def backwards(chain: Chain, text: str) -> Chain:
    """The chain that leads from what `chain` makes of `text` back to `text`."""
    back: list[Edits] = []
    for edits in chain:
        back.append(inverted(edits, text))
        text = applied(edits, text)
    return tuple(reversed(back))


def aligned(before: str, after: str) -> Edits:
    """Edits that lead from one text to another, where nobody said which: words first, then inside changed words.

    The longest common runs are taken as unchanged (Ratcliff and Obershelp, as difflib has it).
    """
    found: list[Edit] = []
    old, new = _WORDS.findall(before), _WORDS.findall(after)
    old_at, new_at = _starts(old), _starts(new)
    for kind, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind != "equal":
            one = Edit(old_at[a], old_at[b], after[new_at[c] : new_at[d]])
            found += _inside(one, before) if one.end - one.start <= MOST_ALIGNED else [one]
    return tuple(found)


_WORDS = re.compile(r"\s+|\S+")
MOST_ALIGNED = 400
"""A changed run longer than this is one edit; shorter ones are aligned character by character."""


def _starts(words: Sequence[str]) -> list[int]:
    starts = [0]
    for word in words:
        starts.append(starts[-1] + len(word))
    return starts


def _inside(edit: Edit, before: str) -> list[Edit]:
    part = before[edit.start : edit.end]
    codes = difflib.SequenceMatcher(None, part, edit.text, autojunk=False).get_opcodes()
    return [
        Edit(edit.start + a, edit.start + b, edit.text[c:d]) for kind, a, b, c, d in codes if kind != "equal"
    ]


@dataclass(frozen=True)
class MovedSpans:
    """Spans after a chain of edits, and how many of them nothing is left of."""

    spans: tuple[dict[str, Any], ...]
    vanished: int


def moved_spans(spans: Iterable[Span], chain: Chain) -> MovedSpans:
    """The spans `{start, end, label}` of a text after its edits; those whose text vanished are left out and counted."""
    kept: list[dict[str, Any]] = []
    vanished = 0
    for span in spans:
        place = carried(Place(span["start"], span["end"]), chain)
        if place.end > place.start:
            kept.append({**span, "start": place.start, "end": place.end})
        else:
            vanished += 1
    return MovedSpans(tuple(kept), vanished)

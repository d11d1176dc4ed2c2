"""Put something in the place of what was found: in texts, and in lists of words, whose number must not change."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from charter.data.detecting import Detected, Detector
from charter.data.edits import Edit, Edits, applied
from charter.data.preparations.forms import PLACEHOLDER, Found, find, flagged
from charter.data.preparations.searches import Kind

Shown = Callable[[str, str], str]
"""(kind, the value as it stood) -> what stands in its place."""
Words = Sequence[str | None]


def placeholder(kind: str, value: str) -> str:
    """The kind in brackets, whatever the value."""
    del value
    return f"[{kind}]"


@dataclass(frozen=True)
class Masker:
    """Finds by form, then by a detector, what is left; `protected` is what was masked before."""

    kinds: tuple[Kind, ...]
    shown: Shown = placeholder
    detector: Detector | None = None
    protected: re.Pattern[str] = PLACEHOLDER

    def found(self, texts: Sequence[str]) -> list[list[Found]]:
        """What is found in each text, in order, none overlapping."""
        if self.detector is None:
            return [find(text, self.kinds, self.protected) for text in texts]
        can = flagged(pl.Series(texts, dtype=pl.String), self.kinds).to_list()
        by_form = [
            find(text, self.kinds, self.protected) if may else []
            for text, may in zip(texts, can, strict=True)
        ]
        detected = self.detector.detect(texts)
        return [self._with_detected(*three) for three in zip(texts, by_form, detected, strict=True)]

    def masked_texts(self, cells: pl.Series, counts: Counter[str]) -> tuple[pl.Series, dict[str, Edits]]:
        """The column masked, and what was done to each text that changed. counts: gets how many of each kind."""
        asked = cells.is_not_null() if self.detector is not None else flagged(cells, self.kinds)
        texts = cells.filter(asked).to_list()
        found = self.found(texts)
        for each in found:
            counts.update(one.name for one in each)
        changes = [self.as_edits(text, each) for text, each in zip(texts, found, strict=True)]
        if not texts:
            return cells, {}
        masked = [applied(edits, text) for edits, text in zip(changes, texts, strict=True)]
        told = {text: edits for text, edits in zip(texts, changes, strict=True) if edits}
        return cells.scatter(asked.arg_true(), pl.Series(masked, dtype=pl.String)), told

    def unread(self, cells: pl.Series) -> int:
        """How many of the texts, or lists of words, the detector can hardly read."""
        if self.detector is None:
            return 0
        texts = cells.drop_nulls()
        return self.detector.unread(
            (texts.list.join(" ") if isinstance(texts.dtype, pl.List) else texts).to_list()
        )

    def masked_words(self, cells: pl.Series, counts: Counter[str]) -> pl.Series:
        """A column of lists of words masked; what runs over several words makes each of them its placeholder.

        They are searched twice: as they were written, as far as that can be told, and with a space between all of them.
        """
        if self.detector is None:
            asked = flagged(cells.list.join(""), self.kinds) | flagged(cells.list.join(" "), self.kinds)
        else:
            asked = cells.is_not_null()
        rows = [_Joined.of(one) for one in cells.filter(asked).to_list()]
        found = self.found([one.text for one in rows])
        masked = iter(
            [
                self._again(row.masked(each, self.shown, counts), row, counts)
                for row, each in zip(rows, found, strict=True)
            ]
        )
        values = [next(masked) if flag else cell for flag, cell in zip(asked, cells.to_list(), strict=True)]
        return pl.Series(cells.name, values, dtype=pl.List(pl.String)) if len(rows) else cells

    def _again(self, words: list[str | None], row: "_Joined", counts: Counter[str]) -> list[str | None]:
        if not row.glued:
            return words
        spaced = _Joined.of(words, spaced=True)
        return spaced.masked(find(spaced.text, self.kinds, self.protected), self.shown, counts)

    def as_edits(self, text: str, found: Sequence[Found]) -> Edits:
        """What was found in a text as edits of it."""
        return tuple(
            Edit(one.start, one.end, self.shown(one.name, text[one.start : one.end])) for one in found
        )

    def _with_detected(self, text: str, by_form: list[Found], detected: Sequence[Detected]) -> list[Found]:
        """What a detector found beside: nothing of it inside of what a form told, or of what was masked before."""
        taken = [(one.start, one.end) for one in by_form]
        taken = sorted([*taken, *(match.span() for match in self.protected.finditer(text))])
        more = [
            Found(start, end, one.kind)
            for one in detected
            for start, end in _left(one.start, one.end, taken)
            if any(sign.isalnum() for sign in text[start:end])
        ]
        return sorted([*by_form, *(_trimmed(one, text) for one in more)])


def _left(start: int, end: int, taken: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """What is left of a place without those that are taken."""
    left: list[tuple[int, int]] = []
    for begin, stop in taken:
        if stop <= start or begin >= end:
            continue
        if begin > start:
            left.append((start, begin))
        start = max(start, stop)
    return [*left, (start, end)] if start < end else left


def _trimmed(one: Found, text: str) -> Found:
    """Without the spaces and signs around it, but for a closing bracket or point that belongs to it."""
    start, end = one.start, one.end
    while not text[start].isalnum():
        start += 1
    while text[end - 1].isspace() or text[end - 1] in ",;:，；：、(（":
        end -= 1
    return Found(start, end, one.name)


@dataclass(frozen=True)
class _Joined:
    """Words as one text: where each ends in it; glued: some were joined without a space."""

    words: Words
    text: str
    ends: tuple[int, ...]
    glued: bool

    @classmethod
    def of(cls, words: Words, *, spaced: bool = False) -> "_Joined":
        known = [word or "" for word in words]
        glued = [_are_glued(*three) for three in zip(known, known[1:], [*known[2:], ""], strict=False)]
        if spaced:
            glued = [False] * len(glued)
        ends: list[int] = []
        parts: list[str] = []
        for word, joint in zip(known, [*("" if one else " " for one in glued), ""], strict=True):
            ends.append((ends[-1] + len(parts[-1]) if ends else 0) + len(word))
            parts += [word, joint]
        return cls(words, "".join(parts), tuple(ends), any(glued))

    def masked(self, found: Sequence[Found], shown: Shown, counts: Counter[str]) -> list[str | None]:
        words, ends = self.words, self.ends
        masked = list(words)
        place = 0
        for one in found:
            counts[one.name] += 1
            stands = shown(one.name, self.text[one.start : one.end])
            while ends[place] <= one.start:
                place += 1
            while place < len(words) and ends[place] - len(words[place] or "") < one.end:
                masked[place] = stands
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

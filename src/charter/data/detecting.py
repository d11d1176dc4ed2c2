"""What finds personal data that no form tells: a value that preparations ask, made by a plug-in of the kind `detector`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, order=True)
class Detected:
    """Characters start to end (exclusive) of a text are personal data of this kind, such as PERSON."""

    start: int
    end: int
    kind: str


@dataclass(frozen=True)
class Recall:
    """The share of a kind's places that a detector finds, with its interval, measured on the detector's own test rows."""

    value: float
    low: float
    high: float
    confidence: float


def _all_read(texts: Sequence[str]) -> int:
    del texts
    return 0


def _nothing() -> Mapping[str, Recall]:
    return MappingProxyType({})


@dataclass(frozen=True)
class Detector:
    """Finds personal data in texts.

    detect: texts -> what was found in each, in order of their places, none overlapping. It reads every text to its end.
    kinds: every kind that it may tell. digest: names what it finds things with, for the keys of artefacts. None of the three is
    called before rows are prepared, so that a charter can be checked on a machine that lacks it. recalls: of the kinds whose recall
    was measured; name: of what finds them, for people. unread: texts -> how many of them it can hardly read, such as those of a language
    that it never learned; what it misses in these nobody has measured.
    """

    detect: Callable[[Sequence[str]], list[list[Detected]]]
    kinds: Callable[[], frozenset[str]]
    digest: Callable[[], str]
    recalls: Callable[[], Mapping[str, Recall]] = _nothing
    name: str = ""
    unread: Callable[[Sequence[str]], int] = _all_read


Labels = Mapping[str, str | None]
"""What a detector calls things -> the kind that stands in their place; None: they stay."""

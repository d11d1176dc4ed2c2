r"""Limits: small expressions over findings, such as `recall[class=negative] >= 0.7`.

limit   = metric [ "[" slice { "," slice } "]" ] comparison number
slice   = word "=" word             value "*" stands for every slice of that name that has evidence
word    = anything but , = [ ] and ", or text in double quotes, where \" is a quote and \\ a backslash
"""

import math
import re
from dataclasses import dataclass
from typing import Literal, get_args

Comparison = Literal[">=", "<=", ">", "<"]
Judge = Literal["interval", "point"]

# Possessive quantifiers (*+, ++) keep every pattern linear, whatever text it is given.
_METRIC = re.compile(r"[A-Za-z_][A-Za-z0-9_@.]*+")
_WORD = re.compile(r'\s*+(?:"(?P<quoted>(?:[^"\\]|\\["\\])*+)"|(?P<plain>[^,=\[\]"]++))\s*+')
_BOUND = re.compile(
    r"\s*+(?P<comparison>>=|<=|>|<)\s*+(?P<bound>[-+]?(?:\d++\.?\d*+|\.\d++)(?:[eE][-+]?\d++)?)\s*+",
    re.ASCII,
)
_SPACE = re.compile(r"\s*+")


@dataclass(frozen=True)
class Limit:
    """One limit that a model must keep.

    `slices` are (name, value) pairs in the order written; value `*` is a wildcard. `judge` says which end of a
    finding's interval is held against the bound: the worse one (`interval`) or the value itself (`point`).

    Raises:
        ValueError: parts that could not be written as a limit: no metric name, a bound that is not finite, a slice
            without a name or named twice.
    """

    metric: str
    comparison: Comparison
    bound: float
    slices: tuple[tuple[str, str], ...] = ()
    judge: Judge = "interval"

    def __post_init__(self) -> None:
        if not _METRIC.fullmatch(self.metric):
            raise ValueError(f"not a metric name: {self.metric[:60]!r}")
        if self.comparison not in get_args(Comparison) or self.judge not in get_args(Judge):
            raise ValueError(f"not a comparison and judge: {self.comparison!r}, {self.judge!r}")
        if not math.isfinite(self.bound):
            raise ValueError(f"the bound of {self.metric} is not a finite number")
        names = [name for name, _ in self.slices]
        if "" in names:
            raise ValueError(f"a slice of {self.metric} has no name")
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"slice '{twice}' of {self.metric} stands twice")

    def __str__(self) -> str:
        inside = ", ".join(f"{_word(name)}={_word(value)}" for name, value in self.slices)
        where = f"[{inside}]" if inside else ""
        return f"{self.metric}{where} {self.comparison} {_number(self.bound)}"

    def kept_by(self, value: float) -> bool:
        """Whether one number keeps the limit; a number that is not a number never does."""
        if self.comparison == ">=":
            return value >= self.bound
        if self.comparison == "<=":
            return value <= self.bound
        return value > self.bound if self.comparison == ">" else value < self.bound


def parse_limit(text: str, judge: Judge = "interval") -> Limit:
    """Read one limit.

    Raises:
        ValueError: the text is no limit, with the form that is accepted.

    >>> parse_limit("recall[class=negative] >= 0.7").slices
    (('class', 'negative'),)
    """
    metric = _METRIC.match(text, _past_space(text, 0))
    if metric is None:
        raise _not_a_limit(text)
    position = _past_space(text, metric.end())
    slices = _Slices((), position)
    if text.startswith("[", position):
        slices = _read_slices(text, position + 1)
    bound = _BOUND.fullmatch(text, slices.end)
    if bound is None:
        raise _not_a_limit(text)
    return Limit(
        metric.group(),
        bound["comparison"],  # type: ignore[arg-type]
        float(bound["bound"]),
        slices.found,
        judge,
    )


@dataclass(frozen=True)
class _Slices:
    found: tuple[tuple[str, str], ...]
    end: int


def _read_slices(text: str, position: int) -> _Slices:
    found: list[tuple[str, str]] = []
    while True:
        name = _WORD.match(text, position)
        value = _WORD.match(text, name.end() + 1) if name and text.startswith("=", name.end()) else None
        if name is None or value is None or _is_blank(name) or _is_blank(value):
            raise ValueError(
                f"not a slice in {_short(text)}: write [name=value], such as [class=negative], "
                'and put a name or value that holds , = [ ] or " in double quotes'
            )
        found.append((_read(name), _read(value)))
        position = value.end() + 1
        if text.startswith("]", value.end()):
            return _Slices(tuple(found), position)
        if not text.startswith(",", value.end()):
            raise ValueError(f"the brackets in {_short(text)} are not closed by ]")


def _is_blank(word: re.Match[str]) -> bool:
    return word["plain"] is not None and not word["plain"].strip()


def _read(word: re.Match[str]) -> str:
    quoted = word["quoted"]
    return str(re.sub(r'\\(["\\])', r"\1", quoted) if quoted is not None else word["plain"].strip())


def _past_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _not_a_limit(text: str) -> ValueError:
    return ValueError(
        f"not a limit: {_short(text)}. Write metric, comparison and number, such as 'macro_f1 >= 0.65' "
        "or 'recall[class=negative] >= 0.7'"
    )


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")


def _word(text: str) -> str:
    if text == text.strip() and _WORD.fullmatch(text) and not text.startswith('"'):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _number(bound: float) -> str:
    short = f"{bound:g}"
    return short if float(short) == bound else repr(float(bound))

"""Limits: small expressions over findings, such as `recall[class=negative] >= 0.7`.

limit   = metric [ "[" slice { "," slice } "]" ] comparison number
slice   = name "=" value            value "*" stands for every slice of that name that has evidence
value   = anything but , ] and =, or text in double quotes
"""

import re
from dataclasses import dataclass
from typing import Literal

Comparison = Literal[">=", "<=", ">", "<"]
Judge = Literal["interval", "point"]

_LIMIT = re.compile(
    r"\s*(?P<metric>[A-Za-z_][A-Za-z0-9_@.]*)\s*"
    r"(?:\[(?P<slices>(?:[^\]\"]|\"[^\"]*\")*)\])?\s*"
    r"(?P<comparison>>=|<=|>|<)\s*"
    r"(?P<bound>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*"
)
_SLICE = re.compile(r"\s*(?P<name>\w+)\s*=\s*(?:\"(?P<quoted>[^\"]*)\"|(?P<plain>[^,=\"\]]+?))\s*(?:,|$)")


@dataclass(frozen=True)
class Limit:
    """One limit that a model must keep.

    `slices` are (name, value) pairs in the order written; value `*` is a wildcard. `judge` says which end of a
    finding's interval is held against the bound: the worse one (`interval`) or the value itself (`point`).
    """

    metric: str
    comparison: Comparison
    bound: float
    slices: tuple[tuple[str, str], ...] = ()
    judge: Judge = "interval"

    def __str__(self) -> str:
        inside = ", ".join(f"{name}={_quote(value)}" for name, value in self.slices)
        where = f"[{inside}]" if inside else ""
        return f"{self.metric}{where} {self.comparison} {self.bound:g}"

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
    match = _LIMIT.fullmatch(text)
    if match is None:
        raise ValueError(
            f"not a limit: {text!r}. Write metric, comparison and number, such as 'macro_f1 >= 0.65' "
            "or 'recall[class=negative] >= 0.7'"
        )
    slices = _slices(match["slices"], text)
    return Limit(match["metric"], match["comparison"], float(match["bound"]), slices, judge)  # type: ignore[arg-type]


def _slices(text: str | None, whole: str) -> tuple[tuple[str, str], ...]:
    if text is None:
        return ()
    found: list[tuple[str, str]] = []
    position = 0
    while position < len(text):
        match = _SLICE.match(text, position)
        if match is None:
            raise ValueError(f"not a slice in {whole!r}: write name=value, such as [class=negative]")
        value = match["quoted"] if match["quoted"] is not None else match["plain"]
        if match["name"] in dict(found):
            raise ValueError(f"slice '{match['name']}' stands twice in {whole!r}")
        found.append((match["name"], value))
        position = match.end()
    if not found:
        raise ValueError(f"empty brackets in {whole!r}: write name=value, or leave the brackets out")
    return tuple(found)


def _quote(value: str) -> str:
    return f'"{value}"' if re.search(r'[,=\]"]|^\s|\s$', value) else value

"""How personal data is searched for in a text: patterns tried at every place, and numbers after cue words.

A place that is taken already holds TAKEN, which no pattern matches: nothing is found twice, nothing inside a placeholder,
and no list of places is ever searched. Each search takes time linear in the text: a pattern starts only where a group of
signs starts, and reads a bounded number of groups from there.
"""

import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from charter.data.edits import Place

Needs = Literal["@", "link", "digits", "plate"]
Search = Callable[[str], Iterator[Place]]
Passes = Callable[[str], bool]

TAKEN = "\x00"
"""Stands for each sign of a place that is taken."""


@dataclass(frozen=True)
class Kind:
    """One kind of personal data: its name, what a text must hold to be searched at all, and the search."""

    name: str
    needs: Needs
    search: Search

    @property
    def placeholder(self) -> str:
        """What stands in its place."""
        return f"[{self.name}]"


def compiled_at_first_use(pattern: str) -> Callable[[], re.Pattern[str]]:
    """Compiling all of them takes a sixth of a second, which `charter --help` need not wait for."""
    return functools.cache(lambda: re.compile(pattern, re.I))


def matches(pattern: str, passes: Passes, *, weak: bool = False) -> Search:
    """Search for group 1 of a pattern that is tried at every place, since a candidate may hide a later one.

    weak: nothing checks the number itself, so it is not taken where its surroundings say that it is something else.
    """
    compiled = compiled_at_first_use(pattern)

    def search(text: str) -> Iterator[Place]:
        after = 0
        for match in compiled().finditer(text):
            start, end = match.span(1)
            if (
                start >= after
                and passes(match.group(1))
                and not (weak and _is_something_else(text, start, end))
            ):
                yield Place(start, end)
                after = end

    return search


def cued(cue: str, number: str, passes: Passes) -> Search:
    """Search for numbers right after a cue word, or after another number that stands after one."""
    first = compiled_at_first_use(f"(?:{cue}){_GAP}({number})")
    more = compiled_at_first_use(rf"[ ]?(?:[,、;/]|or|and|或|和|及|以及)[ ]?({number})")

    def search(text: str) -> Iterator[Place]:
        after = 0
        for one in first().finditer(text):
            match: re.Match[str] | None = one
            while match is not None:
                start, end = match.span(1)
                if start < after or not passes(match.group(1)) or _COUNTED.match(text, end):
                    break
                yield Place(start, end)
                after = end
                match = more().match(text, end)

    return search


# What may stand between a cue word and its number: a few signs and words of little meaning.
_GAP = (
    r"(?:[^\w\[\]\x00]{0,4}(?:(?:numbers?|num|no|nr|is|are|was|at|on|me|us|him|her|them|to)(?![a-z])|号码|號碼|号|號|是|为|為))"
    r"{0,4}[^\w\[\]\x00]{0,4}?"
)
# Words and signs that say that a number is no telephone's.
_OTHER_USE = re.compile(
    r"(?:[£$€¥￥₩₽₹#№]|(?:order|invoice|ref|reference|version|serial|model|isbn|订单|单号|编号|流水|运单|快递|型号|合同|发票|序列"
    r"|訂單|單號|編號|發票)[ ]?(?:号码|號碼|号|號|no|number|id)?)[^\w\[\]\x00]{0,3}(?:(?:is|no|是|为)[^\w\[\]\x00]{0,3})?$",
    re.I,
)
_UNIT = re.compile(
    r"[ ]?(?:元(?!旦|宵)|[圆万亿萬億%％]|美元|(?:usd|eur|gbp|rmb|cny|people|users|units|dollars|euros)\b)",
    re.I,
)
_COUNTED = re.compile(
    r"[ ]?(?:元(?!旦|宵)|[圆万亿萬億块塊部台件%％]|美元|(?:usd|eur|gbp|rmb|people|users|units|dollars|euros)\b)",
    re.I,
)
DATE = re.compile(
    r"(?:[0-9]{1,2}[-/. ][0-9]{1,2}[-/. ])?(?:19|20)[0-9]{2}(?:[-/. ][0-9]{1,2}[-/. ][0-9]{1,2})?(?![0-9])"
)


def _is_something_else(text: str, start: int, end: int) -> bool:
    return (
        _OTHER_USE.search(text, max(0, start - 24), start) is not None or _UNIT.match(text, end) is not None
    )


# Where a number may begin and end. Han characters may touch it (no \b, which takes them for letters); digits may not, and
# where nothing checks the number neither may Latin letters, but for those of a cue. No decimals of a fraction.
ALONE = r"(?<![0-9a-z_])(?<![0-9][.,])"
END = r"(?![0-9a-z_])"


def glued(*cues: str) -> str:
    """Like ALONE, or right after one of some Latin cue words that stand alone themselves."""
    return "(?:" + ALONE + "".join(rf"|(?<=(?<![a-z]){cue})" for cue in cues) + ")"

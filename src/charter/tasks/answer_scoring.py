"""How right an answer in words is: exact match and F1, as SQuAD 2.0 and, for Chinese, CMRC 2018 define them."""

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Scoring = Literal["squad", "cmrc2018"]

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_ASCII_SIGNS = str.maketrans("", "", string.punctuation)
_SIGNS = frozenset("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
_HAN = re.compile(r"[\u4e00-\u9fa5]")
_LATIN = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True)
class Right:
    """exact: 1 where the answer is one of the right ones, else 0. f1: how much of the nearest right one it shares."""

    exact: float
    f1: float


def rightness(answer: str, truths: Sequence[str], scoring: Scoring) -> Right:
    """The best agreement of an answer with any of the right ones; "" is no answer, no truths that there is none.

    `squad`: Rajpurkar et al. 2018, the official script of SQuAD 2.0: lower case, without ASCII punctuation and the
    articles a, an and the; F1 of the bags of words; a right answer of which normalisation leaves nothing is left out; where
    one side is no answer both scores say whether the other is too.
    `cmrc2018`: Cui et al. 2019, section 4: Han characters one by one, other words whole, without the script's list of
    signs; F1 by the longest run that both share. Words of other scripts are parted at signs (the script uses nltk).
    """
    if scoring == "cmrc2018":
        return _best(answer, [one for one in truths if one.strip()], _plain, _characters_f1)
    return _best(answer, [one for one in truths if normalised(one)], normalised, _words_f1)


def _best(
    answer: str,
    truths: Sequence[str],
    form: Callable[[str], str],
    f1: Callable[[str, str], float],
) -> Right:
    given, known = form(answer), [form(one) for one in truths] or [""]
    return Right(float(given in known), max(f1(answer, one) for one in truths or [""]))


def normalised(text: str) -> str:
    """A text as SQuAD compares it.

    >>> normalised("The  Eiffel-Tower, in a park.")
    'eiffeltower in park'
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_ASCII_SIGNS)).split())


def _words_f1(answer: str, truth: str) -> float:
    given, known = normalised(answer).split(), normalised(truth).split()
    if not given or not known:
        return float(given == known)
    return _f1((Counter(given) & Counter(known)).total(), len(given), len(known))


def _plain(text: str) -> str:
    return "".join(sign for sign in text.lower().strip() if sign not in _SIGNS)


def characters(text: str) -> list[str]:
    """Han characters one by one, other words whole, signs of the script's list left out.

    >>> characters("于1957年，在Oslo")
    ['于', '1957', '年', '在', 'oslo']
    """
    found: list[str] = []
    run = ""
    for sign in text.lower().strip():
        if sign in _SIGNS:
            continue
        if _HAN.match(sign):
            found += [*_LATIN.findall(run), sign]
            run = ""
        else:
            run += sign
    return [*found, *_LATIN.findall(run)]


def _characters_f1(answer: str, truth: str) -> float:
    given, known = characters(answer), characters(truth)
    if not given or not known:
        return float(given == known)
    return _f1(_longest_run(given, known), len(given), len(known))


def _longest_run(one: Sequence[str], other: Sequence[str]) -> int:
    """The length of the longest run of neighbours that two sequences share."""
    longest = 0
    before = [0] * (len(other) + 1)
    for left in one:
        now = [0] * (len(other) + 1)
        for place, right in enumerate(other, start=1):
            if left == right:
                now[place] = before[place - 1] + 1
                longest = max(longest, now[place])
        before = now
    return longest


def _f1(shared: int, given: int, known: int) -> float:
    if not shared:
        return 0.0
    precision, recall = shared / given, shared / known
    return 2 * precision * recall / (precision + recall)


def is_chinese(texts: Sequence[str]) -> bool:
    """Whether most letters of some texts are Han characters."""
    letters = han = 0
    for text in texts:
        found = len(_HAN.findall(text))
        han += found
        letters += sum(sign.isalpha() for sign in text)
    return han > 0.5 * max(letters, 1)

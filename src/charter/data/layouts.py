"""Several columns that are read together, told by their names: pairs of texts, texts that belong together, choices."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from charter.data.look import ColumnLook, Look


def names_of(text: str) -> frozenset[str]:
    """Names of columns, in lower case, that stand in a text."""
    return frozenset(text.split())


QUESTIONS, ANSWERS = ("question", "query", "问题"), ("answers", "answer", "答案")
"""Names of a question and of its answers."""
QUESTIONED = names_of("context passage paragraph document text 上下文 篇章 段落 文章 文本")
"""Names of the text that a question is about."""
PAIRS = (
    ("premise", "hypothesis"), ("sentence1", "sentence2"), ("sentence_1", "sentence_2"), ("question1", "question2"),
    ("text1", "text2"), ("text_a", "text_b"), ("sentence_a", "sentence_b"), ("query", "passage"), ("question", "answer"),
    ("query", "document"), ("query", "response"), ("question", "passage"),
    ("句子1", "句子2"), ("问题1", "问题2"), ("问题", "答案"), ("前提", "假设"), ("查询", "文档"),
)  # fmt: skip
"""Names of two texts that are read as a pair."""
BELONGING = (
    ("anchor", "positive", "negative"), ("query", "positive", "negative"), ("query", "pos", "neg"),
    ("sentence1", "sentence2", "hard_neg"), ("sent0", "sent1", "hard_neg"), ("anchor", "entailment", "contradiction"),
    ("anchor", "positive"), ("query", "positive"), ("query", "pos"), ("sent0", "sent1"), ("锚点", "正例", "负例"),
    ("锚点", "正例"), ("问句", "正例", "负例"), ("问句", "正例"),
)  # fmt: skip
"""Names of a text and one that belongs to it, and perhaps one that does not."""
STEMS = (
    names_of("article context passage paragraph document text story premise 文章 上下文 段落 篇章 材料"),
    names_of("question query stem goal sentence prompt startphrase ctx q 问题 题干 题目 提问"),
)
"""Names of the text that choices are about, and of what is asked of it."""
_CHOICE = re.compile(
    r"(choice|option|ending|answer|alternative|candidate|opt|ans|sol|solution|选项|答案)[ _.-]?([0-9]|[a-h])|([a-h])",
    re.IGNORECASE,
)
_CHOICES = names_of("choices options endings candidates alternatives 选项 候选")
FEWEST_LETTERS = 3
"""Columns called only A and B are not taken for choices; A, B and C are."""


@dataclass(frozen=True)
class Choices:
    """Columns of choices (or one column of lists), the texts they are about, and the column that names the right one.

    first: what a target of numbers calls the first choice.
    """

    stems: tuple[str, ...]
    columns: tuple[str, ...]
    target: str
    first: int
    most: int

    @property
    def texts(self) -> tuple[str, ...]:
        """What the model reads, in its order."""
        return (*self.stems, *self.columns)

    @property
    def options(self) -> dict[str, int]:
        """The task's options, where they are not its defaults."""
        stem = {"stem": len(self.stems)} if len(self.stems) != 1 else {}
        return stem | ({"first": self.first} if self.first else {})


def is_pair(columns: Collection[str]) -> bool:
    """Whether columns are two texts that belong together as a pair, by their names."""
    folded = tuple(name.lower() for name in columns)
    return folded in PAIRS


def belonging(look: "Look") -> tuple[str, ...]:
    """The columns of texts that belong together, by their names; none where there are none."""
    names = {one.name.lower(): one for one in look.columns if one.kind in ("text", "labels")}
    found = next((some for some in BELONGING if names.keys() >= set(some)), ())
    return tuple(names[name].name for name in found)


def answers_among(names: Collection[str]) -> str | None:
    """The column whose cells are answers in a text: named so, beside a question, its text, and no choices."""
    folded = {name.lower() for name in names}
    chosen = folded & _CHOICES or any(_CHOICE.fullmatch(name) for name in folded)
    if chosen or not folded & set(QUESTIONS) or not folded & QUESTIONED:
        return None
    return next((name for name in names if name.lower() in ANSWERS), None)


def find_choices(
    look: "Look", targets: "Iterable[ColumnLook]", texts: tuple[str, ...] | None = None
) -> Choices | None:
    """The choices of a data set, where a column names one of them. targets: the likeliest first; texts: where they are known."""
    for columns, most in _candidates(look, texts):
        for target in targets:
            first = _first(target, columns, most) if target.name not in columns else None
            if first is None:
                continue
            taken = {*columns, target.name}
            stems = _stems(look, taken) if texts is None else tuple(one for one in texts if one not in taken)
            if stems and (texts is None or texts == (*stems, *columns)):
                return Choices(stems, columns, target.name, first, most)
    return None


def _candidates(look: "Look", texts: tuple[str, ...] | None) -> Iterable[tuple[tuple[str, ...], int]]:
    """What may be choices: columns that are numbered or lettered on, and columns of lists; with the most there are of them."""
    there = look.columns if texts is None else tuple(one for one in look.columns if one.name in texts)
    numbered: dict[str, dict[int, str]] = {}
    for one in there:
        named = _CHOICE.fullmatch(one.name)
        if named is not None and look.frame.schema[one.name] == pl.String:
            mark = named[2] or named[3]
            place = int(mark) if mark.isdigit() else ord(mark.lower()) - ord("a")
            numbered.setdefault((named[1] or "").lower(), {})[place] = one.name
    for name, places in numbered.items():
        begin = min(places)
        enough = len(places) >= (2 if name else FEWEST_LETTERS)
        if enough and begin <= 1 and sorted(places) == list(range(begin, begin + len(places))):
            yield tuple(places[place] for place in sorted(places)), len(places)
    for one in there:
        listed = look.frame.schema[one.name] == pl.List(pl.String)
        if listed and (texts is not None or one.name.lower() in _CHOICES):
            most = int(str(look.frame[one.name].list.len().max() or 0))
            if most >= 2:
                yield (one.name,), most


def _first(target: "ColumnLook", columns: tuple[str, ...], most: int) -> int | None:
    """What the target calls the first choice if it is a number; None where it does not name choices."""
    values = set(target.shares)
    if not values:
        return None
    letters = {chr(ord("a") + place) for place in range(most)}
    if values <= set(columns) or {value.lower() for value in values} <= letters:
        return 0
    if not all(value.isascii() and value.isdigit() and len(value) == 1 for value in values):
        return None
    numbers = {int(value) for value in values}
    if "0" in values:
        return 0 if max(numbers) < most else None
    from_one = max(numbers) == most or any(name.endswith(str(most)) for name in columns)
    return (1 if from_one else 0) if max(numbers) <= most else None


def _stems(look: "Look", taken: Collection[str]) -> tuple[str, ...]:
    """The text and the question that choices are about: named so; else the longest texts."""
    free = [one for one in look.columns if one.kind == "text" and one.name not in taken and not one.shares]
    named = [next((one.name for one in free if one.name.lower() in names), None) for names in STEMS]
    found = tuple(name for name in named if name is not None)
    if found or not free:
        return found
    return (max(free, key=lambda one: one.length * one.different).name,)

"""A cheap reader of texts: the sentence that shares most with a question, and in it the rarest words that it does not share."""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charter.tasks.entities import split_words

_SENTENCE = re.compile(r"[^.!?。！？\n]+[.!?。！？\n]*")
LONGEST = 8
"""Words of an answer at most."""


@dataclass(frozen=True)
class Passages:
    """How rare words are, learned from texts: the logarithm of the share of texts that hold each."""

    rarity: Mapping[str, float]
    unseen: float

    @classmethod
    def of(cls, texts: Sequence[str]) -> "Passages":
        """Count the texts that hold each word."""
        different = list(dict.fromkeys(texts))
        held = Counter(
            word for text in different for word in {one.lower() for one in split_words(text).words}
        )
        n = max(len(different), 1)
        return cls({word: math.log((n + 1) / count) for word, count in held.items()}, math.log(n + 1))

    def answer(self, question: str, text: str) -> NDArray[np.float32]:
        """(3,): start and end of the answer in characters, and how much its sentence shares with the question."""
        asked = {word.lower() for word in split_words(question).words}
        best, shared = (0, len(text)), -1.0
        for match in _SENTENCE.finditer(text):
            words = split_words(match.group())
            own = sum(self._rare(word) for word in {one.lower() for one in words.words} & asked)
            if words.words and own > shared:
                start, end = self._run(words.words, words.spans, asked)
                best, shared = (match.start() + start, match.start() + end), own
        return np.asarray([*best, shared], dtype=np.float32)

    def _rare(self, word: str) -> float:
        return self.rarity.get(word, self.unseen) if word[0].isalnum() else 0.0

    def _run(
        self, words: Sequence[str], spans: Sequence[tuple[int, int]], asked: set[str]
    ) -> tuple[int, int]:
        """Of the runs of words that are not in the question, the one that is rarest altogether."""
        common = 0.3 * self.unseen
        best, most = (spans[0][0], spans[-1][1]), 0.0
        begin, weight = 0, 0.0
        for place, word in enumerate(words):
            rare = self._rare(word.lower())
            if word.lower() in asked or rare < common:
                begin, weight = place + 1, 0.0
                continue
            weight += rare
            if place - begin < LONGEST and weight > most:
                best, most = (spans[begin][0], spans[place][1]), weight
        return best

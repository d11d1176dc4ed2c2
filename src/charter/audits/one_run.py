"""A lower bound of epsilon from one training run (Steinke, Nasr and Jagielski 2023, "Privacy Auditing with One (1) Training Run").

Canaries are included by fair coins, each by itself. Whoever sees the trained model guesses which were. With (epsilon, delta)
differential privacy no guesser is right much more often than randomised response of that epsilon would be; one that is
refutes the claim.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

LARGEST = 64.0
"""Epsilon is looked for below this."""
SHARES = tuple(2.0**-part for part in range(6))
"""Of the canaries so many are guessed on; the rest is abstained from."""
FEWEST_GUESSES = 10
"""With fewer guesses than this even faultless ones show next to nothing, so such a choice only costs."""


@dataclass(frozen=True)
class Choice:
    """On which canaries is guessed: the `included` highest scores are said to be in, the `left_out` lowest not to be."""

    included: int
    left_out: int

    @property
    def guesses(self) -> int:
        """How many guesses there are."""
        return self.included + self.left_out


@dataclass(frozen=True)
class Bound:
    """epsilon: what is shown at the stated confidence, 0 where nothing is. largest: what faultless guesses would have shown.

    right: of the guesses of `choice`, by which it is shown, so many are right. choices: tried, which the confidence is
    corrected for.
    """

    epsilon: float
    largest: float
    canaries: int
    choice: Choice
    right: int
    choices: int


def p_value(canaries: int, guesses: int, right: int, epsilon: float, delta: float) -> float:
    """The chance of so many right guesses under (epsilon, delta), at most (theorem 5.2; appendix D of the paper).

    With delta 0 it is the tail of a binomial distribution with the accuracy of randomised response, e^epsilon / (1 + e^epsilon).
    A delta adds 2 delta times the number of canaries times the largest mean probability of the counts just below.
    """
    from scipy.stats import binom

    if not 0 <= right <= guesses <= canaries or epsilon < 0 or not 0 <= delta <= 1:
        raise ValueError("0 <= right <= guesses <= canaries, epsilon >= 0 and 0 <= delta <= 1 are needed")
    accuracy = 1 / (1 + math.exp(-epsilon))
    tail = float(binom.sf(right - 1, guesses, accuracy))
    if delta == 0 or right == 0:
        return tail
    below = np.cumsum(binom.pmf(np.arange(right - 1, -1, -1), guesses, accuracy))
    most = float((below / np.arange(1, right + 1)).max())
    return min(tail + 2 * canaries * delta * most, 1.0)


def epsilon_shown(canaries: int, guesses: int, right: int, *, level: float, delta: float = 0.0) -> float:
    """The largest epsilon that so many right guesses refute at this level; 0 where they refute none.

    Right guesses are more likely the larger epsilon is, so every smaller epsilon is refuted too.

    >>> round(epsilon_shown(10, 10, 10, level=0.05), 2), round(epsilon_shown(62, 62, 62, level=0.05), 2)
    (1.05, 3.01)
    """
    low, high = 0.0, LARGEST
    if p_value(canaries, guesses, right, 0.0, delta) > level:
        return 0.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        if p_value(canaries, guesses, right, middle, delta) > level:
            high = middle
        else:
            low = middle
    return low


def choices_of(canaries: int) -> tuple[Choice, ...]:
    """The choices that are tried, fixed before any score is seen: guesses on all canaries and on ever fewer, both ways or only "in"."""
    found = []
    for share in SHARES:
        both = Choice(math.ceil(canaries * share / 2), math.floor(canaries * share / 2))
        found += [both, Choice(both.included, 0)]
    kept = dict.fromkeys(one for one in found if one.guesses >= FEWEST_GUESSES)
    return tuple(kept) or (Choice(math.ceil(canaries / 2), canaries // 2),)


def lower_bound(
    scores: NDArray[np.float64],
    included: NDArray[np.bool_],
    *,
    confidence: float,
    delta: float = 0.0,
    choices: Sequence[Choice] | None = None,
) -> Bound:
    """The lower bound of epsilon from the canaries' scores, (canaries,), and which were truly included.

    The best of several choices of guesses is told, so each is judged at a level divided by their number (Bonferroni): the bound
    holds at the stated confidence whichever was the best.
    """
    m = len(scores)
    tried = tuple(choices) if choices is not None else choices_of(m)
    level = (1 - confidence) / len(tried)
    order = np.argsort(-scores, kind="stable")
    largest = largest_shown(m, confidence=confidence, delta=delta, choices=tried)
    best: Bound | None = None
    for choice in tried:
        top, bottom = order[: choice.included], order[m - choice.left_out :]
        right = int(included[top].sum() + (~included[bottom]).sum())
        if best is not None and p_value(m, choice.guesses, right, best.epsilon, delta) > level:
            continue  # it shows no more than the best one
        shown = epsilon_shown(m, choice.guesses, right, level=level, delta=delta)
        best = Bound(shown, largest, m, choice, right, len(tried))
    assert best is not None
    return best


def largest_shown(
    canaries: int, *, confidence: float, delta: float = 0.0, choices: Sequence[Choice] | None = None
) -> float:
    """The largest epsilon that so many canaries could show, were every guess right."""
    tried = tuple(choices) if choices is not None else choices_of(canaries)
    return _largest(canaries, (1 - confidence) / len(tried), delta, tuple(one.guesses for one in tried))


@cache
def _largest(canaries: int, level: float, delta: float, guesses: tuple[int, ...]) -> float:
    return max(epsilon_shown(canaries, one, one, level=level, delta=delta) for one in guesses)

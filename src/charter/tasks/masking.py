"""Masking: what masked language modelling hides of a text (Devlin et al. 2019, section 3.1 and appendix A.1)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from charter.data.batch import IGNORED, Hidden

Integers = NDArray[np.int64]
MASKED, RANDOM = 0.8, 0.1
"""Of the hidden tokens so many become the mask token, so many a random one; the others stay as they are."""


@dataclass(frozen=True)
class Masking:
    """Hides the share `probability` of a sequence's tokens, at least one: 80 % masked, 10 % random, 10 % as they are.

    always: all of them are masked, none random or as it is (Clark et al. 2020, section 2).
    ordinary: (tokens,) the ids that a random token is drawn from. special: (vocabulary,) what is never hidden.
    continues: (vocabulary,) tokens that go on with the word before; None hides each token by itself, else whole words.
    signs: (vocabulary,) the Han character that a token stands for, "" for others, of which Chinese words are made by jieba
    (Cui et al. 2019, section 2); None: each is a word.
    seed: of each sequence the same is hidden at each call, wherever it stands, for judging; None draws from torch's
    generator, which the training loop seeds for each update.
    """

    mask: int
    ordinary: Integers
    special: NDArray[np.bool_]
    continues: NDArray[np.bool_] | None
    probability: float
    seed: int | None = None
    signs: NDArray[np.str_] | None = None
    always: bool = False

    def __call__(self, sequences: Sequence[Integers], places: Sequence[int]) -> Hidden:
        """Hide something of each sequence."""
        del places
        generator = None if self.seed is not None else np.random.default_rng(_drawn())
        found = [
            self._hidden(ids, generator or np.random.default_rng([self.seed or 0, crc32(ids.tobytes())]))
            for ids in sequences
        ]
        return Hidden([ids for ids, _ in found], [targets for _, targets in found])

    def counts(self, lengths: Integers, specials: int | Integers) -> Integers:
        """How many tokens are hidden of sequences of these lengths, which hold so many special tokens."""
        return self._wanted(lengths - specials)

    def _wanted(self, ordinary: Any) -> Integers:
        most = np.maximum(ordinary, 0)
        found: Integers = np.clip(np.round(self.probability * ordinary), np.minimum(1, most), most).astype(
            np.int64
        )
        return found

    def _hidden(self, ids: Integers, random: np.random.Generator) -> tuple[Integers, Integers]:
        candidates = np.flatnonzero(~self.special[ids])
        wanted = int(self._wanted(len(candidates)))
        targets = np.full(len(ids), IGNORED, dtype=np.int64)
        if not wanted:
            return ids, targets
        each = random.permutation(candidates)[:wanted]
        chosen = each if self.continues is None else self._words(ids, candidates, wanted, random)
        targets[chosen] = ids[chosen]
        masked = ids.copy()
        if self.always:
            masked[chosen] = self.mask
            return masked, targets
        dice = random.random(len(chosen))
        masked[chosen[dice < MASKED]] = self.mask
        others = chosen[(dice >= MASKED) & (dice < MASKED + RANDOM)]
        masked[others] = random.choice(self.ordinary, len(others))
        return masked, targets

    def _words(
        self, ids: Integers, candidates: Integers, wanted: int, random: np.random.Generator
    ) -> Integers:
        """Whole words in a random order, as many as fit; what is then still wanted are tokens of the others."""
        assert self.continues is not None
        apart = np.diff(candidates, prepend=-2) > 1
        begins = ~self.continues[ids[candidates]] | apart
        if self.signs is not None:
            begins &= ~within_words(self.signs[ids[candidates]], apart)
        words = np.split(candidates, np.flatnonzero(begins)[1:])
        chosen: list[int] = []
        for number in random.permutation(len(words)):
            word = words[number]
            if len(chosen) + len(word) <= wanted:
                chosen.extend(word.tolist())
            if len(chosen) == wanted:
                break
        if len(chosen) < wanted:
            left = np.setdiff1d(candidates, chosen)
            chosen.extend(random.permutation(left)[: wanted - len(chosen)].tolist())
        return np.asarray(chosen, dtype=np.int64)


WholeWords = Annotated[
    bool | Literal["chinese"],
    Field(
        description="true hides all tokens of a word or none, not each by itself; chinese does so with the words of Chinese too, "
        "which jieba finds"
    ),
]


def masking_of(tokenizer: Any, *, probability: float, whole_words: WholeWords, seed: int | None) -> Masking:
    """Masking for a tokenizer's vocabulary.

    Raises:
        ModelError: it has no mask token; or its tokens are no words, or no Han characters, whose words could be hidden whole.
        MissingExtraError: rjieba is not installed, and words of Chinese are asked for.
    """
    from charter.errors import ModelError

    if tokenizer.mask_token_id is None:
        raise ModelError(
            "the base's tokenizer has no mask token: it is one of a decoder; take the task causal_language_modelling"
        )
    size = len(tokenizer)
    special = np.zeros(size, dtype=bool)
    special[[one for one in tokenizer.all_special_ids if one != tokenizer.unk_token_id]] = True
    return Masking(
        mask=int(tokenizer.mask_token_id),
        ordinary=np.flatnonzero(~special),
        special=special,
        continues=continuing(tokenizer) if whole_words else None,
        probability=probability,
        seed=seed,
        signs=signs_of(tokenizer) if whole_words == "chinese" else None,
    )


def within_words(signs: NDArray[np.str_], apart: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(tokens,) whether a token goes on with the Chinese word before it.

    signs: (tokens,) the Han character of each, "" for others. apart: (tokens,) true where a token does not stand beside the last.
    """
    found = np.zeros(len(signs), dtype=bool)
    han = signs != ""
    edges = np.flatnonzero(np.diff(han, prepend=False) | (apart & han))
    ends = [*edges, len(signs)][1:]
    for start, end in zip(edges, ends, strict=True):
        if han[start] and end - start > 1:
            words = _jieba().cut("".join(signs[start:end]), True)
            found[start:end] = True
            found[start + np.cumsum([0, *map(len, words[:-1])])] = False
    return found


def signs_of(tokenizer: Any) -> NDArray[np.str_]:
    """(vocabulary,) the Han character that a token stands for, "" for others.

    Raises:
        ModelError: the tokenizer does not read each Han character as a token of its own.
        MissingExtraError: rjieba is not installed.
    """
    from charter.errors import ModelError

    _jieba()
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    signs = np.asarray([token if len(token) == 1 and _is_han(token) else "" for token in tokens], dtype="<U1")
    if type(tokenizer.backend_tokenizer.model).__name__ != "WordPiece" or not (signs != "").any():
        raise ModelError(
            "whole_words: chinese is for a WordPiece tokenizer, to which each Han character is a token; this one has no such "
            "tokens: write true, or false"
        )
    return signs


def _is_han(sign: str) -> bool:
    code = ord(sign)
    return (
        0x3400 <= code <= 0x4DBF
        or 0x4E00 <= code <= 0x9FFF
        or 0xF900 <= code <= 0xFAFF
        or 0x20000 <= code <= 0x2FA1F
    )


def _jieba() -> Any:
    from charter.errors import MissingExtraError

    try:
        import rjieba
    except ImportError:
        raise MissingExtraError("whole_words: chinese", "languages") from None
    return rjieba


def continuing(tokenizer: Any) -> NDArray[np.bool_]:
    """(vocabulary,) whether a token goes on with the word before: `##ing` of WordPiece, letters without a leading space elsewhere.

    Of a text without spaces, such as Chinese, every character that WordPiece sets apart begins one.

    Raises:
        ModelError: the tokenizer's tokens are characters or whole words, which make no word together.
    """
    from charter.errors import ModelError

    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    model = tokenizer.backend_tokenizer.model
    kind, prefix = type(model).__name__, getattr(model, "continuing_subword_prefix", None)
    if kind == "WordLevel":
        raise ModelError("whole_words: this tokenizer's tokens are no pieces of words; remove the option")
    if prefix:
        return np.asarray([token.startswith(prefix) for token in tokens])
    return np.asarray([not token.startswith(("Ġ", "▁")) and any(map(str.isalnum, token)) for token in tokens])


def _drawn() -> int:
    import torch

    return int(torch.randint(1 << 62, (1,)).item())

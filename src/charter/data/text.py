"""The text modality: from texts or words to token ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

AT_ONCE = 2_000


@dataclass(frozen=True)
class EncodedTexts:
    """ids: one int64 array per text, special tokens included. offsets: (tokens, 2) characters of each token, for spans."""

    ids: tuple[NDArray[np.int64], ...]
    offsets: tuple[NDArray[np.int64], ...]
    truncated: int


@dataclass(frozen=True)
class EncodedWords:
    """ids: one int64 array per sentence. words: the word each token belongs to, -1 for special tokens."""

    ids: tuple[NDArray[np.int64], ...]
    words: tuple[NDArray[np.int64], ...]
    truncated: int


@dataclass(frozen=True)
class TextInput:
    """The encoder of one modality; what a task calls is `encode_texts` or `encode_words`."""

    modality: str = "text"


def text() -> TextInput:
    """Text, or lists of words: encoded by the base model's own tokenizer."""
    return TextInput()


def encode_texts(
    texts: Sequence[str], tokenizer: Any, max_length: int, *, with_offsets: bool = False
) -> EncodedTexts:
    """Encode texts with a fast tokenizer, cut at `max_length` tokens; cut texts are counted."""
    ids: list[NDArray[np.int64]] = []
    offsets: list[NDArray[np.int64]] = []
    truncated = 0
    for start in range(0, len(texts), AT_ONCE):
        encoded = tokenizer(
            list(texts[start : start + AT_ONCE]), truncation=True, max_length=max_length, verbose=False
        )
        for encoding in encoded.encodings:
            ids.append(_some(encoding.ids, tokenizer))
            truncated += bool(encoding.overflowing)
            if with_offsets:
                offsets.append(np.asarray(encoding.offsets, dtype=np.int64).reshape(-1, 2))
    return EncodedTexts(tuple(ids), tuple(offsets), truncated)


def encode_words(sentences: Sequence[Sequence[str]], tokenizer: Any, max_length: int) -> EncodedWords:
    """Encode lists of words with a fast tokenizer; words beyond `max_length` tokens are cut, and cut sentences counted."""
    ids: list[NDArray[np.int64]] = []
    words: list[NDArray[np.int64]] = []
    truncated = 0
    for start in range(0, len(sentences), AT_ONCE):
        encoded = tokenizer(
            [list(sentence) for sentence in sentences[start : start + AT_ONCE]],
            is_split_into_words=True,
            truncation=True,
            max_length=max_length,
            verbose=False,
        )
        for encoding in encoded.encodings:
            ids.append(_some(encoding.ids, tokenizer))
            owners = [-1 if word is None else word for word in encoding.word_ids] or [-1]
            words.append(np.asarray(owners, dtype=np.int64))
            truncated += bool(encoding.overflowing)
    return EncodedWords(tuple(ids), tuple(words), truncated)


def _some(ids: Sequence[int], tokenizer: Any) -> NDArray[np.int64]:
    """The ids, or one padding token for a text in which the tokenizer sees nothing: a model needs something to read."""
    return np.asarray(list(ids) or [tokenizer.pad_token_id], dtype=np.int64)

"""The text modality: from texts, pairs of texts or words to token ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from charter.data.columns import Columns
from charter.errors import ModelError

AT_ONCE = 2_000


@dataclass(frozen=True)
class EncodedRows:
    """ids: one int64 array per row, special tokens included. types: the token types of pairs, None where there are none.

    truncated: rows of which something was cut.
    """

    ids: tuple[NDArray[np.int64], ...]
    types: tuple[NDArray[np.int64], ...] | None
    truncated: int


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
    """The encoder of one modality; what a task calls is `encode_rows` or `encode_words`."""

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


def encode_rows(rows: pl.DataFrame, columns: Columns, tokenizer: Any, max_length: int) -> EncodedRows:
    """Encode the input columns of rows, in the charter's order, each row as one sequence of at most `max_length` tokens.

    One input is a text. Two are a pair, as the base was pre-trained on pairs, with token types where it has them. Three or
    more stand one after the other with the tokenizer's separator between them. What is too long is cut from the longest
    input, again and again, until the row fits, so that a long body leaves its title whole. A missing text is an empty one.
    """
    texts = [["" if one is None else one for one in rows[column].to_list()] for column in columns.inputs]
    if len(texts) == 1:
        one = encode_texts(texts[0], tokenizer, max_length)
        return EncodedRows(one.ids, None, one.truncated)
    specials = [tokenizer.num_special_tokens_to_add(pair) for pair in (False, True)]
    if len(texts) == 2 and specials[1] > specials[0]:
        return _pairs(texts[0], texts[1], tokenizer, max_length)
    return _in_a_row(texts, tokenizer, max_length)


def _pairs(first: Sequence[str], second: Sequence[str], tokenizer: Any, max_length: int) -> EncodedRows:
    ids: list[NDArray[np.int64]] = []
    types: list[NDArray[np.int64]] = []
    truncated = 0
    for start in range(0, len(first), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        encoded = tokenizer(
            list(first[part]),
            list(second[part]),
            truncation="longest_first",
            max_length=max_length,
            verbose=False,
        )
        for encoding in encoded.encodings:
            ids.append(np.asarray(encoding.ids, dtype=np.int64))
            types.append(np.asarray(encoding.type_ids, dtype=np.int64))
            truncated += bool(encoding.overflowing)
    typed = "token_type_ids" in tokenizer.model_input_names
    return EncodedRows(tuple(ids), tuple(types) if typed else None, truncated)


def _in_a_row(texts: Sequence[Sequence[str]], tokenizer: Any, max_length: int) -> EncodedRows:
    """Several inputs between the special tokens that the tokenizer puts around one text, separators between them."""
    between = tokenizer.sep_token_id if tokenizer.sep_token_id is not None else tokenizer.eos_token_id
    if between is None:
        raise ModelError(
            "the base's tokenizer has no separator: several inputs can't be told apart; name one input"
        )
    around = tokenizer("a", return_special_tokens_mask=True)
    inside = np.flatnonzero(np.asarray(around["special_tokens_mask"]) == 0)
    before, after = around["input_ids"][: inside[0]], around["input_ids"][inside[-1] + 1 :]
    room = max_length - len(before) - len(after) - (len(texts) - 1)
    if room < len(texts):
        raise ModelError(f"model.max_length {max_length} leaves no room for {len(texts)} inputs; raise it")
    pieces = [
        tokenizer(list(column), add_special_tokens=False, verbose=False)["input_ids"] for column in texts
    ]
    ids: list[NDArray[np.int64]] = []
    truncated = 0
    for row in zip(*pieces, strict=True):
        kept = _longest_first([len(one) for one in row], room)
        truncated += sum(kept) < sum(map(len, row))
        inner = [token for one, most in zip(row, kept, strict=True) for token in (*one[:most], between)]
        ids.append(np.asarray([*before, *inner[:-1], *after], dtype=np.int64))
    return EncodedRows(tuple(ids), None, truncated)


def _longest_first(lengths: Sequence[int], room: int) -> list[int]:
    """How many tokens of each input are kept when the longest one is always cut by one until all fit.

    >>> _longest_first([3, 40, 10], 20)
    [3, 9, 8]
    """
    kept = list(lengths)
    if sum(kept) <= room:
        return kept
    level = max(kept)
    while sum(min(one, level) for one in kept) > room:
        level -= 1
    kept = [min(one, level) for one in lengths]
    for place, one in enumerate(lengths):
        if sum(kept) < room and one > level:
            kept[place] += 1
    return kept


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

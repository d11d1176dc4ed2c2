"""A question and a long text: the text in windows that overlap, each beside the question, so that nothing is cut off."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charter.errors import ModelError

AT_ONCE = 500
LONGEST_QUESTION = 64
"""Tokens of a question that are read at most, as BERT's own scripts for SQuAD have it."""


@dataclass(frozen=True)
class Windows:
    """The sequences of all rows, those of a row one after the other, `sizes` (rows,) telling how many.

    places: per sequence (tokens, 2), the characters of the text that each token stands for; -1 for a token of the
    question and for special ones. nothing: per sequence the token that stands for "no answer" (the classifier's own).
    truncated: rows whose question was cut.
    """

    ids: tuple[NDArray[np.int64], ...]
    types: tuple[NDArray[np.int64], ...] | None
    places: tuple[NDArray[np.int64], ...]
    nothing: tuple[int, ...]
    sizes: NDArray[np.int64]
    truncated: int


def encode_windows(
    questions: Sequence[str], texts: Sequence[str], tokenizer: Any, max_length: int, stride: int
) -> Windows:
    """Encode questions with their texts; windows of one text share `stride` tokens, or half a window where that is less.

    Raises:
        ModelError: `max_length` leaves a text no room beside its question.
    """
    room = max_length - tokenizer.num_special_tokens_to_add(True)
    most = min(LONGEST_QUESTION, room // 2)
    if most < 2:
        raise ModelError(f"model.max_length {max_length} leaves no room for a question and a text; raise it")
    asked, truncated = _cut(questions, tokenizer, most)
    ids: list[NDArray[np.int64]] = []
    types: list[NDArray[np.int64]] = []
    places: list[NDArray[np.int64]] = []
    nothing: list[int] = []
    sizes = np.zeros(len(asked), dtype=np.int64)
    for start in range(0, len(asked), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        encoded = tokenizer(
            asked[part],
            list(texts[part]),
            truncation="only_second",
            max_length=max_length,
            stride=min(stride, (room - most) // 2),
            return_overflowing_tokens=True,
            verbose=False,
        )
        owners = encoded["overflow_to_sample_mapping"]
        for encoding, owner in zip(encoded.encodings, owners, strict=True):
            one = np.asarray(encoding.ids, dtype=np.int64)
            ids.append(one)
            types.append(np.asarray(encoding.type_ids, dtype=np.int64))
            places.append(_places(encoding))
            nothing.append(int((one == tokenizer.cls_token_id).argmax()))  # the first one where it has none
            sizes[start + owner] += 1
    typed = "token_type_ids" in tokenizer.model_input_names
    return Windows(
        tuple(ids), tuple(types) if typed else None, tuple(places), tuple(nothing), sizes, truncated
    )


def _cut(questions: Sequence[str], tokenizer: Any, most: int) -> tuple[list[str], int]:
    """Questions of at most so many tokens, and how many of them were longer."""
    kept: list[str] = []
    cut = 0
    for start in range(0, len(questions), AT_ONCE):
        part = list(questions[start : start + AT_ONCE])
        encoded = tokenizer(part, add_special_tokens=False, verbose=False)
        for question, encoding in zip(part, encoded.encodings, strict=True):
            long = len(encoding.ids) > most
            cut += long
            kept.append(question[: encoding.offsets[most - 1][1]] if long else question)
    return kept, cut


def _places(encoding: Any) -> NDArray[np.int64]:
    found = np.asarray(encoding.offsets, dtype=np.int64).reshape(-1, 2)
    of_text = np.asarray([one == 1 for one in encoding.sequence_ids], dtype=bool)
    found[~of_text] = -1
    found[found[:, 1] <= found[:, 0]] = -1  # a piece that stands for no character can end no answer
    return found

"""Hidden words found by a released masked language model: the likeliest tokens for each mask of a text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from charter.data.columns import ROW
from charter.data.preparation import prepare_again
from charter.data.text import encode_texts
from charter.errors import CharterError
from charter.serving.answers import Answerer, text_rows
from charter.serving.generation import OF_WHOLE_TEXTS
from charter.tasks.filling import Guesses, guessed


@dataclass(frozen=True)
class Filled:
    """A text and what its masks may stand for. masks: in their order, each told by itself while the others stay hidden.

    unread: masks that stand beyond what the model reads at once. because: why nothing could be told; empty where it was.
    """

    text: str
    masks: tuple[Guesses, ...] = ()
    unread: int = 0
    because: str = ""

    def as_json(self) -> dict[str, Any]:
        """`text` and, for each mask, its `guesses`; `unread_masks` where some were not read; or why there is no answer."""
        if self.because:
            return {"text": self.text, "not_answered": self.because}
        masks = [{"guesses": [vars(guess) for guess in guesses]} for guesses in self.masks]
        return {
            "text": self.text,
            "masks": masks,
            **({"unread_masks": self.unread} if self.unread else {}),
        }


def mask_of(answerer: Answerer) -> str | None:
    """How a hidden word is written for this bundle, such as `[MASK]`; None where its model fills in nothing."""
    mask: str | None = answerer.tokenizer.mask_token if answerer.task.fills else None
    return mask


def fill_in(answerer: Answerer, texts: Sequence[str], *, most: int = 5) -> list[Filled]:
    """The `most` likeliest tokens for each mask of each text, in their order; any released form of the model tells them.

    Texts are prepared as the bundle's training texts were, and read up to its `max_length` tokens.

    Raises:
        CharterError: the bundle's model fills in nothing.
        DataError, TypeError: no valid text.
    """
    mask, columns, tokenizer = mask_of(answerer), answerer.columns, answerer.tokenizer
    if mask is None:
        raise CharterError(
            f"this bundle is of task {answerer.task.name}, which fills in nothing; one of task masked_language_modelling does"
        )
    rows = text_rows(texts, columns)
    uses = tuple(use for use in answerer.uses if use.use not in OF_WHOLE_TEXTS)
    prepared = prepare_again(rows, columns, uses)
    read: list[str] = prepared.frame[columns.text].to_list()
    encoded = encode_texts(read, tokenizer, answerer.max_length)
    found = guessed(answerer.model, tokenizer, encoded.ids, most=most)
    told = {
        row: Filled(texts[row - 1], masks, text.count(mask) - len(masks))
        for row, masks, text in zip(prepared.frame[ROW].to_list(), found, read, strict=True)
    }
    reasons = dict(prepared.dropped.select(ROW, "reason").iter_rows())
    return [
        told[row] if row in told else Filled(text, because=str(reasons.get(row, "no text is left")))
        for row, text in enumerate(texts, start=1)
    ]

"""A text as its sentences, by the library sentencex: rules for some 300 languages, and for the signs of Chinese."""

from functools import cache
from typing import Any

from charter.errors import MissingExtraError

RULES = "en"
"""The rules that are taken: English abbreviations, beside the sentence ends of all scripts, which every language's have."""


def sentences_of(text: str) -> list[str]:
    """A text's sentences in order; joined they are the text again.

    Raises:
        MissingExtraError: sentencex is not installed.
    """
    return list(_library().segment(RULES, text))


@cache
def _library() -> Any:
    try:
        import sentencex
    except ImportError:
        raise MissingExtraError("learning from pairs of sentences", "languages") from None
    return sentencex

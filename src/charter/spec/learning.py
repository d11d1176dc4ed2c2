"""What a model and its tokenizer must have so that it can learn from texts as a charter asks."""

import importlib
from collections.abc import Iterator
from pathlib import Path

from charter.errors import CharterError
from charter.spec.agreement import Say
from charter.spec.document import Path_
from charter.spec.metrics import SENTENCE_PAIRS
from charter.spec.parts import Parts
from charter.spec.places import model_type
from charter.spec.use import Use


def check_learning(parts: Parts, folder: Path, say: Say) -> None:
    """Say what the model can't learn, as far as it is known before a run."""
    for path, use in learned(parts):
        _pairs(parts, folder, path, use, say)
        _whole_words(parts, path, use, say)


def learned(parts: Parts) -> Iterator[tuple[Path_, Use]]:
    """The task and, where there is pre-training, its objective, with their places."""
    for path in (("task",), ("pretraining", "objective")):
        use: Use | None = parts.one(*path) if path[0] == "task" or parts.stands("pretraining") else None
        if use is not None:
            yield path, use


def _pairs(parts: Parts, folder: Path, path: Path_, use: Use, say: Say) -> None:
    """Pairs need a head for them; a decoder is told of in other words already."""
    kind = model_type(parts, folder) if use.use in SENTENCE_PAIRS else None
    if kind is None:
        return
    architectures = importlib.import_module("charter.models.architectures")
    try:
        told = kind in architectures.PAIRED or architectures.is_decoder(kind)
    except CharterError:  # no such type, which is said at its own place
        return
    if not told:
        say(
            path,
            f"'{kind}' has no head that tells of pairs of segments; {use.use} is for {', '.join(architectures.PAIRED)}: take one "
            "of these, or masked_language_modelling",
        )


def _whole_words(parts: Parts, path: Path_, use: Use, say: Say) -> None:
    """Words are made of a tokenizer's tokens, so these must be their pieces, and of Chinese words the characters."""
    asked = use.options.get("whole_words")
    tokenizer: Use | None = parts.one("model", "tokenizer")
    if tokenizer is None or not asked:
        return
    if tokenizer.use == "characters":
        say(
            (*path, "whole_words"),
            "tokens of tokenizer characters are no pieces of words; remove the option, or take wordpiece",
        )
    elif asked == "chinese" and tokenizer.use in ("bpe", "unigram"):
        say(
            (*path, "whole_words"),
            f"of tokenizer {tokenizer.use} a token is no Han character, so words of Chinese can't be hidden whole; take wordpiece, "
            "or write true",
        )

"""What a model and its tokenizer must have so that it can learn from texts as a charter asks."""

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from charter.errors import CharterError
from charter.spec.bases import model_type
from charter.spec.document import Path_
from charter.spec.metrics import BEFORE_A_TASK, SENTENCE_PAIRS
from charter.spec.parts import Parts, Say
from charter.spec.privacy import MIXING
from charter.spec.use import Use

_NEEDS: Mapping[str, tuple[str, str, str]] = {
    **dict.fromkeys(SENTENCE_PAIRS, ("PAIRED", "of pairs of segments", ", or masked_language_modelling")),
    "replaced_token_detection": ("DETECTING", "which tokens were replaced", ", or masked_language_modelling"),
}
"""What is learned -> the list of types that can, in `charter.models.architectures`; what their head tells; what to take else."""


def check_learning(parts: Parts, folder: Path, say: Say) -> None:
    """Say what the model can't learn, as far as it is known before a run."""
    for path, use in learned(parts):
        _head(parts, folder, path, use, say)
        _before_a_task(parts, path, use, say)
        _whole_words(parts, path, use, say)


def learned(parts: Parts) -> Iterator[tuple[Path_, Use]]:
    """The task and, where there is pre-training, its objective, with their places."""
    for path in (("task",), ("pretraining", "objective")):
        use: Use | None = parts.one(*path) if path[0] == "task" or parts.stands("pretraining") else None
        if use is not None:
            yield path, use


def _head(parts: Parts, folder: Path, path: Path_, use: Use, say: Say) -> None:
    """What is learned besides hidden tokens needs a head of its own; a decoder is told of in other words already."""
    if use.use not in _NEEDS:
        return
    name, what, instead = _NEEDS[use.use]
    kind, architectures = model_type(parts, folder), importlib.import_module("charter.models.architectures")
    accepted = getattr(architectures, name)
    try:
        fits = kind is None or kind in accepted or architectures.is_decoder(kind)
    except CharterError:  # no such type, which is said at its own place
        return
    if not fits:
        say(
            path,
            f"'{kind}' has no head that tells {what}; {use.use} is for {', '.join(accepted)}: take one of these{instead}",
        )


def _before_a_task(parts: Parts, path: Path_, use: Use, say: Say) -> None:
    """What teaches a base only, and what goes on beside the base there."""
    if use.use not in BEFORE_A_TASK:
        return
    if path == ("task",):
        say(
            path,
            f"{use.use} teaches a base before a task, and is none by itself: name it in pretraining.objective",
        )
    elif use.use in MIXING and parts.one("pretraining", "micro_batch_size") is not None:
        say(
            ("pretraining", "micro_batch_size"),
            f"it cuts batches into parts, and {use.use} compares each text with the others of its whole batch; remove it, and lower "
            "batch_size where memory is short",
        )
    elif use.use == "replaced_token_detection" and parts.one("pretraining", "economies"):
        say(
            ("pretraining", "economies"),
            f"they are not made with {use.use}, which learns two models at once; remove the key",
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

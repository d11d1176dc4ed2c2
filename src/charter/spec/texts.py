"""Check what a charter says of texts without labels: of its section `pretraining`, and of texts whose ends are held out."""

from charter import plugins
from charter.spec.metrics import LANGUAGE_MODELS
from charter.spec.parts import Parts, Say
from charter.spec.use import Use

HELD_OUT = ("validation", "test")
WITH_CLASSES = ("label_noise", "cap_per_class", "balance", "normalise_label")
"""Preparations that work by labels."""


def check_texts(parts: Parts, say: Say) -> None:
    """Say what contradicts itself, or asks for labels where there are none."""
    _objective(parts, say)
    _preparations(parts, say)
    _parts(parts, say)
    _tail(parts, say)


def _objective(parts: Parts, say: Say) -> None:
    use: Use | None = parts.one("pretraining", "objective") if parts.stands("pretraining") else None
    if use is not None and use.use in plugins.BUILT_IN["task"] and use.use not in LANGUAGE_MODELS:
        say(
            ("pretraining", "objective"),
            f"'{use.use}' learns from labels, and these texts have none; accepted are {', '.join(LANGUAGE_MODELS)}",
        )


def _preparations(parts: Parts, say: Say) -> None:
    for path, use in parts.each("pretraining", "prepare").items():
        if use.use in WITH_CLASSES:
            say(path, f"'{use.use}' works by labels, and these texts have none; remove it")


def _parts(parts: Parts, say: Say) -> None:
    """Texts that the source names as parts of its own."""
    given = parts.keys("pretraining", "source")
    given = tuple(name for name in given if name in ("train", "calibration", *HELD_OUT))
    if not given:
        return
    if "train" not in given:
        say(
            ("pretraining", "source"),
            f"the parts named are {', '.join(given)}; 'train' is needed: write train: PLACE",
        )
    if "calibration" in given:
        say(
            ("pretraining", "source", "calibration"),
            "a language model is not calibrated; name validation and test",
        )
    if parts.stands("pretraining", "held_out") and set(HELD_OUT) <= set(given):
        say(
            ("pretraining", "held_out"),
            "pretraining.source names the texts that are held out (validation, test); remove one of the two",
        )
    if parts.one("pretraining", "tail"):
        say(
            ("pretraining", "tail"),
            "pretraining.source names the texts that are held out, so no text is cut; remove one of the two",
        )


def _tail(parts: Parts, say: Say) -> None:
    """Only a text without a label can be cut in two; whose text it is does not matter then."""
    if not parts.one("data", "split", "tail"):
        return
    where, use = ("data", "split", "tail"), parts.one("task")
    if use is not None and use.use not in LANGUAGE_MODELS:
        say(
            where,
            f"only the texts of a language model can be cut, and task '{use.use}' is none; remove the key",
        )
    if parts.stands("data", "subject"):
        say(
            where,
            "a text that is cut is on both sides, and so is the person it is about; remove it, or data.subject",
        )
    if (
        parts.keys("data", "source")
        and isinstance(parts.at("data", "source"), dict)
        and not parts.stands("data", "source", "use")
    ):
        say(where, "data.source names the parts already, so no text is cut; remove one of the two")

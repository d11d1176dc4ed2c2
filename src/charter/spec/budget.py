"""What a charter says of its data's privacy budget that can't be."""

from charter.spec.bases import TILDE
from charter.spec.messages import found
from charter.spec.parts import Parts, Say

SECTION = ("data", "privacy_budget")


def budget_problems(parts: Parts, say: Say) -> None:
    """A budget of public data, a budget that the training has already passed, a place that is none."""
    epsilon: float | None = parts.one(*SECTION, "epsilon") if parts.stands(*SECTION) else None
    ledger: str | None = parts.one(*SECTION, "ledger") if parts.stands(*SECTION) else None
    if ledger is not None and ledger.startswith("~"):
        say((*SECTION, "ledger"), f"{found(ledger)}; {TILDE}")
    if epsilon is None:
        return
    if parts.one("data", "public") is True:
        say(
            SECTION,
            "data.public is true, so nobody's privacy is at stake and none is spent: remove one of the two",
        )
    elif not parts.stands("privacy") and _learns(parts):
        say(
            SECTION,
            f"epsilon {epsilon:g} for all runs together, and training without privacy costs more than any: add a section privacy, such as "
            "privacy: {epsilon: 3, delta: 1.0e-5}; or, where nobody's privacy is at stake, data: {public: true} in place of the budget",
        )


def _learns(parts: Parts) -> bool:
    """Whether anything is learned from rows, as far as the keys say."""
    epochs: int | None = parts.one("training", "epochs")
    more = (("training", "objective"), ("pretraining",), ("model", "tokenizer"))
    return epochs != 0 or any(parts.stands(*one) for one in more)

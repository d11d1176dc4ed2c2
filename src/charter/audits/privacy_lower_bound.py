"""The audit of the claimed epsilon: canaries in one sibling run show an epsilon that is surely not too large, or nothing."""

from typing import Annotated, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from charter.audits.case import Audit, Case
from charter.audits.one_run import Bound, lower_bound
from charter.audits.siblings import NOT_GIVEN, Sibling, Siblings, of_nobody, signals
from charter.data.columns import ROW
from charter.runs.findings import Finding
from charter.spec.metrics import LOWER_BOUND
from charter.tasks.language_model import LanguageModel

AREA = "privacy_audit"
FEWEST = 10
WEAKER = "canaries are there or not, which tests less than the claim, of replacing a row, promises"
USUAL_DELTA = 1e-5
"""Where the charter claims nothing."""


def privacy_lower_bound(
    *,
    canaries: Annotated[
        int, Field(ge=FEWEST, le=1_000_000, description="training rows at most that a coin decides over")
    ] = 1000,
    confidence: Annotated[
        float,
        Field(gt=0.5, lt=1, description="how sure the bound is: 0.95 is wrong in one run of 20 at most"),
    ] = 0.95,
) -> Audit:
    """A lower bound of epsilon from one sibling run with canaries; above the charter's epsilon it stops the release."""

    def measure(case: Case) -> list[Finding]:
        given = case.siblings
        if given is None:
            return [_none(case, NOT_GIVEN)]
        count = min(canaries, case.train.height // 2)
        if count < FEWEST:
            return [_none(case, f"insufficient evidence: {count} canaries, at least {FEWEST} are needed")]
        rng = np.random.default_rng([case.seed, 1])
        placed = case.train.sample(count, seed=case.seed, shuffle=True)
        rest = case.train.filter(~pl.col(ROW).is_in(placed[ROW].to_list()))
        planted = _mislabelled(case, placed, rng)
        included = rng.random(count) < 0.5
        scores = _scores(case, given, rest, of_nobody(planted, case.columns), included)
        if scores is None:
            return [_none(case, f"task {case.task.name} states no probabilities")]
        delta = USUAL_DELTA if given.delta is None else given.delta
        bound = lower_bound(scores, included, confidence=confidence, delta=delta)
        wrong = planted is not placed
        return [_finding(case, bound, wrong, delta, confidence, given)]

    return measure


def _mislabelled(case: Case, placed: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """The canaries with a wrong class each, drawn at random, since what contradicts all else has to be remembered; other tasks' stay."""
    target, labels = case.columns.target, case.task.labels
    if target is None or len(labels) < 2 or placed.schema[target] != pl.String:
        return placed
    if not set(placed[target].drop_nulls()) <= set(labels):
        return placed
    place = {label: at for at, label in enumerate(labels)}
    moved = rng.integers(1, len(labels), placed.height)
    wrong = [
        None if own is None else labels[(place[own] + int(step)) % len(labels)]
        for own, step in zip(placed[target].to_list(), moved, strict=True)
    ]
    return placed.with_columns(pl.Series(target, wrong, dtype=pl.String))


def _scores(
    case: Case, given: Siblings, rest: pl.DataFrame, planted: pl.DataFrame, included: NDArray[np.bool_]
) -> NDArray[np.float64] | None:
    """How much surer the sibling is of each canary than the audited model, to which it is no canary; drawn without the coins."""
    learned = pl.concat([rest, planted.filter(pl.Series(included))])
    asked = Sibling("canary", 1, 1, learned, planted, case.seed + 1)
    told = signals(case.task, given.train(asked), planted, case.columns)
    if told is None:
        return None
    outputs = given.answer(planted)
    if case.temperature.value != 1.0:
        outputs = case.task.tempered(outputs, 1 / case.temperature.value)
    before = signals(case.task, outputs, planted, case.columns)
    assert before is not None
    likelihood = isinstance(case.task, LanguageModel)  # of many tokens odds say the same
    return told.likelihood - before.likelihood if likelihood else told.odds - before.odds


def _finding(
    case: Case, bound: Bound, wrong: bool, delta: float, confidence: float, given: Siblings
) -> Finding:
    kind = "training rows with a wrong class" if wrong else "training rows as they are"
    method = (
        f"one run with {bound.canaries} canaries ({kind}), each learned from or not by a fair coin (Steinke et al. 2023); "
        f"of {bound.choice.guesses} guesses {bound.right} are right; "
        f"the best of {bound.choices} choices fixed beforehand, which the confidence is corrected for; "
        f"delta {delta:g}; were every guess right, epsilon {bound.largest:.2f} would be shown, and no more"
    )
    method += f"; {WEAKER}" if given.replaced else ""
    attachment: dict[str, Any] = {
        "kind": "table",
        "name": "lower bound",
        "canaries": bound.canaries,
        "guesses": bound.choice.guesses,
        "right": bound.right,
        "largest": bound.largest,
        "delta": delta,
        **({} if given.epsilon is None else {"claimed": given.epsilon}),
    }
    return Finding(
        AREA,
        LOWER_BOUND,
        bound.epsilon,
        n=bound.canaries,
        confidence=confidence,
        method=method,
        attachment=attachment,
        **_common(case),
    )


def _none(case: Case, because: str) -> Finding:
    return Finding(AREA, LOWER_BOUND, None, because=because, **_common(case))


def _common(case: Case) -> dict[str, Any]:
    return {"of": case.of, "on": case.answers["test"].digest, "split": "train"}

"""The audit of membership inference: can anyone tell from the model that a row was among those it learned from?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from charter.audits.case import Audit, Case
from charter.audits.membership import (
    BLIND,
    Attack,
    Shadows,
    Signals,
    attack_scores,
    balanced_inclusion,
    blind,
    spoken_of,
)
from charter.audits.resampling import Interval, clusters
from charter.audits.roc import (
    Scored,
    area_under_curve,
    curve,
    others_needed,
    strongest,
    true_positive_rate,
)
from charter.audits.siblings import NOT_GIVEN, Sibling, Siblings, signals
from charter.data.columns import ROW
from charter.errors import OptionError
from charter.runs.findings import Finding
from charter.spec.metrics import AUC, RATES

AREA = "privacy_audit"
FEWEST = 20
"""Fewer rows of either kind have no curve to speak of."""


def membership_inference(
    *,
    attack: Annotated[
        tuple[Attack, ...],
        Field(min_length=1, description="loss needs the model alone; the others compare with shadow models"),
    ] = ("loss", "lira", "rmia"),
    shadow_models: Annotated[
        int,
        Field(
            ge=0, le=1000, description="models trained as this one on other rows: each costs a whole training"
        ),
    ] = 8,
    rows: Annotated[
        int, Field(ge=100, description="training rows judged at most, and as many test rows")
    ] = 10_000,
    confidence: Annotated[float, Field(gt=0.5, lt=1, description="confidence of the intervals")] = 0.95,
) -> Audit:
    """How well training rows can be told from test rows by the model: true positives at 0.1 % and 1 % false ones, AUC."""
    named = tuple(dict.fromkeys(attack))
    compared = [one for one in named if one != "loss"]
    if compared and shadow_models < 2:
        raise OptionError(
            f"attack {compared[0]} compares with models that did not learn a row and with models that did: write shadow_models: 2 or "
            "more, or attack: [loss]"
        )
    models = shadow_models if compared else 0

    def measure(case: Case) -> list[Finding]:
        if case.siblings is None:
            return _nothing(case, NOT_GIVEN)
        pool = _pool(case, rows)
        target = _target(case, case.siblings, pool)
        if target is None:
            return _nothing(case, f"task {case.task.name} states no probabilities")
        few = min(int(pool.member.sum()), int((~pool.member).sum()))
        if few < FEWEST:
            return _nothing(case, f"insufficient evidence: {few} rows, at least {FEWEST} are needed")
        shadows = _shadows(case, case.siblings, pool, models) if models else None
        scores = {one: attack_scores(one, target, shadows, ~pool.member) for one in named}
        control = None if shadows is None else blind(shadows)
        return list(_found(case, pool, scores, control, models, confidence))

    return measure


@dataclass(frozen=True)
class _Pool:
    """The rows that are judged: members (training rows), then as many test rows. rest: the other training rows.

    units: (rows,) rows that belong together.
    """

    rows: pl.DataFrame
    member: NDArray[np.bool_]
    units: NDArray[np.int64]
    rest: pl.DataFrame

    def scored(self, scores: NDArray[np.float64]) -> tuple[Scored, Scored]:
        """The scores of members, and of the others."""
        parts = (self.member, ~self.member)
        own, theirs = (
            Scored(scores[part], np.unique(self.units[part], return_inverse=True)[1]) for part in parts
        )
        return own, theirs


def _pool(case: Case, most: int) -> _Pool:
    test = case.answers["test"].rows
    count = min(most, test.height)
    members = case.train.sample(min(count, case.train.height), seed=case.seed, shuffle=True)
    others = test.sample(count, seed=case.seed, shuffle=True)
    together = pl.concat([members, others], how="diagonal_relaxed").select(case.train.columns)
    rest = case.train.filter(~pl.col(ROW).is_in(members[ROW].to_list()))
    member = np.arange(together.height) < members.height
    return _Pool(together, member, clusters(together, case.columns.subject), rest)


def _target(case: Case, siblings: Siblings, pool: _Pool) -> Signals | None:
    """What the audited model says, as it was before a temperature was folded in: shadow models have none."""
    outputs = siblings.answer(pool.rows)
    if case.temperature.value != 1.0:
        outputs = case.task.tempered(outputs, 1 / case.temperature.value)
    return signals(case.task, outputs, pool.rows, case.columns)


def _shadows(case: Case, siblings: Siblings, pool: _Pool, models: int) -> Shadows:
    """Models that learn from half of the pool each, and from all other training rows: as many rows as the audited one did."""
    share = float(pool.member.mean())
    included = balanced_inclusion(pool.units, models, share, case.seed)
    likelihood, odds = [], []
    for number, own in enumerate(included):
        learned = pl.concat([pool.rest, pool.rows.filter(pl.Series(own))], how="diagonal_relaxed")
        asked = Sibling("shadow", number + 1, models, learned, pool.rows, case.seed + 1 + number)
        told = signals(case.task, siblings.train(asked), pool.rows, case.columns)
        assert told is not None
        likelihood.append(told.likelihood)
        odds.append(told.odds)
    return Shadows(Signals(np.stack(likelihood), np.stack(odds)), included)


def _found(
    case: Case,
    pool: _Pool,
    scores: dict[Attack, NDArray[np.float64]],
    control: NDArray[np.float64] | None,
    models: int,
    confidence: float,
) -> Iterator[Finding]:
    members = int(pool.member.sum())
    common = _common(case) | {"n": len(pool.member), "confidence": confidence}
    ordered = case.siblings.ordered if case.siblings is not None else ""
    how = (_against(models), *([ordered] if ordered else []))
    parted = {name: pool.scored(one) for name, one in scores.items()}
    for rate, metric in RATES.items():
        needed, worth = others_needed(rate), next(iter(parted.values()))[1].worth
        if worth < needed:
            held = len(pool.member) - members
            like = "" if round(worth) >= held else f", worth {worth:,.0f} independent ones"
            because = f"insufficient evidence: {held:,} non-members{like}, at least {needed:,} are needed"
            bare = {key: one for key, one in common.items() if key != "confidence"}
            yield from (_of(metric, where, None, "", bare, because) for where in _places(scores))
            continue
        found = {name: true_positive_rate(*both, rate, confidence) for name, both in parted.items()}
        yield from _each(metric, found, how, common)
        yield _strongest(metric, found, parted, rate, how, common, confidence)
    areas = {name: area_under_curve(*both, confidence) for name, both in parted.items()}
    yield from _each(AUC, areas, how, common)
    drawn = {"kind": "curve", "name": "roc", "members": members, "others": len(pool.member) - members}
    drawn["attacks"] = {name: curve(*both) for name, both in parted.items()}
    yield _strongest(AUC, areas, parted, None, how, common, confidence, drawn)
    if control is not None:
        told = area_under_curve(*pool.scored(control), confidence)
        yield _of(AUC, {"attack": BLIND}, told, _said(BLIND, how), common)


def _against(models: int) -> str:
    if not models:
        return "no shadow model"
    return f"{models} shadow models, each trained as this one was, on as many rows, half of the judged ones among them"


def _said(attack: str, how: tuple[str, ...]) -> str:
    """An attack and what it was made with; the loss alone needs no other model, whatever the others have."""
    return "; ".join((spoken_of(attack), _against(0) if attack == "loss" else how[0], *how[1:]))


def _places(scores: dict[Attack, Any]) -> list[dict[str, str]]:
    return [*({"attack": str(name)} for name in scores), {}]


def _each(
    metric: str, found: dict[Attack, Interval], how: tuple[str, ...], common: dict[str, Any]
) -> Iterator[Finding]:
    for name, one in found.items():
        yield _of(metric, {"attack": name}, one, _said(name, how), common)


def _strongest(
    metric: str,
    found: dict[Attack, Interval],
    parted: dict[Attack, tuple[Scored, Scored]],
    rate: float | None,
    how: tuple[str, ...],
    common: dict[str, Any],
    confidence: float,
    drawn: dict[str, Any] | None = None,
) -> Finding:
    """The strongest attack's value, with ends that hold whichever was strongest.

    The high one is the highest of all attacks', the low one that of the strongest at a confidence corrected for their number
    (Bonferroni).
    """
    names = list(found)
    best = names[strongest(list(found.values()))]
    sure = 1 - (1 - confidence) / len(names)
    again = (
        area_under_curve(*parted[best], sure)
        if rate is None
        else true_positive_rate(*parted[best], rate, sure)
    )
    high = max(one.high or 0.0 for one in found.values())
    interval = Interval(found[best].value, again.low, high, again.method)
    method = _said(best, how)
    if len(names) > 1:
        method += f"; the strongest of {len(names)} attacks, which the interval is corrected for"
    return _of(metric, {}, interval, method, common, attachment=drawn)


def _of(
    metric: str,
    where: dict[str, str],
    found: Interval | None,
    how: str,
    common: dict[str, Any],
    because: str = "",
    **more: Any,
) -> Finding:
    if found is None:
        return Finding(AREA, metric, None, slice=where, because=because, **common, **more)
    return Finding(
        AREA,
        metric,
        found.value,
        low=found.low,
        high=found.high,
        slice=where,
        method=f"{how}; {found.method}",
        **common,
        **more,
    )


def _common(case: Case) -> dict[str, Any]:
    return {"of": case.of, "on": case.answers["test"].digest, "split": "test"}


def _nothing(case: Case, because: str) -> list[Finding]:
    metrics: Sequence[str] = (*RATES.values(), AUC)
    return [Finding(AREA, metric, None, because=because, **_common(case)) for metric in metrics]

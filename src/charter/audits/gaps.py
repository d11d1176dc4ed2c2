"""How far the scores of groups lie apart, and what each group loses from one model to another, with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from charter.audits.measuring import TOGETHER
from charter.audits.pairing import Answered, Difference, paired
from charter.audits.resampling import Resampling, clusters, resampled_totals, summed, weight_chunks

MISSING = "(missing)"
"""The group of the rows that name none."""


@dataclass(frozen=True)
class Gap:
    """The largest minus the smallest score among groups; `because` says why there is none, or no interval.

    groups: those compared; largest, smallest: the groups whose scores these are.
    """

    column: str
    metric: str
    value: float | None
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    groups: tuple[str, ...] = ()
    largest: str = ""
    smallest: str = ""
    method: str = ""
    because: str = ""


def gap_of(column: str, metric: str, values: Mapping[str, float], because: str) -> Gap:
    """The gap of scores that are known by group, without an interval, and why it has none."""
    if len(values) < 2:
        return Gap(column, metric, None, groups=tuple(values), because=FEW)
    largest, smallest = max(values, key=values.__getitem__), min(values, key=values.__getitem__)
    return Gap(
        column,
        metric,
        values[largest] - values[smallest],
        groups=tuple(values),
        largest=largest,
        smallest=smallest,
        because=because,
    )


FEW = "fewer than two groups have enough rows"


def gap(one: Answered, column: str, groups: Sequence[str], metric: str, how: Resampling) -> Gap:
    """The gap of a score among groups of test rows, with a simultaneous bootstrap interval.

    All groups are scored in the same resamples of the test rows (of what the split kept together). The largest of several noisy
    scores minus the smallest is never below 0 and grows by noise alone, so the percentile interval of the gap itself would never
    reach a gap of 0. In place of it: with 95 % confidence no difference between two groups is off by more than q, the 95 % quantile
    of the largest deviation of any such difference in the resamples (the max-deviation bootstrap, Romano and Wolf 2005; here
    without studentising), so the true gap is within q of the measured one.
    """
    if len(groups) < 2:
        return Gap(column, metric, None, groups=tuple(groups), because=FEW)
    drawn = _by_group(one, column, groups, metric, how)
    if drawn is None:
        return Gap(column, metric, None, groups=tuple(groups), because="this score is not measured by group")
    values, resampled, units = drawn
    deviations = resampled - values
    kept = np.isfinite(deviations).all(axis=1)
    point = gap_of(column, metric, dict(zip(groups, values.tolist(), strict=True)), "")
    if kept.sum() < how.resamples / 2 or point.value is None:
        return gap_of(column, metric, dict(zip(groups, values.tolist(), strict=True)), UNDEFINED)
    deviations = deviations[kept]
    reach = float(np.quantile(deviations.max(axis=1) - deviations.min(axis=1), how.confidence))
    said = "rows" if units == one.rows.height else f"{units} {TOGETHER}"
    return Gap(
        column,
        metric,
        point.value,
        max(point.value - reach, 0.0),
        point.value + reach,
        how.confidence,
        tuple(groups),
        point.largest,
        point.smallest,
        f"simultaneous bootstrap interval over {said}, all groups in the same {how.resamples} resamples",
    )


UNDEFINED = "the score of a group is not defined in most resamples"


def group_differences(
    one: Answered, other: Answered, column: str, groups: Sequence[str], metric: str, how: Resampling
) -> Mapping[str, Difference]:
    """How much higher a score is for `other` than for `one` on each group's rows, paired; as `charter.audits.pairing.paired`."""
    found = {}
    for group in groups:
        pairing = paired(_part(one, column, group), _part(other, column, group), how)
        known = next((each for each in pairing.differences if each.metric == metric), None)
        if known is not None:
            found[group] = known
    return found


def _mask(one: Answered, column: str, group: str) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (one.rows[column].cast(pl.String).fill_null(MISSING) == group).to_numpy()
    return found


def _part(one: Answered, column: str, group: str) -> Answered:
    mask = _mask(one, column, group)
    outputs = [one.outputs[at] for at in np.flatnonzero(mask).tolist()]
    return Answered(one.task, one.columns, one.rows.filter(pl.Series(mask)), outputs)


def _by_group(
    one: Answered, column: str, groups: Sequence[str], metric: str, how: Resampling
) -> tuple[NDArray[np.float64], NDArray[np.float64], int] | None:
    """(groups,) scores, (resamples, groups) those in each resample of all rows, and the number of units; None: no such score."""
    name, task = (metric, ""), one.task
    unit = clusters(one.rows, one.columns.subject)
    units = int(unit.max()) + 1
    masks = [_mask(one, column, group) for group in groups]
    tally = task.tally(one.outputs, one.rows, one.columns).astype(np.float64)
    width = tally.shape[1]
    if name in task.scores(tally.sum(axis=0)):
        wide = summed(np.concatenate([tally * mask[:, None] for mask in masks], axis=1), unit)
        whole, totals = wide.sum(axis=0), resampled_totals(wide, how)
        places = [slice(place * width, (place + 1) * width) for place in range(len(groups))]
        values = np.array([float(task.scores(whole[place])[name]) for place in places])
        drawn = np.stack([np.asarray(task.scores(totals[:, place])[name]) for place in places], axis=1)
        return values, drawn, units
    parts = [_part(one, column, group) for group in groups]
    ones = [np.ones((1, part.rows.height)) for part in parts]
    if not parts or name not in task.ranking_scores(parts[0].outputs, parts[0].rows, one.columns, ones[0]):
        return None

    def ranked(part: Answered, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(task.ranking_scores(part.outputs, part.rows, part.columns, weights)[name])

    values = np.array([float(ranked(part, each)[0]) for part, each in zip(parts, ones, strict=True)])
    drawn = np.concatenate(
        [
            np.stack(
                [
                    ranked(part, weights[:, unit[mask]].astype(np.float64))
                    for part, mask in zip(parts, masks, strict=True)
                ],
                axis=1,
            )
            for weights in weight_chunks(units, how)
        ]
    )
    return values, drawn, units

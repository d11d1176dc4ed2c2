"""Fairness between groups: how often each is given a decision, how often wrongly, and how far groups lie apart."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from charter.audits.case import Answers, Audit, Case
from charter.audits.gaps import gap
from charter.audits.groups import Grouping, groupings
from charter.audits.measuring import TOGETHER
from charter.audits.pairing import Answered
from charter.audits.permutation import Given, given_of, p_value, permuted, with_corrected
from charter.audits.rates import Cells, Decisions, Rate, cells, mean
from charter.audits.resampling import Resampling, clusters, percentile, widened
from charter.audits.spread import Spread, contrast, difference, ratio
from charter.errors import DataError
from charter.runs.findings import Finding
from charter.spec.fairness import ACROSS, CRITERIA, GROUP_RATES, REFERENCE
from charter.tasks.task import Confidences

AREA = "fairness"
MOST_CLASSES = 20
"""With more classes only those that the option `classes` names are compared."""
FEW = "insufficient evidence: fewer than two groups have enough decisions"


def fairness(
    *,
    classes: Annotated[
        list[str] | None,
        Field(description="the decisions that matter to people, such as [approved]; left out: every class"),
    ] = None,
    intersections: Annotated[
        bool, Field(description="compare the groups of several columns together, too")
    ] = True,
    reference: Annotated[
        dict[str, str] | None,
        Field(description="column -> the group that each other one is held against, such as {sex: male}"),
    ] = None,
    resamples: Annotated[int, Field(ge=200, le=100_000, description="bootstrap resamples")] = 1000,
    permutations: Annotated[
        int,
        Field(ge=199, le=1_000_000, description="permutations of each test; no p is below one in so many"),
    ] = 9_999,
    confidence: Annotated[float, Field(gt=0.5, lt=1, description="confidence of the intervals")] = 0.95,
    minimum_n: Annotated[int, Field(ge=10, description="fewer decisions of a group are no evidence")] = 30,
) -> Audit:
    """How often each group is given each answer, how often wrongly, and how far groups lie apart."""

    def measure(case: Case) -> list[Finding]:
        how = Resampling(resamples, confidence, case.seed)
        test = case.answers["test"]
        labels = _measured(case, classes)
        found: list[Finding] = []
        for grouping in groupings(test.rows, case.columns.groups, together=intersections):
            told = _Told(case, test, grouping, labels, how, minimum_n, permutations)
            found += [*told.rates(), *told.apart(), *told.means(), *told.headline()]
            found += told.against((reference or {}).get(grouping.name))
        return with_corrected(found)

    return measure


def _measured(case: Case, asked: Sequence[str] | None) -> tuple[str, ...]:
    """The classes whose rates are compared.

    Raises:
        DataError: a class that there is none of.
    """
    labels = case.task.labels
    if asked is None:
        return labels if len(labels) <= MOST_CLASSES else ()
    strange = [one for one in asked if one not in labels]
    if strange:
        raise DataError(
            f"audit fairness: classes names '{strange[0]}', but the classes are {', '.join(labels)}"
        )
    return tuple(asked)


@dataclass(frozen=True)
class _Told:
    """What is told of one grouping of the test rows."""

    case: Case
    test: Answers
    grouping: Grouping
    labels: tuple[str, ...]
    how: Resampling
    minimum_n: int
    permutations: int

    @cached_property
    def decided(self) -> Confidences | None:
        """One decision per row; None for tasks of numbers, words or vectors."""
        if self.case.task.reads_words:
            return None
        return self.case.task.confidences(self.test.outputs, self.test.rows, self.case.columns)

    @cached_property
    def unit(self) -> NDArray[np.int64]:
        """(rows,) what belongs together."""
        return clusters(self.test.rows, self.case.columns.subject)

    @cached_property
    def lots(self) -> dict[tuple[int, Given, tuple[int, ...]], Cells | None]:
        """Permutations made so far, which several criteria read."""
        return {}

    @cached_property
    def alone(self) -> bool:
        """Whether every row stands for itself."""
        return int(self.unit.max(initial=-1)) + 1 == len(self.unit)

    @cached_property
    def units(self) -> str:
        """What is resampled, in words."""
        return "rows" if self.alone else f"{int(self.unit.max()) + 1} {TOGETHER}"

    @cached_property
    def cells(self) -> Mapping[str, Cells]:
        """The decisions on each class, counted; one table for all classes where a row has one."""
        told = self.decided
        if told is None or not self.labels:
            return {}
        if told.of is None:
            one = self._counted(told, self.case.task.labels, slice(None))
            return dict.fromkeys(self.labels, one)
        index = {label: number for number, label in enumerate(self.case.task.labels)}
        return {
            label: self._counted(told, (f"not {label}", label), told.of == index[label])
            for label in self.labels
        }

    def _counted(self, told: Confidences, classes: tuple[str, ...], chosen: Any) -> Cells:
        row = told.example[chosen]
        return cells(
            Decisions(
                classes,
                tuple(map(str, range(len(self.grouping.groups)))),
                told.truth[chosen],
                told.answers[chosen],
                self.grouping.number[row],
                None if self.alone else self.unit[row],
            ),
            self.how,
        )

    def _finding(self, metric: str, value: float | None, **told: Any) -> Finding:
        common: dict[str, Any] = {"of": self.case.of, "on": self.test.digest, "split": "test", **told}
        if value is not None:
            common.setdefault("confidence", self.how.confidence)
        return Finding(AREA, metric, value, **common)

    # Rates of each group

    def rates(self) -> Iterator[Finding]:
        """Each rate of each class in each group."""
        for label, counted in self.cells.items():
            for name in GROUP_RATES:
                rate = counted.rate(name, label)
                for group in range(len(self.grouping.groups)):
                    yield self._rate(rate, group, {"class": label, **self.grouping.where(group)})

    def _rate(self, rate: Rate, group: int, where: Mapping[str, str]) -> Finding:
        count, worth = int(rate.of[group]), float(rate.worth[group])
        if worth < self.minimum_n:
            because = (
                f"insufficient evidence: {_decisions(count, worth)}, at least {self.minimum_n} are needed"
            )
            return self._finding(rate.name, None, n=count, slice=where, because=because)
        value = float(rate.values[group])
        found = percentile(value, rate.resampled[:, group], self.how, self.units)
        found = (
            widened(found, worth, self.how.confidence)
            if rate.share
            else replace(found, method=f"normal interval over {self.units}")
        )
        return self._finding(
            rate.name, value, low=found.low, high=found.high, n=count, slice=where, method=found.method
        )

    # How far groups lie apart

    def apart(self) -> Iterator[Finding]:
        """The largest difference and the smallest ratio between groups by each criterion, over the measured classes."""
        for criterion, names in CRITERIA.items():
            told = [(label, name) for label in self.cells for name in names]
            if told:
                yield from self._apart(
                    criterion, [self.cells[label].rate(name, label) for label, name in told]
                )

    def _apart(self, criterion: str, rates: Sequence[Rate], *, ratios: bool = True) -> Iterator[Finding]:
        enough = np.all([rate.worth >= self.minimum_n for rate in rates], axis=0)
        groups = np.flatnonzero(enough)
        where = {ACROSS: self.grouping.name}
        kinds: list[tuple[str, Callable[..., Spread]]] = [("difference", difference)]
        kinds += [("ratio", ratio)] if ratios else []
        for kind, measure in kinds:
            metric = f"{criterion}_{kind}"
            if len(groups) < 2:
                yield self._finding(metric, None, n=int(enough.sum()), slice=where, because=FEW)
                continue
            found = measure(rates, groups, self.how)
            shown: dict[str, Any] = {
                "kind": "apart",
                "rate": found.rate.name,
                "class": found.rate.label,
                "high": self.grouping.said(found.high),
                "low": self.grouping.said(found.low),
                "groups": [self.grouping.said(int(one)) for one in groups],
                "left_out": [self.grouping.said(int(one)) for one in np.flatnonzero(~enough)],
            }
            if kind == "difference":
                shown |= self._tested(criterion, rates, groups)
            yield self._finding(
                metric,
                found.value,
                low=found.ends[0],
                high=found.ends[1],
                n=int(sum(rates[0].of[groups])),
                slice=where,
                method=self._method(len(groups), int((~enough).sum())),
                attachment=shown,
            )

    def _permuted(self, counted: Cells, given: Given, groups: NDArray[np.int64]) -> Cells | None:
        key = (id(counted), given, tuple(groups.tolist()))
        if key not in self.lots:
            self.lots[key] = permuted(counted, given, groups, self.permutations, self.how.seed)
        return self.lots[key]

    def _method(self, compared: int, left_out: int) -> str:
        said = f"simultaneous bootstrap interval over {self.units} (max-t), {compared} groups, {self.how.resamples} resamples"
        return said + (
            f"; left out for fewer than {self.minimum_n} decisions: {left_out}" if left_out else ""
        )

    def _tested(self, criterion: str, rates: Sequence[Rate], groups: NDArray[np.int64]) -> dict[str, Any]:
        """A p-value of all groups being treated alike; none where rows belong together, since lots can't be cast among them."""
        if not self.alone or not all(rate.share for rate in rates) or criterion == "accuracy":
            return {}
        values = []
        by_table: dict[int, list[Rate]] = {}
        for rate in rates:
            by_table.setdefault(id(self.cells[rate.label]), []).append(rate)
        for own in by_table.values():
            counted = self.cells[own[0].label]
            drawn = self._permuted(counted, given_of(own[0].name), groups)
            if drawn is None:
                return {}
            values.append(p_value(drawn, [(rate.name, rate.label) for rate in own]))
        return {"p": min(1.0, min(values) * len(values)), "test": "permutation"}

    # Accuracy and what is stated, by group

    def means(self) -> Iterator[Finding]:
        """How much surer answers are than they are right, and, of numbers, by how much they are too high; by group and across."""
        told = self.decided
        if told is not None and told.of is None:
            right = (told.truth == told.answers).astype(np.float64)
            yield from self._mean("overconfidence", told.stated - right, told.example)
            yield from self._shares("accuracy", right, told.example)
            return
        if told is None and not self.case.task.labels and not self.case.task.reads_words:
            answers = self.case.task.decode(self.test.outputs, self.test.rows, self.case.columns)
            truth = self.test.rows[self.case.columns.target] if self.case.columns.target else None
            if "prediction" in answers.columns and truth is not None and truth.dtype.is_numeric():
                off = answers["prediction"].to_numpy() - truth.to_numpy()
                yield from self._mean("mean_error", off, np.arange(len(off)))

    def _mean(self, name: str, values: NDArray[np.float64], row: NDArray[Any]) -> Iterator[Finding]:
        number = self.grouping.number[row]
        rate = mean(name, values, number, len(self.grouping.groups), self.unit[row], self.how)
        for group in range(len(self.grouping.groups)):
            yield self._rate(rate, group, self.grouping.where(group))
        yield from self._apart(name, [rate], ratios=False)

    def _shares(self, name: str, right: NDArray[np.float64], row: NDArray[Any]) -> Iterator[Finding]:
        number = self.grouping.number[row]
        truth = np.zeros(len(right), dtype=np.int64)
        unit = None if self.alone else self.unit[row]
        groups = tuple(map(str, range(len(self.grouping.groups))))
        decisions = Decisions(("right", "wrong"), groups, truth, 1 - right.astype(np.int64), number, unit)
        rate = replace(cells(decisions, self.how).rate("accuracy"), name=name)
        if len(self.grouping.columns) > 1:  # of one column the audit `performance` tells it
            for group in range(len(self.grouping.groups)):
                yield self._rate(rate, group, self.grouping.where(group))
        yield from self._apart(name, [rate])
        yield self._worst(rate)

    def _worst(self, rate: Rate) -> Finding:
        """The accuracy of the group that has the lowest, each group's interval widened for how many there are."""
        groups = np.flatnonzero(rate.worth >= self.minimum_n)
        where = {ACROSS: self.grouping.name}
        metric = "worst_group_accuracy"
        if not len(groups):
            return self._finding(metric, None, n=0, slice=where, because=FEW)
        each = replace(self.how, confidence=self.how.confidence ** (1 / len(groups)))
        ends = []
        for group in groups:
            value = float(rate.values[group])
            found = percentile(value, rate.resampled[:, group], each, self.units)
            ends.append(widened(found, float(rate.worth[group]), each.confidence))
        worst = int(np.argmin([one.value for one in ends]))
        return self._finding(
            metric,
            ends[worst].value,
            low=min(one.low or 0.0 for one in ends),
            high=min(1.0 if one.high is None else one.high for one in ends),
            n=int(rate.of[groups].sum()),
            slice=where,
            method=self._method(len(groups), len(rate.worth) - len(groups)),
            attachment={"kind": "apart", "low": self.grouping.said(int(groups[worst]))},
        )

    def headline(self) -> Iterator[Finding]:
        """How far the task's main score lies apart, whatever the task; of one column, whose scores by group `performance` tells."""
        if len(self.grouping.columns) > 1:
            return
        column = self.grouping.columns[0]
        number = np.bincount(self.grouping.number, minlength=len(self.grouping.groups))
        kept = [self.grouping.said(int(one)) for one in np.flatnonzero(number >= self.minimum_n)]
        answered = Answered(self.case.task, self.case.columns, self.test.rows, self.test.outputs)
        found = gap(answered, column, kept, self.case.task.headline, self.how)
        where = {ACROSS: column}
        if found.value is None:
            because = FEW if len(kept) < 2 else f"insufficient evidence: {found.because}"
            yield self._finding(
                "headline_difference", None, n=self.test.rows.height, slice=where, because=because
            )
            return
        shown = {"kind": "apart", "rate": found.metric, "high": found.largest, "low": found.smallest}
        yield self._finding(
            "headline_difference",
            found.value,
            low=found.low,
            high=found.high,
            confidence=found.confidence,
            n=int(number[number >= self.minimum_n].sum()),
            slice=where,
            method=found.method,
            attachment=shown,
        )

    # Named contrasts

    def against(self, reference: str | None) -> Iterator[Finding]:
        """How much higher each rate is in every other group than in the reference.

        Raises:
            DataError: a reference that there is no group of.
        """
        if reference is None or not self.cells:
            return
        names = [self.grouping.said(one) for one in range(len(self.grouping.groups))]
        if reference not in names:
            raise DataError(
                f"audit fairness: reference names the group '{reference}' of {self.grouping.name}, but the groups are "
                f"{', '.join(names)}"
            )
        base = names.index(reference)
        for label, counted in self.cells.items():
            for name in GROUP_RATES:
                rate = counted.rate(name, label)
                for group, said in enumerate(names):
                    if group == base or min(rate.worth[group], rate.worth[base]) < self.minimum_n:
                        continue
                    value, low, high = contrast(rate, group, base, self.how)
                    pair = np.array(sorted((group, base)))
                    tested = self._tested(name, [rate], pair)
                    where = {"class": label, self.grouping.name: said, REFERENCE: reference}
                    yield self._finding(
                        f"{name}_contrast",
                        value,
                        low=low,
                        high=high,
                        n=int(rate.of[group] + rate.of[base]),
                        slice=where,
                        method=f"bootstrap interval of the difference, {self.how.resamples} resamples",
                        attachment={"kind": "apart", **tested} if tested else None,
                    )


def _decisions(count: int, worth: float) -> str:
    return f"{count} decisions" + ("" if worth >= count else f", worth {worth:.1f} independent ones")

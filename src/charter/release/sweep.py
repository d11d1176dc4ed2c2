"""One charter at several values of a key: its scores, and how far groups lie apart, against that value."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from charter.audits.gaps import Gap
from charter.audits.pairing import Difference
from charter.release.comparison import Comparison
from charter.release.record import Record
from charter.release.selection import findings_of, first, main_scores, one_answer
from charter.runs.findings import Finding


@dataclass(frozen=True)
class Point:
    """One value. said: as people read it; number: infinite for no privacy, None where it is none; place: of its run in the comparison.

    gaps: of each group column, in the charter's order. losses: by group column and group, how much higher the score is than at the
    first run of the comparison, on the same rows; empty for that one, and where they can't be paired.
    """

    said: str
    number: float | None
    place: int
    gaps: tuple[Gap, ...] = ()
    losses: Mapping[str, Mapping[str, Difference]] | None = None


@dataclass(frozen=True, repr=False)
class Swept:
    """A sweep's runs beside each other. name: the charter's; points: in the order in which they were asked for.

    groups: of each group column the groups that have enough rows at every point. left_out: those that have not.
    """

    name: str
    key: str
    points: tuple[Point, ...]
    comparison: Comparison
    groups: Mapping[str, tuple[str, ...]]
    left_out: Mapping[str, tuple[str, ...]]

    @property
    def headline(self) -> str:
        """The score that is swept."""
        return self.comparison.headline

    def record(self, point: Point) -> Record:
        """A point's run."""
        return self.comparison.runs[point.place].record

    def score(self, point: Point) -> Finding | None:
        """A point's score over all test rows."""
        found = main_scores(self.record(point))
        return first(found, "performance", self.headline) or first(found, "calibration", self.headline)

    def of_group(self, point: Point, column: str, group: str) -> Finding | None:
        """A point's score on a group's rows."""
        return first(findings_of(self.record(point)), "performance", self.headline, **{column: group})

    def noise(self, point: Point) -> float | None:
        """The noise multiplier that its budget asked for; None without privacy."""
        found = first(self.record(point).findings, "privacy", "noise_multiplier")
        return None if found is None else found.value

    def seconds(self, point: Point) -> float | None:
        """What its training took, in the run that made it."""
        found = first(self.record(point).findings, "training", "seconds")
        return None if found is None else found.value

    def one_answer(self, point: Point) -> str | None:
        """The class that a point's model gives to every test row; None where it tells rows apart."""
        found = one_answer(findings_of(self.record(point)))
        return None if found is None else found.answer

    def kept(self, point: Point) -> tuple[int, int]:
        """How many of its limits were kept, and of how many."""
        outcomes = [one.outcome for one in self.record(point).verdicts]
        return outcomes.count("kept"), len(outcomes)

    def as_json(self) -> dict[str, Any]:
        """The whole sweep as JSON; null stands for an infinite value, which is no privacy."""
        return {
            "format": 1,
            "charter": self.name,
            "key": self.key,
            "headline": self.headline,
            "points": [self._point_json(one) for one in self.points],
            "left_out": {column: list(groups) for column, groups in self.left_out.items()},
            "comparison": self.comparison.as_json(),
        }

    def _point_json(self, point: Point) -> dict[str, Any]:
        number = point.number if point.number is not None and math.isfinite(point.number) else None
        kept, limits = self.kept(point)
        return {
            "value": point.said,
            "number": number,
            "run": self.record(point).run_id,
            "noise_multiplier": self.noise(point),
            "score": _ends(self.score(point)),
            "one_answer": self.one_answer(point),
            "groups": {
                column: {group: _ends(self.of_group(point, column, group)) for group in groups}
                for column, groups in self.groups.items()
            },
            "gaps": [{name: _plain(one) for name, one in vars(gap).items()} for gap in point.gaps],
            "differences": {
                column: {group: _ends(one) for group, one in each.items()}
                for column, each in (point.losses or {}).items()
            },
            "training_seconds": self.seconds(point),
            "limits_kept": kept,
            "limits": limits,
            "status": self.record(point).status,
        }

    def __repr__(self) -> str:
        return f"<Swept {self.key} of {self.name}: {', '.join(point.said for point in self.points)}>"


def _ends(one: Finding | Difference | None) -> dict[str, Any] | None:
    return None if one is None else {"value": one.value, "low": one.low, "high": one.high}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value

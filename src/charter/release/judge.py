"""Judge findings against limits. Pure: the same charter and findings always give the same verdicts.

A limit is kept only when evidence shows it: the worse end of the finding's interval (or, where the charter says
`judge: point`, its value) keeps the bound. No finding, a finding without a value, or a value without the interval
that is to be judged is "no evidence", and no evidence never passes.

A model that is released in several forms is several models: every limit is judged for each form on that form's own
evidence, and one form that breaks one limit stops the release of all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

from charter.runs.findings import Finding
from charter.spec.limits import Judge, Limit
from charter.spec.metrics import BESIDE_BASELINES, LOWER_BOUND, OF_THE_TABLE
from charter.spec.model import Charter

Outcome = Literal["kept", "broken", "no evidence"]

EXPORT = "export"
"""The area of what is measured of a released form as such: its size, its speed, its agreement with the first form."""

PRIVACY_AUDIT = "privacy_audit"
"""The area of what the model gives away of its training rows; that is about them, so it is judged on whatever split."""

# What a release must have evidence of, whatever its limits say: a finding with a value and an interval.
DEMANDED: Mapping[str, tuple[str, ...]] = {
    "minimal": (),
    "limited": ("performance",),
    "high": ("performance", "calibration", "fairness", "robustness", "explanations"),
}


@dataclass(frozen=True)
class Verdict:
    """How one limit (or one demand of the purpose's risk) came out, and on which evidence.

    finding: the evidence judged: the worst where a wildcard covers several; None where there was none.
    unjudged: the slices a wildcard left out because they have too little evidence, such as `topic=apple`.
    form: the released form that was judged, where there are several; else "".
    """

    limit: str
    judge: Judge
    outcome: Outcome
    because: str
    finding: Finding | None = None
    unjudged: tuple[str, ...] = ()
    form: str = ""

    def as_json(self) -> dict[str, Any]:
        """The verdict as a JSON object."""
        form = {"form": self.form} if self.form else {}
        return {
            "limit": self.limit,
            "judge": self.judge,
            "outcome": self.outcome,
            "because": self.because,
            "finding": None if self.finding is None else self.finding.as_json(),
            "unjudged": list(self.unjudged),
            **form,
        }


def judge(
    charter: Charter, findings: Sequence[Finding], forms: Mapping[str, str] = MappingProxyType({})
) -> list[Verdict]:
    """A verdict for every limit of the charter, in order, then one for every unmet demand of its risk and each refuted claim.

    forms: the released forms, name -> digest. Where there are several, each limit and demand is judged for each of them.
    """
    evidence = [
        one
        for one in findings
        if one.area in (EXPORT, PRIVACY_AUDIT, "reidentification")
        or (one.split == "test" and (one.area != "baseline" or one.metric in BESIDE_BASELINES))
    ]
    several = forms if len(forms) > 1 else {"": ""}
    of_each = {
        name: [one for one in evidence if one.of == digest or one.of not in several.values()]
        for name, digest in several.items()
    }
    verdicts = [
        replace(_judge_limit(limit, found), form=name)
        for limit in charter.limits
        for name, found in of_each.items()
    ]
    for name, found in of_each.items():
        verdicts += [replace(one, form=name) for one in _judge_demands(charter, found)]
        verdicts += [replace(one, form=name) for one in _judge_claim(charter, found)]
    return [*verdicts, *_judge_budget(charter, findings), *_judge_silence(charter)]


def released(verdicts: Sequence[Verdict]) -> bool:
    """Whether the model may ship: every verdict is "kept", and there is at least one."""
    return bool(verdicts) and all(verdict.outcome == "kept" for verdict in verdicts)


def worst_by_limit(verdicts: Sequence[Verdict]) -> dict[tuple[str, Judge], Outcome]:
    """How each limit came out over all released forms: as in the form where it came out worst."""
    order: tuple[Outcome, ...] = ("kept", "no evidence", "broken")
    found: dict[tuple[str, Judge], Outcome] = {}
    for one in verdicts:
        key = (one.limit, one.judge)
        found[key] = max(found.get(key, "kept"), one.outcome, key=order.index)
    return found


def _judge_limit(limit: Limit, evidence: Sequence[Finding]) -> Verdict:
    matching = [one for one in evidence if one.metric == limit.metric and _covers(limit, one)]
    has_wildcard = any(value == "*" for _, value in limit.slices)
    if not matching:
        return Verdict(str(limit), limit.judge, "no evidence", _nothing_measured(limit, evidence))
    measured = [one for one in matching if _worse_end(limit, one) is not None]
    without = [one for one in matching if one.value is None]
    unjudged = tuple(_slice_text(one) for one in without) if has_wildcard else ()
    without_interval = [one for one in matching if one.value is not None and one not in measured]
    if without_interval:
        because = "it was measured without an interval; say judge: point to judge its value"
        return Verdict(str(limit), limit.judge, "no evidence", because, without_interval[0], unjudged)
    if not measured:
        because = matching[0].because if not has_wildcard else "no slice it covers has enough evidence"
        return Verdict(str(limit), limit.judge, "no evidence", because, matching[0], unjudged)
    if without and not has_wildcard:
        return Verdict(str(limit), limit.judge, "no evidence", without[0].because, without[0])
    worst = _worst(limit, measured)
    kept = all(limit.kept_by(_worse_end(limit, one) or 0.0) for one in measured)
    return Verdict(
        str(limit), limit.judge, "kept" if kept else "broken", _reason(limit, worst, kept), worst, unjudged
    )


def _covers(limit: Limit, finding: Finding) -> bool:
    wanted = dict(limit.slices)
    if set(wanted) != set(finding.slice):
        return False
    return all(value in ("*", finding.slice[name]) for name, value in wanted.items())


def _worse_end(limit: Limit, finding: Finding) -> float | None:
    if limit.judge == "point":
        return finding.value
    return finding.low if limit.comparison in (">=", ">") else finding.high


def _worst(limit: Limit, measured: Sequence[Finding]) -> Finding:
    ends = [(_worse_end(limit, one) or 0.0, index) for index, one in enumerate(measured)]
    pick = min(ends) if limit.comparison in (">=", ">") else max(ends, key=lambda end: (end[0], -end[1]))
    return measured[pick[1]]


def _reason(limit: Limit, worst: Finding, kept: bool) -> str:
    end = _worse_end(limit, worst)
    where = f" for {_slice_text(worst)}" if "*" in [value for _, value in limit.slices] else ""
    if limit.judge == "point" or worst.exact:
        return f"its value{where} is {end:.4g}"
    name = "low" if limit.comparison in (">=", ">") else "high"
    share = f"{worst.confidence:.0%} " if worst.confidence else ""
    said = f"the {name} end of its {share}interval{where} is {end:.4g}"
    if not kept and worst.value is not None and limit.kept_by(worst.value):
        said += f"; its value {worst.value:.4g} would keep it, but that is not proven"
    return said


def _nothing_measured(limit: Limit, evidence: Sequence[Finding]) -> str:
    same = [one for one in evidence if one.metric == limit.metric]
    if not same:
        metrics = ", ".join(sorted({one.metric for one in evidence})) or "nothing"
        where = "of the training rows" if limit.metric in OF_THE_TABLE else "on the test split"
        return f"no audit measured {limit.metric} {where}; measured were: {metrics}"
    names = dict(limit.slices)
    slices = sorted({_slice_text(one) for one in same if set(one.slice) == set(names)})
    if slices:
        shown = ", ".join(slices[:12]) + (" ..." if len(slices) > 12 else "")
        return f"no such slice was measured; there are: {shown}"
    by = sorted({" and ".join(sorted(one.slice)) or "over all rows" for one in same})
    return f"{limit.metric} was measured {', '.join('by ' + one if one != 'over all rows' else one for one in by)}"


def _judge_demands(charter: Charter, evidence: Sequence[Finding]) -> list[Verdict]:
    risk = charter.purpose.risk
    found = {one.area for one in evidence if one.low is not None and one.high is not None}
    missing = [area for area in DEMANDED[risk] if area not in found]
    too_few = {one.area for one in evidence if one.value is None}
    return [
        Verdict(
            f"evidence of {area}",
            "interval",
            "no evidence",
            f"purpose.risk is {risk}, which demands evidence of {area}, and "
            + (
                "its audit found too little evidence on these rows"
                if area in too_few
                else "no audit measured it"
            ),
        )
        for area in missing
    ]


def _judge_budget(charter: Charter, findings: Sequence[Finding]) -> list[Verdict]:
    """Whether training kept the charter's privacy budget. What it spent is an upper bound, so its value is judged."""
    asked = charter.privacy
    if asked is None:
        return []
    limit = f"privacy: epsilon <= {asked.epsilon:g} at delta {asked.delta:g}"
    spent = next((one for one in findings if one.area == "privacy" and one.metric == "epsilon"), None)
    if spent is None or spent.value is None:
        because = "nothing was told of what training spent" if spent is None else spent.because
        return [Verdict(limit, "point", "no evidence", because, spent)]
    outcome: Outcome = "kept" if spent.value <= asked.epsilon else "broken"
    return [Verdict(limit, "point", outcome, f"its value is {spent.value:.4g}", spent)]


def _judge_claim(charter: Charter, evidence: Sequence[Finding]) -> list[Verdict]:
    """A lower bound above the epsilon that the charter claims refutes the claim, whatever its limits; one below it proves nothing."""
    claim = charter.privacy
    if claim is None:
        return []
    return [
        Verdict(
            f"privacy claim of epsilon {claim.epsilon:g}",
            "point",
            "broken",
            f"an audit shows that epsilon is at least {one.value:.4g} ({one.confidence or 0:.0%} sure), which is more than the "
            f"{claim.epsilon:g} that the charter claims: the claim is refuted",
            one,
        )
        for one in evidence
        if one.metric == LOWER_BOUND and one.value is not None and one.value > claim.epsilon
    ]


def _judge_silence(charter: Charter) -> list[Verdict]:
    if charter.limits:
        return []
    because = "the charter states no limit, so nothing is proven; write one under limits"
    return [Verdict("at least one limit", "interval", "no evidence", because)]


def _slice_text(finding: Finding) -> str:
    return ", ".join(f"{name}={value}" for name, value in finding.slice.items())

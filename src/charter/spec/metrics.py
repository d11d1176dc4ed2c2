"""What the built-in audits measure, by which slices, and within which range: a limit nothing can prove is refused before a run."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from charter.spec.limits import Limit
from charter.spec.messages import near

_OF_ENTITIES = ("accuracy", "macro_f1", "micro_f1", "macro_precision", "macro_recall")
GAIN = "headline_gain"
"""How much better the model's headline score is than a baseline's, measured with each baseline as its slice."""
OVERALL: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "performance": {
        "classification": (*_OF_ENTITIES, "mcc", "auroc", "auprc"),
        "token_classification": (*_OF_ENTITIES, "micro_precision", "micro_recall"),
    },
    "calibration": dict.fromkeys(
        ("classification", "token_classification"),
        ("expected_calibration_error", "brier", "negative_log_likelihood"),
    ),
}
"""Audit -> task -> the scores measured over all rows and by each value of a group column."""
PER_CLASS: Mapping[str, tuple[str, ...]] = {
    "classification": ("precision", "recall", "f1", "auroc", "auprc"),
    "token_classification": ("precision", "recall", "f1"),
}
"""Task -> the scores that the audit `performance` measures for each class."""
BASELINES: Mapping[str, tuple[str, ...]] = {
    "classification": ("majority", "tfidf_logistic_regression"),
    "token_classification": ("majority", "word_features_logistic_regression"),
}
"""Task -> the baselines that the audit `performance` measures beside the model."""
OWN_SLICES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "performance": {},
    "calibration": {"temperature": ("before",)},
}
"""Audit -> slices of its own making, and their values."""
SLICES = ("class", "baseline", "temperature", "split", "kind")
"""Names of slices that findings have already: a group column called so could not be told from them."""
RANGES: Mapping[str, tuple[float, float]] = {
    "mcc": (-1.0, 1.0),
    "brier": (0.0, 2.0),
    "negative_log_likelihood": (0.0, inf),
    GAIN: (-1.0, 1.0),
}
"""Metric -> its lowest and highest value; the others are shares, within 0 and 1."""
ERRORS = ("expected_calibration_error", "brier", "negative_log_likelihood")
"""Metrics of which less is better."""


@dataclass(frozen=True)
class Measuring:
    """What decides which metrics a run gives: built-in audits, a built-in task, the group columns."""

    audits: tuple[str, ...]
    task: str
    groups: tuple[str, ...]

    @property
    def metrics(self) -> tuple[str, ...]:
        """Every metric that is measured, by whatever slice."""
        names = [name for audit in self.audits for name in OVERALL[audit][self.task]]
        names += (*PER_CLASS[self.task], GAIN) if "performance" in self.audits else ()
        return tuple(dict.fromkeys(names))


def is_built_in(audits: tuple[str, ...], task: str) -> bool:
    """Whether all that measures is known here; what plug-ins measure is not."""
    return set(audits) <= set(OVERALL) and task in PER_CLASS


def audit_of(metric: str) -> str | None:
    """The built-in audit that measures a metric, for one task at least."""
    if metric == GAIN or any(metric in names for names in PER_CLASS.values()):
        return "performance"
    return next(
        (audit for audit, tasks in OVERALL.items() if any(metric in names for names in tasks.values())),
        None,
    )


def why_pointless(limit: Limit) -> str:
    """Why a limit on a metric known here says nothing or can never be kept, by its bound alone; empty where it is sound."""
    if audit_of(limit.metric) is None:
        return ""
    low, high = RANGES.get(limit.metric, (0.0, 1.0))
    upward = limit.comparison in (">=", ">")
    if upward == (limit.metric in ERRORS):
        better, write = ("less", "<=") if limit.metric in ERRORS else ("more", ">=")
        return (
            f"{limit.metric} {limit.comparison} {limit.bound:g} asks for a bad model: of {limit.metric} {better} is better. "
            f"Write {write}"
        )
    if not low <= limit.bound <= high or _is_never(limit, low, high):
        percent = (
            f". Write {limit.bound / 100:g} for {limit.bound:g} percent"
            if high == 1 < limit.bound <= 100
            else ""
        )
        return f"the bound is {limit.bound:g}, but {limit.metric} lies within {low:g} and {high:g}{percent}"
    return ""


def keeps_anything(limit: Limit) -> bool:
    """Whether every model keeps a limit, because its bound is the end of its metric's range."""
    if audit_of(limit.metric) is None:
        return False
    low, high = RANGES.get(limit.metric, (0.0, 1.0))
    return (limit.comparison, limit.bound) in ((">=", low), ("<=", high))


def _is_never(limit: Limit, low: float, high: float) -> bool:
    return (limit.comparison, limit.bound) in ((">", high), ("<", low))


def why_never(limit: Limit, measuring: Measuring) -> str:
    """Why no audit of a charter can ever measure a limit; empty where one does."""
    metric, task, known = limit.metric, measuring.task, measuring.metrics
    audit = audit_of(metric)
    if audit is not None and audit not in measuring.audits:
        return f"{metric} is measured by the audit '{audit}', which the charter does not name; add {{use: {audit}}} to audits"
    if audit is None or metric not in known:
        other = f" for task {task}" if audit else ""
        hint = "" if audit else near(metric, known)
        return f"no audit measures '{metric}'{other}.{hint} Measured: {', '.join(known) or 'nothing'}."
    if metric == GAIN:
        return _why_no_gain(limit, task)
    return _why_not_so_sliced(limit, audit, measuring)


def _why_no_gain(limit: Limit, task: str) -> str:
    slices = dict(limit.slices)
    if set(slices) != {"baseline"}:
        return f"{GAIN} is measured beside a baseline: write {GAIN}[baseline=NAME], of {', '.join(BASELINES[task])}"
    return _why_not_among(slices["baseline"], "baseline", BASELINES[task])


def _why_not_among(value: str, name: str, values: tuple[str, ...]) -> str:
    if value == "*" or value in values:
        return ""
    return f"there is no {name} '{value}'.{near(value, values)} Measured: {', '.join(values)}."


def _why_not_so_sliced(limit: Limit, audit: str, measuring: Measuring) -> str:
    metric, task, groups = limit.metric, measuring.task, measuring.groups
    slices = tuple(name for name, _ in limit.slices)
    own = OWN_SLICES[audit]
    per_class = audit == "performance" and metric in PER_CLASS[task]
    overall = metric in OVERALL[audit][task]
    if not slices and not overall:
        return f"{metric} is measured for each class, not over all rows: say which, as {metric}[class=NAME], or {metric}[class=*]"
    if not slices or (slices == ("class",) and per_class):
        return ""
    if len(slices) > 1:
        return f"{metric} is measured by one slice at a time, not by {' and '.join(slices)} together"
    name, value = limit.slices[0]
    if overall and name in own:
        return _why_not_among(value, name, own[name])
    if name == "class":
        classwise = f"; by class there are {', '.join(PER_CLASS[task])}"
        return f"{metric} is measured over all rows, not for each class{classwise}"
    if name in groups:
        by_group = ", ".join(OVERALL[audit][task])
        return (
            ""
            if overall
            else f"{metric} is measured for each class, not by group; by group there are {by_group}"
        )
    if name == "baseline":
        return f"limits are on the model: of the baselines only {GAIN}[baseline=NAME] is judged"
    listed = f"; groups: {', '.join(groups)}" if groups else ""
    return f"'{name}' is not in data.groups, so nothing is measured by it; add the column there{listed}"

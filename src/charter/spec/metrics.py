"""What the built-in audits measure, and by which slices: so that a limit nothing can prove is refused before a run."""

from collections.abc import Mapping

_OF_ENTITIES = ("accuracy", "macro_f1", "micro_f1", "macro_precision", "macro_recall")
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
OWN_SLICES: Mapping[str, tuple[str, ...]] = {"performance": (), "calibration": ("temperature",)}
"""Audit -> slices of its own making."""


def audit_of(metric: str) -> str | None:
    """The built-in audit that measures a metric, for one task at least."""
    if any(metric in names for names in PER_CLASS.values()):
        return "performance"
    return next(
        (audit for audit, tasks in OVERALL.items() if any(metric in names for names in tasks.values())),
        None,
    )


def measured_by(audits: tuple[str, ...], task: str) -> tuple[str, ...]:
    """Every metric that these built-in audits measure for a built-in task."""
    names = [name for audit in audits for name in OVERALL[audit][task]]
    names += PER_CLASS[task] if "performance" in audits else ()
    return tuple(dict.fromkeys(names))


def why_never(metric: str, slices: tuple[str, ...], task: str, groups: tuple[str, ...]) -> str:
    """Why the audit of `metric` never gives it by slices of these names; empty where it does."""
    audit = str(audit_of(metric))
    per_class = audit == "performance" and metric in PER_CLASS[task]
    overall = metric in OVERALL[audit][task]
    allowed = {(column,) for column in (*groups, *OWN_SLICES[audit])} | {()} if overall else set()
    allowed |= {("class",)} if per_class else set()
    if slices in allowed:
        return ""
    if not slices:
        return f"{metric} is measured for each class, not over all rows: say which, as {metric}[class=NAME], or {metric}[class=*]"
    if len(slices) > 1:
        return f"{metric} is measured by one slice at a time, not by {' and '.join(slices)} together"
    if slices == ("class",):
        return f"{metric} is measured over all rows, not for each class"
    if slices[0] in groups:
        return f"{metric} is measured for each class, not by group; by group there are {', '.join(OVERALL[audit][task])}"
    return f"'{slices[0]}' is not in data.groups, so nothing is measured by it; add the column there"

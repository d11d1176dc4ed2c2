"""What the audit `fairness` measures, of which tasks and by which slices."""

from collections.abc import Mapping
from math import inf

from charter.spec.limits import Limit

ACROSS = "across"
"""The slice of what compares groups: the column whose groups they are, or several, as `sex & race`."""
REFERENCE = "reference"
"""The slice of what holds a group against another: that other group."""
JOINED = " & "
MOST_TOGETHER = 3
"""So many columns are compared together at most: ten can be joined in a thousand ways, and each test weakens all others."""
GROUP_RATES = (
    "selection_rate",
    "true_positive_rate",
    "false_positive_rate",
    "false_negative_rate",
    "positive_predictive_value",
    "base_rate",
)
"""Of a class in each group."""
CRITERIA: Mapping[str, tuple[str, ...]] = {
    "demographic_parity": ("selection_rate",),
    "equalised_odds": ("true_positive_rate", "false_positive_rate"),
    "equal_opportunity": ("true_positive_rate",),
    "predictive_parity": ("positive_predictive_value",),
}
"""Criterion -> the rates that groups are compared by (Barocas, Hardt and Narayanan 2023, chapter 3)."""
_APART = tuple(
    f"{criterion}_{kind}" for criterion in (*CRITERIA, "accuracy") for kind in ("difference", "ratio")
)
_OF_DECISIONS = (*_APART, "worst_group_accuracy", "overconfidence_difference")
WORST = "worst_group_accuracy"
HEADLINE_APART = "headline_difference"
IN_EACH = ("overconfidence", "mean_error")
"""In each group, of no class."""
CONTRASTS = tuple(f"{name}_contrast" for name in GROUP_RATES)
"""A group's rate minus the reference group's."""
NEUTRAL = (*GROUP_RATES, *CONTRASTS, *IN_EACH)
"""Of these neither more nor less is better by itself."""
LESS = (
    *(f"{one}_difference" for one in (*CRITERIA, "accuracy", "overconfidence", "mean_error")),
    HEADLINE_APART,
)
"""Of these less is better."""
RANGES: Mapping[str, tuple[float, float]] = {
    **dict.fromkeys(CONTRASTS, (-1.0, 1.0)),
    "overconfidence": (-1.0, 1.0),
    "overconfidence_difference": (0.0, 2.0),
    "mean_error": (-inf, inf),
    "mean_error_difference": (0.0, inf),
    HEADLINE_APART: (0.0, inf),
}
DECIDING = ("classification", "text_pair_classification", "ordinal")
"""Tasks that give each row one class."""


def across_groups(task: str) -> tuple[str, ...]:
    """What tells how far groups lie apart, by the slice `across`."""
    if task in DECIDING:
        return (*_OF_DECISIONS, HEADLINE_APART)
    if task == "multi_label_classification":
        return (*(one for one in _APART if not one.startswith("accuracy")), HEADLINE_APART)
    if task == "multiple_choice":
        return ("accuracy_difference", "accuracy_ratio", WORST, "overconfidence_difference", HEADLINE_APART)
    return ("mean_error_difference", HEADLINE_APART) if task == "regression" else (HEADLINE_APART,)


def of_groups(task: str) -> tuple[str, ...]:
    """What is told of each group: of a class where the task has classes."""
    if task in DECIDING:
        return (*GROUP_RATES, *CONTRASTS, "overconfidence")
    if task == "multi_label_classification":
        return (*GROUP_RATES, *CONTRASTS)
    return (
        ("overconfidence",) if task == "multiple_choice" else ("mean_error",) if task == "regression" else ()
    )


def why_not_fair(limit: Limit, task: str, groups: tuple[str, ...]) -> str:
    """Why the audit never measures a limit by these slices; empty where it does."""
    metric, slices = limit.metric, dict(limit.slices)
    if not groups:
        return f"{metric} compares groups, and data.groups names no column"
    listed = ", ".join(groups)
    if metric in across_groups(task):
        if set(slices) == {ACROSS} and (slices[ACROSS] == "*" or is_grouping(slices[ACROSS], groups)):
            return ""
        return (
            f"{metric} compares groups: write {metric}[{ACROSS}={groups[0]}], where the columns are: {listed}"
            + (f"; of two together {ACROSS}={JOINED.join(groups[:2])}" if len(groups) > 1 else "")
        )
    own = {"class"} if metric not in IN_EACH else set()
    own |= {REFERENCE} if metric in CONTRASTS else set()
    columns = [name for name in slices if name not in ("class", REFERENCE)]
    strange = next((name for name in columns if name not in groups), None)
    if strange is not None:
        return f"'{strange}' is not in data.groups, so nothing is measured by it; groups: {listed}"
    if own <= set(slices) and columns and set(slices) == own | set(columns):
        return ""
    named = ", ".join([*(f"{name}=NAME" for name in sorted(own)), f"{groups[0]}=GROUP"])
    return f"{metric} is measured in each group: write {metric}[{named}]"


def is_grouping(text: str, groups: tuple[str, ...]) -> bool:
    """Whether it is a column of groups, or two or three in their order."""
    parts = text.split(JOINED)
    return len(parts) <= MOST_TOGETHER and parts == [one for one in groups if one in parts]

"""What the audit `fairness` may be asked of a charter, as far as its keys alone can say."""

from collections.abc import Iterator

from charter.spec.document import Path_
from charter.spec.fairness import JOINED, is_grouping
from charter.spec.parts import Parts


def fairness_problems(parts: Parts) -> Iterator[tuple[Path_, str]]:
    """What can't be compared, each with its key."""
    if not parts.stands("audits"):
        return
    groups = tuple(parts.each("data", "groups").values())
    for path, audit in parts.each("audits").items():
        if audit.use != "fairness":
            continue
        if not groups and parts.whole("data", "groups"):
            yield (
                path,
                "audit fairness compares groups, and data.groups names no column; name one there, such as groups: [sex], or remove the "
                "audit",
            )
            continue
        for column in audit.options.get("reference") or {}:
            if not is_grouping(column, groups):
                joined = f"; two together are '{JOINED.join(groups[:2])}'" if len(groups) > 1 else ""
                yield (
                    (*path, "reference"),
                    f"'{column}' is not in data.groups, so it has no groups to hold against one; groups: {', '.join(groups)}{joined}",
                )

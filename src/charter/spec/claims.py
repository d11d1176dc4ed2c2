"""What audits of the privacy claim may be asked of a charter, as far as its keys alone can say."""

from collections.abc import Iterator

from charter.spec.document import Path_
from charter.spec.metrics import CLAIMS, HEADLINES, OVERALL
from charter.spec.parts import Parts
from charter.spec.training import DISTILLATION
from charter.spec.use import Use


def claim_problems(parts: Parts) -> Iterator[tuple[Path_, str]]:
    """What can't be audited, each with its key."""
    if not parts.stands("audits"):
        return
    task: Use | None = parts.one("task")
    objective: Use | None = parts.one("training", "objective")
    for path, audit in parts.each("audits").items():
        if audit.use not in CLAIMS:
            continue
        measured = OVERALL[audit.use]
        if task is not None and task.use in HEADLINES and not measured[task.use]:
            able = ", ".join(name for name, metrics in measured.items() if metrics)
            because = (
                "writes no texts"
                if audit.use == "extraction"
                else "does not say how likely the truth of a row is"
            )
            yield (
                path,
                f"task {task.use} {because}, so audit {audit.use} measures nothing of it; remove it (tasks it reads: {able})",
            )
        if objective is not None and objective.use == DISTILLATION:
            yield (
                path,
                f"audit {audit.use} trains siblings on other rows, and the teacher of objective distillation has answered these only; take "
                "one of the two out",
            )

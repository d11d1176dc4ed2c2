"""What a charter may ask of a teacher, as far as its keys alone can say."""

import json
from collections.abc import Iterator
from pathlib import Path

from charter import plugins
from charter.spec.document import Path_
from charter.spec.parts import Parts
from charter.spec.training import DISTILLATION
from charter.spec.use import Use

DISTILLED = ("classification", "text_pair_classification", "multi_label_classification", "regression")
"""Built-in tasks that a teacher can teach."""
_OF_PASSES = ("economies", "gradient_checkpointing", "compile")
"""Keys of `training` that change the padding-free pass."""
_WHERE = ("training", "objective")


def named_teacher(parts: Parts) -> str | None:
    """The teacher that the charter names, if it names one."""
    objective: Use | None = parts.one(*_WHERE)
    if objective is None or objective.use != DISTILLATION:
        return None
    name = objective.options.get("teacher")
    return name if isinstance(name, str) and name else None


def distillation_problems(parts: Parts) -> Iterator[tuple[Path_, str]]:
    """What can't be learned from a teacher, each with its key."""
    objective: Use | None = parts.one(*_WHERE)
    if objective is None or objective.use != DISTILLATION:
        return
    task: Use | None = parts.one("task")
    if task is not None and task.use in plugins.BUILT_IN["task"] and task.use not in DISTILLED:
        yield _WHERE, f"task {task.use} can't be distilled; {', '.join(DISTILLED)} can. Remove it"
    if task is not None and task.use == "regression" and "temperature" in objective.options:
        yield (*_WHERE, "temperature"), "a number has no probabilities to soften; remove the key"
    for key in _OF_PASSES if objective.options.get("hidden") else ():
        if parts.one("training", key):
            yield (
                ("training", key),
                f"hidden states are compared in transformers' own forward pass, which {key} does not change; take this key out, or "
                "training.objective.hidden",
            )
    if parts.one("training", "epochs") == 0:
        yield ("training", "epochs"), "objective distillation learns by updates: write at least 1"


def taught_task(place: Path) -> str | None:
    """The task of the bundle in a folder; None where it is no bundle."""
    try:
        told = json.loads((place / "charter" / "preparation.json").read_bytes())["task"]["use"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return str(told)

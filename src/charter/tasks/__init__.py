"""Tasks: everything that depends on what is predicted."""

from collections.abc import Mapping
from typing import Any

from charter import plugins
from charter.tasks.task import Task

__all__ = ["Task", "restore"]


def restore(state: Mapping[str, Any]) -> Task:
    """The fitted task that `Task.state` described."""
    task: Task = plugins.make("task", state["use"], state["options"])
    return task.restored(state)

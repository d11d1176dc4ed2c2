"""Tasks: everything that depends on what is predicted."""

from collections.abc import Mapping
from typing import Any

from charter import plugins
from charter.errors import OptionError
from charter.tasks.task import Task

__all__ = ["Task", "restore"]


def restore(state: Mapping[str, Any]) -> Task:
    """The fitted task that `Task.state` described.

    Raises:
        OptionError: the state is not one of this task.
    """
    task: Task = plugins.make("task", state["use"], state["options"])
    try:
        return task.restored(state)
    except (KeyError, TypeError, ValueError) as error:
        raise OptionError(
            f"task '{state['use']}': what was fitted can't be read ({type(error).__name__})"
        ) from None

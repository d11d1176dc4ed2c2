"""Weights & Biases: offline by default, as files in the run's folder that `wandb sync` uploads."""

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, final

from pydantic import Field

from charter.errors import MissingExtraError
from charter.tracking.tracker import Ending, TrackedRun, Tracker


def wandb(
    *,
    project: Annotated[str | None, Field(description="W&B's project; default: the charter's name")] = None,
    mode: Annotated[
        Literal["offline", "online"],
        Field(description="offline: files in the run's folder, for `wandb sync`"),
    ] = "offline",
    entity: Annotated[str | None, Field(description="the user or team; default: W&B's own")] = None,
    group: Annotated[str | None, Field(description="a group of runs")] = None,
    tags: Annotated[tuple[str, ...], Field(description="words to find the run by")] = (),
) -> Tracker:
    """Weights & Biases; offline unless told otherwise.

    Raises:
        MissingExtraError: wandb is not installed.
    """
    if find_spec("wandb") is None:
        raise MissingExtraError("tracker 'wandb'", "wandb")
    return WeightsAndBiases(project, mode, entity, group, tags)


@final
class WeightsAndBiases(Tracker):
    """One run of W&B. Its own looks at the machine, the console, the code and git are turned off."""

    name = "wandb"

    def __init__(
        self, project: str | None, mode: str, entity: str | None, group: str | None, tags: tuple[str, ...]
    ) -> None:
        self._project, self._mode, self._entity = project, mode, entity
        self._group, self._tags = group, tags
        self._run: Any = None

    def begin(self, run: TrackedRun) -> None:
        """Open a run whose files lie in the run's folder."""
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # read when wandb is imported
        import wandb

        self._run = wandb.init(
            project=self._project or run.name,
            entity=self._entity,
            group=self._group,
            tags=list(self._tags),
            name=run.id,
            mode="online" if self._mode == "online" else "offline",
            dir=str(run.folder),
            config=dict(run.config),
            reinit="create_new",
            settings=wandb.Settings(
                console="off",
                silent=True,
                disable_git=True,
                disable_code=True,
                disable_job_creation=True,
                x_disable_meta=True,
                x_disable_stats=True,
                x_disable_machine_info=True,
            ),
        )
        # W&B's own step never goes back and is one for all; updates and trials are steps of their own.
        for step, names in (("update", ("train/*", "validation/*")), ("trial", ("search/*",))):
            self._run.define_metric(step, hidden=True)
            for name in names:
                self._run.define_metric(name, step_metric=step)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """A point of each curve."""
        kind = "trial" if all(name.startswith("search/") for name in values) else "update"
        self._run.log({**values, kind: step})

    def end(self, ending: Ending) -> None:
        """Scores and outcomes as the summary, pages as files of the run."""
        self._run.summary.update({"status": ending.status, **ending.scores, **ending.words})
        for name, text in ending.pages.items():
            place = Path(self._run.dir) / name
            place.write_text(text, encoding="utf-8")
            self._run.save(str(place), base_path=self._run.dir, policy="now")
        self._run.finish(exit_code=1 if ending.status in ("failed", "interrupted") else 0)

"""What a tracker is, and the one place where a tracker's failure is kept from the run."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

MOST_SAID = 160
"""Characters of a library's own words that a note repeats."""


@dataclass(frozen=True)
class TrackedRun:
    """A run that begins. folder: its own; beside: the charter's, where relative places start. config: the charter, JSON."""

    id: str
    name: str
    folder: Path
    beside: Path
    config: Mapping[str, Any]


@dataclass(frozen=True)
class Ending:
    """How a run ended: released, refused, draft, interrupted or failed.

    scores: name -> value. words: name -> text, such as a limit's outcome. pages: file name -> text, such as the report.
    None of them holds a row's text.
    """

    status: str
    scores: Mapping[str, float] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    pages: Mapping[str, str] = field(default_factory=dict)


class Tracker(ABC):
    """One tracker's log of one run: `begin` once, `log` many times, `end` once. Each may raise whatever its library raises."""

    name: str

    @abstractmethod
    def begin(self, run: TrackedRun) -> None:
        """Open the log."""

    @abstractmethod
    def log(self, values: Mapping[str, float], step: int) -> None:
        """Numbers at an update (or, of `search/...`, at a trial); steps never go back but between those two."""

    @abstractmethod
    def end(self, ending: Ending) -> None:
        """Close the log."""


@final
class Tracking:
    """All trackers of a run. One that fails is told nothing more and noted once; the run never ends because of it."""

    def __init__(self, trackers: Sequence[Tracker], on_note: Callable[[str], None]) -> None:
        self._trackers = list(trackers)
        self._on_note = on_note
        self._recorded = 0

    def begin(self, run: TrackedRun) -> None:
        """The run began."""
        self._each(lambda one: one.begin(run))

    def record(self, entry: Mapping[str, Any]) -> None:
        """One entry of the training's history, as `charter.training.fitting.Fitted` tells it."""
        self._recorded += 1
        values = scalars(entry)
        self._each(lambda one: one.log(values, int(entry["step"])))

    def catch_up(self, history: Sequence[Mapping[str, Any]]) -> None:
        """The whole history of a training: what was not told yet, because an earlier run made it, is told now."""
        for entry in history[self._recorded :]:
            self.record(entry)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Other numbers."""
        self._each(lambda one: one.log(values, step))

    def end(self, ending: Ending) -> None:
        """The run ended; what comes after is told nobody."""
        self._each(lambda one: one.end(ending))
        self._trackers = []

    def _each(self, tell: Callable[[Tracker], None]) -> None:
        for one in tuple(self._trackers):
            try:
                tell(one)
            except (
                Exception
            ) as error:  # a tracker's library raises any kind: of its server, of its disk, of its own
                self._trackers.remove(one)
                said = (str(error).strip().splitlines() or [""])[0][:MOST_SAID]
                because = f"{type(error).__name__}: {said}" if said else type(error).__name__
                self._on_note(
                    f"tracker {one.name} failed and is told nothing more ({because}); the run goes on without it"
                )


def scalars(entry: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of an entry of the history, by the names they are plotted under."""
    if entry["kind"] == "loss":
        return {"train/loss": entry["loss"], "train/learning_rate": entry["learning_rate"]}
    if entry["kind"] == "update":
        return {"train/learning_rate": entry["learning_rate"]}
    values = {"train/epoch": entry["epoch"]}
    if "train_loss" in entry:  # before the first update there is none
        values["train/mean_loss"] = entry["train_loss"]
    if "validation_score" in entry:
        values["validation/loss"] = entry["validation_loss"]
        values[f"validation/{entry['score']}"] = entry["validation_score"]
    return values


def flat(config: Mapping[str, Any], within: str = "") -> dict[str, Any]:
    """A nested mapping with dotted keys."""
    found: dict[str, Any] = {}
    for key, one in config.items():
        path = f"{within}.{key}" if within else str(key)
        found |= flat(one, path) if isinstance(one, Mapping) and one else {path: one}
    return found

"""How far a fit is: its updates and evaluations on record, and which of its weights are the best so far."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from charter.data.batch import Examples
from charter.data.columns import Columns
from charter.errors import TrainingError
from charter.models.inference import predict_outputs
from charter.spec.training import Training
from charter.tasks.task import Task
from charter.training.loop import Step

if TYPE_CHECKING:
    from charter.tasks.task import Outputs


@dataclass(frozen=True)
class Validation:
    """The validation split: encoded, and as rows for scoring."""

    examples: Examples
    rows: pl.DataFrame
    columns: Columns


@dataclass
class FitState:
    """What changes while fitting; it is saved with each checkpoint as it stands."""

    step: int = 0
    evaluated: int = -1
    seconds: float = 0.0
    processor_seconds: float = 0.0
    best_step: int = 0
    best_score: float = float("-inf")
    without_gain: int = 0
    loss_sum: float = 0.0
    loss_count: int = 0
    since_evaluation: list[float] = field(default_factory=lambda: [0.0, 0.0])
    stopped: bool = False
    energy: dict[str, Any] = field(default_factory=dict)
    plan: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)

    def add(self, step: Step) -> None:
        """One update more."""
        self.step = step.step
        if math.isnan(step.loss):
            return
        self.loss_sum += step.loss
        self.loss_count += 1
        self.since_evaluation = [
            self.since_evaluation[0] + step.loss * step.examples,
            self.since_evaluation[1] + step.examples,
        ]


def evaluation_steps(per_epoch: int, settings: Training) -> Callable[[int], set[int]]:
    """The updates of the same epoch after which validation is scored: evenly spread, the epoch's last one included."""
    each = settings.evaluations_per_epoch
    within = {max(round(per_epoch * part / each), 1) for part in range(1, each + 1)}

    def of(step: int) -> set[int]:
        before = (step - 1) // per_epoch * per_epoch
        return {before + one for one in within}

    return of


def evaluate(
    model: Any,
    task: Task,
    validation: Validation | None,
    progress: FitState,
    epoch: float,
    writer: Any,
    check: Callable[[], None],
) -> bool:
    """Score validation, put it on record; whether it is the best so far. Until it is whole, nothing is on record."""
    loss_sum, examples = progress.since_evaluation
    entry: dict[str, Any] = {"kind": "evaluation", "step": progress.step, "epoch": epoch}
    if examples:
        entry["train_loss"] = loss_sum / examples
    score = merit = 0.0
    if validation is not None:
        outputs = predict_outputs(model, task, validation.examples, on_batch=lambda *_: check())
        score = score_of(task, outputs, validation)
        loss = task.mean_loss(outputs, validation.rows, validation.columns)
        if not np.isfinite(loss):
            raise TrainingError(
                f"the validation loss is no number any more after update {progress.step}: "
                "lower training.learning_rate, or set training.max_grad_norm"
            )
        merit = -loss if task.chosen_by_loss else score
        entry.update(validation_loss=loss, validation_score=score, score=task.headline)
        writer.add_scalar("validation/loss", loss, progress.step)
        writer.add_scalar(f"validation/{task.headline}", score, progress.step)
    progress.since_evaluation, progress.evaluated = [0.0, 0.0], progress.step
    progress.history.append(entry)
    if validation is None:
        return False
    if merit > progress.best_score:
        progress.best_score, progress.best_step, progress.without_gain = merit, progress.step, 0
        return True
    progress.without_gain += 1
    return False


def score_of(task: Task, outputs: "Outputs", validation: Validation) -> float:
    """The headline score of what a model says to the validation rows."""
    totals = task.tally(outputs, validation.rows, validation.columns).sum(axis=0).astype(np.float64)
    return float(np.nan_to_num(task.scores(totals)[task.headline, ""]))


def log_loss(progress: FitState, step: Step, writer: Any) -> None:
    """Put an update on record, with the mean loss since the last one that was."""
    entry: dict[str, Any] = {"kind": "update", "step": step.step, "learning_rate": step.learning_rate}
    if progress.loss_count:
        loss = progress.loss_sum / progress.loss_count
        progress.loss_sum, progress.loss_count = 0.0, 0
        entry |= {"kind": "loss", "loss": loss}
        writer.add_scalar("train/loss", loss, step.step)
    by_depth = {"rates": list(step.rates)} if step.rates else {}
    progress.history.append({**entry, **by_depth})
    writer.add_scalar("train/learning_rate", step.learning_rate, step.step)

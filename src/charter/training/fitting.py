"""Fit a model: drive the loop, evaluate on validation, keep the best, stop early, save and resume, log to TensorBoard."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from charter.data.batch import IGNORED, Examples
from charter.data.columns import Columns
from charter.errors import DataError, TrainingError
from charter.models.device import pick_device
from charter.models.inference import predict_outputs
from charter.privacy.plan import StepPlan
from charter.spec.model import Training
from charter.tasks.task import Outputs, Task
from charter.training.checkpoint import learned_state, load_checkpoint, load_learned, save_checkpoint
from charter.training.interrupt import held_back
from charter.training.loop import Step, schedule, train

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

LOGGED_POINTS = 200
"""About so many points of the training loss are kept."""


@dataclass(frozen=True)
class Validation:
    """The validation split: encoded, and as rows for scoring."""

    examples: Examples
    rows: pl.DataFrame
    columns: Columns


@dataclass(frozen=True)
class FitProgress:
    """How far a fit is."""

    step: int
    steps: int
    loss: float


@dataclass(frozen=True)
class Fitted:
    """A fitted model (the kept checkpoint's weights) and how it got there.

    history: entries {"kind": "loss", step, loss, learning_rate} and {"kind": "evaluation", step, epoch, train_loss,
    validation_loss, validation_score, score} in order. best_step: the update whose weights are kept. seconds: over all
    sessions, interruptions left out.
    """

    model: Any
    history: tuple[Mapping[str, Any], ...]
    steps: int
    best_step: int
    seconds: float
    parameters: int
    trainable_parameters: int


@dataclass
class _Progress:
    """What changes while fitting; it is saved with each checkpoint as it stands."""

    step: int = 0
    evaluated: int = 0
    seconds: float = 0.0
    best_step: int = 0
    best_score: float = -1.0
    without_gain: int = 0
    loss_sum: float = 0.0
    loss_count: int = 0
    since_evaluation: list[float] = field(default_factory=lambda: [0.0, 0.0])
    stopped: bool = False
    history: list[dict[str, Any]] = field(default_factory=list)

    def add(self, step: Step) -> None:
        """One update more."""
        self.step = step.step
        self.loss_sum += step.loss
        self.loss_count += 1
        self.since_evaluation = [
            self.since_evaluation[0] + step.loss * step.examples,
            self.since_evaluation[1] + step.examples,
        ]


def fit(
    model: Any,
    task: Task,
    examples: Examples,
    validation: Validation | None,
    settings: Training,
    plan: StepPlan,
    *,
    work: Path,
    logs: Path,
    on_step: Callable[[FitProgress], None] | None = None,
    on_note: Callable[[str], None] | None = None,
    checkpoint_seconds: float = 60.0,
) -> Fitted:
    """Fit `model` on `examples`; go on from the checkpoint in `work` where there is one, and tell it by `on_note`.

    A fit that was interrupted, at whatever update, and resumed ends with the weights that it would have had without.

    Raises:
        DataError: there is nothing to learn from.
        TrainingError: the loss is no number any more.
    """
    import torch

    if len(examples) == 0:
        raise DataError("no row is left to train on; look at what was dropped, and at data.split")
    if settings.early_stopping is not None and validation is None:
        raise DataError(
            "training.early_stopping needs validation rows, and data.split leaves none; give them, or take it out"
        )
    per_epoch = plan.steps_per_epoch(len(examples))
    steps = settings.epochs * per_epoch
    model.to(pick_device())
    optimizer = _optimizer(model, settings)
    progress, best = _Progress(), None
    saved = load_checkpoint(work, model, optimizer, vars(progress), on_note)
    if saved is not None:
        load_learned(model, saved.weights)
        optimizer.load_state_dict(saved.optimizer)
        progress, best = _Progress(**saved.facts), saved.best
        if on_note is not None:
            on_note(f"goes on from update {progress.step} of {steps}")
    evaluations = _evaluation_steps(per_epoch, settings)
    keep_best = settings.keep == "best" and validation is not None
    log_every = max(steps // LOGGED_POINTS, 1)
    writer = _writer(logs)
    began, saved_at = time.monotonic() - progress.seconds, time.monotonic()

    def save() -> None:
        progress.seconds = time.monotonic() - began
        save_checkpoint(work, model, optimizer, best, vars(progress).copy())

    def evaluate_when_due() -> None:
        nonlocal best
        if progress.step in evaluations(progress.step) and progress.evaluated < progress.step:
            epoch = progress.step / per_epoch
            gained = _evaluate(model, task, validation, progress, epoch, writer, interrupt.check)
            if gained and keep_best:
                best = learned_state(model)
            patience = settings.early_stopping
            progress.stopped = patience is not None and progress.without_gain >= patience

    with held_back() as interrupt, torch.random.fork_rng(devices=[]):
        try:
            evaluate_when_due()  # a run that was stopped between an update and its evaluation goes on with that
            loop = train(
                model,
                task,
                examples,
                plan,
                optimizer=optimizer,
                learning_rate=schedule(
                    settings.schedule, peak=settings.learning_rate, warmup=settings.warmup, steps=steps
                ),
                steps=progress.step if progress.stopped else steps,
                done=progress.step,
                seed=settings.seed,
                class_weights=_class_weights(task, examples, settings, next(model.parameters()).device),
            )
            for step in loop:
                progress.add(step)
                if step.step % log_every == 0 or step.step == steps:
                    _log_loss(progress, step.learning_rate, writer)
                evaluate_when_due()
                if progress.stopped or time.monotonic() - saved_at > checkpoint_seconds:
                    save()
                    saved_at = time.monotonic()
                if on_step is not None:
                    on_step(FitProgress(step.step, steps, step.loss))
                interrupt.check()
                if progress.stopped:
                    break
        except KeyboardInterrupt:
            if not interrupt.forced:
                save()
            raise
        finally:
            writer.close()
    if keep_best and best is not None:
        load_learned(model, best)
    _check_finite(model)
    counts = [parameter.numel() for parameter in model.parameters()]
    learning = [parameter.numel() for parameter in model.parameters() if parameter.requires_grad]
    return Fitted(
        model=model.to("cpu").eval(),
        history=tuple(progress.history),
        steps=progress.step,
        best_step=progress.best_step if keep_best and best is not None else progress.step,
        seconds=time.monotonic() - began,
        parameters=sum(counts),
        trainable_parameters=sum(learning),
    )


def _check_finite(model: "nn.Module") -> None:
    """The last update may ruin weights without any loss telling of it."""
    ruined = [name for name, one in model.named_parameters() if not bool(one.isfinite().all())]
    if ruined:
        raise TrainingError(
            f"after the last update {len(ruined)} weights are no numbers any more, such as {ruined[0]}: "
            "lower training.learning_rate, or set training.max_grad_norm"
        )


def _optimizer(model: "nn.Module", settings: Training) -> "torch.optim.Optimizer":
    """AdamW (Loshchilov and Hutter 2019), fused; biases and norms are not decayed."""
    import torch

    learning = [(name, one) for name, one in model.named_parameters() if one.requires_grad]
    decayed = [one for _, one in learning if one.ndim > 1]
    others = [one for _, one in learning if one.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]], lr=settings.learning_rate, fused=True
    )


def _evaluation_steps(per_epoch: int, settings: Training) -> Callable[[int], set[int]]:
    """The updates of the same epoch after which validation is scored: evenly spread, the epoch's last one included."""
    each = settings.evaluations_per_epoch
    within = {max(round(per_epoch * part / each), 1) for part in range(1, each + 1)}

    def of(step: int) -> set[int]:
        before = (step - 1) // per_epoch * per_epoch
        return {before + one for one in within}

    return of


def _evaluate(
    model: Any,
    task: Task,
    validation: Validation | None,
    progress: _Progress,
    epoch: float,
    writer: Any,
    check: Callable[[], None],
) -> bool:
    """Score validation, put it on record; whether it is the best so far. Until it is whole, nothing is on record."""
    loss_sum, examples = progress.since_evaluation
    entry: dict[str, Any] = {
        "kind": "evaluation",
        "step": progress.step,
        "epoch": epoch,
        "train_loss": loss_sum / max(examples, 1),
    }
    score = 0.0
    if validation is not None:
        outputs = predict_outputs(model, task, validation.examples, on_batch=lambda *_: check())
        totals = task.tally(outputs, validation.rows, validation.columns).sum(axis=0).astype(np.float64)
        score = float(np.nan_to_num(task.scores(totals)[task.headline, ""]))
        loss = _loss(task, outputs, validation)
        if not np.isfinite(loss):
            raise TrainingError(
                f"the validation loss is no number any more after update {progress.step}: "
                "lower training.learning_rate, or set training.max_grad_norm"
            )
        entry.update(validation_loss=loss, validation_score=score, score=task.headline)
        writer.add_scalar("validation/loss", loss, progress.step)
        writer.add_scalar(f"validation/{task.headline}", score, progress.step)
    progress.since_evaluation, progress.evaluated = [0.0, 0.0], progress.step
    progress.history.append(entry)
    if validation is None:
        return False
    if score > progress.best_score:
        progress.best_score, progress.best_step, progress.without_gain = score, progress.step, 0
        return True
    progress.without_gain += 1
    return False


def _loss(task: Task, outputs: Outputs, validation: Validation) -> float:
    """Mean negative log-likelihood of the decisions, in nats."""
    told = task.confidences(outputs, validation.rows, validation.columns)
    likely = told.probabilities[np.arange(len(told.truth)), told.truth]
    return float(-np.log(np.clip(likely, 1e-30, None)).mean())


def _log_loss(progress: _Progress, learning_rate: float, writer: Any) -> None:
    loss = progress.loss_sum / progress.loss_count
    progress.loss_sum, progress.loss_count = 0.0, 0
    progress.history.append(
        {"kind": "loss", "step": progress.step, "loss": loss, "learning_rate": learning_rate}
    )
    writer.add_scalar("train/loss", loss, progress.step)
    writer.add_scalar("train/learning_rate", learning_rate, progress.step)


def _class_weights(
    task: Task, examples: Examples, settings: Training, device: "torch.device"
) -> "Tensor | None":
    """Inverse class frequencies of the training decisions, with mean 1 over them; None where not asked for."""
    import torch

    if settings.class_weights is None or examples.targets is None:
        return None
    targets = (
        examples.targets if isinstance(examples.targets, np.ndarray) else np.concatenate(examples.targets)
    )
    counts = np.bincount(targets[targets != IGNORED], minlength=len(task.labels))
    weights = counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return torch.tensor(weights, dtype=torch.float32, device=device)


def _writer(logs: Path) -> Any:
    from torch.utils.tensorboard import SummaryWriter

    logs.mkdir(parents=True, exist_ok=True)
    return SummaryWriter(log_dir=str(logs))

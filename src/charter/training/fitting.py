"""Fit a model: drive the loop, evaluate on validation, keep the best, stop early, save and resume, log to TensorBoard."""

import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charter.data.batch import Examples
from charter.errors import DataError, TrainingError
from charter.models.depth import Layerwise
from charter.models.device import pick_device
from charter.models.world import ALONE, World
from charter.privacy.plan import StepPlan
from charter.spec.training import Training
from charter.tasks.objective import Objective
from charter.tasks.task import Task
from charter.training.checkpoint import learned_state, load_checkpoint, load_learned, save_checkpoint
from charter.training.energy import Consumption, Energy, Meter, meter_of
from charter.training.fit_state import FitState, Validation, evaluate, evaluation_steps, log_loss
from charter.training.interrupt import Interrupt, held_back
from charter.training.loop import Step
from charter.training.optimizers import optimizers_of
from charter.training.shards import Shards, check_splits
from charter.training.sharing import Job, updates

if TYPE_CHECKING:
    from torch import Tensor, nn


LEARNING_PER_SAVING = 50
"""Checkpoints are so far apart that saving takes a fiftieth of the time at most ..."""
MOST_APART = 900.0
"""... but no further than so many seconds."""
LOGGED_POINTS = 200
"""About so many points of the training loss are kept."""


@dataclass(frozen=True)
class FitProgress:
    """How far a fit is. seconds: over all sessions. doing: what is done before the first update, of which step and steps then tell."""

    step: int
    steps: int
    loss: float
    seconds: float
    doing: str = ""


@dataclass(frozen=True)
class Fitted:
    """A fitted model (the kept checkpoint's weights) and how it got there.

    history: entries {"kind": "loss", step, loss, learning_rate} (or "update", without loss, where the plan tells none) and
    {"kind": "evaluation", step, epoch, train_loss, validation_loss, validation_score, score} in order; at step 0 without
    train_loss; where rates differ by depth, losses
    with `rates`. best_step: the update whose weights
    are kept. seconds, processor_seconds: over all sessions, interruptions left out; the processor's are of this process alone.
    energy: over all sessions, of this machine. plan: how its updates were made.
    """

    model: Any
    history: tuple[Mapping[str, Any], ...]
    steps: int
    best_step: int
    seconds: float
    processor_seconds: float
    parameters: int
    trainable_parameters: int
    energy: Energy
    plan: StepPlan


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
    objective: Objective | None = None,
    layerwise: Layerwise | None = None,
    half: bool = False,
    world: World = ALONE,
    on_step: Callable[[FitProgress], None] | None = None,
    on_note: Callable[[str], None] | None = None,
    on_record: Callable[[Mapping[str, Any]], None] | None = None,
    save_at_end: Callable[[], bool] | None = None,
    begin: Callable[[], None] | None = None,
    checkpoint_seconds: float = 60.0,
) -> Fitted:
    """Fit `model` on `examples`; go on from the checkpoint in `work` where there is one, and tell it by `on_note`.

    A fit that was interrupted, at whatever update, and resumed ends with the weights that it would have had without.
    objective: what training makes smaller; None for the task's own loss. Where the start answers
    already (from descriptions, or by a head fitted to the base's vectors), it is scored too, and kept where no update does
    better.
    The other processes of `world` have to `follow` it.
    `on_record` is told each entry of the history, those of earlier sessions too; what it raises ends the fit.
    `begin` is called once before the first update of each session, after all that could stop it.
    `save_at_end` says whether to leave a checkpoint from which another fit would end at once with the same weights.

    Raises:
        DataError: there is nothing to learn from.
        TrainingError: the loss is no number any more; this can't be learned split.
    """
    import torch

    if len(examples) == 0 and settings.epochs:
        raise DataError("no row is left to train on; look at what was dropped, and at data.split")
    if settings.early_stopping is not None and validation is None:
        raise DataError(
            "training.early_stopping needs validation rows, and data.split leaves none; give them, or take it out"
        )
    split = settings.sharding is not None and world.size > 1
    if split:
        check_splits(model, objective or task, layerwise)
    model.to("cpu" if split else pick_device())
    with held_back() as interrupt, torch.random.fork_rng(devices=[]):
        learned = _Learned(objective or task, examples, layerwise)
        learned.objective.begin(model, seed=settings.seed)
        session = _Session(model, task, learned, validation, settings, plan, work, logs, interrupt)
        session.energy = Consumption(meter_of(_gpus(world)))
        session.resume(on_note)
        try:
            session.evaluate_when_due()  # one that was stopped between an update and its evaluation goes on with that
            session.tell(on_record)
            if session.steps and not session.progress.stopped:
                done, state = session.progress.step, session.optimizer.state_dict()
                job = Job(model, learned.objective, examples, settings, plan, state, done, half, layerwise)
                job.hand_out(world)
                if split:
                    del state
                    job = session.split(job, world)

                def on_base(done: int, examples: int) -> None:
                    interrupt.check()
                    if on_step is not None:
                        seconds = time.monotonic() - session.began
                        on_step(FitProgress(done, examples, math.nan, seconds, "what the base says"))

                with closing(session.updates(job, world, begin, on_base)) as loop:
                    for step in loop:
                        session.add(step)
                        session.evaluate_when_due()
                        session.tell(on_record)
                        session.save_when_due(checkpoint_seconds)
                        if on_step is not None:
                            seconds = time.monotonic() - session.began
                            on_step(FitProgress(step.step, session.steps, step.loss, seconds))
                        interrupt.check()
                        if session.progress.stopped:
                            break
            if save_at_end is not None and save_at_end():
                session.save()
        except KeyboardInterrupt:
            if not interrupt.forced:
                session.save()
            raise
        finally:
            session.writer.close()
    return session.fitted()


@dataclass(frozen=True)
class _Learned:
    """What is learned from which examples, and how that differs by depth."""

    objective: Objective
    examples: Examples
    layerwise: Layerwise | None


class _Session:
    """One fit in progress: what is saved, what is chosen, and when; `fit` drives it."""

    def __init__(
        self,
        model: Any,
        task: Task,
        learned: _Learned,
        validation: Validation | None,
        settings: Training,
        plan: StepPlan,
        work: Path,
        logs: Path,
        interrupt: Interrupt,
    ) -> None:
        self.model, self.task, self.validation, self.settings = model, task, validation, settings
        self.learned, self.plan = learned, plan
        per_epoch = plan.steps_per_epoch(len(learned.examples))
        self.per_epoch, self.steps = per_epoch, settings.epochs * per_epoch
        self.work, self.interrupt = work, interrupt
        self.optimizer = optimizers_of(model, settings, learned.layerwise, noise=plan.correction)
        self.writer = _writer(logs)
        self.progress = FitState()
        self.best: dict[str, Tensor] | None = None
        self.evaluations = evaluation_steps(per_epoch, settings)
        self.scores_start = not self.steps or bool(task.head.descriptions) or learned.objective.fits_head
        self.keep_best = settings.keep == "best" and validation is not None
        self.began = self.saved_at = time.monotonic()
        self.began_computing = time.process_time()
        self.told, self.saving = 0, 0.0
        self.energy = Consumption(Meter([], ()))
        self.shards: Shards | None = None

    def resume(self, on_note: Callable[[str], None] | None) -> None:
        """Go on from the checkpoint where there is one."""
        saved = load_checkpoint(self.work, self.model, self.optimizer, vars(self.progress), on_note)
        if saved is None:
            return
        load_learned(self.model, saved.weights)
        self.optimizer.load_state_dict(saved.optimizer)
        self.progress, self.best = FitState(**saved.facts), saved.best
        self.plan.restore(self.progress.plan)
        self.energy.go_on(self.progress.energy)
        self.began = time.monotonic() - self.progress.seconds
        self.began_computing = time.process_time() - self.progress.processor_seconds
        if on_note is not None and self.progress.step < self.steps and not self.progress.stopped:
            on_note(f"goes on from update {self.progress.step} of {self.steps}")

    def split(self, job: Job, world: World) -> Job:
        """Split model and optimizer over the processes; here they hold something only while they are read."""
        self.shards = Shards.of(job, world, self.optimizer)
        return self.shards.job

    def updates(
        self,
        job: Job,
        world: World,
        begin: Callable[[], None] | None,
        on_base: Callable[[int, int], None],
    ) -> Generator[Step]:
        """The updates of a fit; afterwards model and optimizer are whole."""
        if self.shards is None:
            yield from updates(job, self.optimizer, world, begin, on_base)
            return
        try:
            yield from self.shards.updates()
        finally:
            self.shards = None

    @contextmanager
    def whole(self, *, moments: bool) -> Iterator[None]:
        """Model (and optimizer, with `moments`) as they are now, also where they are split."""
        if self.shards is not None:
            self.shards.bring(moments=moments)
        yield
        if self.shards is not None:
            self.shards.leave()

    def save(self) -> None:
        """Write a checkpoint."""
        began = time.monotonic()
        self.progress.seconds = began - self.began
        self.progress.processor_seconds = time.process_time() - self.began_computing
        self.progress.energy = self.energy.facts()
        self.progress.plan = self.plan.state()
        with self.whole(moments=True):
            save_checkpoint(self.work, self.model, self.optimizer, self.best, vars(self.progress).copy())
        self.saved_at = time.monotonic()
        self.saving = self.saved_at - began

    def save_when_due(self, seconds: float) -> None:
        """Write a checkpoint when so many seconds are over, more where writing takes long, or when this was the last update."""
        apart = max(seconds, min(LEARNING_PER_SAVING * self.saving, MOST_APART)) if seconds else 0.0
        if self.progress.stopped or time.monotonic() - self.saved_at > apart:
            self.save()

    def add(self, step: Step) -> None:
        """Put an update on record."""
        self.progress.add(step)
        self.energy.note()
        if step.step % max(self.steps // LOGGED_POINTS, 1) == 0 or step.step == self.steps:
            log_loss(self.progress, step, self.writer)

    def tell(self, on_record: Callable[[Mapping[str, Any]], None] | None) -> None:
        """Tell the entries of the history that were not told yet."""
        for entry in self.progress.history[self.told :]:
            self.told += 1
            if on_record is not None:
                on_record(entry)

    def evaluate_when_due(self) -> None:
        """Score validation after the updates that ask for it, keep the best weights, and say when patience is over."""
        step = self.progress.step
        due = step in self.evaluations(step) if step else self.scores_start
        if not due or self.progress.evaluated >= step:
            return
        epoch, check = step / max(self.per_epoch, 1), self.interrupt.check
        with self.whole(moments=False):
            self.learned.objective.conclude(self.model, self.learned.examples)
            gained = evaluate(
                self.model, self.task, self.validation, self.progress, epoch, self.writer, check
            )
            if gained and self.keep_best:
                self.best = learned_state(self.model)
        patience = self.settings.early_stopping
        self.progress.stopped = patience is not None and self.progress.without_gain >= patience

    def fitted(self) -> Fitted:
        """The model with the kept weights.

        Raises:
            TrainingError: they are no numbers any more.
        """
        kept = self.best if self.keep_best else None
        if kept is not None:
            load_learned(self.model, kept)
        self.learned.objective.end(self.model)
        _check_finite(self.model)
        parameters = list(self.model.parameters())
        return Fitted(
            model=self.model.to("cpu").eval(),
            history=tuple(self.progress.history),
            steps=self.progress.step,
            best_step=self.progress.step if kept is None else self.progress.best_step,
            seconds=time.monotonic() - self.began,
            processor_seconds=time.process_time() - self.began_computing,
            parameters=sum(one.numel() for one in parameters),
            trainable_parameters=sum(one.numel() for one in parameters if one.requires_grad),
            energy=self.energy.told(),
            plan=self.plan,
        )


def _gpus(world: World) -> Sequence[int]:
    """The GPUs of this machine that compute: this process's own, or where others share the work each that it sees."""
    import torch

    device = pick_device()
    if device.type != "cuda":
        return ()
    return (device.index or 0,) if world.size == 1 else range(torch.cuda.device_count())


def _check_finite(model: "nn.Module") -> None:
    """The last update may ruin weights without any loss telling of it."""
    ruined = [name for name, one in model.named_parameters() if not bool(one.isfinite().all())]
    if ruined:
        raise TrainingError(
            f"after the last update {len(ruined)} weights are no numbers any more, such as {ruined[0]}: "
            "lower training.learning_rate, or set training.max_grad_norm"
        )


def _writer(logs: Path) -> Any:
    from torch.utils.tensorboard import SummaryWriter

    logs.mkdir(parents=True, exist_ok=True)
    return SummaryWriter(log_dir=str(logs))

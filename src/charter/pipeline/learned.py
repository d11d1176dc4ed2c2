"""What is told of a training, as findings."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from charter.data.batch import IGNORED
from charter.pipeline.preparing import PreparedData
from charter.runs.digest import frame_digest
from charter.runs.findings import Finding
from charter.training.fitting import Fitted

if TYPE_CHECKING:
    from charter.pipeline.learning import Lessons

PROCESSOR = "processor time of all threads of the first process, interruptions left out"


def training_findings(fitted: Fitted, lessons: "Lessons", data: PreparedData) -> list[Finding]:
    """What is told of a training: updates, time, energy, size; and counts of the rows, unless the plan promises privacy."""
    task, train = lessons.task, lessons.train
    on = data.artifact.digest if task.streams else frame_digest(data.part("train"))

    def finding(metric: str, value: float, unit: str, method: str, n: int = len(train)) -> Finding:
        return Finding("training", metric, float(value), n=n, unit=unit, method=method, on=on, split="train")

    validated = data.part("validation").height > 0
    best = (
        "the lowest loss on validation" if task.chosen_by_loss else f"the best {task.headline} on validation"
    )
    chosen = best if validated else "no validation rows: the last update"
    if fitted.plan.promises:
        chosen = "the last update: under a privacy budget no validation row chooses among updates"
    seen = {} if task.streams or fitted.plan.promises else task.support(data.part("train"), data.columns)
    found = [
        finding("steps", fitted.steps, "updates", "count"),
        finding("best_step", fitted.best_step, "updates", chosen),
        finding("seconds", fitted.seconds, "seconds", "wall clock"),
        finding("processor_seconds", fitted.processor_seconds, "seconds", PROCESSOR),
        _energy(fitted, finding("energy_joules", 0.0, "joules", "")),
        finding("parameters", fitted.parameters, "parameters", "count"),
        finding("trainable_parameters", fitted.trainable_parameters, "parameters", "count"),
    ]
    if fitted.plan.promises:  # counts of the training rows' tokens and classes would be told without noise
        return found
    return [
        *found,
        finding("truncated_texts", train.truncated, "rows", "count"),
        finding("unknown_tokens", lessons.unknown, "share", "share of the training texts' tokens"),
        *(
            [finding("classes_not_trained", sum(count == 0 for count in seen.values()), "classes", "count")]
            * bool(seen)
        ),
        *_speed(fitted, lessons, finding),
    ]


def _energy(fitted: Fitted, found: Finding) -> Finding:
    """What learning took of energy, by the counters that said so; or why that was not measured."""
    energy = fitted.energy
    if energy.joules is None:
        return replace(found, value=None, because=f"not measured: {energy.because}")
    sources = " and ".join(energy.sources)
    return replace(
        found, value=energy.joules, method=f"counted by {sources}; whatever else they computed is in it"
    )


def _speed(fitted: Fitted, lessons: "Lessons", finding: Callable[..., Finding]) -> list[Finding]:
    """The tokens of the training rows, and how many of them a second of training reads."""
    tokens = int(lessons.train.tokens.sum())
    read = tokens * max((entry["epoch"] for entry in fitted.history if "epoch" in entry), default=0.0)
    per_second = read / fitted.seconds if fitted.seconds > 0 else 0.0
    pairs = lessons.train.pairs
    alone = [] if pairs is None else [float((pairs == IGNORED).sum())]
    return [
        *(finding("pieces_without_pair", count, "pieces", "count") for count in alone),
        finding("tokens", tokens, "tokens", "count"),
        finding("tokens_per_second", per_second, "tokens per second", "tokens read over the wall clock"),
    ]

"""Which settings to try next, and which trials to stop early: Optuna, told of the finished trials and of nothing else.

What is suggested for trial n depends only on the space, the seed and the trials before it. So a search that was interrupted
goes on as it would have gone without, and two processes at the same search make the same trials.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from charter.errors import MissingExtraError
from charter.spec.search import Range

if TYPE_CHECKING:
    import optuna

Space = Mapping[str, Range | tuple[Any, ...]]
State = Literal["complete", "pruned", "failed"]
Pruner = Literal["median", "successive_halving"]
STARTUP = 5
"""Trials before the model of the space is asked; random ones, but for the charter's own values."""
DRAWS = 50
"""How often another suggestion is asked for where one was tried already."""


@dataclass(frozen=True)
class Trial:
    """One trial that has ended.

    values: key of `training` -> what was tried. scores: the validation score of each evaluation, in order. score: that of
    the weights it would release; of a pruned one the last, of a failed one None. steps: updates that were made.
    seconds: over all sessions. because: why it failed.
    """

    number: int
    values: Mapping[str, Any]
    state: State
    scores: tuple[float, ...]
    score: float | None
    steps: int
    seconds: float
    because: str = ""

    def as_json(self) -> dict[str, Any]:
        """The trial as JSON."""
        return {**asdict(self), "values": dict(self.values), "scores": list(self.scores)}

    @property
    def outcome(self) -> dict[str, Any]:
        """All of it that is the same whenever it is made: what later trials depend on."""
        return {name: one for name, one in self.as_json().items() if name != "seconds"}


def read_trial(value: Mapping[str, Any]) -> Trial:
    """A trial from its JSON."""
    return Trial(**{**value, "scores": tuple(value["scores"])})


def best_trial(trials: Sequence[Trial]) -> Trial | None:
    """The complete trial with the highest score, the earliest of equals; None where none is complete."""
    complete = [one for one in trials if one.state == "complete" and one.score is not None]
    return max(complete, key=lambda one: (one.score or 0.0, -one.number), default=None)


def check_installed() -> None:
    """Find out before any work whether settings can be searched.

    Raises:
        MissingExtraError: Optuna is not installed.
    """
    if find_spec("optuna") is None:
        raise MissingExtraError("training.search", "search")


def suggest(
    space: Space, trials: Sequence[Trial], own: Mapping[str, Any], *, seed: int
) -> dict[str, Any] | None:
    """The settings of the trial after `trials`; None where every setting of the space was tried.

    First `own`, the charter's values, where they lie in the space; then random ones; after `STARTUP` trials such as a
    tree-structured Parzen estimator expects to be better (Bergstra et al. 2011). Nothing is tried twice, and a space of
    no more settings than `STARTUP` is tried in its order.
    """
    tried = [dict(one.values) for one in trials]
    first = {key: own[key] for key in space}
    if not trials and all(_holds(space[key], value) for key, value in first.items()):
        return first
    few = list(itertools.islice(_settings(space), STARTUP + 1))
    if 0 < len(few) <= STARTUP:
        return next((one for one in few if one not in tried), None)
    for draw in range(DRAWS):
        values = _suggested(space, trials, np.random.SeedSequence([seed, len(trials), draw]), draw > 0)
        if values not in tried:
            return values
    return next((one for one in _settings(space) if one not in tried), None)


def _suggested(
    space: Space, trials: Sequence[Trial], seeds: np.random.SeedSequence, at_random: bool
) -> dict[str, Any]:
    import optuna

    seed = int(seeds.generate_state(1)[0])
    sampler: optuna.samplers.BaseSampler = optuna.samplers.RandomSampler(seed=seed)
    if not at_random:
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP, multivariate=True)
    with _quiet():
        asked = _study(space, trials, sampler).ask(_distributions(space))
    return {key: _rounded(asked.params[key], space[key]) for key in space}


def at_random(space: Space, uniform: Sequence[float]) -> dict[str, Any]:
    """The settings that a draw from [0, 1) for each key stands for: each value alike, of a range that says so each order of magnitude."""
    found: dict[str, Any] = {}
    for (key, one), draw in zip(space.items(), uniform, strict=True):
        if not isinstance(one, Range):
            found[key] = one[int(draw * len(one))]
        elif one.is_whole:
            found[key] = int(one.low) + int(draw * (one.high - one.low + 1))
        elif one.logarithmic:
            found[key] = _rounded(one.low * (one.high / one.low) ** draw, one)
        else:
            found[key] = _rounded(one.low + draw * (one.high - one.low), one)
    return found


def _rounded(value: Any, within: Range | tuple[Any, ...]) -> Any:
    """A number to four digits, so that people can read and write it; still within its range."""
    if not isinstance(within, Range) or within.is_whole:
        return value
    return min(max(float(f"{value:.4g}"), within.low), within.high)


def should_prune(
    space: Space, trials: Sequence[Trial], values: Mapping[str, Any], scores: Sequence[float], how: Pruner
) -> bool:
    """Whether a trial with these scores so far does worse than those before it.

    median: its best score so far is below the median of theirs after as many evaluations, once `STARTUP` are complete
    (Golovin et al. 2017). successive_halving: it is not among the best quarter at a rung (Li et al. 2020).
    """
    import optuna

    pruner: optuna.pruners.BasePruner = optuna.pruners.MedianPruner(n_startup_trials=STARTUP)
    if how == "successive_halving":
        pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1)
    with _quiet():
        study = optuna.create_study(
            direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0), pruner=pruner
        )
        for (
            one
        ) in trials:  # replayed: successive halving writes down at each report which rung a trial has reached
            study.enqueue_trial(dict(one.values))
            past = study.ask(_distributions(space))
            _reported(past, () if one.state == "failed" else one.scores)
            study.tell(past, one.score if one.state == "complete" else None, state=_state(one))
        study.enqueue_trial(dict(values))
        return _reported(study.ask(_distributions(space)), scores)


def _reported(trial: "optuna.Trial", scores: Sequence[float]) -> bool:
    """Whether the last of these scores ends a trial."""
    ends = False
    for number, score in enumerate(scores, start=1):
        trial.report(score, number)
        ends = trial.should_prune()
    return ends


def _study(space: Space, trials: Sequence[Trial], sampler: "optuna.samplers.BaseSampler") -> "optuna.Study":
    """A study in memory that knows the finished trials."""
    import optuna

    study = optuna.create_study(direction="maximize", sampler=sampler)
    for one in trials:
        scores = () if one.state == "failed" else one.scores
        study.add_trial(
            optuna.trial.create_trial(
                state=_state(one),
                value=one.score if one.state == "complete" else None,
                params=dict(one.values),
                distributions=_distributions(space),
                intermediate_values=dict(enumerate(scores, start=1)),
            )
        )
    return study


def _state(trial: Trial) -> "optuna.trial.TrialState":
    """A failed trial counts as one pruned before its first score, the worst there is.

    Of a trial that "failed" Optuna's sampler learns nothing; it would suggest rates that diverge again and again.
    """
    from optuna.trial import TrialState

    return TrialState.COMPLETE if trial.state == "complete" else TrialState.PRUNED


def _distributions(space: Space) -> dict[str, "optuna.distributions.BaseDistribution"]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    found: dict[str, Any] = {}
    for key, one in space.items():
        if not isinstance(one, Range):
            found[key] = CategoricalDistribution(one)
        elif one.is_whole:
            found[key] = IntDistribution(int(one.low), int(one.high))
        else:
            found[key] = FloatDistribution(one.low, one.high, log=one.logarithmic)
    return found


def _holds(one: Range | tuple[Any, ...], value: Any) -> bool:
    return value is not None and value in one if isinstance(one, Range) else value in one


def _settings(space: Space) -> Iterator[dict[str, Any]]:
    """Every setting of a space that can be counted, in order; none of another."""
    listed = [
        tuple(range(int(one.low), int(one.high) + 1)) if isinstance(one, Range) else one
        for one in space.values()
        if not isinstance(one, Range) or one.is_whole
    ]
    if len(listed) == len(space):
        yield from (dict(zip(space, values, strict=True)) for values in itertools.product(*listed))


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna tells each study on standard error unless it is told not to; its setting is put back."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)

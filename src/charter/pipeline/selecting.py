"""Private search: trials that are alike, of which the best is released and nothing told of the others, not even how many there were.

How many there are, and the settings of each, are drawn from the training's secret stream without looking at any row; each trial learns
from the same rows with sampling and noise of its own, is stopped by nothing, and is scored on the validation rows. What that tells of
a training row is worked out in `charter.privacy.best_of`, for all trials together; the ledger is charged for that before the first.

While it is unfinished its work folder holds the key, the best trial so far and how many have ended, so that a search that was killed makes
the same trials again; of all that only the best trial is left in the end.
"""

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from charter.errors import DataError, TrainingError
from charter.models.inference import predict_outputs
from charter.pipeline.planning import stream_of, trials_of
from charter.pipeline.preparing import PreparedData
from charter.pipeline.spent import Charging
from charter.privacy.best_of import Numbers
from charter.privacy.ledger import identity_of
from charter.privacy.stream import HOW_MANY, SETTINGS, SecretStream
from charter.runs.digest import frame_digest
from charter.runs.files import read_json, write_json
from charter.runs.findings import Finding
from charter.spec.model import Charter
from charter.spec.search import Range, Search
from charter.spec.training import Training
from charter.tasks.task import Task
from charter.training.fit_state import Validation, score_of
from charter.training.fitting import Fitted
from charter.training.search import Space, at_random

STATE, CHOSEN = "search.json", "chosen.json"
UNTOLD = "the settings are searched within the privacy budget: how many trials there are, and how far they are, is told nobody"
TRIAL = "trial-"
Fit = Callable[[Training, Path, SecretStream], Fitted]
"""Settings, a folder to go on from, and what a trial draws from -> the fitted model, with a checkpoint of its end in the folder."""


@dataclass(frozen=True)
class Selected:
    """The best trial: its model, the settings that were chosen, and its score on the validation rows."""

    fitted: Fitted
    values: Mapping[str, Any]
    score: float

    def keep(self, files: Path) -> None:
        """Write the settings beside the model."""
        write_json(files / CHOSEN, dict(self.values))


@dataclass(frozen=True)
class _State:
    """How far a search is: trials that have ended, the best of them, and why the first that failed did. of: the stream they draw from."""

    of: str
    ended: int = 0
    best: int = 0
    score: float = 0.0
    because: str = ""


def select(
    charter: Charter, task: Task, validation: Validation | None, work: Path, charging: Charging, fit: Fit
) -> Selected:
    """Make the trials of a private search that are not made yet, and give the best.

    Raises:
        DataError: there are no validation rows.
        TrainingError: no trial ended with a model.
    """
    if validation is None:
        raise DataError(
            "it needs validation rows, and data.split leaves none; give them, or take it out"
        ).about("training", "search")
    search, numbers = _search_of(charter)
    stream = stream_of(charter, charter.training, work)
    charging.secret = stream.key
    state = _read(work, identity_of(stream.key, STATE))

    def fitted_of(number: int) -> Fitted:
        settings = _with(charter.training, _drawn(search.space, stream, number))
        return fit(settings, _folder(work, number), stream.derived(number))

    for number in range(state.ended + 1, numbers.drawn(float(stream.uniform(1, HOW_MANY, 0)[0])) + 1):
        _forget(work, but=(state.best, number))
        try:
            fitted = fitted_of(number)
            score = score_of(task, predict_outputs(fitted.model, task, validation.examples), validation)
        except TrainingError as error:
            state = replace(state, ended=number, because=state.because or str(error))
        else:
            if not state.best or score > state.score:
                state = replace(state, best=number, score=score)
            state = replace(state, ended=number)
        write_json(work / STATE, asdict(state))
    if not state.best:
        raise TrainingError(f"no trial of training.search ended with a model: {state.because}")
    _forget(work, but=(state.best,))
    return Selected(fitted_of(state.best), _drawn(search.space, stream, state.best), state.score)


def _search_of(charter: Charter) -> tuple[Search, Numbers]:
    search, numbers = charter.training.search, trials_of(charter)
    assert search is not None
    assert numbers is not None
    return search, numbers


def _drawn(space: Space, stream: SecretStream, number: int) -> dict[str, Any]:
    """The settings of a trial: each drawn by itself, whatever the others were or came to."""
    return at_random(space, stream.uniform(len(space), SETTINGS, number).tolist())


def _with(training: Training, values: Mapping[str, Any]) -> Training:
    return Training.model_validate(
        {**training.model_dump(mode="json", exclude={"search"}), **values}, strict=False
    )


def _folder(work: Path, number: int) -> Path:
    return work / f"{TRIAL}{number}"


def _read(work: Path, stream: str) -> _State:
    """How far a search of this stream is; trials of another one, whose key is lost, are none of it."""
    try:
        state = _State(**read_json(work / STATE))
    except (FileNotFoundError, ValueError, TypeError):
        state = _State("")
    if state.of == stream:
        return state
    _forget(work, but=())
    return _State(stream)


def _forget(work: Path, *, but: Iterable[int]) -> None:
    """Take away what trials left, except of some."""
    kept = {_folder(work, number).name for number in but}
    for one in work.glob(f"{TRIAL}*"):
        if one.name not in kept:
            shutil.rmtree(one)


def chosen_settings(training: Training, files: Path) -> Training:
    """The settings that a model was trained with: those of the best trial, where a private search chose."""
    return _with(training, read_json(files / CHOSEN)) if (files / CHOSEN).exists() else training


def selection_findings(charter: Charter, selected: Selected, data: PreparedData) -> list[Finding]:
    """What is told of a private search: the space, what was chosen of it, its score; nothing of any other trial."""
    search, numbers = _search_of(charter)
    validation = data.part("validation")
    space = {
        key: {"low": one.low, "high": one.high, "logarithmic": one.logarithmic}
        if isinstance(one, Range)
        else {"choices": list(one)}
        for key, one in search.space.items()
    }
    table = {
        "kind": "table",
        "distribution": numbers.distribution,
        "space": space,
        "values": dict(selected.values),
    }

    def finding(metric: str, value: float, unit: str, method: str, **more: Any) -> Finding:
        return Finding(
            "training",
            metric,
            value,
            n=validation.height,
            unit=unit,
            method=method,
            on=frame_digest(validation),
            split="validation",
            **more,
        )

    mean = "mean of the distribution that their number was drawn from in secret; how many there were is told nobody"
    chosen = "the best of a random number of trials on the rows that chose it, so it is too high; the test split says how good the model is"
    return [
        finding("trials_on_average", numbers.mean, "trials", mean, attachment=table),
        finding("best_validation_score", selected.score, "", chosen),
    ]

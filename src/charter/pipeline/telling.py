"""What trackers are told of a run: the charter, the curves, the trials, and how it ended. Never a row's text."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from charter import plugins
from charter.release.record import Record
from charter.release.report import as_json, render
from charter.runs.findings import Finding
from charter.runs.run import Run
from charter.spec.model import Charter
from charter.tracking.tracker import Ending, TrackedRun, Tracker, Tracking
from charter.training.search import Trial


def make_trackers(charter: Charter) -> list[Tracker]:
    """The charter's trackers, before any work.

    Raises:
        MissingExtraError: one's library is not installed.
    """
    return [plugins.make("tracker", use.use, use.options) for use in charter.tracking]


@contextmanager
def tracked(run: Run, charter: Charter, folder: Path, trackers: list[Tracker]) -> Iterator[Tracking]:
    """Tell trackers of a run; one that an exception ends is told them as interrupted (Ctrl-C) or failed."""
    tracking = Tracking(trackers, lambda text: run.note("tracking", text))
    config = charter.model_dump(mode="json")
    tracking.begin(TrackedRun(run.id, charter.name, run.folder, folder, config))
    try:
        yield tracking
    except KeyboardInterrupt:
        tracking.end(Ending("interrupted"))
        raise
    except BaseException:
        tracking.end(Ending("failed"))
        raise


def told_trial(tracking: Tracking, trial: Trial) -> None:
    """One trial of a search."""
    numbers = {key: float(one) for key, one in trial.values.items() if isinstance(one, int | float)}
    score = {} if trial.score is None else {"validation_score": trial.score}
    values = {**score, "seconds": trial.seconds, "evaluations": float(len(trial.scores)), **numbers}
    tracking.log({f"search/{name}": one for name, one in values.items()}, trial.number)


def ending_of(record: Record) -> Ending:
    """A judged run. The report is made without examples, whatever the charter shows in its own."""
    silent = replace(record, examples=None)
    scores = {
        _score_name(one): one.value for one in record.findings if one.value is not None and one.area != "data"
    }
    words: dict[str, str] = {f"limit {one.limit}": one.outcome for one in record.verdicts}
    kept = sum(one.outcome == "kept" for one in record.verdicts)
    words["limits_kept"] = f"{kept} of {len(record.verdicts)}"
    pages = {"report.html": render(silent), "evidence.json": _json(silent)}
    return Ending(record.status, scores, words, pages)


def _score_name(one: Finding) -> str:
    inside = ", ".join(f"{name}={value}" for name, value in one.slice.items())
    split = f"{one.split}/" if one.split not in ("", "test") else ""
    return f"{one.area}/{split}{one.metric}[{inside}]" if inside else f"{one.area}/{split}{one.metric}"


def _json(record: Record) -> str:
    return json.dumps(as_json(record), ensure_ascii=False, indent=1)

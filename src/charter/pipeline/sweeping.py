"""Sweep: one charter at several values of a key, each run as ever but never released, then compared on one page."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from charter.audits.gaps import Gap, gap, gap_of, group_differences
from charter.audits.pairing import Answered, Difference
from charter.audits.resampling import Resampling
from charter.errors import CharterError
from charter.pipeline.asked import Asked, ask
from charter.pipeline.comparing import CONFIDENCE, RESAMPLES, answers_of, compare, find_judged
from charter.pipeline.foreseeing import check_budgets, check_plain_points, is_limited
from charter.pipeline.progress import OnProgress, Progress
from charter.pipeline.result import Result
from charter.pipeline.run import follow
from charter.release.comparison import Comparison
from charter.release.selection import findings_of
from charter.release.sweep import Point, Swept
from charter.runs.run import Event, begin_run, run_name
from charter.spec.document import at_its_line
from charter.spec.sweep import Sweep, read_sweep


def sweep(
    charter_file: Path,
    asked: str,
    *,
    store: Path | None = None,
    on_event: Callable[[Event], None] | None = None,
    on_progress: OnProgress | None = None,
    on_point: Callable[[str], None] | None = None,
) -> Swept:
    """Run a charter at several values of one of its keys, and compare the runs.

    asked: `KEY=VALUE,VALUE,...` as `charter.spec.sweep.read_sweep` has it. on_point: told each value before it is run. Nothing is
    packed and nothing released. Every charter is checked, and the privacy budget of the data, before the first run. Broken off, the
    same call goes on where it stopped: what a finished point made is used again by its key, and is charged once.

    Raises:
        CharterFileError: the charter's file has problems; nothing was run.
        BudgetError: not all points fit the privacy budget of their data; nothing was run and nothing charged.
        CharterError: a key or a value that can't be swept; else as `charter.pipeline.run`.
    """
    with at_its_line(charter_file):
        found = read_sweep(charter_file, asked)
        asks = [
            ask(charter_file, store, None, draft=False, continue_from=None, point=one.charter)
            for one in found.points
        ]
        for one in asks:
            if one.charter.training.engine == "ray":
                raise CharterError("--sweep: training.engine ray is not built for sweeps yet; take torch")
        check_plain_points(found, asks)
        if any(is_limited(one) for one in asks):
            _check_budgets(found, asks, on_event, on_progress or _silent)
        results = []
        for point, one in zip(found.points, asks, strict=True):
            if on_point is not None:
                on_point(f"{found.key}={point.said}")
            results.append(follow(one, on_event, on_progress))
        return _beside(found, asks[0], results)


def _check_budgets(
    found: Sweep, asks: list[Asked], on_event: Callable[[Event], None] | None, tell: OnProgress
) -> None:
    """Under a run of its own, which prepares the rows."""
    charter = asks[0].charter
    with begin_run(asks[0].store, run_name(f"{charter.name}-budget"), charter.digest, on_event) as going:
        check_budgets(going, found, asks, tell)
        going.finish("sweep")


def _beside(found: Sweep, asked: Asked, results: list[Result]) -> Swept:
    """The runs compared: with the one without privacy where there is one, else with the first."""
    order = sorted(range(len(results)), key=lambda place: found.points[place].number != float("inf"))
    comparison = compare([results[place].folder for place in order], store=asked.store.root)
    short = found.key.rpartition(".")[2]
    runs = [
        replace(run, label=f"{short}={found.points[place].said}")
        for run, place in zip(comparison.runs, order, strict=True)
    ]
    comparison = Comparison(tuple(runs), comparison.pairs)
    answers = {place: answers_of(find_judged(results[place].folder, asked.store)) for place in order}
    groups, left_out = _groups(comparison)
    how = Resampling(RESAMPLES, CONFIDENCE, asked.charter.training.seed)
    points = tuple(
        Point(
            one.said,
            one.number,
            order.index(place),
            tuple(
                _gap(answers[place], results[place], column, each, comparison.headline, how)
                for column, each in groups.items()
            ),
            _losses(comparison, order.index(place), answers[order[0]], answers[place], groups, how),
        )
        for place, one in enumerate(found.points)
    )
    return Swept(found.name, found.key, points, comparison, groups, left_out)


def _groups(comparison: Comparison) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
    """By group column, the groups whose headline score has evidence in every run, and the others."""
    kept: dict[str, tuple[str, ...]] = {}
    left_out: dict[str, tuple[str, ...]] = {}
    for column in comparison.runs[0].record.charter.data.groups:
        each = [
            {
                one.slice[column]: one.value is not None
                for one in findings_of(run.record)
                if one.area == "performance"
                and one.metric == comparison.headline
                and set(one.slice) == {column}
            }
            for run in comparison.runs
        ]
        names = list(dict.fromkeys(name for one in each for name in one))
        kept[column] = tuple(name for name in names if all(one.get(name) for one in each))
        left_out[column] = tuple(name for name in names if name not in kept[column])
    return kept, left_out


def _gap(
    answered: Answered | str,
    result: Result,
    column: str,
    groups: tuple[str, ...],
    metric: str,
    how: Resampling,
) -> Gap:
    if isinstance(answered, Answered):
        return gap(answered, column, groups, metric, how)
    values = {
        one.slice[column]: one.value
        for one in findings_of(result.record)
        if one.area == "performance"
        and one.metric == metric
        and set(one.slice) == {column}
        and one.value is not None
    }
    return gap_of(column, metric, {name: values[name] for name in groups}, answered)


def _losses(
    comparison: Comparison,
    place: int,
    first: Answered | str,
    other: Answered | str,
    groups: Mapping[str, tuple[str, ...]],
    how: Resampling,
) -> dict[str, Mapping[str, Difference]]:
    """What each group gains or loses against the first run, on the same rows; nothing where they can't be paired."""
    if place == 0 or isinstance(first, str) or isinstance(other, str):
        return {}
    pair = next(one for one in comparison.pairs if one.place == place)
    if pair.pairing is None:
        return {}
    return {
        column: group_differences(first, other, column, each, comparison.headline, how)
        for column, each in groups.items()
    }


def _silent(progress: Progress) -> None:
    del progress

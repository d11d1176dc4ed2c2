"""A score against the values of a sweep, drawn; a value without privacy stands apart at the right. Pure."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from charter.release.report.svg import dot, line, named, svg, text

LEFT, WIDTH, TOP, HEIGHT = 58, 300, 14, 190
APART = 56
"""How far a value without privacy stands from the others."""
MANY_TIMES = 20.0
"""Values that differ by more than this are drawn on a logarithmic scale."""
Scale = Literal["logarithmic", "linear", "names"]


@dataclass(frozen=True)
class Drawn:
    """A point: the value's words and number, what was measured there and its interval."""

    said: str
    number: float | None
    value: float | None
    low: float | None
    high: float | None


def scale_of(numbers: Sequence[float | None], *, epsilon: bool) -> Scale:
    """How values stand on the axis. epsilon: a privacy budget is always read by its order of magnitude."""
    finite = [one for one in numbers if one is not None and math.isfinite(one)]
    if any(one is None for one in numbers) or not finite:
        return "names"
    if min(finite) > 0 and (epsilon or max(finite) / min(finite) >= MANY_TIMES):
        return "logarithmic"
    return "linear"


def course(
    title: str,
    points: Sequence[Drawn],
    scale: Scale,
    x_name: str,
    no_privacy: str,
    *,
    from_zero: bool = False,
) -> str:
    """Values with intervals against what was swept; those at finite values are joined by a line.

    from_zero: the axis begins at 0, for what is never below it.
    """
    at = _places(points, scale)
    measured = [one for one in points if one.value is not None]
    ends = [end for one in measured for end in (one.low, one.high, one.value) if end is not None]
    low, high, ticks = _range(ends or [0.0, 1.0], from_zero=from_zero)

    def up(value: float) -> float:
        return TOP + (1 - (value - low) / (high - low)) * HEIGHT

    apart = [one for one in points if one.number is not None and math.isinf(one.number)]
    right, bottom = LEFT + WIDTH + (APART if apart else 0), TOP + HEIGHT
    body = []
    for tick in ticks:
        body += [
            line(LEFT, up(tick), right, up(tick), "guide"),
            text(LEFT - 7, up(tick) + 4, _tick(tick), "end"),
        ]
    if apart:
        body.append(line(LEFT + WIDTH + 8, TOP, LEFT + WIDTH + 8, bottom, "diagonal"))
    joined = sorted(
        (at(one), up(one.value)) for one in measured if one not in apart and one.value is not None
    )
    if len(joined) > 1 and scale != "names":
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in joined)
        body.append(f'<polyline points="{path}" class="curve"/>')
    for one in points:
        x = at(one)
        said = no_privacy if one in apart else one.said
        most = WIDTH / max(len(points), 1) if scale == "names" else 110
        body.append(named(x, bottom + 18, said, most, "middle"))
        if one.value is not None:
            if one.low is not None and one.high is not None:
                body.append(line(x, up(one.low), x, up(one.high), "bar"))
            body.append(dot(x, up(one.value)))
    body.append(text(LEFT + WIDTH / 2, bottom + 38, x_name, "middle", "soft"))
    return svg(title, right + 44, bottom + 46, body)


def _places(points: Sequence[Drawn], scale: Scale) -> Callable[[Drawn], float]:
    """Where each point stands from left to right."""
    inner = WIDTH - 44
    if scale == "names":
        others = [one for one in points if one.number is None or math.isfinite(one.number)]
        step = inner / max(len(others) - 1, 1)
        places = {one.said: LEFT + 22 + place * step for place, one in enumerate(others)}
    else:
        turned = math.log10 if scale == "logarithmic" else float
        known = {
            one.said: turned(one.number)
            for one in points
            if one.number is not None and math.isfinite(one.number)
        }
        least, most = min(known.values()), max(known.values())
        wide = (most - least) or 1.0
        places = {said: LEFT + 22 + (value - least) / wide * inner for said, value in known.items()}
    return lambda one: places.get(one.said, LEFT + WIDTH + 8 + APART / 2)


def _range(ends: Sequence[float], *, from_zero: bool) -> tuple[float, float, list[float]]:
    """The ends of an axis and its ticks, at round numbers around what is drawn."""
    low, high = (0.0 if from_zero else min(ends)), max(ends)
    wide = max(high - low, 1e-3)
    step = 10.0 ** math.floor(math.log10(wide))
    step = next(each for each in (step / 5, step / 2, step, step * 2) if wide / each <= 5)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = [round(place * step, 10) for place in range(first, last + 1)]
    return ticks[0], ticks[-1], ticks


def _tick(value: float) -> str:
    return f"{value:g}".replace("-", "−")

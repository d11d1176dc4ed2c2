"""Plots as inline SVG. Each has a name for screen readers; its numbers also stand in a table of the page."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from charter.release.report.svg import box, dot, line, named, svg, text, width_of
from charter.runs.findings import Finding
from charter.spec.limits import Limit

MOST_CLASSES = 20
"""With more classes a confusion matrix can't be read."""
"""Drawings wider than this keep their size and are scrolled."""


def confusion(title: str, labels: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """A matrix of counts, shaded by each truth's share; right answers and mistakes in different colours."""
    cell = max(48, min(76, 330 // max(len(labels), 1)))
    left = min(max(width_of(label) for label in labels) + 14, 150)
    top = 26
    body = []
    for row, counted in enumerate(counts):
        total = max(sum(counted), 1)
        y = top + row * cell
        body.append(named(left - 8, y + cell / 2 + 4, labels[row], left - 12, "end"))
        for column, count in enumerate(counted):
            x, share = left + column * cell, count / total
            kind = "hit" if row == column else "miss"
            body.append(box(x, y, cell - 2, cell - 2, kind, 0.05 + 0.4 * share))
            body.append(text(x + cell / 2 - 1, y + cell / 2 - 1, f"{count:,}", "middle"))
            body.append(text(x + cell / 2 - 1, y + cell / 2 + 15, f"{share:.0%}", "middle"))
    body += [
        named(left + column * cell + cell / 2 - 1, top - 9, label, cell - 4, "middle")
        for column, label in enumerate(labels)
    ]
    return svg(title, left + cell * len(labels), top + cell * len(labels), body)


def density(
    title: str, edges: Sequence[float], counts: Sequence[Sequence[int]], x_name: str, y_name: str
) -> str:
    """Counts in bins, truth upwards by answer rightwards; the diagonal is perfect."""
    size, left, top = 290, 66, 12
    bins = len(counts)
    cell, most = size / bins, max(max(row) for row in counts)
    body = []
    for part in range(5):
        place, value = part / 4, edges[0] + (edges[-1] - edges[0]) * part / 4
        x, y = left + place * size, top + (1 - place) * size
        body += [line(x, top, x, top + size, "guide"), line(left, y, left + size, y, "guide")]
        body += [
            text(x, top + size + 18, f"{value:.3g}", "middle"),
            text(left - 7, y + 4, f"{value:.3g}", "end"),
        ]
    for truth, row in enumerate(counts):
        for answer, count in enumerate(row):
            if count:
                y = top + size - (truth + 1) * cell
                body.append(
                    box(left + answer * cell, y, cell, cell, "mass", 0.12 + 0.88 * (count / most) ** 0.5)
                )
    body.append(line(left, top + size, left + size, top, "diagonal"))
    body.append(text(left + size / 2, top + size + 38, x_name, "middle", "soft"))
    body.append(text(15, top + size / 2, y_name, "middle", "soft", turned=True))
    return svg(title, left + size + 20, top + size + 46, body)


def reliability(title: str, curve: Mapping[str, Any], x_name: str, y_name: str) -> str:
    """Share that was right by mean confidence, with intervals; the diagonal is perfect."""
    size, left, top = 270, 58, 12

    def at(value: float) -> float:
        return left + value * size

    def up(value: float) -> float:
        return top + (1 - value) * size

    body = []
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        body += [
            line(at(tick), up(0), at(tick), up(1), "guide"),
            line(at(0), up(tick), at(1), up(tick), "guide"),
        ]
        body += [
            text(at(tick), up(0) + 18, f"{tick:g}", "middle"),
            text(left - 7, up(tick) + 4, f"{tick:g}", "end"),
        ]
    body.append(line(at(0), up(0), at(1), up(1), "diagonal"))
    points = zip(curve["confidence"], curve["accuracy"], curve["low"], curve["high"], strict=True)
    for told, right, low, high in points:
        body += [line(at(told), up(low), at(told), up(high), "bar"), dot(at(told), up(right))]
    body.append(text(left + size / 2, top + size + 38, x_name, "middle", "soft"))
    body.append(text(15, top + size / 2, y_name, "middle", "soft", turned=True))
    return svg(title, left + size + 14, top + size + 46, body)


STROKES = ("curve", "curve other", "curve dashed", "curve other dashed", "curve dotted")
LEAST_DRAWN = 1e-4
"""Rates below it are not drawn."""


def roc(
    title: str, curves: Mapping[str, Mapping[str, Sequence[float]]], others: int, x_name: str, y_name: str
) -> str:
    """True by false positives on logarithmic scales, a curve for each attack, since what matters is at the left end.

    others: the number of rows that a false positive is one of; below one of them there is nothing to draw.
    """
    size, left, top = 290, 66, 12
    least = next(
        edge for edge in (1e-1, 1e-2, 1e-3, LEAST_DRAWN) if edge * others <= 1 or edge == LEAST_DRAWN
    )
    decades = round(-math.log10(least))

    def along(rate: float) -> float:
        return (math.log10(max(rate, least)) + decades) / decades * size

    body = []
    for part in range(decades + 1):
        x, y, said = (
            left + part / decades * size,
            top + (1 - part / decades) * size,
            f"{10.0 ** (part - decades):g}",
        )
        body += [line(x, top, x, top + size, "guide"), line(left, y, left + size, y, "guide")]
        body += [text(x, top + size + 18, said, "middle"), text(left - 7, y + 4, said, "end")]
    body.append(line(left, top + size, left + size, top, "diagonal"))
    below = top + size + 62
    for place, (name, points) in enumerate(curves.items()):
        pairs = zip(points["false"], points["true"], strict=True)
        path = " ".join(f"{left + along(x):.1f},{top + size - along(y):.1f}" for x, y in pairs if x >= least)
        stroke, y = STROKES[place % len(STROKES)], below + 20 * place
        body.append(f'<polyline points="{path}" class="{stroke}"/>')
        body += [
            f'<polyline points="{left},{y - 4} {left + 30},{y - 4}" class="{stroke}"/>',
            text(left + 38, y, name),
        ]
    body.append(text(left + size / 2, top + size + 38, x_name, "middle", "soft"))
    body.append(text(15, top + size / 2, y_name, "middle", "soft", turned=True))
    return svg(title, left + size + 20, below + 20 * len(curves) - 10, body)


def forest(title: str, column: str, findings: Sequence[Finding], whole: float | None, too_few: str) -> str:
    """Values with intervals, a line each; a part without evidence says so; `whole` is drawn as a dashed line."""
    names = [finding.slice[column] for finding in findings]
    left = min(max([width_of(name) for name in names] + [40]) + 14, 150)
    width, step, top = 380 - left - 46, 26, 10
    low = min([one.low or 0.0 for one in findings] + [0.0])
    high = max([one.high or one.value or 0.0 for one in findings] + [1.0])
    bottom = top + len(findings) * step

    def at(value: float) -> float:
        return left + (value - low) / (high - low) * width

    parts = [high * part / 4 for part in range(5)]
    ticks = parts if low >= 0 else [low, 0.0, high / 2, high]
    body = [line(at(tick), top, at(tick), bottom, "guide") for tick in ticks]
    body += [text(at(tick), bottom + 18, f"{tick:.2g}", "middle", "soft") for tick in ticks]
    if whole is not None:
        body.append(line(at(whole), top, at(whole), bottom, "diagonal"))
    for place, one in enumerate(findings):
        y = top + (place + 0.5) * step
        body.append(named(left - 9, y + 4, names[place], left - 12, "end"))
        if one.value is None:
            body.append(text(left + 8, y + 4, f"{too_few} (n = {one.n})", "start", "soft"))
            continue
        ends = (one.value if one.low is None else one.low, one.value if one.high is None else one.high)
        body += [line(at(ends[0]), y, at(ends[1]), y, "bar"), dot(at(one.value), y)]
        body.append(text(left + width + 44, y + 4, f"{one.value:.3f}", "end"))
    return svg(title, left + width + 46, bottom + 26, body)


def learning(title: str, history: Sequence[Mapping[str, Any]], x_name: str) -> str:
    """The training loss by update as a line, the validation loss as points; "" where there is too little to draw."""
    losses = [(one["step"], one["loss"]) for one in history if one["kind"] == "loss"]
    checks = [(one["step"], one["validation_loss"]) for one in history if "validation_loss" in one]
    return "" if len(losses) < 2 else _curve(title, losses, checks, x_name)


def rates(title: str, history: Sequence[Mapping[str, Any]], x_name: str) -> str:
    """The learning rate by update, thin lines for layers below the head whose rates differ; "" with too little to draw."""
    logged = [one for one in history if one["kind"] in ("loss", "update")]
    drawn = [(one["step"], one["learning_rate"]) for one in logged]
    below = [
        [(one["step"], rate) for one, rate in zip(logged, by_depth, strict=True)]
        for by_depth in list(zip(*(one.get("rates", ()) for one in logged), strict=True))[1:]
    ]
    return "" if len(drawn) < 2 else _curve(title, drawn, [], x_name, thin=below)


def scores(title: str, history: Sequence[Mapping[str, Any]], x_name: str) -> str:
    """The validation score by update; "" with fewer than two."""
    checks = [(one["step"], one["validation_score"]) for one in history if "validation_score" in one]
    return "" if len(checks) < 2 else _curve(title, checks, checks, x_name, most=1.0)


def _curve(
    title: str,
    drawn: Sequence[tuple[float, float]],
    points: Sequence[tuple[float, float]],
    x_name: str,
    most: float | None = None,
    thin: Sequence[Sequence[tuple[float, float]]] = (),
) -> str:
    width, height, top = 320, 190, 12
    last = max(step for step, _ in [*drawn, *points])
    values = [value for _, value in [*drawn, *points]]
    highest, lowest = most or max(values) * 1.05 or 1.0, min(0.0, *values)

    left = 46 if highest >= 0.1 else 64  # a small number takes more letters

    def at(step: float) -> float:
        return left + step / last * width

    def up(value: float) -> float:
        return top + (highest - value) / (highest - lowest) * height

    body = []
    for part in range(5):
        value = lowest + (highest - lowest) * part / 4
        body += [
            line(left, up(value), left + width, up(value), "guide"),
            text(left - 7, up(value) + 4, f"{value:.2f}" if highest >= 0.1 else f"{value:.2g}", "end"),
        ]
    for curve, kind in (*((each, "curve thin") for each in thin), (drawn, "curve")):
        path = " ".join(f"{at(step):.1f},{up(value):.1f}" for step, value in curve)
        body.append(f'<polyline points="{path}" class="{kind}"/>')
    body += [dot(at(step), up(value), "check") for step, value in points]
    body += [
        text(at(0), top + height + 18, "0", "middle"),
        text(at(last), top + height + 18, f"{last:,}", "end"),
    ]
    body.append(text(left + width / 2, top + height + 18, x_name, "middle", "soft"))
    return svg(title, left + width + 8, top + height + 26, body)


def gauge(title: str, limit: Limit, finding: Finding) -> str:
    """A finding's interval against the bound of its limit: a band where the limit is kept, a line, a dot, a mark."""
    width, height = 150, 26
    value = finding.value or 0.0
    low = value if finding.low is None else finding.low
    high = value if finding.high is None else finding.high
    least = min(0.0, low, limit.bound)
    most = 1.0 if 0.2 < max(limit.bound, high) <= 1 else max(limit.bound * 1.6, high * 1.15, 1e-9)

    def at(number: float) -> float:
        return 5 + (number - least) / (most - least) * (width - 10)

    upward = limit.comparison in (">=", ">")
    begin, end = (limit.bound, most) if upward else (least, limit.bound)
    middle = height / 2
    body = [
        box(at(least), middle - 5, at(most) - at(least), 10, "track"),
        box(at(begin), middle - 5, max(at(end) - at(begin), 0), 10, "allowed"),
        line(at(limit.bound), 2, at(limit.bound), height - 2, "bound"),
        line(at(low), middle, at(high), middle, "span"),
        dot(at(value), middle, "point", 4.5),
    ]
    return svg(title, width, height, body, "gauge")

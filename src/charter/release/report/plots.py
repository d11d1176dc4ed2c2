"""Plots as inline SVG. Each has a title for screen readers; its numbers also stand in a table of the page."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from charter.runs.findings import Finding


def _svg(title: str, width: int, height: int, body: Sequence[str]) -> str:
    name = escape(title, quote=True)
    inside = "".join(body)
    shape = f'viewBox="0 0 {width} {height}" style="max-width:{width}px"'
    return f'<svg role="img" aria-label="{name}" {shape}><title>{name}</title>{inside}</svg>'


def _text(x: float, y: float, text: str, anchor: str = "start", style: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {style}>{escape(text)}</text>'


def confusion(title: str, attachment: Mapping[str, Any]) -> str:
    """A matrix of counts, shaded by each truth's share."""
    labels, counts = list(attachment["labels"]), attachment["counts"]
    if len(labels) > 20:
        return ""
    cell, left, top = 76, 150, 30
    body = []
    for row, line in enumerate(counts):
        total = max(sum(line), 1)
        y = top + row * cell
        body.append(_text(left - 8, y + cell / 2 + 4, _short(labels[row]), "end"))
        for column, count in enumerate(line):
            x, share = left + column * cell, count / total
            body.append(
                f'<rect x="{x}" y="{y}" width="{cell - 2}" height="{cell - 2}" class="cell" fill-opacity="{0.06 + 0.5 * share:.2f}"/>'
            )
            body.append(_text(x + cell / 2, y + cell / 2, f"{count:,}", "middle"))
            body.append(_text(x + cell / 2, y + cell / 2 + 16, f"{share:.0%}", "middle", 'class="soft"'))
    body += [
        _text(left + column * cell + cell / 2, top - 8, _short(label, 10), "middle")
        for column, label in enumerate(labels)
    ]
    return _svg(title, left + cell * len(labels) + 10, top + cell * len(labels) + 10, body)


def reliability(title: str, curve: Mapping[str, Any]) -> str:
    """Share that was right by mean confidence, with intervals; the diagonal is perfect."""
    size, edge = 320, 40

    def at(value: float) -> float:
        return edge + value * size

    def up(value: float) -> float:
        return edge / 2 + (1 - value) * size

    body = [
        f'<rect x="{edge}" y="{edge / 2}" width="{size}" height="{size}" class="frame"/>',
        f'<line x1="{at(0)}" y1="{up(0)}" x2="{at(1)}" y2="{up(1)}" class="guide"/>',
    ]
    for tick in (0.0, 0.5, 1.0):
        body += [
            _text(at(tick), up(0) + 18, f"{tick:g}", "middle"),
            _text(edge - 6, up(tick) + 4, f"{tick:g}", "end"),
        ]
    for told, right, low, high in zip(
        curve["confidence"], curve["accuracy"], curve["low"], curve["high"], strict=True
    ):
        body.append(
            f'<line x1="{at(told):.1f}" x2="{at(told):.1f}" y1="{up(low):.1f}" y2="{up(high):.1f}" class="bar"/>'
        )
        body.append(f'<circle cx="{at(told):.1f}" cy="{up(right):.1f}" r="4" class="point"/>')
    return _svg(title, size + 2 * edge, size + 2 * edge, body)


def forest(title: str, findings: Sequence[Finding]) -> str:
    """Values with intervals, a line each; a part without evidence says so."""
    left, width, step = 190, 320, 28
    body = []
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = left + tick * width
        body.append(f'<line x1="{x}" x2="{x}" y1="8" y2="{len(findings) * step + 8}" class="guide"/>')
        body.append(_text(x, len(findings) * step + 26, f"{tick:g}", "middle"))
    for place, one in enumerate(findings):
        y = 22 + place * step
        body.append(_text(left - 8, y + 4, _short(", ".join(one.slice.values()), 24), "end"))
        if one.value is None:
            body.append(_text(left + 6, y + 4, f"? (n = {one.n})", "start", 'class="soft"'))
            continue
        low, high = (
            (one.low if one.low is not None else one.value),
            (one.high if one.high is not None else one.value),
        )
        body.append(
            f'<line x1="{left + low * width:.1f}" x2="{left + high * width:.1f}" y1="{y}" y2="{y}" class="bar"/>'
        )
        body.append(f'<circle cx="{left + one.value * width:.1f}" cy="{y}" r="4" class="point"/>')
    return _svg(title, left + width + 30, len(findings) * step + 36, body)


def learning(title: str, history: Sequence[Mapping[str, Any]]) -> str:
    """The training loss by update as a line, the validation loss as points."""
    losses = [(one["step"], one["loss"]) for one in history if one["kind"] == "loss"]
    checks = [(one["step"], one["validation_loss"]) for one in history if "validation_loss" in one]
    if len(losses) < 2:
        return ""
    width, height, edge = 480, 200, 44
    last, top = max(step for step, _ in losses + checks), max(loss for _, loss in losses + checks) or 1.0

    def place(step: float, loss: float) -> tuple[float, float]:
        return edge + step / last * width, 12 + (1 - loss / top) * height

    points = " ".join("{:.1f},{:.1f}".format(*place(step, loss)) for step, loss in losses)
    body = [
        f'<rect x="{edge}" y="12" width="{width}" height="{height}" class="frame"/>',
        f'<polyline points="{points}" class="line"/>',
    ]
    body += [
        '<circle cx="{:.1f}" cy="{:.1f}" r="4" class="point"/>'.format(*place(step, loss))
        for step, loss in checks
    ]
    body += [
        _text(edge - 6, 20, f"{top:.2f}", "end"),
        _text(edge - 6, 12 + height, "0", "end"),
        _text(edge + width, height + 30, f"{last:,}", "end"),
    ]
    return _svg(title, width + edge + 20, height + 40, body)


def _short(text: str, most: int = 18) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"

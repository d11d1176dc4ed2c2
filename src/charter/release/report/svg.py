"""Drawing in SVG: elements as text, every word escaped, no style attribute (the page's policy forbids them)."""

from collections.abc import Sequence
from html import escape

FONT = 13
"""The size of words in a drawing's own units; drawings are shown at least at their own size, so it is never less."""


def svg(title: str, width: float, height: float, body: Sequence[str], classes: str = "plot") -> str:
    """A drawing with a name for screen readers."""
    name = escape(title, quote=True)
    return (
        f'<svg class="{classes}" role="img" aria-label="{name}" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}">{"".join(body)}</svg>'
    )


def text(
    x: float, y: float, words: str, anchor: str = "start", classes: str = "", turned: bool = False
) -> str:
    """Words at a place; `turned` reads upwards."""
    turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ""
    inside = f' class="{classes}"' if classes else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{inside}{turn}>{escape(words)}</text>'


def named(x: float, y: float, words: str, most: float, anchor: str = "start", classes: str = "") -> str:
    """Words cut to a width, with the whole of them as a tooltip."""
    short = fitted(words, most)
    if short == words:
        return text(x, y, words, anchor, classes)
    return f"<g><title>{escape(words)}</title>{text(x, y, short, anchor, classes)}</g>"


def line(x1: float, y1: float, x2: float, y2: float, classes: str) -> str:
    """A line."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{classes}"/>'


def box(x: float, y: float, width: float, height: float, classes: str, opacity: float | None = None) -> str:
    """A rectangle."""
    seen = "" if opacity is None else f' fill-opacity="{opacity:.2f}"'
    size = f'width="{width:.1f}" height="{height:.1f}"'
    return f'<rect x="{x:.1f}" y="{y:.1f}" {size} class="{classes}"{seen}/>'


def dot(x: float, y: float, classes: str = "point", radius: float = 4) -> str:
    """A point."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" class="{classes}"/>'


def width_of(words: str) -> float:
    """About how wide words are: a Han character is as wide as it is high, a Latin letter about half of that."""
    return sum(1.05 if ord(sign) > 0x2E80 or sign == "…" else 0.58 for sign in words) * FONT


def fitted(words: str, most: float) -> str:
    """Words cut with an ellipsis so that they are at most so wide."""
    if width_of(words) <= most:
        return words
    while words and width_of(words + "…") > most:
        words = words[:-1]
    return words.rstrip() + "…"

"""Text, lines, boxes and axes as SVG.

This module draws text, lines, boxes and axes as SVG elements. Colours come from the page's style
sheet by class name. Every word passes through `escape`: a tag may be called anything.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backmix.text.numbers import brief

Floats = NDArray[np.float64]
Range = tuple[float, float]
SIZE = 12
"""Height of the letters in px; the style sheet sets the same."""

MOST_TIP = 240
"""Letters that are shown on hovering."""

_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff\u202a-\u202e\u2066-\u2069]")


def clean(words: object) -> str:
    """Words without the characters that no page may hold (controls, lone surrogates, direction marks).

    >>> clean("T\\x00101")
    'T\ufffd101'
    """
    return _UNPRINTABLE.sub("\ufffd", str(words))


def escape(words: object) -> str:
    """Words as they may stand inside SVG and HTML, in text and in quoted attributes."""
    return html.escape(clean(words), quote=True)


def span(words: str) -> float:
    """The width of words in px, roughly: Chinese letters are as wide as high, Latin ones about half."""
    return sum(SIZE if unicodedata.east_asian_width(c) in "WF" else 0.57 * SIZE for c in words)


def fit(words: str, width: float) -> str:
    """Words cut to a width in px, with an ellipsis in the middle: names of tags differ at both ends.

    >>> fit("reactor temperature, upper thermocouple", 140)
    'reactor te…rmocouple'
    """
    words = clean(words)[:400]
    if span(words) <= width:
        return words
    keep = len(words)
    while keep > 1 and span(words[: (keep + 1) // 2] + "…" + words[len(words) - keep // 2 :]) > width:
        keep -= 1
    return words[: (keep + 1) // 2] + "…" + (words[len(words) - keep // 2 :] if keep > 1 else "")


def figure(width: float, height: float, title: str, *elements: str) -> str:
    """A complete drawing; ``title`` is what a screen reader says."""
    return (
        f'<svg class="figure" role="img" viewBox="0 0 {num(width)} {num(height)}" width="{num(width)}" '
        f'height="{num(height)}" xmlns="http://www.w3.org/2000/svg" aria-label="{escape(title)}">'
        + "".join(elements)
        + "</svg>"
    )


def num(value: float) -> str:
    """A coordinate: a tenth of a pixel is enough.

    >>> num(12.0), num(3.14159)
    ('12', '3.1')
    """
    return f"{value:.1f}".removesuffix(".0")


def text(x: float, y: float, words: str, kind: str = "label", *, anchor: str = "start", width: float = 0.0) -> str:
    """Words at a point (baseline); with ``width`` they are cut to it and said in full on hovering."""
    shown = fit(words, width) if width else clean(words)
    tip = f"<title>{escape(brief(words, MOST_TIP))}</title>" if shown != clean(words) else ""
    return f'<text class="{kind}" x="{num(x)}" y="{num(y)}" text-anchor="{anchor}">{escape(shown)}{tip}</text>'


def rule(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """One straight line."""
    return f'<line class="{kind}" x1="{num(x1)}" y1="{num(y1)}" x2="{num(x2)}" y2="{num(y2)}"/>'


def box(x: float, y: float, width: float, height: float, kind: str, *, tip: str = "", opacity: float = 1.0) -> str:
    """A filled rectangle, at least half a pixel wide so that it can be seen."""
    shade = "" if opacity >= 1 else f' fill-opacity="{opacity:.2f}"'
    head = (
        f'<rect class="{kind}" x="{num(x)}" y="{num(y)}" width="{num(max(width, 0.5))}" '
        f'height="{num(max(height, 0.0))}"{shade}'
    )
    return f"{head}><title>{escape(brief(tip, MOST_TIP))}</title></rect>" if tip else f"{head}/>"


def dot(x: float, y: float, radius: float, kind: str, *, tip: str = "") -> str:
    """A filled circle."""
    head = f'<circle class="{kind}" cx="{num(x)}" cy="{num(y)}" r="{num(radius)}"'
    return f"{head}><title>{escape(brief(tip, MOST_TIP))}</title></circle>" if tip else f"{head}/>"


def trace(x: Floats, y: Floats, kind: str, *, breaks: NDArray[np.bool_] | None = None) -> str:
    """A line through points in px; it is lifted at NaN, and before every point marked in ``breaks``."""
    good = np.isfinite(x) & np.isfinite(y)
    lift = np.ones(len(x), dtype=bool)
    lift[1:] = ~good[:-1]
    if breaks is not None:
        lift |= breaks
    steps: list[str] = []
    alone = np.zeros(len(x), dtype=bool)
    alone[:-1] = lift[:-1] & (lift[1:] | ~good[1:])
    if len(x):
        alone[-1] = lift[-1]
    for px, py, up, single in zip(
        x[good].tolist(), y[good].tolist(), lift[good].tolist(), alone[good].tolist(), strict=True
    ):
        # a point between two gaps has no line: a zero-length one with round ends shows it
        steps.append(f"{'M' if up else 'L'}{num(px)} {num(py)}{'h0' if single else ''}")
    return f'<path class="{kind}" d="{"".join(steps)}"/>' if steps else ""


def area(x: Floats, low: Floats, high: Floats, kind: str) -> str:
    """A filled band between two lines in px; all values are numbers."""
    points = zip(np.concatenate([x, x[::-1]]).tolist(), np.concatenate([high, low[::-1]]).tolist(), strict=True)
    path = "L".join(f"{num(a)} {num(b)}" for a, b in points)
    return f'<path class="{kind}" d="M{path}Z"/>' if len(x) else ""


@dataclass(frozen=True)
class Axes:
    """A plotting area in px and the values at its edges."""

    left: float
    top: float
    width: float
    height: float
    xs: Range
    ys: Range

    def x(self, values: Floats | float) -> Floats:
        """Where values stand from left to right, in px."""
        low, high = self.xs
        return np.asarray(self.left + (np.asarray(values, dtype=np.float64) - low) / (high - low) * self.width)

    def y(self, values: Floats | float) -> Floats:
        """Where values stand from top to bottom, in px."""
        low, high = self.ys
        return np.asarray(self.top + (high - np.asarray(values, dtype=np.float64)) / (high - low) * self.height)

    @property
    def right(self) -> float:
        """The right edge in px."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """The lower edge in px."""
        return self.top + self.height

    def columns(self, ticks: Sequence[tuple[float, str]], *, words: bool = True, grid: bool = True) -> str:
        """Ticks along the lower edge: (value, label)."""
        parts = [rule(self.left, self.bottom, self.right, self.bottom, "axis")]
        free = -1e9
        for value, label in ticks:
            x = float(self.x(value))
            if grid:
                parts.append(rule(x, self.top, x, self.bottom, "grid"))
            half = span(label) / 2
            middle = min(max(x, half), self.right + 10 - half)
            if words and middle - half > free:
                parts.append(text(middle, self.bottom + 16, label, "tick", anchor="middle"))
                free = middle + half + 8
        return "".join(parts)

    def rows(self, ticks: Sequence[tuple[float, str]]) -> str:
        """Ticks along the left edge: (value, label)."""
        parts = []
        for value, label in ticks:
            y = float(self.y(value))
            parts.append(rule(self.left, y, self.right, y, "grid"))
            parts.append(text(self.left - 7, y + 4, label, "tick", anchor="end"))
        return "".join(parts)


def legend(x: float, y: float, entries: Sequence[tuple[str, str]]) -> str:
    """Samples of lines with their names, from left to right: (class, words)."""
    parts = []
    for kind, words in entries:
        parts.append(rule(x, y - 4, x + 18, y - 4, kind))
        parts.append(text(x + 24, y, words))
        x += 24 + span(words) + 22
    return "".join(parts)

"""Lines in a notebook.

This module draws curves over one axis as an SVG of its own, for a notebook or a console that shows
drawings: the labs of the course are illustrated with it. Reports have figures of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from backmix.report.drawing.canvas import Axes, dot, figure, legend, text, trace
from backmix.text.numbers import Tick, log_ticks, round_ticks, spread

WIDTH, HEIGHT, LEFT = 640.0, 220.0, 62.0
FEW = 30
"""Up to so many points are marked one by one."""
COLOURS = ("#0b6e99", "#c2571a", "#3f7d20", "#7a3e9d", "#6b6b6b", "#a8324a")
_STYLE = (
    "<style>.sketch text{font:12px sans-serif;fill:#333}.sketch .tick,.sketch .note{fill:#666}"
    ".sketch path,.sketch line{fill:none;stroke-width:1.8}.sketch line.axis{stroke:#888;stroke-width:1}"
    ".sketch line.grid{stroke:#e4e4e4;stroke-width:1}.sketch rect.paper{fill:#fff}"
    + "".join(f".sketch .l{n}{{stroke:{c}}}.sketch circle.l{n}{{fill:{c};stroke:none}}" for n, c in enumerate(COLOURS))
    + "</style>"
)


@dataclass(frozen=True)
class Sketch:
    """A drawing that a notebook shows; ``svg`` is a complete element."""

    svg: str

    def _repr_svg_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return "Sketch"


def sketch(
    curves: Mapping[str, ArrayLike],
    *,
    x: Sequence[float] | None = None,
    xlabel: str = "t",
    ylabel: str = "",
    log: bool = False,
) -> Sketch:
    """Curves (N,) by name over x (N,), or over 0, 1, 2, ...; ``log`` draws their logarithm (only what is positive).

    Raises ValueError for more curves than there are colours, or for curves of unequal length.

    >>> drawing = sketch({"h": [0.0, 0.5, 0.7]})
    >>> drawing.svg.startswith("<svg"), drawing
    (True, Sketch)
    """
    if len(curves) > len(COLOURS):
        raise ValueError(f"{len(curves)} curves are too many to tell apart; draw at most {len(COLOURS)}")
    lines = {name: np.asarray(values, dtype=np.float64) for name, values in curves.items()}
    if log:
        lines = {name: np.log10(np.where(values > 0, values, np.nan)) for name, values in lines.items()}
    count = len(next(iter(lines.values())))
    if any(len(values) != count for values in lines.values()):
        raise ValueError(f"curves have lengths {', '.join(str(len(v)) for v in lines.values())}; give all the same")
    places = np.arange(count, dtype=np.float64) if x is None else np.asarray(x, dtype=np.float64)
    ends = spread(*lines.values())
    low, high = float(places.min()), float(places.max())
    axes = Axes(LEFT, 44, WIDTH - LEFT - 16, HEIGHT - 84, (low, high if high > low else low + 1), ends)
    names = list(lines)
    parts = [
        legend(LEFT, 16, [(f"l{n}", name) for n, name in enumerate(names)]),
        text(LEFT, 36, ylabel, "note"),
        axes.rows(_few(log_ticks(*ends)) if log else round_ticks(*ends, 5)),
        axes.columns(round_ticks(*axes.xs, 8), grid=False),
        text(axes.right, axes.bottom + 34, xlabel, "note", anchor="end"),
    ]
    for n, name in enumerate(names):
        px, py = axes.x(places), axes.y(lines[name])
        parts.append(trace(px, py, f"l{n}"))
        if count <= FEW:
            parts += [dot(a, b, 2.4, f"l{n}") for a, b in zip(px, py, strict=True) if np.isfinite(b)]
    paper = f'<rect class="paper" width="{WIDTH:.0f}" height="{HEIGHT:.0f}"/>'
    drawn = figure(WIDTH, HEIGHT, ", ".join(names), _STYLE, paper, *parts)
    return Sketch(drawn.replace('class="figure"', 'class="sketch"', 1))


def _few(ticks: list[Tick], most: int = 6) -> list[Tick]:
    """Every so many of the ticks: a logarithmic axis may span forty powers of ten."""
    return ticks[:: -(-len(ticks) // most)]

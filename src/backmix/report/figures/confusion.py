"""Which class is taken for which.

This module draws the confusion matrix of a classification: rows are the actual classes, columns
the predicted ones, each row shaded by its share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from backmix.report.drawing.canvas import box, figure, span, text
from backmix.report.drawing.series import class_names
from backmix.report.figures import NARROW, Figure, figures
from backmix.text import say
from backmix.text.numbers import brief

if TYPE_CHECKING:
    from backmix.report.data import ReportData

MOST_CLASSES = 32
FEW_CLASSES = 8


@figures.register("confusion", beside=__file__)
def draw(data: ReportData, width: int) -> Figure | None:
    """Counts of (actual, predicted) on the test part; the rarest classes of many are put together."""
    run = data.classification
    if run is None:
        return None
    names, counts = confusion(class_names(run.truth), class_names(run.prediction), data.task.target.classes)
    if len(names) > MOST_CLASSES:
        names, counts = _together(names, counts)
    n = len(names)
    wide = n > FEW_CLASSES
    width = width if wide else min(width, NARROW)
    left = min(max(span(name) for name in names) + 14, width * 0.26)
    side = min((width - left - 8) / n, 64.0 if width > NARROW else 56.0)
    tilt = side < max(span(name) for name in names) + 4
    top = 58.0 + (left * 0.75 if tilt else 12)
    parts = [text(0, 14, say("figures.confusion"), "head"), text(0, 34, say("figures.confusion.axes"), "note")]
    parts += [
        _column(left + (j + 0.5) * side, top - 8, name, left * 0.9 if tilt else side, tilt)
        for j, name in enumerate(names)
    ]
    for i, name in enumerate(names):
        row = counts[i].sum()
        parts.append(text(left - 8, top + (i + 0.5) * side + 4, name, "label", anchor="end", width=left - 10))
        for j in range(n):
            parts.append(_cell(left + j * side, top + i * side, side, int(counts[i, j]), int(row), (name, names[j])))
    right = float(np.trace(counts)) / max(float(counts.sum()), 1.0)
    return Figure(
        figure(width, top + n * side + 6, say("figures.confusion"), *parts),
        "figures.confusion.caption",
        {"share": f"{right:.1%}", "windows": f"{len(run):,}"},
        wide=wide,
    )


def confusion(
    truth: NDArray[np.object_], prediction: NDArray[np.object_], order: tuple[str, ...]
) -> tuple[list[str], NDArray[np.int64]]:
    """Class names and their (C, C) counts, rows actual, columns predicted.

    >>> names, counts = confusion(np.array(["a", "b", "b"]), np.array(["a", "a", "b"]), ("a", "b", "c"))
    >>> names, counts.tolist()
    (['a', 'b'], [[1, 0], [1, 1]])
    """
    seen = {*truth.tolist(), *prediction.tolist()}
    names = [name for name in order if name in seen] + sorted(seen - set(order))
    code = {name: k for k, name in enumerate(names)}
    rows = np.array([code[name] for name in truth.tolist()], dtype=np.intp)
    columns = np.array([code[name] for name in prediction.tolist()], dtype=np.intp)
    counts = np.bincount(rows * len(names) + columns, minlength=len(names) ** 2)
    return names, counts.reshape(len(names), len(names))


def _together(names: list[str], counts: NDArray[np.int64]) -> tuple[list[str], NDArray[np.int64]]:
    size = counts.sum(axis=0) + counts.sum(axis=1)
    kept = np.sort(np.argsort(-size, kind="stable")[: MOST_CLASSES - 1])
    group = np.full(len(names), len(kept))
    group[kept] = np.arange(len(kept))
    small = np.zeros((len(kept) + 1, len(kept) + 1), dtype=np.int64)
    np.add.at(small, (group[:, None], group[None, :]), counts)
    return [*(names[k] for k in kept), say("figures.confusion.other_classes")], small


def _column(x: float, y: float, name: str, room: float, tilt: bool) -> str:
    if not tilt:
        return text(x, y, name, "label", anchor="middle", width=room)
    return f'<g transform="rotate(-52 {x:.1f} {y:.1f})">{text(x, y, name, "label", width=room)}</g>'


def _cell(x: float, y: float, side: float, count: int, row: int, names: tuple[str, str]) -> str:
    share = count / row if row else 0.0
    back = box(x + 0.5, y + 0.5, side - 1, side - 1, "cell-empty")
    if not count:
        return back
    kind = "cell" if names[0] == names[1] else "cell-wrong"
    shade = box(
        x + 0.5,
        y + 0.5,
        side - 1,
        side - 1,
        kind,
        opacity=max(0.1, share),
        tip=say(
            "figures.confusion.cell",
            truth=brief(names[0]),
            prediction=brief(names[1]),
            count=f"{count:,}",
            share=f"{share:.1%}",
        ),
    )
    words = f"{count:,}" if count < 10_000 else f"{share:.0%}"
    small = "tick" if side >= span(words) + 2 else ""
    shown = (
        text(
            x + side / 2,
            y + side / 2 + 4,
            words,
            f"{small} {'on-dark' if share > 0.55 else 'on-light'}",
            anchor="middle",
        )
        if small
        else ""
    )
    return back + shade + shown

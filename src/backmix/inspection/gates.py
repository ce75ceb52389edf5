"""The gates of a network over time.

This module runs a network from a zero state through a stretch of rows. It keeps the gates of every layer
AFTER their activation, so that a sigmoid gate lies between 0 (shut) and 1 (open), together with the tags
and the target.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.notation.clock import shown
from backmix.data.tag import Tag
from backmix.inspection.stretch import Stretch, choose
from backmix.inspection.subject import Floats, Subject, opened
from backmix.models.cells import cells
from backmix.models.reference import NetworkTrace
from backmix.training.predict import predict_network

CANDIDATE = "candidate"
"""The candidate state of a cell; the reference keeps it with the gates, but it is not a gate."""


@dataclass(frozen=True, eq=False)
class GateTrace:
    """One gate of one layer over R rows: mean over units, 10 % and 90 % quantiles of the units."""

    layer: int
    name: str
    mean: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, eq=False)
class Gates:
    """The gates over a stretch of R rows, with tags and target.

    x: (R,) seconds since 1970 UTC when ``clock``, else rows of the table counted from 1
    gates: every gate of every layer; kept_by: the one that keeps the old state; convention: what the letters mean
    tags: the shown tags with their values (R,) in plant units, as known at that moment
    target: what is predicted; truth, prediction: (R,) its values; for classes ``prediction`` is the
        probability of the actual class and ``classes`` its name; empty where there is nothing to show
    batch: the name of the batch when one window is one whole batch, which has one prediction only
    activation: of the gates; sigmoid and hard_sigmoid keep them in [0, 1]
    run_up: rows that the network ran before the first one shown
    """

    x: Floats
    clock: bool
    gates: tuple[GateTrace, ...]
    kept_by: str
    convention: str
    activation: str
    tags: tuple[tuple[Tag, Floats], ...]
    target: Tag
    truth: Floats
    prediction: Floats
    classes: tuple[str, ...]
    batch: str
    run_up: int
    time_zone: str | None = None

    @property
    def keeping(self) -> GateTrace:
        """The gate of the first layer that keeps the old state."""
        return next(gate for gate in self.gates if gate.name == self.kept_by and gate.layer == 1)

    def moment(self, position: int) -> str:
        """A row of the stretch: its time, or its number."""
        if self.clock:
            return shown(np.datetime64(int(self.x[position]), "s"), self.time_zone).removesuffix(":00")
        return f"{int(self.x[position])}"


def watch(
    subject: Subject, *, features: Sequence[int], place: str | int | None = None, rows: int | None = None
) -> Gates | None:
    """Watch the gates over a stretch (see `stretch.choose`); None for a cell without gates, and
    for a network whose state grows without bound when it is carried beyond its window.

    features: which inputs are shown beside, by their place on the feature axis
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    cell = cells.get(subject.architecture.cell)
    if not cell.keeping:
        return None
    stretch = choose(
        subject.every, subject.truth(subject.every), classes=bool(subject.task.target.classes), place=place, rows=rows
    )
    x = consecutive(subject, stretch)
    whole = subject.every.lengths is not None
    shown = len(x) if whole else stretch.count
    with threadpool_limits(1, user_api="blas"):
        trace = opened(subject).forward(x[None])
    if not all(np.isfinite(gate.mean).all() for gate in gates_of(trace, shown)):
        return None
    origin = int(subject.every.origins[stretch.first])
    origins = np.arange(origin - shown + 1, origin + 1) if whole else subject.every.origins[stretch.indices]
    truth, prediction, classes = (np.empty(0), np.empty(0), ()) if whole else _seen(subject, stretch)
    table, a = subject.table, subject.architecture
    names = subject.windows.spec.inputs
    return Gates(
        x=np.asarray(origins + 1 if table.time is None else table.time[origins].astype(np.int64) / 1e9, np.float64),
        clock=table.time is not None,
        time_zone=table.time_zone,
        gates=tuple(gates_of(trace, shown)),
        kept_by=cell.keeping,
        convention=cell.convention,
        activation=a.recurrent_activation,
        tags=tuple(
            (
                table.tag(names[f]),
                np.asarray(table.column(names[f])[origins - subject.windows.spec.dead_time], np.float64),
            )
            for f in features
        ),
        target=subject.tag,
        truth=truth,
        prediction=prediction,
        classes=classes,
        batch=table.batch_names[int(table.batch[origin])] if whole and table.batch is not None else "",
        run_up=len(x) - shown,
    )


def consecutive(subject: Subject, stretch: Stretch) -> NDArray[np.float32]:
    """The rows (R, F) that a network runs through: a whole first window from a zero state, then row after row."""
    windows = subject.every
    if windows.lengths is not None:
        return windows.gather(stretch.indices).x[0, : int(windows.lengths[stretch.first])]
    first = windows.gather(stretch.indices[:1]).x[0]
    newest = replace(windows, spec=replace(windows.spec, lookback=1, seen=None)).gather(stretch.indices[1:]).x[:, 0]
    return np.concatenate([first, newest])


def gates_of(trace: NetworkTrace, shown: int) -> list[GateTrace]:
    """The gates of every layer in the last ``shown`` rows of one window, after the activation."""
    traces = []
    for number, layer in enumerate(trace.layers, 1):
        for name, values in layer.gates.items():
            if name == CANDIDATE:
                continue
            units = values[0, -shown:]
            low, high = np.quantile(units, [0.1, 0.9], axis=1)
            traces.append(GateTrace(number, name, units.mean(axis=1), low, high))
    return traces


def _seen(subject: Subject, stretch: Stretch) -> tuple[Floats, Floats, tuple[str, ...]]:
    """Truth and prediction (R,) at every row of the stretch, and for classes their names."""
    windows, task = subject.every.subset(stretch.indices), subject.task
    truth = subject.truth(windows)
    outcome = task.answer.decode(predict_network(subject.model, windows), windows)
    if outcome.values is not None:
        return truth, outcome.values[:, subject.target], ()
    assert outcome.probabilities is not None
    known = np.isfinite(truth)
    if not known.any():
        return truth[:0], truth[:0], ()
    codes = np.where(known, truth, 0).astype(np.int64)
    chance = np.where(known, outcome.probabilities[np.arange(len(codes)), codes], np.nan)
    names = tuple(_class(task.target.classes, code, real) for code, real in zip(codes, known, strict=True))
    return truth, chance, names


def _class(names: tuple[str, ...], code: Any, real: Any) -> str:
    return names[code] if real else ""

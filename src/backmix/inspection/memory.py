"""How far back a network remembers.

This module follows the gradient of a prediction back through time, and measures after how many rows it
has vanished.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backmix.inspection.attribution import MASS, within
from backmix.inspection.subject import Effort, Floats, Subject, WindowSample, opened
from backmix.models.cells import cells
from backmix.models.reference import NetworkTrace, Trace
from backmix.models.reference.network import Network

VANISHED = 1e-12
"""Below this share of its largest value a gradient is rounding."""


@dataclass(frozen=True, eq=False)
class Residence:
    """How long the memory of a layer keeps what enters it, as a stirred tank would.

    gate: the gate that keeps, f of an LSTM or z of a GRU; mean: its mean over windows, rows, units
    rows: (H,) per unit -1 / (mean of ln gate): after so many rows 1/e of the memory is left, since
        dc_t/dc_{t-1} = f_t (Gers, Schmidhuber & Cummins, Neural Computation 12, 2000); inf when shut
    """

    gate: str
    mean: float
    rows: Floats

    @property
    def middle(self) -> float:
        """The median over units, in rows."""
        return float(np.median(self.rows))


@dataclass(frozen=True, eq=False)
class Memory:
    """The gradient of the explained number in the state, ‖df/dh_t‖, at every lag.

    norm: per recurrent layer, from the input on, (T,) mean over windows of the Euclidean norm over
        units, the newest row first, in the unit of the target (Pascanu, Mikolov & Bengio, On the
        difficulty of training recurrent neural networks, ICML 2013, who call it ∂E/∂h_t)
    lookback: rows of a window; dead_time: age in rows of its newest row
    residence: per layer, for cells that have a keeping gate
    state_moves, statistics_move: mean |change| of the explained number when the last state, and when
        the window statistics beside it, are fixed at their mean; None without statistics
    windows: how many were averaged

    >>> nine_tenths = 0.9 ** np.arange(100.0)
    >>> memory = Memory(
    ...     norm=(nine_tenths,),
    ...     lookback=100,
    ...     dead_time=0,
    ...     residence=(),
    ...     state_moves=None,
    ...     statistics_move=None,
    ...     windows=1,
    ... )
    >>> memory.effective, memory.half_life, round(memory.factor, 3)
    (28, 7, 0.9)
    """

    norm: tuple[Floats, ...]
    lookback: int
    dead_time: int
    residence: tuple[Residence, ...]
    state_moves: float | None
    statistics_move: float | None
    windows: int

    @property
    def first(self) -> Floats:
        """(T,) of the layer next to the inputs: all that the network remembers passes through it."""
        return self.norm[0]

    @property
    def effective(self) -> int:
        """Effective memory: the lag in rows within which `MASS` of the gradient norm lies."""
        return within(self.first, MASS)

    @property
    def half_life(self) -> int | None:
        """The lag from which the norm stays below half of its largest value; None when it does not."""
        low = self.first <= 0.5 * self.first.max()
        if not low[-1]:
            return None
        return int(len(low) - np.argmin(low[::-1])) if not low.all() else 0

    @property
    def factor(self) -> float | None:
        """The factor by which the norm shrinks (or, above 1, grows) per row back, up to the effective memory.

        It is the geometric mean λ of the steps: after k rows λ^k is left. None when it cannot be computed.
        """
        last = max(self.effective, 1)
        if len(self.first) <= last or not self.first[0] > 0:
            return None
        left = float(self.first[last] / self.first[0])
        return left ** (1 / last) if left > VANISHED else None

    @property
    def gone(self) -> int | None:
        """The first lag from which the gradient is only rounding; None when there is none."""
        alive = np.flatnonzero(self.first > VANISHED * self.first.max())
        return int(alive[-1]) + 1 if len(alive) and alive[-1] + 1 < len(self.first) else None


def remember(subject: Subject, effort: Effort) -> Memory | None:
    """Follow the gradient back through time; only for networks whose inside can be opened.

    None when the gradient is no finite number: it has exploded.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    network = opened(subject)
    # float64 in NumPy, forth and back: many times the work of the network itself
    sample = subject.alone.sample(subject.affordable(effort.windows, passes=12, work=effort.work))
    # thousands of small products: threads that wait for one another take fifteen times the time
    with threadpool_limits(1, user_api="blas"):
        trace = network.forward(sample.x, mask=sample.mask)
        pull = subject.pulls(trace.outputs)
        gradients = network.backward(trace, pull)
    norm = tuple(sample.by_lag(np.linalg.norm(layer.h, axis=2)).mean(axis=0) for layer in gradients.layers)
    if not all(np.isfinite(values).all() for values in norm):
        return None
    state, statistics = _bypass(network, trace, pull)
    return Memory(
        norm=norm,
        lookback=sample.x.shape[1],
        dead_time=subject.windows.spec.dead_time,
        residence=tuple(kept for layer in trace.layers if (kept := residence(layer, sample)) is not None),
        state_moves=state,
        statistics_move=statistics,
        windows=len(sample.indices),
    )


def residence(trace: Trace, sample: WindowSample) -> Residence | None:
    """The time constant of a layer's memory; None for a cell that rewrites its state at every step."""
    name = cells.get(trace.form.cell).keeping
    if not name:
        return None
    gate = trace.gates[name]
    real: NDArray[np.bool_] = np.ones(gate.shape[:2], bool) if sample.mask is None else sample.mask
    seen = gate[real]
    with np.errstate(divide="ignore"):
        decay = -np.log(np.clip(seen, 0.0, 1.0)).mean(axis=0)
        rows = np.where(np.isinf(decay), 0.0, 1.0 / decay)
    return Residence(name, float(seen.mean()), rows)


def _bypass(network: Network, trace: NetworkTrace, pull: Floats) -> tuple[float | None, float | None]:
    """How much the last state, and the window statistics, change the explained number."""
    if not network.architecture.summaries:
        return None, None
    units = network.architecture.units[-1]

    def moved(columns: slice) -> float:
        fixed = trace.features.copy()
        fixed[:, columns] = fixed[:, columns].mean(axis=0)
        return float(np.abs(((network.finish(fixed) - trace.outputs) * pull).sum(axis=1)).mean())

    return moved(slice(None, units)), moved(slice(units, None))

"""A model that runs on NumPy and the kernels alone.

This module opens a bundle without Keras, JAX or pandas, predicts windows, and steps one row at a
time with a state that the caller holds:

    runtime = Runtime.load("quality.backmix")
    state = runtime.start()
    y, state = runtime.step(row, state)

Rows are plant values in the order of `Runtime.inputs`; predictions are in the units of the targets (or a
probability per class). Values outside the range of training are clipped to it, as in training. The caller repairs
holes and spikes: a missing number is refused, never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backmix.data.scaling.regimes import RowLevelling
from backmix.data.states import StateCoding
from backmix.errors import BundleError, InputError, PlanError
from backmix.models.architecture import Architecture
from backmix.models.body.summaries import CENTRE, FLOOR, STRETCH
from backmix.models.heads import heads
from backmix.models.intervals.bands import Bands, Calibrated, ClassSets
from backmix.models.kernels import ACTIVATIONS, CELLS, available, native
from backmix.models.shape.forms import beyond_light
from backmix.models.shape.size import layers
from backmix.models.weights import Weights, network_weights
from backmix.outcome import within
from backmix.serving.archive import Members
from backmix.serving.composition import read_network
from backmix.serving.ensemble_network import EnsembleNetwork
from backmix.serving.intervals import fits_outputs, read_intervals
from backmix.serving.stated import EncodedRows, LightPreprocessing, StatedInputs, light_preprocessing

Floats = NDArray[np.float64]
State = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Runtime:
    """A bundle's model, ready to run.

    inputs: the F features in the order of a row; with known past targets, those stand last. A tag with states is
        coded in several: give `encode` the states by name
    targets: the tags that are predicted; units: of the outputs, "" where there is none
    classes: the class names, () for regression
    lookback: rows of the windows it was trained on; None for whole batches
    shown: in how many of the newest rows of a window past targets are inputs; None for all
    carried: whether it was trained with a state carried from row to row, from `start` at the first row of every
        stretch; then use `step` and `carry`, not windows
    native: whether the kernels run its networks; without them those are ten to a hundred times slower
    intervals: calibrated prediction intervals; None where there are none
    levelling: how rows are scaled by operating regime; None where all are scaled as one
    """

    inputs: tuple[str, ...]
    targets: tuple[str, ...]
    units: tuple[str, ...]
    classes: tuple[str, ...]
    lookback: int | None
    shown: int | None
    architecture: Architecture
    carried: bool
    native: bool
    intervals: Calibrated | None
    _network: Any
    _center: Floats
    _scale: Floats
    _plain: int
    _values: int
    _states: int
    _whole_windows: bool
    states: tuple[StateCoding, ...] = ()
    limits: tuple[float, float] | None = None
    levelling: RowLevelling | None = None

    @classmethod
    def load(cls, path: Path | str, *, kernels: bool | None = None) -> Runtime:
        """Open a bundle from anywhere; nothing in it is executed.

        kernels: False for NumPy even where the kernels are installed
        Raises BundleError (forms.not_light for a network that needs Keras), and PlanError (lab.light_runtime) for a
        model whose inputs include the age of past targets or marks of filled values.
        """
        path = Path(path)
        members = Members(path)
        with members.parsing():
            architecture = Architecture.from_dict(members.json("architecture.json"))
            weights, composition, simple_members = read_network(members, architecture)
            recipe = members.json("recipe.json")
            unsupported = recipe["windows"].get("missing") or (recipe["windows"]["known"] or {}).get("age")
            kind = str(recipe["task"]["kind"])
            runs = composition is None or bool(weights["mixture/weights"][0].any())  # else no network is run
            light = architecture.light or not runs
            preprocessing = light_preprocessing(recipe, architecture) if recipe["light"] and light else None
            intervals = read_intervals(members)
            if preprocessing and not fits_outputs(intervals, preprocessing.targets, preprocessing.classes):
                raise ValueError
        if unsupported:
            raise PlanError("lab.light_runtime")
        if not light:
            raise BundleError("forms.not_light", where=path, form=", ".join(beyond_light(architecture)))
        if preprocessing is None:
            raise BundleError("serving.not_light", where=path, task=kind)
        lookback = (composition and composition.lookback) or architecture.lookback
        use = runs and architecture.cell in CELLS and (available() if kernels is None else kernels)
        make = _native if use else _portable
        if composition is None:
            network = make(architecture, weights, preprocessing)
        else:
            running = range(1, composition.members + 1 if runs else 1)
            networks = [make(architecture, network_weights(weights, number), preprocessing) for number in running]
            network = EnsembleNetwork(
                networks,
                simple_members,
                weights["mixture/weights"],
                steps=lookback,
                seen=architecture.lookback,
                kind=heads.get(architecture.head).kind,
                scaling=preprocessing.scaling,
                hidden=preprocessing.hidden(lookback),
            )
        scale = preprocessing.out_center.tolist(), preprocessing.out_scale.tolist()
        network.decode(*(([], []) if preprocessing.classes else scale), len(preprocessing.classes) == 2)
        return cls(
            inputs=preprocessing.inputs,
            targets=preprocessing.targets,
            units=preprocessing.units,
            classes=preprocessing.classes,
            lookback=lookback,
            shown=preprocessing.shown,
            architecture=architecture,
            carried=preprocessing.carried,
            native=use,
            intervals=intervals,
            _network=network,
            _center=preprocessing.out_center,
            _scale=preprocessing.out_scale,
            _plain=preprocessing.plain,
            _values=len(preprocessing.classes) or len(preprocessing.targets),
            _states=network.state_size,
            _whole_windows=(runs and architecture.summaries)
            or (composition is not None and architecture.lookback is None)
            or lookback != architecture.lookback,
            states=preprocessing.states,
            limits=preprocessing.limits,
            levelling=preprocessing.levelling,
        )

    @property
    def stated(self) -> StatedInputs:
        """The inputs by the names under which they are measured."""
        return StatedInputs(self.inputs, self.states)

    def encode(self, rows: Sequence[Mapping[str, Any]]) -> EncodedRows:
        """Rows of values and states by the name of their tag, as `step`, `carry`, `predict` and `slide` take them.

        A state that training did not show is read as training said, and its row is uncertain.
        Raises InputError (serving.row_lacks, serving.row_text).
        """
        names = self.stated.columns
        for name in names:
            if any(name not in row for row in rows):
                raise InputError("serving.row_lacks", name=name, names=", ".join(names))
        return self.completed(self.stated.encode({name: [row[name] for row in rows] for name in names}))

    def completed(self, rows: EncodedRows) -> EncodedRows:
        """Rows marked uncertain where training did not show their operating regime, or its state is missing."""
        return rows if self.levelling is None else EncodedRows(*self.levelling.complete(rows.values, rows.uncertain))

    def start(self) -> State:
        """The initial state (S,), zeros, as at the first row of every window."""
        return np.zeros(self._network.state_size, np.float32)

    def step(self, row: Floats, state: State) -> tuple[Floats, State]:
        """One row (F,) of plant values from one state to the next: the prediction (O,), the new state.

        The given state is not changed. Stepping through a window from `start` gives the prediction of `predict` at
        its end. A model trained on windows of ``lookback`` rows has never seen an older state: use `slide`. A model
        with `carried` is stepped; call `start` again at a new stretch (batch, start of the plant, a gap).

        Raises InputError (serving.missing, serving.row_shape), PlanError (serving.no_steps).
        """
        if self._whole_windows:
            self._refuse_step(-1)
        if self.levelling is not None:
            row = self.levelling.level(self._checked(row, 1))
        y, after = np.empty(self._values), np.empty(self._states, np.float32)
        try:
            bad = self._network.step(row, state, after, y)
        except (TypeError, ValueError):
            row = np.ascontiguousarray(row, np.float64)
            self._check_shape(row, 1)
            self._check_state(state)
            bad = self._network.step(row, np.ascontiguousarray(state, np.float32), after, y)
        if bad >= 0:
            self._refuse_step(bad)
        return within(y, self.limits), after

    def carry(self, rows: ArrayLike, state: State) -> tuple[Floats, State]:
        """Rows (N, F) one after the other, as N steps: the predictions (N, O), the state after the last row."""
        if self._whole_windows:
            self._refuse_step(-1)
        values = self._checked(rows, 2)
        self._check_state(state)
        out, state = self._network.carry(self._levelled(values), np.ascontiguousarray(state, np.float32))
        return self._decoded(out), state

    def predict(
        self, windows: ArrayLike, *, lengths: ArrayLike | None = None, ended: ArrayLike | None = None
    ) -> Floats:
        """Windows (B, T, F) of plant values, each from the initial state: the predictions (B, O).

        lengths: (B,) real rows of each window, of whole batches or padded; later rows are ignored
        ended: (B,) true where the batch has ended, for an ensemble with a model of ended batches
        Raises InputError (serving.missing, serving.row_shape, serving.lookback).
        """
        values = np.array(windows, np.float64, order="C")
        self._check_shape(values, 3)
        steps = values.shape[1]
        if self.lookback is not None and steps != self.lookback:
            raise InputError("serving.lookback", got=steps, lookback=self.lookback)
        sizes = None
        if lengths is not None:
            sizes = np.ascontiguousarray(lengths, np.int64)
            if sizes.shape != (len(values),) or (sizes < 1).any() or (sizes > steps).any():
                raise InputError("serving.lengths", count=len(values), steps=steps)
            values[np.arange(steps) >= sizes[:, None]] = 0.0
        self._check_numbers(values)
        values = self._levelled(values)
        if self.shown is not None and self._plain < len(self.inputs):
            values[:, : max(0, steps - self.shown), self._plain :] = self._hidden
        if isinstance(self._network, EnsembleNetwork):
            over = None if ended is None else np.broadcast_to(np.asarray(ended, bool), (len(values),))
            return self._decoded(self._network.predict(values, sizes, over))
        return self._decoded(self._network.predict(values, sizes))

    def slide(self, rows: ArrayLike) -> Floats:
        """Predictions (N - T + 1, O) at every row (N, F) that ends a whole window.

        Much faster than `predict` on copies, because overlapping windows share work. Raises InputError
        (serving.no_slide) for models of whole batches and for models with past targets in some rows only.
        """
        if self.lookback is None or self.shown is not None:
            raise InputError("serving.no_slide")
        values = self._levelled(self._checked(rows, 2))
        starts = np.arange(max(0, len(values) - self.lookback + 1))
        return self._decoded(self._network.slide(values, starts, self.lookback))

    def interval(
        self, y: ArrayLike, *, elapsed: ArrayLike | None = None, level: float | None = None
    ) -> tuple[Floats, Floats]:
        """The low and the high ends (..., G) around predictions (..., G), in the units of the targets.

        elapsed: (...) time since the batch began, for a model of the final quality of a batch; without it the
            interval is that of the widest stage
        level: another share of results than the plan asked for

        An end is infinite where there were too few results for the calibration. For an adaptive interval take
        `models.intervals.bands.Bands.begin` of ``intervals`` and keep its state. Raises PlanError (intervals.none).
        """
        if not isinstance(self.intervals, Bands):
            raise PlanError("intervals.none")
        predictions = np.asarray(y, dtype=np.float64)
        radius = np.empty_like(predictions)
        since = None if elapsed is None else np.ravel(elapsed)
        ahead = self.intervals.bands[0].horizon
        for column, target in enumerate(self.targets):
            half = self.intervals.radius(
                target, np.ravel(predictions[..., column]), horizon=ahead, elapsed=since, level=level
            )
            radius[..., column] = half.reshape(predictions.shape[:-1])
        return within(predictions - radius, self.limits), within(predictions + radius, self.limits)

    def members(self, probabilities: ArrayLike, *, level: float | None = None) -> NDArray[np.bool_]:
        """(..., C) whether each class is in the set of those that a window may be of, from its probabilities.

        Raises PlanError (intervals.none).
        """
        if not isinstance(self.intervals, ClassSets):
            raise PlanError("intervals.none")
        return self.intervals.members(probabilities, level=level)

    def _levelled(self, values: Floats) -> Floats:
        """Rows (..., F) at one level, as the network takes them."""
        return values if self.levelling is None else self.levelling.level(values)

    def _refuse_step(self, bad: int) -> None:
        if self._whole_windows:
            raise InputError("serving.no_steps")
        raise InputError("serving.missing", tag=self.inputs[bad], row=1)

    @property
    def _hidden(self) -> Floats:
        """Plant values that are 0 after scaling, for past targets that are not shown."""
        return np.resize(self._center, len(self.inputs) - self._plain)

    def _decoded(self, out: NDArray[Any]) -> Floats:
        """Raw outputs (..., O) in the units of the targets, or a probability per class."""
        if not self.classes:
            return within(out * self._scale + self._center, self.limits)
        if len(self.classes) == 2:
            return np.concatenate([1.0 - out, out], axis=-1, dtype=np.float64)
        return out.astype(np.float64)

    def _checked(self, rows: ArrayLike, rank: int) -> Floats:
        values = np.ascontiguousarray(rows, np.float64)
        self._check_shape(values, rank)
        self._check_numbers(values)
        return values

    def _check_shape(self, values: Floats, rank: int) -> None:
        if values.ndim != rank or values.shape[-1] != len(self.inputs):
            raise InputError(
                "serving.row_shape", got=values.shape, width=len(self.inputs), names=", ".join(self.inputs)
            )

    def _check_state(self, state: State) -> None:
        if np.shape(state) != (self._network.state_size,):
            raise InputError("serving.state_shape", got=np.shape(state), size=self._network.state_size)

    def _check_numbers(self, values: Floats) -> None:
        if np.isfinite(values.sum()):
            return
        bad = np.argwhere(~np.isfinite(values))
        if len(bad):
            raise InputError("serving.missing", tag=self.inputs[bad[0][-1]], row=int(bad[0][0]) + 1)


def _native(architecture: Architecture, weights: Weights, preprocessing: LightPreprocessing) -> Any:
    a = architecture
    network = native().Network(*(numbers.tolist() for numbers in preprocessing.scaling))
    for layer in layers(a):
        kernel, bias = weights[f"{layer.name}/kernel"], weights[f"{layer.name}/bias"]
        if layer.name.startswith("recurrent"):
            network.add_layer(
                CELLS[a.cell],
                ACTIVATIONS[a.activation],
                ACTIVATIONS[a.recurrent_activation],
                a.reset_after,
                kernel,
                weights[f"{layer.name}/recurrent_kernel"],
                bias,
            )
        else:
            last = layer.name == "head"
            act = heads.get(a.head).activation if last else a.dense_activation
            network.add_dense(kernel, bias, ACTIVATIONS.get(act, ACTIVATIONS["linear"]), act == "softmax")
    if a.summaries:
        network.use_statistics(FLOOR, CENTRE, STRETCH)
    network.check()
    return network


def _portable(architecture: Architecture, weights: Weights, preprocessing: LightPreprocessing) -> Any:
    from backmix.serving.portable import PortableNetwork

    center, scale, low, high = preprocessing.scaling
    return PortableNetwork(architecture, weights, center=center, scale=scale, low=low, high=high)

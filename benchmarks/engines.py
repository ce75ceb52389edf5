"""The engines that `training.py` compares, each as what runs inside a process of its own.

This module trains one network of a row on Keras with its own layers or ours, on torch's own layers, or by
`fit_network`: the same windows from the same weights, whoever trains.
"""

from __future__ import annotations

import gc
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rounds import cores, versions

Arrays = list[NDArray[np.float32]]
RATE, CLIP, EPSILON = 1e-3, 1.0, 1e-7
TOGETHER = (1, 16)
"""Steps per execution that a Keras peer may choose between."""
WINDOWS = 8192
GATES = {"lstm": 4, "gru": 3, "simple_rnn": 1}
TITLES = {"lstm": "LSTM", "gru": "GRU", "simple_rnn": "SimpleRNN"}
SEED = 0


@dataclass(frozen=True)
class Row:
    """A network and its batches: T steps of F features."""

    cell: str
    units: tuple[int, ...]
    batch: int
    steps: int
    features: int

    @property
    def title(self) -> str:
        return f"{TITLES[self.cell]} {'-'.join(map(str, self.units))}, {self.batch}, {self.steps}, {self.features}"


PACKAGES = ("backmix", "keras", "jax", "tensorflow-cpu", "tensorflow", "torch", "numpy")


# The same numbers in every process


def plant(row: Row, windows: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Rows (N, F) whose windows overlap at stride 1, and the target (N,) of each row."""
    rng = np.random.default_rng(SEED)
    values = rng.standard_normal((windows + row.steps - 1, row.features), dtype=np.float32)
    ensemble = values @ (rng.standard_normal(row.features) / np.sqrt(row.features)).astype(np.float32)
    past = np.convolve(ensemble, 0.7 ** np.arange(6), mode="full")[: len(ensemble)]
    noise = 0.1 * rng.standard_normal(len(ensemble))
    return values, (np.tanh(past) + noise).astype(np.float32)


def cut(row: Row, windows: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The windows (W, T, F) as an array, and their targets (W, 1)."""
    values, y = plant(row, windows)
    view = np.lib.stride_tricks.sliding_window_view(values, row.steps, axis=0).transpose(0, 2, 1)
    return np.ascontiguousarray(view), y[row.steps - 1 :, None].copy()


def weights(row: Row) -> Arrays:
    """Initial weights in Keras's order and layout: kernel, recurrent kernel, bias of each layer, then the head."""
    rng = np.random.default_rng(SEED + 1)
    gates, width, found = GATES[row.cell], row.features, []
    for units in row.units:
        bound = np.sqrt(6 / (width + gates * units))
        kernel = rng.uniform(-bound, bound, (width, gates * units))
        recurrent = np.linalg.qr(rng.standard_normal((gates * units, units)))[0].T
        bias = np.zeros((2, gates * units) if row.cell == "gru" else gates * units)
        if row.cell == "lstm":
            bias[units : 2 * units] = 1.0
        found += [kernel, recurrent, bias]
        width = units
    bound = np.sqrt(6 / (width + 1))
    found += [rng.uniform(-bound, bound, (width, 1)), np.zeros(1)]
    return [np.ascontiguousarray(array, dtype=np.float32) for array in found]


# What runs inside a peer


class KerasPeer:
    """A Keras model on the engine of this process, with Keras's layers or ours."""

    def __init__(self, *, ours: bool) -> None:
        self._ours = ours
        self._model: Any = None
        self.decisions: Sequence[int] = TOGETHER

    def prepare(self, row: Row, windows: int, together: int) -> None:
        """A new model of this row."""
        import keras

        layers = keras.layers
        if self._ours:
            import backmix.layers as layers
        self._model = None
        keras.backend.clear_session()
        gc.collect()
        self._row = row
        self._x, self._y = cut(row, windows)
        x = y = keras.Input((row.steps, row.features))
        for number, units in enumerate(row.units, 1):
            layer = {"lstm": layers.LSTM, "gru": layers.GRU, "simple_rnn": layers.SimpleRNN}[row.cell]
            y = layer(units, return_sequences=number < len(row.units))(y)
        self._model = keras.Model(x, keras.layers.Dense(1)(y))
        self._model.set_weights(weights(row))
        self._model.compile(
            optimizer=keras.optimizers.Adam(RATE, clipnorm=CLIP, epsilon=EPSILON),
            loss="mse",
            steps_per_execution=together,
        )

    def train(self, windows: int, epochs: int) -> tuple[float, list[float]]:
        """Seconds and the loss of every epoch."""
        begin = time.perf_counter()
        told = self._model.fit(
            self._x[:windows], self._y[:windows], batch_size=self._row.batch, epochs=epochs, shuffle=False, verbose=0
        )
        return time.perf_counter() - begin, [float(loss) for loss in told.history["loss"]]


class TorchPeer:
    """torch's own layers in a bare loop, on all processors or on one thread if that is faster.

    Its loss differs a little from Keras's: each layer trains two biases that are added, and the norm
    that is clipped is that of all gradients together.
    """

    decisions: Sequence[int] = tuple(dict.fromkeys((cores(), 1)))

    def prepare(self, row: Row, windows: int, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        x, y = cut(row, windows)
        self._row, self._x, self._y = row, torch.from_numpy(x), torch.from_numpy(y)
        kind = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "simple_rnn": torch.nn.RNN}[row.cell]
        given, width = weights(row), row.features
        self._layers = torch.nn.ModuleList()
        for number, units in enumerate(row.units):
            layer = kind(width, units, batch_first=True)
            kernel, recurrent, bias = given[3 * number : 3 * number + 3]
            first, second = bias if row.cell == "gru" else (bias, np.zeros_like(bias))
            values = [_torch_order(row.cell, array) for array in (kernel, recurrent, first, second)]
            with torch.no_grad():
                for parameter, value in zip(layer.parameters(), values, strict=True):
                    parameter.copy_(torch.from_numpy(value))
            self._layers.append(layer)
            width = units
        self._head = torch.nn.Linear(width, 1)
        with torch.no_grad():
            self._head.weight.copy_(torch.from_numpy(given[-2].T.copy()))
            self._head.bias.copy_(torch.from_numpy(given[-1]))
        self._parameters = [*self._layers.parameters(), *self._head.parameters()]
        self._optimizer = torch.optim.Adam(self._parameters, RATE, eps=EPSILON)

    def train(self, windows: int, epochs: int) -> tuple[float, list[float]]:
        import torch

        batch, losses = self._row.batch, []
        begin = time.perf_counter()
        for _ in range(epochs):
            total = torch.zeros(())
            for first in range(0, windows, batch):
                y = self._x[first : first + batch]
                for layer in self._layers:
                    y, _ = layer(y)
                loss = torch.nn.functional.mse_loss(self._head(y[:, -1]), self._y[first : first + batch])
                self._optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(self._parameters, CLIP)
                self._optimizer.step()
                total += loss.detach()
            losses.append(float(total) * batch / windows)
        return time.perf_counter() - begin, losses


def _torch_order(cell: str, array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Keras's columns as torch's rows; torch's GRU has its reset gate before its update gate."""
    if cell == "gru":
        update, reset, candidate = np.split(array, 3, axis=-1)
        array = np.concatenate([reset, update, candidate], axis=-1)
    return np.ascontiguousarray(array.T)


class OwnPeer:
    """Our own way of training: `fit_network` over the windows of a table, nothing copied beforehand.

    Every call builds and compiles a network, so its first epoch is not timed; all later ones are,
    with their check of the validation part (one batch) and whatever else happens between epochs.
    """

    decisions: Sequence[int] = (1,)

    def prepare(self, row: Row, windows: int, _together: int) -> None:
        from backmix.data.table import Table
        from backmix.data.tag import Tag
        from backmix.data.windows.windows import WindowSpec, build_windows

        values, y = plant(row, windows)
        names = tuple(f"x{number:03}" for number in range(row.features))
        tags = (*(Tag(name) for name in names), Tag("y", role="target"))
        spec = WindowSpec(inputs=names, targets=("y",), lookback=row.steps)
        self._row = row
        self._windows = build_windows(Table(np.column_stack([values, y]), tags), spec)
        assert len(self._windows) == windows

    def train(self, windows: int, epochs: int) -> tuple[float, list[float]]:
        from backmix.models.architecture import Architecture
        from backmix.training.fitting.fit import FitSettings, fit_network

        row = self._row
        architecture = Architecture(features=row.features, lookback=row.steps, cell=row.cell, units=row.units)
        settings = FitSettings(
            loss="mse",
            learning_rate=RATE,
            clipnorm=CLIP,
            batch_size=row.batch,
            shuffle=False,
            epochs=epochs + 1,
            patience=10**6,
            plateau_patience=10**6,
        )
        clock = _clock(weights(row))
        fitted = fit_network(
            architecture,
            self._windows.subset(np.arange(windows)),
            self._windows.subset(np.arange(row.batch)),
            settings=settings,
            callbacks=[clock],
        )
        return clock.seconds, fitted.history["loss"]


def _clock(initial: Arrays) -> Any:
    """A Keras callback that sets the weights, and times all epochs but the first."""
    from keras.callbacks import Callback

    class Clock(Callback):  # type: ignore[misc]
        seconds = 0.0

        def on_train_begin(self, logs: Any = None) -> None:
            self.model.set_weights(initial)

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 1:
                self._begin = time.perf_counter()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch:
                self.seconds = time.perf_counter() - self._begin

    return Clock()


def answers(name: str) -> Callable[[str, dict[str, Any]], Any]:
    """What the process of a peer can be asked."""
    if name == "torch nn":
        peer: Any = TorchPeer()
    elif name == "backmix fit":
        peer = OwnPeer()
    else:
        peer = KerasPeer(ours=name.startswith("backmix"))
    chosen = {"windows": 0, "epochs": 1}
    slow: list[str] = []

    def listen(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: Any = None,
        line: str | None = None,
    ) -> None:
        # not made an error: Keras may swallow it, and the warning comes only once
        if category.__name__ == "SlowLoopWarning":
            slow.append(str(message))

    warnings.showwarning = listen

    def rate(few: int, most: int, seconds: float, *, tries: int) -> float:
        """Windows per second; of so many windows that a call's own cost does not count."""
        size = few
        while (taken := peer.train(size, 1)[0]) < seconds and size < most:
            size = min(most, 4 * size)
        return size / min(float(each) for each in [taken, *(peer.train(size, 1)[0] for _ in range(tries - 1))])

    def prepare(row: Row, seconds: float, epochs: int, choose: bool) -> dict[str, Any]:
        """Compile, train ``epochs`` epochs for the loss, choose steps per execution and the size of a measurement."""
        most, few = max(WINDOWS, 16 * row.batch), 16 * row.batch
        rates: dict[int, float] = {}
        losses: list[float] = []
        without = ""
        for decision in peer.decisions if choose else peer.decisions[:1]:
            try:
                peer.prepare(row, most, decision)
                _, found = peer.train(few, epochs)
                losses = losses or found[:epochs]
                rates[decision] = rate(few, most, seconds / 5, tries=3 if len(peer.decisions) > 1 else 1)
            except (ValueError, NotImplementedError) as fault:  # an engine without this choice
                if not losses:
                    raise
                without = " ".join(str(fault).split())[:80]
        best = max(rates, key=lambda decision: rates[decision])
        if best != decision or without:
            peer.prepare(row, most, best)
        wanted = rates[best] * seconds
        chosen["windows"] = int(min(most, max(few, wanted // few * few)))
        chosen["epochs"] = max(1, round(wanted / chosen["windows"]))
        peer.train(chosen["windows"], 1)
        if slow:  # our number must be that of the kernels
            raise RuntimeError(slow[0])
        return {"choice": best, "losses": losses, "without": without, **chosen}

    def answer(what: str, given: dict[str, Any]) -> Any:
        if what == "hello":
            return versions(*PACKAGES)
        if what == "prepare":
            row = Row(**{**given["row"], "units": tuple(given["row"]["units"])})
            return prepare(row, given["seconds"], given["epochs"], given["choose"])
        seconds, losses = peer.train(chosen["windows"], chosen["epochs"])
        if not np.isfinite(losses).all():
            raise FloatingPointError("the loss is not finite")
        return chosen["windows"] * chosen["epochs"] / seconds

    return answer

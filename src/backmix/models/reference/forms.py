"""Every form of a network in NumPy, float64, forward only.

This module computes the outputs of the networks of `models.network.build`, without dropout, noise and teacher, from
the same `Architecture` and weights, named as in `models.shape.size.weight_shapes`. Apart from the recurrent layers of
`reference.recurrent` it goes window by window and row by row, so that it shares no shortcut with what it checks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.models.architecture import Architecture
from backmix.models.heads import heads
from backmix.models.reference.activations import VALUES, Array, sigmoid, softmax
from backmix.models.reference.network import summarise
from backmix.models.reference.recurrent import CellForm, Weights, forward
from backmix.models.reference.steps import STEPS

EPSILON = 1e-3
"""Added to the variance by Keras's layer normalisation."""

Named = Mapping[str, NDArray[Any]]


def outputs(a: Architecture, weights: Named, inputs: Mapping[str, NDArray[Any]]) -> Array:
    """The outputs of the network for ``{"x": (B, T, F)}`` and, where it takes them, "mask" and "future".

    >>> a = Architecture(features=2, units=(1,), attention=True)
    >>> from backmix.models.shape.size import weight_shapes
    >>> zeros = {name: np.zeros(shape) for name, shape in weight_shapes(a).items()}
    >>> outputs(a, zeros, {"x": np.ones((3, 4, 2))}).shape
    (3, 1)
    """
    wide = {name: np.asarray(array, np.float64) for name, array in weights.items()}
    x = np.asarray(inputs["x"], np.float64)
    mask = inputs.get("mask")
    answers = []
    for window in range(len(x)):
        count = x.shape[1] if mask is None else int(mask[window].sum())
        ahead = np.zeros((a.horizon, 0)) if "future" not in inputs else np.asarray(inputs["future"][window], np.float64)
        answer = _Window(a, wide, x[window, :count], ahead).answer()
        if a.answer in ("every", "window"):  # outputs at padding are not defined
            answer = np.concatenate([answer, np.full((x.shape[1] - count, a.outputs), np.nan)])
        answers.append(answer)
    return np.stack(answers)


def attention_weights(a: Architecture, weights: Named, x: NDArray[Any]) -> Array:
    """The weights (T,) of `Architecture.attention` over the rows of one window x (T, F)."""
    window = _Window(
        a,
        {name: np.asarray(array, np.float64) for name, array in weights.items()},
        np.asarray(x, np.float64),
        np.zeros((a.horizon, 0)),
    )
    rows, last, _ = window.body()
    return window.weigh("attention_weights", rows, last)


@dataclass(frozen=True)
class _Window:
    """One window of real rows x (T, F), and what is known ahead (K, M)."""

    a: Architecture
    weights: Mapping[str, Array]
    x: Array
    ahead: Array

    def answer(self) -> Array:
        """(O,), (K O,) or (T, O)."""
        a = self.a
        rows, last, states = self.body()
        if a.feedback:
            steps = self._feed_back(rows, states)
        elif a.by_row:
            steps = np.stack([self.end(row) for row in rows])
        else:
            vector = [last]
            if a.attention:
                vector.append(self.weigh("attention_weights", rows, last) @ rows)
            if a.summaries:
                vector.append(summarise(self.x[None])[0])
            if a.skip:
                vector.append(np.pad(self.x, [(0, (a.lookback or 0) - len(self.x)), (0, 0)]).reshape(-1))
            if a.decoder == "none":
                return self.end(np.concatenate([*vector, self.ahead.reshape(-1)]))
            inputs = [
                np.concatenate([*vector, self.ahead[k]]) if a.answer == "path" else np.concatenate(vector)
                for k in range(a.horizon if a.answer == "path" else len(self.x))
            ]
            steps = np.stack([self.end(row) for row in self._layer("decoder", "", np.stack(inputs))[0]])
        return steps.reshape(-1) if a.answer == "path" else steps

    def body(self) -> tuple[Array, Array, list[Array]]:
        """Rows (T, W), the last vector (W,), and the states of the last layer."""
        return self._transformer() if self.a.body == "transformer" else self._recurrent()

    def _recurrent(self) -> tuple[Array, Array, list[Array]]:
        a, y, last = self.a, self.x, self.x[-1]
        states: list[Array] = []
        for number in range(1, len(a.units) + 1):
            name = f"recurrent_{number}"
            if a.bidirectional:
                forward_rows, forward_states = self._layer(name, f"forward_{name}/", y)
                backward_rows, backward_states = self._layer(name, f"backward_{name}/", y[::-1])
                raw = np.concatenate([forward_rows, backward_rows[::-1]], axis=1)
                states = [np.concatenate(pair) for pair in zip(forward_states, backward_states, strict=True)]
            else:
                raw, states = self._layer(name, "", y)
            new, new_last = raw, states[0]
            if a.layer_norm:
                new, new_last = self.norm(f"norm_{number}", new), self.norm(f"norm_{number}", new_last)
            if a.residual:
                skip = self.weights.get(f"skip_{number}/kernel", np.eye(y.shape[1]))
                new, new_last = new + y @ skip, new_last + last @ skip
            y, last = new, new_last
        return y, last, [last, *states[1:]]

    def _layer(self, name: str, way: str, rows: Array) -> tuple[Array, list[Array]]:
        """h of every row (T, H) and the last states (H,) per letter."""
        a, w = self.a, self.weights
        trace = forward(
            _form(a),
            Weights(*(w[f"{name}/{way}{role}"] for role in ("kernel", "recurrent_kernel", "bias"))),
            rows[None],
        )
        return trace.h[0], [values[0] for values in trace.last.values()]

    def _transformer(self) -> tuple[Array, Array, list[Array]]:
        a = self.a
        y = self.dense("embed", self.x)
        for t in range(len(y)):
            for column in range(a.width):
                half = (a.width + 1) // 2
                angle = t / 10_000.0 ** ((column % half) / half)
                y[t, column] += np.sin(angle) if column < half else np.cos(angle)
        for number in range(1, len(a.units) + 1):
            block = f"block_{number}"
            y = y + self._self_attention(f"{block}_attention", self.norm(f"{block}_norm_1", y))
            inner = VALUES[a.dense_activation](self.dense(f"{block}_dense_1", self.norm(f"{block}_norm_2", y)))
            y = y + self.dense(f"{block}_dense_2", inner)
        y = self.norm("norm", y)
        rest = [np.zeros(a.width) for _ in STEPS[_form(a).cell].states]
        return y, y[-1], rest

    def _self_attention(self, name: str, rows: Array) -> Array:
        w, size = self.weights, self.a.width // self.a.attention_heads
        q, k, v = np.split(rows @ w[f"{name}/kernel"] + w[f"{name}/bias"], 3, axis=1)
        values = np.zeros_like(rows)
        for t in range(len(rows)):
            for head in range(self.a.attention_heads):
                columns = slice(head * size, (head + 1) * size)
                values[t, columns] = softmax(k[: t + 1, columns] @ q[t, columns] / np.sqrt(size)) @ v[: t + 1, columns]
        return values @ w[f"{name}/out_kernel"] + w[f"{name}/out_bias"]

    def _feed_back(self, rows: Array, states: list[Array]) -> Array:
        a, w = self.a, self.weights
        cell, form = STEPS[_form(a).cell], _form(a)
        own = Weights(w["decoder/kernel"], w["decoder/recurrent_kernel"], w["decoder/bias"])
        carried = {letter: state[None] for letter, state in zip(cell.states, states, strict=True)}
        output, outputs = w["decoder/start"], []
        for step in range(a.horizon if a.answer == "path" else len(self.x)):
            entering = [output, self.ahead[step] if a.answer == "path" else np.zeros(0)]
            if a.decoder == "attention":
                entering.append(self.weigh("decoder/attention", rows, carried["h"][0]) @ rows)
            carried = cell.forth(form, own, np.concatenate(entering)[None], carried).states
            output = self.end(carried["h"][0], "decoder/")
            outputs.append(output)
        return np.stack(outputs)

    def end(self, vector: Array, place: str = "") -> Array:
        """Dense layers and head on one vector."""
        a = self.a
        for number in range(1, len(a.dense) + 1):
            vector = VALUES[a.dense_activation](self.dense(f"{place}dense_{number}", vector))
        z = self.dense(f"{place}head", vector)
        match heads.get(a.head).activation:
            case "sigmoid":
                return sigmoid(z)
            case "softmax":
                return np.concatenate([softmax(step) for step in z.reshape(-1, a.outputs)])
            case "linear":
                return z

    def weigh(self, name: str, rows: Array, query: Array) -> Array:
        """Additive attention: softmax over rows of v tanh(h K + q Q + b)."""
        w = self.weights
        hidden = [np.tanh(row @ w[f"{name}/kernel"] + query @ w[f"{name}/query"] + w[f"{name}/bias"]) for row in rows]
        return softmax(np.array([float(row @ w[f"{name}/score"][:, 0]) for row in hidden]))

    def dense(self, name: str, values: Array) -> Array:
        """A dense layer before its activation."""
        z: Array = values @ self.weights[f"{name}/kernel"] + self.weights[f"{name}/bias"]
        return z

    def norm(self, name: str, values: Array) -> Array:
        """Layer normalisation over the last axis."""
        off = values - values.mean(axis=-1, keepdims=True)
        spread = np.sqrt((off**2).mean(axis=-1, keepdims=True) + EPSILON)
        normalised: Array = off / spread * self.weights[f"{name}/gamma"] + self.weights[f"{name}/beta"]
        return normalised


def _form(a: Architecture) -> CellForm:
    return CellForm(a.cell, a.activation, a.recurrent_activation, a.reset_after)  # type: ignore[arg-type]

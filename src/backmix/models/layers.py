"""Keras's recurrent layers on the native kernels.

This module defines `SimpleRNN`, `LSTM`, `GRU` and `Bidirectional` with Keras's own arguments,
weights and files: they are Keras's layers, only their loop over time is ours. What the kernels do
not cover runs in Keras's loop, and a warning says so once, naming the argument.
"""

from __future__ import annotations

import importlib
import warnings
from typing import Any

from backmix.models.engine import use_engine
from backmix.models.kernels import ACTIVATIONS, KernelForm, Operands, available
from backmix.text import say

keras = use_engine()

_CALLS = {"jax": "backmix.models.kernels.xla", "torch": "backmix.models.kernels.autograd"}
_said: set[tuple[str, str]] = set()


class SlowLoopWarning(UserWarning):
    """A layer runs in Keras's own loop instead of the native kernels."""


class _Fast:
    """What the three layers share; stands before Keras's class among the bases.

    cell_name: the cell in the words of `kernels.KernelForm`
    """

    cell_name: str

    def inner_loop(self, sequences: Any, initial_state: Any, mask: Any, training: bool = False) -> Any:
        """All steps over x (B, T, F): (last output, outputs, states), as Keras's `RNN` asks for."""
        if isinstance(mask, list | tuple):
            mask = mask[0]
        reason = slow_reason(self, sequences)
        if reason is not None or _only_traced(sequences):
            if reason is not None:
                _say_once(self.cell_name, reason)
            return super().inner_loop(sequences, initial_state, mask, training=training)  # type: ignore[misc]
        return _run(self, sequences, initial_state, mask, training=bool(training))


class SimpleRNN(_Fast, keras.layers.SimpleRNN):  # type: ignore[misc, name-defined]
    """`keras.layers.SimpleRNN` on the native kernels; arguments, weights and files are Keras's.

    h_t = tanh(x_t W + h_{t-1} U + b) (Elman, Finding structure in time, Cognitive Science 14, 1990).

    >>> SimpleRNN(4)(keras.ops.zeros((2, 5, 3))).shape
    (2, 4)
    """

    cell_name = "simple_rnn"


class LSTM(_Fast, keras.layers.LSTM):  # type: ignore[misc, name-defined]
    """`keras.layers.LSTM` on the native kernels; arguments, weights and files are Keras's.

    c_t = f c_{t-1} + i g, h_t = o tanh(c_t) (Hochreiter & Schmidhuber, Neural Computation 9, 1997).

    >>> h, last, memory = LSTM(4, return_sequences=True, return_state=True)(keras.ops.zeros((2, 5, 3)))
    >>> h.shape, last.shape, memory.shape
    ((2, 5, 4), (2, 4), (2, 4))
    """

    cell_name = "lstm"


class GRU(_Fast, keras.layers.GRU):  # type: ignore[misc, name-defined]
    """`keras.layers.GRU` on the native kernels, both forms; arguments, weights and files are Keras's.

    h_t = z h_{t-1} + (1 - z) candidate (Cho et al., EMNLP 2014; z keeps the old state, as in Keras).

    >>> GRU(4, reset_after=False)(keras.ops.zeros((2, 5, 3))).shape
    (2, 4)
    """

    cell_name = "gru"


_TWINS = {keras.layers.SimpleRNN: SimpleRNN, keras.layers.LSTM: LSTM, keras.layers.GRU: GRU}


class Bidirectional(keras.layers.Bidirectional):  # type: ignore[misc, name-defined]
    """`keras.layers.Bidirectional` whose two layers run on the native kernels.

    Without ``return_sequences`` its output holds the backward layer's own last state, which has seen
    the whole window, not its first step.

    >>> Bidirectional(GRU(4))(keras.ops.zeros((2, 5, 3))).shape
    (2, 8)
    """

    def __init__(self, layer: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(layer, *args, **kwargs)
        for inner in (self.forward_layer, self.backward_layer):  # Keras has made both anew, from configs
            _take_over(inner)


def accelerate(model: Any) -> Any:
    """Let the recurrent layers of a model that Keras built or loaded run on the kernels; returns the model.

    Weights, names and files stay what they are; a program that is compiled already must be compiled again.

    >>> model = accelerate(keras.Sequential([keras.layers.LSTM(4), keras.layers.Dense(1)]))
    >>> type(model.layers[0]) is LSTM
    True
    """
    for layer in model._flatten_layers():
        _take_over(layer)
    return model


def slow_reason(layer: Any, sequences: Any) -> str | None:
    """The argument that keeps a layer in Keras's loop; None when the kernels serve it."""
    if not available():
        return "compiler"
    engine = keras.backend.backend()
    if engine not in _CALLS:
        return "engine"
    if engine == "jax":
        import jax

        from backmix.models.kernels import xla

        if jax.default_backend() != "cpu":
            return "device"
        if not xla.usable():
            return "jaxlib"
    elif engine == "torch" and sequences.device.type not in ("cpu", "meta"):
        return "device"
    if layer.unroll:
        return "unroll"
    if layer.cell.compute_dtype != "float32":
        return "dtype"
    if _name(layer.activation) is None:
        return "activation"
    if layer.cell_name != "simple_rnn" and _name(layer.recurrent_activation) is None:
        return "recurrent_activation"
    if 0 in tuple(sequences.shape):
        return "shape"
    return None


def _only_traced(sequences: Any) -> bool:
    """Whether Keras only asks torch for shapes, with tensors that hold no numbers."""
    return bool(keras.backend.backend() == "torch" and sequences.device.type == "meta")


def _run(layer: Any, sequences: Any, initial_state: Any, mask: Any, *, training: bool) -> Any:
    ops, cell = keras.ops, layer.cell
    states = list(initial_state) if isinstance(initial_state, list | tuple) else [initial_state]
    lstm = layer.cell_name == "lstm"
    x_mask = h_mask = None
    if training:
        # as Keras's cells have it: but for these two, a rate of exactly 1 drops nothing
        always = layer.cell_name == "simple_rnn"
        if cell.dropout < 1 or always or (layer.cell_name == "gru" and not cell.recurrent_dropout):
            x_mask = _stacked(cell.get_dropout_mask(sequences[:, 0, :]))
        if cell.recurrent_dropout < 1 or always:
            h_mask = _stacked(cell.get_recurrent_dropout_mask(states[0]))
    real = None if mask is None else ops.cast(mask, "bool")
    if real is not None and len(real.shape) == 3:
        real = ops.any(real, axis=-1)
    form = KernelForm(
        layer.cell_name,
        activation=_name(layer.activation) or "",
        recurrent_activation="sigmoid" if layer.cell_name == "simple_rnn" else _name(layer.recurrent_activation) or "",
        reset_after=getattr(cell, "reset_after", True),
        backwards=layer.go_backwards,
    )
    operands = Operands(
        x=ops.convert_to_tensor(sequences),
        h0=states[0],
        c0=states[1] if lstm else None,
        kernel=_tensor(cell.kernel),
        recurrent=_tensor(cell.recurrent_kernel),
        bias=_tensor(cell.bias),
        x_mask=x_mask,
        h_mask=h_mask,
        seen=real,
    )
    zeros = real is not None and layer.zero_output_for_mask
    call = importlib.import_module(_CALLS[keras.backend.backend()])
    h, last, c = call.run(form, operands, sequences=layer.return_sequences or zeros)
    new = [last, c] if lstm else [last]
    if zeros:
        shown = ops.flip(real, axis=1) if layer.go_backwards else real
        h = ops.where(ops.expand_dims(shown, -1), h, ops.zeros_like(h))
        last = h[:, -1]
    return last, (h if h is not None else ops.expand_dims(last, 1)), new


def _tensor(variable: Any) -> Any:
    return None if variable is None else keras.ops.convert_to_tensor(variable)


def _stacked(masks: Any) -> Any:
    """Dropout factors (1 or G, B, ...) from what Keras's cells keep: one mask, a list of them, or None."""
    if masks is None:
        return None
    return keras.ops.stack(masks if isinstance(masks, list | tuple) else [masks])


def _name(activation: Any) -> str | None:
    """The name under which the kernels know an activation function of Keras; None when they do not."""
    if activation is None:
        return "linear"
    return next((name for name in ACTIVATIONS if keras.activations.get(name) is activation), None)


def _take_over(layer: Any) -> None:
    twin = _TWINS.get(type(layer))
    if twin is not None:
        layer.__class__ = twin


def _say_once(cell: str, reason: str) -> None:
    if (cell, reason) not in _said:
        warnings.warn(
            say("models.slow_loop", cell=cell, reason=say(f"models.slow_loop_{reason}")), SlowLoopWarning, stacklevel=3
        )
        _said.add((cell, reason))  # after the warning: where it is an error, it is one every time


def _save_as_keras() -> None:
    """Write our layers into files under Keras's own names, so that plain Keras opens them."""
    from keras.src import api_export

    for theirs, ours in [*_TWINS.items(), (keras.layers.Bidirectional, Bidirectional)]:
        api_export.REGISTERED_OBJS_TO_NAMES[ours] = api_export.REGISTERED_OBJS_TO_NAMES[theirs]


_save_as_keras()

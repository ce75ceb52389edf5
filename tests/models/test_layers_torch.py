"""Our layers on the torch engine: outputs and gradients of Keras's own loop. Skipped without torch."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import recurrent

PROGRAM = """
import sys, warnings
sys.path.insert(0, {tests!r})
import numpy as np
import torch
import keras
from backmix import layers as ours
from backmix.layers import SlowLoopWarning
from backmix.models.kernels import GATES, KernelForm
import recurrent

assert keras.backend.backend() == "torch"
warnings.simplefilter("error", SlowLoopWarning)
rng = np.random.default_rng(0)
KINDS = dict(simple_rnn="SimpleRNN", lstm="LSTM", gru="GRU")


def run(layer, case, masked):
    several = getattr(layer.cell, "dropout_mask_count", None)
    for place, name in (("_dropout_mask", "x_mask"), ("_recurrent_dropout_mask", "h_mask")):
        drawn = case.arrays[name]
        if drawn is not None:
            drawn = [torch.from_numpy(m) for m in drawn]
            setattr(layer.cell, place, drawn if several else drawn[0])
    a = {{name: case.arrays[name] for name in recurrent.DIFFERENTIATED}}
    weights = [a[name] for name in recurrent.WEIGHTS if a[name] is not None]
    for v, array in zip(layer.trainable_variables, weights, strict=True):
        v.assign(array)
    x = torch.tensor(a["x"], requires_grad=True)
    states = [torch.tensor(a[name], requires_grad=True) for name in ("h0", "c0") if a[name] is not None]
    found = layer(x, initial_state=states or None, mask=case.arrays["seen"] if masked else None, training=True)
    names = ("dh" if layer.return_sequences else "dh_last", "dh_last", "dc_last")
    total = sum((y * torch.from_numpy(case.pulls[name])).sum() for y, name in zip(found, names))
    wanted = [x, *states, *(v.value for v in layer.trainable_variables)]
    gradients = torch.autograd.grad(total, wanted)
    return [y.detach().numpy() for y in found], [g.detach().numpy() for g in gradients]


count = 0
for n in range(48):
    cell, reset_after = [("simple_rnn", True), ("lstm", True), ("gru", True), ("gru", False)][n % 4]
    acts = ("tanh", "sigmoid") if n % 3 else tuple(str(s) for s in rng.choice(["linear", "tanh", "sigmoid"], 2))
    form = KernelForm(cell, *acts, reset_after=reset_after, backwards=bool(rng.integers(2)))
    masked, dropout, inner = (bool(rng.random() < p) for p in (0.6, 0.4, 0.3))
    gates = GATES[cell] if inner else 1
    settings = dict(return_sequences=bool(rng.integers(2)), return_state=True, use_bias=bool(rng.random() < 0.8),
                    dropout=0.3 * dropout, recurrent_dropout=0.3 * inner, activation=form.activation,
                    go_backwards=form.backwards, zero_output_for_mask=bool(rng.random() < 0.3))
    if cell != "simple_rnn":
        settings["recurrent_activation"] = form.recurrent_activation
    if cell == "gru":
        settings["reset_after"] = reset_after
    sizes = tuple(int(rng.integers(1, most)) for most in (9, 12, 40, 40))
    mask = str(rng.choice(["right", "holes", "empty rows"])) if masked else "full"
    settled = dict(mask=mask, bias=settings["use_bias"], counts=(gates * dropout, gates * inner))
    case = recurrent.make_case(form, sizes, n, **settled)
    if not case.arrays["seen"][:, -1 if form.backwards else 0].all():
        case = recurrent.make_case(form, sizes, n, initial=False, **settled)
    pairs = []
    for module in (keras.layers, ours):
        layer = getattr(module, KINDS[cell])(sizes[3], seed=0, **settings)
        layer.build((None, None, sizes[2]))
        pairs.append(run(layer, case, masked))
    for kind, (theirs, mine), limit in zip(("output", "gradient"), zip(*pairs), (1e-5, 1e-4)):
        for place, (a, b) in enumerate(zip(mine, theirs, strict=True)):
            scale = 1.0 if kind == "output" else np.abs(b).max()
            assert np.abs(a - b).max() <= limit * scale + 1e-6, (n, kind, place, form, settings, mask)
    count += 1
assert count == 48

# training takes the same way, weights frozen or not, and what is not differentiated gets nothing
curves, start = [], None
x = rng.normal(size=(32, 8, 3)).astype("float32")
for module in (keras.layers, ours):
    model = keras.Sequential([keras.Input((8, 3)), module.Bidirectional(module.GRU(4)), keras.layers.Dense(1)])
    start = [np.array(v.value.detach()) for v in model.weights] if start is None else start
    model.set_weights(start)
    model.compile(keras.optimizers.Adam(0.02), "mse")
    curves.append(model.fit(x, x[:, :, 0].mean(1), epochs=5, batch_size=8, shuffle=False, verbose=0).history["loss"])
assert curves[1][-1] < curves[1][0]
np.testing.assert_allclose(curves[1], curves[0], atol=1e-4)
layer = ours.LSTM(3)
with torch.no_grad():
    assert layer(torch.zeros(2, 4, 3)).grad_fn is None
layer.trainable = False
free = torch.zeros(2, 4, 3, requires_grad=True)
layer(free).sum().backward()
assert free.grad.shape == (2, 4, 3)
assert all(v.value.grad is None for v in layer.weights)
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    ours.LSTM(3, unroll=True)(torch.zeros(2, 4, 3))
assert "unroll=True asks for it" in str([w.message for w in told])
print("torch is right")
"""


BEFORE = """
import numpy as np, torch
from backmix import layers as ours
layer = ours.SimpleRNN(2, return_sequences=True)
start = torch.full((1, 2), 0.5)
y = layer(torch.zeros(1, 2, 3), initial_state=[start], mask=np.array([[False, True]]))
assert torch.equal(y[:, 0], start), y
"""


def on_torch(program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "KERAS_BACKEND": "torch"},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
def test_torch_gives_what_keras_gives() -> None:
    on_torch(PROGRAM.format(tests=str(Path(recurrent.__file__).parent)))


@pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
def test_an_initial_state_before_padding() -> None:
    """Until a row's first step, ours shows the initial state, as Keras's loop does on JAX; on torch that
    loop shows zeros there, and the two cannot both be had."""
    on_torch(BEFORE)


CHANGED = """
import numpy as np, torch, keras
from backmix import layers as ours
x = torch.tensor(np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32"), requires_grad=True)
for module in (keras.layers, ours):
    for what in ("weights", "output"):
        layer = module.LSTM(4, return_sequences=True)
        y = layer(x)
        total = (2 * y).sum()
        wanted, = torch.autograd.grad(total, x, retain_graph=True)
        with torch.no_grad():
            if what == "weights":
                layer.trainable_variables[0].value.mul_(0)
            else:
                y.mul_(0)
        try:
            found, = torch.autograd.grad(total, x)
        except RuntimeError as error:
            assert "modified by an inplace operation" in str(error), error
        else:
            assert torch.equal(found, wanted), (module.__name__, what, "a wrong gradient, silently")
    y = module.LSTM(4)(x)
    try:  # a second derivative: right in Keras's loop, and never silently missing in ours
        first, = torch.autograd.grad(y.sum(), x, create_graph=True)
        assert first.requires_grad, (module.__name__, "the second derivative is lost")
        torch.autograd.grad((first ** 2).sum(), x)
    except RuntimeError as error:
        assert module is ours, error
        assert "once_differentiable" in str(error), error
# a stateful layer writes its new state over the old one, which the way back needs (Keras's loop: an error)
for kind in ("SimpleRNN", "LSTM", "GRU"):
    layer = getattr(ours, kind)(4, stateful=True)
    layer(x)
    start = [s.value.detach().clone() for s in layer.states]
    y = layer(x)
    try:
        found = torch.autograd.grad(y.sum(), [v.value for v in layer.trainable_variables])
    except RuntimeError as error:
        assert "modified by an inplace operation" in str(error), error
        continue
    plain = getattr(ours, kind)(4)
    plain.build((2, 5, 3))
    for a, b in zip(plain.trainable_variables, layer.trainable_variables):
        a.assign(b.value.detach())
    wanted = torch.autograd.grad(plain(x, initial_state=start).sum(), [v.value for v in plain.trainable_variables])
    for a, b in zip(found, wanted):
        assert torch.allclose(a, b, atol=1e-5), (kind, "a wrong gradient of a stateful layer, silently")
"""


@pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
def test_what_was_changed_before_the_way_back_is_an_error() -> None:
    """As everywhere in torch: the right gradient or an error, never that of other numbers."""
    on_torch(CHANGED)

"""Recurrent layers at random, and what float64 says of them: shared by the tests of kernels and layers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from backmix import native
from backmix.models import reference
from backmix.models.kernels import GATES, KernelForm
from backmix.models.reference.activations import VALUES

Arrays = dict[str, Any]
WEIGHTS = ("kernel", "recurrent", "bias")
DIFFERENTIATED = ("x", "h0", "c0", *WEIGHTS)
ORDER = (*DIFFERENTIATED, "x_mask", "h_mask", "seen")  # of the native calls
PULLS = ("dh", "dh_last", "dc_last")
KINKS = {"relu": 0.0, "hard_sigmoid": 3.0}
"""Size of the pre-activation at which the slope jumps: float32 may stand on the other side of it."""


@dataclass(frozen=True, repr=False)
class Case:
    """A layer, what goes in, and the gradients that come back: float32 throughout, None for nothing.

    made: the arguments of `make_case`, which a failing test shows instead of all numbers
    """

    form: KernelForm
    arrays: Arrays
    pulls: Arrays
    numbers: list[int]
    made: Arrays

    def __repr__(self) -> str:
        return f"Case({self.form}, numbers={self.numbers}, made={self.made})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # Hypothesis writes out all fields otherwise
        printer.text(repr(self))


def weights(form: KernelForm, features: int, units: int, rng: np.random.Generator) -> Arrays:
    """Keras's own initialisers, smaller where an activation would let numbers or their errors grow."""
    wide = GATES[form.cell] * units
    limit = np.sqrt(6 / (features + wide))
    recurrent = np.linalg.qr(rng.normal(size=(wide, units)))[0].T
    # a gate below 0 or above 1 makes the state itself unstable: rounding grows with it, in any float32
    wild = form.activation in ("relu", "linear") or form.recurrent_activation in ("relu", "linear", "tanh")
    tame = 0.25 if wild else 1.0
    double = form.cell == "gru" and form.reset_after
    bias = 0.1 * rng.normal(size=(2, wide) if double else wide)
    if form.cell == "lstm":
        bias[units : 2 * units] += 1.0 * tame
    made = {"kernel": tame * rng.uniform(-limit, limit, (features, wide)), "recurrent": tame * recurrent, "bias": bias}
    return {name: array.astype(np.float32) for name, array in made.items()}


def rows_seen(kind: str, batch: int, steps: int, rng: np.random.Generator) -> Any:
    """A mask (B, T): none, padding on the right, holes anywhere; the last kind has rows without any step."""
    if kind == "none":
        return None
    right = np.arange(steps) < rng.integers(1, steps + 1, (batch, 1))
    holes = rng.random((batch, steps)) < 0.6
    seen = {
        "full": np.ones((batch, steps), bool),
        "right": right,
        "holes": holes,
        "empty rows": holes & (rng.random((batch, 1)) < 0.5),
    }[kind]
    return np.ascontiguousarray(seen)


def factors(count: int, batch: int, wide: int, rng: np.random.Generator) -> Any:
    """Dropout factors (count, B, ...), None for a count of 0."""
    if not count:
        return None
    rate = rng.choice([0.1, 0.4])
    return ((rng.random((count, batch, wide)) >= rate) / (1 - rate)).astype(np.float32)


def make_case(
    form: KernelForm,
    sizes: tuple[int, int, int, int],
    seed: int,
    *,
    mask: str = "none",
    initial: bool = True,
    bias: bool = True,
    counts: tuple[int, int] = (0, 0),
) -> Case:
    """A case with B, T, F, H rows, steps, features, units; counts: of dropout masks of x and of h."""
    made = {"sizes": sizes, "seed": seed, "mask": mask, "initial": initial, "bias": bias, "counts": counts}
    (batch, steps, features, units), rng = sizes, np.random.default_rng(seed)
    state = [0.5 * rng.normal(size=(batch, units)).astype(np.float32) for _ in "hc"]
    arrays: Arrays = {
        "x": rng.normal(size=(batch, steps, features)).astype(np.float32),
        "h0": state[0] if initial else None,
        "c0": state[1] if initial and form.cell == "lstm" else None,
        **weights(form, features, units, rng),
        "x_mask": factors(counts[0], batch, features, rng),
        "h_mask": factors(counts[1], batch, units, rng),
        "seen": rows_seen(mask, batch, steps, rng),
    }
    if not bias:
        arrays["bias"] = None
    pulls = {
        "dh": rng.normal(size=(batch, steps, units)).astype(np.float32),
        "dh_last": rng.normal(size=(batch, units)).astype(np.float32),
        "dc_last": rng.normal(size=(batch, units)).astype(np.float32) if form.cell == "lstm" else None,
    }
    return Case(form, arrays, pulls, form.numbers(batch), made)


def forward(case: Case, *, sequences: bool = True, keep: bool = True) -> tuple[Any, Any, Any, Any]:
    """h of all steps, the last h, the last c and what is kept for the way back, by the kernels."""
    found: tuple[Any, Any, Any, Any] = native.forward(
        *(case.arrays[name] for name in ORDER), form=case.numbers, sequences=sequences, keep=keep
    )
    return found


def backward(case: Case, h: Any, kept: Any, *, need_dx: bool = True) -> Arrays:
    """The kernels' gradients, by the name of what was differentiated; only of what is there."""
    found = native.backward(
        *(case.arrays[name] for name in ORDER),
        h,
        kept,
        *(case.pulls[name] for name in PULLS),
        form=case.numbers,
        need_dx=need_dx,
    )
    gradients = {
        name: array
        for name, array in zip(DIFFERENTIATED, found, strict=True)
        if case.arrays[name] is not None and (need_dx or name != "x")
    }
    if "bias" in gradients:  # (1 or 2, G H) whatever the bias's own shape
        gradients["bias"] = gradients["bias"].reshape(case.arrays["bias"].shape)
    return gradients


def run(case: Case) -> tuple[Any, Any, Any, Arrays]:
    """Both ways: h of all steps, the last h, the last c (None but for an LSTM), the gradients."""
    h, last, c, kept = forward(case)
    return h, last, c if case.form.cell == "lstm" else None, backward(case, h, kept)


def doubles(arrays: Arrays) -> Arrays:
    """The same numbers in float64, for the oracles; the mask of rows stays what it is."""
    return {
        name: array if array is None or array.dtype == bool else array.astype(np.float64)
        for name, array in arrays.items()
    }


def by_reference(case: Case) -> tuple[Any, Any, Any, Arrays]:
    """As `run`, by `backmix.models.reference` in float64; it knows no dropout."""
    form, a = case.form, doubles(case.arrays)
    spelled = reference.CellForm(
        form.cell, form.activation, form.recurrent_activation, form.reset_after, form.backwards
    )
    double = form.cell == "gru" and form.reset_after
    wide = a["kernel"].shape[1]
    bias = a["bias"] if a["bias"] is not None else np.zeros((2, wide) if double else wide)
    initial = {letter: a[name] for letter, name in (("h", "h0"), ("c", "c0")) if a[name] is not None}
    trace = reference.forward(
        spelled, reference.Weights(a["kernel"], a["recurrent"], bias), a["x"], mask=a["seen"], initial=initial
    )
    pull = doubles(case.pulls)
    dh = pull["dh"].copy()
    dh[:, -1] += pull["dh_last"]
    g = reference.backward(trace, dh, dc=pull["dc_last"])
    grads = {
        "x": g.x,
        "h0": g.initial["h"],
        "c0": g.initial.get("c"),
        "kernel": g.kernel,
        "recurrent": g.recurrent,
        "bias": g.bias,
    }
    return (
        trace.h,
        trace.last["h"],
        trace.last.get("c"),
        {name: grads[name] for name in DIFFERENTIATED if case.arrays[name] is not None},
    )


def near_kink(case: Case) -> bool:
    """Whether some pre-activation is so near a jump of the slope that float32 cannot tell its side."""
    found = []

    def watched(activation: str) -> Any:
        def value(z: Any) -> Any:
            distance = np.abs(np.abs(z) - KINKS[activation])
            found.append(((distance > 0) & (distance < 5e-6)).any())
            return VALUES[activation](z)

        return value if activation in KINKS else VALUES[activation]

    form = case.form
    if not KINKS.keys().isdisjoint({form.activation, form.recurrent_activation}):
        oracle(form, doubles(case.arrays), (watched(form.activation), watched(form.recurrent_activation)))
    return any(found)


def oracle(form: KernelForm, a: Arrays, activations: Any = None) -> tuple[Any, Any]:
    """h of all steps and the last c in float64: the equations once more, with dropout."""
    gates = GATES[form.cell]
    x, seen = (v if v is None or not form.backwards else v[:, ::-1] for v in (a["x"], a["seen"]))
    (rows, steps, _), units = x.shape, a["recurrent"].shape[0]
    inward, inner = (np.split(a[name], gates, axis=1) for name in ("kernel", "recurrent"))
    bias = np.zeros((2, gates * units)) if a["bias"] is None else np.atleast_2d(a["bias"])
    first = np.split(bias[0], gates)
    second = np.split(bias[1] if len(bias) == 2 else 0 * bias[0], gates)
    act, gate = activations or (VALUES[form.activation], VALUES[form.recurrent_activation])
    h, c = (np.zeros((rows, units)) if a[name] is None else a[name] for name in ("h0", "c0"))
    shown = np.empty((rows, steps, units))
    for t in range(steps):
        dropped = [h if a["h_mask"] is None else h * a["h_mask"][g % len(a["h_mask"])] for g in range(gates)]
        zx = [
            (x[:, t] if a["x_mask"] is None else x[:, t] * a["x_mask"][g % len(a["x_mask"])]) @ inward[g] + first[g]
            for g in range(gates)
        ]
        zh = [dropped[g] @ inner[g] + second[g] for g in range(gates)]
        new_c = c
        if form.cell == "simple_rnn":
            new = act(zx[0] + zh[0])
        elif form.cell == "lstm":
            new_c = gate(zx[1] + zh[1]) * c + gate(zx[0] + zh[0]) * act(zx[2] + zh[2])
            new = gate(zx[3] + zh[3]) * act(new_c)
        else:
            z, r = gate(zx[0] + zh[0]), gate(zx[1] + zh[1])
            within = r * zh[2] if form.reset_after else (r * dropped[2]) @ inner[2]
            new = z * h + (1 - z) * act(zx[2] + within)
        real = np.ones((rows, 1), bool) if seen is None else seen[:, t, None]
        h, c = np.where(real, new, h), np.where(real, new_c, c)
        shown[:, t] = h
    return shown, c


def loss(case: Case, arrays: Arrays) -> float:
    """What the pulls are the gradient of, by the oracle."""
    h, c = oracle(case.form, arrays)
    pull = doubles(case.pulls)
    total = (h * pull["dh"]).sum() + (h[:, -1] * pull["dh_last"]).sum()
    return float(total + ((c * pull["dc_last"]).sum() if case.form.cell == "lstm" else 0.0))


def allowed(name: str, gradient: Any, case: Case) -> float:
    """1e-4 of a gradient's largest entry, and the rounding of as many summands as it has, should they cancel."""
    summands = case.arrays["x"].shape[0] * case.arrays["x"].shape[1] if name in WEIGHTS else 1
    return 1e-4 * float(np.abs(gradient).max()) + 1e-6 * float(np.sqrt(summands))


def part(case: Case, rows: slice) -> Case:
    """The case with some rows of its batch alone."""
    arrays = {
        name: array
        if array is None or name in WEIGHTS
        else np.ascontiguousarray(array[:, rows] if name.endswith("mask") else array[rows])
        for name, array in case.arrays.items()
    }
    pulls = {name: None if array is None else np.ascontiguousarray(array[rows]) for name, array in case.pulls.items()}
    return replace(case, arrays=arrays, pulls=pulls, numbers=case.form.numbers(arrays["x"].shape[0]))

"""The kernels inside a JAX program.

This module wraps the two XLA calls, forward and backward, as one function with a derivative. JAX says which inputs
are differentiated and which outputs have a gradient; the gradients of plain data and of unused sequences are not
computed.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero

from backmix.models.kernels import KernelForm, Operands, native

FORWARD, BACKWARD = "backmix_forward", "backmix_backward"


def run(form: KernelForm, operands: Operands, *, sequences: bool) -> tuple[Any, Any, Any]:
    """h of all steps (B, T, H) (None without ``sequences``), the last h (B, H), the last c (B, H).

    c is None for cells without one. Arrays are float32, ``given.seen`` boolean. Works under jit, grad
    and vmap (a vmap runs its parts one after the other).
    """
    usable()
    h, h_last, c_last = _layer(form, sequences, *operands.arrays())
    return (h if sequences else None), h_last, (c_last if form.cell == "lstm" else None)


@cache
def usable() -> bool:
    """Whether this release of XLA takes our calls; it refuses those built for a newer one."""
    try:
        for name, call in native().xla_calls().items():
            jax.ffi.register_ffi_target(name, call, platform="cpu")
    except (RuntimeError, ValueError, TypeError):
        return False
    return True


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _layer(form: KernelForm, sequences: bool, *arrays: Any) -> tuple[Any, Any, Any]:
    h, h_last, c_last, _ = _forward(form, arrays, sequences=sequences, keep=False)
    return h, h_last, c_last


def _forward(form: KernelForm, arrays: tuple[Any, ...], *, sequences: bool, keep: bool) -> tuple[Any, Any, Any, Any]:
    x, recurrent = arrays[0], arrays[4]
    (rows, steps, _), units = x.shape, recurrent.shape[0]
    c = units if form.cell == "lstm" else 0
    outputs = (
        _floats(rows if sequences or keep else 0, steps, units),
        _floats(rows, units),
        _floats(rows, c),
        _floats(form.kept(x.shape, units) if keep else 0),
    )
    results: tuple[Any, Any, Any, Any] = _call(FORWARD, outputs, form, rows)(*_filled(arrays))
    return results


def _layer_forward(form: KernelForm, sequences: bool, *primals: Any) -> tuple[Any, Any]:
    arrays = tuple(None if p is None else p.value for p in primals)
    h, h_last, c_last, activations = _forward(form, arrays, sequences=sequences, keep=True)
    x_wanted = () if primals[0].perturbed else None  # a residual must be a tree of arrays: its shape tells
    outputs = h if sequences else jnp.zeros((0, *h.shape[1:]), h.dtype)
    return (outputs, h_last, c_last), (arrays, h, activations, x_wanted)


def _layer_backward(form: KernelForm, sequences: bool, residuals: Any, pulls: Any) -> tuple[Any, ...]:
    arrays, h, activations, x_wanted = residuals
    dh, dh_last, dc_last = (None if isinstance(pull, SymbolicZero) else pull for pull in pulls)
    if not sequences:
        dh = None
    filled = _filled(arrays)
    x, *differentiated = filled[:6]
    outputs = (
        _floats(*(x.shape if x_wanted is not None else (0,))),
        *(_floats(*operand.shape) for operand in differentiated),
    )
    gradients_of_all = _call(BACKWARD, outputs, form, x.shape[0])(
        *filled, h, activations, *(_empty() if pull is None else pull for pull in (dh, dh_last, dc_last))
    )
    gradients = ((gradients_of_all[0] if x_wanted is not None else None), *gradients_of_all[1:], None, None, None)
    return tuple(g if a is not None else None for g, a in zip(gradients, arrays, strict=True))


_layer.defvjp(_layer_forward, _layer_backward, symbolic_zeros=True)


def _call(name: str, outputs: Any, form: KernelForm, rows: int) -> Any:
    numbers = np.array(form.numbers(rows), dtype=np.int64)
    return partial(jax.ffi.ffi_call(name, outputs, vmap_method="sequential"), form=numbers)


def _filled(arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arrays with empty ones in place of None: the native calls take a fixed number."""
    *floats, mask = arrays
    return (*(_empty() if a is None else a for a in floats), jnp.zeros((0,), bool) if mask is None else mask)


def _empty() -> Any:
    return jnp.zeros((0,), jnp.float32)


def _floats(*shape: int) -> Any:
    return jax.ShapeDtypeStruct(shape, jnp.float32)  # type: ignore[no-untyped-call]

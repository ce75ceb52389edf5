"""The kernels inside a torch program.

This module runs them as an autograd function on the processor's memory that tensors and NumPy share.
torch is loaded when the first layer runs: it is one of the engines, not a part of the package.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

from backmix.models.kernels import KernelForm, Operands, native
from backmix.text import say


def run(form: KernelForm, operands: Operands, *, sequences: bool) -> tuple[Any, Any, Any]:
    """As `kernels.xla.run`, for torch tensors; differentiable once."""
    h, h_last, c_last = _function().apply(form, sequences, *operands.arrays())
    return (h if sequences else None), h_last, (c_last if form.cell == "lstm" else None)


@cache
def _function() -> Any:
    torch = import_module("torch")

    def forward(ctx: Any, form: KernelForm, sequences: bool, *tensors: Any) -> Any:
        arrays = [_numpy(tensor) for tensor in tensors]
        numbers = form.numbers(len(arrays[0]))
        h, h_last, c_last, activations = map(
            torch.from_numpy, native().forward(*arrays, numbers, sequences, any(ctx.needs_input_grad))
        )
        # torch notices if they are written to before the backward pass
        ctx.save_for_backward(h, *(tensor for tensor in tensors if tensor is not None))
        ctx.present = [tensor is not None for tensor in tensors]
        ctx.numbers, ctx.sequences, ctx.kept = numbers, sequences, activations
        ctx.set_materialize_grads(False)
        return (h if sequences else h.new_empty(0)), h_last, c_last

    def backward(ctx: Any, *pulls: Any) -> Any:
        if torch.is_grad_enabled():  # create_graph: torch's own once_differentiable would let it pass in silence
            raise RuntimeError(say("models.once_differentiable"))
        h, *saved = ctx.saved_tensors
        tensors = iter(saved)
        arrays = [_numpy(next(tensors)) if present else None for present in ctx.present]
        dh, dh_last, dc_last = (None if pull is None or not pull.numel() else _numpy(pull) for pull in pulls)
        arrays_of_gradients = native().backward(
            *arrays,
            _numpy(h),
            _numpy(ctx.kept),
            dh if ctx.sequences else None,
            dh_last,
            dc_last,
            ctx.numbers,
            ctx.needs_input_grad[2],
        )
        gradients = [torch.from_numpy(array) for array in arrays_of_gradients]
        if arrays[5] is not None:
            gradients[5] = gradients[5].reshape(arrays[5].shape)
        needed = ctx.needs_input_grad[2:8]
        return (None, None, *(g if need else None for g, need in zip(gradients, needed, strict=True)), None, None, None)

    return type(
        "RecurrentLayer",
        (torch.autograd.Function,),
        {"forward": staticmethod(forward), "backward": staticmethod(backward)},
    )


def _numpy(tensor: Any) -> Any:
    return None if tensor is None else tensor.detach().cpu().contiguous().numpy()

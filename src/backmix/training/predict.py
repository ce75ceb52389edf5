"""From a network and windows to its raw outputs.

This module predicts in blocks of one fixed shape, whatever the number of windows: nothing is
compiled twice, and neither the batch size nor the company of other windows changes a prediction.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.windows import Windows
from backmix.errors import TrainingError
from backmix.training.checkpoint import arrays_of, put
from backmix.training.feed import gathered
from backmix.training.memory import budget, spell

BLOCK = 256
"""Windows that the network sees at once, the last ones perhaps padding."""


def predict_network(model: Any, windows: Windows, *, batch_size: int = 1024,
                    memory_limit: int | None = None) -> NDArray[np.float32]:
    """What the network puts out for each window, (W, O).

    ``batch_size`` windows are gathered at a time. Raises TrainingError (training.memory_predict)
    when not even one window fits into memory.
    """
    outputs = model.output_shape[-1]
    found = np.empty((len(windows), outputs), np.float32)
    if not len(windows):
        return found
    rows = next(entry.shape[1] for entry in model.inputs if entry.name == "x") or windows.steps
    block = block_size(model, rows, budget(memory_limit))
    fixed = arrays_of(model.non_trainable_variables)
    for low in range(0, len(windows), max(1, batch_size)):
        at = np.arange(low, min(low + max(1, batch_size), len(windows)))
        for start in range(0, len(at), block):
            some = at[start:start + block]
            found[some] = _block(model, windows, some, (block, rows))
    put(model.non_trainable_variables, fixed)  # Keras draws dropout seeds in prediction, too
    return found


def block_size(model: Any, rows: int, free: int) -> int:
    """The usual block, halved until it fits into ``free`` bytes; rows: T of the longest window."""
    widths = [width for layer in model.layers for shape in _shapes(layer) for width in shape[-1:] if width]
    each = 4 * rows * 2 * sum(widths)  # every layer's sequence, and as much again for work
    block = BLOCK
    while block > 1 and block * each > free:
        block //= 2
    if block * each > free:
        raise TrainingError("training.memory_predict", rows=rows, need=spell(each), free=spell(free))
    return block


def _block(model: Any, windows: Windows, at: NDArray[np.int64],
           shape: tuple[int, int]) -> NDArray[np.float32]:
    batch = gathered(windows, at)
    inputs: dict[str, NDArray[Any]] = {"x": _filled(batch.x, shape)}
    if any(entry.name == "mask" for entry in model.inputs):
        mask = np.ones(batch.x.shape[:2], bool) if batch.mask is None else batch.mask
        inputs["mask"] = _filled(mask, shape)
    answer = np.asarray(model.predict_on_batch(inputs))
    return answer[:len(at)].reshape(len(at), -1)


def _filled(values: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """(b, t, ...) filled up with zeros to (B, T, ...)."""
    if values.shape[:2] == shape:
        return values
    full = np.zeros((*shape, *values.shape[2:]), values.dtype)
    full[:len(values), :values.shape[1]] = values[:, :shape[1]]
    return full


def _shapes(layer: Any) -> list[tuple[int | None, ...]]:
    output = getattr(layer, "output", None)
    found = output if isinstance(output, list | tuple) else [output]
    return [tuple(tensor.shape) for tensor in found if tensor is not None]


def predict_arrays(model: Any, x: NDArray[Any], mask: NDArray[np.bool_] | None = None, *,
                   block: int = BLOCK) -> NDArray[np.float32]:
    """What the network puts out for windows that somebody has changed, x (B, T, F) -> (B, O).

    mask: (B, T) for a masked network. The usual blocks are those of `predict_network`, so that
    nothing is compiled anew; a smaller ``block`` saves a large network from computing padding.
    """
    rows = next(entry.shape[1] for entry in model.inputs if entry.name == "x") or x.shape[1]
    block = min(block, block_size(model, rows, budget(None)))
    fixed = arrays_of(model.non_trainable_variables)
    found = [np.empty((0, int(np.prod(model.output_shape[1:]))), np.float32)]
    for low in range(0, len(x), block):
        inputs: dict[str, NDArray[Any]] = {"x": _filled(x[low:low + block].astype(np.float32), (block, rows))}
        if mask is not None:
            inputs["mask"] = _filled(mask[low:low + block], (block, rows))
        answer = np.asarray(model.predict_on_batch(inputs))
        found.append(answer.reshape(len(answer), -1)[:len(x) - low])
    put(model.non_trainable_variables, fixed)
    return np.concatenate(found)

"""From a network and windows to its raw outputs.

This module predicts in blocks of one fixed shape, whatever the number of windows: nothing is
compiled twice, and neither the batch size nor the company of other windows changes a prediction.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.windows.progress import complete
from backmix.data.windows.windows import Windows
from backmix.errors import TrainingError
from backmix.models.ensemble import Ensemble
from backmix.models.members.paths import Paths
from backmix.models.shape.size import memory_predict
from backmix.simple.ahead import paths_of, rolled
from backmix.tasks import Outcome, Task
from backmix.tasks.contract.optional import HasBounds, HasMembers, LearnsFromOutputs
from backmix.training.fitting.carried import predict_carried
from backmix.training.fitting.checkpoint import arrays_of, put
from backmix.training.fitting.feed import gathered
from backmix.training.fitting.memory import budget, spell

if TYPE_CHECKING:
    from backmix.training.prepared import Prepared

MOST_NUMBERS = 20_000_000
"""Raw outputs in memory at once: 80 MB of float32."""
BLOCK = 256
"""Windows that the network sees at once, the last ones perhaps padding."""


def predict_outcome(model: Any, task: Task, windows: Windows) -> Outcome:
    """What the network says about the windows, in the plant's terms.

    Windows are answered a slice at a time: what a slice puts out stays under `MOST_NUMBERS`.
    """
    each = max(1, math.prod(width or windows.steps for width in model.output_shape[1:])) * len(windows.spec.horizons)
    together = max(BLOCK, MOST_NUMBERS // each)
    parts = []
    for low in range(0, max(1, len(windows)), together):
        some = windows.subset(np.arange(low, min(low + together, len(windows))))
        parts.append(task.revise(task.answer.decode(predict_raw(model, task, some), some), some))
    return Outcome.joined(parts)


def predict_raw(model: Any, task: Task, windows: Windows) -> NDArray[np.float32]:
    """What comes out of the network as the task uses it, (W, O): at once, or rolled on row by row."""
    if isinstance(model, Ensemble):
        if model.paths is not None and model.paths.horizon != windows.spec.horizon:
            return run_freely(model, windows)
        return predict_network(model, windows)
    if task.answer.recursive:
        return roll(model, windows, bounded_paths(task, windows))
    return predict_network(model, windows)


def path_form(prepared: Prepared) -> Paths:
    """What the paths of a forecast stand in."""
    return bounded_paths(prepared.task, prepared.train)


def bounded_paths(task: Task, windows: Windows) -> Paths:
    """What the paths of these windows stand in, with the bounds that the task has learned."""
    paths = paths_of(windows, recursive=task.answer.recursive)
    answer, scaler = task.answer, windows.target_scaler
    if not isinstance(answer, HasBounds) or answer.bounds is None or scaler is None:
        return paths
    low, high = (tuple(map(float, scaler.transform(end[None])[0])) for end in answer.bounds)
    return replace(paths, low=low, high=high)


def run_freely(model: Ensemble, windows: Windows) -> NDArray[np.float32]:
    """Paths of another length than the ensemble's, (W, K·G): it is fed with its own answers, path by path."""
    assert model.paths is not None
    paths = model.paths
    block, rows = _block_shape(model, windows, None)

    def path(x: NDArray[np.float32], future: NDArray[np.float32] | None) -> NDArray[Any]:
        inputs: dict[str, NDArray[Any]] = {"x": _filled(x, (block, rows))}
        for entry in model.inputs:
            if entry.name == "future" and future is not None:
                inputs["future"] = _filled(future, (block, paths.horizon))
            elif entry.name == "teacher":
                inputs["teacher"] = np.zeros((block, *entry.shape[1:]), np.float32)
        return np.asarray(model.predict_on_batch(inputs))[: len(x)]

    fixed = arrays_of(model.non_trainable_variables)
    outputs = rolled(path, windows, block=block, paths=paths)
    put(model.non_trainable_variables, fixed)
    return outputs


def calibrate(prepared: Prepared, model: Any) -> Prepared:
    """The same, with what the task learns from the network's outputs on its validation samples.

    Members of the task's own are weighed by labelled anomalies of the validation part, where it has some.
    """
    if not isinstance(prepared.task.answer, LearnsFromOutputs):
        return prepared
    windows = prepared.training_samples[1]
    outputs = predict_network(model, windows)
    task = prepared.task.calibrate(outputs, windows)
    every = prepared.validation
    if task.shares and len(every) > len(windows) and every.spec.targets[0] in every.table.names:
        every = task.target.training_samples(every)
        task = task.weigh(predict_network(model, every), every).calibrate(outputs, windows)
    notes = task.answer.notes() if isinstance(task.answer, HasMembers) else ()
    preprocessing = replace(prepared.preprocessing, task=task)
    return replace(prepared, preprocessing=preprocessing, decisions=(*prepared.decisions, *notes))


def predict_network(
    model: Any, windows: Windows, *, batch_size: int = 1024, memory_limit: int | None = None
) -> NDArray[np.float32]:
    """What the network puts out for each window, (W, O).

    Of a network that answers on every row it is the answer on the window's last row; a window that is
    given back is flattened, (W, T·O). Where the state is carried it comes from the first row of the run.
    ``batch_size`` windows are gathered at a time. Raises TrainingError (training.memory_predict) when not
    even one window fits into memory.
    """
    if windows.spec.carried:
        return predict_carried(model, windows)
    windows = reaching(model, windows)
    block, rows = _block_shape(model, windows, memory_limit)
    outputs: NDArray[np.float32] | None = None
    fixed = arrays_of(model.non_trainable_variables)
    for low in range(0, len(windows), max(1, batch_size)):
        rows_asked = np.arange(low, min(low + max(1, batch_size), len(windows)))
        for start in range(0, len(rows_asked), block):
            some = rows_asked[start : start + block]
            answers = _block(model, windows, some, (block, rows))
            if outputs is None:
                outputs = np.empty((len(windows), answers.shape[1]), np.float32)
            outputs[some] = answers
    put(model.non_trainable_variables, fixed)  # Keras draws dropout seeds in prediction, too
    return np.empty((0, model.output_shape[-1]), np.float32) if outputs is None else outputs


def reaching(model: Any, windows: Windows) -> Windows:
    """The windows with as many rows as the model looks at: all of them for an ensemble with a longer memory."""
    rows = next(entry.shape[1] for entry in model.inputs if entry.name == "x")
    return windows.entire if rows is not None and rows > windows.steps else windows


def roll(model: Any, windows: Windows, paths: Paths) -> NDArray[np.float32]:
    """A network that looks one row ahead, rolled K rows on: (W, K·G), row by row; see `rolled`."""
    block, rows = _block_shape(model, windows, None)
    fixed = arrays_of(model.non_trainable_variables)

    def step(x: NDArray[np.float32], future: NDArray[np.float32] | None) -> NDArray[Any]:
        return np.asarray(model.predict_on_batch({"x": _filled(x, (block, rows))}))[: len(x)]

    outputs = rolled(step, windows, block=block, paths=paths)
    put(model.non_trainable_variables, fixed)
    return outputs


def _block_shape(model: Any, windows: Windows, memory_limit: int | None) -> tuple[int, int]:
    """Windows that the network sees at once, and their rows."""
    rows = next(entry.shape[1] for entry in model.inputs if entry.name == "x") or windows.steps
    return block_size(model, rows, budget(memory_limit)), rows


def block_size(model: Any, rows: int, free: int) -> int:
    """The usual block, halved until it fits into ``free`` bytes; rows: T of the longest window."""
    widths = [width for layer in model.layers for shape in _shapes(layer) for width in shape[-1:] if width]
    each = 4 * rows * 2 * sum(widths)  # every layer's sequence, and as much again for work
    block = BLOCK

    # somebody else's Keras model has none, and an ensemble without networks runs none
    form = getattr(model, "architecture", None) if model.layers else None

    def need() -> int:  # what the layers hand on, or what attention compares: rows by rows
        return max(block * each, memory_predict(form, block, rows=rows) if form else 0)

    while block > 1 and need() > free:
        block //= 2
    if need() > free:
        raise TrainingError("training.memory_predict", rows=rows, need=spell(need()), free=spell(free))
    return block


def _block(model: Any, windows: Windows, indices: NDArray[np.int64], shape: tuple[int, int]) -> NDArray[np.float32]:
    batch = gathered(windows, indices)
    inputs: dict[str, NDArray[Any]] = {"x": _filled(batch.x, shape)}
    mask = np.ones(batch.x.shape[:2], bool) if batch.mask is None else batch.mask
    for entry in model.inputs:
        if entry.name == "mask":
            inputs["mask"] = _filled(mask, shape)
        elif entry.name == "ended":  # a part of an ensemble asks for it
            over = np.zeros(shape[0], bool)
            over[: len(indices)] = complete(windows.subset(indices))
            inputs["ended"] = over
        elif entry.name == "future":
            assert batch.future is not None
            inputs["future"] = _filled(batch.future, (shape[0], batch.future.shape[1]))
        elif entry.name == "teacher":  # for training only
            inputs["teacher"] = np.zeros((shape[0], *entry.shape[1:]), np.float32)
    answer = np.asarray(model.predict_on_batch(inputs))[: len(indices)]
    if answer.ndim == 3 and model.architecture.answer == "every":
        answer = answer[np.arange(len(indices)), mask.sum(axis=1) - 1]
    return answer.reshape(len(indices), -1)


def _filled(values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """(b,) or (b, t, ...) filled up with zeros to (B,) or (B, T, ...)."""
    if values.shape[: len(shape)] == shape:
        return values
    full = np.zeros((*shape, *values.shape[len(shape) :]), values.dtype)
    filled = tuple(slice(min(size, asked)) for size, asked in zip(values.shape, shape, strict=False))
    full[filled] = values[filled]
    return full


def _shapes(layer: Any) -> list[tuple[int | None, ...]]:
    output = getattr(layer, "output", None)
    outputs = output if isinstance(output, list | tuple) else [output]
    return [tuple(tensor.shape) for tensor in outputs if tensor is not None]


def predict_arrays(model: Any, inputs: Mapping[str, NDArray[Any]], *, block: int = BLOCK) -> NDArray[np.float32]:
    """What the network puts out for windows that somebody has changed, (B, O).

    inputs: by the names of the network's inputs, x (B, T, F) among them. The usual blocks are those of
    `predict_network`, so that nothing is compiled anew; a smaller ``block`` saves a large network from
    computing padding.
    """
    x = inputs["x"]
    rows = next(entry.shape[1] for entry in model.inputs if entry.name == "x") or x.shape[1]
    if "mask" not in inputs and x.shape[1] != rows:  # an ensemble may look farther back than its networks
        raise ValueError(f"windows of {x.shape[1]} rows for a model that looks at {rows}")
    block = min(block, block_size(model, rows, budget(None)))
    fixed = arrays_of(model.non_trainable_variables)
    blocks = [np.empty((0, int(np.prod(model.output_shape[1:]))), np.float32)]
    for low in range(0, len(x), block):
        some = {}
        for name, array in inputs.items():
            wide = (rows,) if name in ("x", "mask") else array.shape[1:2]
            some[name] = _filled(array[low : low + block], (block, *wide))
        answer = np.asarray(model.predict_on_batch(some))
        blocks.append(answer.reshape(len(answer), -1)[: len(x) - low])
    put(model.non_trainable_variables, fixed)
    return np.concatenate(blocks)

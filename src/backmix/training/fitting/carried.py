"""Prediction with a state that is carried from the first row of every run.

This module predicts the windows of a model that was trained with a carried state: it goes through each run once,
row by row, and picks the outputs at the windows' rows. It uses one lane, whatever the number of lanes in training.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from backmix.data.windows.carry import carry, one_row
from backmix.data.windows.windows import Windows
from backmix.training.fitting.feed import gathered

CHUNK = 256
"""Rows per call; the end of a run is padded, which does not influence earlier rows."""
_twins: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()


def predict_carried(model: Any, windows: Windows) -> NDArray[np.float32]:
    """The outputs of a plain network for each window, (W, O), with its state carried from the start of the run."""
    twin = _twin(model)
    begins = np.asarray(carry(windows).begins)
    last = np.asarray(windows.origins, dtype=np.int64) - windows.spec.dead_time
    outputs = np.empty((len(windows), model.output_shape[-1]), np.float32)
    first = begins[last] if len(last) else last
    for begin in np.unique(first):
        of_run = np.flatnonzero(first == begin)
        run_outputs = _run(twin, windows, int(begin), int(last[of_run].max()) + 1)
        outputs[of_run] = run_outputs[last[of_run] - begin]
    return outputs


def _run(twin: Any, windows: Windows, begin: int, end: int) -> NDArray[np.float32]:
    """The outputs on rows ``begin`` to ``end`` of one run, (n, O), from the initial state."""
    outputs = []
    for low in range(begin, end, CHUNK):
        rows = np.arange(low, min(low + CHUNK, end))
        x = np.zeros((1, CHUNK, len(windows.feature_names)), np.float32)
        x[0, : len(rows)] = gathered(one_row(windows, rows), np.arange(len(rows))).x[:, 0]
        keep = np.full(1, low > begin, np.float32)
        outputs.append(np.asarray(twin.predict_on_batch({"x": x, "keep": keep}))[0, : len(rows)])
    return np.concatenate(outputs)


def _twin(model: Any) -> Any:
    """The stateful twin of a plain network, with its present weights."""
    from backmix.models.body.carried import build_stateful, copy_weights

    twin = _twins.get(model)
    if twin is None:
        twin = _twins[model] = build_stateful(model.architecture, lanes=1, rows=CHUNK, seed=0)
    copy_weights(model, twin)
    return twin

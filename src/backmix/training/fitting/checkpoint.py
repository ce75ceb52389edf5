"""Checkpoints of a training.

This module keeps everything that the next step depends on in one safetensors file: weights, the state of dropout,
optimiser variables, the running metrics of an unfinished epoch, the best weights, and as JSON the history, the states
of the callbacks and the fingerprint of the training. The file is replaced by one rename: after a kill at any moment
there is the old checkpoint or the new one. (Keras writes its own backup in place, without callbacks and history.)
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.errors import TrainingError
from backmix.storage import loud, write_atomic

CHECKPOINT = "checkpoint.safetensors"
"""The name of the file in a run folder."""
FORMAT = 1
_KEY = "backmix"


@dataclass(frozen=True)
class Snapshot:
    """The state of a training at one moment.

    epoch: epochs that are finished
    step: batches done in the epoch under way; 0 at the end of an epoch
    arrays: groups of arrays in the order of the model's variables: "model", "optimizer", "best",
        and within an epoch "metrics"
    history: a value per finished epoch, by name
    callbacks: the state of each callback that has one, by its place in the list
    stopped: why training is over; None while it is not
    fingerprint: of network, settings and windows, see `fit.fingerprint`
    """

    epoch: int
    step: int
    arrays: Mapping[str, list[NDArray[Any]]]
    history: Mapping[str, list[float]]
    callbacks: Mapping[str, Mapping[str, Any]]
    fingerprint: str
    stopped: str | None = None
    seconds: float = field(default=0.0, compare=False)


def save_snapshot(folder: Path, snapshot: Snapshot) -> None:
    """Replace the checkpoint of a folder; StorageError leaves the old one as it was."""
    from safetensors.numpy import save

    arrays = {
        f"{group}/{number:04d}": np.ascontiguousarray(array).reshape(np.shape(array))
        for group, members in snapshot.arrays.items()
        for number, array in enumerate(members)
    }
    about = {
        "format": FORMAT,
        "epoch": snapshot.epoch,
        "step": snapshot.step,
        "history": snapshot.history,
        "callbacks": snapshot.callbacks,
        "fingerprint": snapshot.fingerprint,
        "stopped": snapshot.stopped,
        "seconds": snapshot.seconds,
    }
    write_atomic(folder / CHECKPOINT, save(arrays, {_KEY: json.dumps(about)}))


def load_snapshot(folder: Path) -> Snapshot | None:
    """The checkpoint of a folder; None when there is none.

    Raises TrainingError (training.damaged_checkpoint) for a file that this module has not written
    or that was changed since, StorageError when it cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / CHECKPOINT
    with loud(path):
        if not path.exists():
            return None
        path.open("rb").close()
    try:
        with safe_open(str(path), framework="numpy") as file:
            about = json.loads(file.metadata()[_KEY])
            if about["format"] != FORMAT:
                raise ValueError("format")
            arrays: dict[str, list[NDArray[Any]]] = {}
            for name in sorted(file.keys()):
                arrays.setdefault(name.partition("/")[0], []).append(file.get_tensor(name))
        return Snapshot(
            epoch=int(about["epoch"]),
            step=int(about["step"]),
            arrays=arrays,
            history=about["history"],
            callbacks=about["callbacks"],
            fingerprint=str(about["fingerprint"]),
            stopped=about["stopped"],
            seconds=float(about["seconds"]),
        )
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError):
        raise TrainingError("training.damaged_checkpoint", where=path) from None


def values(model: Any) -> list[NDArray[Any]]:
    """Copies of all variables of the network: weights and the state of dropout."""
    return arrays_of(model.variables)


def assign(model: Any, arrays: Iterable[NDArray[Any]]) -> None:
    """Set the variables of a network to copies made by `values`."""
    put(model.variables, arrays)


def arrays_of(variables: Iterable[Any]) -> list[NDArray[Any]]:
    """Copies of Keras variables or engine arrays."""
    return [np.array(getattr(variable, "value", variable)) for variable in variables]


def put(variables: Iterable[Any], arrays: Iterable[NDArray[Any]]) -> None:
    """Assign arrays to Keras variables, one by one."""
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def named_weights(model: Any) -> dict[str, NDArray[Any]]:
    """The weights alone, by their path in the network (``recurrent_1/gru_cell/kernel``)."""
    return {variable.path: np.array(variable.value) for variable in model.weights}


def fits(variables: Iterable[Any], arrays: Iterable[NDArray[Any]]) -> bool:
    """Whether arrays have the shapes of these variables."""
    return [tuple(v.shape) for v in variables] == [a.shape for a in arrays]

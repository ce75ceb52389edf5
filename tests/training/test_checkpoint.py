"""A moment of training comes back from disk exactly, or is refused."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from safetensors.numpy import save

from backmix import storage
from backmix.errors import StorageError, TrainingError
from backmix.training.fitting.checkpoint import CHECKPOINT, Snapshot, load_snapshot, save_snapshot

floats = st.floats(allow_nan=True, allow_infinity=True)
members = st.lists(
    arrays(st.sampled_from([np.float32, np.int32, np.uint32]), array_shapes(min_dims=0, max_dims=3, max_side=3)),
    max_size=3,
)
SMALL = Snapshot(
    epoch=1,
    step=0,
    arrays={"model": [np.zeros(3, np.float32)]},
    history={"loss": [0.1]},
    callbacks={"0:EarlyStop": {"wait": 1}},
    fingerprint="f",
)


@settings(max_examples=25, deadline=None)
@given(
    model=members,
    optimizer=members,
    epoch=st.integers(0, 10**6),
    step=st.integers(0, 10**6),
    losses=st.lists(floats, max_size=5),
    stopped=st.sampled_from([None, "patience", "epochs"]),
)
def test_the_round_trip_is_exact(
    tmp_path_factory: pytest.TempPathFactory,
    model: Any,
    optimizer: Any,
    epoch: int,
    step: int,
    losses: list[float],
    stopped: str | None,
) -> None:
    """Law: bit-equal, NaN and infinity included, in the order of the variables."""
    folder = tmp_path_factory.mktemp("run")
    first = Snapshot(
        epoch=epoch,
        step=step,
        arrays={"model": model, "optimizer": optimizer},
        history={"loss": losses},
        callbacks={"0:EarlyStop": {"best": None, "wait": 3}},
        fingerprint="abc",
        stopped=stopped,
        seconds=1.5,
    )
    save_snapshot(folder, first)
    back = load_snapshot(folder)
    assert back is not None
    assert (back.epoch, back.step, back.fingerprint, back.stopped) == (epoch, step, "abc", stopped)
    np.testing.assert_array_equal(back.history["loss"], losses)
    assert back.callbacks == first.callbacks
    for name in ("model", "optimizer"):
        group = back.arrays.get(name, [])
        assert [a.dtype for a in group] == [a.dtype for a in first.arrays[name]]
        assert [a.tobytes() for a in group] == [a.tobytes() for a in first.arrays[name]]
        assert [a.shape for a in group] == [a.shape for a in first.arrays[name]]


def test_more_than_ten_arrays_keep_their_order(tmp_path: Path) -> None:
    save_snapshot(tmp_path, replace(SMALL, arrays={"model": [np.full(1, n, np.float32) for n in range(120)]}))
    back = load_snapshot(tmp_path)
    assert back is not None
    assert [int(array[0]) for array in back.arrays["model"]] == list(range(120))


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert load_snapshot(tmp_path) is None


ABOUT = {
    "format": 1,
    "epoch": 0,
    "step": 0,
    "history": {},
    "callbacks": {},
    "fingerprint": "",
    "stopped": None,
    "seconds": 0.0,
}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"PK\x03\x04 nothing of ours",
        b"\x80\x04\x95pickle",
        b"\xff" * 1000,
        save({}),
        save({}, {"backmix": "{"}),
        save({}, {"backmix": "[]"}),
        save({}, {"backmix": json.dumps({"format": 1})}),
        save({}, {"backmix": json.dumps(ABOUT | {"format": 2})}),
        save({}, {"backmix": json.dumps(ABOUT | {"epoch": "x"})}),
    ],
)
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / CHECKPOINT).write_bytes(content)
    with pytest.raises(TrainingError) as caught:
        load_snapshot(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / CHECKPOINT} — this checkpoint is damaged or of another release. Delete it to start anew"
    )


def test_any_cut_of_a_checkpoint_is_refused(tmp_path: Path) -> None:
    save_snapshot(tmp_path, SMALL)
    whole = (tmp_path / CHECKPOINT).read_bytes()
    for length in range(0, len(whole), 7):
        (tmp_path / CHECKPOINT).write_bytes(whole[:length])
        with pytest.raises(TrainingError, match="this checkpoint is damaged"):
            load_snapshot(tmp_path)


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_row_40_a_full_disk_leaves_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    save_snapshot(tmp_path, SMALL)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(storage.os, call, full)
    with pytest.raises(StorageError, match="the disk is full"):
        save_snapshot(tmp_path, replace(SMALL, epoch=2))
    monkeypatch.undo()
    back = load_snapshot(tmp_path)
    assert back is not None
    assert back.epoch == 1
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]

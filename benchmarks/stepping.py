"""What one streaming step costs: a row of plant values in, a prediction in plant units out.

    python benchmarks/stepping.py [--calls 20000] [--rounds 10] [--peers backmix torch ...] >> benchmarks/LOG.md

An LSTM with 64 units and 10 inputs, scaling and head included, called from Python on one thread, its
state carried by the caller. All peers get the same numbers: a bundle made here from a simulated
table, opened by our runtime and rebuilt as a model of the others. Garbage collection is off while
calls are timed, one by one; p50 and p99 are over the calls of all rounds. The predictions of the
first 200 rows are compared, so that nobody computes something else.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from rounds import Peer, PeerFault, heading, installed, note, ratio, serve, table, take_turns

Floats = NDArray[np.float64]
INPUTS, UNITS, LOOKBACK, ROWS = 10, 64, 30, 2000
SEED = 0
COMPARED = 200
PEERS: dict[str, tuple[str, ...]] = {
    "backmix": ("backmix.native", "backmix.serving.runtime"),
    "onnxruntime": ("onnxruntime", "onnx"),
    "torch": ("torch",),
    "Keras predict_on_batch": ("keras", "jax"),
}
"""Name -> modules that must be there."""
PACKAGES = ("backmix", "onnxruntime", "torch", "keras", "jax", "numpy")
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "BACKMIX_THREADS": "1",
    "KERAS_BACKEND": "jax",
    "JAX_PLATFORMS": "cpu",
}


# The same model for everybody


def plant() -> Floats:
    """Rows (N, F + 1) of a plant: slow inputs in units of their own, and a target that follows them."""
    rng = np.random.default_rng(SEED)
    slow = np.zeros((ROWS, INPUTS))
    for row in range(1, ROWS):
        slow[row] = 0.95 * slow[row - 1] + 0.3 * rng.standard_normal(INPUTS)
    target = 5.0 + np.tanh(slow[:, :3]).sum(axis=1, keepdims=True)
    return np.column_stack([slow * np.geomspace(0.1, 100, INPUTS) + 20.0 * np.arange(INPUTS), target])


def make_bundle(folder: Path) -> None:
    """A bundle of this plant, its weights drawn, and the same numbers as arrays for the other peers."""
    from backmix.data.ledger import Ledger
    from backmix.data.sources import Reading
    from backmix.data.table import Table
    from backmix.data.tag import Tag
    from backmix.models.architecture import Architecture
    from backmix.models.shape.size import weight_shapes
    from backmix.serving.bundle import Bundle
    from backmix.training.plan import Plan
    from backmix.training.prepare import prepare

    values = plant()
    time_of = np.datetime64("2024-01-01", "ns") + np.arange(ROWS) * np.timedelta64(60, "s")
    tags = (*(Tag(f"x{number:02}") for number in range(INPUTS)), Tag("y", role="target"))
    plan = Plan.check(
        {
            "data": {"file": "none.csv"},
            "task": {"kind": "soft_sensor", "target": "y"},
            "windows": {"lookback": LOOKBACK},
        }
    )
    preprocessing = prepare(Reading(Table(values, tags, time=time_of), Ledger(read=ROWS)), plan).preprocessing
    architecture = Architecture(features=INPUTS, lookback=LOOKBACK, cell="lstm", units=(UNITS,))
    rng = np.random.default_rng(SEED + 1)
    weights = {
        name: (rng.standard_normal(shape) * shape[0] ** -0.5).astype(np.float32)
        for name, shape in weight_shapes(architecture).items()
    }
    Bundle(preprocessing=preprocessing, architecture=architecture, weights=weights).save(folder / "model.backmix")
    assert preprocessing.target_scaler is not None
    np.savez(
        folder / "model.npz",
        rows=values[:, :INPUTS],
        kernel=weights["recurrent_1/kernel"],
        recurrent=weights["recurrent_1/recurrent_kernel"],
        bias=weights["recurrent_1/bias"],
        head=weights["head/kernel"],
        head_bias=weights["head/bias"],
        center=preprocessing.scaler.center,
        scale=preprocessing.scaler.scale,
        out_center=preprocessing.target_scaler.center,
        out_scale=preprocessing.target_scaler.scale,
    )


class Numbers:
    """The arrays of the model; the head's are already in the unit of the target."""

    def __init__(self, folder: Path) -> None:
        with np.load(folder / "model.npz") as found:
            self.rows: Floats = found["rows"]
            self.kernel, self.recurrent, self.bias = found["kernel"], found["recurrent"], found["bias"]
            self.center, self.scale = (found[name].astype(np.float32) for name in ("center", "scale"))
            self.head = (found["head"] * found["out_scale"]).astype(np.float32)
            self.head_bias = (found["head_bias"] * found["out_scale"] + found["out_center"]).astype(np.float32)


# What runs inside a peer: rows as it likes them best, a state of rest, and a step


class Stepper(Protocol):
    """A model that goes one row forward."""

    rows: list[Any]

    def start(self) -> Any: ...

    def step(self, row: Any, state: Any) -> tuple[Any, Any]: ...


class BackmixStepper:
    """Our runtime."""

    def __init__(self, folder: Path) -> None:
        from backmix.serving.runtime import Runtime

        runtime = Runtime.load(folder / "model.backmix")
        if not getattr(runtime, "native", True):
            raise RuntimeError("the runtime does not use the kernels")
        self.rows = list(np.ascontiguousarray(Numbers(folder).rows))
        self.start, self.step = runtime.start, runtime.step


class OnnxStepper:
    """An ONNX graph: scaling, LSTM with its state in and out, head."""

    def __init__(self, folder: Path) -> None:
        import onnx
        import onnxruntime
        from onnx import TensorProto, helper, numpy_helper

        n = Numbers(folder)
        i, f, c, o = (np.arange(UNITS) + gate * UNITS for gate in range(4))
        order = np.concatenate([i, o, f, c])  # ONNX has its gates as i o f c, rows for columns
        arrays = {
            "center": n.center,
            "scale": n.scale,
            "axis": np.array([0], np.int64),
            "W": n.kernel.T[None, order],
            "R": n.recurrent.T[None, order],
            "B": np.concatenate([n.bias[order], np.zeros_like(n.bias)])[None],
            "last": np.array([1, UNITS], np.int64),
            "head": n.head,
            "head_bias": n.head_bias,
        }
        nodes = [
            helper.make_node("Sub", ["row", "center"], ["moved"]),
            helper.make_node("Div", ["moved", "scale"], ["scaled"]),
            helper.make_node("Unsqueeze", ["scaled", "axis"], ["x"]),
            helper.make_node("LSTM", ["x", "W", "R", "B", "", "h", "c"], ["", "h_new", "c_new"], hidden_size=UNITS),
            helper.make_node("Reshape", ["h_new", "last"], ["flat"]),
            helper.make_node("Gemm", ["flat", "head", "head_bias"], ["y"]),
        ]
        state = [1, 1, UNITS]
        shapes_in = {"row": [1, INPUTS], "h": state, "c": state}
        shapes_out = {"y": [1, 1], "h_new": state, "c_new": state}
        inputs, outputs = (
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
            for shapes in (shapes_in, shapes_out)
        )
        graph = helper.make_graph(
            nodes,
            "step",
            inputs,
            outputs,
            [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in arrays.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        run = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"]).run
        names = ["y", "h_new", "c_new"]
        self.rows = list(n.rows.astype(np.float32)[:, None])

        def step(row: Any, state: Any) -> tuple[Any, Any]:
            y, h, c = run(names, {"row": row, "h": state[0], "c": state[1]})
            return y, (h, c)

        self.step = step

    def start(self) -> Any:
        return np.zeros((1, 1, UNITS), np.float32), np.zeros((1, 1, UNITS), np.float32)


class TorchStepper:
    """torch's LSTM and Linear without gradients."""

    def __init__(self, folder: Path) -> None:
        import torch

        torch.set_num_threads(1)
        n = Numbers(folder)
        layer, head = torch.nn.LSTM(INPUTS, UNITS), torch.nn.Linear(UNITS, 1)
        values = (n.kernel.T, n.recurrent.T, n.bias, np.zeros_like(n.bias), n.head.T, n.head_bias)
        with torch.no_grad():
            for parameter, value in zip([*layer.parameters(), *head.parameters()], values, strict=True):
                parameter.copy_(torch.from_numpy(value.copy()))
        center, scale = torch.from_numpy(n.center), torch.from_numpy(n.scale)
        self.rows = list(n.rows.astype(np.float32)[:, None])

        def step(row: Any, state: Any) -> tuple[Any, Any]:
            with torch.inference_mode():
                y, state = layer((torch.from_numpy(row) - center) / scale, state)
                return head(y).numpy(), state

        self.step = step

    def start(self) -> Any:
        import torch

        return torch.zeros(1, UNITS), torch.zeros(1, UNITS)


class KerasStepper:
    """A Keras model with its state as input and output."""

    def __init__(self, folder: Path) -> None:
        import keras

        n = Numbers(folder)
        row, h, c = keras.Input((INPUTS,)), keras.Input((UNITS,)), keras.Input((UNITS,))
        scaled = keras.layers.Normalization(mean=n.center, variance=n.scale.astype(np.float64) ** 2)(row)
        layer, head = keras.layers.LSTM(UNITS, return_state=True), keras.layers.Dense(1)
        _, h_new, c_new = layer(keras.layers.Reshape((1, INPUTS))(scaled), initial_state=[h, c])
        model = keras.Model([row, h, c], [head(h_new), h_new, c_new])
        layer.set_weights([n.kernel, n.recurrent, n.bias])
        head.set_weights([n.head, n.head_bias])
        predict = model.predict_on_batch
        self.rows = list(n.rows.astype(np.float32)[:, None])

        def step(row: Any, state: Any) -> tuple[Any, Any]:
            y, h, c = predict([row, *state])
            return y, (h, c)

        self.step = step

    def start(self) -> Any:
        return np.zeros((1, UNITS), np.float32), np.zeros((1, UNITS), np.float32)


STEPPERS: dict[str, Callable[[Path], Stepper]] = {
    "backmix": BackmixStepper,
    "onnxruntime": OnnxStepper,
    "torch": TorchStepper,
    "Keras predict_on_batch": KerasStepper,
}


def answers(name: str, folder: Path) -> Callable[[str, dict[str, Any]], Any]:
    """What the process of a peer can be asked."""
    stepper = STEPPERS[name](folder)

    def first() -> list[float]:
        state, found = stepper.start(), []
        for row in stepper.rows[:COMPARED]:
            y, state = stepper.step(row, state)
            found.append(float(np.asarray(y).reshape(-1)[0]))
        return found

    def measure(calls: int) -> list[int]:
        """Nanoseconds of every call."""
        step, rows, now = stepper.step, stepper.rows, time.perf_counter_ns
        state, taken = stepper.start(), [0] * calls
        for row in rows[:100]:
            _, state = step(row, state)
        gc.collect()
        gc.disable()
        for call in range(calls):
            row = rows[call % ROWS]
            begin = now()
            _, state = step(row, state)
            taken[call] = now() - begin
        gc.enable()
        return taken

    return lambda what, given: first() if what == "first" else measure(given["calls"])


# What runs beside them


def main() -> None:
    """Measure and print a section for the log."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--quick", action="store_true", help="500 calls in two rounds: does it run?")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(answers(given.serve[0], Path(given.serve[1])))
        return
    if given.quick:
        given.calls, given.rounds = 500, 2
    there = [name for name in given.peers if all(installed(module) for module in PEERS[name])]
    said = (
        f"One step of an LSTM {UNITS} with {INPUTS} inputs, scaling and head included, one thread, called from "
        f"Python: {given.calls} calls in {given.rounds} rounds, microseconds, seed {SEED}. Ratios of medians are "
        "taken within a round. Others: processors busy with something else."
    )
    if missing := [name for name in given.peers if name not in there]:
        said += f" Not there, and left out: {', '.join(missing)}."
    print(heading("A streaming step", said=said, packages=PACKAGES))
    with tempfile.TemporaryDirectory() as name:
        make_bundle(Path(name))
        peers = {
            peer: Peer(peer, [sys.executable, os.path.abspath(__file__), "--serve", peer, name], ONE_THREAD)
            for peer in there
        }
        try:
            _report(peers, calls=max(1, given.calls // given.rounds), rounds=given.rounds)
        finally:
            for peer in peers.values():
                peer.close()


def _report(peers: dict[str, Peer], *, calls: int, rounds: int) -> None:
    first: dict[str, Floats] = {}
    for name, peer in peers.items():
        note(f"{name} warms up")
        try:
            first[name] = np.array(peer.ask("first"))
        except PeerFault as fault:
            print(f"- failed: {fault}\n")
    answered = take_turns(first, rounds, lambda name: (peers[name].ask("measure", calls=calls), peers[name].others))
    taken = {name: [np.array(nanoseconds) / 1000 for nanoseconds, _ in each] for name, each in answered.items()}
    middle = {name: [float(np.median(each)) for each in found] for name, found in taken.items()}
    agreed = np.median(list(first.values()), axis=0)
    rows = []
    for name, found in taken.items():
        everything = np.concatenate(found)
        p50, p99 = np.quantile(everything, [0.5, 0.99])
        times = f"{ratio(middle[name], middle['backmix']):.1f}" if "backmix" in middle else "–"
        others = np.median([busy for _, busy in answered[name]])
        rows.append(
            [
                name,
                f"{p50:.2f}",
                f"{p99:.2f}",
                f"{min(middle[name]):.2f} … {max(middle[name]):.2f}",
                times,
                f"{np.abs(first[name] - agreed).max():.1e}",
                f"{others:.1f}",
            ]
        )
    print(
        table(
            [
                "peer",
                "p50",
                "p99",
                "p50 of the rounds",
                "times backmix",
                f"largest difference in {COMPARED} rows",
                "others",
            ],
            rows,
        )
    )


if __name__ == "__main__":
    main()

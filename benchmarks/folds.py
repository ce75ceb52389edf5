"""Whether two folds of a cross-validation, side by side, take half the time.

    python benchmarks/folds.py [--rounds 3] [--cell lstm] [--units 64] [--epochs 8] >> benchmarks/LOG.md

Each fold is `fit_network` in a process of its own (spawned) with one thread for the kernels. In a
round two folds run side by side, and the same two one after the other, in turns. Three figures:

    training    epochs 2 to the last: compilation is over. Side by side both wait for each other
                before epoch 2, and the slower one counts
    call        the whole call of fit_network, compilation included
    process     from the start of the processes to their end, imports included

The ratio is (one after the other) / (side by side); wanted for training: at least 1.8 on two cores.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from rounds import SETTLE, cores, heading, installed, note, table

SEED = 0
STEPS, FEATURES = 30, 10
WAIT = 300
"""Seconds after which a fold that waits for its neighbour gives up."""
FIGURES = ("training", "call", "process")
ONE_THREAD = {
    "BACKMIX_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "KERAS_BACKEND": "jax",
    "JAX_PLATFORMS": "cpu",
}
LONE_XLA = "--xla_cpu_multi_thread_eigen=false"


@dataclass(frozen=True)
class Job:
    """What one fold trains; the same in every process but for the fold."""

    cell: str
    units: int
    windows: int
    batch: int
    epochs: int


@dataclass(frozen=True)
class Times:
    """When a fold did what, on the clock of the machine, and the processor seconds of its training."""

    called: float
    began: float
    ended: float
    returned: float
    worked: float
    loss: float


def fold(job: Job, number: int, barrier: Any, answer: Any) -> None:
    """Train one fold; runs in a process of its own."""
    from backmix import native
    from backmix.data.table import Table
    from backmix.data.tag import Tag
    from backmix.data.windows.windows import WindowSpec, build_windows
    from backmix.layers import SlowLoopWarning
    from backmix.models.architecture import Architecture
    from backmix.training.fitting.fit import FitSettings, fit_network

    warnings.simplefilter("error", SlowLoopWarning)  # the folds must run on the kernels
    native.limit_threads(1)
    rng = np.random.default_rng(SEED)
    rows = 2 * job.windows + STEPS - 1
    x = rng.standard_normal((rows, FEATURES), dtype=np.float32)
    y = np.tanh(np.convolve(x[:, 0], 0.7 ** np.arange(6))[:rows]) + 0.1 * rng.standard_normal(rows)
    names = tuple(f"x{column:02}" for column in range(FEATURES))
    tags = (*(Tag(name) for name in names), Tag("y", role="target"))
    everything = build_windows(
        Table(np.column_stack([x, y]).astype(np.float32), tags),
        WindowSpec(inputs=names, targets=("y",), lookback=STEPS),
    )
    half = np.arange(job.windows)
    parts = [everything.subset(half), everything.subset(half + job.windows)]
    train, check = parts[number], parts[1 - number].subset(np.arange(job.windows // 8))
    clock = _clock(barrier, last=job.epochs)
    settings = FitSettings(
        loss="mse", batch_size=job.batch, epochs=job.epochs + 1, seed=number, patience=10**6, plateau_patience=10**6
    )
    architecture = Architecture(features=FEATURES, lookback=STEPS, cell=job.cell, units=(job.units,))
    called = time.monotonic()
    fitted = fit_network(architecture, train, check, settings=settings, callbacks=[clock])
    answer.put(Times(called, clock.began, clock.ended, time.monotonic(), clock.worked, fitted.history["val_loss"][-1]))


def _clock(barrier: Any, *, last: int) -> Any:
    """A Keras callback that times epochs 2 to the last; the folds begin epoch 2 together."""
    from keras.callbacks import Callback

    class Clock(Callback):  # type: ignore[misc]
        began = ended = worked = 0.0

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 1:
                if barrier is not None:
                    barrier.wait(WAIT)
                self.began, self._used = time.monotonic(), time.process_time()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch == last:
                self.ended, self.worked = time.monotonic(), time.process_time() - self._used

    return Clock()


def together(job: Job) -> tuple[dict[str, float], list[Times]]:
    """Seconds of both folds side by side."""
    context = multiprocessing.get_context("spawn")
    barrier, answer = context.Barrier(2), context.Queue()
    begin = time.monotonic()
    times = _run(context, job, [0, 1], barrier, answer)
    return {
        "training": max(t.ended for t in times) - min(t.began for t in times),
        "call": max(t.returned for t in times) - min(t.called for t in times),
        "process": time.monotonic() - begin,
    }, times


def in_turn(job: Job) -> tuple[dict[str, float], list[Times]]:
    """Seconds of both folds one after the other."""
    context = multiprocessing.get_context("spawn")
    begin, times = time.monotonic(), []
    for number in (0, 1):
        times += _run(context, job, [number], None, context.Queue())
    return {
        "training": sum(t.ended - t.began for t in times),
        "call": sum(t.returned - t.called for t in times),
        "process": time.monotonic() - begin,
    }, times


def _run(context: Any, job: Job, numbers: list[int], barrier: Any, answer: Any) -> list[Times]:
    """Start folds, wait for their answers and their end."""
    running = [context.Process(target=fold, args=(job, number, barrier, answer)) for number in numbers]
    for process in running:
        process.start()
    try:
        found: list[Times] = []
        while len(found) < len(running):
            try:
                found.append(answer.get(timeout=1))
            except Exception:
                if any(process.exitcode not in (None, 0) for process in running):
                    raise SystemExit("a fold has failed, see above") from None
    finally:
        for process in running:
            if process.exitcode is None:
                process.join(20)
            if process.exitcode is None:
                process.terminate()
    return found


def main() -> None:
    """Measure and print a section for the log."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cell", default="lstm", choices=("lstm", "gru", "simple_rnn"))
    parser.add_argument("--units", type=int, default=64)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--windows", type=int, default=16_384, help="of the training part of a fold")
    parser.add_argument("--epochs", type=int, default=8, help="that are timed")
    parser.add_argument("--lone-xla", action="store_true", help=f"also {LONE_XLA}: XLA's own products on one thread")
    parser.add_argument("--quick", action="store_true", help="one round, two short epochs: does it run?")
    given = parser.parse_args()
    if given.quick:
        given.rounds, given.windows, given.epochs = 1, 1024, 2
    if not installed("backmix.native"):
        raise SystemExit("the kernels are not built here: no module backmix.native")
    if cores() < 2:
        raise SystemExit("two folds side by side need two processors")
    os.environ.update(ONE_THREAD)  # the folds inherit them
    if given.lone_xla:
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {LONE_XLA}".strip()
    job = Job(given.cell, given.units, given.windows, given.batch, given.epochs)
    said = (
        f"{job.cell} {job.units}, T {STEPS}, F {FEATURES}, batch {job.batch}, {job.windows} windows a fold, "
        f"{job.epochs} epochs after the first; one kernel thread each; seconds, median of {given.rounds} rounds; "
        f"ratios within a round, median (least … most); seed {SEED}."
    )
    print(heading("Two folds side by side", said=said, packages=("backmix", "keras", "jax", "numpy")))
    side: list[dict[str, float]] = []
    turns: list[dict[str, float]] = []
    losses: set[tuple[float, ...]] = set()
    worked: dict[str, list[float]] = {"side by side": [], "in turn": []}
    for number in range(given.rounds):
        both = [("side by side", together, side), ("in turn", in_turn, turns)]
        for name, run, kept in both if number % 2 == 0 else reversed(both):
            time.sleep(SETTLE)
            seconds, times = run(job)
            kept.append(seconds)
            worked[name].append(sum(t.worked for t in times))
            losses.add(tuple(sorted(t.loss for t in times)))
            note(f"round {number + 1}, {name}: " + ", ".join(f"{key} {value:.2f}" for key, value in seconds.items()))
    rows = []
    for figure in FIGURES:
        one, two = (np.array([seconds[figure] for seconds in kept]) for kept in (turns, side))
        ratios = one / two
        rows.append(
            [
                figure,
                f"{np.median(one):.2f}",
                f"{np.median(two):.2f}",
                f"**{np.median(ratios):.2f}** ({ratios.min():.2f} … {ratios.max():.2f})",
            ]
        )
    print(table(["figure", "one after the other", "side by side", "ratio"], rows))
    print(
        f"Processor seconds of both trainings: {np.median(worked['in turn']):.2f} in turn, "
        f"{np.median(worked['side by side']):.2f} side by side; "
        f"validation losses {'equal in all runs' if len(losses) == 1 else 'DIFFER between runs'}."
    )


if __name__ == "__main__":
    main()

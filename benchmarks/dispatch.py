"""What part of a training is not computation.

    python benchmarks/dispatch.py [--epochs 6] >> benchmarks/LOG.md

Trains with `fit_network` and measures how long the compiled programs of the steps run, from the moment
they have their batches until their results are there. The rest of the time between the first and the
last batch of an epoch is Python's: gathering, stacking, Keras's bookkeeping, looking at losses.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

import numpy as np
from rounds import heading, table

CASES = (
    ("lstm", 64, 32, 30, 10),
    ("gru", 64, 32, 30, 10),
    ("simple_rnn", 64, 32, 30, 10),
    ("gru", 32, 32, 20, 10),
    ("lstm", 64, 256, 60, 52),
)
WINDOWS = 8192


class Clock:
    """Seconds inside compiled programs, and between the begin of an epoch and its validation."""

    def __init__(self) -> None:
        self.inside = self.between = self._begin = 0.0
        self.model: Any = None

    def timed(self, looped: Any) -> Any:
        """`training.fitting.steps._looped`, with the time of every call added up."""
        import jax

        def make(step: Any) -> Any:
            program = looped(step)

            def call(*given: Any) -> Any:
                begin = time.perf_counter()
                found = jax.block_until_ready(program(*given))
                self.inside += time.perf_counter() - begin
                return found

            return call

        return make


def measure(cell: str, units: int, batch: int, steps: int, features: int, epochs: int) -> tuple[float, float]:
    """Seconds inside programs and in all, of the epochs after the first."""
    from backmix.data.windows.windows import Windows
    from backmix.models.architecture import Architecture
    from backmix.training.fitting import steps as module
    from backmix.training.fitting.callbacks import Callback
    from backmix.training.fitting.fit import FitSettings, fit_network

    clock = Clock()

    class Epochs(Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 1:
                clock.inside = clock.between = 0.0
            clock._begin = time.perf_counter()

        def on_test_begin(self, logs: Any = None) -> None:
            clock.between += time.perf_counter() - clock._begin

    x = np.random.default_rng(0).normal(size=(WINDOWS + batch, steps, features)).astype(np.float32)
    windows = Windows.from_arrays(x, x[:, -1, 0] + 0.5 * x[:, :, 1].mean(axis=1))
    looped = module._looped
    module._looped = clock.timed(looped)  # type: ignore[assignment]
    try:
        fit_network(
            Architecture(features=features, lookback=steps, cell=cell, units=(units,)),
            windows.subset(np.arange(WINDOWS)),
            windows.subset(np.arange(WINDOWS, WINDOWS + batch)),
            settings=FitSettings(epochs=epochs, batch_size=batch, patience=epochs),
            callbacks=(Epochs(),),
        )
    finally:
        module._looped = looped
    return clock.inside, clock.between


def main() -> None:
    """Read the command line; print an entry for LOG.md."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--epochs", type=int, default=6)
    given = parser.parse_args()
    os.environ.setdefault("KERAS_BACKEND", "jax")
    rows = []
    for case in CASES:
        inside, between = measure(*case, given.epochs)
        count = WINDOWS * (given.epochs - 1)
        rows.append(
            [
                f"{case[0]} {', '.join(map(str, case[1:]))}",
                f"{count / between:,.0f}",
                f"{100 * (1 - inside / between):.1f} %",
            ]
        )
    print(heading("What part of a training is not computation", packages=("backmix", "keras", "jax")))
    print(table(["cell units, batch, T, F", "windows/s", "outside of compiled programs"], rows))


if __name__ == "__main__":
    main()

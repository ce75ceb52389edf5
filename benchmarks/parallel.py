"""Whether the folds of a backtest with two local workers take half the time of one.

    python benchmarks/parallel.py [--rounds 3] [--folds 4] [--epochs 20] >> benchmarks/LOG.md

Each measurement is a backtest of the simulated reactor in a fresh process, with one worker or with two, in
turns. One worker, too, is a process of its own with one thread, so both do exactly the same work. Four figures:

    work        from the start of the first fold to the end of the last, as the workers' clocks say: imports
                are over by then, since each worker has done a small fold before it
    start-up    from the call until every worker has done that small fold: processes, imports, first compilation
    whole       both, as a user waits for it
    processor   processor seconds of all folds: on a busy machine, where the others above tell little, equal
                ones say that two workers do not hinder each other

The ratio is (one worker) / (two workers) within a round; wanted for work: at least 1.7 on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rounds import SETTLE, cores, heading, note, table

FIGURES = ("work", "start-up", "whole", "processor")


@dataclass(frozen=True, eq=False)
class Timed:
    """A fold, or a small one that only loads what a fold needs; a small one waits for ``together`` of them."""

    job: Any
    signs: Path
    together: int = 0


def timed(given: Timed) -> tuple[float, float, float, str]:
    """Begin and end of a job on the clock of the machine, its processor seconds, and a digest of its predictions."""
    from backmix.rolling.backtest_fold import run_fold

    begin, used = time.monotonic(), time.process_time()
    fold = run_fold(given.job).get("in a fold of this benchmark")
    if given.together:
        (given.signs / str(os.getpid())).write_text("ready")
        while len(list(given.signs.iterdir())) < given.together:
            time.sleep(0.02)
    return begin, time.monotonic(), time.process_time() - used, repr(float(fold.frame["prediction"].sum()))


def measure(count: int, folds: int, epochs: int, units: int) -> dict[str, Any]:
    """A backtest with so many workers in this process: seconds of its stages."""
    from backmix.parallel import Workers, spread
    from backmix.rolling.backtest import set_up_backtest
    from backmix.training.plan import Plan

    plan = Plan.check(
        {
            "data": {"plant": "cstr"},
            "task": {"kind": "soft_sensor", "target": "C_A"},
            "windows": {"lookback": 30},
            "model": {"cell": "lstm", "units": [units]},
            "training": {"epochs": epochs, "patience": 1000},
            "evaluation": {"baselines": ["ridge"], "resamples": 50},
            "backtest": {"folds": folds, "kind": "sliding"},
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        trial = set_up_backtest(None, plan, Path(), Path(folder) / "none" / "folds")
        short = plan.merged({"training": {"epochs": 1}})
        signs = Path(folder) / "signs"
        signs.mkdir()
        small = [Timed(replace(trial.jobs[0], plan=short), signs, count) for _ in range(count)]
        begin = time.monotonic()
        spread(timed, small, Workers(count), apart=True)
        ready = time.monotonic()
        told = spread(timed, [Timed(job, signs) for job in trial.jobs], Workers(count), apart=True)
        end = time.monotonic()
    return {
        "work": max(t[1] for t in told) - min(t[0] for t in told),
        "start-up": ready - begin,
        "whole": end - begin,
        "processor": sum(t[2] for t in told),
        "predictions": [t[3] for t in told],
    }


def main() -> None:
    """Measure and print a section for the log."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--units", type=int, default=64)
    parser.add_argument("--serve", type=int, help="(for itself) measure with so many workers and print JSON")
    given = parser.parse_args()
    if given.serve:
        print(json.dumps(measure(given.serve, given.folds, given.epochs, given.units)))
        return
    if cores() < 2:
        raise SystemExit("two workers side by side need two processors")
    said = (
        f"LSTM {given.units}, T 30, simulated reactor, {given.folds} sliding folds, {given.epochs} epochs; "
        f"seconds, median of {given.rounds} rounds; ratios within a round, median (least … most)."
    )
    print(
        heading(
            "A backtest with one and with two local workers",
            said=said,
            packages=("backmix", "keras", "jax", "numpy", "joblib"),
        )
    )
    found: dict[int, list[dict[str, Any]]] = {1: [], 2: []}
    for number in range(given.rounds):
        for count in (1, 2) if number % 2 == 0 else (2, 1):
            time.sleep(SETTLE)
            command = [
                sys.executable,
                __file__,
                "--serve",
                str(count),
                "--folds",
                str(given.folds),
                "--epochs",
                str(given.epochs),
                "--units",
                str(given.units),
            ]
            answer = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            found[count].append(answer)
            note(f"round {number + 1}, {count} worker(s): " + ", ".join(f"{key} {answer[key]:.1f}" for key in FIGURES))
    rows = []
    for figure in FIGURES:
        one, two = (np.array([answer[figure] for answer in found[count]]) for count in (1, 2))
        ratios = one / two
        rows.append(
            [
                figure,
                f"{np.median(one):.1f}",
                f"{np.median(two):.1f}",
                f"**{np.median(ratios):.2f}** ({ratios.min():.2f} … {ratios.max():.2f})",
            ]
        )
    print(table(["figure", "one worker", "two workers", "ratio"], rows))
    predicted = {tuple(answer["predictions"]) for answers in found.values() for answer in answers}
    print(f"Predictions {'equal in all runs' if len(predicted) == 1 else 'DIFFER between runs'}.")


if __name__ == "__main__":
    main()

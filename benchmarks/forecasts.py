"""Forecasts on public protocols: ETTh1 in scaled units, free runs on the DaISy sets.

    BACKMIX_DATA=... python benchmarks/forecasts.py etth1 [--horizons 96 ...] [--strategies direct ...]
    BACKMIX_DATA=... python benchmarks/forecasts.py daisy [--seeds 3]

ETTh1: 12, 4 and 4 months, z-scores from the training months, mean squared and absolute error over all
test windows and the seven targets, nothing purged between the parts, as the published figures are
made. DaISy: the first two thirds teach and choose; RMSE of ten rows ahead and of the free run.
Results are printed as Markdown.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

os.environ.setdefault("KERAS_BACKEND", "jax")

from backmix.data.sources import read
from backmix.data.windows.windows import Windows
from backmix.scoring.judgement import score_baselines
from backmix.training.beside import fit_baselines
from backmix.training.design import design
from backmix.training.fitting.fit import fit_network
from backmix.training.plan import Plan
from backmix.training.predict import predict_outcome
from backmix.training.prepare import prepare

ETT = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")
DAISY = {
    "daisy_cstr": ("coolant_flow", "concentration", 7500),
    "daisy_exchanger": ("liquid_flow", "outlet_temperature", 4000),
    "daisy_evaporator": ("dry_matter", "dry_matter", 6305),
}
SLICES = 8


def main() -> None:
    """Run one kind of protocol and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("protocol", choices=("etth1", "daisy"))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--horizons", nargs="*", type=int, default=[96])
    parser.add_argument("--strategies", nargs="*", default=["direct"])
    parser.add_argument("--lookback", type=int, default=96)
    parser.add_argument("--stride", type=int, default=4, help="of the training windows")
    parser.add_argument("--epochs", type=int, default=40)
    arguments = parser.parse_args()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    given = " ".join(
        f"--{key} {' '.join(map(str, value)) if isinstance(value, list) else value}"
        for key, value in vars(arguments).items()
        if key != "protocol"
    )
    print(f"\n## Forecasts, {arguments.protocol}, {datetime.now(UTC):%Y-%m-%d}\n")
    print(
        f"Command: `python benchmarks/forecasts.py {arguments.protocol} {given}` · commit {commit.stdout.strip()} · "
        f"{platform.machine()}, {os.cpu_count()} cores\n",
        flush=True,
    )
    (_etth1 if arguments.protocol == "etth1" else _daisy)(arguments)


def _etth1(arguments: argparse.Namespace) -> None:
    print("| horizon | model | MSE | MAE | s |\n| --- | --- | --- | --- | --- |")
    for horizon in arguments.horizons:
        for place, strategy in enumerate(arguments.strategies):
            plan = Plan.check(
                {
                    "data": {"set": "etth1"},
                    "repair": {"clamp": False, "outliers": "none"},
                    "task": {"kind": "forecast", "target": ETT, "strategy": strategy, "relative": "window"},
                    "split": {"train_rows": 8640, "validation_rows": 11520, "test_rows": 14400, "gap": 0},
                    "windows": {"lookback": arguments.lookback, "horizon": horizon},
                    "training": {"epochs": arguments.epochs, "patience": 6},
                }
            )
            prepared = prepare(read(plan.data), plan)
            if place == 0:
                beside = fit_baselines(
                    prepared.task, prepared.train, prepared.validation, names=["last_value", "seasonal", "ridge"]
                )
                for name, predictor in beside.predictors.items():
                    _row(horizon, name, prepared.test, predictor.predict, beside.seconds[name])
            for seed in range(arguments.seeds):
                seeded = replace(prepared, plan=plan.merged({"training": {"seed": seed}}))
                chosen, begin = design(seeded), time.perf_counter()
                training_samples = [
                    part.subset(np.arange(0, len(part), arguments.stride)) for part in prepared.training_samples
                ]
                model = fit_network(chosen.architecture, *training_samples, settings=chosen.settings).model
                shape = f"{chosen.architecture.cell} {'-'.join(map(str, chosen.architecture.units))} {strategy}"

                def told(windows: Windows, model: Any = model, task: Any = prepared.task) -> Any:
                    return predict_outcome(model, task, windows)

                _row(horizon, f"{shape}, seed {seed}", prepared.test, told, time.perf_counter() - begin)


def _row(horizon: int, name: str, test: Windows, predict: Any, seconds: float) -> None:
    """A row of the table: scaled errors, a slice of the windows at a time."""
    scaler = test.target_scaler
    assert scaler is not None
    squared = absolute = count = 0.0
    for at in np.array_split(test.all_indices, SLICES):
        some = test.subset(at)
        error = ((predict(some).values - some.truth()).reshape(-1, len(scaler.names))) / scaler.scale
        squared, absolute, count = squared + (error**2).sum(), absolute + np.abs(error).sum(), count + error.size
    print(f"| {horizon} | {name} | {squared / count:.3f} | {absolute / count:.3f} | {seconds:.0f} |", flush=True)


def _daisy(arguments: argparse.Namespace) -> None:
    print("| set | model | RMSE, 10 rows ahead | RMSE, free run | rows of the free run |")
    print("| --- | --- | --- | --- | --- |")
    for name, (protocol, target, rows) in DAISY.items():
        third = rows // 3
        table = read(
            Plan.check(
                {"data": {"set": name, "protocol": protocol}, "task": {"kind": "soft_sensor", "target": target}}
            ).data
        ).table
        plan = Plan.check(
            {
                "data": {"set": name, "protocol": protocol},
                "task": {
                    "kind": "forecast",
                    "target": target,
                    "strategy": "recursive",
                    "known_ahead": tuple(tag.name for tag in table.tags if tag.role == "input"),
                },
                "split": {"train_rows": 2 * third - third // 2, "validation_rows": 2 * third, "test_rows": rows},
                "windows": {"lookback": 40, "horizon": 10},
            }
        )
        prepared = prepare(read(plan.data), plan)
        beside = score_baselines(prepared)
        for seed in range(arguments.seeds):
            seeded = replace(prepared, plan=plan.merged({"training": {"seed": seed}}))
            chosen = design(seeded)
            model = fit_network(chosen.architecture, *prepared.training_samples, settings=chosen.settings).model
            frame = beside.judge(model, name="network").frame
            error = (frame["prediction"] - frame["truth"]) ** 2
            means = np.sqrt(error.groupby([frame["model"], frame["part"]]).mean())
            for model_name in dict.fromkeys(frame["model"]):
                if seed and model_name != "network":
                    continue
                free = means.get((model_name, "free_run"))
                shown = f"{model_name}, seed {seed}" if model_name == "network" else model_name
                print(
                    f"| {name} | {shown} | {means[model_name, 'test']:.4g} | "
                    f"{'–' if free is None else f'{free:.4g}'} | "
                    f"{int(((frame['model'] == model_name) & (frame['part'] == 'free_run')).sum()):,} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()

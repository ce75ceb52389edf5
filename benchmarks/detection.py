"""Anomaly detection, labels per row and unknown faults on Tennessee Eastman, with the defaults.

    BACKMIX_DATA=... python benchmarks/detection.py [--seeds 3] [--only detection per_step unknown] >> benchmarks/LOG.md

Nothing is tuned here. Detection learns d00 alone and sets its threshold on the end of d00. The second
table of it sets every threshold on d00_te instead, for 2.1 % false alarms there, as published figures do.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

os.environ.setdefault("KERAS_BACKEND", "jax")

from backmix.data.sets import plan as standard_plan
from backmix.data.sources import read
from backmix.scoring.metrics import metrics
from backmix.scoring.predictions import prediction_frame, read_sample
from backmix.training.beside import fit_baselines
from backmix.training.design import design
from backmix.training.fitting.fit import fit_network
from backmix.training.plan import Plan
from backmix.training.predict import calibrate, predict_outcome
from backmix.training.prepare import prepare
from backmix.training.prepared import Prepared

NAME = "tennessee_eastman"
PUBLISHED_RATE = 0.021
HARD = ("d03_te", "d09_te", "d15_te")
UNSEEN = {
    "8 and sixteen others unseen": (0, 1, 2, 6, 7),
    "case 1 and 0, the rest unseen": (0, 1, 2, 6, 7, 8),
    "case 2 and 0, the rest unseen": (0, 4, 5, 10, 11, 12),
}


def main() -> None:
    """Run the parts and print a section for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=("detection", "per_step", "unknown"))
    arguments = parser.parse_args()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    print(f"\n## Anomalies, labels per row and unknown faults, {datetime.now(UTC):%Y-%m-%d}\n")
    print(
        f"Command: `python benchmarks/detection.py --seeds {arguments.seeds}` · commit {commit.stdout.strip()} · "
        f"{platform.machine()}, {os.cpu_count()} cores · seeds 0 … {arguments.seeds - 1}; every window of the test "
        "part, defaults, no interval (the reports have them)."
    )
    for part in arguments.only:
        {"detection": detection, "per_step": per_step, "unknown": unknown}[part](arguments.seeds)
        sys.stdout.flush()


def detection(seeds: int) -> None:
    """Both methods beside the baselines, threshold from d00 and threshold from d00_te."""
    plan = Plan.check(standard_plan(NAME, "detection"))
    for method in ("prediction", "reconstruction"):
        prepared = prepare(read(plan.data), plan.merged({"task": {"method": method}}))
        rows: dict[str, list[dict[str, float]]] = {}
        for seed in range(seeds):
            for name, frame in _frames(prepared, seed, baselines=seed == 0).items():
                rows.setdefault(name, []).append(_detected(frame))
        print(f"\n### detection: {method} (a threshold for 1 % of normal windows at the end of d00)\n")
        _print(rows)


def _detected(frame: pd.DataFrame) -> dict[str, float]:
    """AUC, and what is found at the model's own threshold and at the published rate of false alarms."""
    sample = read_sample(frame, classes=("normal", "anomaly"), normal="normal")
    calm = frame.loc[frame["batch"] == "d00_te", "score"]
    published = float(np.quantile(calm, 1 - PUBLISHED_RATE))
    faulty = frame[frame["truth"] == "anomaly"]
    found = {
        "AUC": metrics.get("auc")(sample),
        "delay, h": metrics.get("detection_delay")(sample) / 3600,
        "false alarms on normal rows": metrics.get("false_alarm_rate")(sample),
        "false alarms on d00_te": float((calm > 1).mean()),
    }
    for title, limit in (("detected", 1.0), ("detected at 2.1 % on d00_te", published)):
        rates = (faulty["score"] > limit).groupby(faulty["batch"]).mean()
        found[title] = float(rates.mean())
        found[f"{title}, without 3, 9, 15"] = float(rates.drop(list(HARD)).mean())
    return found


def per_step(seeds: int) -> None:
    """A label per window against a label per row, judged on the same windows."""
    for protocol in ("case1", "case2"):
        rows: dict[str, list[dict[str, float]]] = {}
        for each in (False, True):
            plan = Plan.check(standard_plan(NAME, protocol)).merged({"task": {"per_step": each}})
            prepared = prepare(read(plan.data), plan)
            for seed in range(seeds):
                for name, frame in _frames(prepared, seed, baselines=not each and seed == 0).items():
                    sample = read_sample(frame, classes=prepared.task.target.classes)
                    title = name if name != "network" else f"network, a label per {'row' if each else 'window'}"
                    rows.setdefault(title, []).append({"accuracy": metrics.get("accuracy")(sample)})
        print(f"\n### per step: {protocol}\n")
        _print(rows)


def unknown(seeds: int) -> None:
    """Faults left out of training, and a gate for 1 % of known windows."""
    for title, kept in UNSEEN.items():
        task = {"reject": 0.01, "left_out": [f"fault {k}" for k in range(22) if k not in kept]}
        plan = Plan.check(standard_plan(NAME, "with_normal")).merged({"task": task})
        prepared = prepare(read(plan.data), plan)
        rows: dict[str, list[dict[str, float]]] = {}
        rates = None
        for seed in range(seeds):
            for name, frame in _frames(prepared, seed, baselines=seed == 0).items():
                sample = read_sample(frame, classes=prepared.task.target.classes, normal="normal")
                rows.setdefault(name, []).append(
                    {
                        key: metrics.get(key)(sample)
                        for key in ("unknown_recall", "false_rejection", "known_accuracy", "accuracy")
                    }
                )
                new = frame[frame["truth"] == "unknown"]
                rates = (new["prediction"] == "unknown").groupby(new["batch"]).mean()
        print(f"\n### unknown faults: {title} (taught: {', '.join(map(str, kept))})\n")
        _print(rows)
        assert rates is not None
        print(
            "\nRejected by fault, in %: "
            + ", ".join(f"{int(batch[1:3])}: {100 * rate:.0f}" for batch, rate in rates.items())
            + "."
        )


def _frames(prepared: Prepared, seed: int, *, baselines: bool) -> dict[str, pd.DataFrame]:
    """The test part in the words of a network of this seed, and of the baselines."""
    seeded = replace(prepared, plan=prepared.plan.merged({"training": {"seed": seed}}))
    chosen = design(seeded)
    fitted = fit_network(chosen.architecture, *prepared.training_samples, settings=chosen.settings)
    task, windows = calibrate(seeded, fitted.model).task, prepared.test
    said: dict[str, Any] = {"network": predict_outcome(fitted.model, task, windows)}
    if baselines:
        others = fit_baselines(task, prepared.train, prepared.validation, seed=seed).predictors
        said |= {name: task.revise(other.predict(windows), windows) for name, other in others.items()}
    return {name: prediction_frame(task, windows, outcome, model=name, part="test") for name, outcome in said.items()}


def _print(rows: dict[str, list[dict[str, float]]]) -> None:
    titles = list(next(iter(rows.values()))[0])
    print(f"| model | {' | '.join(titles)} |\n|{' --- |' * (len(titles) + 1)}")
    for name, found in rows.items():
        cells = []
        for title in titles:
            values = np.array([row[title] for row in found])
            share = title not in ("AUC", "delay, h")
            spread = f" (± {100**share * values.std(ddof=1):.2g})" if len(values) > 1 else ""
            cells.append((f"{100 * values.mean():.2f} %" if share else f"{values.mean():.3f}") + spread)
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()

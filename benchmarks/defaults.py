"""Why the defaults of a small network are what they are: scores on the VALIDATION part only.

    BACKMIX_DATA=... python benchmarks/defaults.py [--seeds 2] >> benchmarks/LOG.md

Each row is one setting of ``[model]`` or ``[training]``; each column a data set. The test parts are
not read. For classes, Tennessee Eastman faults that no published case uses are tried.
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

os.environ.setdefault("KERAS_BACKEND", "jax")

from backmix.data.ledger import Ledger
from backmix.data.plants import plan as plant_plan
from backmix.data.sets import plan as set_plan
from backmix.data.sources import read
from backmix.models.body import summaries
from backmix.scoring.metrics import metrics
from backmix.scoring.predictions import prediction_frame, read_sample
from backmix.training.design import design
from backmix.training.fitting.fit import fit_network
from backmix.training.plan import Plan
from backmix.training.predict import predict_network
from backmix.training.prepare import prepare
from backmix.training.prepared import Prepared

NUMBERS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "dropout 0.1": {"model": {"dropout": 0.1}},
    "dropout 0.3": {"model": {"dropout": 0.3}},
    "summaries": {"model": {"summaries": True}},
    "learning rate 0.003": {"training": {"learning_rate": 0.003}},
    "units 16": {"model": {"units": [16]}},
}
CLASSES: dict[str, dict[str, Any]] = {
    "as it is": {},
    "no dropout": {"model": {"dropout": 0.0, "head_dropout": 0.0}},
    "dropout 0.1": {"model": {"dropout": 0.1}},
    "head dropout 0": {"model": {"head_dropout": 0.0}},
    "no summaries": {"model": {"summaries": False, "head_dropout": 0.0}},
    "logarithms not stretched": {"stretch": 1.0},
    "learning rate 0.003": {"training": {"learning_rate": 0.003}},
}


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", choices=("numbers", "classes"), default=None)
    arguments = parser.parse_args()
    seeds = arguments.seeds
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    print(f"\n## Defaults of a small network, on validation parts only, {datetime.now(UTC):%Y-%m-%d}\n")
    print(
        f"Command: `python benchmarks/defaults.py --seeds {seeds}` · commit {commit.stdout.strip()} · "
        f"{platform.machine()}, {os.cpu_count()} cores · mean of {seeds} seeds.\n"
    )
    if arguments.only != "classes":
        _numbers(seeds)
    if arguments.only != "numbers":
        _classes(seeds)


def _numbers(seeds: int) -> None:
    debutanizer = {f"debutanizer {key}": Plan.check(set_plan("debutanizer", key)) for key in "CA"}
    _table(
        "RMSE / standard deviation of the truth (lower is better)",
        debutanizer | {"simulated tank": Plan.check(plant_plan("cstr"))},
        NUMBERS,
        seeds,
    )


def _classes(seeds: int) -> None:
    other = Plan.check(set_plan("tennessee_eastman", "all"))
    _table(
        "accuracy in % (higher is better)",
        {"Tennessee Eastman, faults 13–20": other, "simulated tank": Plan.check(plant_plan("cstr", "fault_diagnosis"))},
        CLASSES,
        seeds,
    )


def _table(title: str, plans: dict[str, Plan], changes: dict[str, dict[str, Any]], seeds: int) -> None:
    prepared = {name: _prepared(name, plan) for name, plan in plans.items()}
    print(f"{title}:\n\n| setting | {' | '.join(plans)} |\n|{' --- |' * (len(plans) + 1)}")
    for label, change in changes.items():
        cells = []
        sections = {name: fields for name, fields in change.items() if name != "stretch"}
        stretch, summaries.STRETCH = summaries.STRETCH, change.get("stretch", summaries.STRETCH)
        for ready in prepared.values():
            found = [
                _score(
                    replace(
                        ready,
                        plan=ready.plan.merged(sections).merged(
                            {"training": sections.get("training", {}) | {"seed": seed}}
                        ),
                    )
                )
                for seed in range(seeds)
            ]
            cells.append(f"{np.mean(found):.3g}")
        summaries.STRETCH = stretch
        print(f"| {label} | {' | '.join(cells)} |")
        sys.stdout.flush()
    print()


def _prepared(name: str, plan: Plan) -> Prepared:
    reading = read(plan.data)
    if "13–20" in name:
        wanted = [batch for batch in reading.table.batch_names if batch[1:3] in {str(n) for n in range(13, 21)}]
        others = [batch for batch in reading.table.batch_names if batch not in wanted]
        table = reading.table.without(*others)
        reading = replace(reading, table=table, ledger=Ledger(read=len(table)))
        plan = plan.merged({"split": {"test_batches": [batch for batch in wanted if batch.endswith("_te")]}})
    return prepare(reading, plan)


def _score(prepared: Prepared) -> float:
    chosen = design(prepared)
    fitted = fit_network(chosen.architecture, prepared.train, prepared.validation, settings=chosen.settings)
    windows, task = prepared.validation, prepared.task
    outcome = task.answer.decode(predict_network(fitted.model, windows), windows)
    sample = read_sample(
        prediction_frame(task, windows, outcome, model="network", part="validation"), classes=task.target.classes
    )
    if task.kind == "classification":
        return 100 * metrics.get("accuracy")(sample)
    return metrics.get("rmse")(sample) / float(np.nanstd(sample.truth))


if __name__ == "__main__":
    main()

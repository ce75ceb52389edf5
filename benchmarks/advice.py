"""What the rules of thumb of a course are worth, measured: cells, sizes, losses, dropout, batches, learning rates.

    BACKMIX_DATA=... python benchmarks/advice.py [--seeds 3] [--only cell,loss] [--resume] >> benchmarks/LOG.md

Every figure is an error on rows that neither taught nor chose, on one thread. ``cstr`` is the simulated reactor
with its analyses on every row, another reactor for every seed; ``cstr classes`` its faults; ``debutanizer`` the
first 1600 rows of the real column (the training and validation part of its protocols, cut anew; its test part is
not read), where a seed only changes the first weights and the order. What is compared shares data and seed.

The figures go to ``src/backmix/training/advice/measured.json`` as soon as they are known; `backmix advise` reads them
there. With ``--only`` those of other experiments stay, with ``--resume`` all that are there.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from backmix.parallel import ONE_THREAD

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.update(ONE_THREAD)

from backmix.data.ledger import Ledger
from backmix.data.plants import simulate
from backmix.data.sets import load
from backmix.data.sources import Reading
from backmix.data.table import Table
from backmix.training.advice.measured import PLACE, MeasuredRun
from backmix.training.design import design
from backmix.training.fitting.fit import fit_network
from backmix.training.plan import Plan
from backmix.training.predict import predict_outcome
from backmix.training.prepare import prepare
from backmix.training.prepared import Prepared

ROOT = Path(__file__).resolve().parent.parent
TITLE = "What the course's rules of thumb are worth"
BASE: dict[str, Any] = {
    "model": {"cell": "gru", "units": [32], "dropout": 0.0, "summaries": False, "head_dropout": 0.0},
    "training": {"epochs": 25, "patience": 6, "batch_size": 32, "learning_rate": 0.002, "loss": "mse"},
}
"""What every network has in common unless it is what is compared."""
NUMBERS = ("cstr", "debutanizer")
DAYS, FEW_DAYS = 4.0, 1.6
OUTLIERS, FAR = 0.02, 10.0
"""Share of the labels that teach and choose which are wrong, and by how many standard deviations."""
SIZES = {10: ((16,), (32,), (64,)), 30: ((32,), (64,), (32, 32)), 60: ((32,), (64, 64)), 240: ((32,), (32, 32))}
"""Units of each layer that are compared, by rows of the window."""
DECADES = 4.0
"""The wide target runs over so many powers of ten."""


@dataclass(frozen=True)
class Trial:
    """One training: which experiment, on what, with windows of how many rows, and what differs from `BASE`."""

    experiment: str
    place: str
    rows: int
    setting: str
    changes: dict[str, Any] = field(default_factory=dict)


def model(**fields: Any) -> dict[str, Any]:
    """Changes of ``[model]``."""
    return {"model": fields}


def training(**fields: Any) -> dict[str, Any]:
    """Changes of ``[training]``."""
    return {"training": fields}


def scaling(**fields: Any) -> dict[str, Any]:
    """Changes of ``[scaling]``."""
    return {"scaling": fields}


def trials() -> Iterator[Trial]:
    """All trainings, those that are compared one behind the other."""
    for place, rows in product(NUMBERS, (10, 30, 100, 240)):
        yield from (Trial("cell", place, rows, cell, model(cell=cell)) for cell in ("simple_rnn", "gru", "lstm"))
    yield from (Trial("cell_few", "cstr few", 30, cell, model(cell=cell)) for cell in ("gru", "lstm"))
    for place, rows in product(NUMBERS, (10, 30, 100)):
        yield from (
            Trial("learning_rate", place, rows, f"{rate:g}", training(learning_rate=rate))
            for rate in (1e-4, 1e-3, 1e-2)
        )
    for place in NUMBERS:
        yield from (
            Trial("learning_rate", place, 240, f"{rate:g}", training(learning_rate=rate)) for rate in (1e-4, 1e-3)
        )
        yield from (Trial("batch_size", place, 240, str(size), training(batch_size=size)) for size in (16, 64))
    for place in ("cstr", "cstr outliers", "debutanizer", "debutanizer outliers"):
        yield from (Trial("loss", place, 30, loss, training(loss=loss)) for loss in ("mse", "mae", "huber"))
    yield Trial("loss", "cstr wide", 30, "mse")
    yield from (
        Trial("loss", "cstr wide", 30, f"msle, target {scale}", training(loss="msle") | scaling(target=scale))
        for scale in ("minmax", "none")
    )
    for place in (*NUMBERS, "cstr few", "cstr many", "cstr classes"):
        yield from (Trial("dropout", place, 30, f"{rate:g}", model(dropout=rate)) for rate in (0.0, 0.2, 0.5))
        yield Trial("dropout", place, 30, "0.2 and 0.2", model(dropout=0.2, recurrent_dropout=0.2))
        yield Trial("dropout", place, 30, "head 0.2", model(head_dropout=0.2))
    for place, rows in product(NUMBERS, (30, 100)):
        yield from (
            Trial("batch_size", place, rows, str(size), training(batch_size=size)) for size in (16, 32, 64, 256)
        )
    for place, (rows, sizes) in product(NUMBERS, SIZES.items()):
        yield from (Trial("size", place, rows, "-".join(map(str, units)), model(units=list(units))) for units in sizes)
    looking = model(units=[32, 32], attention=True)
    yield from (Trial("size", place, 240, "32-32 attention", looking) for place in NUMBERS)
    for place in NUMBERS:
        yield from (Trial("shuffle", place, 30, str(value).lower(), training(shuffle=value)) for value in (True, False))


@cache
def source(place: str, seed: int) -> Table:
    """The table of a place; what is wrong in it on purpose lies in rows that teach or choose."""
    first, _, kind = place.partition(" ")
    if first == "debutanizer":
        table = load("debutanizer", "C").rows(slice(0, 1600))
        target = "y"
    else:
        days = FEW_DAYS if kind == "few" else DAYS
        table = simulate("cstr", seed=seed, days=days, faults=int(kind == "classes"), lab_every=2.0, dirt=0.0).table
        target = "C_A"
    column = np.array(table.column(target))
    if kind == "outliers":
        draw = np.random.default_rng(seed)
        wrong = np.flatnonzero(draw.random(int(0.8 * len(column))) < OUTLIERS)
        column[wrong] += FAR * np.nanstd(column) * draw.choice([-1.0, 1.0], len(wrong))
    elif kind == "wide":
        low, high = np.nanmin(column), np.nanmax(column)
        column = 10 ** (DECADES * (column - low) / (high - low))
    values = np.array(table.values)
    values[:, table.index(target)] = column
    return replace(table, values=values)


@cache
def ready(place: str, rows: int, seed: int, scale: str) -> Prepared:
    """The windows of a place; of long ones fewer, so that all take their time."""
    table = source(place, seed)
    classes = place == "cstr classes"
    target = "fault" if classes else "y" if place.startswith("debutanizer") else "C_A"
    kind = {"kind": "fault_diagnosis", "normal": "normal"} if classes else {"kind": "soft_sensor"}
    thin = 1 if place in ("cstr few", "cstr many", "debutanizer", "debutanizer outliers") else 2
    stride = thin * {100: 2, 240: 3}.get(rows, 1)
    if not classes and not place.startswith("debutanizer"):
        table = table.select([name for name in table.names if name != "fault"])
    plan = Plan.check(
        {
            "task": {**kind, "target": target},
            "scaling": {"target": scale},
            "windows": {"lookback": f"{rows} rows", "stride": f"{stride} rows"},
        }
    )
    return prepare(Reading(table, Ledger(read=len(table))), plan)


def run(trial: Trial, seed: int) -> tuple[float, float]:
    """The error on the test part, and the processor seconds of an epoch per 1000 training windows."""
    import keras

    sections = {name: dict(fields) for name, fields in BASE.items()}
    for name, fields in trial.changes.items():
        sections[name] = sections.get(name, {}) | fields
    scale = sections.pop("scaling", {}).get("target", "standard")
    if trial.place == "cstr classes":
        sections["training"].pop("loss")
    sections["training"]["seed"] = seed
    found = ready(trial.place, trial.rows, seed, scale)
    found = replace(found, plan=found.plan.merged(sections))
    chosen = design(found)
    epochs: list[float] = []
    watch = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: epochs.append(time.process_time()))
    fitted = fit_network(chosen.architecture, *found.training_samples, settings=chosen.settings, callbacks=[watch])
    told, truth = predict_outcome(fitted.model, found.task, found.test), found.test.truth()[:, 0]
    seconds = min(np.diff(epochs), default=float("nan")) * 1000 / len(found.train)
    if told.probabilities is not None:
        return float(np.mean(told.probabilities.argmax(axis=1) != truth)), seconds
    assert told.values is not None
    errors = told.values[:, 0] - truth
    if trial.place.endswith("wide"):
        return float(np.median(np.abs(errors) / truth)), seconds
    return float(np.sqrt(np.mean(errors**2)) / np.std(truth)), seconds


def measure(trial: Trial, seeds: int) -> MeasuredRun:
    """A trial with every seed."""
    results = [run(trial, seed) for seed in range(seeds)]
    windows = len(ready(trial.place, trial.rows, 0, trial.changes.get("scaling", {}).get("target", "standard")).train)
    return MeasuredRun(
        trial.experiment,
        trial.place,
        trial.rows,
        trial.setting,
        windows,
        tuple(round(error, 5) for error, _ in results),
        tuple(round(seconds, 5) for _, seconds in results),
    )


def main() -> None:
    """Measure, keep the figures in the package, and print the entry of the log."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="", help="experiments, with commas")
    parser.add_argument("--resume", action="store_true", help="keep the figures that are there")
    arguments = parser.parse_args()
    only = set(filter(None, arguments.only.split(",")))
    old = json.loads(PLACE.read_text("utf-8")) if PLACE.exists() and (only or arguments.resume) else {"figures": []}
    found = {
        key(one): one for one in map(MeasuredRun.of, old["figures"]) if arguments.resume or one.experiment not in only
    }
    date = f"{datetime.now(UTC):%Y-%m-%d}"
    document = {
        "log": f"{TITLE}, {date}",
        "command": f"python benchmarks/advice.py --seeds {arguments.seeds}",
        "commit": commit(),
        "machine": f"{platform.machine()}, 1 of {os.cpu_count()} cores",
        "date": date,
        "seeds": list(range(arguments.seeds)),
        "processor_seconds": old.get("processor_seconds", 0),
    }
    for trial in trials():
        if key(trial) in found or (only and trial.experiment not in only):
            continue
        began = time.process_time()
        found[key(trial)] = measure(trial, arguments.seeds)
        document["processor_seconds"] += round(time.process_time() - began)
        print(found[key(trial)], file=sys.stderr, flush=True)
        document["figures"] = [asdict(found[key(one)]) for one in trials() if key(one) in found]
        PLACE.write_text(written(document), "utf-8")
    print(entry(document, [found[key(one)] for one in trials() if key(one) in found]))


def key(one: Trial | MeasuredRun) -> tuple[str, str, int, str]:
    """What tells a trial from the others."""
    return one.experiment, one.place, one.rows, one.setting


def commit() -> str:
    """The commit that is measured."""
    return subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


def written(document: dict[str, Any]) -> str:
    """JSON with a figure on each line, so that changes can be read."""
    head = json.dumps({name: value for name, value in document.items() if name != "figures"}, indent=1)
    lines = ",\n".join("  " + json.dumps(one) for one in document["figures"])
    return head.rstrip("}\n") + f',\n "figures": [\n{lines}\n ]\n}}\n'


def entry(document: dict[str, Any], figures: list[MeasuredRun]) -> str:
    """The entry of the log."""
    lines = [
        f"\n## {document['log']}\n",
        f"Command: `{document['command']}` · commit {document['commit']} · {document['machine']} · "
        f"{document['processor_seconds']} s of processor time · mean ± standard deviation over "
        f"{len(document['seeds'])} seeds. Error: RMSE / standard deviation of the test part; share of wrong "
        "classes (cstr classes); median relative error (cstr wide). Seconds: processor time of an epoch per "
        "1000 training windows, its validation included.\n",
        "| experiment | data | rows | windows | setting | error | seconds |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {one.experiment} | {one.place} | {one.rows} | {one.windows} | {one.setting} | "
        f"{one.error:.3f} ± {one.spread:.3f} | {one.seconds_least:.2f} |"
        for one in figures
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()

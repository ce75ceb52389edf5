"""What the scan for dead times finds, how often it errs, how fast it is, and what it does to lookbacks.

    BACKMIX_DATA=<folder of data sets> python benchmarks/dead_times.py [sets] [plants] [chance] [speed] [lookback]

Prints tables for benchmarks/LOG.md. Only training rows are scanned; errors are those of ridge on the
validation part, the test part is not touched.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from backmix.data.delays.dead_time import Scan, scan
from backmix.data.plants import plants, simulate
from backmix.data.sets import sets
from backmix.data.sources import read
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.scoring.judgement import baseline_frame
from backmix.scoring.scores import score_table
from backmix.training import prepare as preparing
from backmix.training.advice.delays import scan_prepared
from backmix.training.beside import fit_baselines
from backmix.training.plan import Plan
from backmix.training.prepare import prepare

Floats = NDArray[np.float64]
Series = Callable[[np.random.Generator, int], Floats]
PROTOCOLS = ("debutanizer:C", "daisy_cstr:coolant_flow", "daisy_exchanger:liquid_flow", "daisy_evaporator:all_outputs")
PLANTS = {"cstr": ("C_A", (0.0, 20.0, 60.0)), "heat_exchanger": ("T_cold_out", (0.0, 12.0, 30.0))}
KINDS: dict[str, Series] = {
    "white": lambda rng, rows: rng.normal(size=rows),
    "AR(1) 0.9": lambda rng, rows: lfilter([1.0], [1.0, -0.9], rng.normal(size=rows)),
    "AR(1) 0.99": lambda rng, rows: lfilter([1.0], [1.0, -0.99], rng.normal(size=rows)),
    "random walk": lambda rng, rows: np.cumsum(rng.normal(size=rows)),
    "set points": lambda rng, rows: np.repeat(rng.normal(size=rows // 40 + 1), 40)[:rows],
    "smooth": lambda rng, rows: lfilter(np.ones(30) / 30, [1.0], lfilter([1.0], [1.0, -0.95], rng.normal(size=rows))),
}


def show(found: Scan, title: str) -> None:
    """One line per tag."""
    print(f"\n{title}: {found.labels:,} rows with a target, lags to {found.lags}")
    print("| tag | rows | onset | 95 % | strength | method | p (all lags, all tags) | finding |\n" + "| --- " * 8 + "|")
    for one in found.found:
        print(
            f"| {one.tag} | {one.rows} | {one.onset} | {one.low}–{one.high} | {one.strength:.2f} | {one.method} | "
            f"{one.p:.1g} | {'sure: ' if one.sure else ''}{one.reason} |"
        )


def real() -> None:
    """The public data sets, training rows as their protocols say."""
    for name in PROTOCOLS:
        set_name, _, protocol = name.partition(":")
        plan = Plan.model_validate(sets.get(set_name).plans[protocol])
        prepared = prepare(read(plan.data, base=Path(".")), plan)
        spec = prepared.preprocessing.spec
        inputs = [tag for tag in spec.inputs if tag not in spec.targets]
        for target in spec.targets:
            show(scan(prepared.table, inputs, target, rows=prepared.fitted_on), f"{name} → {target}")


def planted() -> None:
    """The simulated plants with delays planted."""
    for name, (target, delays) in PLANTS.items():
        for delay in delays:
            table = simulate(name, seed=0, dead_time=delay).table
            inputs = [tag.name for tag in table.tags if tag.role == "input" and tag.name != target]
            found = scan(table, inputs, target, rows=np.arange(len(table)) < 0.6 * len(table), lags=60)
            show(found, f"{name}, seed 0, dead_time = {delay:g} → {target}")


def chance() -> None:
    """Findings between series that have nothing to do with one another, in percent of the trials."""
    for rows, every in ((1500, 1), (6000, 12)):
        print(f"\n{rows} rows, a label every {every}: beyond chance | taken for sure, of all pairs with this input")
        for kind, make in KINDS.items():
            trials = beyond = sure = 0
            for seed in range(10):
                for number, other in enumerate(KINDS.values()):
                    rng = np.random.default_rng([seed, number, rows])
                    y = other(rng, rows)
                    y[np.arange(rows) % every != 0] = np.nan
                    table = Table(np.column_stack([make(rng, rows), y]), (Tag("x"), Tag("y", role="target")))
                    one = scan(table, ["x"], "y", rows=np.ones(rows, bool), lags=60).found[0]
                    trials, sure = trials + 1, sure + one.sure
                    beyond += one.reason not in ("nothing", "smooth", "slow")
            print(f"| {kind} | {trials} | {100 * beyond / trials:.1f} % | {100 * sure / trials:.1f} % |")


def speed() -> None:
    """100 tags, 120 lags, 20,000 rows; three tags matter."""
    rng = np.random.default_rng(0)
    x = lfilter([1.0], [1.0, -0.9], rng.normal(size=(20_000, 100)), axis=0)
    y = 2 * rng.normal(size=20_000)
    for at, delay in enumerate((3, 50, 117)):
        y[delay:] += x[:-delay, at]
    table = Table(np.column_stack([x, y]), (*(Tag(f"x{n}") for n in range(100)), Tag("y", role="target")))
    begin, used = time.perf_counter(), time.process_time()
    found = scan(table, table.names[:-1], "y", rows=np.ones(20_000, bool))
    print(
        f"\n100 tags × 120 lags × 20,000 rows: {time.perf_counter() - begin:.1f} s, processor "
        f"{time.process_time() - used:.1f} s; sure: {[(one.tag, one.rows) for one in found.sure]}"
    )


def lookback() -> None:
    """Lookback "auto" with and without the scan, and what ridge makes of it on the validation part."""
    plans = {
        name: Plan.model_validate(sets.get(name.partition(":")[0]).plans[name.partition(":")[2]])
        for name in PROTOCOLS[:3]
    }
    plans["daisy_evaporator:dry_matter"] = Plan.model_validate(sets.get("daisy_evaporator").plans["dry_matter"])
    plans["cstr"] = Plan.model_validate(plants.get("cstr").plans["soft_sensor"])
    late = simulate("cstr", seed=0, dead_time=60.0).table
    print("\n| data | rule | lookback | validation error of ridge |\n| --- | --- | --- | --- |")
    usual = preparing.scan_rows
    for name, plan in (*plans.items(), ("cstr, dead_time = 60", plans["cstr"])):
        auto = plan.windows.model_copy(update={"lookback": "auto"})
        plan = plan.model_copy(update={"windows": auto})
        reading = read(plan.data, base=Path("."))
        if name.startswith("cstr,"):
            reading = type(reading)(table=late, ledger=reading.ledger)
        for rule in ("without the scan", "with the scan"):
            preparing.scan_rows = usual if rule == "with the scan" else lambda *_: None
            prepared = prepare(reading, plan)
            fitted = fit_baselines(prepared.task, prepared.train, prepared.validation, names=("ridge",))
            rows = score_table(
                baseline_frame(fitted, prepared.task, {"validation": prepared.validation}), prepared.task
            )
            error = next(row for row in rows if row.model == "ridge" and row.part == "validation")
            print(f"| {name} | {rule} | {prepared.preprocessing.spec.lookback} | {error.text()} |")
        preparing.scan_rows = usual
        assert scan_prepared(prepared) is not None


if __name__ == "__main__":
    parts = {"sets": real, "plants": planted, "chance": chance, "speed": speed, "lookback": lookback}
    for wanted in sys.argv[1:] or parts:
        parts[wanted]()

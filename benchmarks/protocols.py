"""Default models on public protocols, several seeds, beside all baselines.

    BACKMIX_DATA=... python benchmarks/protocols.py [--seeds 5] [--only debutanizer:C ...] >> benchmarks/LOG.md

Nothing is tuned here: every run is the standard plan of the data set. The baselines do not depend
on the seed of the network and are fitted once (with seed 0). Results are printed as Markdown.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime

import numpy as np

os.environ.setdefault("KERAS_BACKEND", "jax")

from backmix.data.sets import plan as standard_plan
from backmix.data.sources import read
from backmix.scoring.judgement import score_baselines
from backmix.training.design import design
from backmix.training.fitting.fit import fit_network
from backmix.training.plan import Plan
from backmix.training.prepare import prepare

PROTOCOLS = ("debutanizer:C", "debutanizer:A", "tennessee_eastman:case1", "tennessee_eastman:case2")


def main() -> None:
    """Run the protocols and print a section for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=PROTOCOLS)
    arguments = parser.parse_args()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    print(f"\n## Default models on public protocols, {datetime.now(UTC):%Y-%m-%d}\n")
    print(
        f"Command: `python benchmarks/protocols.py --seeds {arguments.seeds}` · commit {commit.stdout.strip()} · "
        f"{platform.machine()}, {os.cpu_count()} cores · seeds 0 … {arguments.seeds - 1}. "
        "Brackets: 95 % block-bootstrap interval.\n"
    )
    for protocol in arguments.only:
        _report(protocol, arguments.seeds)
        sys.stdout.flush()


def _report(protocol: str, seeds: int) -> None:
    name, _, key = protocol.partition(":")
    plan = Plan.check(standard_plan(name, key))
    prepared = prepare(read(plan.data), plan)
    metric = prepared.task.judging.metrics[0]
    beside = score_baselines(prepared)
    values, seconds, verdicts, rows = [], [], [], ()
    for seed in range(seeds):
        seeded = prepared.__class__(**{**vars(prepared), "plan": plan.merged({"training": {"seed": seed}})})
        chosen = design(seeded)
        begin = time.perf_counter()
        fitted = fit_network(chosen.architecture, *prepared.training_samples, settings=chosen.settings)
        seconds.append(time.perf_counter() - begin)
        judged = beside.judge(fitted.model, name="network")
        rows = [row for row in judged.scores if row.part == "test" and row.metric == metric]
        values.append(next(row for row in rows if row.model == "network"))
        verdicts.append(judged.verdict.outcome)
    shape = f"{chosen.architecture.cell} {'-'.join(map(str, chosen.architecture.units))}"
    shape += " with window statistics" if chosen.architecture.summaries else ""
    print(f"### {protocol} — {metric}, {values[0].windows} test windows\n")
    print("| model | score |\n| --- | --- |")
    found = np.array([row.value for row in values])
    factor = 100 if values[0].share else 1
    sign = " %" if values[0].share else ""
    print(
        f"| {shape}: mean of {seeds} seeds (standard deviation) | {factor * found.mean():.4g}{sign} "
        f"({factor * found.std(ddof=1) if seeds > 1 else 0:.2g}) |"
    )
    for seed, row in enumerate(values):
        print(f"| — seed {seed} | {row.text()} |")
    for row in rows:
        if row.model != "network":
            print(f"| {row.model} | {row.text()} |")
    print(f"\nVerdicts: {', '.join(verdicts)}. Training {np.median(seconds):.0f} s a seed (median).\n")


if __name__ == "__main__":
    main()

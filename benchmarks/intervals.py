"""Intervals of predictions: coverage and width, as calibrated and following the plant.

    BACKMIX_DATA=... python benchmarks/intervals.py [--only debutanizer:C ...] [--level 0.9] >> benchmarks/LOG.md

Real data: the standard plan of each protocol, trained once with seed 0, intervals calibrated on its validation
part. Simulated: errors of a soft sensor (autocorrelated noise) on a plant that stays, drifts or jumps, beside
the published rules: adaptive levels (Gibbs & Candès 2021), several of them weighted (DtACI, 2024) and one tracked
quantile (Angelopoulos et al. 2023). Results are printed as Markdown.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

os.environ.setdefault("KERAS_BACKEND", "jax")

from backmix.data.sets import plan as standard_plan
from backmix.models.intervals.adaptive import Adaptive, PredictionSeries, follow
from backmix.models.intervals.conformal import Scores
from backmix.scoring.coverage import Coverage, check_coverage
from backmix.scoring.prediction_intervals import IntervalSettings, calibrate, lateness
from backmix.scoring.scores import Sampling
from backmix.training.plan import Plan
from backmix.workflow import fit

PROTOCOLS = (
    "debutanizer:C",
    "debutanizer:A",
    "tennessee_eastman:case1",
    "cmapss_fd001:uncapped",
    "cmapss_fd001:capped",
)
KNOWN, ROWS, RECENT = 600, 1800, 200
Floats = NDArray[np.float64]
Rule = Callable[[Floats, Floats, float, int], Floats]


def main() -> None:
    """Print a table for the real data and one for the simulated plants."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=PROTOCOLS)
    parser.add_argument("--level", type=float, default=0.9)
    arguments = parser.parse_args()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    print(f"\n## Intervals around predictions, {datetime.now(UTC):%Y-%m-%d}\n")
    print(
        f"Command: `python benchmarks/intervals.py --level {arguments.level:g}` · commit {commit.stdout.strip()} · "
        f"seed 0. Asked: {arguments.level:.0%} of the results inside. Brackets: 95 % block-bootstrap interval.\n"
    )
    print("| protocol | units | rows | interval | inside | mean width or classes |")
    print("| --- | --- | --- | --- | --- | --- |")
    for protocol in arguments.only:
        _real(protocol, arguments.level)
        sys.stdout.flush()
    _simulated(arguments.level)


def _real(protocol: str, level: float) -> None:
    name, _, key = protocol.partition(":")
    with tempfile.TemporaryDirectory() as folder:
        run = fit(None, Plan.check(standard_plan(name, key)), folder=Path(folder) / "run", quiet=True)
        preprocessing = run.bundle.preprocessing
        frame = run.predictions.drop(columns=["low", "high", "set"], errors="ignore")
    settings = IntervalSettings(run.summary["network"], level, late=lateness(preprocessing.spec))
    calibrated = calibrate(frame, preprocessing.task, settings)
    assert calibrated is not None
    found = check_coverage(frame, preprocessing.task, calibrated, settings, Sampling())
    for row in found.rows:
        part = row.part + (f", {row.label}" if row.label else "")
        print(
            f"| {protocol} | {calibrated.unit} | {part} ({row.windows:,}) | {row.method} | {_share(row)} | "
            f"{row.size:.3g} {row.unit}{f', {row.empty:.1%} empty' if row.empty is not None else ''} |"
        )
    stages = [group for group in found.groups if group.method == "split"]
    if stages:
        print(
            f"\n{protocol}, by stage (prediction from: width, inside): "
            + "; ".join(f"{group.place:.3g}: {group.size:.3g}, {group.share:.1%}" for group in stages)
            + "\n"
        )


def _share(row: Coverage) -> str:
    ends = f" [{row.low:.1%}, {row.high:.1%}]" if row.low is not None else ""
    return f"{row.share:.1%}{ends}"


def _simulated(level: float) -> None:
    print(
        "\n| simulated plant | results late by | rule | inside | worst 100 rows | mean width | infinite |\n"
        "| --- | --- | --- | --- | --- | --- | --- |"
    )
    rng = np.random.default_rng(0)
    for plant, change in PLANTS.items():
        for late in (0, 50):
            errors = np.abs(change(_autocorrelated(rng)))
            for rule, radii in RULES.items():
                _row(plant, late, rule, radii(errors[:KNOWN], errors[KNOWN:], 1.0 - level, late), errors[KNOWN:])


def _row(plant: str, late: int, rule: str, radii: Floats, errors: Floats) -> None:
    inside, told = errors <= radii, np.isfinite(radii)
    worst = np.lib.stride_tricks.sliding_window_view(inside, 100).mean(axis=1).min()
    print(
        f"| {plant} | {late} rows | {rule} | {inside.mean():.1%} | {worst:.0%} | {2 * radii[told].mean():.2f} | "
        f"{1 - told.mean():.1%} |"
    )


def _autocorrelated(rng: np.random.Generator) -> Floats:
    """Standard normal errors with a correlation of 0.8 from row to row."""
    noise, found = rng.normal(size=KNOWN + ROWS), np.zeros(KNOWN + ROWS)
    for row in range(1, len(found)):
        found[row] = 0.8 * found[row - 1] + 0.6 * noise[row]
    return found


def _since(values: Floats) -> Floats:
    return np.concatenate([np.zeros(KNOWN), values])


PLANTS: dict[str, Callable[[Floats], Floats]] = {
    "stays": lambda errors: errors,
    "noise grows fourfold": lambda errors: errors * (1 + _since(np.linspace(0, 3, ROWS))),
    "bias of 3 after a third": lambda errors: errors + 3 * _since((np.arange(ROWS) > ROWS // 3).astype(float)),
    "bias drifts to 6": lambda errors: errors + _since(np.linspace(0, 6, ROWS)),
}


def _split(known: Floats, new: Floats, alpha: float, late: int) -> Floats:
    return np.full(len(new), Scores.of(known).radius(1.0 - alpha))


def _ours(known: Floats, new: Floats, alpha: float, late: int) -> Floats:
    radius = Scores.of(known).radius(1.0 - alpha)
    at, adaptive = np.arange(len(new)), Adaptive(1.0 - alpha)
    course = PredictionSeries(np.zeros(len(new)), new, np.full(len(new), radius), at, at + late)
    ends, _ = follow(adaptive, course, adaptive.start((known[-RECENT:] / radius).tolist()))
    return ends[:, 1]


def _levels(*steps: float) -> Rule:
    """Levels adapted with these steps, on the scores of the newest rows (DtACI with several, ACI with one)."""

    def rule(known: Floats, new: Floats, alpha: float, late: int) -> Floats:
        count, recent = len(steps), list(known[-RECENT:])
        at, weights = np.full(count, alpha), np.full(count, 1.0 / count)
        eta = np.sqrt(0.03 * (np.log(count * 100) + 2) / ((1 - alpha) ** 2 * alpha**3 + alpha**2 * (1 - alpha) ** 3))
        found, given = np.empty(len(new)), []
        for row in range(len(new)):
            back = row - max(late, 1)
            if back >= 0:
                scores, levels = given[back]
                beta = (1 + (scores >= new[back]).sum()) / (len(scores) + 1)
                weights = weights * np.exp(-eta * (alpha * (beta - levels) - np.minimum(0, beta - levels)))
                weights = 0.995 * weights / weights.sum() + 0.005 / count
                at = at + np.array(steps) * (alpha - (levels > beta))
                recent = [*recent, new[back]][-RECENT:]
            given.append((np.array(recent), at))
            used = float(weights @ at / weights.sum())
            found[row] = np.inf if used <= 0 else Scores.of(recent).radius(1.0 - used) if used < 1 else 0.0
        return found

    return rule


def _tracked(step: float) -> Rule:
    """One quantile tracked with one step, in shares of the largest recent score."""

    def rule(known: Floats, new: Floats, alpha: float, late: int) -> Floats:
        radius, recent, found = Scores.of(known).radius(1.0 - alpha), list(known[-RECENT:]), np.empty(len(new))
        for row in range(len(new)):
            back = row - max(late, 1)
            if back >= 0:
                radius = max(radius + step * max(recent) * (float(new[back] > found[back]) - alpha), 0.0)
                recent = [*recent, new[back]][-RECENT:]
            found[row] = radius
        return found

    return rule


RULES: dict[str, Rule] = {
    "split": _split,
    "adaptive (ours: tracked, four speeds weighted)": _ours,
    "tracked, step 0.05": _tracked(0.05),
    "adaptive levels, step 0.01": _levels(0.01),
    "adaptive levels, step 0.03": _levels(0.03),
    "adaptive levels, eight steps weighted (DtACI)": _levels(0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128),
}


if __name__ == "__main__":
    main()

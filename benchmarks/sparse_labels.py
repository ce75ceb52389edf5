"""The debutanizer with a laboratory: y sampled every 10 rows and reported 10 rows later (mode D).

    BACKMIX_DATA=... python benchmarks/sparse_labels.py >> benchmarks/LOG.md

Linear baselines with the last reported value, with and without its age. Three questions that are easily mixed up:
what is learned from and judged by (the labels alone, or y of every row, which no plant has), and what is known
(every tenth row, or all of them, 10 rows late). Results are printed as Markdown.
"""

from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from backmix.data.ledger import Ledger
from backmix.data.reported import report_tag, seconds
from backmix.data.sets import load
from backmix.data.sets import plan as standard_plan
from backmix.data.sources import Reading
from backmix.data.table import Table
from backmix.training.beside import fit_baselines
from backmix.training.plan import Plan
from backmix.training.prepare import prepare

EVERY = 10
LOOKBACKS = (5, 10, 20, 41)
PAST: dict[str, dict[str, Any]] = {
    "last value": {"count": 1},
    "last value and age": {"count": 1, "age": True},
    "last values of 5 rows": {"count": 5},
}
MODELS = ("last_value", "ridge", "pls")


def main() -> None:
    """Print the table."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    print(f"\n## Debutanizer with a laboratory (mode D), {datetime.now(UTC):%Y-%m-%d}\n")
    print(f"Command: `python benchmarks/sparse_labels.py` · commit {commit.stdout.strip()} · RMSE on the test part.\n")
    print(f"| judged by | y known | past targets | model | {' | '.join(f'lookback {rows}' for rows in LOOKBACKS)} |")
    print(f"| --- | --- | --- | --- | {' | '.join('---' for _ in LOOKBACKS)} |")
    for judged, known, table in _tables():
        for words, past in PAST.items():
            scores = [_scores(table, rows, {"known": "reported", **past}) for rows in LOOKBACKS]
            for model in MODELS:
                cells = " | ".join(f"{score[model]:.4f}" for score in scores)
                print(f"| {judged} | {known} | {words} | {model} | {cells} |")


def _tables() -> list[tuple[str, str, Table]]:
    """The set with a clock of one row a minute and the report times of three laboratories."""
    plain = load("debutanizer", "C")
    rows = np.arange(len(plain))
    time = np.datetime64("2000-01-01", "ns") + rows * np.timedelta64(1, "m")
    late = seconds(time) + 60.0 * EVERY
    sampled = rows % EVERY == 0
    y = plain.column("y")

    def table(label: Any, report: Any) -> Table:
        values = np.column_stack([plain.values[:, :-1], label, report])
        return replace(plain, values=values, tags=(*plain.tags, report_tag("y")), time=time)

    return [
        ("labels only", "every 10th row", table(np.where(sampled, y, np.nan), np.where(sampled, late, np.nan))),
        ("every row", "every 10th row", table(y, np.where(sampled, late, np.nan))),
        ("every row", "every row", table(y, late)),
    ]


def _scores(table: Table, lookback: int, past: dict[str, Any]) -> dict[str, float]:
    document = standard_plan("debutanizer", "C")
    document["task"] = {"kind": "soft_sensor", "target": "y", "past_targets": past}
    document["windows"] = {"lookback": lookback}
    prepared = prepare(Reading(table, Ledger(len(table))), Plan.check(document))
    truth = prepared.test.truth()[:, 0]
    found = {}
    for name in MODELS:
        outcome = (
            fit_baselines(prepared.task, prepared.train, prepared.validation, names=[name])
            .predictors[name]
            .predict(prepared.test)
        )
        assert outcome.values is not None
        found[name] = float(np.sqrt(((outcome.values[:, 0] - truth) ** 2).mean()))
    return found


if __name__ == "__main__":
    main()

"""What a verdict says of the paths of a forecast, row by row and in free run.

This module compares the model with the baseline of its verdict at every row of the path, and with ARX where both run
freely on their own answers. A model that loses in free run, or at most rows of the path, is not called better.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from backmix.decision import Decision
from backmix.scoring.predictions import FREE_RUN, RIVAL
from backmix.scoring.verdict import SAME, Verdict
from backmix.tasks.contract.optional import BOUNDED, MARGIN

if TYPE_CHECKING:
    import pandas as pd


def with_paths(verdict: Verdict, frame: pd.DataFrame) -> Verdict:
    """The verdict with what is true of the rows of the path and of free runs; other verdicts are as they were."""
    if verdict.network is None or verdict.baseline is None or verdict.note is not None:
        return verdict
    mine, baseline = verdict.network.model, verdict.baseline.model
    test = frame[frame["part"] == "test"]
    by_row = _errors(test, "horizon")
    if len(by_row) < 2 or mine not in by_row or baseline not in by_row:
        return verdict
    won = int((by_row[mine] <= by_row[baseline] * (1.0 + SAME)).sum())
    values: dict[str, object] = {"won": won, "count": len(by_row)}
    key, lost = "evaluation.paths_rows", 2 * won < len(by_row)
    free = _errors(frame[frame["part"] == FREE_RUN], "part")
    if mine in free and RIVAL in free:
        own, other = float(free[mine].iloc[0]), float(free[RIVAL].iloc[0])
        values |= {"own": f"{own:.3g}", "other": f"{other:.3g}"}
        key, lost = "evaluation.paths_free", lost or not own <= other * (1.0 + SAME)
    bounded = _bounded(frame[(frame["model"] == mine) & frame["part"].isin(["test", FREE_RUN])])
    if bounded:
        key += "_bounded"
        values |= {"bounded": f"{100 * bounded:.2g}", "margin": f"{100 * MARGIN:.0f}"}
    note = Decision(won, key, values, setting="paths")
    if lost and verdict.outcome == "better":
        return replace(verdict, outcome="maybe_better", worth=None, note=note)
    return replace(verdict, note=note)


def _errors(rows: pd.DataFrame, by: str) -> pd.DataFrame:
    """RMSE per ``by`` and model, in spreads of each target, over the rows that every model has answered."""
    off = rows["prediction"].astype(float) - rows["truth"].astype(float)
    spread = rows.groupby("target")["truth"].transform(lambda truth: float(np.std(truth.astype(float))) or 1.0)
    squared = (off / spread.astype(float)) ** 2
    table = squared.groupby([rows[by], rows["model"]]).mean().unstack("model")
    return table**0.5


def _bounded(rows: pd.DataFrame) -> float:
    """The share of rows of paths that were brought to the bounds."""
    if BOUNDED not in rows or not len(rows):
        return 0.0
    paths = rows.groupby(["part", "origin"]).agg(count=("horizon", "nunique"), bounded=(BOUNDED, "max"))
    return float(np.nansum(paths["bounded"]) / max(1, paths["count"].sum()))

"""A finished run.

This module defines `Run`, what `backmix.fit` returns and what is read back from the folder of a run.
"""

from __future__ import annotations

from pathlib import Path

from backmix.results.claim import SUMMARY
from backmix.results.folders import ModelFolder


class Run(ModelFolder):
    """A finished run: its folder and the summary kept there.

    summary: verdict (per language), scores, choices, splits, rows, environment ... ready for JSON
    predictions: of network and baselines on the validation and test parts
    """

    bundle_name = "model.backmix"
    summary_name = SUMMARY
    needed = frozenset({"network", "verdict", "scores", "best_baseline", "test_rows_id", "rows"})
    missing = "workflow.no_run"
    damaged = "workflow.damaged_run"

    def save(self, path: Path | str) -> Path:
        """Write the bundle to ``path`` (``soft_sensor.backmix``), whole or not at all; returns the path."""
        return self.bundle.save(path)

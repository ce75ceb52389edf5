"""What a batch will turn out to be: its final quality, while it runs and when it has ended.

This module is the batch-quality task. The label is the last value that the laboratory reports of a
batch, on all its rows; the prediction is the final quality at every row, never the next sample. The
verdict is about the predictions at the end of each batch; those of running batches stand beside it, so
that one sees from when on they can be used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from backmix.data.progress import complete, every_row, last_value, passed, share
from backmix.data.table import Table
from backmix.data.windows import Windows
from backmix.decision import Decision
from backmix.tasks import TaskPlan, tasks
from backmix.tasks.batches import BatchRegression


class BatchQualityPlan(TaskPlan):
    """``[task]`` of a batch quality: one or several laboratory columns.

    With ``[windows] lookback = "elapsed"`` (the default) there is a prediction at every row of a running batch;
    with "batch" one for each finished batch.
    """

    kind: Literal["batch_quality"] = "batch_quality"


@tasks.register("batch_quality")
@dataclass(frozen=True)
class BatchQuality(BatchRegression):
    """Regression of the final quality of a batch from what has been seen of it."""

    settings: BatchQualityPlan

    name = "batch_quality"
    Settings = BatchQualityPlan
    metrics = ("rmse", "mae", "r2", "bias", "max_error")
    baselines = ("mean", "ridge", "pls_evolving", "trees")
    figures = ("scores", "quality_progress", "error_by_share", "parity", "residuals", "learning")
    lookback = "elapsed"
    stage = "elapsed"

    @classmethod
    def derive(cls, table: Table, settings: TaskPlan, *, targets: bool) -> Table:
        if targets:
            for name in settings.targets:
                table = table.with_columns([table.tag(name)], last_value(table, name))
        return table

    def training_samples(self, windows: Windows) -> Windows:
        return every_row(windows) if windows.spec.growing else windows

    def judged(self, windows: Windows) -> Windows:
        return windows.subset(complete(windows))

    def choosing(self, windows: Windows) -> Windows:
        return windows.subset(complete(windows))

    def facts(self, windows: Windows) -> Mapping[str, NDArray[Any]]:
        return {"elapsed": self.elapsed(windows), "share": share(windows)}

    def elapsed(self, windows: Windows) -> NDArray[np.float64]:
        unit = "rows" if windows.table.time is None else "min"
        return passed(windows.table, unit)[windows.origins]

    @property
    def convention(self) -> Decision:
        return Decision("last", "course.quality_judged", {})

    def remarks(self, train: Windows) -> tuple[Decision, ...]:
        return (
            Decision(", ".join(self.settings.targets), "course.quality_label", {}, setting="task.target"),
            self.convention,
        )

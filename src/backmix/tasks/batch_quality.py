"""What a batch will turn out to be: its final quality, while it runs and when it has ended.

This module is the batch-quality task. The label is the last value that the laboratory reports of a
batch, on all its rows; the prediction is the final quality at every row, never the next sample. The
verdict is about the predictions at the end of each batch; those of running batches stand beside it, so
that one sees from when on they can be used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from numpy.typing import NDArray

from backmix.data.table import Table
from backmix.data.windows.progress import every_row, last_value, share
from backmix.data.windows.windows import Windows
from backmix.decision import Decision
from backmix.tasks import Regression, TaskPlan, tasks
from backmix.tasks.contract import Judging, Presentation
from backmix.tasks.shared.batches import BatchTarget, elapsed, last_windows

JUDGED_AT_END = Decision("last", "course.quality_judged", {})
"""The convention that scores are read by."""


class BatchQualityPlan(TaskPlan):
    """``[task]`` of a batch quality: one or several laboratory columns.

    With ``[windows] lookback = "elapsed"`` (the default) there is a prediction at every row of a running batch;
    with "batch" one for each finished batch.
    """

    kind: Literal["batch_quality"] = "batch_quality"


class BatchQualityTarget(BatchTarget):
    """The last value that is reported of a batch, on all its rows."""

    auto_lookback = "elapsed"

    def with_labels(self, table: Table) -> Table:
        for name in self.settings.targets:
            table = table.with_columns([table.tag(name)], last_value(table, name))
        return table

    def training_samples(self, windows: Windows) -> Windows:
        return every_row(windows) if windows.spec.growing else windows


class BatchQualityJudging(Judging):
    """The error at the end of each batch."""

    metrics = ("rmse", "mae", "r2", "bias", "max_error")
    baselines = ("mean", "ridge", "pls_evolving", "trees")
    stage = "elapsed"
    convention = JUDGED_AT_END

    def test_windows(self, windows: Windows) -> Windows:
        return last_windows(windows)

    def selection_windows(self, windows: Windows) -> Windows:
        return last_windows(windows)

    def frame_columns(self, windows: Windows) -> Mapping[str, NDArray[Any]]:
        return {"elapsed": elapsed(windows), "share": share(windows)}


class BatchQualityPresentation(Presentation):
    """How the prediction settles while a batch runs."""

    figures = ("scores", "quality_progress", "error_by_share", "parity", "residuals", "learning")

    def remarks(self, train: Windows) -> tuple[Decision, ...]:
        names = ", ".join(self.target.settings.targets)
        return (Decision(names, "course.quality_label", {}, setting="task.target"), JUDGED_AT_END)


@tasks.register("batch_quality", title={"en": "batch quality", "zh_TW": "批次品質"})
class BatchQuality(Regression):
    """Regression of the final quality of a batch from what has been seen of it."""

    Settings = BatchQualityPlan
    Target = BatchQualityTarget
    Judging = BatchQualityJudging
    Presentation = BatchQualityPresentation

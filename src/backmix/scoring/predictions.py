"""Predictions beside the truth.

This module lays predictions out as a frame, one row per window and target, in the plant's units.
All scores are computed from this frame alone, so that any model can be judged that fills one.

    model, part, target   which model, which part of the split, which target tag
    time                  time of the predicted row, in the zone of the table or UTC (NaT without a clock)
    batch                 its batch (None without batches)
    origin, horizon       row at which the prediction was made, and how many rows ahead it looks
    truth, prediction     numbers in the target's unit, or names of classes
    p:<class>             probability of each class, for a classification

A task may add columns of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

    from backmix.data.windows.windows import Windows
    from backmix.tasks import Outcome, Task

COLUMNS = ("model", "part", "target", "time", "batch", "origin", "horizon", "truth", "prediction")
"""The columns of every prediction frame; a classification adds ``p:<class>``."""

FREE_RUN = "free_run"
"""The part of a prediction frame that holds free runs."""
RIVAL = "arx"
"""The baseline that is run freely beside the network."""

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


def prediction_frame(task: Task, windows: Windows, outcome: Outcome, *, model: str, part: str) -> pd.DataFrame:
    """The frame of one model's outcome for W windows with K horizons and G targets: W·K·G rows, window by window.

    The truth is missing (NaN or None) where it is not known, as in live prediction.
    """
    import pandas as pd

    names = [tag.name for tag in task.targets]
    horizons, count, width = windows.spec.horizons, len(windows), len(names)
    rows = _predicted_rows(windows)  # (W, K)
    each = len(horizons) * width
    truth = _truth(windows, rows, names)
    columns: dict[str, Any] = {
        "model": model,
        "part": part,
        "target": np.tile(np.array(names, dtype=object), count * len(horizons)),
        "time": _in_zone(np.repeat(_times(windows, rows.reshape(-1)), width), windows.table.time_zone),
        "batch": np.repeat(_batches(windows), each),
        "origin": np.repeat(np.asarray(windows.origins, dtype=np.int64), each),
        "horizon": np.tile(np.repeat(np.array(horizons, dtype=np.int64), width), count),
    }
    if task.kind == "regression":
        assert outcome.values is not None
        columns["truth"] = truth.ravel()
        columns["prediction"] = np.asarray(outcome.values, dtype=np.float64).reshape(count * each)
    else:
        assert outcome.probabilities is not None
        columns["truth"] = _class_names(truth[:, 0, 0], task.target.classes)
        columns["prediction"] = _class_names(_winner(outcome.probabilities), task.target.classes)
        for code, name in enumerate(task.target.classes):
            columns[f"p:{name}"] = np.asarray(outcome.probabilities[:, code], dtype=np.float64)
    known = task.judging.frame_columns(windows) if windows.spec.need_target else {}
    for name, values in {**known, **outcome.columns}.items():
        columns[name] = np.repeat(values, each)
    return pd.DataFrame(columns, index=pd.RangeIndex(count * each))


def _winner(probabilities: NDArray[Any]) -> Floats:
    """(B,) the code of the likeliest class; NaN where the model gave no answer."""
    answered = np.isfinite(probabilities).all(axis=1)
    best = np.argmax(np.where(answered[:, None], probabilities, 0.0), axis=1)
    return np.where(answered, best, np.nan)


def _class_names(codes: Floats, classes: tuple[str, ...]) -> NDArray[np.object_]:
    named = np.full(len(codes), None, dtype=object)
    known = np.isfinite(codes)
    named[known] = np.array(classes, dtype=object)[codes[known].astype(np.int64)]
    return named


def _in_zone(times: NDArray[np.datetime64], name: str | None) -> pd.DatetimeIndex:
    import pandas as pd

    from backmix.data.notation.clock import zone

    index = pd.DatetimeIndex(times, tz="UTC")
    return index if name is None else index.tz_convert(zone(name))


def _times(windows: Windows, rows: NDArray[np.int64]) -> NDArray[np.datetime64]:
    """The time of every predicted row; past the end of the table the clock is continued by its step."""
    table = windows.table
    if table.time is None or len(table) == 0:
        return np.full(len(rows), np.datetime64("NaT"), dtype="datetime64[ns]")
    last = np.minimum(rows, len(table) - 1)
    times: NDArray[np.datetime64] = np.asarray(table.time)[last]
    beyond = rows - last
    if beyond.any():
        step = table.step
        ahead = (
            np.full(len(rows), np.timedelta64("NaT", "ns"))
            if step is None
            else (np.round(beyond * step * 1e9).astype("timedelta64[ns]"))
        )
        times = np.where(beyond > 0, times + ahead, times)
    return times


def _predicted_rows(windows: Windows) -> NDArray[np.int64]:
    """The rows that each window predicts, (W, K), which may lie past the end of the table."""
    if windows.lengths is not None:
        return np.asarray(windows.target_rows, dtype=np.int64)[:, None]
    return np.asarray(windows.origins, dtype=np.int64)[:, None] + np.array(windows.spec.horizons, dtype=np.int64)


def _truth(windows: Windows, rows: NDArray[np.int64], names: list[str]) -> Floats:
    """The targets at the predicted rows (W, K), (W, K, G); NaN where they are not known (yet)."""
    table = windows.table
    truth = np.full((*rows.shape, len(names)), np.nan)
    known = rows < len(table)
    if table.batch is not None:  # a horizon beyond the end of a batch is not in the next one
        codes = np.asarray(table.batch)
        known &= codes[np.minimum(rows, len(table) - 1)] == codes[np.asarray(windows.origins)][:, None]
    for k, name in enumerate(names):
        if name in table.names:
            truth[known, k] = np.asarray(table.column(name))[rows[known]]
    return truth


def _batches(windows: Windows) -> NDArray[np.object_]:
    table = windows.table
    if table.batch is None:
        return np.full(len(windows), None, dtype=object)
    codes = np.asarray(table.batch)[np.asarray(windows.origins, dtype=np.int64)]
    return np.array(table.batch_names, dtype=object)[codes]


@dataclass(frozen=True, eq=False)
class Sample:
    """What the metrics read: n windows of one model, one part and one target, in order.

    truth, prediction: (n,) float64 in the target's unit, or class codes as float64
    probabilities: (n, C), or None; classes: the C class names, () for regression
    normal: the code of normal operation, or None when no class is named so
    focus: the code of the class that a metric per class is about
    runs: (n,) codes of the stretch (batch) in which each window lies; windows of one stretch stand together
    places: (n,) seconds when ``clock``, else row numbers
    made: (n,) the row at which each prediction was made; the rows of one path share theirs
    facts: (n,) further columns of numbers that the task put into the frame, by name
    """

    truth: Floats
    prediction: Floats
    runs: Codes
    places: Floats
    made: Codes
    clock: bool = False
    probabilities: Floats | None = None
    classes: tuple[str, ...] = ()
    normal: int | None = None
    focus: int | None = None
    facts: Mapping[str, Floats] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.truth)

    def take(self, which: NDArray[Any]) -> Sample:
        """Some of the windows, by mask or positions in order."""
        probabilities = None if self.probabilities is None else self.probabilities[which]
        return replace(
            self,
            truth=self.truth[which],
            prediction=self.prediction[which],
            runs=self.runs[which],
            places=self.places[which],
            made=self.made[which],
            probabilities=probabilities,
            facts={name: values[which] for name, values in self.facts.items()},
        )

    @cached_property
    def usable(self) -> NDArray[np.bool_]:
        """(n,) windows with both a truth and a prediction."""
        return np.isfinite(self.truth) & np.isfinite(self.prediction)

    @cached_property
    def paths(self) -> Codes:
        """(n,) the number of the window of each row, counted from 0; the rows of one path share theirs."""
        fresh = (self.runs[1:] != self.runs[:-1]) | (self.made[1:] != self.made[:-1])
        return np.cumsum(np.concatenate([[False], fresh])) if len(self) else np.zeros(0, np.int64)

    @property
    def windows(self) -> int:
        """How many windows were answered; a path of many rows is one."""
        return len(np.unique(self.paths[self.usable]))

    @cached_property
    def starts(self) -> NDArray[np.bool_]:
        """(n,) true for the first window of every run."""
        first = np.ones(len(self), dtype=bool)
        first[1:] = self.runs[1:] != self.runs[:-1]
        return first

    @cached_property
    def step(self) -> float:
        """The usual distance of neighbouring windows, in seconds or rows; 1 for a single window."""
        gaps = np.diff(self.places)[~self.starts[1:]]
        gaps = gaps[gaps > 0]
        return float(np.median(gaps)) if len(gaps) else 1.0


def read_sample(frame: pd.DataFrame, *, classes: tuple[str, ...] = (), normal: str | None = None) -> Sample:
    """The sample in a prediction frame that holds one model, one part and one target.

    Rows are put in order: batch by batch, by origin. ``classes`` and ``normal`` are those of a
    classification (`Task.classes`); a frame of numbers needs neither.

    >>> import pandas as pd
    >>> frame = pd.DataFrame(
    ...     {
    ...         "model": "mine",
    ...         "part": "test",
    ...         "target": "T",
    ...         "time": pd.NaT,
    ...         "batch": None,
    ...         "origin": [1, 0],
    ...         "horizon": 0,
    ...         "truth": [2.0, 1.0],
    ...         "prediction": [2.5, 1.0],
    ...     }
    ... )
    >>> read_sample(frame).prediction.tolist()
    [1.0, 2.5]
    """
    import pandas as pd

    batch = frame["batch"].astype(object).where(frame["batch"].notna(), None).to_numpy(dtype=object)
    codes, _ = pd.factorize(batch, use_na_sentinel=False)
    order = np.lexsort((frame["horizon"].to_numpy(), frame["origin"].to_numpy(), codes))
    clock = bool(len(frame)) and bool(frame["time"].notna().all())
    if clock:
        stamps = pd.to_datetime(frame["time"], utc=True).to_numpy(dtype="datetime64[ns]")
        places = stamps.astype(np.int64) / 1e9
    else:
        places = frame["origin"].to_numpy(dtype=np.float64) + frame["horizon"].to_numpy(dtype=np.float64)
    if not classes:
        truth, prediction = (frame[name].to_numpy(dtype=np.float64) for name in ("truth", "prediction"))
        probabilities = None
    else:
        truth, prediction = (_codes_of(frame[name], classes) for name in ("truth", "prediction"))
        wanted = [f"p:{name}" for name in classes]
        complete = all(name in frame.columns for name in wanted)
        probabilities = frame[wanted].to_numpy(dtype=np.float64)[order] if complete else None
    return Sample(
        truth=truth[order],
        prediction=prediction[order],
        runs=codes[order].astype(np.int64),
        places=places[order],
        made=frame["origin"].to_numpy(dtype=np.int64)[order],
        clock=clock,
        probabilities=probabilities,
        classes=tuple(classes),
        normal=classes.index(normal) if normal in classes and normal is not None else None,
        facts=_facts(frame, order),
    )


def _facts(frame: pd.DataFrame, order: NDArray[np.intp]) -> dict[str, Floats]:
    from pandas.api.types import is_numeric_dtype

    further = [name for name in frame.columns if name not in COLUMNS and not str(name).startswith("p:")]
    return {name: frame[name].to_numpy(dtype=np.float64)[order] for name in further if is_numeric_dtype(frame[name])}


def _codes_of(names: pd.Series, classes: tuple[str, ...]) -> Floats:
    import pandas as pd

    codes = np.asarray(pd.Categorical(names.astype(object), categories=list(classes)).codes, dtype=np.float64)
    return np.where(codes < 0, np.nan, codes)

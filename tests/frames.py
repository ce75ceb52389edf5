"""Prediction frames and windows made up for the tests of the evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.data.windows.windows import Known, Windows, WindowSpec, build_windows, fit_scalers
from backmix.tasks import Task, tasks


def sensor(*targets: Tag, past: Mapping[str, Any] | None = None) -> Task:
    """A soft sensor of these targets."""
    kind = tasks.get("soft_sensor")
    return kind(settings=kind.Settings(target=tuple(tag.name for tag in targets), past_targets=past), targets=targets)


def diagnosis(*classes: str, normal: str | None = None) -> Task:
    """A fault diagnosis with these classes."""
    kind = tasks.get("fault_diagnosis")
    return kind(
        settings=kind.Settings(target="fault", normal=normal),
        targets=(Tag("fault", role="target", categories=classes),),
    )


def numbers(
    truth: NDArray[Any],
    models: Mapping[str, NDArray[Any]],
    *,
    part: str = "test",
    target: str = "y",
    batch: Sequence[Any] | None = None,
) -> pd.DataFrame:
    """The frame of several models on the same windows."""
    n = len(truth)
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "model": model,
                    "part": part,
                    "target": target,
                    "time": pd.NaT,
                    "batch": [None] * n if batch is None else list(batch),
                    "origin": np.arange(n),
                    "horizon": 0,
                    "truth": truth,
                    "prediction": said,
                }
            )
            for model, said in models.items()
        ],
        ignore_index=True,
    )


def labels(
    truth: Sequence[str],
    prediction: Sequence[str | None],
    *,
    batch: Sequence[str] | None = None,
    step: float | None = 60.0,
    model: str = "network",
    part: str = "test",
    probabilities: Mapping[str, Sequence[float]] | None = None,
) -> pd.DataFrame:
    """The frame of one classifier; rows are ``step`` seconds apart, or have no clock."""
    n = len(truth)
    clock = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(np.arange(n) * (step or 0.0), unit="s")
    return pd.DataFrame(
        {
            "model": model,
            "part": part,
            "target": "fault",
            "time": clock if step else pd.NaT,
            "batch": [None] * n if batch is None else list(batch),
            "origin": np.arange(n),
            "horizon": 0,
            "truth": list(truth),
            "prediction": list(prediction),
            **{f"p:{name}": list(values) for name, values in (probabilities or {}).items()},
        }
    )


def persistent(n: int, share: float, seed: int) -> NDArray[np.float64]:
    """A series (n,) of variance 1 whose neighbours are alike: autoregressive of order one."""
    generator = np.random.default_rng(seed)
    noise = generator.normal(size=n) * np.sqrt(1 - share**2)
    series = np.empty(n)
    series[0] = generator.normal()
    for at in range(1, n):
        series[at] = share * series[at - 1] + noise[at]
    return series


def lagged_table(rows: int = 600, seed: int = 0, tags: int = 3) -> Table:
    """Inputs u1, u2, ... and y = u1 two rows ago + 0.5 u2 now, with little noise, one minute apart."""
    u = np.column_stack([persistent(rows, 0.8, seed + k) for k in range(tags)])
    y = np.roll(u[:, 0], 2) + 0.5 * u[:, 1] + 0.05 * np.random.default_rng(seed + 99).normal(size=rows)
    times = np.datetime64("2024-01-01", "ns") + np.arange(rows) * np.timedelta64(60, "s")
    return Table(
        np.column_stack([u, y]),
        (*(Tag(f"u{k + 1}") for k in range(tags)), Tag("y", unit="degC", role="target")),
        time=times,
        source="plant.csv",
    )


def windows_of(
    table: Table,
    *,
    lookback: int = 6,
    known: Known | None = None,
    cut: float = 0.6,
    end: float = 0.8,
    targets: tuple[str, ...] = ("y",),
) -> dict[str, Windows]:
    """Scaled windows of the three chronological parts."""
    inputs = tuple(tag.name for tag in table.tags if tag.name not in targets)
    spec = WindowSpec(inputs=inputs, targets=targets, lookback=lookback, known=known)
    rows = np.arange(len(table)) / len(table)
    masks = {"train": rows < cut, "validation": (rows >= cut) & (rows < end), "test": rows >= end}
    scalers = fit_scalers(table, spec, rows=masks["train"])
    return {part: build_windows(table, spec, part=mask).scaled(*scalers) for part, mask in masks.items()}

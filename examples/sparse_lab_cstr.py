"""The laboratory of the example plan ``sparse_lab_cstr.toml``.

    python examples/sparse_lab_cstr.py

This script takes samples of the simulated reactor as a shift would: about every hour, at odd seconds, analysed with
a small error, reported 20 minutes to 3 hours later (so that results come out of order now and then), some spoilt,
some lost. It writes ``sparse_lab_cstr.csv`` beside itself, the same file every time.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from backmix.data.plants import simulate
from backmix.data.plants.cstr import START, STEP

HOUR = 60.0


def laboratory(seed: int = 0) -> str:
    """The results of a laboratory as CSV text."""
    run = simulate("cstr", seed)
    rng = np.random.default_rng(seed + 1000)
    minutes = np.cumsum(rng.uniform(0.75, 1.25, 1000) * HOUR)
    minutes = minutes[minutes < (len(run.table) - 1) * STEP]
    found = np.interp(minutes, np.arange(len(run.table)) * STEP, run.truth["C_A"])
    found = found + 0.004 * rng.standard_normal(len(minutes))
    told = minutes + np.clip(rng.lognormal(np.log(HOUR), 0.5, len(minutes)), 20, 180)
    lost, spoilt = rng.random(len(minutes)) < 0.03, rng.random(len(minutes)) < 0.02
    lines = ["sampled at,reported at,acid,analyst"]
    for at, taken in enumerate(minutes):
        cell = "" if lost[at] else "Bad" if spoilt[at] else f"{found[at]:.3f}"
        lines.append(f"{_written(START, taken)},{_written(START, told[at])},{cell},{('lin', 'chen', 'wu')[at % 3]}")
    return "\n".join(lines) + "\n"


def _written(start: np.datetime64, minutes: float) -> str:
    return str((start + np.timedelta64(round(minutes * 60), "s")).astype("datetime64[s]")).replace("T", " ")


if __name__ == "__main__":
    Path(__file__).with_suffix(".csv").write_text(laboratory(), "utf-8")

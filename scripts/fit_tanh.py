#!/usr/bin/env python3
"""Fit the tanh of the kernels: x P(x²) / Q(x²), the largest error as small as it can be.

    python scripts/fit_tanh.py            prints the coefficients in native/vector.h

Lawson's iteration (reweighted least squares) on [0, 9], beyond which tanh is 1 in float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np

REACH = 9.0
DEGREES = 4, 4


def fit(top: int, bottom: int, *, points: int = 4000, rounds: int = 200) -> tuple[float, Any, Any]:
    """Error and coefficients of P and Q, lowest power of x² first; Q begins with 1."""
    x = (np.cos(np.linspace(0, np.pi, points)) + 1) * REACH / 2
    x = x[x > 1e-6]
    s, truth = (x / REACH) ** 2, np.tanh(x)
    weight, below = np.ones_like(x), np.ones_like(x)
    best: tuple[float, Any, Any] = (np.inf, None, None)
    for _ in range(rounds):
        columns = np.hstack(
            [x[:, None] * s[:, None] ** np.arange(top + 1), -truth[:, None] * s[:, None] ** np.arange(1, bottom + 1)]
        )
        scale = np.sqrt(weight) / below
        found = np.linalg.lstsq(columns * scale[:, None], truth * scale, rcond=None)[0]
        p, q = found[: top + 1], np.r_[1, found[top + 1 :]]
        below = np.polyval(q[::-1], s)
        error = np.abs(x * np.polyval(p[::-1], s) / below - truth)
        if error.max() < best[0]:
            best = (error.max(), p / REACH ** (2 * np.arange(top + 1)), q / REACH ** (2 * np.arange(bottom + 1)))
        weight = weight * (error / error.mean()) ** 0.7
        weight /= weight.mean()
    return best


def in_float32(p: Any, q: Any) -> float:
    """The largest error when everything is rounded to float32."""
    x = np.linspace(-12, 12, 2_000_001).astype(np.float32)
    clipped = np.clip(x, np.float32(-REACH), np.float32(REACH))
    s = clipped * clipped

    def horner(coefficients: Any) -> Any:
        sums = np.full_like(s, np.float32(coefficients[-1]))
        for value in coefficients[-2::-1]:
            sums = sums * s + np.float32(value)
        return sums

    return float(np.abs(clipped * horner(p) / horner(q) - np.tanh(x.astype(np.float64))).max())


def main() -> None:
    """Print what stands in native/vector.h."""
    error, p, q = fit(*DEGREES)
    print(f"error {error:.2e}, in float32 {in_float32(p, q):.2e}")
    for name, values in (("P", p), ("Q", q)):
        print(name, ", ".join(f"{value:.9e}f" for value in values))


if __name__ == "__main__":
    main()

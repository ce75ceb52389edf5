"""How a simple model sees a window: as one flat row of numbers.

This module defines the forms: the inputs at every lag, or a registered view such as window statistics. Memory and
time stay bounded: long lookbacks are thinned towards the past.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from backmix.data.windows.windows import WindowBatch, Windows
from backmix.decision import Decision
from backmix.models.members.member import PLANNED
from backmix.models.members.views import STAGES, aligned, named, stages, thinned, thinned_starts

Singles = NDArray[np.float32]

MOST_FEATURES = 2000
"""Numbers of a linear model's row; X'X then takes 32 MB and a penalty half a second."""
MOST_LAGS = 300
"""Lagged inputs, or stages of a batch, for boosted trees; more cost by the number and gain little."""


class Form(Protocol):
    """How a window becomes a row of numbers."""

    @property
    def width(self) -> int:
        """How many numbers."""
        ...

    @property
    def view(self) -> str | None:
        """The registered view that shows a member of an ensemble the same; None where there is none."""
        ...

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """What was left out, for the report."""
        ...

    def of_batch(self, batch: WindowBatch) -> Singles:
        """The rows (B, width) of a gathered batch."""
        ...


@dataclass(frozen=True)
class Lags:
    """For each feature its values at P places, (B, P·F).

    starts: first row of each place, counted from the oldest row of the window; a place is the mean of the rows up
        to the next. Of whole batches, the places are `STAGES` equal stretches, and the length is one more number
    planned: how many numbers known ahead follow
    """

    steps: int
    features: int
    starts: tuple[int, ...]
    whole: bool = False
    planned: int = 0

    @classmethod
    def of(cls, windows: Windows, most: int = MOST_FEATURES) -> Lags:
        """At most ``most`` features: every lag when they fit, else ever longer means into the past."""
        steps, features = windows.steps, len(windows.feature_names)
        if windows.spec.lookback is None:
            return cls(steps, features, tuple(range(min(STAGES, max(1, most // features)))), whole=True)
        planned = len(windows.spec.future) * windows.spec.horizon
        return cls(steps, features, thinned_starts(steps, most // features), planned=planned)

    @property
    def width(self) -> int:
        return len(self.starts) * self.features + self.whole + self.planned

    @property
    def view(self) -> str | None:
        if self.whole:
            return "stages" if len(self.starts) == STAGES else None
        return f"lags{PLANNED}" if self.planned else "lags"

    def of_batch(self, batch: WindowBatch) -> Singles:
        if self.whole:
            return stages(batch.x, batch.mask, len(self.starts))
        flat = thinned(aligned(batch.x, batch.mask), self.starts).reshape(len(batch.x), -1)
        return flat if batch.future is None else np.hstack([flat, batch.future.reshape(len(flat), -1)])

    def every_row(self, kernel: NDArray[np.float64]) -> NDArray[np.float64]:
        """A linear model's kernel (P·F, K) for all rows of the window, (T·F, K); that of what is planned stays."""
        if self.whole or len(self.starts) == self.steps:
            return kernel
        sizes, count = np.diff([*self.starts, self.steps]), len(self.starts) * self.features
        shares = kernel[:count].reshape(len(sizes), self.features, -1) / sizes[:, None, None]
        every = np.repeat(shares, sizes, axis=0).reshape(self.steps * self.features, -1)
        return np.concatenate([every, kernel[count:]]) if len(kernel) > count else every

    @property
    def decisions(self) -> tuple[Decision, ...]:
        if self.whole or len(self.starts) == self.steps:
            return ()
        values = {"steps": self.steps, "places": len(self.starts), "features": self.features}
        return (Decision(len(self.starts), "evaluation.lags_thinned", values),)


@dataclass(frozen=True)
class FlatView:
    """A registered view of windows of T rows (None for any length) and F features, (B, width).

    >>> FlatView("products", None, 10).width
    495
    """

    view: str
    steps: int | None
    features: int

    @classmethod
    def of(cls, windows: Windows, view: str) -> FlatView:
        """What these windows become in a view."""
        return cls(view, windows.spec.lookback, len(windows.feature_names))

    @property
    def width(self) -> int:
        return named(self.view).width(self.steps, self.features)

    @property
    def decisions(self) -> tuple[Decision, ...]:
        return ()

    def of_batch(self, batch: WindowBatch) -> Singles:
        return named(self.view).rows(batch.x, batch.mask)


def quadratic(windows: Windows) -> FlatView:
    """Mean, rise and last value of every feature with all their products, or squares where there are too many."""
    products = FlatView.of(windows, "products")
    return products if products.width <= MOST_FEATURES else FlatView.of(windows, "squares")


def lags_for_trees(windows: Windows, most: int) -> FlatView | None:
    """Every row of the window, thinned towards the past where those are more numbers than ``most``.

    Of whole batches their stages; None where even those are too many.
    """
    if windows.spec.lookback is not None:
        lags = FlatView.of(windows, "lags")
        return lags if lags.width <= most else FlatView.of(windows, "thinned")
    stages = FlatView.of(windows, "stages")
    return stages if stages.width <= most else None

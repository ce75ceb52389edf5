"""What baselines without a memory see of a window.

This module turns windows into flat rows of numbers: the inputs at every lag, or five statistics
per feature. Memory and time stay bounded however many windows there are: windows are gathered
block by block, long lookbacks are thinned towards the past, and very many windows are sampled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from backmix.decision import Decision
from backmix.models.members.statistics import window_statistics
from backmix.models.members.views import STAGES, named, stages

if TYPE_CHECKING:
    from backmix.data.windows import WindowBatch, Windows

Singles = NDArray[np.float32]


@dataclass(frozen=True)
class Lags:
    """The flat form of a window: for each feature its values at P places, (B, P·F).

    starts: first row of each place, counted from the oldest row of the window; a place is the mean
        of the rows up to the next. For whole batches, the places are `STAGES` equal stretches of
        the batch, and its length is one more feature.
    planned: how many numbers known ahead follow
    """

    steps: int
    features: int
    starts: tuple[int, ...]
    whole: bool = False
    planned: int = 0

    @classmethod
    def of(cls, windows: Windows, most: int) -> Lags:
        """At most ``most`` features: every lag when they fit, else ever longer means into the past."""
        steps, features = windows.steps, len(windows.feature_names)
        planned = len(windows.spec.future) * windows.spec.horizon
        if windows.lengths is not None:
            return cls(steps, features, tuple(range(min(STAGES, max(1, most // features)))), whole=True)
        places = max(1, min(steps, most // features))
        starts = tuple(range(steps)) if places == steps else _thin(steps, places)
        return cls(steps, features, starts, planned=planned)

    @property
    def width(self) -> int:
        """How many numbers a window becomes."""
        return len(self.starts) * self.features + self.whole + self.planned

    def of_batch(self, batch: WindowBatch) -> Singles:
        """The rows (B, width) of a gathered batch."""
        x = batch.x
        if self.whole:
            return stages(batch.x, batch.mask, len(self.starts))
        if len(self.starts) != self.steps:
            sizes = np.diff([*self.starts, self.steps]).astype(np.float32)
            x = (np.add.reduceat(x, self.starts, axis=1) / sizes[:, None]).astype(np.float32, copy=False)
        flat = x.reshape(len(x), -1)
        return flat if batch.future is None else np.hstack([flat, batch.future.reshape(len(x), -1)])

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """What was left out of the windows, for the report."""
        if self.whole or len(self.starts) == self.steps:
            return ()
        return (
            Decision(
                len(self.starts),
                "evaluation.lags_thinned",
                {"steps": self.steps, "places": len(self.starts), "features": self.features},
            ),
        )


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
        """How many numbers a window becomes."""
        return named(self.view).width(self.steps, self.features)

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """Nothing is left out of the windows."""
        return ()

    def of_batch(self, batch: WindowBatch) -> Singles:
        """The rows (B, width) of a gathered batch."""
        return named(self.view).rows(batch.x, batch.mask)


def quadratic(windows: Windows, most: int) -> FlatView:
    """Mean, rise and last value of every feature with all their products, or squares where there are too many."""
    products = FlatView.of(windows, "products")
    return products if products.width <= most else FlatView.of(windows, "squares")


def _thin(steps: int, places: int) -> tuple[int, ...]:
    """First rows of ``places`` stretches that grow into the past.

    >>> _thin(10, 4)
    (0, 6, 8, 9)
    """
    low, high = 1.0, 8.0 * steps
    for _ in range(60):  # the growth for which the stretches, each at least a row, fill the window
        growth = 0.5 * (low + high)
        sizes = np.maximum(1.0, np.floor(growth ** np.arange(places)))
        low, high = (growth, high) if sizes.sum() < steps else (low, growth)
    sizes = np.maximum(1, np.floor(low ** np.arange(places)).astype(np.int64))
    sizes[-1] += steps - sizes.sum()
    return tuple(int(start) for start in steps - np.cumsum(sizes)[::-1])


def statistics(batch: WindowBatch) -> Singles:
    """Mean, log spread, slope, log mean step and last value of every feature, (B, 5·F)."""
    return window_statistics(batch.x, batch.mask)


def sampling(at: NDArray[np.int64], windows: Windows) -> tuple[Decision, ...]:
    """The note that only the windows ``at`` were learned from; none when those are all."""
    if len(at) == len(windows):
        return ()
    values = {"used": f"{len(at):,}", "windows": f"{len(windows):,}"}
    return (Decision(len(at), "evaluation.rows_sampled", values),)


def last_fifth(train: Windows, validation: Windows | None) -> tuple[Windows, Windows]:
    """Training and choosing windows; without the latter, the last fifth of every batch of the former.

    Whole batches are held back when most of them have a single window.
    """
    if validation is not None:
        return train, validation
    count = len(train)
    runs = np.zeros(count, dtype=np.int64)
    if train.table.batch is not None:
        runs = np.asarray(train.table.batch)[train.origins].astype(np.int64)
    first = np.concatenate([[True], runs[1:] != runs[:-1]])
    starts = np.flatnonzero(first)
    sizes = np.diff([*starts, count])
    if len(starts) > count // 3:
        starts, sizes = np.zeros(1, dtype=np.int64), np.array([count])
    place = np.arange(count) - np.repeat(starts, sizes)
    held = place >= np.repeat(sizes - np.maximum(1, sizes // 5), sizes)
    if held.all():  # a single window teaches and chooses
        return train, train
    return train.subset(~held), train.subset(held)

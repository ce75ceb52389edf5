"""How much the error grows without the true history of a tag.

This module permutes one tag at a time between windows, in blocks of neighbouring windows, and
measures how the error grows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backmix.inspection.subject import Effort, Floats, Subject, WindowSample

MOST_BLOCKS = 20
LEAST_BLOCKS = 4
LEAST_WINDOWS = 40
"""With less effort fewer tags are permuted, never on fewer windows than this."""


@dataclass(frozen=True, eq=False)
class Permutation:
    """The error of the model, and how it grows when a tag has the history of another time.

    features: the P permuted ones; error: RMSE in the target's unit, or the share of wrong classes
    increase: (P, R) growth of the error in each of R repeats
    block: how many windows stay together; windows: how many were scored
    """

    features: tuple[str, ...]
    error: float
    increase: Floats
    block: int
    windows: int

    @property
    def mean(self) -> Floats:
        """(P,) mean growth."""
        return np.asarray(self.increase.mean(axis=1))

    @property
    def spread(self) -> Floats:
        """(P,) standard deviation of the growth between repeats."""
        return np.asarray(self.increase.std(axis=1))


def permute(subject: Subject, effort: Effort, *, features: NDArray[np.int64], seed: int) -> Permutation | None:
    """Permute these features; None when the windows are too few or their truth is not known,
    when the network is too large for the effort, and when an error is no finite number.

    This is the permutation of Breiman, Random forests, Machine Learning 45 (2001), between blocks of neighbouring
    windows. The whole history of a tag moves from one window to another, so that it remains a history that the plant
    has shown, and neighbours remain neighbours (as in the block bootstrap: Künsch, Annals of Statistics 17, 1989).
    What two tags both know is lost by permuting neither of them alone.
    """
    passes = int(2 * effort.work / (LEAST_WINDOWS * subject.cost))
    repeats = min(effort.repeats, max(2, passes // max(1, len(features))))
    features = features[: min(effort.tags, passes // repeats)]
    if not len(features):
        return None
    sample = subject.sample(subject.affordable(effort.scored, passes=len(features) * repeats, work=2 * effort.work))
    truth = subject.truth(subject.windows)[sample.indices]
    known = np.isfinite(truth)
    sample, truth = sample.take(known), truth[known]
    if len(truth) < 2 * LEAST_BLOCKS:
        return None
    block = max(1, len(truth) // MOST_BLOCKS)
    error = _error(subject, sample, sample.x, truth)
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    orders = [exchange(len(truth), block, rng) for _ in range(repeats)]
    increase = np.array(
        [
            [_error(subject, sample, _lent(sample, feature, order), truth) - error for order in orders]
            for feature in features
        ]
    )
    if not (np.isfinite(error) and np.isfinite(increase).all()):
        return None
    names = subject.windows.spec.feature_names
    return Permutation(tuple(names[f] for f in features), error, increase.reshape(len(features), -1), block, len(truth))


def exchange(count: int, block: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """(count,) from which window each window takes its values: blocks change places, none stays where it is.

    >>> order = exchange(10, 2, np.random.default_rng(0))
    >>> sorted(order.tolist()) == list(range(10)), bool((order != np.arange(10)).all())
    (True, True)
    """
    blocks = np.array_split(np.arange(count), max(2, count // block))
    order = rng.permutation(len(blocks))
    # every block lends to the next one of a random circle: none can stay where it is
    source = np.empty(len(blocks), dtype=np.int64)
    source[order] = np.roll(order, 1)
    # blocks differ by one window where the count is no multiple: the last one then lends twice
    return np.concatenate(
        [
            lender[np.minimum(np.arange(len(mine)), len(lender) - 1)]
            for mine, lender in zip(blocks, (blocks[b] for b in source), strict=True)
        ]
    )


def _lent(sample: WindowSample, feature: int, order: NDArray[np.int64]) -> NDArray[np.float32]:
    """The windows with one feature taken from others; a shorter batch is continued with its last value."""
    x = sample.x.copy()
    lent = sample.x[order, :, feature]
    if sample.mask is not None:
        last = sample.mask[order].sum(axis=1) - 1
        steps = np.minimum(np.arange(x.shape[1]), last[:, None])
        lent = np.take_along_axis(lent, steps, axis=1)
    x[:, :, feature] = lent
    return x


def _error(subject: Subject, sample: WindowSample, x: NDArray[np.float32], truth: Floats) -> float:
    outcome = subject.task.answer.decode(subject.answers(sample, x), subject.windows.subset(sample.indices))
    if outcome.values is not None:
        return float(np.sqrt(np.mean((outcome.values[:, subject.place] - truth) ** 2)))
    assert outcome.probabilities is not None
    return float(np.mean(outcome.probabilities.argmax(axis=1) != truth))

"""A network without a memory, on lagged inputs.

This module registers the feed-forward baseline (course item 11): one hidden layer of scikit-learn's
multi-layer perceptron over every row of the window at once, stopped on the validation part. It
shows what recurrence adds to a network that sees the same rows.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backmix.data.slices import sampled, slices
from backmix.decision import Decision
from backmix.simple import Again, baselines
from backmix.tasks import Outcome
from backmix.training.features import Lags, Singles, last_fifth, sampling

if TYPE_CHECKING:
    from backmix.data.windows import Windows
    from backmix.tasks import Task

Floats = NDArray[np.float64]

HIDDEN = 64
DECAYS = (0.015, 0.08, 0.3)
"""Weight penalties that are tried. Without a strong one a perceptron over hundreds of lags learns
the training rows by heart and looks worse than the mean, which would be no honest opponent."""

MOST_FEATURES = 500
MOST_ROWS = 20_000
MOST_EPOCHS = 80
MOST_WORK = 8e9
"""Windows x features x hidden units x epochs of all trials: bounds the time to some seconds."""
PATIENCE = 8


@dataclass(frozen=True, eq=False)
class FeedForward:
    """A fitted perceptron over the lags of a window."""

    lags: Lags
    model: Any
    goals: int
    decisions: tuple[Decision, ...]
    learn_again: Again | None = None

    def predict(self, windows: Windows) -> Outcome:
        found = np.empty((len(windows), self.goals))
        for at in slices(windows):
            said = self.model.predict(self.lags.of_batch(windows.gather(at)))
            found[at] = np.asarray(said, dtype=np.float64).reshape(len(at), self.goals)
        return Outcome(values=windows.unscaled(found))


def _rows(lags: Lags, windows: Windows, at: NDArray[np.int64]) -> Singles:
    used = windows.subset(at)
    return np.concatenate([lags.of_batch(used.gather(some)) for some in slices(used)])


@baselines.register("feed_forward")
def fit_feed_forward(train: Windows, validation: Windows | None, task: Task, seed: int) -> FeedForward:
    """A perceptron of 64 hidden units on the inputs of every row of the window."""
    inner, choosing = last_fifth(train, validation)
    lags = Lags.of(inner, max(MOST_FEATURES, len(inner.feature_names)))
    at, checks = sampled(len(inner), MOST_ROWS), sampled(len(choosing), MOST_ROWS)
    x, x_check = _rows(lags, inner, at), _rows(lags, choosing, checks)
    y, y_check = inner.scaled_targets()[at].astype(np.float32), choosing.scaled_targets()[checks]
    goals = y.shape[1]
    batch = int(np.clip(len(x) // 30, 16, 128))
    epochs = int(np.clip(MOST_WORK / max(1, x.size * HIDDEN * len(DECAYS)), 5, MOST_EPOCHS))
    best = None
    for decay in DECAYS:
        trial = _train(_perceptron(decay, min(batch, len(x)), seed), x, y, (x_check, y_check), epochs)
        if best is None or trial.error < best.error:
            best, chosen = trial, decay
    assert best is not None

    def learn(windows: Windows) -> FeedForward:
        some = sampled(len(windows), MOST_ROWS)
        x, y = _rows(lags, windows, some), windows.scaled_targets()[some].astype(np.float32)
        model = _perceptron(chosen, min(batch, len(x)), seed)
        for _ in range(max(1, epoch)):
            model.partial_fit(x, y if goals > 1 else y[:, 0])
        return FeedForward(lags, model, goals, decisions, learn)

    epoch = best.epoch
    decisions = (
        Decision(
            best.epoch,
            "evaluation.feed_forward_epochs",
            {"epochs": best.epoch, "features": lags.width, "units": HIDDEN, "decay": f"{chosen:g}"},
            setting="baseline.feed_forward",
        ),
        *lags.decisions,
        *sampling(at, inner),
    )
    return FeedForward(lags, best.model, goals, decisions, learn)


def _perceptron(decay: float, batch: int, seed: int) -> Any:
    from sklearn.neural_network import MLPRegressor

    return MLPRegressor(hidden_layer_sizes=(HIDDEN,), alpha=decay * batch, random_state=seed, batch_size=batch)


class _Trial(NamedTuple):
    model: Any
    error: float
    epoch: int


def _train(model: Any, x: Singles, y: Singles, check: tuple[Singles, Floats], epochs: int) -> _Trial:
    """Train until the error on the choosing windows stops falling; the best state is returned.

    scikit-learn's own stopping holds out windows at random, which overlap those it trains on.
    """
    x_check, y_check = check
    best = _Trial(model, np.inf, 0)
    for epoch in range(1, epochs + 1):
        model.partial_fit(x, y if y.shape[1] > 1 else y[:, 0])
        error = float(np.mean((model.predict(x_check).reshape(y_check.shape) - y_check) ** 2))
        if error < best.error:
            best = _Trial(deepcopy(model), error, epoch)
        elif epoch - best.epoch >= PATIENCE or not np.isfinite(error):
            break
    return best

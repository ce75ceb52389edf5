"""A network without a memory, on lagged inputs.

This module registers the feed-forward baseline (course item 11): one hidden layer of scikit-learn's
multi-layer perceptron over every row of the window at once, stopped on the validation part. It
shows what recurrence adds to a network that sees the same rows.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from backmix.data.windows.slices import slices
from backmix.data.windows.windows import Windows
from backmix.decision import Decision
from backmix.outcome import Outcome
from backmix.simple import Fitted, Floats, SimpleModel, simple_model
from backmix.simple.flat import edge
from backmix.simple.forms import Lags, Singles
from backmix.simple.question import TaskQuestion
from backmix.simple.trial import Trial

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
class FeedForward(SimpleModel):
    """A fitted perceptron over the lags of a window."""

    question: TaskQuestion
    lags: Lags
    model: Any
    goals: int

    def predict(self, windows: Windows) -> Outcome:
        answers = np.empty((len(windows), self.goals))
        for block in slices(windows):
            given = self.model.predict(self.lags.of_batch(windows.gather(block)))
            answers[block] = np.asarray(given, dtype=np.float64).reshape(len(block), self.goals)
        return self.question.outcome(answers, windows)


@simple_model(
    "feed_forward", "regression", one_thread=True, title={"en": "feed-forward network", "zh_TW": "前饋神經網路"}
)
def fit_feed_forward(trial: Trial) -> Fitted:
    """A perceptron of 64 hidden units on the inputs of every row of the window."""
    base, fold = trial.final.base, trial.folds[-1]
    lags = Lags.of(base, max(MOST_FEATURES, len(base.feature_names)))
    few, checks = fold.taught.few(MOST_ROWS), fold.held_out.few(MOST_ROWS)
    x, y = trial.rows(lags, few), trial.targets(few).astype(np.float32)
    check = trial.rows(lags, checks), trial.targets(checks)
    goals = y.shape[1]
    batch = int(np.clip(len(x) // 30, 16, 128))
    epochs = int(np.clip(MOST_WORK / max(1, x.size * HIDDEN * len(DECAYS)), 5, MOST_EPOCHS))
    trials = [_train(_perceptron(decay, min(batch, len(x)), trial.seed), x, y, check, epochs) for decay in DECAYS]
    best, decay = min(zip(trials, DECAYS, strict=True), key=lambda each: each[0].error)

    some = trial.final.few(MOST_ROWS)
    rows, targets = trial.rows(lags, some), trial.targets(some).astype(np.float32)
    last = _perceptron(decay, min(batch, len(rows)), trial.seed)
    for _ in range(max(1, best.epoch)):
        last.partial_fit(rows, targets if goals > 1 else targets[:, 0])
    values = {"epochs": best.epoch, "features": lags.width, "units": HIDDEN, "decay": f"{decay:g}"}
    return Fitted(
        FeedForward(trial.question, lags, last, goals),
        FeedForward(trial.question, lags, best.model, goals),
        (),
        (
            Decision(best.epoch, "evaluation.feed_forward_epochs", values, setting="feed_forward"),
            *edge("feed_forward", "decay", decay, DECAYS),
            *lags.decisions,
            *fold.taught.sampling(few),
        ),
    )


def _perceptron(decay: float, batch: int, seed: int) -> Any:
    from sklearn.neural_network import MLPRegressor

    return MLPRegressor(hidden_layer_sizes=(HIDDEN,), alpha=decay * batch, random_state=seed, batch_size=batch)


class _TrainedPerceptron(NamedTuple):
    """A trained perceptron, its error on the choosing windows, and after how many epochs."""

    model: Any
    error: float
    epoch: int


def _train(model: Any, x: Singles, y: Singles, check: tuple[Singles, Floats], epochs: int) -> _TrainedPerceptron:
    """Train until the error on the choosing windows stops falling; the best state is returned.

    scikit-learn's own stopping holds out windows at random, which overlap those it trains on.
    """
    x_check, y_check = check
    best = _TrainedPerceptron(model, np.inf, 0)
    for epoch in range(1, epochs + 1):
        model.partial_fit(x, y if y.shape[1] > 1 else y[:, 0])
        error = float(np.mean((model.predict(x_check).reshape(y_check.shape) - y_check) ** 2))
        if error < best.error:
            best = _TrainedPerceptron(deepcopy(model), error, epoch)
        elif epoch - best.epoch >= PATIENCE or not np.isfinite(error):
            break
    return best

"""A network without a memory, on lagged inputs.

This module registers the feed-forward network (course item 11): one hidden layer over every row of the window at
once, the mean of several that began from other weights. Penalty and number of epochs are those with the least error
on what is held out. It shows what recurrence adds to a network that sees the same rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from backmix.decision import Decision
from backmix.models.members.views import STAGES
from backmix.simple import Fitted, Floats, simple_model
from backmix.simple.flat import FlatModel, crossed, edge
from backmix.simple.forms import Form, Lags
from backmix.simple.perceptron import Perceptrons, Training
from backmix.simple.trial import Trial, WindowSubset

HIDDEN = 64
DECAYS = (0.015, 0.08, 0.3)
"""Weight penalties that are tried. Without a strong one a perceptron over hundreds of lags learns
the training rows by heart and looks worse than the mean, which would be no honest opponent."""

SEEDS = 4
"""Networks whose mean is the model; while a block is held out there is one per penalty."""
MOST_FEATURES = 240
MOST_ROWS = 20_000
MOST_EPOCHS = 80
MOST_WORK = 2e10
"""Windows x features x hidden units x epochs of all trials: bounds the time to some seconds."""
PATIENCE = 8


@simple_model(
    "feed_forward",
    "regression",
    member=True,
    one_thread=True,
    title={"en": "feed-forward network", "zh_TW": "前饋神經網路"},
)
def fit_feed_forward(trial: Trial) -> Fitted:
    """The mean of perceptrons of 64 hidden units on the inputs of every row of the window."""
    base = trial.final.base
    features = len(base.feature_names)
    form = Lags.of(base, max(MOST_FEATURES, features if base.spec.lookback is not None else STAGES * features))
    lanes = [_Lane(trial, form, fold.taught, number) for number, fold in enumerate(trial.folds)]
    total = _tried(trial, form, lanes)
    epoch, lane = np.unravel_index(int(np.argmin(total)), total.shape)
    epochs, decay = int(epoch) + 1, DECAYS[int(lane)]

    chosen = slice(int(lane), int(lane) + 1)
    models = [_model(trial, form, each.kept[epochs - 1].only(chosen)) for each in lanes]
    last = _Lane(trial, form, trial.final, len(lanes), decays=(decay,) * SEEDS)
    for _ in range(epochs):
        last.epoch()
    values = {"epochs": epochs, "features": form.width, "units": HIDDEN, "decay": f"{decay:g}", "seeds": SEEDS}
    decisions = (
        Decision(epochs, "evaluation.feed_forward_epochs", values, setting="feed_forward"),
        *edge("feed_forward", "decay", decay, DECAYS),
        *form.decisions,
        *trial.final.sampling(trial.final.few(MOST_ROWS)),
    )
    return crossed(trial, models, _model(trial, form, last.training.networks), decisions)


def _model(trial: Trial, form: Form, networks: Perceptrons) -> FlatModel:
    return FlatModel(trial.question, form, networks.mean("feed_forward"))


@dataclass(eq=False)
class _Lane:
    """Networks that some windows teach, one per penalty; kept: what they were after each epoch."""

    trial: Trial
    form: Form
    sample: WindowSubset
    number: int
    decays: Sequence[float] = DECAYS
    kept: list[Perceptrons] = field(default_factory=list)

    def __post_init__(self) -> None:
        few = self.sample.few(MOST_ROWS)
        self.x = self.trial.rows(self.form, few)
        self.y = self.trial.targets(few).astype(np.float32)
        self.batch = int(np.clip(len(self.x) // 30, 16, 128))
        self.generator = np.random.default_rng([self.trial.seed, self.number])
        networks = Perceptrons.drawn(
            self.form.width, self.y.shape[1], count=len(self.decays), units=HIDDEN, generator=self.generator
        )
        self.training = Training.of(networks, np.asarray(self.decays, np.float32))

    def epoch(self) -> Perceptrons:
        """The networks after one more epoch."""
        self.training = self.training.epoch(self.x, self.y, batch=self.batch, generator=self.generator)
        return self.training.networks


def _tried(trial: Trial, form: Form, lanes: Sequence[_Lane]) -> Floats:
    """(epochs, penalties) the squared error on all held-out windows, until it has not fallen for some epochs."""
    checks = [fold.held_out.few(MOST_ROWS) for fold in trial.folds]
    seen = [(trial.rows(form, check), trial.targets(check)) for check in checks]
    work = sum(lane.x.size for lane in lanes) * HIDDEN * len(DECAYS)
    most = int(np.clip(MOST_WORK / max(1, work), 5, MOST_EPOCHS))
    total: list[Floats] = []
    for epoch in range(most):
        wrong = np.zeros(len(DECAYS))
        for lane, (x, y), fold in zip(lanes, seen, trial.folds, strict=True):
            networks = lane.epoch().copy()
            lane.kept.append(networks)
            wrong += ((networks.answers(x) - y) ** 2).mean(axis=(1, 2)) * len(fold.held_out)
        total.append(np.where(np.isfinite(wrong), wrong, np.inf))
        if epoch - int(np.argmin(np.min(total, axis=1))) >= PATIENCE:
            break
    return np.asarray(total)

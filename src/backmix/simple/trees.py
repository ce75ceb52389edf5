"""Gradient-boosted trees on lagged inputs and window statistics.

This module registers the tree baseline of a regression: scikit-learn's histogram gradient boosting
(Friedman, Ann. Statist. 29 (2001) 1189), one model per target, stopped on the validation part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.slices import sampled, slices
from backmix.decision import Decision
from backmix.simple import Again, baselines
from backmix.tasks import Outcome
from backmix.training.features import Lags, Singles, last_fifth, sampling, statistics

if TYPE_CHECKING:
    from backmix.data.windows import Windows
    from backmix.tasks import Task

MOST_LAGS = 120
"""Lagged inputs of the trees; trees gain little from neighbouring lags and cost by the feature."""

MOST_ROWS = 30_000
MOST_ROUNDS = 300
PATIENCE = 15


def flat(lags: Lags, windows: Windows, at: NDArray[np.int64]) -> Singles:
    """Lags and statistics of some windows, (n, P)."""
    used = windows.subset(at)
    found = []
    for some in slices(used):
        batch = used.gather(some)
        found.append(np.hstack([lags.of_batch(batch), statistics(batch)]))
    return np.concatenate(found)


@dataclass(frozen=True, eq=False)
class Trees:
    """One boosted model per target."""

    lags: Lags
    models: tuple[Any, ...]
    decisions: tuple[Decision, ...]
    learn_again: Again | None = None

    def predict(self, windows: Windows) -> Outcome:
        found = np.empty((len(windows), len(self.models)))
        for at in slices(windows):
            x = flat(self.lags, windows, at)
            for k, model in enumerate(self.models):
                found[at, k] = model.predict(x)
        return Outcome(values=windows.unscaled(found))


@baselines.register("trees")
def fit_trees(train: Windows, validation: Windows | None, task: Task, seed: int) -> Trees:
    """Gradient-boosted trees on lags and statistics of the window."""
    inner, choosing = last_fifth(train, validation)
    lags = Lags.of(inner, max(MOST_LAGS, len(inner.feature_names)))
    at, checks = sampled(len(inner), MOST_ROWS), sampled(len(choosing), MOST_ROWS)
    x, x_check = flat(lags, inner, at), flat(lags, choosing, checks)
    y, y_check = inner.scaled_targets()[at], choosing.scaled_targets()[checks]
    models = []
    for k in range(y.shape[1]):
        model = _boosting(MOST_ROUNDS, seed, watched=len(checks) > 1)
        watched = {"X_val": x_check, "y_val": y_check[:, k]} if len(checks) > 1 else {}
        models.append(model.fit(x, y[:, k], **watched))
    rounds = [int(model.n_iter_) for model in models]

    def learn(windows: Windows) -> Trees:
        some = sampled(len(windows), MOST_ROWS)
        x, y = flat(lags, windows, some), windows.scaled_targets()[some]
        grown = tuple(_boosting(count, seed).fit(x, y[:, k]) for k, count in enumerate(rounds))
        return Trees(lags, grown, (decision, *lags.decisions, *sampling(some, windows)), learn)

    decision = Decision(
        rounds[0] if len(rounds) == 1 else tuple(rounds),
        "evaluation.trees_rounds",
        {"rounds": ", ".join(map(str, rounds)), "features": x.shape[1]},
        setting="baseline.trees",
    )
    return Trees(lags, tuple(models), (decision, *lags.decisions, *sampling(at, inner)), learn)


def _boosting(rounds: int, seed: int, *, watched: bool = False) -> Any:
    """A boosted model before it is fitted; ``watched`` stops it on a validation part."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(
        learning_rate=0.08,
        max_iter=rounds,
        max_leaf_nodes=15,
        min_samples_leaf=20,
        max_bins=127,
        early_stopping=watched,
        n_iter_no_change=PATIENCE,
        random_state=seed,
    )

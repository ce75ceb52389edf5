"""Classes from window statistics.

This module registers the two baselines of a diagnosis: linear discriminant analysis with Ledoit &
Wolf's shrinkage (J. Multivariate Anal. 88 (2004) 365), and extremely randomised trees (Geurts,
Ernst & Wehenkel, Mach. Learn. 63 (2006) 3). Both see five statistics per feature: mean, log spread,
slope, log mean step and last value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.slices import sampled, slices
from backmix.decision import Decision
from backmix.simple import Again, Unusable, baselines
from backmix.tasks import Outcome
from backmix.training.features import Singles, last_fifth, sampling, statistics

if TYPE_CHECKING:
    from backmix.data.windows import Windows
    from backmix.tasks import Task

MOST_ROWS = 60_000
MOST_NUMBERS = 40_000_000
"""Numbers of the statistics matrix: 160 MB of float32."""

TREES = 150
TREE_ROWS = 20_000
LEAVES = (1, 5)


@dataclass(frozen=True, eq=False)
class Classifier:
    """A fitted scikit-learn classifier of window statistics.

    codes: the class codes that it knows, in the order of its probabilities; C: classes of the task
    """

    model: Any
    codes: NDArray[np.int64]
    classes: int
    decisions: tuple[Decision, ...]
    learn_again: Again | None = None

    def predict(self, windows: Windows) -> Outcome:
        found = np.zeros((len(windows), self.classes))
        for at in slices(windows):
            found[np.ix_(at, self.codes)] = self.model.predict_proba(statistics(windows.gather(at)))
        return Outcome(probabilities=found)


def window_statistics(windows: Windows, at: NDArray[np.int64]) -> Singles:
    """Statistics of some windows, (n, 5·F)."""
    used = windows.subset(at)
    return np.concatenate([statistics(used.gather(some)) for some in slices(used)])


def _learn(train: Windows, most: int) -> tuple[Singles, NDArray[np.int64], tuple[Decision, ...]]:
    """Statistics and class codes of the training windows; Unusable when they are all of one class."""
    width = 5 * len(train.feature_names)
    at = sampled(len(train), max(200, min(most, MOST_NUMBERS // width)))
    codes = train.truth()[at, 0].astype(np.int64)
    if len(np.unique(codes)) < 2:
        raise Unusable("evaluation.one_class", label=train.classes[int(codes[0])])
    return window_statistics(train, at), codes, sampling(at, train)


@baselines.register("lda")
def fit_lda(train: Windows, validation: Windows | None, task: Task, seed: int) -> Classifier:
    """Linear discriminant analysis with shrinkage; every class weighs the same."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    x, codes, notes = _learn(train, MOST_ROWS)
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(x.astype(np.float64), codes)
    decision = Decision(None, "evaluation.lda_shrinkage", {"features": x.shape[1]}, setting="baseline.lda")
    return Classifier(
        model,
        np.asarray(model.classes_, dtype=np.int64),
        len(task.target.classes),
        (decision, *notes),
        lambda windows: fit_lda(windows, None, task, seed),
    )


@baselines.register("trees_statistics")
def fit_trees(train: Windows, validation: Windows | None, task: Task, seed: int) -> Classifier:
    """Extremely randomised trees; their leaf size is chosen on the validation part."""
    inner, choosing = last_fifth(train, validation)
    x, codes, notes = _learn(inner, TREE_ROWS)
    checks = sampled(len(choosing), TREE_ROWS)
    x_check, truth = window_statistics(choosing, checks), choosing.truth()[checks, 0]
    best, best_score, leaf = None, -1.0, LEAVES[0]
    for size in LEAVES:
        model = _grown(x, codes, size, seed)
        score = float(np.mean(model.classes_[np.argmax(model.predict_proba(x_check), axis=1)] == truth))
        if score > best_score:
            best, best_score, leaf = model, score, size
    assert best is not None
    if inner is not train:
        x, codes, notes = _learn(train, TREE_ROWS)
        best = _grown(x, codes, leaf, seed)
    decision = Decision(
        leaf,
        "evaluation.trees_leaf",
        {"leaf": leaf, "trees": TREES, "features": x.shape[1]},
        setting="baseline.trees_statistics",
    )

    def learn(windows: Windows) -> Classifier:
        x, codes, notes = _learn(windows, TREE_ROWS)
        grown = _grown(x, codes, leaf, seed)
        return Classifier(
            grown, np.asarray(grown.classes_, dtype=np.int64), len(task.target.classes), (decision, *notes), learn
        )

    return Classifier(
        best, np.asarray(best.classes_, dtype=np.int64), len(task.target.classes), (decision, *notes), learn
    )


def _grown(x: Singles, codes: NDArray[np.int64], leaf: int, seed: int) -> Any:
    from sklearn.ensemble import ExtraTreesClassifier

    model = ExtraTreesClassifier(
        n_estimators=TREES, min_samples_leaf=leaf, random_state=seed, n_jobs=-1, class_weight="balanced"
    ).fit(x, codes)
    model.n_jobs = 1  # threads would add up the votes in any order, and the last bit with them
    return model

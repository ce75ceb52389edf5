"""Linear discriminant analysis beside a network.

This module registers it on window statistics, with Ledoit & Wolf's shrinkage (J. Multivariate Anal. 88
(2004) 365).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.slices import sampled
from backmix.data.windows import Windows
from backmix.models.members.member import Member
from backmix.training.blocks import Blocks
from backmix.training.features import FlatView
from backmix.training.parts import Candidate, candidate
from backmix.training.parts.forest import rows, said

if TYPE_CHECKING:
    from backmix.tasks import Task

MOST_ROWS = 60_000
NEVER = -60.0
"""The logit of a class that the windows do not show."""


@candidate("lda", "classification")
def fit_lda(blocks: Blocks, task: Task, seed: int) -> Candidate | None:
    """Linear discriminant analysis; every class weighs as many windows as it has."""
    seen = FlatView.of(blocks.pool, "statistics")
    held = np.zeros((len(blocks.pool), task.answer.outputs))
    for block in blocks.blocks:
        part = _fitted(seen, block.teach, task)
        if part is None:
            return None
        held[block.at] = said(part, block.held)
    part = _fitted(seen, blocks.pool, task)
    return None if part is None else Candidate(part, held)


def _fitted(seen: FlatView, windows: Windows, task: Task) -> Member | None:
    """The analysis as an affine map of the statistics; None when the windows are all of one class."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    used = windows.subset(sampled(len(windows), MOST_ROWS))
    codes = used.truth()[:, 0].astype(np.int64)
    if len(np.unique(codes)) < 2:
        return None
    x = rows(seen, used).astype(np.float64)
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(x, codes)
    kernel, bias = np.asarray(model.coef_).T, np.asarray(model.intercept_)
    if task.answer.outputs == 1:
        return Member("lda", seen.view, "linear", {"kernel": kernel, "bias": bias}, "sigmoid")
    return Member("lda", seen.view, "linear", _per_class(kernel, bias, model.classes_, task.answer.outputs), "softmax")


def _per_class(kernel: NDArray[Any], bias: NDArray[Any], codes: NDArray[Any], classes: int) -> dict[str, NDArray[Any]]:
    """Logits of all classes, where some were not seen, and where two of several were."""
    if len(codes) == 2:  # one number between two classes: the other's is 0
        kernel, bias = np.hstack([0 * kernel, kernel]), np.concatenate([[0.0], bias])
    full, level = np.zeros((len(kernel), classes)), np.full(classes, NEVER)
    full[:, codes], level[codes] = kernel, bias
    # a class never seen stays behind the least likely of the others
    unseen = np.setdiff1d(np.arange(classes), codes)
    full[:, unseen] = kernel.mean(axis=1, keepdims=True)
    level[unseen] = bias.mean() + NEVER
    return {"kernel": full, "bias": level}

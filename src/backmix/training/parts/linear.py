"""Ridge and PLS regression beside a network.

This module registers the linear candidates of a regression: ridge and PLS on every row of the window,
ridge on window statistics and on products of levels and slopes. Penalty and number of components are those
with the least error on the blocks that were held out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from backmix.data.slices import slices
from backmix.data.windows import Windows
from backmix.decision import Decision
from backmix.models.members.member import Member
from backmix.models.members.views import STAGES
from backmix.training.blocks import Blocks
from backmix.training.features import FlatView, Lags, quadratic
from backmix.training.linear import (
    MOST_COMPONENTS,
    MOST_FEATURES,
    PENALTIES,
    FlatForm,
    Floats,
    WindowMoments,
    errors,
    moments,
    pls_path,
    ridge_path,
)
from backmix.training.parts import Candidate, candidate

if TYPE_CHECKING:
    from backmix.tasks import Task

FINE = (*(float(10.0**power) for power in np.arange(-6.0, -4.0, 0.5)), *PENALTIES)
"""Penalties that are tried; past values of the target itself can ask for hardly any."""

Path = Callable[[WindowMoments], Floats]
"""Weights (A, P, K) of the models that are tried."""


@candidate("ridge", "regression")
def fit_ridge(blocks: Blocks, task: Task, seed: int) -> Candidate | None:
    """Ridge regression on every row of the window, or on stages of whole batches."""
    return _lagged("ridge", blocks, lambda sums: ridge_path(sums, FINE))


@candidate("pls", "regression")
def fit_pls(blocks: Blocks, task: Task, seed: int) -> Candidate | None:
    """PLS regression on every row of the window, or on stages of whole batches."""
    return _lagged("pls", blocks, _components)


@candidate("ridge_statistics", "regression")
def fit_statistics(blocks: Blocks, task: Task, seed: int) -> Candidate | None:
    """Ridge regression on five statistics per feature."""
    seen = FlatView.of(blocks.pool, "statistics")
    return _chosen("ridge_statistics", seen.view, seen, blocks, lambda sums: ridge_path(sums, FINE))


@candidate("ridge_summaries", "regression")
def fit_summaries(blocks: Blocks, task: Task, seed: int) -> Candidate | None:
    """Ridge regression on mean, rise and last value of every feature and their products."""
    seen = quadratic(blocks.pool, MOST_FEATURES)
    return _chosen("ridge_summaries", seen.view, seen, blocks, lambda sums: ridge_path(sums, PENALTIES))


def _components(sums: WindowMoments) -> Floats:
    """PLS of 1, 2, ... components; where more explain nothing, the last of them again."""
    found = pls_path(sums, min(MOST_COMPONENTS, sums.lags.width))
    return np.concatenate([found, np.repeat(found[-1:], MOST_COMPONENTS - len(found), axis=0)])


def _lagged(name: str, blocks: Blocks, path: Path) -> Candidate | None:
    form = Lags.of(blocks.pool, MOST_FEATURES)
    if form.planned or (form.whole and len(form.starts) != STAGES):
        return None
    return _chosen(name, "stages" if form.whole else "lags", form, blocks, path)


def _chosen(name: str, view: str, form: FlatForm, blocks: Blocks, path: Path) -> Candidate | None:
    """The model of a path that is best on the blocks held out, fitted on all windows."""
    if form.width > MOST_FEATURES:
        return None
    tried: list[tuple[WindowMoments, Floats]] = []
    total: Floats = np.zeros(1)
    for block in blocks.blocks:
        sums = moments(block.teach, form)
        tried.append((sums, path(sums)))
        total = total + len(block.held) * errors(sums, tried[-1][1], block.held)
    best = int(np.argmin(total))
    held = np.empty((len(blocks.pool), tried[0][0].xy.shape[1]))
    for block, (sums, weights) in zip(blocks.blocks, tried, strict=True):
        held[block.at] = _says(form, *_affine(sums, weights[best]), block.held)
    sums = moments(blocks.pool, form)
    kernel, bias = _affine(sums, path(sums)[best])
    setting = best + 1 if path is _components else FINE[best] if len(total) == len(FINE) else PENALTIES[best]
    part = Member(name, view, "linear", {"kernel": _every_row(kernel, form), "bias": bias})
    decision = Decision(
        setting,
        "ensemble.components" if path is _components else "ensemble.penalty",
        {"value": f"{setting:.3g}", "features": form.width},
        setting=f"model.{name}",
    )
    return Candidate(part, held, (decision,))


def _affine(sums: WindowMoments, weights: Floats) -> tuple[Floats, Floats]:
    """Kernel (P, K) and bias (K,) for features as gathered."""
    kernel = weights / sums.scale[:, None]
    return kernel, sums.level - sums.mean @ kernel


def _says(form: FlatForm, kernel: Floats, bias: Floats, windows: Windows) -> Floats:
    found = np.empty((len(windows), len(bias)))
    for at in slices(windows):
        found[at] = form.of_batch(windows.gather(at)) @ kernel + bias
    return found


def _every_row(kernel: Floats, form: FlatForm) -> Floats:
    """The kernel for all rows of the window, where a model of thinned lags sees means of several."""
    if not isinstance(form, Lags) or form.whole or len(form.starts) == form.steps:
        return kernel
    sizes = np.diff([*form.starts, form.steps])
    shares = kernel.reshape(len(sizes), form.features, -1) / sizes[:, None, None]
    return np.repeat(shares, sizes, axis=0).reshape(form.steps * form.features, -1)

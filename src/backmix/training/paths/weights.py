"""Stacking weights along the paths of a forecast.

This module weighs models by how far ahead they look: the newest value may be best for the next rows and useless for
the last. Rows of the path stand in groups that grow with the distance; the weights of a group are drawn towards
those of the whole path, and those of a target towards those of all targets, so that they do not learn the held-out
windows by heart. How strongly, and whether one model alone would do, is decided by cross-validation over the blocks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STRENGTHS = (0.01, 0.1, 1.0)
"""How strongly weights are drawn towards those of the larger group, in units of the squared errors themselves."""
LEAST_SHARE = 0.03
"""A model whose mean weight over the path is smaller is left out."""
CLEAR = 0.01
"""By what share of the squared error a less simple rule must be better over the blocks, to be taken."""
NEWEST = (0.5, 0.7, 0.9, 0.99)
"""What the newest block counts among all, tried one after the other."""
ROUNDS, TINY = 8, 1e-12
"""How often blocks are weighed anew, and the least error of one."""


def path_weights(predictions: Sequence[Floats], truth: Floats, block: NDArray[np.int64], *, targets: int) -> Floats:
    """The weights (C, K·G) >= 0 of C models; those of each output sum to 1.

    predictions, truth: (W, K·G) of held-out windows, scaled; block: (W,) the block each was held out in
    """
    grams = _grams(predictions, truth, block)  # (blocks, K·G, C, C)
    groups = groups_of(truth.shape[1] // targets)
    kept = np.arange(len(predictions))
    while True:
        some = grams[:, :, kept[:, None], kept]
        weights = _chosen(some, groups, targets)
        mean = weights.mean(axis=1)
        if len(kept) == 1 or mean.min() >= LEAST_SHARE:
            break
        kept = np.delete(kept, int(np.argmin(mean)))  # one after the other: the next may weigh more without it
    by_output = np.zeros((len(predictions), truth.shape[1]))
    by_output[kept] = weights
    return by_output


def groups_of(rows: int) -> NDArray[np.int64]:
    """(K,) the group of each row of a path; a group is twice as long as the one before.

    >>> groups_of(8).tolist()
    [0, 1, 1, 2, 2, 2, 2, 3]
    """
    return np.floor(np.log2(np.arange(1, rows + 1))).astype(np.int64)


def _grams(predictions: Sequence[Floats], truth: Floats, block: NDArray[np.int64]) -> Floats:
    """Per block and output the mean products of the models' errors, (blocks, K·G, C, C)."""
    codes = np.unique(block)
    grams = np.empty((len(codes), truth.shape[1], len(predictions), len(predictions)))
    for number, code in enumerate(codes):
        rows = block == code
        off = np.stack([prediction[rows] - truth[rows] for prediction in predictions], axis=2)  # (w, K·G, C)
        grams[number] = np.einsum("wki,wkj->kij", off, off, optimize=True) / len(truth)
    return grams


def _chosen(grams: Floats, groups: NDArray[np.int64], targets: int) -> Floats:
    """The weights with which the error in the newest block is no larger than that of any model alone.

    Where weights for all blocks do not do that, the newest block counts for more.
    """
    newest = grams[-1]
    alone = float(np.diagonal(newest, axis1=1, axis2=2).sum(axis=0).min())
    for share in NEWEST:
        weights = _by_rule(grams, groups, targets, share)
        if float(np.einsum("ik,kij,jk->", weights, newest, weights, optimize=True)) <= (1.0 + CLEAR) * alone:
            break
    return weights


def _by_rule(grams: Floats, groups: NDArray[np.int64], targets: int, share: float) -> Floats:
    """The weights of the simplest rule that is hardly worse than the best over blocks that it has not seen.

    share: what the newest block counts; the others share the rest
    """
    # a mean of several is the safer one of two that are as good
    rules = [("whole", 0.0), ("one", 0.0), *(("groups", strength) for strength in STRENGTHS[::-1])]
    counts = np.append(np.full(len(grams) - 1, (1.0 - share) / max(1, len(grams) - 1)), share)
    if len(grams) < 2:
        return _weights(alike(grams, counts), groups, targets, rules[0])
    lost = np.zeros(len(rules))
    for number in range(len(grams)):
        taught = alike(np.delete(grams, number, axis=0), np.delete(counts, number))
        judged = grams[number]
        for place, rule in enumerate(rules):
            weights = _weights(taught, groups, targets, rule)
            error = np.einsum("ik,kij,jk->", weights, judged, weights, optimize=True)
            lost[place] += np.log(max(float(error), TINY)) * counts[number]
    best = int(np.flatnonzero(lost <= lost.min() + CLEAR)[0])
    return _weights(alike(grams, counts), groups, targets, rules[best])


def alike(grams: Floats, counts: Floats) -> Floats:
    """The sum (K·G, C, C) of those of all blocks, each in units of the error that is left in it.

    counts: (blocks,) what each block counts. The newest one, the validation part, counts as much as all others
        together, or more: where a plant runs in another way by now, that block alone shows it.

    So a block in which all models err by much does not decide for those in which they err by little: the best
    weights have the least mean logarithm of the blocks' errors, found by weighing again and again.
    """
    whole = grams.sum(axis=1)  # (blocks, C, C)
    size = np.maximum(np.diagonal(whole, axis1=1, axis2=2).min(axis=1), TINY)
    for _ in range(ROUNDS):
        weights = simplex((whole * (counts / size)[:, None, None]).sum(axis=0))
        size = np.maximum(np.einsum("i,bij,j->b", weights, whole, weights), TINY)
    return np.asarray((grams * (counts / size)[:, None, None, None]).sum(axis=0))


def _weights(grams: Floats, groups: NDArray[np.int64], targets: int, rule: tuple[str, float]) -> Floats:
    """(C, K·G) by a rule: one model alone, the same weights everywhere, or by groups of rows and target."""
    kind, strength = rule
    whole, count = grams.sum(axis=0), len(grams)
    if kind == "one":
        weights = np.eye(len(whole))[int(np.argmin(np.diag(whole)))]
        return np.repeat(weights[:, None], count, axis=1)
    everywhere = simplex(whole)
    if kind == "whole":
        return np.repeat(everywhere[:, None], count, axis=1)
    weights, group = np.empty((len(whole), count)), np.repeat(groups, targets)
    for code in np.unique(groups):
        near = simplex(grams[group == code].sum(axis=0), everywhere, strength)
        for target in range(targets):
            mine = (group == code) & (np.arange(count) % targets == target)
            own = near if targets == 1 else simplex(grams[mine].sum(axis=0), near, strength)
            weights[:, mine] = own[:, None]
    return weights


def simplex(gram: Floats, towards: Floats | None = None, strength: float = 0.0) -> Floats:
    """The weights w >= 0 with sum 1 of least w'Gw + strength · size · |w - towards|².

    size: the mean of the diagonal of G that the weights ``towards`` leave, so that strength has no unit

    >>> simplex(np.array([[1.0, -1.0], [-1.0, 1.0]])).round(3).tolist()
    [0.5, 0.5]
    """
    from scipy.optimize import nnls

    count = len(gram)
    size = float(np.trace(gram)) / count or 1.0
    factor = np.linalg.cholesky(gram / size + 1e-10 * np.eye(count)).T
    rows, goal, heavy = [factor], [np.zeros(count)], 1e4
    if towards is not None and strength:
        least = max(float(towards @ gram @ towards) / size, 1e-9)
        root = np.sqrt(strength * least)
        rows.append(root * np.eye(count))
        goal.append(root * towards)
    weights, _ = nnls(np.vstack([*rows, np.full(count, heavy)]), np.append(np.concatenate(goal), heavy))
    normalised: Floats = weights / weights.sum()
    return normalised

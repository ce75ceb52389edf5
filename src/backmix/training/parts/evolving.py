"""A PLS model per stage of a running batch beside a network.

This module registers local models of a batch: windows of similar length are modelled together, and batches
that have ended for themselves (Ramaker, van Sprang, Westerhuis & Smilde, J. Process Control 15 (2005) 799).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from backmix.data.progress import complete
from backmix.data.windows import Windows
from backmix.decision import Decision
from backmix.models.members.member import Member
from backmix.training.blocks import Block, Blocks
from backmix.training.parts import Candidate, candidate
from backmix.training.parts.linear import fit_pls

if TYPE_CHECKING:
    from backmix.tasks import Task

MOST_STAGES = 8
LEAST = 5
"""Windows of a stage that each block must hold, and that must be left to teach it."""


@candidate("pls_evolving", "regression")
def fit_evolving(blocks: Blocks, task: Task, seed: int) -> Candidate | None:
    """PLS models for windows of similar length, and one for batches that have ended; for growing windows alone."""
    pool = blocks.pool
    if not pool.spec.growing or pool.lengths is None:
        return None
    ends = stage_ends(pool)
    last = len(ends) + 1
    found = {}
    for number in range(last + 1):
        mine = _stage(blocks, ends, number)
        one = None if mine is None else fit_pls(mine[0], task, seed)
        if mine is not None and one is not None:
            found[number] = (mine[1], one)
    if last not in found or len(found) < 2:
        return None
    held = np.full((len(pool), task.answer.outputs), np.nan)
    for at, one in found.values():
        held[at] = one.held
    held = _filled(held, pool, ends, found)
    nearest = [min(found, key=lambda known: abs(known - number)) for number in range(last + 1)]
    parts = [found[number][1].part for number in nearest]
    part = Member(
        "pls_evolving",
        parts[0].view,
        "staged",
        {
            "ends": ends,
            "kernel": np.stack([one.arrays["kernel"] for one in parts]),
            "bias": np.stack([one.arrays["bias"] for one in parts]),
        },
    )
    listed = ", ".join(str(one.decisions[0].value) for _, one in found.values())
    return Candidate(
        part, held, (Decision(len(found), "ensemble.stages", {"components": listed}, setting="model.pls_evolving"),)
    )


def stage_ends(windows: Windows) -> NDArray[np.float64]:
    """(S - 1,) the longest windows of all stages but the last; () where windows do not grow with a batch."""
    if not windows.spec.growing or windows.lengths is None:
        return np.empty(0)
    return np.unique(np.quantile(windows.lengths, np.linspace(0, 1, MOST_STAGES + 1)[1:-1])).astype(np.float64)


def stages(windows: Windows, ends: NDArray[np.float64]) -> NDArray[np.int64]:
    """(W,) the stage of each window, the last one for batches that have ended; 0 where windows do not grow."""
    if not windows.spec.growing or windows.lengths is None:
        return np.zeros(len(windows), dtype=np.int64)
    return np.where(complete(windows), len(ends) + 1, np.searchsorted(ends, windows.lengths))


def _stage(blocks: Blocks, ends: NDArray[np.float64], number: int) -> tuple[Blocks, NDArray[np.int64]] | None:
    """The blocks with the windows of one stage alone, and which of the pool those are; None where they are few."""
    at = np.flatnonzero(stages(blocks.pool, ends) == number)
    place = np.full(len(blocks.pool), -1)
    place[at] = np.arange(len(at))
    found = []
    for block in blocks.blocks:
        mine, taught = place[block.at], stages(block.teach, ends) == number
        if min((mine >= 0).sum(), taught.sum()) < LEAST:
            return None
        found.append(Block(mine[mine >= 0], block.teach.subset(taught), block.held.subset(mine >= 0)))
    return replace(blocks, pool=blocks.pool.subset(at), blocks=tuple(found)), at


def _filled(
    held: NDArray[np.float64],
    pool: Windows,
    ends: NDArray[np.float64],
    found: dict[int, tuple[NDArray[np.int64], Candidate]],
) -> NDArray[np.float64]:
    """What is said of stages without a model of their own: the mean of what was said of the others."""
    missing = ~np.isfinite(held).all(axis=1)
    held[missing] = held[~missing].mean(axis=0)
    return held

"""Whether a linear model should look farther back than the networks.

A slow plant (a tank, a drum, a furnace) remembers longer than a network can be trained on in reasonable time. This
module tries longer lookbacks with the quick linear model of `choose_lookback` on blocks that are held out in turn, and
takes one where it is clearly better and few rows are lost by it. The test part only says how many windows it has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from backmix.data.splitting.split import Split, SplitPart
from backmix.data.table import Table
from backmix.data.windows.windows import Windows, WindowSpec, build_windows
from backmix.decision import Decision
from backmix.errors import InputError
from backmix.simple.blocks import Blocks, block_windows
from backmix.tasks import Task
from backmix.training.advice.lookback import CLOSE, linear_answers
from backmix.training.plan import Plan

LONGER = (60, 120, 240, 480)
GAIN = 0.95
"""A longer lookback must bring the error on held-out blocks below this share, since every row of it costs a window at
each start of the plant."""
KEPT = 0.8
"""Share of the windows of every part that must be left."""

Floats = NDArray[np.float64]
Learned = Callable[[Windows], Windows]


def may_look_farther(plan: Plan, task: Task, spec: WindowSpec) -> bool:
    """Whether an ensemble may have a member that looks farther back than its networks: a plain number on a row, of a
    plant whose runs are not whole batches."""
    beside = plan.model.beside
    plain = (
        spec.answer == "row" and not spec.carried and not spec.padded and not spec.future and not task.answer.recursive
    )
    asked = plan.model.recipe != "course" and (isinstance(beside, str) or "ridge_long" in beside)
    return asked and plain and task.kind == "regression" and not task.target.whole_batches


def choose_reach(table: Table, split: Split, spec: WindowSpec, *, learned: Learned) -> Decision | None:
    """The lookback in rows of the member that looks farthest back; None where none is worth more than ``spec`` has.

    spec: with the lookback of the networks; learned: keeps the windows that may be learned from
    """
    assert spec.lookback is not None
    tried: dict[int, tuple[Blocks, Floats]] = {}
    counts: list[int] | None = None
    for rows in (spec.lookback, *(rows for rows in LONGER if rows > 1.5 * spec.lookback)):
        try:
            parts = [
                build_windows(table, replace(spec, lookback=rows), split=split, part=part)
                for part in (SplitPart.TRAIN, SplitPart.VALIDATION, SplitPart.TEST)
                if split.count(part)
            ]
        except InputError:
            break
        sizes = [len(part) for part in parts]
        counts = counts or sizes
        if any(now < KEPT * before for now, before in zip(sizes, counts, strict=True)):
            break
        blocks = block_windows(learned(parts[0]), learned(parts[1]))
        if blocks is None or (tried and len(blocks) < min(len(others) for others, _ in tried.values())):
            break
        answers = np.empty((len(blocks.pool), len(spec.targets)))
        for block in blocks.blocks:
            answers[block.indices] = linear_answers(block.teach, block.held_out)
        tried[rows] = blocks, answers - blocks.pool.truth()
    if len(tried) < 2:
        return None
    common = np.unique(list(tried.values())[-1][0].pool.origins)
    for blocks, _ in tried.values():
        common = np.intersect1d(common, blocks.pool.origins)
    size = next(iter(tried.values()))[0].pool.truth().std(axis=0) + 1e-12
    errors = {
        rows: float(np.sqrt(np.mean((wrong[np.isin(blocks.pool.origins, common)] / size) ** 2)))
        for rows, (blocks, wrong) in tried.items()
    }
    usual, best = errors[spec.lookback], min(errors.values())
    if best > GAIN * usual:
        return None
    chosen = next(rows for rows, error in errors.items() if error <= CLOSE * best)
    listed = ", ".join(f"{rows}: {error:.3g}" for rows, error in errors.items())
    values = {"rows": chosen, "seen": spec.lookback, "errors": listed}
    return Decision(chosen, "simple.longer", values, setting="windows.lookback") if chosen > spec.lookback else None

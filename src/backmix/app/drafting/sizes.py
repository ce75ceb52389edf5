"""Sizes that fit the labels of a table.

This module counts the labels that each fold of a backtest, each fold of a search and each round of a refit would
hold. Where the usual sizes would leave a part with next to none, it proposes fewer and larger ones, or says how many
more labels there must be. The parts are laid out by the same functions that lay them out later.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.splitting.folds import FoldPlan, folds
from backmix.data.splitting.split import PARTS, Codes, Split, SplitPart, SplitPlan, split
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.data.windows.form import WindowSpec
from backmix.errors import InputError
from backmix.text import say
from backmix.training.prepare import LEAST_WINDOWS
from backmix.training.sections.folds import BacktestPlan, lay_out_folds
from backmix.training.sections.rounds import RefitPlan, lay_out_rounds

FEW = 400
"""With as many labels as this or more, the usual sizes do."""
SMALL = 120
"""A table of fewer rows has no room for the usual sizes, even when each row has a label."""
LEAST = LEAST_WINDOWS + 1
MOST_ROWS = 10_000
LOOKBACKS = (5, 40)
SHARES = ((0.6, 0.2, 0.2), (0.5, 0.25, 0.25), (0.4, 0.3, 0.3))
FACTORS = (1.1, 1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 10.0)


@dataclass(frozen=True)
class Sizes:
    """What a plan says of sizes; nothing where the usual ones do.

    lookback: rows, with the reason; shares: of training, validation and test; sections: those behind the others
    """

    lookback: int | None = None
    why_lookback: str = ""
    shares: tuple[float, float, float] = SHARES[0]
    sections: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class LabelCounts:
    """The labels of a table on at most `MOST_ROWS` bins of rows.

    counts: (M,) labels of each bin; bins: rows of a bin; gap: bins that a window with its
    delay reaches over
    """

    counts: NDArray[np.float64]
    bins: int
    gap: int

    @classmethod
    def of(cls, table: Table, target: str, reach: int) -> LabelCounts:
        known = np.isfinite(table.column(target)).astype(np.float64)
        bins = max(1, math.ceil(len(known) / MOST_ROWS))
        return cls(np.add.reduceat(known, np.arange(0, len(known), bins)), bins, math.ceil(reach / bins))

    @property
    def table(self) -> Table:
        """A table of as many rows as there are bins."""
        return _blank(len(self.counts))

    def more(self, factor: float) -> LabelCounts:
        """So many times the labels on the same rows."""
        return replace(self, counts=self.counts * factor)

    def enough(self, part: Codes, wanted: Iterable[SplitPart] = PARTS) -> bool:
        """Whether each of these parts holds labels enough."""
        return all(self.counts[: len(part)][part == code].sum() >= LEAST for code in wanted)


def _blank(rows: int) -> Table:
    """A table of so many rows without a clock."""
    return Table(np.zeros((rows, 1)), (Tag("label"),))


def sizes_for(table: Table, target: str, kind: str) -> Sizes:
    """The sizes for a table whose labels are few; the usual ones for any other."""
    count = int(np.isfinite(table.column(target)).sum())
    if kind != "soft_sensor" or table.batch is not None or count >= min(FEW, max(SMALL, len(table))):
        return Sizes()
    rows = np.flatnonzero(np.isfinite(table.column(target)))
    usual = float(np.median(np.diff(rows))) if count > 1 else float(LOOKBACKS[0])
    lookback = int(np.clip(round(usual / 2), *LOOKBACKS))
    labels = LabelCounts.of(table, target, lookback)
    # shares of which backtest, search and refit can all live; else of which the run itself can; else the usual ones
    plans = [(shares, _Sizing(labels, shares, lookback)) for shares in SHARES]
    alive = [pair for pair in plans if pair[1].runs()]
    shares, sizing = next((pair for pair in alive if all(pair[1].sections().values())), (alive or plans)[0])
    lines = []
    for name, settings in sizing.sections().items():
        lines.append("")
        if settings is not None:
            lines += [f"# {say('draft.few_labels', count=count)}", f"[{name}]"]
            lines += [f"{key} = {_written(value)}" for key, value in settings.items()]
            continue
        needed = next((n for n in FACTORS if _Sizing(labels.more(n), shares, lookback).sections()[name]), None)
        more = math.ceil(count * ((needed or FACTORS[-1]) - 1))
        lines.append(f"# {say(f'draft.too_few_{name}', count=count, more=more)}")
    return Sizes(lookback, say("draft.few_lookback", count=count), shares, tuple(lines))


def _written(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else f"{value}"


@dataclass(frozen=True, eq=False)
class _Sizing:
    """LabelCounts under one way of splitting."""

    labels: LabelCounts
    shares: tuple[float, float, float]
    lookback: int

    def runs(self) -> bool:
        """Whether training, validation and test have labels enough."""
        return self._fits(lambda: self.labels.enough(self._split(len(self.labels.counts)).part))

    def sections(self) -> dict[str, dict[str, Any] | None]:
        """The sections that give every part labels enough, by name; None where none does."""
        if not self.runs():
            return {"backtest": None, "tune": None, "refit": None}
        return {
            "backtest": next(self._backtests(), None),
            "tune": next(self._searches(), None),
            "refit": next(self._refits(), None),
        }

    def _split(self, rows: int) -> Split:
        train, validation, test = self.shares
        return split(_blank(rows), SplitPlan(train=train, validation=validation, test=test), gap=self.labels.gap)

    @staticmethod
    def _fits(check: Callable[[], bool]) -> bool:
        try:
            return check()
        except InputError:
            return False

    def _backtests(self) -> Iterator[dict[str, Any]]:
        table, gap = self.labels.table, self.labels.gap
        for count, first, validation in product((5, 4, 3, 2), (0.5, 0.6, 0.7), (0.2, 0.25, 0.3, 0.35)):
            plan = BacktestPlan(folds=count, first=first, validation=validation)

            def check(plan: BacktestPlan = plan) -> bool:
                layout = lay_out_folds(table, plan, whole=False)
                stretches = ((n, layout.rows(n, table)) for n in range(1, layout.count + 1))
                return all(
                    self.labels.enough(np.asarray(layout.divide(n, _blank(end - begin), gap).part))
                    for n, (begin, end) in stretches
                )

            if self._fits(check):
                yield {"folds": count, "first": first, "validation": validation}

    def _searches(self) -> Iterator[dict[str, Any]]:
        parts = self._split(len(self.labels.counts))
        rows = int(np.flatnonzero(parts.part == SplitPart.VALIDATION)[-1]) + 1
        for kind, count, validation in product(("expanding", "blocked"), (3, 2, 4, 5), (0.2, 0.3, 0.35)):
            plan = FoldPlan.model_validate({"kind": kind, "folds": count, "validation": validation})

            def check(plan: FoldPlan = plan) -> bool:
                made = folds(_blank(rows), plan, gap=self.labels.gap)
                return all(self.labels.enough(np.asarray(fold.part)) for fold in made)

            if self._fits(check):
                yield {"kind": kind, "folds": count, "validation": validation}

    def _refits(self) -> Iterator[dict[str, Any]]:
        labels, rows = self.labels, len(self.labels.counts)
        reach = max(1, labels.gap)
        spec = WindowSpec(inputs=("label",), targets=("label",), lookback=reach)
        grid = product((5, 4, 3, 2), (0.5, 0.6, 0.65), (0.2, 0.25, 0.3, 0.4, 0.5), (1.0, 1.5, 2.0, 3.0, 4.0))
        for stretches, first, validation, wide in grid:
            old = round(first * rows)
            every = (rows - old) // stretches
            if every < 1:
                continue
            window = round(wide * every)
            settings = {"first": first, "every": every, "window": window, "validation": validation}
            plan = RefitPlan.model_validate(settings)

            def check(plan: RefitPlan = plan, old: int = old) -> bool:
                champion = self._split(old)
                held_out = champion.rows(SplitPart.TEST)
                if not labels.enough(np.asarray(champion.part)):
                    return False
                table = labels.table
                layout = lay_out_rounds(table, plan, spec, old=old, held_out=held_out, whole=False)
                for number in range(1, layout.count + 1):
                    begin, end = layout.judged_rows(number)
                    part = np.asarray(layout.divide(number, spec, seed=0, table=table, gap=labels.gap).part)
                    if labels.counts[begin:end].sum() < LEAST or not labels.enough(part):
                        return False
                return True

            if self._fits(check):
                # bins of several rows do not end where the table does
                whole = every * labels.bins - (labels.bins - 1) * (stretches + 1)
                yield settings | {"every": whole, "window": window * labels.bins}

"""Whether a false-alarm rate can be promised.

This module defines `Promise`. A threshold from held-out rows keeps its rate on rows like them. Whether the rows of
normal operation are alike is tested on the blocks of training and validation part: each is judged by a threshold
from the others, and the share of its windows that alarm is compared with what was asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from backmix.decision import Decision
from backmix.models.members.novelty import needed, threshold

Floats = NDArray[np.float64]
FACTOR = 2.0
"""A promised rate holds within this factor."""
OFTEN = 0.1
"""Rates are compared at this share of alarms, too: where a block has drifted, most of its windows show it."""
KEYS = {"kept": "anomaly.rate_kept", "drifts": "anomaly.rate_drifts", "few": "anomaly.rate_few"}
NOT_KEPT = {"drifts": "anomaly.no_promise_drifts", "few": "anomaly.no_promise_few"}
"""The sentences about what can be promised: in the report, and in the verdict where nothing can be."""
CHANCE = 0.01
"""All blocks together fail by chance, where they are alike, at most this often at each share."""
LEAST = 20.0
"""Independent windows below which a block says nothing about drift."""
ENOUGH = 10.0
"""Independent alarms in vain that the threshold must have been set by: fewer do not tell the rate within the factor."""


@dataclass(frozen=True)
class Promise:
    """Whether a false-alarm rate can be promised, and by what.

    rate: as asked; low, high: the smallest and largest share of alarms in a block that was held out
    blocks: how many; windows: on which the threshold was set; together: how many neighbouring windows
        are as good as one
    why: "kept", or why nothing can be promised: "drifts" from block to block, or "few" independent windows
    """

    rate: float
    low: float
    high: float
    blocks: int
    windows: int
    together: float
    why: Literal["kept", "drifts", "few"]

    @property
    def kept(self) -> bool:
        """Whether the rate can be promised."""
        return self.why == "kept"

    @classmethod
    def of(cls, scores: Floats, block: NDArray[np.int64], rate: float, *, windows: int) -> Self:
        """From scores (n,) of normal windows, each from a model that its block (n,) did not teach.

        A block differs when its share of alarms lies beyond `FACTOR` times the rate, or below the rate by as much, and
        so many or few would be rare among so many independent windows (a binomial tail below `CHANCE` over all
        blocks). Neighbours alarm together: n windows count as n / together, the integrated autocorrelation of what
        lies above a block's own `OFTEN` highest scores, which drift from block to block does not lengthen.
        """
        places = [np.flatnonzero(block == code) for code in np.unique(block)]
        together = autocorrelation([scores[mine] > np.quantile(scores[mine], 1 - OFTEN) for mine in places])
        shares, drifts = np.full(len(places), rate), False
        for level in (max(rate, OFTEN), rate):
            alarms = [
                scores[mine] > threshold(np.delete(scores, mine), level)
                for mine in places
                if len(scores) - len(mine) >= needed(level)
            ]
            if len(alarms) < 2:
                return cls(rate, 0.0, 0.0, len(places), windows, together, "few")
            shares = np.array([float(alarm.mean()) for alarm in alarms])
            drifts |= any(_differs(alarm, level, together, len(alarms)) for alarm in alarms)
        few = windows * rate / together < ENOUGH
        why: Literal["kept", "drifts", "few"] = "drifts" if drifts else "few" if few else "kept"
        return cls(rate, float(shares.min()), float(shares.max()), len(places), windows, round(float(together), 2), why)

    @property
    def decision(self) -> Decision:
        """What can be promised, for the report."""
        values = {
            "rate": f"{100 * self.rate:.2g} %",
            "low": f"{100 * self.low:.2g} %",
            "high": f"{100 * self.high:.2g} %",
            "blocks": self.blocks,
            "windows": f"{self.windows:,}",
            "together": f"{self.together:.2g}",
        }
        return Decision(self.rate if self.kept else None, KEYS[self.why], values, "task.false_alarm_rate")

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The promise of `to_dict`; ValueError, KeyError or TypeError when it is malformed."""
        promise = cls(**data)
        if promise.why not in ("kept", "drifts", "few"):
            raise ValueError(str(promise.why))
        return promise


def autocorrelation(series: list[NDArray[np.bool_]]) -> float:
    """How many neighbouring windows are as good as one: 1 + 2 Σ ρ(k), up to the first ρ that is not positive.

    >>> rng = np.random.default_rng(0)
    >>> round(autocorrelation([rng.random(5000) < 0.1]), 1), autocorrelation([np.repeat(rng.random(500) < 0.1, 10)]) > 7
    (1.0, True)
    """
    away = [alarms - alarms.mean() for alarms in series]
    variance = float(np.mean(np.concatenate(away) ** 2))
    if not variance > 0:
        return 1.0
    total, longest = 1.0, max(len(values) for values in away)
    for lag in range(1, longest // 3):
        pairs = [values[lag:] * values[:-lag] for values in away if len(values) > lag]
        rho = float(np.mean(np.concatenate(pairs))) / variance
        if rho <= 2.0 / np.sqrt(sum(len(pair) for pair in pairs)):
            break
        total += 2.0 * rho
    return total


def _differs(alarms: NDArray[np.bool_], level: float, together: float, blocks: int) -> bool:
    from scipy.stats import binom

    count, hits = len(alarms) / together, float(alarms.sum()) / together
    share = hits / count
    if count < LEAST:
        return False
    if level / FACTOR <= share <= FACTOR * level:
        return False
    count = int(np.ceil(count))
    tail = binom.sf(np.floor(hits) - 1, count, level) if share > level else binom.cdf(np.ceil(hits), count, level)
    return bool(tail < CHANCE / blocks)

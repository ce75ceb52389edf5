"""What a trained model looks at.

In: the model as it runs, a network or an ensemble, and windows of the test part (`Subject`).
Out: an `Insight`: numbers about the model; `sentences` explains them in plain words.
`attribution` says which tag at which lag changes a prediction of the model, `permutation` how much its error grows
without a tag. `gates` follows the gates over time, `memory` measures how far back the network remembers, `attention`
where an attention layer looks: of an ensemble they are those of one network, if networks have weight. `look` does all
of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from backmix.inspection.attention import Attention, attend
from backmix.inspection.attribution import Attribution, attribute
from backmix.inspection.gates import Gates, watch
from backmix.inspection.memory import Memory, remember
from backmix.inspection.permutation import Permutation, permute
from backmix.inspection.subject import QUICK, THOROUGH, Effort, Subject, why_closed
from backmix.models.cells import cells

__all__ = ["QUICK", "THOROUGH", "Effort", "Insight", "Subject", "look"]

SHOWN_TAGS = 3
"""Tags beside the gates."""
MEMORY_KEYS = ("effective_rows", "half_life_rows", "factor", "lookback_rows", "seconds", "residence_rows")


@dataclass(frozen=True, eq=False)
class Insight:
    """All results about the inside of a model; what does not apply is None and has a reason in ``left_out``.

    target: the target that is explained; step: seconds between rows, None without a clock
    left_out: catalogue keys of the sentences that say what is not shown, and why
    shares: what an ensemble is made of, and the share of each; empty for one network alone. Memory, gates and
        attention are those of one of its networks
    classes: a class is predicted, so that probabilities are explained
    summaries: whether statistics of the window bypass the recurrence; whole: one window is one batch
    source: the table that was looked at, when it is not that of the run
    """

    target: str
    step: float | None
    attribution: Attribution
    permutation: Permutation | None
    memory: Memory | None
    gates: Gates | None
    attention: Attention | None
    left_out: tuple[str, ...]
    classes: bool
    summaries: bool
    whole: bool
    source: str = ""
    shares: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The numbers of the sentences, ready for JSON."""
        attribution, memory = self.attribution, self.memory
        result: dict[str, Any] = {
            "target": self.target,
            "runs": dict(self.shares),
            "unit": attribution.unit,
            "windows": attribution.windows,
            "tags": [
                {
                    "name": attribution.features[f],
                    "moves": finite(attribution.push[f]),
                    "held": finite(attribution.occluded[f]),
                    "age_rows": attribution.peak(int(f)),
                }
                for f in attribution.order
            ],
            "reach_rows": attribution.reach,
            "completeness_gap": finite(attribution.gap),
            "mean_difference": finite(attribution.moved),
        }
        if self.permutation is not None:
            p = self.permutation
            result["permutation"] = {
                "error": p.error,
                "windows": p.windows,
                "block": p.block,
                "tags": [
                    {"name": name, "increase": float(mean), "spread": float(spread)}
                    for name, mean, spread in zip(p.features, p.mean, p.spread, strict=True)
                ],
            }
        if memory is not None:
            result["memory"] = {
                "effective_rows": memory.effective,
                "half_life_rows": memory.half_life,
                "factor": memory.factor,
                "lookback_rows": memory.lookback,
                "seconds": None if self.step is None else memory.effective * self.step,
                "residence_rows": [finite(r.middle) for r in memory.residence],
            }
        elif "insight.no_network" in self.left_out:  # the keys stay, so that who reads them finds nothing
            result["memory"] = dict.fromkeys(MEMORY_KEYS)
        if self.attention is not None:
            result["attention"] = {"half_rows": self.attention.half, "peak_rows": self.attention.peak}
        return result


def look(
    subject: Subject, effort: Effort, *, seed: int = 0, place: str | int | None = None, rows: int | None = None
) -> Insight:
    """Look into a model; see `Insight`. ``place`` and ``rows`` choose the stretch of the gates.

    Raises PlanError and InputError for a stretch that is not there.
    """
    # a network that explodes gets a sentence; it must not stop the run
    with np.errstate(over="ignore", invalid="ignore"):
        return _look(subject, effort, seed, place, rows)


def _look(subject: Subject, effort: Effort, seed: int, place: str | int | None, rows: int | None) -> Insight:
    left_out = ["insight.last_row"] if len(subject.windows.spec.horizons) > 1 else []
    left_out += ["carried.insight"] if subject.windows.spec.carried else []
    attribution = attribute(subject, effort, seed=seed)
    if attribution.lost:
        left_out.append("insight.not_finite")
    permutation = permute(subject, effort, features=attribution.order, seed=seed)
    if permutation is None:
        left_out.append("insight.few_truths")
    network = subject.one_network()
    closed = why_closed(network)
    memory = gates = None
    if closed is not None:
        left_out.append(closed)
    else:
        if subject.shares:
            left_out.append("ensemble.one_of")
        memory = remember(network, effort)
        inputs = [int(f) for f in attribution.order if f < len(subject.windows.spec.inputs)]
        gates = watch(network, features=inputs[:SHOWN_TAGS], place=place, rows=rows)
        if memory is None:
            left_out.append("insight.exploded")
        if gates is None:
            left_out.append("insight.unstable" if cells.get(subject.architecture.cell).keeping else "insight.no_gates")
    a = subject.architecture
    return Insight(
        target=subject.tag.name,
        step=subject.step,
        attribution=attribution,
        permutation=permutation,
        memory=memory,
        gates=gates,
        attention=attend(network, effort),
        left_out=tuple(left_out),
        classes=bool(subject.task.target.classes),
        summaries=a.summaries or len(subject.shares) > 1,  # what a simple member sees bypasses the recurrence, too
        whole=subject.windows.masked,
        shares=subject.shares,
    )


def finite(value: float) -> float | None:
    """A number as JSON can hold it."""
    return float(value) if np.isfinite(value) else None

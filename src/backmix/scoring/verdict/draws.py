"""Scores of several models on the same windows, with bootstrap draws that are the same for all.

This module defines `MetricDraws`, values and draws of one metric over one or several targets, from which verdicts and
comparisons are made, and cuts samples to the windows that every model answered.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.scoring.bootstrap import Interval, percentile_interval
from backmix.scoring.metrics import Metric, Undefined, flat
from backmix.scoring.predictions import Sample
from backmix.scoring.scores import PairedSamples, Sampling, draw_scores, unit_of

Floats = NDArray[np.float64]


def on_common_windows(targets: list[PairedSamples]) -> tuple[list[PairedSamples], set[str]]:
    """The samples on the windows that every model answered, and the models that answered none at all."""
    silent = {name for paired in targets for name, sample in paired.samples.items() if not sample.usable.any()}
    cut = []
    for paired in targets:
        speaking = {name: sample for name, sample in paired.samples.items() if name not in silent}
        if not speaking:
            cut.append(paired)
            continue
        both = np.logical_and.reduce([sample.usable for sample in speaking.values()])
        if both.any() and not both.all():
            speaking = {name: sample.take(both) for name, sample in speaking.items()}
        cut.append(replace(paired, samples=speaking | {n: s for n, s in paired.samples.items() if n in silent}))
    return cut, silent


def _size(truth: Floats) -> float:
    """By what the errors of one of several targets are divided: its spread; 1 where it does not vary."""
    known = truth[np.isfinite(truth)]
    return float(np.std(truth)) if len(known) and not flat(known) else 1.0


class MetricDraws:
    """Values and draws of the task's first metric, over one or several targets."""

    def __init__(self, metric: Metric, targets: list[PairedSamples], sampling: Sampling) -> None:
        self.metric = metric
        self.paired = targets
        self.sampling = sampling
        many = len(targets) > 1 and metric.unit == "target"
        self.sizes = [_size(paired.any.truth) if many else 1.0 for paired in targets]

    def good(self, value: Any) -> Any:
        """A value with its sign changed where needed, so that higher is better."""
        if self.metric.better == "zero":
            return -np.abs(value)
        return -value if self.metric.better == "lower" else value

    def value(self, name: str) -> float:
        """The score of a model; NaN when it is undefined for any target."""
        return float(
            np.mean(
                [
                    self.metric(self._sample(paired, name)) / size
                    for paired, size in zip(self.paired, self.sizes, strict=True)
                ]
            )
        )

    def why(self, name: str) -> Undefined | None:
        """Why the score of a model is undefined."""
        reasons = [self.metric.score(self._sample(paired, name)).undefined for paired in self.paired]
        return next((reason for reason in reasons if reason is not None), None)

    def draws(self, names: list[str]) -> dict[str, Floats]:
        """Bootstrap values of models; the draws are the same for all, so that they can be subtracted."""
        total: dict[str, Floats] = {}
        for paired, size in zip(self.paired, self.sizes, strict=True):
            jobs = [(self.metric, self._sample(paired, name)) for name in names]
            for name, values in zip(names, draw_scores(jobs, self.resampler(paired)), strict=True):
                total[name] = total.get(name, 0.0) + values / size / len(self.paired)
        return total

    def resampler(self, paired: PairedSamples) -> Any:
        """The stretches of a target: one length for all targets, so that their draws are the same."""
        if self.sampling.block is None:
            longest = max(other.resampler(self.sampling).length for other in self.paired)
            self.sampling = Sampling(self.sampling.draws, self.sampling.level, self.sampling.seed, longest)
        return paired.resampler(self.sampling)

    @property
    def blocks(self) -> float:
        """How many independent stretches (or faults) there are."""
        if self.metric.draws == "faults":
            return float(self.metric.items(self.paired[0].any))
        return float(self.resampler(self.paired[0]).blocks)

    def ends(self, values: Floats, estimate: float) -> Interval:
        """The interval of bootstrap values around their estimate."""
        if not len(values):
            return Interval()
        return percentile_interval(values, level=self.sampling.level, blocks=self.blocks, estimate=estimate)

    def describe(self) -> dict[str, Any]:
        """The counts, the unit and the form of the score, as fields of a verdict."""
        sample = self.paired[0].any
        used = sample.usable
        many = len(self.paired) > 1 and self.metric.unit == "target"
        return {
            "windows": sample.windows,
            "batches": len(np.unique(sample.runs[used])),
            "blocks": self.blocks,
            "targets": len(self.paired),
            "share": self.metric.unit == "share",
            "unit": "" if many else unit_of(self.metric, self.paired[0].unit, clock=sample.clock),
        }

    def _sample(self, paired: PairedSamples, name: str) -> Sample:
        return paired.samples[name]

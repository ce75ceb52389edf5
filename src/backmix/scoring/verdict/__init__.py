"""Whether the network is worth using, in one sentence that may say no.

In: a prediction frame with the validation and the test part, and the task.
Out: a `Verdict` on the model against the best baseline on the test part. The baseline is chosen on the validation part,
as an engineer would have to choose it. When another baseline does better on the test part, the sentence says so:
hiding it would flatter the model.

An anomaly detection is judged by its alarms at the threshold that was set (`detection`): which faults it notices,
and where nothing is decided by that, how soon; against a baseline that may alarm as often in normal operation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from backmix.scoring.bootstrap import FEWEST_BLOCKS, Interval
from backmix.scoring.metrics import Metric, Undefined, metrics
from backmix.scoring.scores import PairedSamples, Sampling, model_title, paired_samples, shown
from backmix.scoring.verdict.detection import REFERENCE, EqualAlarms, at_same_rate, detection_of
from backmix.scoring.verdict.draws import MetricDraws, on_common_windows
from backmix.text import Language, say, speak

if TYPE_CHECKING:
    import pandas as pd

    from backmix.decision import Decision
    from backmix.tasks import Task

Floats = NDArray[np.float64]
PairOutcome = Literal["better", "maybe_better", "same", "maybe_worse", "worse", "too_few", "undefined"]
"""What the comparison with a baseline comes to."""
Outcome = Literal[PairOutcome, "no_baseline"]

SAME = 0.01
"""Scores that differ by less than this share of the baseline's error count as equal."""
OF_ALARMS = {
    "better": "anomaly.verdict_better",
    "maybe_better": "anomaly.verdict_maybe_better",
    "same": "anomaly.verdict_same",
    "maybe_worse": "anomaly.verdict_maybe_worse",
    "worse": "anomaly.verdict_worse",
    "too_few": "anomaly.verdict_too_few",
}
"""Outcomes with a sentence about alarms."""
AT_THRESHOLD = ("event_recall", "detection_delay")
"""By what alarms are judged: the second where the first decides nothing."""


@dataclass(frozen=True)
class ModelScore:
    """The score of a model in a verdict: value and interval of the task's first metric on the test part."""

    model: str
    value: float
    ends: Interval


@dataclass(frozen=True)
class EnsembleShare:
    """How much the networks of an ensemble count.

    share: the sum of their stacking weights; alone: the name in the frame of the networks without the other members
    """

    share: float
    alone: str


@dataclass(frozen=True)
class Verdict:
    """The verdict on a network.

    outcome: of the network against ``baseline``: better or worse beyond the noise, maybe_better or
        maybe_worse within it, same, or why there is no verdict
    worth: whether the network is worth using; None when the scores do not decide it
    baseline: the best by validation score; best_on_test: the best by test score, never hidden
    gain: how much better the network is than ``baseline``, in the metric's unit (positive: better)
    chosen: whether the validation part chose the baseline; where its scores are undefined there (no anomaly
        among its windows, say) the best one on the test part stands against the network
    targets: over how many targets a mean was taken, each in units of its own spread; 1 for none
    note: what must be known to read the scores (`Task.convention`), None for nothing
    recurrent: the sum of the stacking weights of an ensemble's networks; None for a single network
    alone: the score of an ensemble's networks without the other members
    hopeless: whether no model, the baselines among them, beats the mean of the judged part (R² < 0 for every target)
    detection: what the alarms of an anomaly detection were worth at its threshold; None for other tasks
    """

    outcome: Outcome
    metric: str
    worth: bool | None
    network: ModelScore | None = None
    baseline: ModelScore | None = None
    best_on_test: ModelScore | None = None
    gain: float | None = None
    gain_ends: Interval = field(default_factory=Interval)
    windows: int = 0
    batches: int = 0
    blocks: float = 0.0
    targets: int = 1
    unit: str = ""
    share: bool = False
    undefined: Undefined | None = None
    note: Decision | None = None
    chosen: bool = True
    recurrent: float | None = None
    alone: ModelScore | None = None
    hopeless: bool = False
    detection: EqualAlarms | None = None

    @property
    def key(self) -> str:
        """The catalogue key of the sentence."""
        if self.detection is not None and self.outcome in OF_ALARMS:
            return OF_ALARMS[self.outcome]
        if self.outcome == "better" and not self.chosen:
            return "anomaly.verdict_better_unchosen"
        if self.outcome in ("better", "maybe_better") and self.beaten:
            return "evaluation.verdict_beaten"
        if self.outcome == "maybe_better" and self.gain_ends.excludes(0.0):
            return "evaluation.verdict_unsettled"
        return f"evaluation.verdict_{self.outcome}"

    @property
    def beaten(self) -> bool:
        """Whether some baseline is ahead of the network on the test part."""
        best, network = self.best_on_test, self.network
        return best is not None and network is not None and _is_better(self.metric, best.value, network.value)

    @property
    def _also(self) -> bool:
        """Whether the sentence must name a second baseline, so that a better one is not hidden."""
        named = self.key in ("evaluation.verdict_beaten", "evaluation.verdict_unsettled")
        return self._other and not named

    @property
    def _other(self) -> bool:
        """Whether another baseline than the one that is named is the best on the test part."""
        if self.best_on_test is None or self.baseline is None:
            return False
        return self.best_on_test.model != self.baseline.model

    @property
    def values(self) -> Mapping[str, Any]:
        """The values of the sentence's placeholders, in the language of the moment."""
        metric = metrics.get(self.metric)
        title = metric.title()
        if self.targets > 1:
            mean = "mean_in_spreads" if metric.unit == "target" else "mean_over_targets"
            title = say(f"evaluation.{mean}", metric=title, targets=self.targets)
        kind = "rnn" if self.recurrent is None else "ensemble"
        where = "inside" if self.outcome in ("too_few", "no_baseline") else "subject"
        blanks: dict[str, Any] = {
            "subject": say(f"ensemble.{where}_{kind}"),
            "metric": title,
            "windows": f"{self.windows:,}",
            "batches": f"{self.batches:,}",
            "blocks": f"{self.blocks:.0f}",
            "fewest": FEWEST_BLOCKS,
            "why": "" if self.undefined is None else self.undefined.text(),
        }
        for name, standing in (("network", self.network), ("baseline", self.baseline), ("best", self.best_on_test)):
            if standing is not None:
                blanks[name] = model_title(standing.model)
                blanks[f"{name}_score"] = self._score(standing)
        return blanks

    def text(self, lang: Language | None = None) -> str:
        """The sentence, in the language of the moment unless one is named."""
        if lang is not None:
            with speak(lang):
                return self.text()
        values = self.values
        note = "" if self.note is None else say("course.verdict_note", note=self.note.reason())
        first = say("evaluation.verdict_hopeless") if self.hopeless else ""
        if self.detection is not None:
            if self.outcome != "no_baseline" and self.outcome != "undefined":
                blanks = {**values, **self.detection.values()}
                also = say("anomaly.verdict_also", **blanks) if self.beaten and self._other else ""
                return say(self.key, **blanks) + also + say("evaluation.verdict_end") + self.detection.text() + note
            note = self.detection.text() + note
        return (
            first
            + say(self.key, **values)
            + (say("evaluation.verdict_also", **values) if self._also else "")
            + say("evaluation.verdict_end")
            + self._inside()
            + note
        )

    def __str__(self) -> str:
        return self.text()

    def _inside(self) -> str:
        """The sentence that says how much the networks of an ensemble count."""
        if self.recurrent is None or self.alone is None:
            return ""
        key = "ensemble.verdict_share" if self.recurrent else "ensemble.verdict_no_networks"
        return say(key, share=f"{100 * self.recurrent:.0f} %", alone=self._score(self.alone))

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON, with the sentence in both languages."""

        def plain(standing: ModelScore | None) -> dict[str, Any] | None:
            return (
                None
                if standing is None
                else {
                    "model": standing.model,
                    "value": standing.value,
                    "low": standing.ends.low,
                    "high": standing.ends.high,
                }
            )

        return {
            "outcome": self.outcome,
            "worth": self.worth,
            "metric": self.metric,
            "unit": self.unit,
            "network": plain(self.network),
            "baseline": plain(self.baseline),
            "best_on_test": plain(self.best_on_test),
            "gain": self.gain,
            "gain_low": self.gain_ends.low,
            "gain_high": self.gain_ends.high,
            "windows": self.windows,
            "batches": self.batches,
            "blocks": self.blocks,
            "targets": self.targets,
            "recurrent": self.recurrent,
            "alone": plain(self.alone),
            "no_model_beats_the_mean": self.hopeless,
            "detection": None if self.detection is None else self.detection.to_dict(),
            "text": {"en": self.text("en"), "zh_TW": self.text("zh_TW")},
        }

    def _score(self, standing: ModelScore) -> str:
        return shown(standing.value, standing.ends, share=self.share, unit=self.unit)


def judge(
    frame: pd.DataFrame,
    task: Task,
    *,
    network: str = "network",
    sampling: Sampling | None = None,
    judged: str = "test",
    chosen_on: str = "validation",
    inside: EnsembleShare | None = None,
) -> Verdict:
    """The verdict on the model called ``network`` in a prediction frame with both parts.

    Every other model in the frame is a baseline, less what is ``inside`` of the one that is judged. Several
    targets are judged together: the mean of the scores, each error in units of the spread of its own truth on
    the judged part.

    Raises ValueError when the frame has no row of ``network`` on the judged part.
    """
    question = _JudgedModel(task, network, sampling or Sampling(), judged, chosen_on, inside)
    if not task.judging.by_alarms or f"p:{task.target.classes[-1]}" not in frame.columns:
        return _judged_by(task.judging.metrics[0], frame, question)
    equal = at_same_rate(frame, task, network, judged)
    for metric in AT_THRESHOLD:
        verdict = _judged_by(metric, equal, question, against=REFERENCE)
        if verdict.outcome not in ("same", "maybe_better", "maybe_worse"):
            break
    others = [standing.model for standing in (verdict.baseline, verdict.best_on_test) if standing is not None]
    return replace(verdict, detection=detection_of(frame, equal, task, [network, *others], judged))


@dataclass(frozen=True, eq=False)
class _JudgedModel:
    """What `judge` was asked, less the frame."""

    task: Task
    network: str
    sampling: Sampling
    judged: str
    chosen_on: str
    inside: EnsembleShare | None


def _judged_by(name: str, frame: pd.DataFrame, question: _JudgedModel, *, against: str | None = None) -> Verdict:
    """The verdict by one metric; ``against``: the baseline that is compared with, where it is in the frame."""
    metric, task, network, inside = metrics.get(name), question.task, question.network, question.inside
    test = [paired for _, paired in paired_samples(frame[frame["part"] == question.judged], task)]
    if not test or network not in test[0].samples:
        raise ValueError(f"the frame has no row of model {network!r} in part {question.judged!r}")
    test, silent = on_common_windows(test)
    validation = [paired for _, paired in paired_samples(frame[frame["part"] == question.chosen_on], task)]
    baselines = [name for name in test[0].samples if name not in (network, inside and inside.alone, *silent)]
    facts = MetricDraws(metric, test, question.sampling)
    values = {name: facts.value(name) for name in [network, *baselines]}
    baselines = [name for name in baselines if np.isfinite(values[name])]
    draws = facts.draws([network, *baselines])
    standing = {
        name: ModelScore(name, values[name], facts.ends(draws[name], values[name])) for name in [network, *baselines]
    }
    common = {**facts.describe(), "note": task.judging.convention, "hopeless": _hopeless(test, task, silent)}
    if inside is not None:
        value = facts.value(inside.alone)
        alone = ModelScore(inside.alone, value, facts.ends(facts.draws([inside.alone])[inside.alone], value))
        common |= {"recurrent": inside.share, "alone": alone if np.isfinite(value) else None}
    if not np.isfinite(values[network]):
        return Verdict("undefined", metric.name, None, undefined=facts.why(network), **common)
    if not baselines:
        return Verdict("no_baseline", metric.name, None, network=standing[network], **common)
    best = max(baselines, key=lambda name: facts.good(values[name]))
    picked = against if against in baselines else _best_on(validation, metric, baselines)
    baseline = picked or best
    gain = facts.good(values[network]) - facts.good(values[baseline])
    ends = facts.ends(facts.good(draws[network]) - facts.good(draws[baseline]), gain)
    outcome = outcome_of(gain, ends, facts, values[baseline])
    over_best = facts.ends(
        facts.good(draws[network]) - facts.good(draws[best]), facts.good(values[network]) - facts.good(values[best])
    )
    if outcome == "better" and not over_best.excludes(0.0):
        outcome = "maybe_better"  # clearly ahead of the chosen one, but not of the best on the test part
    worth = None if outcome in ("too_few", "maybe_better") else outcome == "better"
    if facts.good(values[network]) < facts.good(values[best]):
        worth = None if outcome == "too_few" else False
    return Verdict(
        outcome,
        metric.name,
        worth,
        network=standing[network],
        baseline=standing[baseline],
        best_on_test=standing[best],
        gain=gain,
        gain_ends=ends,
        chosen=picked is not None,
        **common,
    )


def _hopeless(test: list[PairedSamples], task: Task, silent: set[str]) -> bool:
    """Whether no model beats the mean of the judged part: R² below 0 for every model and target."""
    if task.kind != "regression":
        return False
    r2 = metrics.get("r2")
    values = [r2(sample) for paired in test for name, sample in paired.samples.items() if name not in silent]
    return bool(values) and all(np.isfinite(value) and value < 0 for value in values)


def outcome_of(gain: float, ends: Interval, facts: MetricDraws, baseline: float) -> PairOutcome:
    """The outcome for a gain with this interval, against a baseline with this score."""
    if not ends:
        return "too_few"
    if ends.excludes(0.0):
        return "better" if gain > 0 else "worse"
    # an error is compared with the baseline's error, a share of right answers with its wrong ones
    size = abs(1.0 - baseline) if facts.metric.better == "higher" else abs(baseline)
    if abs(gain) <= SAME * size:
        return "same"
    return "maybe_better" if gain > 0 else "maybe_worse"


def _is_better(name: str, value: float, other: float) -> bool:
    better = metrics.get(name).better
    if better == "zero":
        return abs(value) < abs(other)
    return value < other if better == "lower" else value > other


def _best_on(validation: list[PairedSamples], metric: Metric, baselines: list[str]) -> str | None:
    """The baseline with the best score on the choosing part; None when it has no usable window."""
    if not validation:
        return None
    validation, _ = on_common_windows(validation)
    facts = MetricDraws(metric, validation, Sampling())
    values = {name: facts.value(name) for name in baselines if name in validation[0].samples}
    values = {name: value for name, value in values.items() if np.isfinite(value)}
    return max(values, key=lambda name: float(facts.good(values[name]))) if values else None

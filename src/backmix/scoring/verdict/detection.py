"""What the alarms of an anomaly detection are worth at the threshold that was set.

This module counts the events that were noticed, how soon, and the false alarms beside them, of the model at its own
threshold and of the other models at thresholds with which they alarm as often in normal operation. A model may look
good over all thresholds (area under ROC) and be useless at the one that it runs with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from backmix.scoring.faults import faults
from backmix.scoring.metrics import metrics
from backmix.scoring.predictions import Sample, read_sample
from backmix.text import say
from backmix.text.lengths import duration
from backmix.text.numbers import number

if TYPE_CHECKING:
    import pandas as pd

    from backmix.tasks import Task
    from backmix.tasks.shared.promise import Promise

REFERENCE = "pca"
"""The baseline that alarms are compared with, where it could be fitted."""


@dataclass(frozen=True)
class Alarms:
    """What the alarms of a model were worth: events and how many of them it noticed, false alarms beside them.

    delay: from the begin of an event to its first alarm, seconds or rows, the mean over the events as `metrics.alarms`
        says, a missed one counting as long as it lasted; None without events
    rate: share of normal windows that alarm; per_day: alarms that begin in normal operation, None without a clock
    auc: area under ROC, over all thresholds; clock: whether times are seconds
    """

    model: str
    events: int
    noticed: int
    delay: float | None
    rate: float | None
    per_day: float | None
    auc: float | None
    clock: bool

    @classmethod
    def of(cls, model: str, sample: Sample) -> Alarms:
        """The alarms of a sample."""
        events = faults(sample)

        def score(name: str) -> float | None:
            value = float(metrics.get(name)(sample))
            return value if np.isfinite(value) else None

        return cls(
            model=model,
            events=len(events),
            noticed=sum(event.noticed for event in events),
            delay=score("detection_delay") if events else None,
            rate=score("false_alarm_rate"),
            per_day=score("false_alarms_per_day"),
            auc=score("auc"),
            clock=sample.clock,
        )

    def in_words(self) -> str:
        """What was noticed, in words."""
        return say("anomaly.found", noticed=self.noticed, events=self.events, delay=self._delay())

    def _delay(self) -> str:
        if self.delay is None:
            return "–"
        return duration(self.delay) if self.clock else say("insight.rows", count=number(self.delay, 3))


@dataclass(frozen=True)
class EqualAlarms:
    """The alarms of a model at its threshold, and those of baselines that alarm as often in normal operation.

    promised: the share of normal windows that may alarm, as the plan asked; baseline: the one of the verdict; best: the
        best on the judged part; promise: whether the share can be promised, None where that was not tested
    """

    network: Alarms
    promised: float | None
    baseline: Alarms | None = None
    best: Alarms | None = None
    promise: Promise | None = None

    def values(self) -> dict[str, Any]:
        """Values of the placeholders of the verdict's sentences."""
        from backmix.scoring.scores import model_title

        blanks: dict[str, Any] = {"found": self.network.in_words(), "events": self.network.events}
        for name, alarms in (("baseline", self.baseline), ("best", self.best)):
            if alarms is not None:
                blanks |= {name: model_title(alarms.model), f"{name}_found": alarms.in_words()}
        return blanks

    def text(self) -> str:
        """How often it alarmed in normal operation, and the area under ROC beside it."""
        from backmix.tasks.shared.promise import NOT_KEPT

        sentence = ""
        if self.network.rate is not None:
            promised = "" if self.promised is None else say("anomaly.asked", rate=share(self.promised))
            sentence += say("anomaly.alarmed", rate=share(self.network.rate), promised=promised)
            if self.network.per_day is not None:
                sentence += say("anomaly.per_day", count=number(self.network.per_day, 2))
            sentence += say("evaluation.verdict_end")
        if self.promise is not None and not self.promise.kept:
            sentence += say(NOT_KEPT[self.promise.why], **self.promise.decision.values)
        if self.network.auc is not None and self.baseline is not None and self.baseline.auc is not None:
            blanks = {**self.values(), "auc": f"{self.network.auc:.3f}", "baseline_auc": f"{self.baseline.auc:.3f}"}
            sentence += say("anomaly.auc_beside", **blanks)
        return sentence

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


def share(value: float) -> str:
    """A share in per cent.

    >>> share(0.0123), share(0.4)
    ('1.2 %', '40 %')
    """
    return f"{number(100 * value, 2)} %"


def at_same_rate(frame: pd.DataFrame, task: Task, network: str, judged: str) -> pd.DataFrame:
    """The frame with the alarms that the other models would give if as many of their normal windows alarmed.

    Their thresholds are set on the judged part itself, so that all have the same false alarms there, which flatters
    them a little and never the model that is judged.
    """
    normal, anomaly = task.target.classes
    frame = frame.copy()
    calm = (frame["part"] == judged) & (frame["truth"] == normal)
    mine = frame.loc[calm & (frame["model"] == network), "prediction"].dropna()
    if not len(mine):
        return frame
    rate = float((mine == anomaly).mean())
    for model in frame["model"].unique():
        here = (frame["model"] == model) & (frame["part"] == judged)
        scores = frame.loc[calm & here, f"p:{anomaly}"].dropna().to_numpy(dtype=np.float64)
        if model == network or not len(scores):
            continue
        limit = np.sort(scores)[::-1][min(len(scores) - 1, round(rate * len(scores)))]
        chance = frame.loc[here, f"p:{anomaly}"]
        named = np.where(chance > limit, anomaly, normal).astype(object)
        named[chance.isna().to_numpy()] = None
        frame.loc[here, "prediction"] = named
    return frame


def detection_of(
    frame: pd.DataFrame, equal: pd.DataFrame, task: Task, models: Sequence[str], judged: str
) -> EqualAlarms | None:
    """The alarms of the first of the models, and beside it of the others: the baseline, and the best one.

    frame: with each model's own threshold; equal: from `at_same_rate`
    """
    from backmix.tasks.contract.optional import Promises, TellsNormal
    from backmix.tasks.shared.promise import Promise

    def alarms(model: str, of: pd.DataFrame) -> Alarms:
        rows = of[(of["model"] == model) & (of["part"] == judged)]
        sample = read_sample(rows, classes=task.target.classes, normal=task.target.normal_class)
        return Alarms.of(model, sample.take(np.flatnonzero(sample.usable)))

    target = task.target
    others = [alarms(model, equal) for model in models[1:]]
    tested = task.answer.promise if isinstance(task.answer, Promises) else None
    return EqualAlarms(
        alarms(models[0], frame),
        target.false_alarm_rate if isinstance(target, TellsNormal) else None,
        others[0] if others else None,
        others[1] if len(others) > 1 else None,
        None if tested is None else Promise.from_dict(tested),
    )

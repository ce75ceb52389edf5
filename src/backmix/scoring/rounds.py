"""Whether a challenger replaces the champion, and why.

This module decides a round of champion and challenger from their predictions. A challenger is promoted when two
things hold. On rows that neither has learned from, it is better than the champion, beyond the noise and by enough to
matter. On old rows that were held out, its error stays within a bound of the first champion's.

The interval of the difference comes from the paired block bootstrap of `scoring.bootstrap`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from backmix.scoring.metrics import metrics
from backmix.scoring.scores import Sampling, number
from backmix.scoring.verdict import SAME, ModelScore, Verdict, judge
from backmix.text import LANGUAGES, Language, say

if TYPE_CHECKING:
    import pandas as pd

    from backmix.tasks import Task

CHALLENGER, IN_CHARGE, NEVER = "challenger", "in_charge", "never_updated"
"""Names of models in the prediction frames of a refit."""
NEW, OLD = "new", "old"
"""Parts of those frames: the rows that follow the training rows, and held-out old rows."""


@dataclass(frozen=True)
class RoundScore:
    """A score of the task's first metric, with its interval where there is one."""

    value: float
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, standing: ModelScore | None) -> RoundScore | None:
        """The score in a verdict."""
        return None if standing is None else cls(standing.value, standing.ends.low, standing.ends.high)


@dataclass(frozen=True)
class Promotion:
    """Whether a challenger was promoted, and the sentence that says why.

    gain: how much better it is than the champion in charge (positive: better), with its interval
    growth: how much larger its error on old rows is than the first champion's, as a share of it
    """

    promoted: bool
    key: str
    values: Mapping[str, Any] = field(default_factory=dict)
    challenger: RoundScore | None = None
    gain: float | None = None
    gain_low: float | None = None
    gain_high: float | None = None
    old_first: float | None = None
    old_challenger: float | None = None
    growth: float | None = None

    def reason(self, lang: Language | None = None) -> str:
        """The sentence, in the language of the moment unless one is named."""
        return say(self.key, lang, **self.values)


@dataclass(frozen=True)
class Round:
    """One round.

    taught, judged: first and last time (row, without a clock) of the new rows that the challenger was trained on,
        and of the rows it was judged on
    in_charge_since: the round whose challenger is the champion of this round; 0 for the first champion
    in_charge, never_updated, baseline: scores on the judged rows; baseline_name: the best by validation
    """

    number: int
    taught: tuple[str, str]
    judged: tuple[str, str]
    windows: int
    in_charge_since: int
    in_charge: RoundScore | None
    never_updated: RoundScore | None
    baseline: RoundScore | None
    baseline_name: str | None
    decision: Promotion

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON, with the reason in both languages."""
        plain = asdict(self)
        plain["decision"] |= {
            "values": {k: str(v) for k, v in self.decision.values.items()},
            "reason": {lang: self.decision.reason(lang) for lang in LANGUAGES},
        }
        return plain


def decide(frame: pd.DataFrame, task: Task, *, bound: float | Literal["none"], sampling: Sampling) -> Promotion:
    """Whether the challenger is promoted.

    frame: predictions of `CHALLENGER` and `IN_CHARGE` on the part `NEW`, and, unless the bound is "none",
        of `CHALLENGER` and `NEVER` on the part `OLD`
    """
    new = _between(frame, task, NEW, IN_CHARGE, sampling)
    title = new.values["metric"]
    values: dict[str, Any] = {"metric": title, "windows": new.windows, "level": f"{sampling.level:.0%}"}
    if new.network is None or new.baseline is None or new.gain is None:
        return Promotion(False, "refit.undefined", values)
    values |= {
        "challenger": _score_text(new, new.network),
        "champion": _score_text(new, new.baseline),
        "gain": number(new.gain, share=new.share),
    }
    known: dict[str, Any] = {
        "challenger": RoundScore.of(new.network),
        "gain": new.gain,
        "gain_low": new.gain_ends.low,
        "gain_high": new.gain_ends.high,
    }
    if bound != "none":
        old = _between(frame, task, OLD, NEVER, sampling)
        if old.network is None or old.baseline is None:
            return Promotion(False, "refit.old_undefined", values, **known)
        before, after = (error(old.metric, standing.value) for standing in (old.baseline, old.network))
        # of an error of 0 there is no share; any error after it is more than every bound
        growth = (after - before) / before if before > 0 else (0.0 if after <= 0 else None)
        known |= {"old_first": old.baseline.value, "old_challenger": old.network.value, "growth": growth}
        shown = "–" if growth is None else f"{100 * growth:+.1f} %"
        values |= {"growth": shown, "bound": f"{100 * bound:g} %"}
    if new.outcome == "too_few":
        return Promotion(False, "refit.too_few", values, **known)
    if new.outcome != "better":
        return Promotion(False, "refit.not_better", values, **known)
    if new.gain < SAME * error(new.metric, new.baseline.value):
        return Promotion(False, "refit.same", values | {"same": f"{SAME:.0%}"}, **known)
    if bound == "none":
        return Promotion(True, "refit.promoted_unbound", values, **known)
    if growth is None or growth > bound:
        return Promotion(False, "refit.forgets", values, **known)
    return Promotion(True, "refit.promoted", values, **known)


def error(name: str, value: float) -> float:
    """A score of a metric as an error: what is missing from 1 where higher is better.

    >>> error("rmse", 0.2), round(error("accuracy", 0.9), 3)
    (0.2, 0.1)
    """
    better = metrics.get(name).better
    return abs(1.0 - value) if better == "higher" else abs(value)


def compare(frame: pd.DataFrame, task: Task, other: str, sampling: Sampling) -> Verdict:
    """The model in charge against another one on the new rows of a frame."""
    return _between(frame, task, NEW, other, sampling, network=IN_CHARGE)


def _between(
    frame: pd.DataFrame, task: Task, part: str, other: str, sampling: Sampling, *, network: str = CHALLENGER
) -> Verdict:
    mine = frame[(frame["part"] == part) & frame["model"].isin([network, other])]
    return judge(mine, task, network=network, sampling=sampling, judged=part)


def _score_text(verdict: Verdict, standing: ModelScore) -> str:
    return f"{number(standing.value, share=verdict.share)} {'' if verdict.share else verdict.unit}".rstrip()

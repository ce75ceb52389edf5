"""The network compared with each baseline over all folds of a backtest.

This module pools the predictions of all folds and seeds. It compares each pair twice on the same windows: by the
paired block bootstrap of `scoring.bootstrap`, which decides the outcome, and by the Diebold-Mariano test of
`scoring.equal_accuracy`. Each bootstrap draw takes the mean over the seeds: more seeds reduce the influence of
the random start, and do not count as more windows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backmix.scoring.bootstrap import Interval
from backmix.scoring.equal_accuracy import EqualAccuracy, diebold_mariano
from backmix.scoring.metrics import metrics
from backmix.scoring.scores import Sampling, model_title, number, paired_samples, shown, unit_title, window_loss
from backmix.scoring.verdict import Outcome, PairOutcome, outcome_of
from backmix.scoring.verdict.draws import MetricDraws, on_common_windows
from backmix.text import LANGUAGES, Language, say, speak

if TYPE_CHECKING:
    import pandas as pd

    from backmix.tasks import Task

NETWORK = "network"
"""The name of the network in the prediction frames of a backtest, whatever its cell."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """The score of each seed; ``values`` are in the order of the seeds."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean over the seeds."""
        return float(np.mean(self.values))

    @property
    def deviation(self) -> float | None:
        """The standard deviation over the seeds; None for a single one."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else None

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "mean": self.mean,
            "deviation": self.deviation,
            "least": min(self.values),
            "most": max(self.values),
            "seeds": list(self.values),
        }


@dataclass(frozen=True)
class PairwiseComparison:
    """The network compared with one baseline.

    gain: how much better the network's score is (positive: better); ends: the interval of the gain
    outcome: what gain and interval come to
    equal: the Diebold-Mariano test on the losses (squared errors, or wrong classes)
    """

    baseline: str
    gain: float
    ends: Interval
    outcome: PairOutcome
    equal: EqualAccuracy
    values: Mapping[str, Any]

    def text(self, lang: Language | None = None) -> str:
        """The sentence, in the language of the moment unless one is named."""
        if lang is not None:
            with speak(lang):
                return self.text()
        values = {**self.values, "baseline": model_title(self.baseline)}
        sentence = say(f"backtest.pair_{self.outcome}", **values)
        if self.equal.statistic is None or self.equal.p_value is None:
            return sentence + say("backtest.no_test", windows=f"{self.equal.windows:,}") + say("evaluation.verdict_end")
        sentence += say(
            "backtest.test",
            statistic=f"{self.equal.statistic:.2f}",
            p=_probability(self.equal.p_value),
            lags=self.equal.lags,
            windows=f"{self.equal.windows:,}",
        )
        if self.equal.persists:
            sentence += say("backtest.test_persists", left=f"{self.equal.left:.2f}")
        return sentence + say("evaluation.verdict_end")

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON, with the sentence in both languages."""
        test = self.equal
        return {
            "baseline": self.baseline,
            "gain": self.gain,
            "gain_low": self.ends.low,
            "gain_high": self.ends.high,
            "outcome": self.outcome,
            "diebold_mariano": {
                "statistic": test.statistic,
                "p_value": test.p_value,
                "windows": test.windows,
                "lags": test.lags,
                "kernel": test.kernel,
                "left": test.left,
                "mean_loss_difference": test.mean,
            },
            "text": {lang: self.text(lang) for lang in LANGUAGES},
        }


@dataclass(frozen=True, eq=False)
class BacktestResult:
    """The result over all folds.

    scores: the score of every model over all folds, by model name
    comparisons: the network with each baseline, the one that is best on the validation parts first
    chosen: that baseline; None when there is no baseline
    windows: judged windows of all folds together
    """

    metric: str
    unit: str
    share: bool
    scores: Mapping[str, Spread]
    comparisons: tuple[PairwiseComparison, ...]
    chosen: str | None
    windows: int
    folds: int
    level: float

    @property
    def best(self) -> str | None:
        """The baseline that is best on the test parts."""
        baselines = [pair.baseline for pair in self.comparisons]
        return min(baselines, key=lambda name: _cost(self.metric, self.scores[name].mean)) if baselines else None

    @property
    def outcome(self) -> Outcome:
        """The outcome of the network against the chosen baseline."""
        if not np.isfinite(self.scores[NETWORK].mean):
            return "undefined"
        return self.comparisons[0].outcome if self.comparisons else "no_baseline"

    @property
    def worth(self) -> bool | None:
        """Whether the network is worth using; None when the scores do not decide it."""
        outcomes = {pair.outcome for pair in self.comparisons}
        if not self.comparisons or outcomes & {"too_few", "undefined"}:
            return None
        if outcomes == {"better"}:
            return True
        return None if outcomes <= {"better", "maybe_better"} else False

    def score_text(self, spread: Spread) -> str:
        """A score in words, with the ends over the seeds where there are several."""
        words = shown(spread.mean, Interval(), share=self.share, unit="" if self.share else self.unit)
        if len(spread.values) == 1:
            return words
        ends = (number(value, share=self.share) for value in (min(spread.values), max(spread.values)))
        return words + say("backtest.seeds", least=next(ends), most=next(ends))

    def verdict(self, lang: Language | None = None) -> str:
        """The sentence on top, in the language of the moment unless one is named."""
        if lang is not None:
            with speak(lang):
                return self.verdict()
        network = self.scores[NETWORK]
        values: dict[str, Any] = {
            "metric": metrics.get(self.metric).title(),
            "folds": self.folds,
            "windows": f"{self.windows:,}",
            "network": self.score_text(network),
        }
        if self.outcome in ("no_baseline", "undefined") or self.chosen is None or self.best is None:
            return say(f"backtest.verdict_{self.outcome}", **values) + say("evaluation.verdict_end")
        values |= {"baseline": model_title(self.chosen), "score": self.score_text(self.scores[self.chosen])}
        sentence = say(f"backtest.verdict_{self.outcome}", **values)
        if self.best != self.chosen:
            sentence += say(
                "backtest.best_on_test", best=model_title(self.best), best_score=self.score_text(self.scores[self.best])
            )
        return sentence + say("evaluation.verdict_end")


def compare_with_baselines(
    frame: pd.DataFrame, task: Task, *, sampling: Sampling, horizon_rows: int = 1
) -> BacktestResult:
    """Compare the network with every baseline of a prediction frame with the columns ``fold`` and ``seed``.

    horizon_rows: how many rows ahead the windows look
    Raises ValueError when the frame has no row of the network on the test parts.
    """
    metric = metrics.get(task.judging.metrics[0])
    facts, seeds = _metric_draws(frame, task, "test", sampling)
    if facts is None or f"{NETWORK}@{seeds[0]}" not in facts.paired[0].samples:
        raise ValueError("the frame has no row of the network on the test parts")
    names = _models(facts)
    values = {name: Spread(tuple(facts.value(f"{name}@{seed}") for seed in seeds)) for name in names}
    baselines = [name for name in names if name != NETWORK and np.isfinite(values[name].mean)]
    described = facts.describe()
    unit, share = described["unit"], described["share"]
    draws = facts.draws([f"{name}@{seed}" for name in [NETWORK, *baselines] for seed in seeds])
    chosen = best_by_validation(frame, task, baselines)
    comparisons = []
    for baseline in sorted(baselines, key=lambda name: (name != chosen, names.index(name))):
        pairs = [(f"{NETWORK}@{seed}", f"{baseline}@{seed}") for seed in seeds]
        gain = float(
            np.mean(
                [
                    facts.good(a) - facts.good(b)
                    for a, b in zip(values[NETWORK].values, values[baseline].values, strict=True)
                ]
            )
        )
        drawn = [facts.good(draws[a]) - facts.good(draws[b]) for a, b in pairs]
        ends = facts.ends(np.mean(drawn, axis=0), gain) if len(drawn[0]) else Interval()
        outcome: PairOutcome = outcome_of(gain, ends, facts, values[baseline].mean)
        if not np.isfinite(gain):
            outcome = "undefined"
        blanks = {
            "metric": metric.title(),
            "level": f"{sampling.level:.0%}",
            "gain": number(abs(gain), share=share),
            "unit": "" if share or not unit else f" {unit_title(unit)}",
            **_ends_text(ends, share=share, turned=gain < 0),
        }
        comparisons.append(
            PairwiseComparison(baseline, gain, ends, outcome, _equal(facts, pairs, horizon_rows), blanks)
        )
    kept = {name: values[name] for name in [NETWORK, *(pair.baseline for pair in comparisons)]}
    return BacktestResult(
        metric=metric.name,
        unit=unit,
        share=share,
        scores=kept,
        comparisons=tuple(comparisons),
        chosen=chosen,
        windows=described["windows"],
        folds=int(frame["fold"].nunique()),
        level=sampling.level,
    )


def scores_of(frame: pd.DataFrame, task: Task) -> dict[str, Spread]:
    """The score of every model on the test parts of a frame, seed by seed; NaN where it is undefined."""
    facts, seeds = _metric_draws(frame, task, "test", Sampling())
    if facts is None:
        return {}
    return {name: Spread(tuple(facts.value(f"{name}@{seed}") for seed in seeds)) for name in _models(facts)}


def _metric_draws(
    frame: pd.DataFrame, task: Task, part: str, sampling: Sampling
) -> tuple[MetricDraws | None, list[int]]:
    """The scores of all models and seeds on those windows of a part that every one of them answered; and the seeds."""
    mine = frame[frame["part"] == part]
    seeds = sorted(int(seed) for seed in mine["seed"].unique())
    batch = mine["batch"].where(mine["batch"].notna(), "").astype(str)
    mine = mine.assign(
        model=mine["model"].astype(str) + "@" + mine["seed"].astype(str),
        batch=mine["fold"].map("{:06d}".format) + " " + batch,
    )
    targets = [paired for _, paired in paired_samples(mine.drop(columns=["fold", "seed"]), task)]
    if not targets:
        return None, seeds
    targets, silent = on_common_windows(targets)
    targets = [
        replace(paired, samples={name: sample for name, sample in paired.samples.items() if name not in silent})
        for paired in targets
    ]
    return (MetricDraws(metrics.get(task.judging.metrics[0]), targets, sampling) if targets[0].samples else None), seeds


def _models(facts: MetricDraws) -> list[str]:
    """The names of the models that answered for every seed, the network first."""
    count: dict[str, int] = {}
    for name in facts.paired[0].samples:
        model = name.rpartition("@")[0]
        count[model] = count.get(model, 0) + 1
    most = max(count.values())
    return sorted((name for name, seen in count.items() if seen == most), key=lambda name: name != NETWORK)


def best_by_validation(frame: pd.DataFrame, task: Task, baselines: Sequence[str]) -> str | None:
    """The baseline with the best score on the validation parts; on the test parts where those give none."""
    for part in ("validation", "test"):
        facts, seeds = _metric_draws(frame, task, part, Sampling())
        if facts is None:
            continue
        known = {
            name: float(np.mean([facts.value(f"{name}@{seed}") for seed in seeds]))
            for name in _models(facts)
            if name in baselines
        }
        known = {name: value for name, value in known.items() if np.isfinite(value)}
        if known:
            return min(known, key=lambda name: _cost(facts.metric.name, known[name]))
    return None


def _equal(facts: MetricDraws, pairs: Sequence[tuple[str, str]], rows: int) -> EqualAccuracy:
    """The Diebold-Mariano test of the mean losses over seeds and targets, window by window."""
    import pandas as pd

    each, runs = [], pd.Series(dtype=np.int64)
    for paired, size in zip(facts.paired, facts.sizes, strict=True):
        some = paired.any
        first = np.flatnonzero(np.diff(some.paths, prepend=-1))
        lost = [window_loss(paired.samples[other]) - window_loss(paired.samples[mine]) for mine, other in pairs]
        origin = pd.Index(some.made[first])
        each.append(pd.Series(np.mean(lost, axis=0) / size**2, index=origin))
        runs = pd.Series(some.runs[first], index=origin)
    joined = pd.concat(each, axis=1, join="inner").mean(axis=1, skipna=False).dropna()
    stretches = runs.loc[joined.index].to_numpy()
    order = np.lexsort((joined.index.to_numpy(), stretches))
    made, stretches = joined.index.to_numpy()[order], stretches[order]
    steps = np.diff(made)[stretches[1:] == stretches[:-1]]
    step = max(1.0, float(np.median(steps))) if len(steps) else 1.0
    return diebold_mariano(joined.to_numpy()[order], horizon=max(1, math.ceil(rows / step)), runs=stretches)


def _ends_text(ends: Interval, *, share: bool, turned: bool) -> dict[str, str]:
    """The ends of a gain as text; ``turned``: of a loss, so that both signs change."""
    if ends.low is None or ends.high is None:
        return {"low": "–", "high": "–"}
    low, high = (-ends.high, -ends.low) if turned else (ends.low, ends.high)
    return {"low": number(low, share=share), "high": number(high, share=share)}


def _cost(name: str, value: float) -> float:
    """A score with its sign changed where needed, so that lower is better."""
    better = metrics.get(name).better
    return abs(value) if better == "zero" else value if better == "lower" else -value


def _probability(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"

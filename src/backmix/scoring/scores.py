"""Scores with all that is needed to read them.

This module turns prediction frames into score rows. Each row names the model, the part of the split, the target and
the unit, how many windows and batches the score rests on, and its interval.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backmix.models.cells import cells
from backmix.scoring.bootstrap import Interval, Resampler, block_length, exchanged, percentile_interval
from backmix.scoring.metrics import Metric, Undefined, metrics
from backmix.scoring.predictions import Sample, read_sample
from backmix.simple import simple_models
from backmix.text import Language, say, title_of

if TYPE_CHECKING:
    import pandas as pd

    from backmix.tasks import Task

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sampling:
    """How intervals are drawn: bootstrap draws, confidence level, seed, and windows per stretch (None: estimated)."""

    draws: int = 500
    level: float = 0.95
    seed: int = 0
    block: int | None = None


@dataclass(frozen=True)
class ScoreRow:
    """One score.

    label: the class, for a metric per class; else empty
    value: None where undefined (then ``reason`` says why); low, high: the interval, None without one
    unit: of the value: the target's unit, "s" or "rows" (without a clock), "1/d", or empty
    share: whether the value is a share of 1, to be shown in percent
    windows, batches: what it rests on; blocks: independent stretches among them
    left_out: bootstrap draws in which the score has no value; the interval is of the others
    """

    model: str
    metric: str
    target: str
    part: str
    value: float | None
    low: float | None
    high: float | None
    windows: int
    batches: int
    unit: str = ""
    better: str = "lower"
    share: bool = False
    label: str = ""
    blocks: float = 0.0
    undefined: Undefined | None = None
    left_out: int = 0

    @property
    def reason(self) -> str:
        """Why the score is undefined, in the language of the moment; empty when it is defined."""
        return "" if self.undefined is None else self.undefined.text()

    def text(self) -> str:
        """The value with its interval and unit, short.

        >>> ScoreRow("ridge", "rmse", "y", "test", 0.1291, 0.1, 0.2, 10, 1, unit="mol").text()
        '0.129 [0.100, 0.200] mol'
        """
        return shown(self.value, Interval(self.low, self.high), share=self.share, unit=self.unit)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        plain = asdict(replace(self, undefined=None))
        del plain["undefined"]
        return {
            **plain,
            "reason": None
            if self.undefined is None
            else {"key": self.undefined.key, "values": dict(self.undefined.values)},
        }


def number(value: float, *, share: bool = False) -> str:
    """A score with three figures that count, shares in percent.

    >>> number(0.12912), number(1234.5), number(0.98214, share=True), number(0.0)
    ('0.129', '1230', '98.21 %', '0')
    """
    if share:
        return f"{100 * value:.2f} %"
    if not np.isfinite(value) or value == 0:
        return f"{value:g}"
    digits = 2 - int(np.floor(np.log10(abs(value))))
    rounded = round(value, digits)
    return (
        f"{rounded:.{min(digits, 8)}f}"
        if digits > 0 and abs(value) >= 1e-4
        else f"{rounded:.3g}"
        if abs(value) < 1e-4 or abs(value) >= 1e7
        else f"{rounded:.0f}"
    )


def shown(value: float | None, ends: Interval, *, share: bool = False, unit: str = "") -> str:
    """A score with interval and unit; "undefined" when there is none."""
    if value is None:
        return say("evaluation.undefined")
    words = number(value, share=share)
    if ends.low is not None and ends.high is not None:
        words += f" [{number(ends.low, share=share)}, {number(ends.high, share=share)}]"
    return f"{words} {unit_title(unit)}".rstrip()


def unit_title(unit: str) -> str:
    """A unit as it is printed: rows are a word of the language, all others are symbols."""
    return say("evaluation.unit_rows") if unit == "rows" else unit


def model_title(name: str, lang: Language | None = None) -> str:
    """The name of a model for people, of a cell or a simple model in their language; else the name itself."""
    for registry in (cells, simple_models):
        if name in registry:
            return registry.title(name, lang)
    return title_of(f"evaluation.model_{name}", lang, otherwise=name)


def score_table(
    frame: pd.DataFrame, task: Task, *, names: Sequence[str] | None = None, sampling: Sampling | None = None
) -> tuple[ScoreRow, ...]:
    """All scores in a prediction frame: every part, target, model and metric, in this order.

    names: registered metrics; None for those of the task. A metric per class gives a row per class.
    """
    sampling = sampling or Sampling()
    chosen = [metrics.get(name) for name in (task.judging.metrics if names is None else names)]
    rows: list[ScoreRow] = []
    for (part, target), paired in paired_samples(frame, task):
        rows += _rows(paired, part=part, target=target, chosen=chosen, sampling=sampling)
    return tuple(rows)


@dataclass(frozen=True, eq=False)
class PairedSamples:
    """The samples of several models on the same n windows, in the same order; NaN where a model gave no answer.

    whole: whether a batch is judged as one: all its windows ask about the same end, so that they are drawn together
    """

    samples: dict[str, Sample]
    unit: str
    whole: bool = False

    @property
    def any(self) -> Sample:
        """One of the samples: runs, places and truth are the same in all."""
        return next(iter(self.samples.values()))

    def resampler(self, sampling: Sampling) -> Resampler:
        """The draws that all models share; stretches as long as the most persistent losses need."""
        some = self.any
        first = np.flatnonzero(np.diff(some.paths, prepend=-1))
        runs = some.runs[first]
        if self.whole:
            length = int(np.unique(runs, return_counts=True)[1].max(initial=1))
        else:
            length = sampling.block or max(block_length(window_loss(s), runs) for s in self.samples.values())
            if not some.classes:  # a batch that shows one class must not be missing from a draw
                length = exchanged(length, runs)
        return Resampler(
            runs=runs,
            length=length,
            draws=sampling.draws,
            seed=sampling.seed,
            rows=None if len(runs) == len(some) else some.paths,
        )


def loss(sample: Sample) -> Floats:
    """(n,) the loss of each row: the squared error, or 1 for a wrong class; NaN where unknown."""
    if sample.classes:
        wrong = (sample.prediction != sample.truth).astype(np.float64)
        return np.where(sample.usable, wrong, np.nan)
    return (sample.prediction - sample.truth) ** 2


def window_loss(sample: Sample) -> Floats:
    """(W,) the loss of each window: the mean over the known rows of its path; NaN where none is known."""
    costs, paths = loss(sample), sample.paths
    if len(paths) == 0 or paths[-1] == len(paths) - 1:
        return costs
    known = np.isfinite(costs)
    count = np.bincount(paths, weights=known)
    total = np.bincount(paths, weights=np.where(known, costs, 0.0))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def paired_samples(frame: pd.DataFrame, task: Task) -> Iterator[tuple[tuple[str, str], PairedSamples]]:
    """The paired samples of a frame: ((part, target), samples), in the order in which they appear."""
    units = {tag.name: tag.unit for tag in task.targets}
    for (part, target), piece in frame.groupby(["part", "target"], sort=False):
        yield (
            (str(part), str(target)),
            PairedSamples(
                _aligned(piece, task.target.classes, task.target.normal_class),
                units.get(str(target), ""),
                task.target.whole_batches,
            ),
        )


def _aligned(piece: pd.DataFrame, classes: tuple[str, ...], normal: str | None) -> dict[str, Sample]:
    """One sample per model, all on the windows that any of the models predicted."""
    import pandas as pd

    models = list(piece["model"].drop_duplicates())
    by_model = {model: piece[piece["model"] == model] for model in models}
    keys = ["batch", "origin", "horizon"]
    first = by_model[models[0]]
    same = all(
        len(other) == len(first) and all(_equal(other[key], first[key]) for key in keys) for other in by_model.values()
    )
    if not same:
        every = piece.drop_duplicates(keys)[[*keys, "time", "truth"]]
        for model, other in by_model.items():
            answers = other.drop(columns=["time", "truth"])
            by_model[model] = pd.merge(every, answers, on=keys, how="left")
    return {model: read_sample(rows, classes=classes, normal=normal) for model, rows in by_model.items()}


def _equal(first: pd.Series, second: pd.Series) -> bool:
    a, b = first.to_numpy(), second.to_numpy()
    return bool(np.all((a == b) | (first.isna().to_numpy() & second.isna().to_numpy())))


def _rows(
    paired: PairedSamples, *, part: str, target: str, chosen: Sequence[Metric], sampling: Sampling
) -> list[ScoreRow]:
    resampler = paired.resampler(sampling)
    jobs = [
        (model, metric, focused)
        for model, sample in paired.samples.items()
        for metric in chosen
        for focused in focus(sample, metric)
    ]
    drawn = draw_scores([(metric, sample) for _, metric, sample in jobs], resampler)
    rows = []
    for (model, metric, sample), values in zip(jobs, drawn, strict=True):
        score = metric.score(sample)
        blocks = float(_items(metric, sample)) if metric.draws == "faults" else resampler.blocks
        defined = score.undefined is None
        ends = (
            percentile_interval(values, level=sampling.level, blocks=blocks, estimate=score.value if defined else None)
            if len(values)
            else Interval()
        )
        rows.append(
            ScoreRow(
                model=model,
                metric=metric.name,
                target=target,
                part=part,
                value=score.value if defined else None,
                low=ends.low if defined else None,
                high=ends.high if defined else None,
                windows=sample.windows,
                batches=len(np.unique(sample.runs[sample.usable])),
                unit=unit_of(metric, paired.unit, clock=sample.clock),
                better=metric.better,
                share=metric.unit == "share",
                label="" if sample.focus is None else sample.classes[sample.focus],
                blocks=blocks,
                undefined=score.undefined,
                left_out=int(np.count_nonzero(~np.isfinite(values))),
            )
        )
    return rows


def focus(sample: Sample, metric: Metric) -> list[Sample]:
    """The samples a metric is computed on: one, or one per class."""
    codes = range(len(sample.classes)) if metric.per_class else (None,)
    return [sample if code is None else replace(sample, focus=code) for code in codes]


def unit_of(metric: Metric, target_unit: str, *, clock: bool) -> str:
    """The unit of a score as it is printed behind the number."""
    if metric.unit == "target":
        return target_unit
    if metric.unit == "target_squared":
        return f"({target_unit})²" if target_unit else ""
    if metric.unit == "time":
        return "s" if clock else "rows"
    return "1/d" if metric.unit == "per_day" else ""


def _items(metric: Metric, sample: Sample) -> int:
    used = sample.take(sample.usable)
    return metric.items(used) if len(used) else 0


def draw_scores(jobs: Sequence[tuple[Metric, Sample]], resampler: Resampler) -> list[Floats]:
    """Bootstrap values (R,) of every (metric, sample), drawn together; empty where none can be drawn.

    All samples lie on the windows of the resampler; windows without a prediction get no weight.
    """
    drawn: list[list[Floats]] = [[] for _ in jobs]
    ready = [_ready(metric, sample) for metric, sample in jobs]
    if resampler.blocks >= 2 and any(kept is not None for kept in ready):
        for weights in resampler.weights():
            for values, (metric, sample), kept in zip(drawn, jobs, ready, strict=True):
                if kept is not None and metric.draws == "windows":
                    mine = weights if kept is sample else weights[:, sample.usable]
                    values.append(metric.values(kept, mine))
    for values, (metric, _), kept in zip(drawn, jobs, ready, strict=True):
        if kept is not None and metric.draws == "faults":
            count = metric.items(kept)
            generator = np.random.default_rng([resampler.seed, 1 << 20])
            again = generator.multinomial(count, np.full(count, 1 / count), size=resampler.draws)
            values.append(metric.values(kept, again.astype(np.float64)))
    return [np.concatenate(values) if values else np.empty(0) for values in drawn]


def _ready(metric: Metric, sample: Sample) -> Sample | None:
    """The windows that count; None when there is nothing to draw."""
    kept = sample if sample.usable.all() else sample.take(sample.usable)
    works = len(kept) > 0 and metric.draws != "none" and metric.check(kept) is None
    return kept if works else None

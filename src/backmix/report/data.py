"""Everything that a report can show.

This module defines `ReportData`, which every section and every figure of a report reads. It imports neither
sections nor figures: a report is made from its data, never the other way round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal, cast

import numpy as np

from backmix.report.drawing.series import Series, series
from backmix.text import Language

if TYPE_CHECKING:
    import pandas as pd

    from backmix.data.auditing.audit import Audit
    from backmix.data.delays.dead_time import Scan
    from backmix.data.ledger import Account, Note
    from backmix.data.splitting.split import Split
    from backmix.data.table import Table
    from backmix.data.tag import Tag
    from backmix.data.windows.windows import WindowSpec
    from backmix.decision import Decision
    from backmix.inspection import Insight
    from backmix.models.architecture import Architecture
    from backmix.report.by_regime import RegimeScore
    from backmix.scoring.coverage import CoverageResult
    from backmix.scoring.leakage.audit import LeakageResult
    from backmix.scoring.leakage.availability import RuleSentence
    from backmix.scoring.scores import ScoreRow
    from backmix.scoring.verdict import Verdict
    from backmix.tasks import Task
    from backmix.training.sections.settings import FitSettings

Place = int | np.datetime64
PartName = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class PartSummary:
    """One part of the split.

    spans: first and last row of each stretch, as UTC times or as row numbers
    labels: rows on which all targets have a value; None when it is not known
    time_zone: in which the times are shown; None for UTC
    """

    name: PartName
    rows: int
    windows: int
    spans: tuple[tuple[Place, Place], ...] = ()
    labels: int | None = None
    time_zone: str | None = None

    @property
    def clock(self) -> bool:
        """Whether the spans are times."""
        return bool(self.spans) and isinstance(self.spans[0][0], np.datetime64)

    def places(self) -> list[tuple[float, float]]:
        """The spans as numbers: seconds since 1970 UTC, or rows."""
        if not self.clock:
            return [(float(a), float(b)) for a, b in self.spans]
        return [(_seconds(a), _seconds(b)) for a, b in self.spans]


def summarize_parts(
    table: Table, split: Split, windows: Mapping[str, int], *, targets: tuple[str, ...] = ()
) -> tuple[PartSummary, ...]:
    """The parts of a split; ``windows`` counts those of train, validation and test.

    targets: their values are counted as labels of each part

    Spans are times where the clock of the table only goes forward, else row numbers from 0.
    """
    from backmix.data.segments import finite_rows
    from backmix.data.splitting.split import PARTS

    clock = table.time is not None and len(table) > 0 and bool((np.diff(table.time.view("int64")) >= 0).all())
    labelled = finite_rows(table, targets)[0] if targets else None
    parts = []
    for part in PARTS:
        mine = np.concatenate([[False], split.rows(part), [False]])
        edges = np.flatnonzero(mine[1:] != mine[:-1]).reshape(-1, 2)
        if not len(edges):
            continue
        places = [(int(a), int(b) - 1) for a, b in edges]
        spans = [(table.time[a], table.time[b]) for a, b in places] if clock and table.time is not None else places
        name = cast(PartName, part.name.lower())
        parts.append(
            PartSummary(
                name,
                rows=split.count(part),
                windows=windows.get(name, 0),
                spans=tuple(spans),
                labels=None if labelled is None else int((labelled & split.rows(part)).sum()),
                time_zone=table.time_zone,
            )
        )
    return tuple(parts)


@dataclass(frozen=True)
class TrainingRecord:
    """How the network was trained.

    history: one list per curve, a value per epoch (Keras names: loss, val_loss, learning_rate ...)
    best_epoch: the epoch whose weights were kept, counted from 1
    stopped: why training ended (`training.fitting.fit.FittedNetwork.stopped`), or a sentence
    shares: what an ensemble is made of, and the share of each; empty for one network alone
    """

    history: Mapping[str, Sequence[float]]
    best_epoch: int | None = None
    seconds: float | None = None
    stopped: str = ""
    architecture: Architecture | None = None
    settings: FitSettings | None = None
    engine: str = ""
    shares: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class ReportData:
    """Everything a report can show; what is left out does not appear on the page.

    title: what the model is for
    task: the bound task
    verdict: the sentence on top (`scoring.verdict.Verdict`, or plain text)
    scores: rows of `scoring.scores`, for every model, part, target and metric
    predictions: the prediction frame of the test part, of the network and the baselines
    network: the name of the network in ``scores`` and ``predictions``
    level: confidence level of the intervals of scores
    training, decisions: how the network was trained, and what the program decided, with reasons
    parts: the split; spec, step: the form of the windows, and seconds between rows
    audit, notes, account: the state of the data, what was done to it, where every row went
    rule: which labels are known at the moment of prediction; when left out, what ``spec`` says about it
    leakage: the results of the leakage audit
    insight: what the network does inside
    coverage: the prediction intervals of the network, and their coverage
    dead_times: the dead time of each input, estimated on the training rows
    by_regime: scores of the test part by operating regime
    plan: the plan as TOML; environment: versions, seed, machine
    """

    title: str
    task: Task
    verdict: Verdict | str
    scores: Sequence[ScoreRow] = ()
    predictions: pd.DataFrame | None = None
    network: str = "network"
    level: float = 0.95
    training: TrainingRecord | None = None
    decisions: Sequence[Decision] = ()
    parts: Sequence[PartSummary] = ()
    spec: WindowSpec | None = None
    step: float | None = None
    audit: Audit | None = None
    notes: Sequence[Note] = ()
    account: Account | None = None
    rule: Sequence[RuleSentence] = ()
    leakage: Sequence[LeakageResult] = ()
    insight: Insight | None = None
    coverage: CoverageResult | None = None
    dead_times: Scan | None = None
    by_regime: Sequence[RegimeScore] = ()
    plan: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    language: Language | None = None

    @cached_property
    def regression(self) -> tuple[tuple[Tag, Series], ...]:
        """The network's windows of the test part, for each target that is a number and has some.

        Of a path it is the last row, the one that is hardest to predict.
        """
        if self.task.kind != "regression" or self._tested is None:
            return ()
        frames = [(tag, self._tested[self._tested["target"] == tag.name]) for tag in self.task.targets]
        return tuple((tag, series(frame)) for tag, frame in frames if len(frame))

    @cached_property
    def classification(self) -> Series | None:
        """The network's windows of the test part of a classification, if there are some."""
        if self.task.kind != "classification" or self._tested is None or not len(self._tested):
            return None
        return series(self._tested)

    @cached_property
    def _tested(self) -> pd.DataFrame | None:
        frame: pd.DataFrame | None = self.predictions
        if frame is None:
            return None
        mine: pd.DataFrame = frame[(frame["model"] == self.network) & (frame["part"] == "test")]
        scored = mine["truth"].notna() & mine["prediction"].notna() & (mine["horizon"] == mine["horizon"].max())
        rows: pd.DataFrame = mine[scored]
        return rows


def _seconds(moment: Place) -> float:
    return float(np.asarray(moment, dtype="datetime64[ns]").astype(np.int64)) / 1e9

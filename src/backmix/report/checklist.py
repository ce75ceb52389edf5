"""The checklist of good practice, filled in by the program (course item 85).

This module checks a run against the course's list for data, model, compilation, training and evaluation. Each line
is passed, failed, or not applicable, and says what was found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from backmix.text import Language, say

if TYPE_CHECKING:
    from backmix.models.architecture import Architecture
    from backmix.report.data import ReportData
    from backmix.scoring.coverage import CoverageResult
    from backmix.training.sections.settings import FitSettings


@dataclass(frozen=True)
class Check:
    """One line of the checklist: ``passed`` is None where it does not apply.

    ``finding`` and ``values`` are the catalogue key (in ``report``) of what was found, and its values.

    >>> Check("dropout", False, "dropout_none").item("en")
    'Dropout against overfitting'
    """

    key: str
    passed: bool | None
    finding: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def item(self, lang: Language | None = None) -> str:
        """What was checked."""
        return say(f"report.check_{self.key}", lang)

    def finding_text(self, lang: Language | None = None) -> str:
        """What was found."""
        return say(f"report.found_{self.finding}", lang, **self.values)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"key": self.key, "passed": self.passed, "finding": self.finding, "values": dict(self.values)}


def checklist(data: ReportData) -> tuple[Check, ...]:
    """All lines that can be filled in from what is known of the run."""
    run = data.training
    checks = [*_data(data)]
    if run is not None and run.architecture is not None:
        checks += _model(run.architecture)
    if run is not None and run.settings is not None:
        checks += _compilation(data, run.settings)
        checks += _training(run.settings)
    return (*checks, *_evaluation(data))


def _data(data: ReportData) -> Iterator[Check]:
    rows = {part.name: part.rows for part in data.parts}
    if "train" in rows:
        # the scalers are fitted on the training rows only, through their mask
        yield Check("scaling", True, "scaling", {"rows": f"{rows['train']:,}"})
    if data.spec is not None:
        if data.spec.lookback is None:
            yield Check("windows", True, "windows_batch")
        else:
            long = data.spec.lookback > 1
            yield Check("windows", long, "windows_rows" if long else "windows_one", {"rows": data.spec.lookback})
        yield Check("shape", True, "shape", {"features": len(data.spec.feature_names)})
    if len(data.parts) > 1:
        yield Check("order", *(_order(data)))


def _order(data: ReportData) -> tuple[bool | None, str]:
    """Whether every part is later than the one before it."""
    named = {part.name: part.places() for part in data.parts if part.spans}
    order = [named[key] for key in ("train", "validation", "test") if key in named]
    if len({part.clock for part in data.parts if part.spans}) != 1 or len(order) < 2:
        return None, "order_unknown"
    ordered = all(max(b for _, b in before) <= min(a for a, _ in behind) for before, behind in pairwise(order))
    return (True, "order_time") if ordered else (None, "order_blocks")


def _model(a: Architecture) -> Iterator[Check]:
    layers = len(a.units)
    yield Check("stacked", True if layers > 1 else None, "stacked" if layers > 1 else "stacked_one", {"layers": layers})
    most = max(a.dropout, a.recurrent_dropout, a.head_dropout)
    yield Check("dropout", most > 0, "dropout" if most > 0 else "dropout_none", {"rate": f"{most:g}"})
    relu = (a.activation == "relu" and not a.initializer.startswith("he_")) or (
        bool(a.dense) and a.dense_activation == "relu" and not a.dense_initializer.startswith("he_")
    )
    yield Check("initializer", not relu, "initializer_relu" if relu else "initializer", {"name": a.initializer})


def _compilation(data: ReportData, s: FitSettings) -> Iterator[Check]:
    clip = s.clipnorm or s.clipvalue
    finding = "optimizer" if clip else "optimizer_unclipped"
    yield Check(
        "optimizer", s.optimizer == "adam" and bool(clip), finding, {"name": s.optimizer, "clip": f"{clip or 0:g}"}
    )
    number = data.task.kind == "regression"
    fits = s.loss.endswith("crossentropy") != number
    yield Check("loss", fits, "loss", {"name": s.loss})
    count = len(data.task.judging.metrics)
    yield Check("metrics", count > 1, "metrics", {"count": count})


def _training(s: FitSettings) -> Iterator[Check]:
    stops = s.patience < s.epochs
    yield Check("early", stops, "early" if stops else "early_never", {"epochs": s.patience, "monitor": s.monitor})
    yield Check("checkpoint", True, "checkpoint", {"monitor": s.monitor})
    lowers = s.plateau_patience < s.epochs
    yield Check(
        "plateau",
        lowers,
        "plateau" if lowers else "plateau_never",
        {"epochs": s.plateau_patience, "factor": f"{s.plateau_factor:g}"},
    )
    yield Check("batch", True, "batch", {"size": s.batch_size})


def _evaluation(data: ReportData) -> Iterator[Check]:
    windows = next((part.windows for part in data.parts if part.name == "test"), None)
    if windows is not None:
        yield Check("test", windows > 0, "test" if windows else "test_none", {"windows": f"{windows:,}"})
    if data.coverage is not None and data.coverage.calibrated is not None:
        yield _intervals(data.coverage)
    if data.predictions is not None:
        yield Check("drawn", True, "drawn")
        number = data.task.kind == "regression"
        yield Check("residuals", True if number else None, "residuals" if number else "residuals_classes")


def _intervals(coverage: CoverageResult) -> Check:
    """Whether the coverage of every target reaches the level; not applicable with too few windows."""
    level = coverage.settings.level
    values = {"level": f"{level:.0%}"}
    known = [row for row in coverage.asked if row.share is not None and row.ends]
    if not known:
        return Check("intervals", None, "intervals_unknown", values)
    reached = all(row.high is not None and row.high >= level for row in known)
    return Check("intervals", reached, "intervals_hold" if reached else "intervals_miss", values)

"""Names of the release before, which work on for one release, with a warning.

This module answers for modules that have moved, classes that have another name, and attributes of a task that are
those of one of its parts now. The tables below are all there is to it: an entry goes when its release is over.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from operator import attrgetter
from types import ModuleType
from typing import Any

MOVED = {
    "backmix.evaluation.alarms": "backmix.report.alarms",
    "backmix.evaluation.availability": "backmix.scoring.leakage.availability",
    "backmix.evaluation.bands": "backmix.scoring.prediction_intervals",
    "backmix.evaluation.baselines": "backmix.training.beside",
    "backmix.evaluation.checklist": "backmix.report.checklist",
    "backmix.evaluation.contest": "backmix.scoring.comparison",
    "backmix.evaluation.copies": "backmix.scoring.leakage.copies",
    "backmix.evaluation.coverage": "backmix.scoring.coverage",
    "backmix.evaluation.equal_accuracy": "backmix.scoring.equal_accuracy",
    "backmix.evaluation.figures": "backmix.report.figures",
    "backmix.evaluation.figures.sketch": "backmix.report.drawing.sketch",
    "backmix.evaluation.inspection": "backmix.inspection",
    "backmix.evaluation.interval": "backmix.scoring.bootstrap",
    "backmix.evaluation.judgement": "backmix.scoring.judgement",
    "backmix.evaluation.leakage": "backmix.scoring.leakage.audit",
    "backmix.evaluation.metrics": "backmix.scoring.metrics",
    "backmix.evaluation.predictions": "backmix.scoring.predictions",
    "backmix.evaluation.report": "backmix.report.data",
    "backmix.evaluation.rounds": "backmix.scoring.rounds",
    "backmix.evaluation.scores": "backmix.scoring.scores",
    "backmix.evaluation.verdict": "backmix.scoring.verdict",
    "backmix.data.course": "backmix.data.windows.progress",
    "backmix.data.align": "backmix.data.reading.align",
    "backmix.data.assembly": "backmix.data.reading.assembly",
    "backmix.data.audit": "backmix.data.auditing.audit",
    "backmix.data.audit_tag": "backmix.data.auditing.audit_tag",
    "backmix.data.carry": "backmix.data.windows.carry",
    "backmix.data.cells": "backmix.data.notation.cells",
    "backmix.data.clock": "backmix.data.notation.clock",
    "backmix.data.columns": "backmix.data.reading.columns",
    "backmix.data.dates": "backmix.data.notation.dates",
    "backmix.data.dead_time": "backmix.data.delays.dead_time",
    "backmix.data.encoding": "backmix.data.notation.encoding",
    "backmix.data.filled": "backmix.data.repairing.filled",
    "backmix.data.finding": "backmix.data.auditing.finding",
    "backmix.data.folds": "backmix.data.splitting.folds",
    "backmix.data.form": "backmix.data.windows.form",
    "backmix.data.gather": "backmix.data.windows.gather",
    "backmix.data.lab": "backmix.data.laboratory.lab",
    "backmix.data.lab_plan": "backmix.data.laboratory.lab_plan",
    "backmix.data.lab_rows": "backmix.data.laboratory.lab_rows",
    "backmix.data.lagged": "backmix.data.delays.lagged",
    "backmix.data.lagged_information": "backmix.data.delays.lagged_information",
    "backmix.data.mapped": "backmix.data.reading.mapped",
    "backmix.data.meaning": "backmix.data.reading.meaning",
    "backmix.data.origins": "backmix.data.windows.origins",
    "backmix.data.prewhitening": "backmix.data.delays.prewhitening",
    "backmix.data.progress": "backmix.data.windows.progress",
    "backmix.data.purity": "backmix.data.windows.purity",
    "backmix.data.reach": "backmix.data.windows.reach",
    "backmix.data.repair": "backmix.data.repairing.repair",
    "backmix.data.resample": "backmix.data.repairing.resample",
    "backmix.data.row_order": "backmix.data.reading.row_order",
    "backmix.data.rules": "backmix.data.repairing.rules",
    "backmix.data.shift": "backmix.data.auditing.shift",
    "backmix.data.slices": "backmix.data.windows.slices",
    "backmix.data.spikes": "backmix.data.repairing.spikes",
    "backmix.data.split": "backmix.data.splitting.split",
    "backmix.models.choice": "backmix.decision",
    "backmix.tasks.batches": "backmix.tasks.shared.batches",
    "backmix.tasks.classes": "backmix.tasks.shared.classes",
    "backmix.tasks.past_targets": "backmix.tasks.shared.past_targets",
    "backmix.tasks.regression": "backmix.tasks",
    "backmix.tasks.rejection": "backmix.tasks.shared.rejection",
    "backmix.models.mixture": "backmix.models.ensemble",
    "backmix.models.parts": "backmix.models.members.member",
    "backmix.training.members": "backmix.training.networks",
    "backmix.training.mixing": "backmix.training.ensemble",
    "backmix.training.features": "backmix.simple.forms",
    "backmix.training.linear": "backmix.simple.moments",
    "backmix.training.parts": "backmix.training.beside",
    "backmix.training.threads": "backmix.simple.threads",
    "backmix.training.recipe": "backmix.training.preprocessing",
    "backmix.training.settings": "backmix.training.sections.settings",
    "backmix.training.space": "backmix.training.sections.space",
    "backmix.training.folds": "backmix.training.sections.folds",
    "backmix.training.rounds": "backmix.training.sections.rounds",
    "backmix.training.counsel": "backmix.training.advice.counsel",
    "backmix.training.course_rules": "backmix.training.advice.course_rules",
    "backmix.training.measured": "backmix.training.advice.measured",
    "backmix.training.lookback": "backmix.training.advice.lookback",
    "backmix.training.delays": "backmix.training.advice.delays",
    "backmix.training.fit": "backmix.training.fitting.fit",
    "backmix.training.steps": "backmix.training.fitting.steps",
    "backmix.training.callbacks": "backmix.training.fitting.callbacks",
    "backmix.training.feed": "backmix.training.fitting.feed",
    "backmix.training.lanes": "backmix.training.fitting.lanes",
    "backmix.training.carried": "backmix.training.fitting.carried",
    "backmix.training.checkpoint": "backmix.training.fitting.checkpoint",
    "backmix.training.keeper": "backmix.training.fitting.outer_callbacks",
    "backmix.training.progress": "backmix.training.fitting.progress",
    "backmix.training.memory": "backmix.training.fitting.memory",
    "backmix.models.encoders": "backmix.models.body.encoders",
    "backmix.models.decoders": "backmix.models.body.decoders",
    "backmix.models.attention": "backmix.models.body.attention",
    "backmix.models.transformer": "backmix.models.body.transformer",
    "backmix.models.summaries": "backmix.models.body.summaries",
    "backmix.models.carried": "backmix.models.body.carried",
    "backmix.models.seeds": "backmix.models.body.seeds",
    "backmix.models.fast_path": "backmix.models.body.fast_path",
    "backmix.models.bands": "backmix.models.intervals.bands",
    "backmix.models.conformal": "backmix.models.intervals.conformal",
    "backmix.models.adaptive": "backmix.models.intervals.adaptive",
    "backmix.models.forms": "backmix.models.shape.forms",
    "backmix.models.size": "backmix.models.shape.size",
    "backmix.rolling.fold": "backmix.rolling.backtest_fold",
    "backmix.rolling.outcome": "backmix.rolling.backtest_record",
    "backmix.rolling.play": "backmix.rolling.refit",
    "backmix.rolling.record": "backmix.rolling.refit_record",
    "backmix.rolling.stage": "backmix.rolling.refit_setup",
    "backmix.tuning.stage": "backmix.tuning.setup",
    "backmix.serving.kept": "backmix.results.folders",
    "backmix.training.warm": "backmix.training.fitting.warm",
    "backmix.models.views": "backmix.models.members.views",
    "backmix.models.statistics": "backmix.models.members.statistics",
    "backmix.models.novelty": "backmix.models.members.novelty",
}
"""Where a module was, and where it is."""
RENAMED = {
    "backmix.decision": {"Choice": "Decision"},
    "backmix.models.ensemble": {"Mixture": "Ensemble", "MIXTURE": "ENSEMBLE"},
    "backmix.models.members.member": {"Part": "Member"},
    "backmix.models.body.carried": {
        "Carrying": "StatefulLayer",
        "build_carrying": "build_stateful",
        "hand_over": "copy_weights",
    },
    "backmix.models.body.transformer": {"Places": "PositionEncoding"},
    "backmix.models.intervals.adaptive": {"Ahead": "PendingPrediction", "Course": "PredictionSeries"},
    "backmix.results.folders": {"Told": "ResultFolder", "Kept": "ModelFolder"},
    "backmix.training.fitting.callbacks": {"Hooks": "Callback", "Board": "TensorBoard"},
    "backmix.training.fitting.lanes": {"deal": "assign_to_lanes", "pieces": "stretches_of"},
    "backmix.training.fitting.outer_callbacks": {"Keeper": "LastCallback"},
    "backmix.training.fitting.progress": {"Watch": "ProgressListener"},
    "backmix.training.fitting.steps": {"BatchWatch": "BatchCallback", "Guard": "DivergenceGuard"},
    "backmix.training.ensemble": {
        "Mixed": "TrainedEnsemble",
        "convex": "stacking_weights",
        "powers": "log_linear_weights",
    },
    "backmix.training.beside": {
        "baselines": "simple_models",
        "candidates": "simple_models",
        "Predictor": "SimpleModel",
    },
    "backmix.training.preprocessing": {"Recipe": "Preprocessing"},
    "backmix.scoring.judgement": {"Neighbours": "Baselines", "neighbours": "score_baselines"},
    "backmix.report.data": {"Training": "TrainingRecord"},
    "backmix.rolling.backtest_fold": {"FoldJob": "BacktestJob", "play_fold": "run_fold"},
    "backmix.rolling.refit": {"play": "play_rounds"},
    "backmix.rolling.refit_setup": {"Stage": "RefitSetup", "set_stage": "set_up_refit"},
    "backmix.tuning.setup": {"Stage": "SearchSetup", "set_stage": "set_up_search"},
    "backmix.report.alarms": {"Scored": "AlarmScores", "scored": "alarm_scores"},
    "backmix.scoring.comparison": {
        "Contest": "BacktestResult",
        "Duel": "PairwiseComparison",
        "contest": "compare_with_baselines",
    },
    "backmix.scoring.coverage": {"Banded": "CoverageResult", "band": "calibrate_and_check", "cover": "check_coverage"},
    "backmix.scoring.bootstrap": {"interval": "percentile_interval"},
    "backmix.scoring.leakage.availability": {"Said": "RuleSentence"},
    "backmix.scoring.prediction_intervals": {
        "Banding": "IntervalSettings",
        "interval": "interval_ends",
        "with_bands": "with_intervals",
    },
    "backmix.scoring.scores": {"Panel": "PairedSamples", "panels": "paired_samples"},
    "backmix.scoring.verdict": {"Standing": "ModelScore"},
}
"""What a name was called in a module, and what it is called."""
OF_TASK = {
    **{name: f"answer.{name}" for name in ("class_weights", "decode", "head", "light", "loss", "outputs")},
    **{name: f"target.{name}" for name in ("classes", "training_samples", "whole_batches")},
    **{name: f"judging.{name}" for name in ("baselines", "convention", "metrics", "stage")},
    **{name: f"presentation.{name}" for name in ("figures", "remarks")},
    "choosing": "judging.selection_windows",
    "facts": "judging.frame_columns",
    "fit_rows": "target.training_rows",
    "form": "target.window_form",
    "goals": "target.learned_names",
    "judged": "judging.test_windows",
    "known": "target.known_classes",
    "learned": "target.training_windows",
    "normal": "target.normal_class",
    "rolls": "answer.recursive",
    "scored": "judging.metrics",
    "shape": "answer.architecture",
}
"""What an attribute of a task was called, and which one of which part it is."""


def of_task(task: Any, name: str) -> Any:
    """An attribute of a task that one of its parts has now; AttributeError for what it never had."""
    if name not in OF_TASK:
        raise AttributeError(f"{type(task).__name__!r} object has no attribute {name!r}")
    warnings.warn(
        f"task.{name} is now task.{OF_TASK[name]}; the old name goes with the next release",
        DeprecationWarning,
        stacklevel=3,
    )
    return attrgetter(OF_TASK[name])(task)


LEFT = {
    "backmix.data.windows": dict.fromkeys(
        ("Known", "WindowBatch", "WindowPlan", "WindowSpec", "Windows", "build_windows", "fit_scalers", "window_spec"),
        "backmix.data.windows.windows",
    ),
    "backmix.data.reading": dict.fromkeys(("ReadPlan", "Reading", "TagPlan"), "backmix.data.reading.reading"),
    "backmix.workflow": {
        "RUNS": "backmix.results.claim",
        "STARTED": "backmix.results.claim",
        "SUMMARY": "backmix.results.claim",
        "fingerprint": "backmix.results.claim",
        "title": "backmix.results.report",
        "trained_on": "backmix.results.summary",
    },
    "backmix.training.sections.space": dict.fromkeys(
        ("Knob", "SPACE", "changed", "is_open", "label_of", "open_space", "resolved", "starting_point"),
        "backmix.tuning.space",
    ),
}
"""Names that have left a module, and the module they are in now."""


def moved_name(module: str, name: str) -> Any:
    """What a module answers for a name that it does not have: the thing where it is now, with a warning."""
    home = LEFT.get(module, {}).get(name)
    if home is None:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    warnings.warn(
        f"{module}.{name} is now {home}.{name}; the old name goes with the next release",
        DeprecationWarning,
        stacklevel=3,
    )
    return getattr(import_module(home), name)


class _Earlier(ModuleType):
    """A module under its earlier name: whatever is asked of it is looked up where it is now."""

    def __getattr__(self, name: str) -> Any:
        home = self.__dict__["_home"]
        if name.startswith("__") or home is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        home = LEFT.get(home, {}).get(name, home)
        return getattr(import_module(home), RENAMED.get(home, {}).get(name, name))


class _Load(Loader):
    def __init__(self, home: str | None) -> None:
        self._home = home

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        if self._home is not None:
            warnings.warn(
                f"{spec.name} is now {self._home}; the old name goes with the next release",
                DeprecationWarning,
                stacklevel=2,
            )
        module = _Earlier(spec.name)
        module.__dict__["_home"] = self._home
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to execute: the module is a signpost."""


class _Find(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname == "backmix.evaluation":
            return ModuleSpec(fullname, _Load(None), is_package=True)
        home = MOVED.get(fullname)
        return None if home is None else ModuleSpec(fullname, _Load(home), is_package=True)


def answer_earlier_names() -> None:
    """Let earlier names be imported, after everything that is really there has been looked for."""
    if not any(isinstance(finder, _Find) for finder in sys.meta_path):
        sys.meta_path.append(_Find())

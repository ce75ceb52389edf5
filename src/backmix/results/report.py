"""What the report of a run tells.

This module gathers the results of a run for `report.render`, with the versions and the machine they depend on.
"""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from backmix.data.table import Table
from backmix.report.by_regime import RegimeScore, scores_by_regime
from backmix.report.data import ReportData, TrainingRecord, summarize_parts
from backmix.results.run_results import RunResults
from backmix.scoring.leakage.availability import rule
from backmix.tasks import Task
from backmix.training.advice.delays import scan_prepared
from backmix.training.plan import Plan
from backmix.version import __version__


def report_data(results: RunResults) -> ReportData:
    """Everything that the report of a run can tell."""
    prepared, plan, fitted = results.prepared, results.prepared.plan, results.fitted
    spec, step = prepared.preprocessing.spec, prepared.preprocessing.step
    return ReportData(
        title=title(plan, prepared.task, prepared.table),
        task=prepared.task,
        verdict=results.judgement.verdict,
        scores=results.judgement.scores,
        predictions=results.judgement.frame,
        network=results.ensemble.name,
        level=plan.evaluation.level,
        training=TrainingRecord(
            history=fitted.history,
            best_epoch=fitted.best_epoch,
            seconds=fitted.seconds,
            stopped=fitted.stopped,
            architecture=results.design.architecture,
            settings=results.design.settings,
            engine=os.environ.get("KERAS_BACKEND", "jax"),
            shares=results.ensemble.shares,
        ),
        decisions=results.decisions,
        parts=summarize_parts(prepared.table, prepared.split, results.windows, targets=spec.targets),
        spec=spec,
        step=step,
        audit=results.audit,
        notes=prepared.ledger.notes,
        account=prepared.account,
        rule=rule(prepared.task, spec, step, table=prepared.table),
        leakage=results.leakage,
        insight=results.insight,
        coverage=results.coverage,
        dead_times=scan_prepared(prepared),
        by_regime=_by_regime(results),
        plan=plan.to_toml(),
        environment=environment(plan),
        language=plan.report.language,
    )


def _by_regime(results: RunResults) -> tuple[RegimeScore, ...]:
    """The scores by regime of the model and of the baseline that stands beside it."""
    prepared, verdict = results.prepared, results.judgement.verdict
    models = [results.ensemble.name, *([verdict.baseline.model] if verdict.baseline else [])]
    return scores_by_regime(results.judgement.frame, prepared.preprocessing.regimes, prepared.regime_codes, models)


def title(plan: Plan, task: Task, table: Table) -> str:
    """What stands on top of a report: what the plan says, else the targets and where the table is from."""
    source = plan.data.set or plan.data.plant or Path(table.source).stem
    return plan.report.title or f"{', '.join(tag.label for tag in task.targets)} · {source}"


def environment(plan: Plan) -> dict[str, str]:
    """Versions, seed and machine: what a result depends on besides plan and data."""
    names = ("keras", "jax", "numpy", "pandas", "scikit-learn", "scipy")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {
        "backmix": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in names},
        "seed": str(plan.training.seed),
        "machine": f"{platform.system()} {platform.machine()}, {cores} cores",
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }

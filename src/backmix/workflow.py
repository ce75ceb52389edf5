"""The main job, end to end.

This module runs a plan: read, audit, prepare, leakage audit, baselines, network, scores, verdict,
report and bundle, all kept in one run folder. `Run` is what is left of it, in memory or on disk.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from backmix.data.audit import Audit, audit
from backmix.data.sources import Reading, read
from backmix.data.table import Table
from backmix.decision import Decision
from backmix.errors import InputError, Interrupted, PlanError
from backmix.parallel import HERE, Workers
from backmix.serving.bundle import Bundle, start_of
from backmix.serving.folders import ModelFolder
from backmix.storage import LOCK, hold, write_atomic
from backmix.text import LANGUAGES
from backmix.training.advice.delays import scan_prepared
from backmix.training.design import Design, design
from backmix.training.plan import Plan
from backmix.training.prepare import Prepared, prepare
from backmix.training.warm import Period, Start
from backmix.version import __version__

if TYPE_CHECKING:
    import pandas as pd

    from backmix.inspection import Insight
    from backmix.report.data import ReportData
    from backmix.scoring.coverage import CoverageResult
    from backmix.scoring.judgement import Baselines, Judgement
    from backmix.scoring.leakage.audit import LeakageResult
    from backmix.tasks import Task
    from backmix.training.ensemble import TrainedEnsemble
    from backmix.training.fitting.fit import FittedNetwork

BUNDLE = "model.backmix"
SUMMARY = "run.json"
STARTED = "started.json"
PREDICTIONS = "predictions.parquet"
RUNS = Path("runs")
NEEDED = frozenset({"network", "verdict", "scores", "best_baseline", "test_rows_id", "rows"})
"""What a summary is shown and compared by."""


@dataclass(frozen=True, eq=False)
class Run(ModelFolder):
    """A finished run: its folder and the summary kept there.

    summary: verdict (per language), scores, choices, splits, rows, environment ... ready for JSON
    """

    bundle_name = BUNDLE

    def save(self, path: Path | str) -> Path:
        """Write the bundle to ``path`` (``soft_sensor.backmix``), whole or not at all; returns the path."""
        return self.bundle.save(path)

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """The prediction frame of network and baselines on the validation and test parts."""
        import pandas as pd

        return pd.read_parquet(self.folder / PREDICTIONS)

    @classmethod
    def load(cls, folder: Path | str) -> Run:
        """A run from its folder; InputError when it holds no finished run."""
        folder = Path(folder)
        try:
            summary = json.loads((folder / SUMMARY).read_text("utf-8"))
        except (OSError, ValueError):
            raise InputError("workflow.no_run", where=folder) from None
        if not isinstance(summary, dict) or not summary.keys() >= NEEDED:
            raise InputError("workflow.damaged_run", where=folder / SUMMARY)
        return cls(folder=folder, summary=summary)


def load(path: Path | str) -> Bundle:
    """Open a bundle file."""
    return Bundle.load(path)


def run_folder(name: str, *, resume: bool = False) -> Path:
    """A folder under ``runs/`` for a run of this name: the unfinished one to resume, else a new one."""
    name = re.sub(r"[^\w\-]+", "-", name).strip("-") or "run"
    number, folder = 1, RUNS / name
    while (folder / SUMMARY).exists():
        number += 1
        folder = RUNS / f"{name}-{number}"
    if not resume and folder.exists():
        # an interrupted run stays as it is until somebody resumes it
        while folder.exists():
            number += 1
            folder = RUNS / f"{name}-{number}"
    return folder


def fit(
    data: Any,
    plan: Plan,
    *,
    folder: Path | str | None = None,
    resume: bool = False,
    base: Path | str = ".",
    quiet: bool = False,
    callbacks: Sequence[Any] = (),
    workers: Workers = HERE,
) -> Run:
    """Run a whole plan and return the run.

    data: a file, a pandas or polars frame, a `Table`, a `Reading`, or None to read what ``[data]``
        says (relative to ``base``)
    folder: where the run is kept; ``runs/<task>-<target>`` when None
    resume: go on from the folder's checkpoint; plan and data must be those of the interrupted run
    callbacks: Keras callbacks of your own, called after backmix's
    workers: train the networks of an ensemble side by side, on this machine or a cluster

    Raises PlanError, InputError, LeakageError, TrainingError, BusyError, StorageError, Interrupted.
    """
    where = Path(folder) if folder is not None else run_folder("-".join([plan.the_task.kind, *plan.the_task.targets]))
    _may_begin(where, resume=resume)
    reading = reading_of(data, plan, Path(base))
    # whatever can be refused is refused here, before a folder is made for it
    ready = _ready(reading, plan, start_of(plan, Path(base)), resume=resume)
    with hold(where):
        _same_run(where, plan, reading, resume=resume)
        try:
            return _run(
                ready,
                where,
                quiet=quiet,
                callbacks=callbacks,
                workers=workers,
                found_at=_place(data, Path(base), where),
            )
        except Interrupted as cut:
            raise Interrupted("workflow.interrupted_training", **cut.values | {"where": where}) from None
        except KeyboardInterrupt:
            raise Interrupted("workflow.interrupted", where=where) from None


def _may_begin(folder: Path, *, resume: bool) -> None:
    """Look whether a folder can take the run, without leaving a trace when it cannot."""
    if (folder / LOCK).exists():
        with hold(folder):  # a holder is named at once, not after a large table was read
            pass
    if resume and not (folder / STARTED).exists():
        raise PlanError("workflow.nothing_to_resume", where=folder)
    if (folder / SUMMARY).exists():
        raise PlanError("workflow.finished_run", where=folder)


def reading_of(data: Any, plan: Plan, base: Path) -> Reading:
    """The table of a run: what is handed over, or what ``[data]`` of the plan says, relative to ``base``."""
    if data is None:
        return read(plan.data, base=base)
    if isinstance(data, Reading):
        return data
    if isinstance(data, Table):
        from backmix.data.ledger import Ledger

        return Reading(table=data, ledger=Ledger(read=len(data)))
    if isinstance(data, str | os.PathLike):
        return read(
            plan.data.model_copy(
                update={
                    "file": os.fspath(data),
                    "set": None,
                    "protocol": None,
                    "plant": None,
                    "sql": None,
                    "query": None,
                }
            )
        )
    return read(plan.data, frame=data, base=base)


def _same_run(folder: Path, plan: Plan, reading: Reading, *, resume: bool) -> None:
    """Keep the plan and the fingerprint of the data; refuse to resume a run of others."""
    now = json.dumps({"plan": plan.to_toml(), "data": fingerprint(reading.table)}, indent=1)
    kept = folder / STARTED
    if resume and kept.read_text("utf-8") != now:
        raise PlanError("workflow.other_run", where=folder)
    write_atomic(kept, now)
    write_atomic(folder / "plan.toml", plan.to_toml())


def fingerprint(table: Table) -> str:
    """A digest of the values, times and batches of a table, block by block."""
    digest = hashlib.sha256(repr((table.names, table.batch_names, len(table))).encode())
    for start in range(0, len(table), 1 << 18):
        for array in (table.values, table.time, table.batch):
            if array is not None:
                digest.update(np.ascontiguousarray(array[start : start + (1 << 18)]).tobytes())
    return digest.hexdigest()


def _place(data: Any, base: Path, folder: Path) -> dict[str, str] | None:
    """Where the data of a run is, as seen from its folder; None when it was handed over in memory."""
    if data is None:
        return {"base": _from(base, folder)}
    return {"file": _from(Path(data), folder)} if isinstance(data, str | os.PathLike) else None


def _from(path: Path, folder: Path) -> str:
    try:
        return os.path.relpath(path, folder)
    except ValueError:  # another drive
        return str(path.absolute())


@dataclass(frozen=True, eq=False)
class _Ready:
    """A run that nothing speaks against, before anything is trained or written."""

    audit: Audit
    prepared: Prepared
    design: Design


def _ready(reading: Reading, plan: Plan, start: Start | None, *, resume: bool) -> _Ready:
    """Audit, windows and design of a run; everything that it can be refused for."""
    from backmix.scoring.leakage.audit import audit_run, refuse
    from backmix.simple import baselines

    for name in plan.evaluation.baselines or ():
        baselines.get(name)
    looked = audit(reading.table, ledger=reading.ledger)
    prepared = prepare(reading, plan, start=start)
    chosen = design(prepared, resume=resume)
    refuse(audit_run(prepared), acknowledged=plan.evaluation.acknowledged)
    return _Ready(audit=looked, prepared=prepared, design=chosen)


def _run(
    ready: _Ready,
    folder: Path,
    *,
    quiet: bool,
    callbacks: Sequence[Any],
    workers: Workers,
    found_at: Mapping[str, str] | None,
) -> Run:
    from backmix.inspection import QUICK, Subject, look
    from backmix.scoring.coverage import calibrate_and_check
    from backmix.scoring.judgement import score_baselines
    from backmix.scoring.leakage.audit import audit_run, refuse
    from backmix.training.ensemble import ensemble_blocks, fit_model
    from backmix.training.fitting.progress import Progress
    from backmix.training.networks import Making
    from backmix.training.predict import calibrate

    prepared, chosen = ready.prepared, ready.design
    over = ensemble_blocks(prepared)
    beside = score_baselines(prepared, pool=None if isinstance(over, Decision) else over.pool)
    mark = beside.mark(chosen.settings.loss)
    ensemble = fit_model(
        prepared,
        chosen,
        over,
        Making(
            folder=folder / "training",
            callbacks=callbacks,
            workers=workers,
            watch=None if quiet else lambda title: Progress(title=title, mark=mark),
        ),
    )
    prepared = calibrate(prepared, ensemble.model)
    checked = audit_run(prepared, model=ensemble.model)
    refuse(checked, acknowledged=prepared.plan.evaluation.acknowledged)
    name = ensemble.name
    judgement = replace(beside, prepared=prepared).judge(ensemble.model, name=name, ensemble=ensemble)
    coverage = calibrate_and_check(judgement, prepared, network=name, ensemble=ensemble)
    judgement = replace(judgement, frame=coverage.frame)
    insight = None
    if prepared.preprocessing.tells_what_is_judged:
        insight = look(
            Subject.of(prepared, ensemble.fitted.model, chosen.architecture), QUICK, seed=prepared.plan.training.seed
        )
        if ensemble.alone is not None:
            insight = replace(insight, left_out=(*insight.left_out, "ensemble.one_of"))
    return _keep(
        folder, _Found(ready.audit, prepared, chosen, beside, ensemble, checked, judgement, coverage, insight, found_at)
    )


@dataclass(frozen=True, eq=False)
class _Found:
    """All that came out of a run, before it is written down."""

    audit: Audit
    prepared: Prepared
    design: Design
    baselines: Baselines
    ensemble: TrainedEnsemble
    leakage: Sequence[LeakageResult]
    judgement: Judgement
    coverage: CoverageResult
    insight: Insight | None
    found_at: Mapping[str, str] | None

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """Everything that was decided for the user, in the order of the decisions."""
        return (
            *self.prepared.decisions,
            *self.design.decisions,
            *self.ensemble.decisions,
            *self.baselines.fitted.decisions,
        )

    @property
    def fitted(self) -> FittedNetwork:
        """The training of the network that was stopped on the validation part."""
        return self.ensemble.fitted


def _keep(folder: Path, found: _Found) -> Run:
    """Write predictions, reports, bundle and, last, the summary that marks the run as finished."""
    from backmix.report.render import render

    prepared, judgement = found.prepared, found.judgement
    data = _report(found)
    html = {lang: render(data, lang) for lang in LANGUAGES}
    for lang, page in html.items():
        write_atomic(folder / f"report.{lang}.html", page)
    write_atomic(folder / PREDICTIONS, lambda file: judgement.frame.to_parquet(file))
    summary = _summary(found, data)
    kept = ("network", "verdict", "scores", "best_baseline", "trained_on", "availability")
    scores = {key: summary[key] for key in kept}
    Bundle.of(
        found.ensemble.model,
        preprocessing=prepared.preprocessing,
        read=prepared.plan.data,
        plan=prepared.plan.to_toml(),
        scores=scores,
        reports={lang: page.decode() for lang, page in html.items()},
        intervals=found.coverage.calibrated,
    ).save(folder / BUNDLE)
    write_atomic(folder / SUMMARY, json.dumps(summary, ensure_ascii=False, allow_nan=False, indent=1))
    return Run(folder=folder, summary=summary)


def _summary(found: _Found, data: ReportData) -> dict[str, Any]:
    from backmix.report.checklist import checklist
    from backmix.scoring.leakage.availability import texts

    prepared, verdict = found.prepared, found.judgement.verdict
    tested = hashlib.sha256(prepared.test.origins.tobytes() + prepared.test.truth().tobytes()).hexdigest()[:12]
    account = prepared.account
    return {
        "network": found.ensemble.name,
        "verdict": {lang: verdict.text(lang) for lang in LANGUAGES},
        "judgement": verdict.to_dict(),
        "best_baseline": verdict.baseline.model if verdict.baseline else None,
        "scores": [row.to_dict() for row in found.judgement.scores],
        "choices": [decision.to_dict() for decision in found.decisions],
        "architecture": found.design.architecture.to_dict(),
        "best_epoch": found.fitted.best_epoch,
        "epochs": len(found.fitted.history["loss"]),
        "history": found.fitted.history,
        "stopped": found.fitted.stopped,
        "seconds": found.fitted.seconds,
        "windows": {name: len(part) for name, part in prepared.parts.items()},
        "rows": {"read": account.read, "used": account.used, "repaired": account.repaired, "dropped": account.dropped},
        "audit": found.audit.to_dict(),
        "leakage": [result.to_dict() for result in found.leakage],
        "availability": texts(data.rule),
        "checklist": [check.to_dict() for check in checklist(data)],
        "intervals": found.coverage.to_dict(),
        "test_rows_id": tested,
        "insight": found.insight.to_dict() if found.insight else None,
        "data": found.found_at,
        "trained_on": trained_on(prepared),
        "environment": dict(data.environment),
    }


def trained_on(prepared: Prepared) -> dict[str, str] | None:
    """First and last time that the network and what it started from have learned from; None if not known."""
    from backmix.data.reach import rows_used

    period = Period.of(prepared.table, rows_used(prepared.train) | rows_used(prepared.validation))
    if prepared.start is not None:
        earlier = prepared.start.period
        period = period.joined(earlier) if period is not None and earlier is not None else None
    return None if period is None else asdict(period)


def _report(found: _Found) -> ReportData:
    from backmix.report.data import ReportData, TrainingRecord, summarize_parts
    from backmix.scoring.leakage.availability import rule

    prepared, plan = found.prepared, found.prepared.plan
    windows = {name: len(part) for name, part in prepared.parts.items()}
    return ReportData(
        title=title(plan, prepared.task, prepared.table),
        task=prepared.task,
        verdict=found.judgement.verdict,
        scores=found.judgement.scores,
        predictions=found.judgement.frame,
        network=found.ensemble.name,
        level=plan.evaluation.level,
        training=TrainingRecord(
            history=found.fitted.history,
            best_epoch=found.fitted.best_epoch,
            seconds=found.fitted.seconds,
            stopped=found.fitted.stopped,
            architecture=found.design.architecture,
            settings=found.design.settings,
            engine=os.environ.get("KERAS_BACKEND", "jax"),
        ),
        decisions=found.decisions,
        parts=summarize_parts(prepared.table, prepared.split, windows, targets=prepared.preprocessing.spec.targets),
        spec=prepared.preprocessing.spec,
        step=prepared.preprocessing.step,
        audit=found.audit,
        notes=prepared.ledger.notes,
        account=prepared.account,
        rule=rule(prepared.task, prepared.preprocessing.spec, prepared.preprocessing.step, table=prepared.table),
        leakage=found.leakage,
        insight=found.insight,
        coverage=found.coverage,
        dead_times=scan_prepared(prepared),
        plan=plan.to_toml(),
        environment=_environment(plan),
        language=plan.report.language,
    )


def title(plan: Plan, task: Task, table: Table) -> str:
    """What stands on top of a report: what the plan says, else the targets and where the table is from."""
    source = plan.data.set or plan.data.plant or Path(table.source).stem
    return plan.report.title or f"{', '.join(tag.label for tag in task.targets)} · {source}"


def _environment(plan: Plan) -> dict[str, str]:
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

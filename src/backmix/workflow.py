"""A run from its table to its report: the table of contents of backmix.

This module calls the stages in their order; what each does is written in its own module:

    read       data.sources         a table, and the ledger of what reading did to it
    audit      data.audit           the state of the data
    prepare    training.prepare     windows of the training, validation and test part
    design     training.design      which network, and how it is trained
    train      training.ensemble    the baselines, and the model beside them
    judge      scoring.judgement    leakage, scores, intervals and a verdict
    look       inspection           what the model looks at
    keep       report, serving      predictions, reports, bundle and summary, in one folder
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from backmix.data.auditing.audit import audit
from backmix.data.layout.detect import TrainingFile
from backmix.earlier import moved_name
from backmix.errors import Interrupted
from backmix.inspection import QUICK, Insight, Subject, look
from backmix.parallel import HERE, Workers
from backmix.report.render import render
from backmix.results.claim import check_claimable, claim, run_folder
from backmix.results.folders import PREDICTIONS
from backmix.results.reading import place_of, reading_of
from backmix.results.report import report_data
from backmix.results.run import Run
from backmix.results.run_results import RunResults
from backmix.results.summary import summary_of
from backmix.scoring.coverage import CoverageResult, calibrate_and_check
from backmix.scoring.judgement import Baselines, Judgement, score_baselines
from backmix.scoring.leakage.audit import audit_run, refuse
from backmix.serving.bundle import Bundle, start_of
from backmix.simple import simple_models
from backmix.storage import hold, write_atomic, write_json
from backmix.text import LANGUAGES
from backmix.training.design import Design, design
from backmix.training.ensemble import TrainedEnsemble, ensemble_blocks, fit_model
from backmix.training.fitting.progress import Progress, ScoreToBeat
from backmix.training.networks import Making
from backmix.training.plan import Plan
from backmix.training.predict import calibrate
from backmix.training.prepare import prepare
from backmix.training.prepared import Prepared

IN_BUNDLE = ("network", "verdict", "scores", "best_baseline", "trained_on", "availability")
"""What a bundle keeps of the summary of its run."""


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
    base, task = Path(base), plan.the_task
    where = Path(folder) if folder is not None else run_folder("-".join([task.kind, *task.targets]))
    # whatever can be refused is refused first, before a folder is made for it
    check_claimable(where, resume=resume)
    reading = reading_of(data, plan, base)
    simple_models.check(plan.evaluation.baselines or ())
    audited = audit(reading.table, ledger=reading.ledger)
    prepared = prepare(reading, plan, start=start_of(plan, base))
    chosen = design(prepared, resume=resume)
    refuse(audit_run(prepared), acknowledged=plan.evaluation.acknowledged)

    with hold(where), _resumable(where):
        claim(where, plan, reading.table, resume=resume)
        blocks = ensemble_blocks(prepared)
        baselines = score_baselines(prepared, blocks)
        mark = baselines.mark(chosen.settings.loss) if chosen.settings.answer_scale is None else None
        watch = None if quiet else _progress(mark)
        making = Making(folder=where / "training", callbacks=callbacks, workers=workers, watch=watch)
        ensemble = fit_model(prepared, chosen, blocks, making, simple=baselines.simple)
        chosen = replace(chosen, architecture=ensemble.model.architecture)  # held-out blocks may have changed it
        prepared = calibrate(prepared, ensemble.model)
        ensemble = replace(ensemble, beside=prepared.task.shares)
        leakage = audit_run(prepared, model=ensemble.model)
        refuse(leakage, acknowledged=plan.evaluation.acknowledged)
        judgement, coverage = _judge(prepared, baselines, ensemble)
        return _keep(
            where,
            RunResults(
                audit=audited,
                prepared=prepared,
                design=chosen,
                baselines=baselines,
                ensemble=ensemble,
                leakage=leakage,
                judgement=judgement,
                coverage=coverage,
                insight=_look_inside(prepared, chosen, ensemble),
                place=place_of(data, base, where),
            ),
            TrainingFile.of(plan.data, reading, base),
        )


def load(path: Path | str) -> Bundle:
    """Open a bundle file."""
    return Bundle.load(path)


@contextmanager
def _resumable(folder: Path) -> Iterator[None]:
    """Say of an interruption that the run in this folder can be resumed."""
    try:
        yield
    except Interrupted as fault:
        raise Interrupted("workflow.interrupted_training", **fault.values | {"where": folder}) from None
    except KeyboardInterrupt:
        raise Interrupted("workflow.interrupted", where=folder) from None


def _progress(score_to_beat: ScoreToBeat | None) -> Callable[[str], Progress]:
    """What shows the progress of a training, by the title of its network."""
    return lambda title: Progress(title=title, mark=score_to_beat)


def _judge(prepared: Prepared, baselines: Baselines, ensemble: TrainedEnsemble) -> tuple[Judgement, CoverageResult]:
    """Scores and verdict, with the intervals of the predictions in their frame."""
    judgement = replace(baselines, prepared=prepared).judge(ensemble.model, name=ensemble.name, ensemble=ensemble)
    coverage = calibrate_and_check(judgement, prepared, network=ensemble.name, ensemble=ensemble)
    return replace(judgement, frame=coverage.frame), coverage


def _look_inside(prepared: Prepared, chosen: Design, ensemble: TrainedEnsemble) -> Insight | None:
    """What the model as it runs does; None where its answers are not what is judged."""
    if not prepared.preprocessing.tells_what_is_judged:
        return None
    subject = Subject.of(prepared, ensemble.model, chosen.architecture)
    return look(subject, QUICK, seed=prepared.plan.training.seed)


def _keep(folder: Path, results: RunResults, file: TrainingFile) -> Run:
    """Write predictions, reports, bundle and, last, the summary that marks the run as finished."""
    prepared, frame = results.prepared, results.judgement.frame
    report = report_data(results)
    pages = {lang: render(report, lang) for lang in LANGUAGES}
    for lang, page in pages.items():
        write_atomic(folder / f"report.{lang}.html", page)
    write_atomic(folder / PREDICTIONS, lambda file: frame.to_parquet(file))
    summary = summary_of(results, report)
    Bundle.of(
        results.ensemble.model,
        preprocessing=prepared.preprocessing,
        read=file.read,
        profile=file.profile,
        plan=prepared.plan.to_toml(),
        scores={key: summary[key] for key in IN_BUNDLE},
        reports={lang: page.decode() for lang, page in pages.items()},
        intervals=results.coverage.calibrated,
    ).save(folder / Run.bundle_name)
    write_json(folder / Run.summary_name, summary)
    return Run(folder=folder, summary=summary)


def __getattr__(name: str) -> Any:
    return moved_name(__name__, name)

"""The search itself: trial after trial, each on all folds.

This module tries plans on the folds of a stage, gives up those that fall behind, and keeps what came out.
The first trial is the plan as it is, so that what is found is never worse on the folds.

    import backmix
    found = backmix.tune("plant.csv", backmix.Plan.load("plan.toml"), settings={"trials": 30})
    print(found.verdict)
    run = backmix.fit("plant.csv", found.plan)
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from backmix.errors import BackmixError, Interrupted, PlanError
from backmix.parallel import Workers, cluster, spread
from backmix.storage import hold
from backmix.text import LANGUAGES, say, speak
from backmix.training.plan import Plan
from backmix.training.sections.space import changed
from backmix.tuning.record import SUMMARY, Search, TrialRow, record, row_of
from backmix.tuning.stage import Stage, set_stage
from backmix.tuning.study import AS_IS, FOLDS, JUDGED, SECONDS, WHY, Book, mark, may_open, open_study
from backmix.tuning.trial import FoldJob, FoldResult, run_fold
from backmix.workflow import fingerprint, reading_of, run_folder

if TYPE_CHECKING:
    import optuna

STUDY = "study.db"
"""The file of a study in the folder of its search, unless ``[tune] storage`` names one."""


def tune(
    data: Any,
    plan: Plan | Path | str,
    *,
    settings: Mapping[str, Any] | None = None,
    folder: Path | str | None = None,
    resume: bool = False,
    watch: Callable[[TrialRow, int], None] | None = None,
) -> Search:
    """Search for better settings of a plan, blind to its test part.

    data: the table, as for `backmix.fit`; None for the one that the plan names
    plan: a plan, or the file of one
    settings: fields of ``[tune]``, see `TunePlan`
    folder: where everything is kept; one under ``runs/`` when None
    resume: go on with the study that is there, up to ``trials`` in all; plan, data and folds must be its own
    watch: is told every trial that is over, and how many there will be

    Raises PlanError, InputError, LeakageError, BusyError, StorageError, Interrupted; TrainingError when the
    plan as it is cannot be trained.
    """
    base = Path()
    if isinstance(plan, str | os.PathLike):
        base = Path(plan).parent
        plan = Plan.load(plan)
    plan = _told(plan, settings or {})
    where = Path(folder) if folder is not None else run_folder("tune", resume=resume)
    path = where / STUDY if plan.tune.storage is None else base / plan.tune.storage
    may_open(path, resume=resume)
    if not resume and (where / SUMMARY).exists():
        raise PlanError("tune.finished", where=where)
    stage = set_stage(reading_of(data, plan, base), plan)
    apart = path.parent.resolve() != where.resolve()
    with hold(where), hold(path.with_name(f"{path.name}.held")) if apart else nullcontext():
        try:
            workers = Workers(plan.tune.workers, plan.tune.on)
            with open_study(path, plan.tune, marks(stage), resume=resume) as study, cluster(workers):
                book = Book(study, stage.space, plan.training.seed)
                play(stage, book, watch=watch)
                return record(where, stage, book, found_in=_found_in(data, base, where))
        except (KeyboardInterrupt, Interrupted):
            raise Interrupted("tune.interrupted", where=path) from None


def play(stage: Stage, book: Book, *, watch: Callable[[TrialRow, int], None] | None = None) -> None:
    """Try plans until the study has as many trials as wanted, or the time is up."""
    plan, begun = stage.plan.tune, time.monotonic()
    limit = np.inf if plan.timeout is None or plan.timeout.seconds is None else plan.timeout.seconds
    if not book.study.get_trials(deepcopy=False):
        book.study.enqueue_trial(dict(stage.start), user_attrs={AS_IS: True})
    book.give_back()
    while (done := len(book.over)) < plan.trials and (not done or time.monotonic() - begun < limit):
        # the plan as it is runs alone: when it cannot be trained there is nothing to compare with
        count = min(plan.workers, plan.trials - done) if done else 1
        for trial in _play_some(stage, book, count):
            if watch is not None:
                watch(row_of(book, trial), plan.trials)


def marks(stage: Stage) -> dict[str, str]:
    """What a study belongs to, each as a digest: the plan, the rows that it sees, and how it searches."""
    plan = stage.plan.to_dict()
    tuning = plan.pop("tune", {})
    return {
        "plan": mark([plan]),
        "data": fingerprint(stage.table),
        "search": mark(
            [
                tuning.get("kind"),
                tuning.get("pruner"),
                stage.dividing.model_dump(),
                [knob.to_dict() for knob in stage.space],
            ]
        ),
    }


@dataclass
class _Attempt:
    """A trial on its way through the folds."""

    trial: optuna.Trial
    plan: Plan | None
    errors: list[float | None] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def as_is(self) -> bool:
        return bool(self.trial.user_attrs.get(AS_IS))

    @property
    def mean(self) -> float:
        """The mean error over the folds so far on which there is one."""
        return float(np.mean([error for error in self.errors if error is not None]))


def _play_some(stage: Stage, book: Book, count: int) -> list[int]:
    """Some trials side by side, fold by fold, so that one can be given up after each; their numbers in the study."""
    attempts = [_begin(stage, book, book.ask()) for _ in range(count)]
    running = [attempt for attempt in attempts if attempt.plan is not None]
    for number in range(stage.dividing.folds):
        jobs = [FoldJob.of(stage, attempt.plan, number) for attempt in running if attempt.plan is not None]
        results = spread(run_fold, jobs, Workers(stage.plan.tune.workers, stage.plan.tune.on))
        running = [
            attempt for attempt, result in zip(running, results, strict=True) if _goes_on(stage, book, attempt, result)
        ]
    for attempt in running:
        if attempt.as_is and all(error is None for error in attempt.errors):
            raise PlanError("tune.undefined", where=stage.table.source)
        _end(book, attempt, value=attempt.mean)
    return [attempt.trial.number for attempt in attempts]


def _begin(stage: Stage, book: Book, trial: optuna.Trial) -> _Attempt:
    """The plan of a trial; one that was tried before, or that cannot be, is over at once."""
    twin = book.twin(trial)
    attempt = _Attempt(trial, None)
    if twin is not None:
        attempt.errors = list(twin.user_attrs.get(FOLDS, []))
        number = [other.number for other in book.over].index(twin.number) + 1
        _end(
            book,
            attempt,
            value=twin.value if twin.state.name == "COMPLETE" else None,
            why=_both("tune.twin", number=number),
        )
        return attempt
    try:
        attempt.plan = changed(stage.plan, book.values(trial))
    except PlanError as fault:
        _end(book, attempt, why=_fault(fault))
    return attempt


def _goes_on(stage: Stage, book: Book, attempt: _Attempt, result: FoldResult) -> bool:
    """Take in the result of a fold; False when the trial is over with it."""
    number, folds = len(attempt.errors), stage.dividing.folds
    attempt.seconds += result.seconds
    if result.fault is not None:
        if attempt.as_is:
            result.fault.add_note(say("tune.in_fold", number=number + 1, folds=folds, mend=stage.mend))
            raise result.fault
        _end(book, attempt, why=_fault(result.fault))
        return False
    if attempt.as_is:
        attempt.trial.set_user_attr(
            JUDGED, {"metric": result.metric, "unit": result.unit, "share": result.share, "targets": result.targets}
        )
    elif result.error is None and book.over[0].user_attrs[FOLDS][number] is not None:
        _end(book, attempt, why=_both("tune.undefined_here", number=number + 1))
        return False
    attempt.errors.append(result.error)
    if result.error is not None:
        attempt.trial.report(attempt.mean, number + 1)
    if number + 1 < folds and not attempt.as_is and result.error is not None and attempt.trial.should_prune():
        _end(book, attempt, why=_both("tune.given_up", number=number + 1, folds=folds))
        return False
    return True


def _end(book: Book, attempt: _Attempt, *, value: float | None = None, why: Mapping[str, str] | None = None) -> None:
    """Write down how a trial ended; without a value it counts as given up."""
    from optuna.trial import TrialState

    trial = attempt.trial
    trial.set_user_attr(FOLDS, attempt.errors)
    trial.set_user_attr(SECONDS, round(attempt.seconds, 2))
    if why is not None:
        trial.set_user_attr(WHY, dict(why))
    if value is None:
        book.study.tell(trial, state=TrialState.PRUNED)
    else:
        book.study.tell(trial, value)


def _both(key: str, **values: Any) -> dict[str, str]:
    """A sentence in every language."""
    return {lang: say(key, lang, **values) for lang in LANGUAGES}


def _fault(fault: BackmixError) -> dict[str, str]:
    found: dict[str, str] = {}
    for lang in LANGUAGES:
        with speak(lang):
            found[lang] = " ".join(str(fault).split())
    return found


def _told(plan: Plan, settings: Mapping[str, Any]) -> Plan:
    """The plan with some fields of ``[tune]`` replaced, and what it left open still open."""
    if not settings:
        return plan
    said = plan.to_dict().get("tune", {}) | dict(settings)
    return plan.model_copy(update={"tune": Plan.check({"tune": said}).tune})


def _found_in(data: Any, base: Path, folder: Path) -> Sequence[Path | None]:
    """The file that was handed over, if one was, and the folder from which paths of the plan count."""
    file = Path(data) if isinstance(data, str | os.PathLike) else None
    return file, base if data is None else None

"""The search itself: trial after trial, each on all folds.

This module tries plans on the folds of a table, gives up those that fall behind, and keeps what came out.
The first trial is the plan as it is, so that what is found is never worse on the folds.

    import backmix
    search = backmix.tune("plant.csv", backmix.Plan.load("plan.toml"), settings={"trials": 30})
    print(search.verdict)
    run = backmix.fit("plant.csv", search.plan)
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from backmix.errors import BackmixError, Interrupted, PlanError
from backmix.folds import FoldResult
from backmix.parallel import Workers, cluster, spread
from backmix.results.claim import fingerprint, run_folder
from backmix.results.reading import reading_of
from backmix.storage import hold
from backmix.text import LANGUAGES, say, speak
from backmix.training.plan import Plan
from backmix.tuning.record import Origin, Search, TrialRow, record_search, row_of
from backmix.tuning.setup import SearchSetup, set_up_search
from backmix.tuning.space import changed
from backmix.tuning.study import AS_IS, FOLDS, JUDGED, SECONDS, WHY, Book, mark, may_open, open_study
from backmix.tuning.trial import FoldError, run_trial

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
    watch: called with every trial that is over, and how many there will be

    Raises PlanError, InputError, LeakageError, BusyError, StorageError, Interrupted; TrainingError when the
    plan as it is cannot be trained.
    """
    base = Path()
    if isinstance(plan, str | os.PathLike):
        base = Path(plan).parent
        plan = Plan.load(plan)
    plan = _with_settings(plan, settings or {})
    where = Path(folder) if folder is not None else run_folder("tune", resume=resume)
    path = where / STUDY if plan.tune.storage is None else base / plan.tune.storage
    may_open(path, resume=resume)
    if not resume and (where / Search.summary_name).exists():
        raise PlanError("tune.finished", where=where)
    setup = set_up_search(reading_of(data, plan, base), plan)
    apart = path.parent.resolve() != where.resolve()
    with hold(where), hold(path.with_name(f"{path.name}.held")) if apart else nullcontext():
        try:
            workers = Workers(plan.tune.workers, plan.tune.on)
            with open_study(path, plan.tune, marks(setup), resume=resume) as study, cluster(workers):
                book = Book(study, setup.space, plan.training.seed)
                run_trials(setup, book, watch=watch)
                return record_search(where, setup, book, origin=_origin(data, base))
        except (KeyboardInterrupt, Interrupted):
            raise Interrupted("tune.interrupted", where=path) from None


def run_trials(setup: SearchSetup, book: Book, *, watch: Callable[[TrialRow, int], None] | None = None) -> None:
    """Try plans until the study has as many trials as wanted, or the time is up."""
    plan, begun = setup.plan.tune, time.monotonic()
    limit = np.inf if plan.timeout is None or plan.timeout.seconds is None else plan.timeout.seconds
    if not book.study.get_trials(deepcopy=False):
        book.study.enqueue_trial(dict(setup.start), user_attrs={AS_IS: True})
    book.give_back()
    while (done := len(book.over)) < plan.trials and (not done or time.monotonic() - begun < limit):
        # the plan as it is runs alone: when it cannot be trained there is nothing to compare with
        count = min(plan.workers, plan.trials - done) if done else 1
        for number in _run_some(setup, book, count):
            if watch is not None:
                watch(row_of(book, number), plan.trials)


def marks(setup: SearchSetup) -> dict[str, str]:
    """What a study belongs to, each as a digest: the plan, the rows that it sees, and how it searches."""
    plan = setup.plan.to_dict()
    tuning = plan.pop("tune", {})
    space = [knob.to_dict() for knob in setup.space]
    return {
        "plan": mark([plan]),
        "data": fingerprint(setup.table),
        "search": mark([tuning.get("kind"), tuning.get("pruner"), setup.validation.plan.model_dump(), space]),
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


def _run_some(setup: SearchSetup, book: Book, count: int) -> list[int]:
    """Some trials side by side, fold by fold, so that one can be given up after each; their numbers in the study."""
    attempts = [_begin(setup, book, book.ask()) for _ in range(count)]
    running = [attempt for attempt in attempts if attempt.plan is not None]
    for number in range(1, setup.validation.count + 1):
        jobs = [setup.job(number, attempt.plan) for attempt in running if attempt.plan is not None]
        results = spread(run_trial, jobs, Workers(setup.plan.tune.workers, setup.plan.tune.on))
        running = [
            attempt for attempt, result in zip(running, results, strict=True) if _goes_on(setup, book, attempt, result)
        ]
    for attempt in running:
        if attempt.as_is and all(error is None for error in attempt.errors):
            raise PlanError("tune.undefined", where=setup.table.source)
        _end(book, attempt, value=attempt.mean)
    return [attempt.trial.number for attempt in attempts]


def _begin(setup: SearchSetup, book: Book, trial: optuna.Trial) -> _Attempt:
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
        attempt.plan = changed(setup.plan, book.values(trial))
    except PlanError as fault:
        _end(book, attempt, why=_in_every_language(fault))
    return attempt


def _goes_on(setup: SearchSetup, book: Book, attempt: _Attempt, result: FoldResult[FoldError]) -> bool:
    """Take in the result of a fold; False when the trial is over with it."""
    number, folds = result.number, setup.validation.count
    attempt.seconds += result.seconds
    if result.fault is not None and not attempt.as_is:
        _end(book, attempt, why=_in_every_language(result.fault))
        return False
    fold = result.get(setup.note(number, setup.plan))
    if attempt.as_is:
        attempt.trial.set_user_attr(
            JUDGED, {"metric": fold.metric, "unit": fold.unit, "share": fold.share, "targets": fold.targets}
        )
    elif fold.error is None and book.over[0].user_attrs[FOLDS][number - 1] is not None:
        _end(book, attempt, why=_both("tune.undefined_here", number=number))
        return False
    attempt.errors.append(fold.error)
    if fold.error is not None:
        attempt.trial.report(attempt.mean, number)
    if number < folds and not attempt.as_is and fold.error is not None and attempt.trial.should_prune():
        _end(book, attempt, why=_both("tune.given_up", number=number, folds=folds))
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


def _in_every_language(fault: BackmixError) -> dict[str, str]:
    sentences: dict[str, str] = {}
    for lang in LANGUAGES:
        with speak(lang):
            sentences[lang] = " ".join(str(fault).split())
    return sentences


def _with_settings(plan: Plan, settings: Mapping[str, Any]) -> Plan:
    """The plan with some fields of ``[tune]`` replaced, and what it left open still open."""
    if not settings:
        return plan
    section = plan.to_dict().get("tune", {}) | dict(settings)
    return plan.model_copy(update={"tune": Plan.check({"tune": section}).tune})


def _origin(data: Any, base: Path) -> Origin:
    """Where the table of a search is from, so that the plan that is found can name it."""
    return Origin(file=Path(data) if isinstance(data, str | os.PathLike) else None, base=base if data is None else None)

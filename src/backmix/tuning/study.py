"""The memory of a search: which plans were tried, and what came of them.

This module keeps a study of Optuna in a file, SQLite or a journal, and asks it what to try next. The
sampler is begun anew for every trial, from the seed and the number of trials before it, so that a study
that was killed goes on as if it had not been: the same trials, in the same order.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from backmix.errors import InputError, PlanError
from backmix.text import say
from backmix.training.sections.space import Range, TunePlan
from backmix.tuning.space import Knob, label_of

if TYPE_CHECKING:
    import optuna

JOURNALS, DATABASES = (".log", ".journal", ".jsonl"), (".db", ".sqlite", ".sqlite3")
"""Endings of a study's file, by kind."""
NAME = "backmix"
FINGERPRINT, AS_IS, FOLDS, SECONDS, WHY, JUDGED = "fingerprint", "as_is", "folds", "seconds", "why", "judged"
"""What is kept with a study, and with each trial."""
FIRST_DRAWN = 8
"""Trials that are drawn at random before the sampler learns from the earlier ones."""
FIRST_UNPRUNED = 4
"""Finished trials before another one may be given up."""


@dataclass(frozen=True)
class Book:
    """An open study and what its trials are drawn from."""

    study: optuna.Study
    space: tuple[Knob, ...]
    seed: int

    def ask(self) -> optuna.Trial:
        """The next trial: one that was cut off or enqueued, else what the sampler says."""
        trials = self.study.get_trials(deepcopy=False)
        count = sum(trial.state.name in ("COMPLETE", "PRUNED", "RUNNING") for trial in trials)
        self.study.sampler = _sampler(self.seed, count)
        trial = self.study.ask()
        for knob in self.space:
            _suggest(trial, knob)
        return trial

    def values(self, trial: optuna.Trial | optuna.trial.FrozenTrial) -> dict[str, Any]:
        """The settings of a trial by their dotted names; none of the plan as it is."""
        if trial.user_attrs.get(AS_IS):
            return {}
        return {knob.name: value_in(knob, trial.params[knob.name]) for knob in self.space if knob.name in trial.params}

    @property
    def over(self) -> list[optuna.trial.FrozenTrial]:
        """The trials that are over, in their order; the plan as it is comes first."""
        return [trial for trial in self.study.get_trials(deepcopy=False) if trial.state.name in ("COMPLETE", "PRUNED")]

    def twin(self, trial: optuna.Trial) -> optuna.trial.FrozenTrial | None:
        """An earlier trial of the very same settings that is over: it need not be repeated."""
        if trial.user_attrs.get(AS_IS):
            return None
        return next(
            (other for other in self.over if other.params == trial.params and not other.user_attrs.get(AS_IS)), None
        )

    def give_back(self) -> int:
        """Enqueue again what a killed process had begun; returns how many trials that were."""
        import optuna

        cut = [trial for trial in self.study.get_trials() if trial.state == optuna.trial.TrialState.RUNNING]
        for trial in cut:
            self.study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
            attributes = {AS_IS: True} if trial.user_attrs.get(AS_IS) else {}
            self.study.enqueue_trial(trial.params, user_attrs=attributes)
        return len(cut)

    def importance(self, least: int) -> dict[str, float] | None:
        """Share of the spread of the errors that each setting explains (fANOVA); None with fewer trials than ``least``.

        Hutter, Hoos, Leyton-Brown, "An efficient approach for assessing hyperparameter importance", ICML 2014.
        """
        from optuna.importance import FanovaImportanceEvaluator, get_param_importances

        values = [trial.value for trial in self.over if trial.state.name == "COMPLETE"]
        if len(values) < least or len(set(values)) < 2:
            return None
        return {
            name: float(share)
            for name, share in get_param_importances(
                self.study, evaluator=FanovaImportanceEvaluator(seed=self.seed)
            ).items()
        }


def may_open(path: Path, *, resume: bool) -> None:
    """Refuse what can be refused before a large table is read.

    Raises PlanError: tune.storage_kind, tune.study_there, tune.nothing_to_resume.
    """
    if path.suffix.lower() not in (*JOURNALS, *DATABASES):
        raise PlanError("tune.storage_kind", where=path, databases=" ".join(DATABASES), journals=" ".join(JOURNALS))
    if resume != path.exists():
        raise PlanError("tune.nothing_to_resume" if resume else "tune.study_there", where=path)


@contextmanager
def open_study(path: Path, plan: TunePlan, fingerprint: Mapping[str, str], *, resume: bool) -> Iterator[optuna.Study]:
    """The study in a file: a new one, or with ``resume`` the one that is there.

    Raises PlanError: tune.study_there, tune.nothing_to_resume, tune.other_study; InputError
    (tune.storage_unusable) for a file that holds something else.
    """
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    loudness = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage: Any = None
    try:
        try:
            storage = _storage(path)
            study = _study(storage, path, plan, fingerprint, resume=resume)
        except (SQLAlchemyError, optuna.exceptions.OptunaError, OSError, ValueError, KeyError, TypeError) as fault:
            why = str(fault).splitlines()[0] if str(fault) else type(fault).__name__
            raise InputError("tune.storage_unusable", where=path, why=why[:120]) from None
        yield study
    finally:
        optuna.logging.set_verbosity(loudness)
        if isinstance(storage, optuna.storages.RDBStorage):
            storage.remove_session()
            storage.engine.dispose()


def _storage(path: Path) -> Any:
    import optuna
    from optuna.storages.journal import JournalFileBackend
    from sqlalchemy.engine import URL

    if path.suffix.lower() in JOURNALS:
        return optuna.storages.JournalStorage(JournalFileBackend(str(path)))
    return optuna.storages.RDBStorage(URL.create("sqlite", database=str(path)).render_as_string())


def _study(storage: Any, path: Path, plan: TunePlan, fingerprint: Mapping[str, str], *, resume: bool) -> optuna.Study:
    import optuna

    names = optuna.get_all_study_names(storage)
    if resume and NAME not in names:
        raise PlanError("tune.nothing_to_resume", where=path)
    if NAME in names and not resume:
        raise PlanError("tune.study_there", where=path)
    if NAME in names:
        study = optuna.load_study(study_name=NAME, storage=storage, pruner=_pruner(plan))
        kept = study.user_attrs.get(FINGERPRINT, {})
        other = [say(f"tune.part_{what}") for what in fingerprint if kept.get(what) != fingerprint[what]]
        if other:
            raise PlanError("tune.other_study", where=path, what=", ".join(other))
        return study
    study = optuna.create_study(study_name=NAME, storage=storage, pruner=_pruner(plan))
    study.set_user_attr(FINGERPRINT, dict(fingerprint))
    return study


def _pruner(plan: TunePlan) -> Any:
    from optuna import pruners

    if plan.pruner == "none":
        return pruners.NopPruner()
    if plan.pruner == "halving":
        return pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2)
    return pruners.MedianPruner(n_startup_trials=FIRST_UNPRUNED)


def _sampler(seed: int, count: int) -> Any:
    from optuna.samplers import TPESampler

    state = np.random.SeedSequence([seed, count]).generate_state(1)
    return TPESampler(seed=int(state[0]), n_startup_trials=FIRST_DRAWN)


def _suggest(trial: optuna.Trial, knob: Knob) -> None:
    values = knob.values
    if not isinstance(values, Range):
        trial.suggest_categorical(knob.name, list(knob.labelled()))
    elif values.whole:
        trial.suggest_int(knob.name, round(values.low), round(values.high), log=values.log)
    else:
        trial.suggest_float(knob.name, values.low, values.high, log=values.log)


def value_in(knob: Knob, label: Any) -> Any:
    """The value that a label of a study stands for."""
    return label if isinstance(knob.values, Range) else knob.labelled()[label]


def spelled(values: Mapping[str, Any]) -> str:
    """Settings in one line, in their order: ``model.units 64-32, training.learning_rate 0.0021``.

    >>> spelled({"model.units": (64, 32), "training.learning_rate": 0.00213})
    'model.units 64-32, training.learning_rate 0.00213'
    """

    def word(value: Any) -> str:
        return f"{value:.3g}" if isinstance(value, float) else str(label_of(value))

    return ", ".join(f"{name} {word(value)}" for name, value in values.items())


def mark(parts: Sequence[Any]) -> str:
    """A short digest of anything that is ready for JSON."""
    import hashlib

    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]

"""Models without a memory: baselines, and members of an ensemble.

In: windows that teach and windows that are held out (`Trial`), and what is asked about them (`TaskQuestion`).
Out: fitted models (`SimpleModels`). Each chooses its settings once, by what it says of held-out windows, and is
then fitted once: that fit is the baseline on the test part and the member of an ensemble alike. What it says of the
validation part it has learned without it.

A simple model is one file here:

    @simple_model("median", "regression", title={"en": "training median", "zh_TW": "訓練中位數"})
    def fit(trial: Trial) -> Fitted:
        return learned(trial, lambda sample: Constant(np.median(sample.windows.truth(), axis=0)))

With ``member=True`` it is tried in every ensemble for its kind of answer; it then tells of each block what it says
without the block (`flat.crossed`), and gives arrays for the light runtime (`to_member`). One that cannot
exist for the windows raises `Unusable` with the reason.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from backmix.decision import Decision
from backmix.registry import Registry
from backmix.text import Sentence

if TYPE_CHECKING:
    from backmix.data.windows.windows import Windows
    from backmix.models.members.member import Member
    from backmix.outcome import Outcome
    from backmix.simple.trial import Trial, WindowSubset

Floats = NDArray[np.float64]


class SimpleModel(ABC):
    """A fitted model without a memory."""

    @abstractmethod
    def predict(self, windows: Windows) -> Outcome:
        """What it says about W windows, in the plant's terms."""

    def to_member(self) -> Member | None:
        """The same as arrays for an ensemble; None where it is no model of a window's rows alone."""
        return None


@dataclass(frozen=True, eq=False)
class Fitted:
    """A simple model after its fit.

    model: taught by the windows that teach in the end
    before: taught while the last fold's windows, those of the validation part, were held out
    out_of_fold: what a model that can be a member says of each fold's held-out windows (n, O); () for others
    decisions: what was chosen, with reasons; those with a setting are about the model itself
    """

    model: SimpleModel
    before: SimpleModel
    out_of_fold: tuple[Floats, ...] = ()
    decisions: tuple[Decision, ...] = ()


class Unusable(Exception):
    """A simple model cannot exist for these windows; ``key`` and ``values`` say why."""

    def __init__(self, key: str, **values: Any) -> None:
        super().__init__(key)
        self.key = key
        self.values = values


Fit = Callable[["Trial"], Fitted]
Kind = Literal["regression", "classification", "any"]


@dataclass(frozen=True)
class SimpleEntry:
    """How a simple model is fitted, the kind of answer that it gives, and whether ensembles try it.

    kind: "any" answers with numbers and with classes
    one_thread: whether the fit keeps a single thread busy for long; it then runs beside those of other models
    """

    fit: Fit
    kind: Kind
    member: bool = False
    one_thread: bool = False


ALIASES = {"trees": "boosting", "trees_statistics": "forest"}
"""What the baselines of earlier releases were called that are models of another name now; both names are known."""


simple_models: Registry[SimpleEntry] = Registry("simple_models", package="backmix.simple", aliases=ALIASES)


def simple_model(
    name: str,
    kind: Kind,
    *,
    member: bool = False,
    one_thread: bool = False,
    title: Sentence | None = None,
    sentences: Mapping[str, Sentence] | None = None,
) -> Callable[[Fit], Fit]:
    """Decorator that registers a simple model; see `SimpleEntry`, and `Registry.register` for title and sentences."""

    def file(fit: Fit) -> Fit:
        simple_models.register(name, title=title, sentences=sentences)(SimpleEntry(fit, kind, member, one_thread))
        return fit

    return file


def answering(kind: str, *, members: bool = False) -> tuple[str, ...]:
    """The names of the simple models for tasks of a kind; ``members``: of those that ensembles try.

    >>> answering("classification", members=True)
    ('forest', 'lda')
    """
    return tuple(name for name, entry in simple_models if entry.kind in ("any", kind) and (entry.member or not members))


def learned(trial: Trial, learn: Callable[[WindowSubset], SimpleModel], decisions: tuple[Decision, ...] = ()) -> Fitted:
    """A model that chooses nothing: without the validation part, and in the end."""
    return Fitted(learn(trial.final), learn(trial.folds[-1].taught), (), decisions)


@dataclass(frozen=True, eq=False)
class SimpleModels:
    """The simple models of a run, each fitted once.

    fitted: by name, without aliases; unusable: why others could not be fitted; seconds: how long each took
    """

    trial: Trial
    fitted: Mapping[str, Fitted] = field(default_factory=dict)
    unusable: Mapping[str, Unusable] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Fitted:
        return self.fitted[ALIASES.get(name, name)]

    def __contains__(self, name: str) -> bool:
        return ALIASES.get(name, name) in self.fitted

    def why(self, name: str) -> Unusable:
        """Why there is no model of this name."""
        return self.unusable[ALIASES.get(name, name)]

    def more(self, names: Iterable[str]) -> SimpleModels:
        """The same and those in ``names`` that are missing.

        Raises PlanError for a name that is not registered.
        """
        from backmix.simple.threads import beside_one_another, few_threads

        entries = {ALIASES.get(name, name): simple_models.get(name) for name in names}
        missing = [name for name in entries if name not in self.fitted and name not in self.unusable]

        def fit(name: str) -> tuple[Fitted | Unusable, float]:
            begin = perf_counter()
            try:
                return entries[name].fit(self.trial), perf_counter() - begin
            except Unusable as reason:
                return reason, perf_counter() - begin

        base = self.trial.final.base
        with few_threads(base):
            fits = beside_one_another(fit, missing, [name for name in missing if entries[name].one_thread], base)
        return replace(
            self,
            fitted={**self.fitted, **{name: fit for name, (fit, _) in fits.items() if isinstance(fit, Fitted)}},
            unusable={**self.unusable, **{name: why for name, (why, _) in fits.items() if isinstance(why, Unusable)}},
            seconds={**self.seconds, **{name: spent for name, (_, spent) in fits.items()}},
        )

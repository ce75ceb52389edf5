"""The bundle: one file with all that a model needs to run, and no code.

This module defines `Bundle`: preprocessing (tags, units, repair rules, windows, scalers), architecture, weights, the
plan and the scores. Weights are safetensors, the rest is JSON; the network is rebuilt by our own builder from a
checked architecture. Opening a bundle never executes anything from it.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from backmix.data.laboratory.lab_plan import LabPlan
from backmix.data.ledger import Ledger
from backmix.data.reading.file_profile import FileProfile
from backmix.data.reading.new_file import NewFile
from backmix.data.reading.reading import TagPlan
from backmix.data.sources import ReadPlan, read
from backmix.data.table import Table
from backmix.data.windows.doubt import Doubts
from backmix.errors import BundleError, InputError, PlanError
from backmix.models.architecture import Architecture
from backmix.models.ensemble import ENSEMBLE, Ensemble, shares_of
from backmix.models.intervals.bands import Calibrated
from backmix.models.shape.forms import check_carries
from backmix.models.weights import Weights, network_weights, put_weights, take_ensemble, take_weights
from backmix.parallel import HERE, Workers
from backmix.serving.archive import Members, pack
from backmix.serving.composition import Composition, read_network
from backmix.serving.intervals import add_intervals, fits_preprocessing, read_intervals
from backmix.serving.partitions import score
from backmix.tasks.contract.optional import BOUNDED
from backmix.text import LANGUAGES, say
from backmix.training.fitting.warm import Period, Start
from backmix.training.plan import Plan
from backmix.training.preprocessing import Preprocessing
from backmix.version import __version__

if TYPE_CHECKING:
    import pandas as pd

    from backmix.data.windows.windows import Windows
    from backmix.tasks import Outcome

_AT_PREDICTION = {
    "windows.too_little": "bundle.too_few_rows",
    "windows.far_too_little": "bundle.too_few_rows",
    "windows.holes": "bundle.holes",
    "windows.all_holes": "bundle.holes",
    "repair.irregular": "bundle.irregular",
    "read.all_missing": "bundle.input_missing",
}
"""Errors of preprocessing and the error for them at prediction, where changing the plan cannot help."""


@dataclass(frozen=True, eq=False)
class Bundle:
    """A trained model with everything around it.

    weights: variable path -> array, as the built network names them; of an ensemble see `models.weights`
    read: how the training table was read; `predict_file` reads new files the same way
    profile: what the training file looked like; None for a table that came from no file
    plan: the resolved plan as TOML text
    scores: the score rows and the verdict, for `show`
    reports: language -> HTML
    composition: the members of an ensemble; None for one network alone
    intervals: calibrated prediction intervals (`models.intervals.bands`); None where there are none
    """

    preprocessing: Preprocessing
    architecture: Architecture
    weights: Weights
    read: ReadPlan = field(default_factory=ReadPlan)
    profile: FileProfile | None = None
    plan: str = ""
    scores: Mapping[str, Any] = field(default_factory=dict)
    reports: Mapping[str, str] = field(default_factory=dict)
    intervals: Calibrated | None = None
    composition: Composition | None = None

    @classmethod
    def of(cls, model: Any, **others: Any) -> Bundle:
        """A bundle of a trained Keras network or an `Ensemble`; ``others`` are the other fields."""
        if isinstance(model, Ensemble):
            return cls(
                architecture=model.architecture,
                weights=take_ensemble(model),
                composition=Composition.of(model),
                **others,
            )
        return cls(architecture=model.architecture, weights=take_weights(model), **others)

    @cached_property
    def network(self) -> Any:
        """The Keras network with the bundle's weights, or the `Ensemble`."""
        if self.composition is None:
            return _built(self.architecture, self.weights)
        members = tuple(
            _built(self.architecture, network_weights(self.weights, number))
            for number in range(1, self.composition.members + 1)
        )
        return Ensemble(
            self.architecture,
            members,
            self.composition.simple_members_from(self.weights, self.architecture),
            self.weights["mixture/weights"],
            self.composition.lookback,
            self.composition.paths,
        )

    @property
    def recipe(self) -> Preprocessing:
        """The earlier name of ``preprocessing``."""
        warnings.warn("Bundle.recipe is now Bundle.preprocessing", DeprecationWarning, stacklevel=2)
        return self.preprocessing

    @property
    def inside(self) -> Any:
        """The Keras network to inspect; of an ensemble the one that was stopped on the validation part.

        None where the networks of an ensemble have no weight.
        """
        if self.composition is None:
            return self.network
        return self.network.networks[-1] if self.network.networks else None

    @property
    def shares(self) -> Mapping[str, float]:
        """What an ensemble is made of, and the share of each; empty for one network alone."""
        if self.composition is None:
            return self.preprocessing.task.shares
        return shares_of(self.weights["mixture/weights"], [member[0] for member in self.composition.simple_members])

    @property
    def called(self) -> str:
        """What the model is called in a prediction frame."""
        whole = self.composition is not None or bool(self.preprocessing.task.shares)
        return ENSEMBLE if whole else self.architecture.called

    @property
    def period(self) -> Period | None:
        """The period of the training rows; None where it is not known."""
        return _period(self.scores)

    def start(self, where: str) -> Start:
        """This model as the starting point of another training; ``where`` names it in messages.

        Of an ensemble it is the network that was stopped on the validation part, the last one; where the networks
        have no weight there is none to go on from, and the training begins afresh.
        """
        weights, runs = self.weights, True
        if self.composition is not None:
            runs = bool(weights["mixture/weights"][0].any())
            weights = network_weights(weights, self.composition.members) if runs else {}
        digest = hashlib.sha256(repr(self.architecture).encode())
        for name, array in sorted(weights.items()):
            digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
        spec = self.preprocessing.spec
        spec = replace(spec, lookback=spec.seen or spec.lookback, seen=None)
        return Start(
            where=where,
            preprocessing=replace(self.preprocessing, spec=spec),
            architecture=self.architecture,
            give=partial(put_weights, weights=weights) if runs else None,
            mark=digest.hexdigest()[:32],
            period=self.period,
        )

    def predict(self, table: Table, *, workers: Workers = HERE) -> tuple[pd.DataFrame, Ledger]:
        """Predictions for every row of ``table`` that has a whole window before it.

        Columns are found by name; the frame is that of `scoring.predictions` with a column
        ``quality``, the worst quality in the window, with the tag that is to blame and the key of the reason
        (`data.windows.doubt`), and those of `scoring.prediction_intervals` where the bundle holds intervals. The
        ledger says what was done to the rows. ``workers`` score partitions of the windows in parallel.

        Raises InputError when a column is missing or no window fits.
        """
        from backmix.scoring.predictions import prediction_frame

        try:
            windows, ledger = self.preprocessing.windows(table, need_target=False)
        except InputError as fault:
            raise InputError(_AT_PREDICTION.get(fault.key, fault.key), **fault.values) from None
        # workers get a fresh one: the network that was built stays here
        model = self if workers == HERE else replace(self, reports={}, scores={})
        outcome = score(partial(_outcome, model), windows, workers)
        frame = prediction_frame(self.preprocessing.task, windows, outcome, model=self.called, part="new")
        doubts = Doubts.of(windows, ledger.notes)
        repeats = len(frame) // max(1, len(windows))
        if self.intervals is not None:
            frame = add_intervals(frame, self.preprocessing, self.intervals, windows)
        for name, values in doubts.columns.items():
            frame[name] = np.repeat(values, repeats)
        if BOUNDED in frame:  # a path that left the range of training was brought back
            brought = (frame[BOUNDED] > 0) & (frame["quality"] == "good")
            frame.loc[brought, "quality"] = "uncertain"
            frame.loc[brought, "quality_reason"] = say("evaluation.path_bounded")
        return frame, ledger

    def predict_file(
        self, path: Path | str, *, lab: Path | str | None = None, workers: Workers = HERE, **settings: Any
    ) -> tuple[pd.DataFrame, Ledger]:
        """Read a file as the training table was read, then `predict`.

        lab: the laboratory file of these rows, for a model whose inputs include past results from such a file.
        ``settings`` replace single fields of the reading (``sheet="May"``). What is different about the file is in the
        ledger. Raises InputError as `predict`, and for an input in another unit than in training, unless ``settings``
        say that its unit is the one of training.
        """
        names = {tag.name for tag in self.preprocessing.wanted}
        given = [tag if isinstance(tag, TagPlan) else TagPlan.model_validate(tag) for tag in settings.get("tags", ())]
        wanted = {tag.name: tag for tag in self.read.tags if tag.name in names}  # and none that only training used
        wanted |= {tag.name: tag for tag in given}
        replaced = {"lab": self._lab(lab), **settings, "tags": self._states(tuple(wanted.values()))}
        plan = Plan.check({"data": self.read.of_file(path).model_dump() | replaced}, where="predict").data
        new = NewFile(plan, self.read, self.profile, frozenset(settings))
        try:
            reading = read(plan, needed=[tag.name for tag in self.preprocessing.measured])  # labels may be missing
            new.check(reading, self.preprocessing.wanted, {tag.name: tag.unit for tag in given})
            frame, ledger = self.predict(reading.table, workers=workers)
        except InputError as fault:
            for difference in new.differences():
                fault.add_note(difference.sentence())
            raise
        ledger = reading.ledger.add(*ledger.notes)
        return frame, replace(ledger, differences=new.differences(reading))

    def _states(self, tags: tuple[TagPlan, ...]) -> tuple[TagPlan, ...]:
        """The tags with the inputs that have states: a day on which a pump only runs must not read otherwise."""
        described = {tag.name: tag for tag in tags}
        for coding in self.preprocessing.states:
            tag = described.get(coding.tag.name, TagPlan(name=coding.tag.name))
            described[tag.name] = tag.model_copy(update={"type": tag.type or "state"})
        return tuple(described.values())

    def _lab(self, file: Path | str | None) -> LabPlan | None:
        """How the results of new rows are read; None when the model needs none."""
        lab = self.read.lab
        if file is not None:
            if lab is None:
                raise PlanError("lab.unasked", file=file)
            return lab.model_copy(update={"file": str(file)})
        if lab is None or self.preprocessing.spec.known is None:
            return None
        if lab.file is not None:
            raise InputError("lab.new_results", targets=", ".join(self.preprocessing.spec.targets))
        return lab

    def save(self, path: Path | str) -> Path:
        """Write the bundle, whole or not at all; returns the path."""
        import safetensors.numpy

        members = {
            "architecture.json": _json(self.architecture.to_dict()),
            "recipe.json": _json(self.preprocessing.to_dict()),
            "read.json": _json(self.read.model_dump(mode="json", exclude_none=True)),
            "scores.json": _json(self.scores),
            "plan.toml": self.plan.encode(),
            "weights.safetensors": safetensors.numpy.save(
                {name: np.ascontiguousarray(array) for name, array in sorted(self.weights.items())}
            ),
        }
        if self.profile is not None:
            members["file.json"] = _json(self.profile.to_dict())
        if self.composition is not None:
            members["mixture.json"] = _json(self.composition.to_dict())
        if self.intervals is not None:
            members["intervals.json"] = _json(self.intervals.to_dict())
        members |= {f"report.{lang}.html": html.encode() for lang, html in self.reports.items()}
        pack(Path(path), members, version=__version__)
        return Path(path)

    @classmethod
    def load(cls, path: Path | str) -> Bundle:
        """Open a bundle from anywhere; BundleError says what is wrong with it."""
        path = Path(path)
        members = Members(path)
        with members.parsing():
            architecture = Architecture.from_dict(members.json("architecture.json"))
            preprocessing = Preprocessing.from_dict(members.json("recipe.json"))
            if preprocessing.spec.carried:
                check_carries(architecture)
            reading = ReadPlan.model_validate(members.json("read.json"))
            profile = FileProfile.from_dict(members.json("file.json")) if "file.json" in members else None
            weights, composition, _ = read_network(members, architecture)
            plan = members.read("plan.toml").decode()
            scores = members.json("scores.json")
            _period(scores)
            intervals = read_intervals(members)
            reports: dict[str, str] = {
                lang: members.read(f"report.{lang}.html").decode()
                for lang in LANGUAGES
                if f"report.{lang}.html" in members
            }
        spec, longer = preprocessing.spec, None if composition is None else composition.lookback
        if (len(spec.feature_names), spec.seen or spec.lookback) != (architecture.features, architecture.lookback) or (
            longer not in (None, spec.lookback)
        ):
            raise BundleError("bundle.malformed", where=path, member="architecture.json")
        if intervals is not None and not fits_preprocessing(intervals, preprocessing):
            raise BundleError("bundle.malformed", where=path, member="intervals.json")
        return cls(
            preprocessing=preprocessing,
            architecture=architecture,
            weights=weights,
            read=reading,
            profile=profile,
            plan=plan,
            scores=scores,
            reports=reports,
            intervals=intervals,
            composition=composition,
        )


def _outcome(bundle: Bundle, windows: Windows) -> Outcome:
    from backmix.training.predict import predict_outcome

    return predict_outcome(bundle.network, bundle.preprocessing.task, windows)


def _built(architecture: Architecture, weights: Weights) -> Any:
    from backmix.models.network import build

    model = build(architecture, seed=0)
    put_weights(model, weights)
    return model


def start_of(plan: Plan, base: Path) -> Start | None:
    """The model that a plan's training starts from (``[training] warm_start``, relative to ``base``), if any."""
    name = plan.training.warm_start
    return None if name is None else Bundle.load(base / name).start(name)


def _period(scores: Mapping[str, Any]) -> Period | None:
    """The period of the training rows as the scores say it; ValueError, KeyError or TypeError when it is malformed."""
    known = scores.get("trained_on")
    if known is None:
        return None
    ends = np.array([known["first"], known["last"]], dtype="datetime64[s]")
    if np.isnat(ends).any():
        raise ValueError(str(known))
    return Period(*map(str, ends))


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1).encode()

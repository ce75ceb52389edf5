"""The model that is inspected, and its windows.

This module defines `Subject`, a model as it runs with the windows it is inspected on, and `WindowSample`,
a few of those windows as arrays. It is the one place that knows which output of a model is
explained, and which networks in it have a plain recurrence whose inside can be shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.splitting.split import SplitPart
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.data.windows.progress import complete
from backmix.data.windows.windows import Windows, build_windows
from backmix.models.architecture import Architecture
from backmix.models.engine import use_engine
from backmix.models.ensemble import Ensemble
from backmix.models.network import build
from backmix.models.reference import Network
from backmix.models.reference.steps import STEPS
from backmix.models.shape.forms import beyond_light
from backmix.models.shape.size import parameters
from backmix.models.weights import put_weights, take_weights
from backmix.tasks import Task
from backmix.training.predict import BLOCK, predict_arrays, reaching
from backmix.training.prepared import Prepared

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
LARGEST = 256 * 2**20
"""Bytes that the windows of one sample, and all that is computed on the way, may take."""
DEAR = 1e9
"""Multiplications of a full block above which a few windows get a block of their own size."""
COMPARED, AGREEMENT = 4, 1e-2
"""Windows on which a network is compared with its float64 reference, and how near the two must be."""
LOOKUPS, DEPTH = 20.0, 12.0
"""A node of a tree is looked up in the time of so many multiplications, and a tree is about so deep."""
BYTES = 120
"""Per row and unit: a dozen values in float64 are kept for the way back through time, and some more."""


@dataclass(frozen=True)
class Effort:
    """How much may be computed.

    windows: for gradients; scored: for what is measured by changing the inputs
    nodes: points on the path of an integrated gradient; answers: of an ensemble on the walks to windows
    tags: how many of the most important tags are permuted; repeats: how often each
    work: multiplications per part; fewer windows are taken where a window needs more
    """

    windows: int
    scored: int
    nodes: int
    answers: int
    tags: int
    repeats: int
    work: float


QUICK = Effort(windows=48, scored=256, nodes=16, answers=12_000, tags=12, repeats=4, work=1e10)
"""At the end of every run: a second, some ten for a large network."""
THOROUGH = Effort(windows=256, scored=1024, nodes=32, answers=120_000, tags=60, repeats=10, work=1e11)
"""When somebody asks: seconds, a minute or two for a large network."""


@dataclass(frozen=True, eq=False)
class WindowSample:
    """B windows as the network sees them.

    x: (B, T, F) float32, scaled; mask: (B, T) true where a row is real, None when all are
    indices: (B,) which windows of the subject these are
    others: further inputs of the network by name, (B, ...) each: what is planned
    """

    x: NDArray[np.float32]
    mask: Mask | None
    indices: NDArray[np.int64]
    others: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def take(self, which: NDArray[Any]) -> WindowSample:
        """Some of the windows."""
        return WindowSample(
            self.x[which],
            None if self.mask is None else self.mask[which],
            self.indices[which],
            {name: array[which] for name, array in self.others.items()},
        )

    def by_lag(self, values: NDArray[Any]) -> Floats:
        """(B, T, ...) in the order of time -> (B, T, ...) from the newest real row back, 0 where there is none."""
        if self.mask is None:
            return np.asarray(values[:, ::-1], np.float64)
        by_lag = np.zeros(values.shape)
        for row, count in enumerate(self.mask.sum(axis=1)):
            by_lag[row, :count] = values[row, :count][::-1]
        return by_lag

    def inputs(self, x: NDArray[Any] | None = None) -> dict[str, NDArray[Any]]:
        """The windows by the names of the network's inputs; ``x`` in the place of theirs when it is given."""
        given = {"x": self.x if x is None else x.astype(np.float32), **self.others}
        return given if self.mask is None else given | {"mask": self.mask}


@dataclass(frozen=True, eq=False)
class Subject:
    """A model and the windows it is inspected on.

    model: what runs, a Keras network or an `Ensemble`; network: the one whose gates, memory and attention are
        shown where that is not `inside` of the model; windows: those of the test part, scaled
    background: windows of the training part, whose mean is "nothing special"
    every: windows at every row of the same part, whether or not a target is known there
    step: seconds between rows, None without a clock
    target: which target of several is explained
    """

    model: Any
    architecture: Architecture
    task: Task
    windows: Windows
    background: Windows
    every: Windows
    step: float | None
    target: int = 0
    network: Any = None

    @classmethod
    def of(cls, prepared: Prepared, model: Any, architecture: Architecture, *, target: int = 0) -> Subject:
        """The model of a run, on its test part."""
        spec = prepared.preprocessing.spec
        every = (
            prepared.test
            if spec.lookback is None
            else build_windows(prepared.table, spec.without_target(), split=prepared.split, part=SplitPart.TEST).scaled(
                prepared.preprocessing.scaler, prepared.preprocessing.target_scaler
            )
        )
        short_too = all(len(part.unpadded()) for part in (prepared.test, prepared.train, every))
        subject = cls(
            model=model,
            architecture=architecture,
            task=prepared.task,
            # at the beginning of a unit there is less to look into: whole windows are shown where there are some
            windows=prepared.test.unpadded() if short_too else prepared.test,
            background=prepared.train.unpadded() if short_too else prepared.train,
            every=every.unpadded() if short_too else every,
            step=prepared.preprocessing.step,
            target=target,
        )
        return subject.plain()

    def plain(self) -> Subject:
        """The same model with one answer per window: on the last row for a network that answers on every row,
        one row ahead for a recursive forecast."""
        if self.task.answer.recursive and not isinstance(self.model, Ensemble):
            windows, background, every = (part.one_ahead() for part in (self.windows, self.background, self.every))
            return replace(self, windows=windows, background=background, every=every)
        if self.architecture.answer != "every":
            return self  # a recursive ensemble rolls its networks on by itself, and answers with whole paths
        architecture, network = replace(self.architecture, answer="row"), None
        if self.inside is not None:
            network = build(architecture, seed=0)
            put_weights(network, take_weights(self.inside))
        # an ensemble answers on the last row by itself
        model = self.model if isinstance(self.model, Ensemble) else network
        return replace(self, model=model, network=network, architecture=architecture)

    def one_network(self) -> Subject:
        """The subject whose gates and memory are shown: of a recursive ensemble one network, one row ahead."""
        if self.inside is None or not self.task.answer.recursive or not isinstance(self.model, Ensemble):
            return self
        return replace(self, model=self.inside, network=None).plain()

    @property
    def inside(self) -> Any:
        """The network that is looked into: of an ensemble the one that was stopped on the validation part, the last
        one; None where no network has weight."""
        if self.network is not None or not isinstance(self.model, Ensemble):
            return self.network or self.model
        return self.model.networks[-1] if self.model.networks else None

    @property
    def alone(self) -> Subject:
        """The network that is looked into, without what stands beside it."""
        return replace(self, model=self.inside)

    @property
    def shares(self) -> Mapping[str, float]:
        """What an ensemble is made of, and the share of each; empty for one network alone."""
        return self.model.shares if isinstance(self.model, Ensemble) else {}

    @property
    def place(self) -> int:
        """Which output is explained: the target's, on the last row of a path."""
        spec = self.windows.spec
        return (len(spec.horizons) - 1) * len(spec.targets) + self.target

    @property
    def tag(self) -> Tag:
        """The target that is explained."""
        return self.task.targets[self.target]

    @property
    def table(self) -> Table:
        """The repaired table of the windows."""
        return self.windows.table

    @property
    def unit(self) -> str:
        """The unit of what is explained: the target's, or "" for the probability of a class."""
        return self.tag.unit if self.task.kind == "regression" else ""

    def sample(self, count: int, *, of: Windows | None = None) -> WindowSample:
        """``count`` windows evenly over the part (all, when there are no more)."""
        windows = reaching(self.model, self.windows if of is None else of)
        indices = np.unique(np.linspace(0, len(windows) - 1, min(count, len(windows))).round().astype(np.int64))
        batch = windows.gather(indices)
        mask = batch.mask
        if mask is None and self.architecture.masked:
            mask = np.ones(batch.x.shape[:2], dtype=bool)
        others: dict[str, NDArray[Any]] = {} if batch.future is None else {"future": batch.future}
        for entry in self.model.inputs:
            if entry.name == "teacher":  # for training only
                others["teacher"] = np.zeros((len(indices), *entry.shape[1:]), np.float32)
            elif entry.name == "ended":  # a simple member asks for it
                others["ended"] = complete(windows.subset(indices))
        return WindowSample(batch.x, mask, indices, others)

    def affordable(self, most: int, *, passes: float, work: float) -> int:
        """How many windows, at most ``most``, can pass through the network ``passes`` times; at least two."""
        a = self.architecture
        room = LARGEST / (BYTES * self.rows * (a.features + sum(a.units)))
        return int(min(most, max(2, min(room, work / (passes * self.cost)))))

    @property
    def rows(self) -> int:
        """T: rows of the longest window."""
        return self.architecture.lookback or self.windows.steps

    @property
    def cost(self) -> float:
        """Multiplications for one window, roughly."""
        if not isinstance(self.model, Ensemble):
            return float(self.rows * parameters(self.architecture))
        a, networks = self.architecture, len(self.model.networks)
        paths = self.model.paths
        each = float(self.rows * parameters(a)) if networks else 0.0
        each *= paths.horizon if paths is not None and paths.recursive else 1
        simple = sum(
            LOOKUPS * DEPTH * len(member.arrays["roots"]) if member.kind == "forest" else member.size
            for member in self.model.simple_members
        )
        return networks * each + simple + self.rows * a.features

    def truth(self, windows: Windows) -> Floats:
        """(W,) the target that is explained, NaN where it is not known or not in the table."""
        if any(name not in windows.table.names for name in windows.spec.targets):
            return np.full(len(windows), np.nan)
        return windows.truth()[:, self.place]

    def answers(self, sample: WindowSample, x: NDArray[Any] | None = None) -> NDArray[np.float32]:
        """The model's outputs (B, O) for windows, or for ``x`` (B, T, F) in the place of their rows."""
        few = 1 << max(3, (len(sample.indices) - 1).bit_length())
        return predict_arrays(self.model, sample.inputs(x), block=few if BLOCK * self.cost > DEAR else BLOCK)

    def pulls(self, outputs: NDArray[Any]) -> Floats:
        """The weight of each output (B, O) in the number that is explained.

        For a number that is the target in plant units less its centre; for classes it is the
        probability of the class that the network says.
        """
        pull = np.zeros(outputs.shape)
        if self.task.kind == "regression":
            scaler = self.windows.target_scaler
            pull[:, self.place] = 1.0 if scaler is None else scaler.scale[self.target]
        elif outputs.shape[1] == 1:
            pull[:, 0] = np.where(outputs[:, 0] >= 0.5, 1.0, -1.0)
        else:
            pull[np.arange(len(outputs)), outputs.argmax(axis=1)] = 1.0
        return pull

    def baseline(self, sample: WindowSample) -> NDArray[np.float32]:
        """(T, F): the mean of the training part, for windows shaped like those of the sample.

        Whole batches take the mean batch, row by row; other windows one mean per feature, where a
        known past target counts only in the rows that show it.
        """
        some = self.sample(512, of=self.background)
        steps, mean = sample.x.shape[1], np.zeros(sample.x.shape[1:])
        weight = np.ones(some.x.shape[:2]) if some.mask is None else some.mask.astype(np.float64)
        overall = np.einsum("btf,bt->f", some.x, weight) / weight.sum()
        if self.windows.masked:
            count = weight.sum(axis=0)[:, None]
            seen = np.where(count > 0, np.einsum("btf,bt->tf", some.x, weight) / np.maximum(count, 1), overall)
            mean[:] = overall
            mean[: min(steps, len(seen))] = seen[:steps]
            return mean.astype(np.float32)
        mean[:] = overall
        known = self.windows.spec.known
        if known is not None and known.count is not None and known.count < steps:
            inputs = len(self.windows.spec.columns)
            mean[: -known.count, inputs:] = 0.0
            mean[-known.count :, inputs:] = some.x[:, -known.count :, inputs:].mean(axis=(0, 1))
        return mean.astype(np.float32)


def why_closed(subject: Subject) -> str | None:
    """The catalogue key of the reason why the inside of a network cannot be shown; None when it can.

    It can when the float64 reference with the same weights gives the same outputs as the network.
    """
    a, network = subject.architecture, subject.inside
    if network is None:
        return "insight.no_network"
    plain = 3 * len(a.units) + 2 * (len(a.dense) + 1)
    if beyond_light(a) or a.cell not in STEPS or len(network.trainable_variables) != plain:
        return "insight.closed"
    sample = subject.alone.sample(COMPARED)
    outputs = subject.alone.answers(sample)
    reference = opened(subject).forward(sample.x, mask=sample.mask).outputs
    sound = np.isfinite(outputs)
    return None if np.allclose(outputs[sound], reference[sound], rtol=AGREEMENT, atol=AGREEMENT) else "insight.closed"


def opened(subject: Subject) -> Network:
    """The network in float64 with all intermediate values; only when `why_closed` is None."""
    to_numpy = use_engine().ops.convert_to_numpy
    arrays = [to_numpy(variable.value) for variable in subject.inside.trainable_variables]
    return Network.of(subject.architecture, arrays)

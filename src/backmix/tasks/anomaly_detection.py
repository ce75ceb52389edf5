"""Whether the plant behaves as it did in normal operation.

This module is anomaly detection: a network learns the inputs themselves from normal rows alone, and
what it cannot predict or give back is abnormal. Labels, where there are some, say which rows are
normal and serve to judge; without a label column all rows of the training part count as normal.

With ``method = "prediction"`` each row is predicted from the window that ends on the row before it,
and its score is the squared Mahalanobis distance of the error. With ``"reconstruction"`` a denoising
autoencoder gives the window back, and the score is the mean of the same distance over the newest
half of its rows: the older half would dilute a fault that has just begun. Distances are scaled by the
errors on normal validation windows, and so is the threshold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from backmix.data.table import Table, missing_column
from backmix.data.tag import Tag
from backmix.data.windows.windows import Windows, WindowSpec
from backmix.decision import Decision
from backmix.errors import InputError, PlanError
from backmix.models.losses import choose_loss
from backmix.models.members.novelty import Ellipse, threshold
from backmix.outcome import Outcome, alarm
from backmix.simple.blocks import Blocks, block_windows
from backmix.tasks import Task, TaskPlan, tasks
from backmix.tasks.contract import Answer, Judging, Kind, Presentation, Target
from backmix.tasks.contract.optional import HasMembers, LearnsFromOutputs, LearnsFromWindows, Promises, TellsNormal
from backmix.tasks.shared.classes import as_classes, recoded
from backmix.tasks.shared.detectors import MEMBERS, NETWORK, Detectors
from backmix.tasks.shared.promise import Promise
from backmix.tasks.shared.rejection import check_enough
from backmix.text import say

NORMAL, ANOMALY = "normal", "anomaly"
UNLABELLED = "anomaly"
"""The name of what is judged where no column holds labels."""
NEWEST = 0.5
"""Share of a window's rows, the newest, whose reconstruction counts; chosen on Tennessee Eastman's training
files (benchmarks/LOG.md)."""
NOISE = 0.1
"""Standard deviation of the noise that the autoencoder learns to take away, in scaled inputs."""
FOLDS = 5
"""Stretches of the normal validation windows; each is scored by an ellipse around the others."""

Floats = NDArray[np.float64]


class AnomalyDetectionPlan(TaskPlan):
    """``[task]`` of an anomaly detection.

    target: a column that says what was the case on each row; None without labels
    normal: its class of normal operation; all others are anomalies
    method: "prediction" of the next row, or "reconstruction" of the window
    false_alarm_rate: share of normal windows that may alarm; the threshold is set for it
    """

    kind: Literal["anomaly_detection"] = "anomaly_detection"
    target: str | None = None  # type: ignore[assignment]
    normal: str | None = None
    method: Literal["prediction", "reconstruction"] = "prediction"
    false_alarm_rate: float = Field(default=0.01, gt=0, lt=0.5)

    @field_validator("target")
    @classmethod
    def _each_once(cls, target: str | None) -> str | None:  # type: ignore[override]
        if target == "":
            raise ValueError(say("tasks.no_target"))
        return target

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.normal is not None and self.target is None:
            raise ValueError(say("anomaly.normal_of_what", normal=self.normal))
        return self

    @property
    def targets(self) -> tuple[str, ...]:
        return () if self.target is None else (self.target,)


class AnomalyDetectionTarget(Target, TellsNormal):
    """The inputs themselves, on rows of normal operation; a label column, where there is one, says which are normal."""

    settings: AnomalyDetectionPlan
    clamps_inputs = False

    def adapt(self, table: Table) -> Table:
        """Raises InputError: data.missing_column, anomaly.which_normal, tasks.no_normal and those of `as_classes`."""
        name = self.settings.target
        if name is None:
            return table
        if name not in table.names:
            raise missing_column(name, table.names, table.source)
        return _coded(table, name, self.settings.normal)

    def bind(self, table: Table) -> tuple[Tag, ...]:
        if self.settings.target is None:
            return (Tag(UNLABELLED, role="target", categories=(NORMAL, ANOMALY)),)
        return (table.tag(self.settings.target),)

    def learned_names(self, inputs: tuple[str, ...]) -> tuple[str, ...]:
        return inputs

    @property
    def classes(self) -> tuple[str, ...]:
        return (NORMAL, ANOMALY)

    @property
    def known_classes(self) -> tuple[str, ...]:
        return ()

    @property
    def normal_class(self) -> str:
        return NORMAL

    @property
    def label_rule(self) -> str:
        return f"tasks.anomaly_detection.{'no_labels' if self.settings.target is None else 'labels'}"

    def window_form(self, spec: WindowSpec, step: float | None) -> WindowSpec:
        """The windows end on the row before the one that is predicted, or on the one that is given back.

        Raises PlanError (anomaly.ahead, anomaly.whole_batch, anomaly.dead_time).
        """
        if spec.horizon:
            raise PlanError("anomaly.ahead", horizon=spec.horizon)
        if spec.lookback is None:
            raise PlanError("anomaly.whole_batch", method=self.settings.method)
        if self.settings.method == "prediction":
            return replace(spec, dead_time=max(1, spec.dead_time))
        if spec.dead_time:
            raise PlanError("anomaly.dead_time", dead_time=spec.dead_time)
        return spec

    def training_rows(self, table: Table) -> NDArray[np.bool_] | None:
        if self.settings.target is None or self.settings.target not in table.names:
            return None
        rows: NDArray[np.bool_] = table.column(self.settings.target) == 0
        return rows

    def training_windows(self, windows: Windows) -> Windows:
        """The windows whose every row is normal; InputError (anomaly.no_normal_window) when there is none."""
        normal = super().training_windows(windows)
        if self.settings.target in windows.table.names and not len(normal):
            raise InputError(
                "anomaly.no_normal_window",
                where=windows.table.source,
                windows=f"{len(windows):,}",
                rows=windows.steps + windows.spec.dead_time,
                target=self.settings.target,
            )
        return normal

    def training_samples(self, windows: Windows) -> Windows:
        if self.settings.method == "prediction":
            return windows
        return replace(windows, spec=replace(windows.spec, answer="window"))

    @property
    def false_alarm_rate(self) -> float:
        return self.settings.false_alarm_rate

    def scored_rows(self, windows: Windows) -> int:
        """R: how many rows of a window, the newest, make its score."""
        return 1 if self.settings.method == "prediction" else max(1, round(NEWEST * windows.steps))


@dataclass(frozen=True)
class AnomalyDetectionAnswer(Answer, LearnsFromWindows, LearnsFromOutputs, HasMembers, Promises):
    """Scores of the errors of a network that predicts the inputs or gives them back, and of detectors beside it.

    The column ``p:anomaly`` of its predictions is score / (1 + score): above one half exactly when the score
    is above the threshold. It ranks windows, it is no probability.
    """

    target: AnomalyDetectionTarget
    kind: ClassVar[Kind] = "classification"

    def __post_init__(self) -> None:
        """Raises ValueError or KeyError for thresholds that no training could have left."""
        if "threshold" in self.fitted:
            ellipse, limit = Ellipse.from_dict(self.fitted), float(self.fitted["threshold"])
            if len(ellipse.center) != self.outputs or not (np.isfinite(limit) and limit > 0):
                raise ValueError(f"an ellipse of {len(ellipse.center)} for {self.outputs} inputs, limit {limit}")
            if self._members is not None and not self._members.limits:
                raise ValueError("detectors without limits")
        if self._members is not None and len(self._members.space.center) != self.outputs:
            raise ValueError(f"detectors of {len(self._members.space.center)} for {self.outputs} inputs")
        if self.promise is not None:
            Promise.from_dict(self.promise)

    @property
    def _members(self) -> Detectors | None:
        return Detectors.from_dict(self.fitted["members"]) if "members" in self.fitted else None

    @property
    def promise(self) -> Mapping[str, Any] | None:
        return self.fitted.get("promise")

    @property
    def shares(self) -> Mapping[str, float]:
        if self._members is None:
            return {}
        weights = self._members.weights
        return {"networks" if name == NETWORK else name: weights[name] for name in MEMBERS if weights[name]}

    def alone(self) -> Mapping[str, Any]:
        return {name: value for name, value in self.fitted.items() if name != "members"}

    @property
    def head(self) -> str:
        return "number" if self.outputs == 1 else "numbers"

    @property
    def outputs(self) -> int:
        return int(self.fitted["inputs"])

    @property
    def architecture(self) -> Mapping[str, Any]:
        return {} if self.target.settings.method == "prediction" else {"decoder": "repeat", "noise": NOISE}

    def loss(self, train: Windows) -> Decision:
        return choose_loss("regression")

    def decode(self, outputs: NDArray[Any], windows: Windows) -> Outcome:
        parts, limit, members = self._own(outputs, windows), self.fitted["threshold"], self._members
        if members is not None:
            parts = members.combined(parts, members.statistics(windows, self.target.scored_rows(windows)))
            limit = members.limit
        return alarm(parts, limit, windows.spec.inputs)

    def learn(self, train: Windows, validation: Windows) -> Mapping[str, Any]:
        """How many inputs there are, the detectors beside the network, and whether the rate can be promised.

        Raises InputError (anomaly.too_fine) when the validation windows cannot tell the false-alarm rate.
        """
        rate, normal = self.target.settings.false_alarm_rate, self.target.training_windows(validation)
        check_enough(normal, rate, "anomaly.too_fine")
        learned: dict[str, Any] = {"inputs": len(train.spec.inputs)}
        members = Detectors.fit(train)
        if members is None:
            return learned
        learned["members"] = members.to_dict()
        blocks = block_windows(train, normal)
        if blocks is not None:
            learned["promise"] = self._tested(blocks, rate, len(normal)).to_dict()
        return learned

    def _tested(self, blocks: Blocks, rate: float, windows: int) -> Promise:
        """Whether blocks of normal operation alarm alike, each by components of the others."""
        scores, code = np.empty(len(blocks.pool)), blocks.code
        for block in blocks.blocks:
            space = Detectors.fit(block.teach)
            if space is None:
                scores[block.indices] = 0.0
                continue
            statistics = space.statistics(block.held_out, self.target.scored_rows(block.held_out))
            taught = space.statistics(block.teach, self.target.scored_rows(block.teach))
            sizes = {name: float(taught[name].sum(axis=1).mean()) or 1.0 for name in ("along", "beside")}
            scores[block.indices] = np.maximum(*(statistics[name].sum(axis=1) / size for name, size in sizes.items()))
        return Promise.of(scores, code, rate, windows=windows)

    def calibrate(self, outputs: NDArray[Any], windows: Windows) -> Mapping[str, Any]:
        """The ellipse around the errors of normal windows, and the threshold."""
        errors = self._errors(outputs, windows)
        errors = errors[np.isfinite(errors).all(axis=(1, 2))]
        ellipse = Ellipse.fit(errors.reshape(-1, errors.shape[-1]))
        scores = crossed(errors)
        rate = self.target.settings.false_alarm_rate
        fitted = {**self.fitted, **ellipse.to_dict(), "threshold": threshold(scores, rate), "windows": len(scores)}
        if self._members is not None:
            sound = windows.subset(np.flatnonzero(np.isfinite(self._errors(outputs, windows)).all(axis=(1, 2))))
            statistics = self._members.statistics(sound, self.target.scored_rows(sound))
            fitted["members"] = self._members.calibrated(crossed_parts(errors), statistics, rate).to_dict()
        return fitted

    def weigh(self, outputs: NDArray[Any], windows: Windows) -> Mapping[str, Any]:
        members = self._members
        if members is None:
            return self.fitted
        statistics = members.statistics(windows, self.target.scored_rows(windows))
        truth = windows.truth()[:, 0] > 0
        weighed = members.weighed(self._own(outputs, windows), statistics, truth)
        return {**self.fitted, "members": weighed.to_dict(), "anomalies": int(truth.sum())}

    def notes(self) -> tuple[Decision, ...]:
        members = self._members
        if members is None:
            return ()
        listed = ", ".join(f"{name} {weight:.2f}" for name, weight in members.weights.items() if weight)
        count = int(self.fitted.get("anomalies", 0))
        key = "anomaly.weighed" if count else "anomaly.usual_weights"
        return (Decision(listed, key, {"windows": count}, setting="model.beside"),)

    def _own(self, outputs: NDArray[Any], windows: Windows) -> Floats:
        """The part (B, F) of every input in the score of the network."""
        return _parts(Ellipse.from_dict(self.fitted), self._errors(outputs, windows))

    def _errors(self, outputs: NDArray[Any], windows: Windows) -> Floats:
        """Scaled errors (B, R, F) of the R rows that count; NaN where a value is not known."""
        predicted = np.asarray(outputs, dtype=np.float64)
        if self.target.settings.method == "prediction":
            return (windows.scaled_targets() - predicted)[:, None]
        steps, newest = windows.steps, self.target.scored_rows(windows)
        form = replace(windows.spec, answer="window", need_target=True)
        given = replace(windows, spec=form).gather(windows.all_indices).y
        assert given is not None
        return given[:, -newest:] - predicted.reshape(len(windows), steps, -1)[:, -newest:]


class AnomalyDetectionJudging(Judging):
    """How well scores tell normal from abnormal rows, and how alarms do, which decides the verdict."""

    by_alarms = True
    metrics = (
        "auc",
        "detection_rate",
        "false_alarm_rate",
        "detection_delay",
        "event_recall",
        "event_precision",
        "false_alarms_per_day",
    )
    baselines = ("pca", "largest_deviation")


class AnomalyDetectionPresentation(Presentation):
    """The score over time, and the tags that it is due to."""

    figures = ("scores", "anomaly_score", "contributions", "learning")


@tasks.register(
    "anomaly_detection",
    title={"en": "anomaly detection", "zh_TW": "異常偵測"},
    sentences={
        "labels": {
            "en": "The labels {targets} only say which rows are normal, to learn from and to judge by; they are never "
            "shown to the model, and it needs none to run.",
            "zh_TW": "標記 {targets} 只用來指出哪些資料列為正常，供學習與評分；從不提供給模型，運作時也不需要。",
        },
        "no_labels": {
            "en": "No labels are used: none to learn from, and none to run.",
            "zh_TW": "不使用任何標記：學習與運作都不需要。",
        },
    },
)
class AnomalyDetection(Task):
    """Normal or not, row by row, with the tags that say so."""

    Settings = AnomalyDetectionPlan
    Target = AnomalyDetectionTarget
    Answer = AnomalyDetectionAnswer
    Judging = AnomalyDetectionJudging
    Presentation = AnomalyDetectionPresentation


def crossed(errors: Floats) -> Floats:
    """The scores (B,) of normal errors (B, R, F), each by an ellipse that has not seen its neighbours.

    An ellipse lies close around the rows that it was fitted to, closer than around any others: a
    threshold from those would give many times as many false alarms as it was set for.
    """
    return np.asarray(crossed_parts(errors).sum(axis=1))


def crossed_parts(errors: Floats) -> Floats:
    """The part (B, F) of every input in those scores."""
    parts = np.empty((len(errors), errors.shape[-1]))
    for fold in np.array_split(np.arange(len(errors)), min(FOLDS, len(errors))):
        others = np.delete(errors, fold, axis=0)
        parts[fold] = _parts(Ellipse.fit(others.reshape(-1, errors.shape[-1])), errors[fold])
    return parts


def _parts(ellipse: Ellipse, errors: Floats) -> Floats:
    """The part (B, F) of every input in the mean squared distance of errors (B, R, F)."""
    count, rows, width = errors.shape
    shares: Floats = ellipse.shares(errors.reshape(-1, width)).reshape(count, rows, width).mean(axis=1)
    return shares


def _coded(table: Table, name: str, normal: str | None) -> Table:
    """The table with the label column as two classes: normal, and everything else."""
    table = as_classes(table, name)
    labels = table.tag(name).categories
    listed = ", ".join(labels[:8])
    if normal is None:
        raise InputError("anomaly.which_normal", where=table.source, target=name, found=listed, first=labels[0])
    if normal not in labels:
        raise InputError("tasks.no_normal", where=table.source, target=name, normal=normal, found=listed)
    table = recoded(table, name, [int(label != normal) for label in labels], (NORMAL, ANOMALY))
    return table.retag({name: replace(table.tag(name), role="target")})

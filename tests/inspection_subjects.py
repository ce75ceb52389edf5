"""Networks with weights that are known, and the windows they are asked about."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from backmix.data.scaling import Scaler
from backmix.data.tag import Tag
from backmix.data.windows.windows import Windows
from backmix.inspection.subject import Subject, WindowSample
from backmix.models.architecture import Architecture
from backmix.models.network import build
from backmix.tasks import Task
from backmix.tasks.fault_diagnosis import FaultDiagnosis, FaultDiagnosisPlan
from backmix.tasks.soft_sensor import SoftSensor, SoftSensorPlan


def regression(*targets: str, unit: str = "mol/L") -> Task:
    """A soft sensor of these targets."""
    return SoftSensor(SoftSensorPlan(target=targets), tuple(Tag(name, unit=unit, role="target") for name in targets))


def diagnosis(*names: str) -> Task:
    """A fault diagnosis of these classes."""
    return FaultDiagnosis(FaultDiagnosisPlan(target="state"), (Tag("state", role="target", categories=names),))


def subject(
    architecture: Architecture,
    *,
    task: Task | None = None,
    windows: int = 24,
    steps: int = 12,
    seed: int = 0,
    model: Any = None,
    scale: float = 1.0,
) -> Subject:
    """A network of random weights on random windows, each of them a batch; ``scale`` is the target scaler's."""
    task = task or regression("y1")
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(windows, steps, architecture.features)).astype(np.float32)
    classes = task.target.classes
    y = rng.integers(0, len(classes), windows) if classes else rng.normal(size=(windows, len(task.targets)))
    lengths = rng.integers(2, steps + 1, windows) if architecture.masked else None
    if lengths is not None:
        lengths[0] = steps
    made = Windows.from_arrays(x, y, lengths=lengths, categories=classes)
    if not classes:
        names = made.spec.targets
        made = replace(made, target_scaler=Scaler("standard", names, np.zeros(len(names)), np.full(len(names), scale)))
    model = build(architecture, seed=seed) if model is None else model
    return Subject(
        model=model, architecture=architecture, task=task, windows=made, background=made, every=made, step=60.0
    )


def put(model: Any, arrays: dict[str, Any]) -> None:
    """Set weights by ``layer/role``; the others become zero."""
    for variable in model.trainable_variables:
        layer, *_, role = variable.path.split("/")
        value = np.zeros(variable.shape)
        if f"{layer}/{role}" in arrays:
            value[...] = arrays[f"{layer}/{role}"]
        variable.assign(value.astype(np.float32))


def whole(subject: Subject) -> WindowSample:
    """All windows of a subject."""
    return subject.sample(len(subject.windows))


def delay_line(delay: int, *, features: int = 3, feature: int = 1, steps: int = 12) -> Architecture:
    """The form of a SimpleRNN that can hand a value on for ``delay`` rows; see `shift`."""
    return Architecture(features=features, lookback=steps, cell="simple_rnn", units=(delay + 1,), activation="linear")


def shift(delay: int, *, features: int = 3, feature: int = 1, gain: float = 2.0) -> dict[str, Any]:
    """Weights of a shift register: y_t = gain * x_{t - delay} of one feature, and nothing of the others."""
    kernel = np.zeros((features, delay + 1))
    kernel[feature, 0] = 1.0
    head = np.zeros((delay + 1, 1))
    head[delay] = gain
    return {"recurrent_1/kernel": kernel, "recurrent_1/recurrent_kernel": np.eye(delay + 1, k=1), "head/kernel": head}

"""An ensemble is explained as it runs: all of it, by what each of its members has to do with the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from backmix.inspection import look
from backmix.inspection.attribution import attribute, shapley
from backmix.inspection.permutation import permute
from backmix.inspection.sentences import runs, sentences
from backmix.inspection.subject import QUICK, Subject
from backmix.models.architecture import Architecture
from backmix.models.ensemble import Ensemble
from backmix.models.members.member import Member
from backmix.models.network import build
from backmix.tasks import Task
from inspection_subjects import diagnosis, put, regression, shift, subject, whole

STEPS, FEATURES = 12, 3
GRU = Architecture(features=FEATURES, lookback=STEPS, cell="gru", units=(5,))
LINE = Architecture(features=FEATURES, lookback=STEPS, cell="simple_rnn", units=(3,), activation="linear")


def ridge(kernel: Mapping[tuple[int, int], float], outputs: int = 1, activation: Any = "linear") -> Member:
    """A linear model of single lags: (row, feature) -> coefficient of the first output."""
    full = np.zeros((STEPS, FEATURES, outputs))
    for place, value in kernel.items():
        full[(*place, 0)] = value
    return Member(
        "ridge", "lags", "linear", {"kernel": full.reshape(-1, outputs), "bias": np.zeros(outputs)}, activation
    )


def tree(feature: int) -> Member:
    """One tree: the last row of a feature above 0 or not."""
    return Member(
        "forest",
        "lags",
        "forest",
        {
            "roots": np.array([0], np.int32),
            "feature": np.array([(STEPS - 1) * FEATURES + feature, -1, -1], np.int32),
            "threshold": np.zeros(3, np.float32),
            "left": np.array([1, 0, 1], np.int32),
            "right": np.array([2, 0, 0], np.int32),
            "value": np.array([[-1.0], [1.0]], np.float32),
        },
    )


def asked(ensemble: Ensemble, task: Task | None = None, windows: int = 60) -> Subject:
    return subject(ensemble.architecture, model=ensemble, task=task or regression("y1"), windows=windows, scale=3.0)


def of(architecture: Architecture, networks: tuple[Any, ...], members: tuple[Member, ...], *weights: float) -> Ensemble:
    spread = np.repeat(np.array(weights)[:, None], architecture.outputs, axis=1)
    return Ensemble(architecture, networks, members, spread)


@pytest.mark.parametrize("head", ["number", "classes"])
def test_the_parts_of_a_window_add_up(head: str) -> None:
    """Law: Shapley values of any model divide f(x) - f(baseline) without rest."""
    if head == "number":
        network = build(GRU, seed=1)
        ensemble = of(GRU, (network,), (ridge({(11, 0): 1.5, (3, 2): -2.0}), tree(1)), 0.4, 0.3, 0.3)
        given = asked(ensemble)
    else:
        form = replace(GRU, head="classes", outputs=3)
        member = replace(ridge({(11, 0): 2.0}, 3, "softmax"), name="lda")
        given = asked(of(form, (build(form, seed=1),), (member,), 0.5, 0.7), diagnosis("a", "b", "c"))
    sample = whole(given)
    base = given.baseline(sample)
    shares = shapley(given, sample, base, bands=4)
    outputs, origin = (
        given.answers(sample, x).astype(np.float64) for x in (None, np.broadcast_to(base, sample.x.shape))
    )
    moved = ((outputs - origin) * given.pulls(outputs)).sum(axis=1)
    assert np.abs(moved).max() > 0.1
    np.testing.assert_allclose(shares.parts.sum(axis=(1, 2)), moved, atol=1e-5)


def test_of_a_linear_member_the_parts_are_its_terms() -> None:
    """Where nothing interacts every order gives the same: coefficient times distance from the baseline."""
    given = asked(of(GRU, (), (ridge({(11, 0): 2.0, (0, 1): -1.0}),), 0.0, 1.0))
    sample = whole(given)
    base = given.baseline(sample)
    parts = shapley(given, sample, base, bands=STEPS).parts
    expected = np.zeros_like(parts)
    expected[:, 11, 0] = 3.0 * 2.0 * (sample.x - base)[:, 11, 0]
    expected[:, 0, 1] = -3.0 * (sample.x - base)[:, 0, 1]
    np.testing.assert_allclose(parts, expected, atol=1e-5)


def test_a_tag_of_a_simple_member_alone_is_found() -> None:
    """The network looks at tag 1, the tree at tag 0: the ensemble looks at both, and at nothing else."""
    network = build(LINE, seed=0)
    put(network, shift(2))
    given = asked(of(LINE, (network,), (tree(0),), 0.5, 0.5), windows=200)
    given = replace(given, windows=_told(given))
    found = attribute(given, QUICK)
    assert found.push[0] > 0.5
    assert found.push[1] > 0.5
    assert found.push[2] == pytest.approx(0, abs=1e-6)
    permutation = permute(given, QUICK, features=np.arange(3), seed=0)
    assert permutation is not None
    assert permutation.mean[:2].min() > 10 * max(abs(permutation.mean[2]), 1e-6)


def _told(given: Subject) -> Any:
    """The windows with the answers of the ensemble as their truth."""
    from backmix.data.scaling import Scaler
    from backmix.data.windows.windows import Windows

    sample = whole(given)
    made = Windows.from_arrays(sample.x, 3.0 * given.answers(sample))
    return replace(made, target_scaler=Scaler("standard", made.spec.targets, np.zeros(1), np.full(1, 3.0)))


def test_what_has_no_weight_has_no_say() -> None:
    """Gates and memory are shown of a network with weight, and its share is said; of none they are not shown."""
    network = build(GRU, seed=1)
    both = look(asked(of(GRU, (network,), (tree(0),), 0.25, 0.75)), QUICK)
    assert both.memory is not None
    assert both.shares == {"networks": 0.25, "forest": 0.75}
    assert "ensemble.one_of" in both.left_out
    assert "networks 25 %" in sentences(both)[0]
    alone = look(asked(of(GRU, (network,), (tree(0),), 0.0, 1.0)), QUICK)
    assert alone.memory is None
    assert alone.gates is None
    assert "insight.no_network" in alone.left_out
    assert "ensemble.one_of" not in alone.left_out
    assert alone.attribution.push[1:].tolist() == [0.0, 0.0]
    assert sentences(alone)[0].startswith("What runs has no network in it")
    assert runs({}) == ""

"""The gradient of a network in its inputs, against the float64 reference."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backmix.models.architecture import Architecture
from backmix.models.engine import use_engine
from backmix.models.network import build
from backmix.models.reference import Network
from backmix.models.sensitivity import sensitivity

FORMS = {
    "stacked lstm": Architecture(features=3, lookback=9, cell="lstm", units=(5, 4), dropout=0.3, head_dropout=0.2),
    "masked gru": Architecture(features=3, cell="gru", units=(5,), masked=True, dense=(4,)),
    "gru without reset_after": Architecture(
        features=3, lookback=9, cell="gru", units=(5,), reset_after=False, head="classes", outputs=3
    ),
    "simple_rnn with statistics": Architecture(features=3, lookback=9, cell="simple_rnn", units=(5,), summaries=True),
}


def numpy(variable: Any) -> np.ndarray:
    """A copy of a Keras variable, on any engine."""
    return np.array(use_engine().ops.convert_to_numpy(variable.value))


def check(architecture: Architecture) -> None:
    """One network: outputs and gradient are those of the reference, and nothing in the network has changed."""
    model = build(architecture, seed=3)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 9, 3)).astype(np.float32)
    mask = np.arange(9) < rng.integers(1, 10, (4, 1)) if architecture.masked else None
    pull = rng.normal(size=(4, architecture.outputs))
    before = [numpy(variable) for variable in model.variables]
    network = Network.of(architecture, [numpy(variable) for variable in model.trainable_variables])
    trace = network.forward(x, mask=mask)
    result = sensitivity(model)({"x": x} if mask is None else {"x": x, "mask": mask}, pull)
    np.testing.assert_allclose(result.outputs, trace.outputs, atol=2e-5)
    np.testing.assert_allclose(result.x, network.backward(trace, pull).x, rtol=2e-3, atol=2e-5)
    for old, variable in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(old, numpy(variable))


@pytest.mark.parametrize("form", FORMS)
def test_the_gradient_is_that_of_the_reference(form: str) -> None:
    check(FORMS[form])


@pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
def test_the_gradient_is_the_same_on_torch() -> None:
    program = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "from test_sensitivity import FORMS, check\n"
        "for form in FORMS.values(): check(form)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        env=os.environ | {"KERAS_BACKEND": "torch"},
        check=False,
    )
    assert done.returncode == 0, done.stderr

"""Which loss, and which never."""

from __future__ import annotations

import numpy as np
import pytest

from backmix.errors import PlanError
from backmix.models.engine import use_engine
from backmix.models.losses import check_loss, choose_loss, losses

Y = np.array([[0.5], [2.0], [0.0]], dtype="float32")
P = np.array([[0.4], [1.0], [0.2]], dtype="float32")
EXPECTED = {
    "mse": np.mean((Y - P) ** 2),
    "mae": np.mean(np.abs(Y - P)),
    "huber": np.mean(np.where(np.abs(Y - P) <= 1, 0.5 * (Y - P) ** 2, np.abs(Y - P) - 0.5)),
    "msle": np.mean((np.log1p(Y) - np.log1p(P)) ** 2),
}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_regression_losses(name: str) -> None:
    """Course item 46: each equals its formula."""
    assert float(losses.get(name).make()(Y, P)) == pytest.approx(EXPECTED[name], rel=1e-5)


def test_class_losses() -> None:
    """Course item 47: minus the mean logarithm of what happened."""
    probability = np.array([[0.9], [0.2]], dtype="float32")
    happened = np.array([[1.0], [0.0]], dtype="float32")
    result = float(losses.get("binary_crossentropy").make()(happened, probability))
    assert result == pytest.approx(-np.mean(np.log([0.9, 0.8])), rel=1e-5)
    rows = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]], dtype="float32")
    result = float(losses.get("sparse_categorical_crossentropy").make()(np.array([0, 2], dtype="int32"), rows))
    assert result == pytest.approx(-np.mean(np.log([0.7, 0.8])), rel=1e-5)


def test_every_loss_has_a_sentence_and_a_keras_class() -> None:
    from backmix.text import sentences

    for name, loss in losses:
        assert f"loss_{name}" in sentences("models")
        assert hasattr(use_engine().losses, loss.keras_name)


def test_choice_follows_the_targets() -> None:
    """Course item 83: usual, with outliers, over orders of magnitude; each with its reason."""
    rng = np.random.default_rng(0)
    plain = rng.normal(size=(1000, 1))
    assert choose_loss("regression", targets=plain).value == "mse"
    assert choose_loss("regression").value == "mse"
    assert choose_loss("regression", targets=np.full((5, 1), np.nan)).value == "mse"
    spiked = plain.copy()
    spiked[:20] += 30
    result = choose_loss("regression", targets=spiked)
    assert result.value == "huber"
    assert result.reason("en") == (
        "2.0 % of the training targets lie more than 6 robust standard deviations "
        "from the median; Huber's loss keeps such values from ruling the fit"
    )
    wide = 10 ** rng.uniform(0, 5, size=(1000, 1))
    assert choose_loss("regression", targets=wide).value == "msle"
    assert choose_loss("binary").value == "binary_crossentropy"
    assert choose_loss("classes").setting == "training.loss"


def test_standardised_targets_never_get_a_logarithmic_loss() -> None:
    """Letter H: even a target over orders of magnitude, once standardised, is not given MSLE."""
    wide = 10 ** np.random.default_rng(0).uniform(0, 5, size=(1000, 1))
    standardised = (wide - wide.mean()) / wide.std()
    assert choose_loss("regression", targets=standardised).value != "msle"
    with pytest.raises(PlanError) as caught:
        check_loss("msle", "regression", targets=standardised)
    assert str(caught.value) == (
        f'[training] loss = "msle" takes the logarithm of 1 + target, but the scaled target goes down to '
        f'{standardised.min():.3g} and the logarithm ends at -1. Use loss = "mse" or "huber", or [scaling] '
        'target = "minmax"'
    )
    assert caught.value.exit_code == 2
    assert check_loss("msle", "regression", targets=wide).name == "msle"


def test_loss_of_another_kind_is_refused() -> None:
    with pytest.raises(PlanError) as caught:
        check_loss("mse", "classes")
    assert str(caught.value) == (
        "[training] loss = \"mse\" does not fit outputs of kind 'classes'. Use one of: sparse_categorical_crossentropy"
    )
    with pytest.raises(PlanError, match="there is no 'rmse' among the losses"):
        check_loss("rmse", "regression")

"""Laws of every form of a network: counted, equal to the oracle, blind to padding and to company."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from backmix.errors import PlanError
from backmix.models import Architecture, build
from backmix.models.cells import ACTIVATIONS, INITIALIZERS
from backmix.models.engine import use_engine
from backmix.models.reference import Network
from backmix.models.reference.forms import attention_weights
from backmix.models.reference.forms import outputs as by_reference
from backmix.models.shape.size import layers, parameters, weight_shapes
from backmix.models.weights import fits, put_weights, take_weights
from forms import FORMS, LENGTHS, MASK, PLAIN, B, F, T, inputs, made, make, real, shape_of

every_form = pytest.mark.parametrize("name", FORMS)


@every_form
def test_counts_and_shapes_are_those_of_keras(name: str) -> None:
    """Course items 4, 33: one builder, and every weight of every form is known before it is built."""
    a, model = FORMS[name], made(name).model
    assert weight_shapes(a) == {name: array.shape for name, array in take_weights(model).items()}
    assert parameters(a) == model.count_params()
    for layer in layers(a):
        assert layer.parameters == model.get_layer(layer.name).count_params()
    assert fits(made(name).weights, a)
    assert model.output_shape[1:] == (shape_of(a)[1:])


@every_form
def test_answers_equal_the_oracle(name: str) -> None:
    """Course items 24, 26, 27, 29, 30, 86, 87: Keras in float32 against NumPy in float64, row by row."""
    form = made(name)
    given = inputs(form.architecture)
    answers = form(given)
    assert answers.shape == shape_of(form.architecture)
    expected = by_reference(form.architecture, form.weights, given)
    np.testing.assert_allclose(real(form.architecture, answers), real(form.architecture, expected), atol=1e-5)
    assert np.ptp(real(form.architecture, answers)) > 1e-2


@every_form
def test_padding_and_company_change_nothing(name: str) -> None:
    """Course item 17: neither rubbish in padded rows nor the other windows of a batch count."""
    form = made(name)
    a, given = form.architecture, inputs(form.architecture)
    answers = real(a, form(given))
    rubbish = dict(given, x=np.where(MASK[:, :, None], given["x"], np.nan).astype(np.float32))
    np.testing.assert_array_equal(real(a, form(rubbish)), answers)
    others = {
        key: values if key == "mask" else np.concatenate([values[:2], 3 * values[2:]]) for key, values in given.items()
    }
    first = LENGTHS[:2].sum() if a.answer in ("every", "window") else 2
    np.testing.assert_allclose(real(a, form(others))[:first], answers[:first], atol=1e-6)


@pytest.mark.parametrize("name", ["all at once", "every transformer", "repeat", "looking", "window states"])
def test_padding_has_no_part_in_gradients(name: str) -> None:
    """Trap U: NaN in padded rows gives the very gradients that zeros there give."""
    import jax
    import jax.numpy as jnp

    form = made(name)
    a, given = form.architecture, inputs(form.architecture)

    @jax.jit
    def gradients(x: Any) -> Any:
        def loss(values: Any) -> Any:
            y = form.model.stateless_call(values, form.fixed, {**given, "x": x}, training=True)[0]
            return jnp.sum(jnp.where(MASK[:, :, None], y, 0) ** 2 if y.ndim == 3 else y**2)

        return jax.grad(loss)(form.values)

    clean, dirty = (gradients(np.where(MASK[:, :, None], given["x"], fill).astype(np.float32)) for fill in (0, np.nan))
    for variable, one, other in zip(form.model.trainable_variables, clean, dirty, strict=True):
        assert np.isfinite(np.asarray(other)).all(), variable.path
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
    # all that stands still in a fresh network are rows of kernels that padding alone would reach
    assert sum(not np.asarray(g).any() for g in clean) == 0, a


@every_form
def test_weights_travel_and_seeds_decide(name: str) -> None:
    """Course items 42, 71: a seed gives the weights bit for bit; weights put into another network carry it over."""
    form = made(name)
    first, second, other = (build(form.architecture, seed=seed) for seed in (3, 3, 4))
    weights = [take_weights(model) for model in (first, second, other)]
    for key, array in weights[0].items():
        np.testing.assert_array_equal(weights[1][key], array)
        drawn = array.ndim > 1 and "bias" not in key
        assert not drawn or not np.array_equal(weights[2][key], array)
    drawn = [array.ravel()[:3] for key, array in weights[0].items() if array.ndim > 1 and "bias" not in key]
    assert len({tuple(start) for start in drawn}) == len(drawn)  # no two parts start alike
    put_weights(other, form.weights)
    for key, array in take_weights(other).items():
        np.testing.assert_array_equal(array, form.weights[key])


def test_units_and_sequences_of_a_stack() -> None:
    """Course items 32, 34, 36: every layer has the units asked for, and all but the last hand on sequences."""
    model = build(Architecture(features=F, lookback=T, units=(5, 4, 3), bidirectional=True), seed=0)
    shapes = [tuple(model.get_layer(f"recurrent_{number}").output.shape[1:]) for number in (1, 2, 3)]
    assert shapes == [(T, 10), (T, 8), (6,)]
    rows = build(Architecture(features=F, lookback=T, units=(5, 4), answer="every"), seed=0)
    assert tuple(rows.get_layer("recurrent_2").output.shape[1:]) == (T, 4)


@pytest.mark.parametrize("answer", ["row", "path", "every", "window"])
def test_two_classes_in_every_answer(answer: str) -> None:
    """Course items 25, 27: one probability per window, step or row."""
    a = Architecture(
        features=F,
        lookback=T,
        units=(3,),
        head="binary",
        answer=answer,
        horizon=2 if answer == "path" else 1,
        decoder="repeat" if answer == "window" else "none",
    )
    answers = make(a)(inputs(a))
    assert answers.shape == shape_of(a)
    assert answers.min() > 0
    assert answers.max() < 1


def test_a_form_leaves_the_first_weights_of_the_rest_alone() -> None:
    plain = take_weights(build(Architecture(**PLAIN), seed=3))
    more = take_weights(build(Architecture(**PLAIN, noise=0.1, layer_norm=True), seed=3))
    for key, array in plain.items():
        np.testing.assert_array_equal(more[key], array)


RANDOM = st.fixed_dictionaries(
    {
        "cell": st.sampled_from(["lstm", "gru", "simple_rnn"]),
        "units": st.sampled_from([(2,), (4, 2), (4, 4)]),
        "bidirectional": st.booleans(),
        "layer_norm": st.booleans(),
        "residual": st.booleans(),
        "attention": st.booleans(),
        "summaries": st.booleans(),
        "body": st.sampled_from(["recurrent", "transformer"]),
        "attention_heads": st.sampled_from([1, 2]),
        "answer": st.sampled_from(["row", "path", "every", "window"]),
        "horizon": st.sampled_from([1, 3]),
        "future": st.sampled_from([0, 1]),
        "dense": st.sampled_from([(), (3,)]),
        "decoder": st.sampled_from(["none", "repeat", "states", "attention"]),
        "reset_after": st.booleans(),
        "head": st.sampled_from(["numbers", "classes"]),
        "activation": st.sampled_from(ACTIVATIONS[:2]),
        "initializer": st.sampled_from(sorted(INITIALIZERS)),
        "masked": st.booleans(),
    }
)


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(fields=RANDOM)
def test_any_architecture_that_is_allowed_equals_the_oracle(fields: dict[str, Any]) -> None:
    """Course items 33, 35, 42: what `Architecture` lets pass can be built, is counted right and means what it says."""
    a = None
    with suppress(PlanError):
        a = Architecture(features=2, lookback=T, outputs=2, **fields)
    assume(a is not None)
    form, given_inputs = make(a), inputs(a)
    assert form.model.count_params() == parameters(a)
    expected = by_reference(a, form.weights, given_inputs)
    np.testing.assert_allclose(real(a, form(given_inputs)), real(a, expected), atol=1e-5, rtol=1e-4)


def test_bidirectional_answers_with_the_last_state_of_each_direction() -> None:
    """Course item 87, trap M: the backward half has seen the whole window, not its last row alone."""
    keras = use_engine()
    a = Architecture(features=F, lookback=T, cell="lstm", units=(4,), bidirectional=True)
    model = build(a, seed=2)
    w, x = take_weights(model), inputs(a)["x"]
    halves = []
    for way, rows in (("forward", x), ("backward", x[:, ::-1])):
        layer = keras.layers.LSTM(4)
        layer.build(rows.shape)
        layer.set_weights(
            [w[f"recurrent_1/{way}_recurrent_1/{role}"] for role in ("kernel", "recurrent_kernel", "bias")]
        )
        halves.append(np.asarray(layer(rows)))
    by_hand = np.concatenate(halves, axis=1) @ w["head/kernel"] + w["head/bias"]
    np.testing.assert_allclose(np.asarray(model.predict_on_batch({"x": x})), by_hand, atol=1e-5)
    assert not np.allclose(w["recurrent_1/forward_recurrent_1/kernel"], w["recurrent_1/backward_recurrent_1/kernel"])
    early = x.copy()
    early[:, 0] += 1.0
    late = np.asarray(make(a)({"x": early})) - np.asarray(make(a)({"x": x}))
    assert np.abs(late).min() > 1e-4


@pytest.mark.parametrize("name", ["every", "every transformer"])
def test_every_row_is_answered_from_the_rows_before_it(name: str) -> None:
    """Course items 27, 86: changing row t changes no answer before t, and the one at t."""
    form = made(name)
    given = {"x": inputs(form.architecture)["x"], "mask": np.ones((B, T), bool)}
    answers = form(given)
    for t in (1, T - 1):
        later = given["x"].copy()
        later[:, t:] += 1.0
        changed = form({**given, "x": later})
        np.testing.assert_array_equal(changed[:, :t], answers[:, :t])
        assert np.abs(changed[:, t] - answers[:, t]).max() > 1e-3


def test_a_transformer_answers_with_its_last_real_row() -> None:
    """Course item 86: many-to-one is the answer that the same network gives at that row."""
    form = made("transformer")
    given = inputs(form.architecture)
    whole = make(Architecture.from_dict({**form.architecture.to_dict(), "answer": "every"}))
    rows = whole(given)
    np.testing.assert_allclose(form(given), rows[np.arange(B), LENGTHS - 1], atol=1e-6)


@pytest.mark.parametrize("name", ["attention", "all at once", "repeat"])
def test_attention_weights_can_be_looked_at(name: str) -> None:
    """Course item 86: a layer called attention_weights says how much each row counts; padding counts nothing."""
    keras = use_engine()
    form = made(name)
    given = inputs(form.architecture)
    inner = keras.Model(form.model.inputs, form.model.get_layer("attention_weights").output)
    shown = np.asarray(inner.predict_on_batch(given))
    assert shown.shape == (B, T)
    assert (shown[~MASK] == 0).all()
    np.testing.assert_allclose(shown.sum(axis=1), 1, atol=1e-6)
    for at, length in enumerate(LENGTHS):
        expected = attention_weights(form.architecture, form.weights, given["x"][at, :length])
        np.testing.assert_allclose(shown[at, :length], expected, atol=1e-6)


@pytest.mark.parametrize("name", ["dressed", "window"])
def test_noise_is_for_training_alone(name: str) -> None:
    """Course item 28: noise on the inputs in training, none in use."""
    form = made(name)
    given = inputs(form.architecture)
    still = make(Architecture.from_dict({**form.architecture.to_dict(), "noise": 0.0}))
    np.testing.assert_array_equal(form(given), still(given))
    assert np.abs(real(form.architecture, form(given, training=True) - form(given))).max() > 1e-3


def test_losses_are_weighed_by_the_caller_alone() -> None:
    """No mask hangs on the answers of some forms and not of others: a loss is the mean over all rows."""
    a = Architecture(**PLAIN, answer="every")
    form = make(a)
    form.model.compile(loss="mse")
    target = np.zeros(shape_of(a), np.float32)
    found = form.model.test_on_batch(inputs(a), target)
    assert float(found) == pytest.approx(float((form(inputs(a)) ** 2).mean()), rel=1e-5)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations(activation: str) -> None:
    """Course item 35: every activation in encoder and decoder, as the oracle has it."""
    a = Architecture(
        **PLAIN, answer="path", horizon=2, decoder="states", activation=activation, recurrent_activation="hard_sigmoid"
    )
    form, given = make(a), inputs(a)
    np.testing.assert_allclose(form(given), by_reference(a, form.weights, given), atol=1e-5)


def test_what_is_light() -> None:
    assert Architecture(**PLAIN, noise=0.3).light
    assert [name for name, a in FORMS.items() if a.light] == []


def test_gradients_by_hand_are_for_plain_networks() -> None:
    message = "the reference has gradients for plain networks only, not with bidirectional = true. Use backmix"
    with pytest.raises(PlanError, match=message):
        Network.of(FORMS["both ways"], [])

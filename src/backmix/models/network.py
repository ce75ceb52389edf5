"""From an architecture to a Keras network.

This module builds every network: a body (`encoders`, `transformer`), a vector for the whole window or a decoder
(`decoders`), dense layers, and a head. It also holds `ModelPlan`, the section of a plan that describes the network.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import field_validator, model_validator

from backmix.errors import PlanError
from backmix.models.architecture import Architecture
from backmix.models.body.encoders import Encoded, encode
from backmix.models.body.seeds import Seeds
from backmix.models.body.summaries import summarise
from backmix.models.cells import ACTIVATIONS, INITIALIZERS, cells, initializer
from backmix.models.engine import use_engine
from backmix.models.heads import heads
from backmix.models.shape.network_shape import (
    MOST_DROPOUT,
    MOST_HEADS,
    MOST_LAYERS,
    MOST_MEMBERS,
    MOST_NOISE,
    MOST_UNITS,
)
from backmix.models.shape.size import weight_shapes
from backmix.models.weights import variable_name
from backmix.section import PlanSection
from backmix.text import say


class ModelPlan(PlanSection):
    """``[model]``: the network; what is "auto" is chosen by `training.advice`, with its reason.

    recipe: "auto" trains an ensemble: several networks, each stopped early on another block of time, and simple
        models, with stacking weights; "course" trains one network, stopped early on the validation part
    members: how many networks "auto" trains, one per block. 1 uses the validation part as the only block; "auto"
        trains two per block where the networks have most of the weight
    beside: registered names of the simple models to try in the ensemble; ``[]`` for none
    taught: "blocks" keeps each network as early stopping left it; "all" trains it again on all windows, for the
        median number of epochs that the networks needed
    learns: "target", or "residual" for networks that learn the errors of the simple models
    cell: a registered cell
    units: size of every recurrent layer, from the input on
    dropout, recurrent_dropout: in every recurrent layer, on x_t and on h_{t-1}
    head_dropout: before every dense layer and before the head
    dense: sizes of dense layers between the last state and the head
    activation: of the state. A GRU whose state is "linear" is a gated linear state space: nothing bounds what it
        stores. "auto" is tanh; of an ensemble for numbers a held-out block chooses between the two
    recurrent_activation: of the gates
    initializer: of the input kernels
    reset_after: which form of GRU
    summaries: statistics of the window beside the last state
    skip: every row of the window goes straight to the head, too: a linear model beside the recurrent one
    bidirectional: every recurrent layer runs both ways; for models that do not run live
    layer_norm, residual: of recurrent layers, for stacks of several
    attention: a weighted mean of all states beside the last one
    body: "recurrent" or "transformer", with ``attention_heads``
    noise: standard deviations added to the inputs in training
    decoder: what gives the steps of a forecast or rebuilds a window
    teacher_forcing: share of training steps in which the decoder sees the true value before
    """

    recipe: Literal["auto", "course"] = "auto"
    members: int | Literal["auto"] = "auto"
    beside: tuple[str, ...] | Literal["auto"] = "auto"
    taught: Literal["blocks", "all"] = "blocks"
    learns: Literal["target", "residual"] = "target"
    cell: str = "auto"
    units: tuple[int, ...] | Literal["auto"] = "auto"
    dropout: float | Literal["auto"] = "auto"
    recurrent_dropout: float = 0.0
    head_dropout: float | Literal["auto"] = "auto"
    dense: tuple[int, ...] = ()
    activation: str = "auto"
    recurrent_activation: str = "sigmoid"
    dense_activation: str = "relu"
    initializer: str = "glorot_uniform"
    reset_after: bool = True
    summaries: bool | Literal["auto"] = "auto"
    skip: bool = False
    bidirectional: bool = False
    layer_norm: bool = False
    residual: bool = False
    attention: bool = False
    body: Literal["recurrent", "transformer"] = "recurrent"
    attention_heads: int = 4
    noise: float | Literal["auto"] = "auto"
    decoder: Literal["auto", "none", "repeat", "states", "attention"] = "auto"
    teacher_forcing: float | Literal["auto"] = "auto"

    @field_validator("members")
    @classmethod
    def _some_members(cls, members: Any) -> Any:
        if members != "auto" and not 1 <= members <= MOST_MEMBERS:
            raise ValueError(say("ensemble.plan_members", most=MOST_MEMBERS))
        return members

    @model_validator(mode="after")
    def _fitting_together(self) -> Self:
        for name in ("members", "beside", "taught", "learns"):
            if self.recipe == "course" and name in self.model_fields_set:
                raise ValueError(say("ensemble.plan_course", field=name))
        if self.learns == "residual" and self.beside == ():
            raise ValueError(say("ensemble.plan_nothing_left"))
        return self

    @field_validator("cell")
    @classmethod
    def _known_cell(cls, cell: str) -> str:
        return cell if cell == "auto" else _known(cell, cells.names())

    @field_validator("activation")
    @classmethod
    def _known_state(cls, name: str) -> str:
        return name if name == "auto" else _known(name, ACTIVATIONS)

    @field_validator("recurrent_activation", "dense_activation")
    @classmethod
    def _known_activation(cls, name: str) -> str:
        return _known(name, ACTIVATIONS)

    @field_validator("initializer")
    @classmethod
    def _known_initializer(cls, name: str) -> str:
        return _known(name, INITIALIZERS)

    @field_validator("units", "dense", mode="after")
    @classmethod
    def _sizes(cls, sizes: Any) -> Any:
        if sizes != "auto" and (len(sizes) > MOST_LAYERS or not all(1 <= s <= MOST_UNITS for s in sizes)):
            raise ValueError(say("models.plan_sizes", layers=MOST_LAYERS, most=MOST_UNITS))
        return sizes

    @field_validator("units")
    @classmethod
    def _some_units(cls, units: Any) -> Any:
        if units == ():
            raise ValueError(say("models.plan_no_units"))
        return units

    @field_validator("dropout", "recurrent_dropout", "head_dropout")
    @classmethod
    def _rates(cls, rate: Any) -> Any:
        if rate != "auto" and not 0 <= rate <= MOST_DROPOUT:
            raise ValueError(say("models.plan_rate", most=MOST_DROPOUT))
        return rate

    @field_validator("noise")
    @classmethod
    def _noise(cls, noise: Any) -> Any:
        if noise != "auto" and not 0 <= noise <= MOST_NOISE:
            raise ValueError(say("forms.plan_noise", most=MOST_NOISE))
        return noise

    @field_validator("teacher_forcing")
    @classmethod
    def _share(cls, share: Any) -> Any:
        if share != "auto" and not 0 <= share <= 1:
            raise ValueError(say("forms.plan_share"))
        return share

    @field_validator("attention_heads")
    @classmethod
    def _some_heads(cls, count: int) -> int:
        if not 1 <= count <= MOST_HEADS:
            raise ValueError(say("forms.plan_heads", most=MOST_HEADS))
        return count


def build(architecture: Architecture, *, seed: int) -> Any:
    """A new Keras model of this architecture; the same seed gives the same weights, bit for bit.

    The model takes ``{"x": (B, T, F)}`` and, as the architecture says, ``"mask": (B, T)`` of
    booleans, ``"future": (B, K, M)`` and ``"teacher": (B, K, O)`` (which counts in training alone);
    it returns what `Architecture.answer` says. What stands in masked rows changes nothing. Every
    initialiser and every dropout draws from its own seed made from ``seed``; the state of dropout is
    among ``model.variables``, so that a checkpoint can hold it.

    Raises PlanError when no engine is installed.
    """
    a = architecture
    keras = use_engine()
    seeds = Seeds.of(seed)
    inputs = _inputs(a)
    x, mask, future = inputs["x"], inputs.get("mask"), inputs.get("future")
    if mask is not None:
        # a NaN in padding would otherwise come back through the gradient of the masked step
        x = keras.ops.where(keras.ops.expand_dims(mask, -1), x, keras.ops.zeros_like(x))
    if a.noise:
        x = keras.layers.GaussianNoise(a.noise, seed=next(seeds.added), name="noise")(x)
    encoded = _body(a, x, mask, seeds)
    if a.feedback:
        from backmix.models.body.decoders import feed_back

        others = {name: value for name, value in inputs.items() if name != "x"}
        y = feed_back(a, encoded, x, others, seeds)
    else:
        if a.by_row:
            y = encoded.rows
        else:
            y = _vector(a, encoded, x, mask, seeds)
            if a.decoder == "repeat":
                from backmix.models.body.decoders import repeat

                y = repeat(a, y, x, future, seeds)
            elif future is not None:
                y = keras.ops.concatenate([y, keras.ops.reshape(future, (-1, a.horizon * a.future))], axis=-1)
        y = finished(a, y, seeds)
    if a.answer == "path" and a.decoder != "none":
        y = keras.ops.reshape(y, (-1, a.horizon * a.outputs))
    model = keras.Model(inputs, y, name="backmix")
    _check_weights(a, model)
    model.architecture = a
    return model


def _check_weights(a: Architecture, model: Any) -> None:
    """PlanError (models.cell_weights) where a network has other arrays than its cell declares, before it is trained."""
    built = {variable_name(variable): tuple(variable.shape) for variable in model.weights}
    declared = weight_shapes(a)
    if odd := sorted(name for name in built.keys() | declared.keys() if built.get(name) != declared.get(name)):
        raise PlanError(
            "models.cell_weights", cell=a.cell, name=odd[0], built=built.get(odd[0]), declared=declared.get(odd[0])
        )


def _inputs(a: Architecture) -> dict[str, Any]:
    keras = use_engine()
    inputs = {"x": keras.Input((a.lookback, a.features), name="x", dtype="float32")}
    if a.masked:
        inputs["mask"] = keras.Input((a.lookback,), name="mask", dtype="bool")
    if a.future:
        inputs["future"] = keras.Input((a.horizon, a.future), name="future", dtype="float32")
    if a.teacher_forcing:
        steps = a.horizon if a.answer == "path" else a.lookback
        inputs["teacher"] = keras.Input((steps, a.outputs), name="teacher", dtype="float32")
    return inputs


def _body(a: Architecture, x: Any, mask: Any, seeds: Seeds) -> Encoded:
    if a.body == "transformer":
        from backmix.models.body.transformer import transform

        return transform(a, x, mask, seeds)
    return encode(a, x, mask, seeds, rows=a.by_row or a.attention or a.decoder == "attention", states=a.feedback)


def _vector(a: Architecture, encoded: Encoded, x: Any, mask: Any, seeds: Seeds) -> Any:
    """One vector per window, (B, V): the last state and, where asked for, context, statistics and all rows."""
    vectors = [encoded.last]
    if a.attention:
        from backmix.models.body.attention import AdditiveWeights, context

        weights = AdditiveWeights(a.width, seed=next(seeds.added))(encoded.rows, encoded.last, mask=mask)
        vectors.append(context(weights, encoded.rows))
    if a.summaries:
        vectors.append(summarise(x, mask))
    if a.skip:
        vectors.append(use_engine().ops.reshape(x, (-1, x.shape[1] * x.shape[2])))
    return use_engine().ops.concatenate(vectors, axis=-1) if len(vectors) > 1 else encoded.last


def finished(a: Architecture, y: Any, seeds: Seeds) -> Any:
    """Dense layers and head on (B, V), or on every row or step of (B, T, V)."""
    keras, head = use_engine(), heads.get(a.head)
    for number, size in enumerate(a.dense, 1):
        y = _dropped(y, a.head_dropout, seed=next(seeds.plain), name=f"dense_{number}_dropout")
        y = keras.layers.Dense(
            size,
            activation=a.dense_activation,
            name=f"dense_{number}",
            kernel_initializer=initializer(a.dense_initializer, next(seeds.plain)),
        )(y)
    y = _dropped(y, a.head_dropout, seed=next(seeds.plain), name="head_dropout")
    direct = a.answer == "path" and a.decoder == "none"
    # a softmax runs over the classes of one step, not over those of all steps
    later = direct and head.activation == "softmax"
    y = keras.layers.Dense(
        a.outputs * (a.horizon if direct else 1),
        activation="linear" if later else head.activation,
        name="head",
        dtype="float32",
        kernel_initializer=initializer("glorot_uniform", next(seeds.plain)),
    )(y)
    if later:
        y = keras.ops.softmax(keras.ops.reshape(y, (-1, a.horizon, a.outputs)), axis=-1)
        y = keras.ops.reshape(y, (-1, a.horizon * a.outputs))
    return y


def _dropped(y: Any, rate: float, *, seed: int, name: str) -> Any:
    return use_engine().layers.Dropout(rate, seed=seed, name=name)(y) if rate else y


def _known(name: str, allowed: Any) -> str:
    if name not in list(allowed):
        raise ValueError(say("models.plan_name", name=name, names=", ".join(allowed)))
    return name

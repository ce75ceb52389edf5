"""Attributions add up, find a known delay, and leave alone what is not used."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backmix.inspection import look
from backmix.inspection.attention import attend
from backmix.inspection.attribution import attribute, integrate
from backmix.inspection.permutation import exchange, permute
from backmix.inspection.subject import QUICK, THOROUGH, Subject, why_closed
from backmix.models.architecture import Architecture
from backmix.models.engine import use_engine
from backmix.models.network import build
from backmix.tasks import Task
from inspection_subjects import delay_line, diagnosis, put, regression, shift, subject, whole

FORMS = [
    (Architecture(features=3, lookback=12, cell="simple_rnn", units=(6,)), regression("y1")),
    (Architecture(features=3, lookback=12, cell="gru", units=(6, 4), reset_after=False), regression("y1")),
    (Architecture(features=3, cell="lstm", units=(6,), masked=True, dense=(5,)), regression("y1")),
    (Architecture(features=3, lookback=12, cell="lstm", units=(6,), head="numbers", outputs=2), regression("y1", "y2")),
    (Architecture(features=3, lookback=12, cell="gru", units=(6,), head="binary"), diagnosis("ok", "fault")),
    (
        Architecture(features=3, lookback=12, units=(6,), summaries=True, head="classes", outputs=3),
        diagnosis("a", "b", "c"),
    ),
]


@pytest.mark.parametrize(
    ("architecture", "task"),
    FORMS,
    ids=["simple_rnn", "stacked gru", "masked lstm", "two targets", "binary", "classes"],
)
def test_integrated_gradients_add_up(architecture: Architecture, task: Task) -> None:
    """Completeness (Sundararajan 2017): the parts of a window add up to f(x) - f(baseline), in plant units."""
    asked = subject(architecture, task=task, scale=4.0)
    asked = replace(asked, target=len(task.targets) - 1)
    sample = whole(asked)
    base = asked.baseline(sample)
    shares = integrate(asked, sample, base, nodes=16)
    start = np.broadcast_to(base, sample.x.shape).copy()
    if sample.mask is not None:
        start[~sample.mask] = 0.0
        assert (shares.parts[~sample.mask] == 0).all()
    outputs = asked.answers(sample).astype(np.float64)
    origin = asked.answers(sample, start).astype(np.float64)
    if task.kind == "regression":
        moved = 4.0 * (outputs - origin)[:, asked.target]
    elif outputs.shape[1] == 1:
        moved = (outputs - origin)[:, 0] * np.where(outputs[:, 0] >= 0.5, 1, -1)
    else:
        moved = (outputs - origin)[np.arange(len(outputs)), outputs.argmax(axis=1)]
    assert np.abs(moved).max() > 0.01
    np.testing.assert_allclose(shares.parts.sum(axis=(1, 2)), moved, atol=0.011 * np.abs(moved).mean())
    assert shares.gap <= 0.011 * np.abs(moved).mean()  # 1 % and the rounding of float32


@pytest.mark.parametrize("delay", [0, 3, 8])
def test_a_known_delay_is_found_at_its_age(delay: int) -> None:
    """A shift register moves its prediction with one tag at one age, by gain times the distance to the mean."""
    asked = subject(delay_line(delay), scale=3.0)
    put(asked.model, shift(delay))
    found = attribute(asked, QUICK)
    sample = whole(asked)
    away = 6.0 * np.abs(sample.x[:, -1 - delay, 1] - sample.x[:, :, 1].mean())
    expected = np.zeros((12, 3))
    expected[delay, 1] = away.mean()
    np.testing.assert_allclose(found.heat, expected, atol=1e-5)
    np.testing.assert_allclose(found.push, [0, away.mean(), 0], atol=1e-5)
    np.testing.assert_allclose(found.occluded, [0, away.mean(), 0], atol=1e-5)
    assert (found.order[0], found.peak(1), found.reach) == (1, delay, delay)
    assert found.moved == pytest.approx(away.mean(), rel=1e-5)


def test_dead_time_counts_into_the_age() -> None:
    asked = subject(delay_line(3))
    put(asked.model, shift(3))
    late = replace(asked.windows, spec=replace(asked.windows.spec, dead_time=5))
    at = np.arange(6, 24)  # the windows still lie inside the table when they are read five rows earlier
    found = attribute(replace(asked, windows=late.subset(at)), QUICK)
    assert found.age[0] == 5
    assert found.peak(1) == 8


def test_permuting_a_tag_that_is_not_used_changes_nothing() -> None:
    """Not by rounding: exactly nothing. The used one costs what the truth says."""
    asked = subject(delay_line(2), windows=60)
    put(asked.model, shift(2, gain=1.0))
    exact = asked.answers(whole(asked))[:, 0].astype(np.float64)
    table = asked.windows.table
    values = np.array(table.values)
    values[asked.windows.target_rows, table.index("y1")] = exact
    asked = replace(asked, windows=replace(asked.windows, table=replace(table, values=values)))
    found = permute(asked, THOROUGH, features=np.array([0, 1, 2]), seed=1)
    assert found is not None
    assert found.error == pytest.approx(0.0, abs=1e-6)
    np.testing.assert_array_equal(found.increase[[0, 2]], found.increase[0, 0])
    assert abs(found.increase[0, 0]) < 1e-12
    # independent values differ by the root of two standard deviations
    assert found.mean[1] == pytest.approx(np.sqrt(2) * exact.std(), rel=0.25)
    assert found.block == 3


@settings(max_examples=60, deadline=None)
@given(st.integers(8, 200), st.integers(1, 12), st.integers(0, 5))
def test_blocks_trade_places_as_wholes(count: int, block: int, seed: int) -> None:
    """No window keeps its own history, and neighbours stay neighbours but at the seams."""
    order = exchange(count, block, np.random.default_rng(seed))
    assert len(order) == count
    assert (order != np.arange(count)).all()
    blocks = max(2, count // block)
    seams = np.count_nonzero(np.diff(order) != 1)
    assert seams <= 2 * blocks
    assert len(np.unique(order)) >= count - blocks


def test_too_few_windows_are_not_permuted() -> None:
    asked = subject(delay_line(2), windows=7)
    assert permute(asked, THOROUGH, features=np.array([0]), seed=0) is None


def test_permuted_batches_lend_their_own_rows() -> None:
    """Windows that are whole batches differ in length: no padding may be lent as if it were a value."""
    asked = subject(Architecture(features=2, cell="gru", units=(4,), masked=True), windows=30)
    table = asked.windows.table
    values = np.array(table.values)
    values[:, 0] += 50.0  # padding is 0: far away from every real value
    asked = replace(asked, windows=replace(asked.windows, table=replace(table, values=values)))
    found = permute(asked, THOROUGH, features=np.array([0, 1]), seed=0)
    assert found is not None
    # all real values lie far in the saturated end, so that trading them does next to nothing
    assert np.abs(found.increase[0]).max() < 0.05 * found.error


def attentive(weights: np.ndarray, *, masked: bool = False) -> object:
    """A hand-made network (B, T, 2) -> (B, 1) that attends with these weights (T,), known beforehand."""
    keras = use_engine()
    steps = len(weights)
    x = keras.Input((steps, 2), name="x", dtype="float32")
    inputs = {"x": x}
    scores = x[:, :, 0] * 0.0 + keras.ops.convert_to_tensor(np.log(weights).astype("float32"))
    if masked:
        inputs["mask"] = keras.Input((steps,), name="mask", dtype="bool")
        scores = keras.ops.where(inputs["mask"], scores, -1e9)
    share = keras.layers.Softmax(name="attention_weights")(scores)
    y = keras.ops.sum(keras.ops.expand_dims(share, -1) * x[:, :, 1:], axis=1)
    return keras.Model(inputs, y)


def test_attention_is_read_from_its_layer_and_moves_what_it_weighs() -> None:
    """Course item 86: weights by age; an attribution in the same network is the weight times the value."""
    weights = np.arange(1.0, 13.0) ** 2
    weights /= weights.sum()
    asked = subject(Architecture(features=2, lookback=12, units=(4,)), model=attentive(weights))
    found = attend(asked, THOROUGH)
    assert found is not None
    np.testing.assert_allclose(found.weight, weights[::-1], rtol=1e-5)
    np.testing.assert_allclose(found.low, found.high, rtol=1e-5)
    assert (found.peak, found.windows) == (0, 24)
    assert found.half == int(np.argmax(np.cumsum(weights[::-1]) >= 0.5))
    shares = attribute(asked, QUICK)
    sample = whole(asked).x[:, ::-1, 1]
    np.testing.assert_allclose(
        shares.heat[:, 1], weights[::-1] * np.abs(sample - sample.mean()).mean(axis=0), rtol=1e-4
    )


def test_attention_of_batches_is_counted_from_their_own_end() -> None:
    asked = subject(
        Architecture(features=2, cell="gru", units=(4,), masked=True), model=attentive(np.ones(12), masked=True)
    )
    found = attend(asked, THOROUGH)
    assert found is not None
    lengths = np.asarray(asked.windows.lengths)
    expected = [np.where(lengths > lag, 1 / lengths, 0).mean() for lag in range(12)]
    np.testing.assert_allclose(found.weight, expected, rtol=1e-5)


def test_what_the_reference_cannot_follow_stays_closed_and_is_attributed_all_the_same() -> None:
    """A network of another form, or of other equations than its architecture says: no gates are made up."""
    weights = np.full(12, 1 / 12)
    architecture = Architecture(features=2, lookback=12, units=(4,))
    attending = look(subject(architecture, model=attentive(weights), windows=40), QUICK)
    assert "insight.closed" in attending.left_out
    assert (attending.memory, attending.gates) == (None, None)
    assert attending.attention is not None
    assert attending.permutation is not None
    other = build(replace(architecture, activation="relu"), seed=0)
    assert why_closed(subject(architecture, model=other)) == "insight.closed"
    assert why_closed(subject(architecture)) is None


def test_a_network_without_attention_has_none(sensor_subject: Subject) -> None:
    assert attend(sensor_subject, QUICK) is None


@pytest.mark.parametrize("tag", ["T_feed", "T_jacket"])
def test_the_dead_time_of_a_plant_is_recovered(tag: str, pipe: dict[str, Subject]) -> None:
    """A trained network on a simulated plant whose product passes a pipe: 4 rows of plug flow, seen in all ways."""
    asked = pipe[tag]
    found = attribute(asked, QUICK)
    number = found.features.index(tag)
    assert found.order[0] == number
    assert found.peak(number) == 4
    assert found.heat[4, number] > 5 * np.delete(found.heat[:, number], 4).max()
    lost = permute(asked, QUICK, features=found.order, seed=0)
    assert lost is not None
    assert lost.mean[0] > 2 * lost.error
    assert (lost.mean[1:] < 0.2 * lost.mean[0]).all()

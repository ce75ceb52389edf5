"""The native kernels against float64: the reference, an oracle with dropout, finite differences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

import recurrent
from backmix import native
from backmix.models.kernels import ACTIVATIONS, CELLS, GATES, KernelForm
from recurrent import DIFFERENTIATED, KINKS, Case, make_case

CONFIGURATIONS = 300
MOST = 4 * 10**8
MASKS = ("none", "full", "right", "holes", "empty rows")
SHAPES = [("simple_rnn", True), ("lstm", True), ("gru", True), ("gru", False)]
USUAL = KernelForm("lstm")


@pytest.fixture(scope="module", autouse=True)
def one_thread_for_numpy():
    """Its products are small: a second thread only spins, and takes the processor from other tests."""
    with threadpool_limits(1):
        yield


@st.composite
def cases(draw: st.DrawFn, *, dropout: bool) -> Case:
    """Any cell, form, size, mask of rows, initial state and cut of the batch."""
    cell, reset_after = draw(st.sampled_from(SHAPES))
    # the usual pair has code of its own in the kernels
    pair = draw(st.sampled_from([("tanh", "sigmoid")] * 4 + [(a, b) for a in ACTIVATIONS for b in ACTIVATIONS]))
    form = KernelForm(cell, *pair, reset_after=reset_after, backwards=draw(st.booleans()))
    small = dropout or not KINKS.keys().isdisjoint(pair)  # fewer numbers, fewer of them beside a jump of the slope
    batch = draw(st.integers(1, 8) if small else st.one_of(st.integers(1, 9), st.integers(1, 70)))
    steps = draw(st.integers(1, 20) if small else st.one_of(st.integers(1, 12), st.integers(1, 200)))
    features, units = draw(st.integers(1, 130)), draw(st.integers(1, 130))
    # at most so many multiplications in float64: all sizes occur, but not all of the largest together
    batch = max(1, min(batch, MOST // (steps * (features + units) * units * GATES[cell])))
    some = st.sampled_from([0, 1, GATES[cell]] if dropout else [0])
    case = make_case(
        form,
        (batch, steps, features, units),
        draw(st.integers(0, 2**32 - 1)),
        mask=draw(st.sampled_from(MASKS)),
        initial=draw(st.booleans()),
        bias=draw(st.booleans()),
        counts=(draw(some), draw(some)),
    )
    if draw(st.booleans()):  # any cut that the kernels accept
        tiles = draw(st.integers(native.tiles(batch, 1), batch))
        case = replace(case, numbers=[*case.numbers[:5], tiles, draw(st.integers(1, tiles))])
    return case


def close(case: Case, found, wanted) -> None:
    """Outputs and states to 1e-5, every gradient to 1e-4 of its largest entry."""
    for name, ours, theirs in zip(("h", "last h", "last c"), found[:3], wanted[:3], strict=True):
        if theirs is not None:
            assert np.abs(theirs).max() < 20, "numbers grow: the weights of this test are not sane"
            assert np.abs(ours - theirs).max() <= 1e-5, name
    assert found[3].keys() == wanted[3].keys()
    for name, theirs in wanted[3].items():
        ours = found[3][name]
        assert ours.shape == case.arrays[name].shape, name
        assert np.abs(ours - theirs).max() <= recurrent.allowed(name, theirs, case), name


@settings(
    max_examples=CONFIGURATIONS,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(case=cases(dropout=False))
def test_kernels_equal_the_reference(case: Case) -> None:
    assume(not recurrent.near_kink(case))
    close(case, recurrent.run(case), recurrent.by_reference(case))


@settings(max_examples=100, deadline=None)
@given(case=cases(dropout=True), seed=st.integers(0, 2**32 - 1))
def test_dropout_equals_the_oracle(case: Case, seed: int) -> None:
    """Outputs, and the slope of a loss along a random direction, which holds every gradient at once."""
    h, last, c, gradients = recurrent.run(case)
    arrays = recurrent.doubles(case.arrays)
    expected, wanted_c = recurrent.oracle(case.form, arrays)
    assert np.abs(h - expected).max() <= 1e-5
    assert np.abs(last - expected[:, -1]).max() <= 1e-5
    if c is not None:
        assert np.abs(c - wanted_c).max() <= 1e-5
    if not KINKS.keys().isdisjoint({case.form.activation, case.form.recurrent_activation}):
        return  # dropout puts many sums exactly on the jump, where a difference is no slope; see test_layers.py
    rng, step = np.random.default_rng(seed), 1e-6
    way = {name: rng.normal(size=arrays[name].shape) for name in gradients}
    sides = [recurrent.loss(case, {**arrays, **{n: arrays[n] + s * w for n, w in way.items()}}) for s in (step, -step)]
    size = np.sqrt(sum((g.astype(float) ** 2).sum() for g in gradients.values()))
    slope = sum((gradients[name] * w).sum() for name, w in way.items())
    assert abs(slope - (sides[0] - sides[1]) / (2 * step)) <= 1e-4 * size + 1e-5


@pytest.mark.parametrize("mask", ["none", "holes"])
@pytest.mark.parametrize("counts", [(0, 0), (1, 1), (9, 9)], ids=["whole", "shared", "per gate"])
@pytest.mark.parametrize(("cell", "reset_after"), SHAPES)
def test_gradients_equal_finite_differences(cell: str, reset_after: bool, counts: tuple[int, int], mask: str) -> None:
    """Every entry of every gradient, by central differences of the float64 equations."""
    form = KernelForm(cell, reset_after=reset_after, backwards=mask == "holes")
    counts = tuple(min(n, GATES[cell]) for n in counts)
    case = make_case(form, (3, 4, 2, 3), seed=4, mask=mask, counts=counts)
    gradients = recurrent.run(case)[3]
    arrays = recurrent.doubles(case.arrays)
    assert gradients.keys() == {name for name in DIFFERENTIATED if arrays[name] is not None}
    for name, result in gradients.items():
        array, expected = arrays[name], np.zeros(result.shape)
        for place in np.ndindex(array.shape):
            original, sides = array[place], []
            for step in (1e-5, -1e-5):
                array[place] = original + step
                sides.append(recurrent.loss(case, arrays))
            array[place] = original
            expected[place] = (sides[0] - sides[1]) / 2e-5
        assert np.abs(result - expected).max() <= 1e-5 * np.abs(expected).max(), name


@pytest.mark.parametrize("mask", ["none", "empty rows"])
@pytest.mark.parametrize(("cell", "reset_after"), SHAPES)
def test_oracle_equals_the_reference(cell: str, reset_after: bool, mask: str) -> None:
    """Two float64 programs, written apart, say the same."""
    for backwards in (False, True):
        form = KernelForm(cell, "tanh", "hard_sigmoid", reset_after=reset_after, backwards=backwards)
        case = make_case(form, (4, 9, 3, 5), seed=1, mask=mask)
        expected, last, last_c, _ = recurrent.by_reference(case)
        h, c = recurrent.oracle(form, recurrent.doubles(case.arrays))
        np.testing.assert_allclose(h, expected, atol=1e-14)
        np.testing.assert_allclose(h[:, -1], last, atol=1e-14)
        if last_c is not None:
            np.testing.assert_allclose(c, last_c, atol=1e-14)


@pytest.mark.parametrize("act", ACTIVATIONS)
@pytest.mark.parametrize("role", ["activation", "recurrent_activation"])
@pytest.mark.parametrize(("cell", "reset_after"), SHAPES)
def test_every_activation_in_every_role(cell: str, reset_after: bool, role: str, act: str) -> None:
    """Each of the five stands once for the state and once for the gates of every cell."""
    form = replace(KernelForm(cell, reset_after=reset_after), **{role: act})
    case = make_case(form, (5, 6, 7, 18), seed=sorted(CELLS).index(cell))
    assert not recurrent.near_kink(case)
    close(case, recurrent.run(case), recurrent.by_reference(case))


@pytest.mark.parametrize(("cell", "reset_after"), SHAPES)
def test_what_is_not_wanted_changes_nothing_else(cell: str, reset_after: bool) -> None:
    """Without sequences, without the way back, without dx: the rest keeps its bits."""
    case = make_case(KernelForm(cell, reset_after=reset_after), (9, 5, 3, 17), seed=2, mask="right")
    h, last, c, activations = recurrent.forward(case)
    for sequences, keep in [(True, False), (False, True), (False, False)]:
        changed = recurrent.forward(case, sequences=sequences, keep=keep)
        np.testing.assert_array_equal(changed[1], last)
        np.testing.assert_array_equal(changed[2], c)
        assert changed[0].shape == (h.shape if sequences or keep else (0, 5, 17))
        assert changed[3].shape == (activations.shape if keep else (0,))
    whole, some = recurrent.backward(case, h, activations), recurrent.backward(case, h, activations, need_dx=False)
    assert whole.keys() - some.keys() == {"x"}
    for name, array in some.items():
        np.testing.assert_array_equal(array, whole[name])


def test_missing_states_and_pulls_are_zeros() -> None:
    case = make_case(USUAL, (4, 5, 3, 6), seed=3, initial=False)
    zeros = np.zeros((4, 6), np.float32)
    filled = replace(case, arrays={**case.arrays, "h0": zeros, "c0": zeros})
    for ours, theirs in zip(recurrent.run(case)[:3], recurrent.run(filled)[:3], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    lonely = replace(case, pulls={**case.pulls, "dh": None, "dc_last": None})
    spoken = replace(case, pulls={**case.pulls, "dh": np.zeros((4, 5, 6), np.float32), "dc_last": zeros})
    for name, array in recurrent.run(lonely)[3].items():
        np.testing.assert_array_equal(array, recurrent.run(spoken)[3][name])

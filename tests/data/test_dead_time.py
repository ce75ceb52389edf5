"""Dead times: planted ones are found, chance is not taken for one, and only the given rows count."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.stats import binom

from backmix.data.delays import lagged_information, prewhitening
from backmix.data.delays.dead_time import DeadTime, Scan, scan
from backmix.data.delays.lagged import LagAxis, block_sums, paired, transform
from backmix.data.plants import simulate
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.text import LANGUAGES

Floats = NDArray[np.float64]


def table_of(x: Floats, y: Floats, **axes: object) -> Table:
    """Inputs (N, F) and a target (N,) as a table."""
    tags = (*(Tag(f"x{n}") for n in range(x.shape[1])), Tag("y", role="target"))
    return Table(np.column_stack([x, y]), tags, **axes)  # type: ignore[arg-type]


def scanned(x: Floats, y: Floats, lags: int = 60, **axes: object) -> Scan:
    """The scan of all rows."""
    table = table_of(x, y, **axes)
    return scan(table, table.names[:-1], "y", rows=np.ones(len(table), bool), lags=lags)


def late(x: Floats, rows: int) -> Floats:
    """A series (N,) so many rows later, the first value held."""
    return np.concatenate([np.full(rows, x[0]), x[: len(x) - rows]])


def coloured(rng: np.random.Generator, rows: int, memory: float, count: int = 1) -> Floats:
    """(N, count) independent AR(1) series."""
    found: Floats = lfilter([1.0], [1.0, -memory], rng.normal(size=(rows, count)), axis=0)
    return found


KINDS = {
    "ar": lambda rng, rows: coloured(rng, rows, 0.95)[:, 0],
    "walk": lambda rng, rows: np.cumsum(rng.normal(size=rows)),
    "moves": lambda rng, rows: np.repeat(rng.normal(size=rows // 40 + 1), 40)[:rows],
    "smooth": lambda rng, rows: lfilter(np.ones(30) / 30, [1.0], coloured(rng, rows, 0.95)[:, 0]),
}


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    delays=st.lists(st.integers(0, 45), min_size=2, max_size=2),
    memory=st.sampled_from([0.0, 0.5, 0.9]),
    noise=st.floats(0.1, 1.0),
    sign=st.sampled_from([-1.0, 1.0]),
)
def test_planted_delays_are_found(seed: int, delays: list[int], memory: float, noise: float, sign: float) -> None:
    """A response of three rows to each of two inputs, noise with a memory of its own, and an idle third input."""
    rng = np.random.default_rng(seed)
    x = coloured(rng, 1500, memory, 3)
    effects = [lfilter([1.0, 0.5, 0.25], [1.0], late(x[:, n], delay)) for n, delay in enumerate(delays)]
    disturbed = coloured(rng, 1500, 0.7)[:, 0]
    y = sign * effects[0] + effects[1] + noise * x.std() * disturbed / disturbed.std()
    found = scanned(x, y).found
    for one, delay in zip(found, delays, strict=False):
        assert one.sure, one
        assert abs(one.rows - delay) <= 1 or one.low <= delay <= one.high, one
        assert one.onset <= one.rows
        assert one.method == "correlation"
    assert found[2].p > 1e-4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("every", [1, 8])
def test_what_has_nothing_to_do_with_the_target_is_not_sure(kind: str, every: int) -> None:
    """Independent series with long memories: as many findings as the level allows, and hardly any sure one."""
    trials, sure, beyond = 0, 0, 0
    for seed in range(10):
        for other, make in enumerate(KINDS.values()):
            rng = np.random.default_rng([seed, other])
            x, y = KINDS[kind](rng, 900 * (1 + every // 4)), make(rng, 900 * (1 + every // 4))
            y[np.arange(len(y)) % every != 0] = np.nan
            one = scanned(x[:, None], y, lags=40).found[0]
            trials, sure, beyond = (
                trials + 1,
                sure + one.sure,
                beyond + (one.reason not in ("nothing", "smooth", "slow")),
            )
    assert beyond <= binom.isf(1e-3, trials, 0.05)
    assert sure <= binom.isf(1e-2, trials, 0.025)


def test_many_idle_tags_share_one_level() -> None:
    rng = np.random.default_rng(3)
    found = scanned(coloured(rng, 1500, 0.8, 60), coloured(rng, 1500, 0.8)[:, 0]).found
    assert not [one for one in found if one.sure]
    assert len({one.rows for one in found}) > 10  # idle tags point anywhere


def test_sparse_laboratory_values_count_alone() -> None:
    rng = np.random.default_rng(1)
    x = coloured(rng, 6000, 0.8)
    y = late(lfilter([0.2], [1.0, -0.8], x[:, 0]), 17) + 0.3 * rng.normal(size=6000)
    y[np.arange(6000) % 15 != 4] = np.nan
    made = scanned(x, y)
    assert made.labels == 400
    assert made.found[0].sure
    assert made.found[0].low <= 18
    assert made.found[0].onset in (16, 17, 18)
    few = scanned(x[:300], y[:300]).found[0]
    assert (few.sure, few.reason) == (False, "few")


def test_a_square_is_found_by_information() -> None:
    rng = np.random.default_rng(2)
    x = coloured(rng, 2000, 0.6)
    one = scanned(x, late(x[:, 0] ** 2, 11) + 0.3 * rng.normal(size=2000)).found[0]
    assert (one.method, one.sure) == ("information", True)
    assert abs(one.rows - 11) <= 1
    assert 0.6 < one.strength <= 1


def test_classes_are_found_by_information() -> None:
    rng = np.random.default_rng(4)
    x = coloured(rng, 3000, 0.5, 2)
    y = (late(x[:, 0], 9) + 0.3 * rng.normal(size=3000) > 0).astype(float)
    table = Table(np.column_stack([x, y]), (Tag("a"), Tag("b"), Tag("y", categories=("low", "high"))))
    first, second = scan(table, ["a", "b"], "y", rows=np.ones(3000, bool), lags=40).found
    assert (first.method, first.sure, first.rows) == ("information", True, 9)
    assert not second.sure


def test_a_control_loop_is_not_mistaken_for_a_cause() -> None:
    """A controller moves the valve after the target; the valve acts on the target four rows later."""
    rng = np.random.default_rng(5)
    rows, y, u, slow = 4000, np.zeros(4000), np.zeros(4000), coloured(rng, 4000, 0.98)[:, 0] * 0.3
    for t in range(5, rows):
        y[t] = 0.7 * y[t - 1] + 0.4 * u[t - 4] + slow[t] + 0.1 * rng.normal()
        u[t] = u[t - 1] - 0.15 * (y[t] - y[t - 1]) - 0.03 * y[t] + 0.02 * rng.normal()
    assert scanned(u[:, None], y, lags=40).found[0].reason == "together"  # the controller answers within the row
    assert scanned(late(u, 2)[:, None], y, lags=40).found[0].reason == "follows"
    moved, y, u = rng.normal(size=rows), np.zeros(rows), np.zeros(rows)
    for t in range(5, rows):
        u[t] = moved[t] - 0.2 * y[t - 2]
        y[t] = 0.7 * y[t - 1] + 0.8 * u[t - 4] + 0.5 * rng.normal()
    dithered = scanned(u[:, None], y, lags=40).found[0]
    assert dithered.reason == "feedback"
    assert abs(dithered.rows - 4) <= 1 or dithered.low <= 4 <= dithered.high
    after = scanned(late(y, 6)[:, None] + 0.2 * rng.normal(size=(rows, 1)), y, lags=40).found[0]
    assert (after.sure, after.reason) == (False, "follows")


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), first=st.integers(400, 700), wild=st.floats(-1e6, 1e6))
def test_other_rows_change_nothing(seed: int, first: int, wild: float) -> None:
    """The scan looks at the training rows alone: what stands elsewhere, even nothing, does not matter."""
    rng = np.random.default_rng(seed)
    x = coloured(rng, 1000, 0.7, 2)
    table = table_of(x, late(x[:, 0], 5) + rng.normal(size=1000))
    rows = np.arange(1000) < first
    changed = np.array(table.values)
    changed[first:] = np.where(rng.random((1000 - first, 3)) < 0.3, np.nan, wild * rng.normal(size=(1000 - first, 3)))
    before, after = (
        scan(one, ["x0", "x1"], "y", rows=rows, lags=30) for one in (table, replace(table, values=changed))
    )
    assert before.found == after.found
    for one, two in zip(before.curves, after.curves, strict=True):
        assert one.value.tobytes() == two.value.tobytes()


def test_lags_never_cross_a_batch_or_a_gap() -> None:
    """Each batch answers its own input: a scan over the ends would find the batch before."""
    rng = np.random.default_rng(6)
    sizes = rng.integers(25, 60, 40)
    x = rng.normal(size=(int(sizes.sum()), 1))
    ends = np.cumsum(sizes)
    y = np.concatenate([late(part, 6) for part in np.split(x[:, 0], ends[:-1])]) + 0.2 * rng.normal(size=len(x))
    batch = np.repeat(np.arange(40, dtype=np.int32), sizes)
    table = table_of(x, y, batch=batch, batch_names=tuple(str(n) for n in range(40)))
    axis = LagAxis.of(table, np.ones(len(x), bool), lags=30)
    spots = paired(*(transform(axis.lay(np.asarray(table.column(n)))[1]) for n in ("x0", "y")), axis.size)
    truth = [sum(max(0, size - lag) for size in sizes) for lag in range(axis.lags + 1)]
    np.testing.assert_allclose(spots[: axis.lags + 1], truth, atol=1e-6)
    one = scan(table, ["x0"], "y", rows=np.ones(len(x), bool), lags=30).found[0]
    assert (one.sure, one.rows) == (True, 6)


def test_sums_agree_with_a_plain_loop() -> None:
    rng = np.random.default_rng(7)
    table = table_of(rng.normal(size=(300, 1)), rng.normal(size=300))
    axis = LagAxis.of(table, np.ones(300, bool), lags=20)
    x, y = axis.lay(table.values[:, 0])[0], axis.lay(table.values[:, 1])[0]
    plain = [sum(x[t - lag] * y[t] for t in range(lag, axis.size)) for lag in range(21)]
    np.testing.assert_allclose(paired(transform(x), transform(y), axis.size)[:21], plain, atol=1e-9)
    np.testing.assert_allclose(block_sums(axis, [(x, y)])[0].sum(axis=0), plain, atol=1e-9)


def test_the_autoregression_is_the_one_that_made_the_series() -> None:
    rng = np.random.default_rng(8)
    series = lfilter([1.0], [1.0, -1.2, 0.5], rng.normal(size=(8000, 1)), axis=0)
    axis = LagAxis.of(table_of(series, series[:, 0]), np.ones(8000, bool), lags=20)
    weights = prewhitening.autoregression(*axis.lay(series[:, 0]))
    np.testing.assert_allclose(weights[:3], [1.0, -1.2, 0.5], atol=0.05)
    assert np.abs(weights[3:]).max(initial=0.0) < 0.05


def test_information_agrees_with_counting() -> None:
    """The counts by Fourier transform are those of scikit-learn's contingency table, shift by shift."""
    from sklearn.metrics import mutual_info_score

    rng = np.random.default_rng(9)
    x, y = rng.integers(0, 3, 400).astype(float), rng.integers(0, 3, 400).astype(float)
    axis = LagAxis.of(table_of(x[:, None], y), np.ones(400, bool), lags=10)
    found = lagged_information.inform(axis, x, y, classes=True)
    plain = [mutual_info_score(x[: 400 - lag], y[lag:]) for lag in range(11)]
    np.testing.assert_allclose(found.nats, plain, atol=1e-9)


@settings(max_examples=15, deadline=None)
@given(scale=st.floats(1e-3, 1e3), shift=st.floats(-1e3, 1e3), sign=st.sampled_from([-1.0, 1.0]))
def test_units_do_not_matter(scale: float, shift: float, sign: float) -> None:
    rng = np.random.default_rng(10)
    x = coloured(rng, 800, 0.6)
    y = late(x[:, 0], 8) + 0.5 * rng.normal(size=800)
    plain, other = scanned(x, y, 30).found[0], scanned(sign * scale * x + shift, 5 * y - 3, 30).found[0]
    assert (
        (plain.rows, plain.low, plain.high, plain.sure)
        == (other.rows, other.low, other.high, other.sure)
        == (8, 8, 8, True)
    )
    assert plain.strength == pytest.approx(other.strength, rel=1e-4)


def test_holes_in_an_input_are_left_out() -> None:
    rng = np.random.default_rng(11)
    x = coloured(rng, 3000, 0.6)
    y = late(x[:, 0], 13) + 0.5 * rng.normal(size=3000)
    x[rng.random(3000) < 0.05] = np.nan
    one = scanned(x, y).found[0]
    assert (one.sure, one.rows) == (True, 13)


@pytest.mark.parametrize(
    ("x", "reason"), [(np.ones(500), "constant"), (np.full(500, np.nan), "constant"), (np.arange(500.0), "nothing")]
)
def test_tags_without_a_course_are_said_to_be_so(x: Floats, reason: str) -> None:
    one = scanned(x[:, None], np.random.default_rng(0).normal(size=500)).found[0]
    assert (one.sure, one.reason) in ((False, reason), (False, "smooth"))


def test_a_delay_at_the_edge_is_not_sure() -> None:
    x = np.random.default_rng(12).normal(size=(1500, 1))
    one = scanned(x, late(x[:, 0], 20) + 0.1 * np.random.default_rng(1).normal(size=1500), lags=20).found[0]
    assert (one.sure, one.reason, one.rows) == (False, "edge", 20)


def test_the_sample_line_of_the_reactor_is_found() -> None:
    """What the reactor itself takes (a few rows) and what the line adds to that, to a row or within the interval."""
    tags, found = ("T_jacket", "T_setpoint"), {}
    for dead_time in (0.0, 30.0, 56.0):
        table = simulate("cstr", seed=1, dead_time=dead_time, lab_every=2, days=10).table
        found[dead_time] = scan(table, tags, "C_A", rows=np.ones(len(table), bool), lags=60).found
    for plain, *others in zip(*found.values(), strict=True):
        for dead_time, one in zip((30.0, 56.0), others, strict=True):
            planted = plain.rows + dead_time / 2
            assert one.sure, one
            assert one.seconds == one.rows * 120.0
            assert abs(one.rows - planted) <= 1 or one.low <= planted <= one.high, (plain, one)
            assert one.onset >= dead_time / 2 - 1


@pytest.mark.parametrize("dead_time", [12.0, 30.0])
def test_late_outlet_temperatures_of_the_exchanger_are_found(dead_time: float) -> None:
    """Outlets settle within a row (3 h); they are recorded later, in every unit for itself."""
    table = simulate("heat_exchanger", seed=1, dead_time=dead_time, units=12).table
    found = scan(table, ["m_cold", "T_cold_in"], "T_cold_out", rows=np.ones(len(table), bool), lags=40).found
    assert len(found) == 2
    for one in found:
        assert one.sure, one
        assert abs(one.rows - dead_time / 3) <= 1 or one.low <= dead_time / 3 <= one.high, one


@pytest.mark.parametrize("name", ["cstr", "heat_exchanger"])
def test_without_a_delay_plants_are_what_they_were(name: str) -> None:
    size = {"cstr": {"days": 1}, "heat_exchanger": {"units": 3}}[name]
    plain, told, delayed = (
        simulate(name, seed=2, **size, **more).table.values.tobytes()
        for more in ({}, {"dead_time": 0.0}, {"dead_time": 6.0})
    )
    assert plain == told != delayed


def test_every_reason_has_a_sentence() -> None:
    one = DeadTime("T101", 1, None, 1, 1, 1, 0.5, "correlation", 0.0, True, "found")
    for lang in LANGUAGES:
        assert one.text(lang)
    assert one.to_dict()["rows"] == 1

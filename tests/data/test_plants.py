"""Laws of the simulated plants: balances close, references agree, one seed gives one table."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from backmix.data import plants
from backmix.data.plants import batch_reactor, compressor, cstr, heat_exchanger
from backmix.data.plants.sensors import Dirt, Instrument, sense
from backmix.data.plants.signals import at_times, moves, smooth, wander
from backmix.errors import PlanError
from backmix.tasks import Task
from backmix.text import LANGUAGES, speak
from backmix.training.plan import Plan

NAMES = plants.plants.names()
SMALL: dict[str, dict[str, float]] = {
    "batch_reactor": {"batches": 4},
    "compressor": {"units": 5},
    "cstr": {"days": 1},
    "heat_exchanger": {"units": 3},
}


@pytest.fixture(scope="module")
def runs() -> dict[str, plants.Simulation]:
    return {name: plants.simulate(name, seed=3, **SMALL[name]) for name in NAMES}


# every plant


def test_the_plants() -> None:
    assert NAMES == ["batch_reactor", "compressor", "cstr", "heat_exchanger"]


@pytest.mark.parametrize("name", NAMES)
def test_titles_and_descriptions_in_both_languages(name: str) -> None:
    part = plants.plants.get(name)
    for text in (part.title, part.about):
        assert set(text) == set(LANGUAGES)
        assert text["en"] != text["zh_TW"]
    for lang in LANGUAGES:
        with speak(lang):
            assert all(tag.description for tag in part.tags)


@pytest.mark.parametrize("name", NAMES)
def test_plans_are_plans(name: str, runs: dict[str, plants.Simulation]) -> None:
    names = {tag.name for tag in plants.plants.get(name).tags}
    assert plants.plants.get(name).plans == {task: plants.plan(name, task) for task in runs[name].plans}
    for task, plan in runs[name].plans.items():
        whole = Plan.model_validate(plan)
        assert whole.the_task.kind == task
        assert set(whole.the_task.targets) <= {*names, *Task.of(whole.the_task).target.computed}
        assert plan["data"] == {"plant": name, "seed": 3}


def test_the_reactor_has_a_plan_of_every_task_it_can_serve() -> None:
    assert set(plants.plants.get("cstr").plans) == {"soft_sensor", "fault_diagnosis", "anomaly_detection"}
    assert next(iter(plants.plants.get("cstr").plans)) == "soft_sensor"


@pytest.mark.parametrize("name", NAMES)
def test_one_seed_is_one_table(name: str, runs: dict[str, plants.Simulation]) -> None:
    again = plants.simulate(name, seed=3, **SMALL[name])
    assert again.table.values.tobytes() == runs[name].table.values.tobytes()
    for key, values in runs[name].truth.items():
        assert again.truth[key].tobytes() == values.tobytes(), key
    other = plants.simulate(name, seed=4, **SMALL[name])
    assert other.table.values.tobytes() != runs[name].table.values.tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_tables_are_as_declared(name: str, runs: dict[str, plants.Simulation]) -> None:
    """Course item 22: synthetic data, with its clock, units and truth."""
    table, truth = runs[name].table, runs[name].truth
    assert table.names == tuple(tag.name for tag in plants.plants.get(name).tags)
    assert table.time is not None
    assert np.all(np.diff(table.time) > np.timedelta64(0, "ns"))
    shown = truth["bad"].shape[1]
    assert np.array_equal(np.isnan(table.values[:, :shown]), truth["bad"])
    assert np.isfinite(truth["inputs"]).all()


@pytest.mark.parametrize("name", NAMES)
def test_perfect_instruments_show_the_truth(name: str) -> None:
    run = plants.simulate(name, seed=3, noise=0, dirt=0, **SMALL[name])
    inputs = run.truth["inputs"]
    modules = {one.__name__.rsplit(".", 1)[-1]: one for one in (batch_reactor, compressor, cstr, heat_exchanger)}
    resolution = np.array([one.resolution for one in modules[name]._INSTRUMENTS])
    assert np.all(np.abs(run.table.values[:, : inputs.shape[1]] - inputs) <= resolution / 2 + 1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_a_default_run_is_fast(name: str) -> None:
    """The bound is loose, since the machine of a test run may be busy; benchmarks give the figure."""
    start = time.process_time()
    plants.simulate(name)
    assert time.process_time() - start < 6


def test_settings_are_checked() -> None:
    with pytest.raises(PlanError) as caught:
        plants.simulate("cstr", day=3)
    assert str(caught.value) == (
        "plant 'cstr' has no setting 'day'. Known: days, faults, noise, dirt, lab_every, lab_delay, dead_time"
    )
    with pytest.raises(PlanError) as caught:
        plants.simulate("cstr", days=0.1)
    assert str(caught.value) == "plant 'cstr' — days = 0.1 is not allowed: give 0.25 to 120.0"
    with pytest.raises(PlanError, match=r"batches = 2\.5 is not allowed: give 1 to 2000"):
        plants.simulate("batch_reactor", batches=2.5)
    with pytest.raises(PlanError, match="days = nan is not allowed"):
        plants.simulate("cstr", days=float("nan"))
    with pytest.raises(PlanError) as caught:
        plants.simulate("cstr", seed=-1)
    assert str(caught.value) == ("plant 'cstr' — seed -1 is not a whole number of 0 or more. Give such a seed")
    with pytest.raises(PlanError) as caught:
        plants.plan("heat_exchanger", "fault_diagnosis")
    assert str(caught.value) == (
        "plant 'heat_exchanger' has no plan 'fault_diagnosis'. Known: remaining_life, soft_sensor"
    )
    with pytest.raises(PlanError, match="Did you mean 'cstr'"):
        plants.simulate("cst")


# surroundings and instruments


def test_wander_has_unit_variance_and_its_time_constant() -> None:
    path = wander(np.random.default_rng(0), 200_000, 20.0)
    assert path.var() == pytest.approx(1.0, abs=0.08)
    lag = np.corrcoef(path[:-20], path[20:])[0, 1]
    assert lag == pytest.approx(np.exp(-1), abs=0.05)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(-500, 500), min_size=3, max_size=12), st.integers(0, 2**31))
def test_smooth_goes_through_its_knots_and_never_beyond(numbers: list[int], seed: int) -> None:
    knots = [number / 100 for number in numbers]
    pieces = smooth([np.array(knots)], 2.0)
    at = np.arange(len(knots) - 1) * 2.0
    assert np.allclose(at_times(pieces, 2.0, at)[:, 0], knots[:-1])
    fine = np.random.default_rng(seed).uniform(0, at[-1] + 2.0, 50)
    value = at_times(pieces, 2.0, fine)[:, 0]
    assert value.min() >= min(knots) - 1e-9
    assert value.max() <= max(knots) + 1e-9


def test_moves_stay_within_bounds() -> None:
    path = moves(np.random.default_rng(0), 500, (2.0, 3.0), (4, 9))
    assert len(path) == 500
    assert path.min() >= 2.0
    assert path.max() <= 3.0
    held = np.diff(np.flatnonzero(np.diff(path)))
    assert held.min() >= 4
    assert held.max() <= 9


def test_instruments_round_freeze_and_fail_as_told() -> None:
    rng = np.random.default_rng(1)
    true = np.linspace(0, 50, 5000)[:, None].repeat(2, axis=1)
    seen = sense(true, [Instrument(0.0, 0.5, low=1.0, high=40.0), Instrument(0.3, drift=0.5)], rng, dirt=Dirt(scale=20))
    good = ~(seen.bad | seen.frozen | seen.spike)
    first = seen.values[good[:, 0], 0]
    assert np.array_equal(first, np.clip(np.round(true[good[:, 0], 0] * 2) / 2, 1.0, 40.0))
    assert np.array_equal(np.isnan(seen.values), seen.bad)
    assert seen.frozen.any()
    assert seen.spike.any()
    shown = seen.values[:, 1]
    for row in np.flatnonzero(seen.frozen[1:, 1] & ~seen.bad[1:, 1] & ~seen.bad[:-1, 1]) + 1:
        assert shown[row] == shown[row - 1]
    error = shown[good[:, 1]] - true[good[:, 1], 1] - seen.drift[good[:, 1], 1]
    assert error.std() == pytest.approx(0.3, rel=0.05)


# stirred tank


DRIVES = (1.0, 350.0, 300.0, 100.0, 350.0, 4.0e5, 0.0)  # Cf, Tf, Tc, q, Tsp, UA, bias


def tank(state: Sequence[float], drives: Sequence[float]) -> NDArray[np.float64]:
    """The balances of the tank written anew, in moles and joules."""
    c, t, tj, integral, qc = state
    cf, tf, tc, q, setpoint, ua, bias = drives
    one = cstr.Reactor()
    reacted = one.volume * 1.2e9 * np.exp(-8750.0 / t) * c
    passed = ua * (t - tj)
    want = 16.0 + 2.0 * (t + bias - setpoint) + integral
    u = np.clip(want, 0.0, 50.0)
    return np.array(
        [
            (q * (cf - c) - reacted) / 6000.0,
            (q * 239.0 * (tf - t) + 5.0e4 * reacted - passed) / (6000.0 * 239.0),
            (qc * 4184.0 * (tc - tj) + passed) / (60.0 * 4184.0),
            2.0 / 30.0 * (t + bias - setpoint) + (u - want) / 30.0,
            u - qc,
        ]
    )


def test_arrhenius() -> None:
    """The slope of ln k over 1/T is -E/R, and k0 is the limit of hot."""
    inverse = np.linspace(1 / 380, 1 / 320, 20)
    slope, start = np.polyfit(inverse, np.log(cstr.Reactor().rate_constant(1 / inverse)), 1)
    assert slope == pytest.approx(-8750.0, rel=1e-9)
    assert np.exp(start) == pytest.approx(7.2e10 / 60, rel=1e-6)


def test_steady_state_agrees_with_a_root_finder() -> None:
    from scipy.optimize import root

    state = cstr.Reactor().steady_state(DRIVES)
    found = root(tank, (0.6, 345.0, 330.0, 0.0, 20.0), args=(DRIVES,), tol=1e-12)
    assert found.success
    assert np.allclose(state, found.x, rtol=1e-8, atol=1e-8)
    assert state[0] == pytest.approx(0.5, abs=0.01)  # the published operating point: 0.5 mol/L at 350 K


def test_the_tank_stays_at_rest() -> None:
    pieces = smooth([np.full(20, value) for value in DRIVES], cstr.KNOT)
    states = cstr.Reactor().solve(pieces, np.linspace(0, 360, 50))
    assert np.allclose(states, states[0], rtol=1e-6, atol=1e-5)


@pytest.fixture(scope="module")
def disturbed() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Ten hours of the tank under disturbances: pieces, minutes, states."""
    knots, _ = cstr._disturbances(np.random.default_rng(5), 32, True)
    pieces = smooth(list(knots), cstr.KNOT)
    times = np.linspace(0, 600, 2401)
    return pieces, times, cstr.Reactor().solve(pieces, times)


def test_the_tank_agrees_with_another_integrator(disturbed: tuple[NDArray[np.float64], ...]) -> None:
    from scipy.integrate import solve_ivp

    pieces, times, states = disturbed

    def rhs(now: float, state: Sequence[float]) -> NDArray[np.float64]:
        return tank(state, at_times(pieces, cstr.KNOT, np.array([now]))[0])

    found = solve_ivp(rhs, (0, 120), states[0], method="Radau", t_eval=times[:481:60], rtol=1e-8, atol=1e-8)
    assert np.abs(found.y.T[:, 0] - states[:481:60, 0]).max() < 1e-4  # mol/L
    assert np.abs(found.y.T[:, 1] - states[:481:60, 1]).max() < 1e-2  # K


def test_mass_and_energy_of_the_tank_are_conserved(disturbed: tuple[NDArray[np.float64], ...]) -> None:
    pieces, times, states = disturbed
    one = cstr.Reactor()
    cf, tf, tc, q = at_times(pieces, cstr.KNOT, times).T[:4]
    c, t, tj, _, qc = states.T
    reacted = one.volume * one.rate_constant(t) * c
    moles = np.trapezoid(q * (cf - c) - reacted, times)
    assert moles == pytest.approx(one.volume * (c[-1] - c[0]), abs=0.002 * np.trapezoid(reacted, times))
    # both vessels together: what flows in and what reacts, no wall between
    heat = np.trapezoid(
        q * one.heat_capacity * (tf - t) + one.reaction_heat * reacted + qc * one.jacket_capacity * (tc - tj), times
    )
    kept = one.volume * one.heat_capacity * (t[-1] - t[0]) + one.jacket_volume * one.jacket_capacity * (tj[-1] - tj[0])
    assert heat == pytest.approx(kept, abs=0.002 * one.reaction_heat * np.trapezoid(reacted, times))


def test_faults_do_what_their_names_say() -> None:
    run = plants.simulate("cstr", seed=0, noise=0, dirt=0, days=8)
    truth = run.truth
    of = {name: truth["fault"] == code for code, name in enumerate(cstr.CLASSES)}
    assert all(rows.sum() > 100 for rows in of.values())
    assert truth["T_coolant_in"][of["cooling_upset"]].mean() > truth["T_coolant_in"][of["normal"]].mean() + 4
    assert truth["UA"][of["fouling"]].min() < 0.85 * cstr.Reactor().cooling
    assert np.abs(truth["bias"][of["sensor_bias"]]).max() > 2.5
    assert np.abs(truth["bias"][of["fouling"]]).max() == 0
    away = np.abs(truth["C_feed"] - 1)
    assert away[of["feed_upset"]].mean() > away[of["normal"]].mean()
    shown = run.table.column("T_reactor") - truth["T_reactor"]
    assert np.abs(shown - truth["bias"]).max() <= 0.025 + 1e-9
    quiet = plants.simulate("cstr", seed=0, faults=0, days=2)
    assert set(quiet.truth["fault"]) == {0}


def test_the_analyser_samples_seldom_and_reports_late() -> None:
    run = plants.simulate("cstr", seed=0, days=2, lab_every=20, lab_delay=45)
    known = np.flatnonzero(np.isfinite(run.table.column("C_A")))
    assert set(known % 10) == {0}
    assert len(known) >= 0.9 * len(run.table) / 10
    error = run.table.column("C_A")[known] - run.truth["C_A"][known]
    assert error.std() == pytest.approx(0.005, rel=0.25)
    task = run.plans["soft_sensor"]["task"]
    assert task["past_targets"] == {"delay": "45min", "count": 1}


def test_the_tank_never_runs_away() -> None:
    truth = plants.simulate("cstr", seed=0).truth
    assert truth["T_reactor"].max() < 100
    assert truth["C_A"].min() > 0.2
    parts = np.array_split(truth["fault"], 5)
    for part in (np.concatenate(parts[:3]), parts[3], parts[4]):
        assert set(part) == {0, 1, 2, 3, 4}, "every class is in every part of the standard split"


def test_past_inputs_tell_more_than_present_ones() -> None:
    """The tank is a problem with memory: lagged inputs beat the inputs of the moment, both linear."""
    run = plants.simulate("cstr", seed=1, dirt=0, faults=0)
    x, y = run.table.values[:, :7], run.truth["C_A"]
    rows = np.arange(60, len(y), 5)
    train, test = rows[: int(0.7 * len(rows))], rows[int(0.7 * len(rows)) :]

    def error(lags: range) -> float:
        def features(at: NDArray[Any]) -> NDArray[np.float64]:
            return np.column_stack([np.ones(len(at)), *(x[at - lag] for lag in lags)])

        weights = np.linalg.lstsq(features(train), y[train], rcond=None)[0]
        return float(np.sqrt(np.mean((features(test) @ weights - y[test]) ** 2)))

    assert error(range(0, 60, 6)) < 0.9 * error(range(1))
    assert error(range(1)) < 0.8 * y[test].std()


# batch reactor


RECIPE = batch_reactor.BatchRecipe(charge=(12.3, 11.8), activity=1.1, clean=0.9)


@pytest.fixture(scope="module")
def batch() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    times = np.linspace(0, 120, 1201)
    return times, batch_reactor.solve(RECIPE, times)


def test_atoms_and_mass_of_the_batch_are_conserved(batch: tuple[NDArray[np.float64], ...]) -> None:
    _, states = batch
    a, b, c, d = states[:, :4].T
    assert np.allclose(RECIPE.charge[0] - a, c + 2 * d, atol=1e-4)  # C holds one A, D two
    assert np.allclose(RECIPE.charge[1] - b, c + d, atol=1e-4)
    mass = states[:, :4] @ np.array(batch_reactor.MOLAR_MASS)
    assert np.allclose(mass, mass[0], rtol=1e-6)
    assert np.allclose(batch_reactor.mass_share(states[:, :4]).sum(axis=1), 100)


def test_heat_of_the_batch_is_conserved(batch: tuple[NDArray[np.float64], ...]) -> None:
    times, states = batch
    a, b, c, _, t, tj, _ = states.T
    k1, k2 = np.array([batch_reactor.rate_constants(one, RECIPE.activity) for one in t]).T
    made = 41840.0 * k1 * a * b + 25105.0 * k2 * a * c
    moved = 40.842 * 6.24 * RECIPE.clean * (tj - t)
    body = states[:, :4] @ np.array(batch_reactor.HEAT_CAPACITY)
    stored = np.trapezoid(body, t)
    assert stored == pytest.approx(np.trapezoid(made + moved, times), rel=0.005)


def test_the_batch_agrees_with_another_integrator(batch: tuple[NDArray[np.float64], ...]) -> None:
    from scipy.integrate import solve_ivp

    times, states = batch
    found = solve_ivp(
        batch_reactor.derivatives(RECIPE),
        (0, 120),
        states[0],
        method="Radau",
        t_eval=times[::100],
        rtol=1e-8,
        atol=1e-8,
        max_step=5,
    )
    assert np.abs(found.y.T[:, :4] - states[::100, :4]).max() < 1e-3
    assert np.abs(found.y.T[:, 4:6] - states[::100, 4:6]).max() < 0.02


def test_rate_constants_follow_arrhenius_and_heat_favours_the_by_product() -> None:
    k1, k2 = np.array([batch_reactor.rate_constants(t) for t in (60.0, 90.0)]).T
    slope = np.log(k1[1] / k1[0]) / (1 / 363.15 - 1 / 333.15)
    assert slope == pytest.approx(-10000)
    assert k2[1] / k1[1] > k2[0] / k1[0]
    cool = batch_reactor.solve(replace(RECIPE, hold=78.0), np.array([0.0, 240.0]))[-1]
    warm = batch_reactor.solve(replace(RECIPE, hold=88.0), np.array([0.0, 240.0]))[-1]
    assert warm[3] > cool[3]


def test_batches_differ_in_length_and_end_with_a_result(runs: dict[str, plants.Simulation]) -> None:
    """Row 27 of the list of bad inputs: batches of unequal length."""
    table, truth = runs["batch_reactor"].table, runs["batch_reactor"].truth
    assert table.batch is not None
    lengths = np.bincount(table.batch)
    assert len(set(lengths)) > 1
    last = np.cumsum(lengths) - 1
    assert np.array_equal(np.flatnonzero(np.isfinite(table.column("share_C"))), last)
    assert np.abs(table.column("share_C")[last] - truth["share_C"][last]).max() < 1.0
    bad = table.column("share_C")[last] < batch_reactor.SPECIFICATION
    assert np.array_equal(table.column("quality")[last], bad.astype(float))


def test_a_campaign_has_both_classes_and_no_runaway() -> None:
    run = plants.simulate("batch_reactor", seed=0)
    counts = np.bincount(run.table.column("quality")[np.isfinite(run.table.column("quality"))].astype(int))
    assert counts.min() > 0.1 * counts.sum()
    assert run.truth["T_reactor"].max() < 105


# heat exchangers


def test_effectiveness_agrees_with_the_log_mean_temperature_difference() -> None:
    """Q = U A LMTD is another solution of the same balances (Incropera, chapter 11)."""
    drives = np.array([[30.0, 50.0, 300.0, 180.0], [25.0, 44.0, 310.0, 175.0]])
    fouling = np.array([0.0, 0.9])
    hot_out, cold_out = heat_exchanger.outlets(drives, fouling)
    m_hot, m_cold, hot, cold = drives.T
    duty = m_hot * 2.6 * (hot - hot_out)
    assert np.allclose(duty, m_cold * 2.3 * (cold_out - cold), rtol=1e-12)
    u = 1 / (1 / (0.45 * (m_cold / 50.0) ** 0.8) + fouling)
    one, other = hot - cold_out, hot_out - cold
    assert np.allclose(duty, u * 300.0 * (one - other) / np.log(one / other), rtol=1e-10)


def test_limits_of_effectiveness() -> None:
    ntu = np.array([0.0, 1.0, 60.0])
    assert np.allclose(heat_exchanger.effectiveness(ntu, np.full(3, 0.7)), [0.0, 0.5384, 1.0], atol=1e-3)
    assert np.allclose(heat_exchanger.effectiveness(ntu, np.zeros(3)), 1 - np.exp(-ntu))


def test_deposition_follows_arrhenius_and_flow_cleans() -> None:
    strength, removal = np.array([0.002]), heat_exchanger.REMOVAL

    def rate(film: float, flow: float = 50.0) -> float:
        at = np.array([film])
        here = np.array([[30.0, flow, film, film]])
        return float(heat_exchanger.fouling_rate(here, at, at, strength)[0])

    slope = np.log((rate(260.0) + removal) / (rate(220.0) + removal)) / (1 / 533.15 - 1 / 493.15)
    assert slope == pytest.approx(-48.0e3 / 8.314)
    assert rate(235.0) == pytest.approx(0.002 - removal)
    assert rate(235.0, 56.0) < rate(235.0) < rate(235.0, 44.0)


def test_pressure_drop_of_a_clean_unit_is_the_design_figure() -> None:
    drop = heat_exchanger.pressure_drop(np.array([50.0, 50.0, 25.0]), np.array([0.0, 1.0, 0.0]))
    assert drop[0] == pytest.approx(0.6)
    assert drop[1] > drop[0] > drop[2]


def test_units_together_are_units_alone() -> None:
    rng = np.random.default_rng(2)
    knots, strength = heat_exchanger._units(rng, 3)
    times = np.arange(0.0, 480.0, 12.0)
    together = heat_exchanger.solve(smooth(list(knots), heat_exchanger.KNOT), strength, times)
    for unit in range(3):
        alone = heat_exchanger.solve(
            smooth(list(knots[4 * unit : 4 * unit + 4]), heat_exchanger.KNOT), strength[unit : unit + 1], times
        )
        assert np.abs(alone[:, 0, 0] - together[:, 0, unit]).max() < 1e-3
        assert np.abs(alone[:, 1:, 0] - together[:, 1:, unit]).max() < 0.05


def test_every_unit_runs_to_failure(runs: dict[str, plants.Simulation]) -> None:
    table, truth = runs["heat_exchanger"].table, runs["heat_exchanger"].truth
    assert table.batch is not None
    life, fouling = table.column("remaining_life"), truth["fouling"]
    assert np.array_equal(life, truth["remaining_life"])
    for unit in range(len(table.batch_names)):
        rows = table.batch == unit
        assert life[rows][-1] == 0
        assert np.allclose(np.diff(life[rows]), -heat_exchanger.STEP / 24)
        assert fouling[rows][-1] >= heat_exchanger.LIMIT
        assert np.all(fouling[rows][:-1] < heat_exchanger.LIMIT)
    inputs = truth["inputs"]
    assert np.all(inputs[:, 3] < inputs[:, 2])  # the hot side cools
    assert np.all(inputs[:, 5] > inputs[:, 4])  # the cold side warms


# the compressors


def test_a_deposit_takes_head_efficiency_and_flow_away() -> None:
    duty, suction = np.array([[100.0, 10.0]] * 2), np.array([[18.0, 1.05]] * 2)
    clean, fouled = np.array(compressor.discharge(duty, suction, np.array([0.0, 1.0]))).T
    assert fouled[1] < clean[1]
    assert fouled[2] < clean[2]
    assert clean[0] > 18
    # energy: what the gas takes up is the power of the shaft, to the deviation of its heat capacity
    heat = clean[2] * 1.4 / 0.4 * compressor.GAS * (clean[0] - 18.0) / 1e6
    assert heat == pytest.approx(clean[3], rel=0.05)


def test_duties_hide_the_deposit_that_one_duty_shows() -> None:
    """Between duties lies most of the variance; within each, instruments follow the deposit."""
    one, six = (plants.simulate("compressor", seed=3, units=12, duties=duties) for duties in (1, 6))
    assert set(one.truth["duty"]) == {2}
    assert set(six.truth["duty"]) == set(range(6))
    assert one.truth["remaining_life"].tobytes() == six.truth["remaining_life"].tobytes()

    def follows(run: plants.Simulation, rows: np.ndarray) -> float:
        ratio = run.truth["inputs"][rows, 5] / run.truth["inputs"][rows, 3]  # of the pressures
        return abs(float(np.corrcoef(ratio, run.truth["fouling"][rows])[0, 1]))

    assert follows(six, np.ones(len(six.table), bool)) < 0.4
    assert follows(one, np.ones(len(one.table), bool)) > 0.8
    assert all(follows(six, six.truth["duty"] == duty) > 0.8 for duty in range(6))
    life, batch = six.truth["remaining_life"], six.table.batch
    assert batch is not None
    for unit in np.unique(batch):
        assert life[batch == unit][-1] == 0
        np.testing.assert_allclose(np.diff(life[batch == unit]), -compressor.STEP / 24)

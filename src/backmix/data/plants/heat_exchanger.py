"""Crude oil preheaters that foul until they have to be cleaned: run to failure.

This module simulates counter-current exchangers. Fouling grows by deposition, fast on a hot wall
and in slow flow, less what the shear of the flow removes; it insulates and narrows the tubes. A
unit has failed when its fouling resistance reaches a limit; the remaining life of each row is known.

    dRf/dt = a Re^-0.88 exp(-E/(R Tf)) - c (m/m0)^1.8            Rf >= 0
    1/U = 1/(Uc (m/m0)^0.8) + Rf,  NTU = U A / Cmin,  Cr = Cmin/Cmax
    eff = (1 - exp(-NTU (1 - Cr))) / (1 - Cr exp(-NTU (1 - Cr)))
    dTh/dt = (Th_in - eff Cmin (Th_in - Tc_in)/Ch - Th)/tau,  Tc likewise (metal and hold-up)
    dp = dp0 (m/m0)^1.8 (d/(d - 2 lambda Rf))^5

Fouling: Ebert & Panchal, Fouling mitigation of crude-oil exchangers, Argonne National Laboratory
report ANL/ES/CP-92175 (1995), threshold model; deposition less removal: Kern & Seaton, British
Chemical Engineering 4 (1959) 258. Effectiveness: Incropera, DeWitt et al., Fundamentals of Heat and
Mass Transfer, chapter 11. All units are solved together by one stiff integrator: the temperatures
settle in minutes, the fouling in months.

Hours, kg/s, kW, m2 K/kW and degrees Celsius.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.plants import plants
from backmix.data.plants.plant import (
    Plans,
    Plant,
    Simulation,
    bounded,
    in_a_row,
    integrate,
    last_units,
    numbered,
    table_of,
)
from backmix.data.plants.sensors import Dirt, Instrument, sense
from backmix.data.plants.signals import at_times, delayed, moves, smooth, wander
from backmix.data.sets.dataset import Column

STEP = 3.0  # hours between rows
KNOT = 24.0  # hours between knots of the disturbances
DAYS = 200.0  # no unit lives longer, see `_units`
LIMIT = 1.5  # m2 K/kW at which a unit has to be cleaned
START = np.datetime64("2022-01-01T00:00:00", "ns")
AREA, CLEAN_U = 300.0, 0.45  # m2; kW/(m2 K)
CP_HOT, CP_COLD = 2.6, 2.3  # kJ/(kg K)
M_HOT, M_COLD = 30.0, 50.0  # kg/s, nominal
T_HOT, T_COLD = 300.0, 180.0  # degC, nominal
SETTLING = 0.1  # h, tau
ACTIVATION = 48.0e3 / 8.314  # K, E/R
BORE, LAYER = 0.020, 0.5e-3  # m; kW/(m K), conductivity of the deposit
PRESSURE_DROP = 0.6  # bar, clean and nominal
REMOVAL = 0.0006  # m2 K/(kW h) at nominal flow
COLUMNS = (
    Column("m_hot", "kg/s"),
    Column("m_cold", "kg/s"),
    Column("T_hot_in", "degC"),
    Column("T_hot_out", "degC"),
    Column("T_cold_in", "degC"),
    Column("T_cold_out", "degC"),
    Column("dp_cold", "bar"),
    Column("remaining_life", "d", "target"),
)
_INSTRUMENTS = (
    Instrument(0.15, 0.1, 0.1, 0, 80),
    Instrument(0.25, 0.1, 0.15, 0, 120),
    Instrument(0.3, 0.1, 0.2, 0, 450),
    Instrument(0.3, 0.1, 0.2, 0, 450),
    Instrument(0.3, 0.1, 0.2, 0, 450),
    Instrument(0.3, 0.1, 0.2, 0, 450),
    Instrument(0.01, 0.001, 0.005, 0, 10),
)


@dataclass(frozen=True)
class HeatExchangerSettings:
    """What may be changed.

    units: how many exchangers are run to failure
    noise, dirt: multiply the instruments' errors, and how often they freeze, spike or fail
    dead_time: hours until the outlet temperatures are recorded
    """

    units: int = bounded(20, 3, 200)
    noise: float = bounded(1.0, 0.0, 20.0)
    dirt: float = bounded(1.0, 0.0, 50.0)
    dead_time: float = bounded(0.0, 0.0, 72.0)


def effectiveness(ntu: NDArray[np.float64], ratio: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of the greatest possible heat that a counter-current exchanger moves; ``ratio`` below 1."""
    rest = np.exp(-ntu * (1 - ratio))
    share: NDArray[np.float64] = (1 - rest) / (1 - ratio * rest)
    return share


def outlets(drives: NDArray[np.float64], fouling: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Hot and cold outlet temperatures (N,) at rest, for drives m_hot, m_cold, T_hot_in, T_cold_in (N, 4)."""
    m_hot, m_cold, hot, cold = drives.T
    c_hot, c_cold = m_hot * CP_HOT, m_cold * CP_COLD
    least, most = np.minimum(c_hot, c_cold), np.maximum(c_hot, c_cold)
    u = 1 / (1 / (CLEAN_U * (m_cold / M_COLD) ** 0.8) + fouling)
    duty = effectiveness(u * AREA / least, least / most) * least * (hot - cold)
    return hot - duty / c_hot, cold + duty / c_cold


def fouling_rate(
    drives: NDArray[np.float64],
    hot_out: NDArray[np.float64],
    cold_out: NDArray[np.float64],
    strength: NDArray[np.float64],
) -> NDArray[np.float64]:
    """dRf/dt in m2 K/(kW h), at the film temperature half-way between the mean hot and cold one.

    ``strength`` is the deposition rate at nominal flow and a film of 235 degC.
    """
    _, m_cold, hot, cold = drives.T
    flow = m_cold / M_COLD
    film = 0.25 * (hot + hot_out + cold + cold_out) + 273.15
    growth = strength * flow**-0.88 * np.exp(ACTIVATION * (1 / 508.15 - 1 / film))
    rate: NDArray[np.float64] = growth - REMOVAL * flow**1.8
    return rate


def pressure_drop(m_cold: NDArray[np.float64], fouling: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pressure drop in bar of tubes narrowed by a deposit of this resistance."""
    narrowed = BORE / (BORE - 2 * LAYER * np.maximum(fouling, 0.0))
    drop: NDArray[np.float64] = PRESSURE_DROP * (m_cold / M_COLD) ** 1.8 * narrowed**5
    return drop


def solve(
    pieces: NDArray[np.float64], strength: NDArray[np.float64], times: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Rf, hot and cold outlet temperature (n, 3, S) of S units at ``times`` (N,) in hours.

    The solution ends, n rows long, soon after the last unit has reached `LIMIT`.
    pieces: (M, 4 S, 4) smooth drives, unit by unit; strength: (S,)
    """
    units, last = len(strength), len(pieces) - 1

    def drives_at(time: float) -> NDArray[np.float64]:
        i = min(int(time / KNOT), last)
        h = time - i * KNOT
        a, b, c, d = pieces[i].T
        value: NDArray[np.float64] = (((a * h + b) * h + c) * h + d).reshape(units, 4)
        return value

    def rhs(time: float, state: NDArray[np.float64]) -> NDArray[np.float64]:
        fouling, hot, cold = state.reshape(units, 3).T
        drives = drives_at(time)
        rest_hot, rest_cold = outlets(drives, np.maximum(fouling, 0.0))
        rate = fouling_rate(drives, hot, cold, strength)
        return np.column_stack(
            [
                np.where(fouling > 0, rate, np.maximum(rate, 0.0)),
                (rest_hot - hot) / SETTLING,
                (rest_cold - cold) / SETTLING,
            ]
        ).ravel()

    def all_failed(_: float, state: NDArray[np.float64]) -> float:
        return float(state[::3].min()) - (LIMIT + 0.05)

    all_failed.terminal = True  # type: ignore[attr-defined]
    clean = np.zeros(units)
    first = np.column_stack([clean, *outlets(drives_at(0.0), clean)]).ravel()
    # a state depends on the three states of its own unit only: a band of two on either side
    how: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-6, "events": all_failed, "max_step": KNOT, "lband": 2, "uband": 2}
    states = integrate(rhs, times, first, **how)
    return np.ascontiguousarray(states.reshape(-1, units, 3).transpose(0, 2, 1))


def _units(rng: np.random.Generator, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Knots (4 S, M) of the drives, and deposition strengths (S,)."""
    knots = int(DAYS * 24 / KNOT) + 2
    drives = []
    for _ in range(count):
        drives += [
            M_HOT * (1 + 0.04 * wander(rng, knots, 5)),
            moves(rng, knots, (44.0, 56.0), (4, 15)),
            T_HOT + 4 * wander(rng, knots, 4),
            T_COLD + 3 * wander(rng, knots, 4),
        ]
    return np.stack(drives), 0.0016 * np.exp(0.2 * np.clip(rng.standard_normal(count), -1.5, 2.0))


def _run(seed: int, settings: HeatExchangerSettings) -> Simulation:
    rng = np.random.default_rng(seed)
    count = int(settings.units)
    knots, strength = _units(rng, count)
    pieces = smooth(list(knots), KNOT)
    states = solve(pieces, strength, np.arange(0.0, DAYS * 24, STEP))
    times = np.arange(len(states), dtype=np.float64) * STEP
    failed = (states[:, 0] >= LIMIT).argmax(axis=0)
    if not (states[-1, 0] >= LIMIT).all():
        raise ArithmeticError("a unit outlives the simulated time")
    drives = at_times(pieces, KNOT, times).reshape(len(times), count, 4)
    true, life, fouling = [], [], []
    for unit, end in enumerate(failed):
        rows = slice(0, int(end) + 1)
        resistance, hot, cold = states[rows, :, unit].T
        m_hot, m_cold, hot_in, cold_in = drives[rows, unit].T
        drop = pressure_drop(m_cold, resistance)
        hot, cold = (delayed(one, settings.dead_time / STEP) for one in (hot, cold))
        true.append(np.column_stack([m_hot, m_cold, hot_in, hot, cold_in, cold, drop]))
        life.append((times[end] - times[rows]) / 24)
        fouling.append(resistance)
    lengths = [len(part) for part in true]
    shown = np.concatenate(true)
    seen = sense(shown, _INSTRUMENTS, rng, noise=settings.noise, dirt=Dirt(scale=settings.dirt))
    left = np.concatenate(life)
    truth: dict[str, NDArray[Any]] = {
        "fouling": np.concatenate(fouling),
        "remaining_life": left,
        "strength": strength,
        **seen.truth(shown),
    }
    axes = in_a_row(lengths, START, STEP, numbered("E", count))
    table = table_of("heat_exchanger", COLUMNS, np.column_stack([seen.values, left]), **axes)
    return Simulation(table, truth, _plans(seed, settings))


def _plans(seed: int, settings: HeatExchangerSettings) -> Plans:
    common = {
        "data": {"plant": "heat_exchanger", "seed": seed},
        "split": last_units(numbered("E", int(settings.units))),
        "windows": {"lookback": "3d"},
    }
    # ten days tell the slope of the fouling from the noise of the instruments, three do not
    slow = {"windows": {"lookback": "10d", "stride": 2}}
    return {
        "remaining_life": {**common, **slow, "task": {"kind": "remaining_life", "target": "remaining_life"}},
        "soft_sensor": {**common, "task": {"kind": "soft_sensor", "target": "remaining_life"}},
    }


plants.register("heat_exchanger", beside=__file__)(
    Plant("heat_exchanger", HeatExchangerSettings, COLUMNS, _plans, _run)
)

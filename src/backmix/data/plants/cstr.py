"""Exothermic stirred tank reactor with cooling jacket, temperature control and a slow analyser.

This module simulates A -> B in a jacketed tank. A PI controller moves the coolant valve; the feed
concentration wanders unseen; an analyser takes a sample of the reactor every 10 minutes and reports
C_A 30 minutes later (the value stands in the row of its sample). Every few hours something goes
wrong: the class column says what.

    dC/dt  = q/V (Cf - C) - r,                         r = k0 exp(-E/RT) C
    dT/dt  = q/V (Tf - T) + (-dH) r / (rho cp) - Q / (V rho cp),   Q = UA (T - Tj)
    dTj/dt = qc/Vj (Tc - Tj) + Q / (Vj rho_j cp_j)
    dqc/dt = (u - qc)/tv,   u = clip(u0 + Kc e + I),   dI/dt = Kc/Ti e + (u - u_free)/Ti,   e = T + bias - Tsp

Balances and kinetics: Seborg, Edgar, Mellichamp & Doyle, Process Dynamics and Control, 4th ed.
(2016), example 2.5, with sixty times the volume at the same feed (and k0 a sixtieth), because a
residence time of one minute would pass between two rows of a historian, and with eight times the
cooling area. Jacket balance: Luyben, Process Modeling, Simulation and Control for Chemical
Engineers, 2nd ed. (1990), section 3.6. Anti-windup by back-calculation: Astrom & Hagglund, Advanced
PID Control (2006), section 3.5.

Minutes, litres, moles, joules and kelvin inside; degrees Celsius in the table.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.plants import plants
from backmix.data.plants.plant import Plans, Plant, Simulation, bounded, integrate, table_of
from backmix.data.plants.sensors import Dirt, Instrument, sense
from backmix.data.plants.signals import at_times, delayed, moves, smooth, wander
from backmix.data.sets.dataset import Column

Floats = NDArray[np.float64]
CLASSES = ("normal", "cooling_upset", "fouling", "sensor_bias", "feed_upset")
STEP = 2.0  # minutes between rows
KNOT = 20.0  # minutes between knots of the disturbances
KELVIN = 273.15
START = np.datetime64("2024-01-01T00:00:00", "ns")
COLUMNS = (
    Column("q_feed", "L/min"),
    Column("T_feed", "degC"),
    Column("T_reactor", "degC"),
    Column("T_jacket", "degC"),
    Column("q_coolant", "L/min"),
    Column("valve", "%"),
    Column("T_setpoint", "degC"),
    Column("C_A", "mol/L", "lab"),
    Column("fault", role="target", categories=CLASSES),
)
_INSTRUMENTS = (
    Instrument(0.5, 0.1, 0.3, 0, 200),
    Instrument(0.15, 0.1, 0.1, 0, 150),
    Instrument(0.10, 0.05, 0.05, 0, 200),
    Instrument(0.15, 0.1, 0.1, 0, 150),
    Instrument(0.12, 0.05, 0.08, 0, 60),
    Instrument(0.05, 0.1, 0, 0, 100),
    Instrument(0.0, 0.1),
)
_LAB = Instrument(0.005, 0.001, 0.0, 0.0)
_LAB_LOST = 0.02  # share of samples without a result


@dataclass(frozen=True)
class CstrSettings:
    """What may be changed.

    days: length of the run, rows every 2 minutes
    faults: 1 with upsets (about one every ten hours), 0 without
    noise, dirt: multiply the instruments' errors, and how often they freeze, spike or fail
    lab_every, lab_delay: minutes between two samples, and from a sample to its result
    dead_time: minutes from the reactor to where the sample is taken, through a long line
    """

    days: float = bounded(15.0, 0.25, 120.0)
    faults: int = bounded(1, 0, 1)
    noise: float = bounded(1.0, 0.0, 20.0)
    dirt: float = bounded(1.0, 0.0, 50.0)
    lab_every: float = bounded(10.0, 2.0, 1440.0)
    lab_delay: float = bounded(30.0, 2.0, 1440.0)
    dead_time: float = bounded(0.0, 0.0, 240.0)


@dataclass(frozen=True)
class Reactor:
    """Parameters of the tank, its jacket and its controller."""

    volume: float = 6000.0  # L
    heat_capacity: float = 239.0  # J/(L K), rho cp
    reaction_heat: float = 5.0e4  # J/mol, -dH
    activation: float = 8750.0  # K, E/R
    frequency: float = 7.2e10 / 60  # 1/min, k0
    cooling: float = 4.0e5  # J/(min K), UA when clean
    jacket_volume: float = 60.0  # L
    jacket_capacity: float = 4184.0  # J/(L K)
    gain: float = 2.0  # L/min per K
    reset: float = 30.0  # min
    valve_lag: float = 1.0  # min
    coolant_max: float = 50.0  # L/min
    coolant_base: float = 16.0  # L/min

    def rate_constant(self, temperature: Any) -> Any:
        """k0 exp(-E/RT) in 1/min, ``temperature`` in K (Arrhenius)."""
        return self.frequency * np.exp(-self.activation / temperature)

    def steady_state(self, drives: Sequence[float]) -> tuple[float, float, float, float, float]:
        """States at rest for constant drives (Cf, Tf, Tc, q, Tsp, UA, bias): C, T, Tj, I, qc.

        With the temperature held at its set point the balances are solved one after the other.
        """
        cf, tf, tc, q, setpoint, ua, bias = drives
        t = setpoint - bias
        exchange = q / self.volume
        c = exchange * cf / (exchange + float(self.rate_constant(t)))
        made = self.volume * float(self.rate_constant(t)) * c * self.reaction_heat
        heat = made + q * self.heat_capacity * (tf - t)
        tj = t - heat / ua
        qc = heat / (self.jacket_capacity * (tj - tc))
        return c, t, tj, qc - self.coolant_base, qc

    def derivatives(self, pieces: Floats) -> Callable[[float, Sequence[float]], tuple[float, ...]]:
        """The right-hand side for disturbances given as smooth pieces (M, 7, 4), see `signals.smooth`.

        Plain floats: NumPy on seven numbers would be ten times slower.
        """
        segments = [tuple(piece.ravel().tolist()) for piece in pieces]
        last, exp = len(segments) - 1, math.exp
        volume, capacity = self.volume, self.heat_capacity
        k0, activation, warmth = self.frequency, self.activation, self.reaction_heat / capacity
        vj, jacket = self.jacket_volume, self.jacket_volume * self.jacket_capacity
        lag, top = self.valve_lag, self.coolant_max
        gain, reset, base, body = self.gain, self.reset, self.coolant_base, volume * capacity

        def rhs(time: float, state: Sequence[float]) -> tuple[float, ...]:
            c, t, tj, integral, qc = state
            i = min(int(time / KNOT), last)
            h = time - i * KNOT
            (
                a3, a2, a1, a0, b3, b2, b1, b0, c3, c2, c1, c0, d3, d2, d1, d0,
                e3, e2, e1, e0, f3, f2, f1, f0, g3, g2, g1, g0,
            ) = segments[i]  # fmt: skip
            exchange = (((d3 * h + d2) * h + d1) * h + d0) / volume
            error = t + ((g3 * h + g2) * h + g1) * h + g0 - (((e3 * h + e2) * h + e1) * h + e0)
            free = base + gain * error + integral
            u = 0.0 if free < 0 else top if free > top else free
            rate = k0 * exp(-activation / t) * c
            heat = (((f3 * h + f2) * h + f1) * h + f0) * (t - tj)
            return (
                exchange * (((a3 * h + a2) * h + a1) * h + a0 - c) - rate,
                exchange * (((b3 * h + b2) * h + b1) * h + b0 - t) + warmth * rate - heat / body,
                qc / vj * (((c3 * h + c2) * h + c1) * h + c0 - tj) + heat / jacket,
                gain / reset * error + (u - free) / reset,
                (u - qc) / lag,
            )

        return rhs

    def solve(self, pieces: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.float64]:
        """States (N, 5) at ``times`` in minutes, from rest under the first disturbances."""
        first = self.steady_state([float(value) for value in pieces[0, :, 3]])
        tolerance = (1e-6, 1e-4, 1e-4, 1e-4, 1e-4)
        return integrate(self.derivatives(pieces), times, first, rtol=1e-6, atol=tolerance, max_step=KNOT)


def _disturbances(rng: np.random.Generator, knots: int, faults: bool) -> tuple[Floats, NDArray[np.int64]]:
    """Knots (7, M) of Cf, Tf, Tc, q, Tsp, UA, bias, and the class code of each knot (M,)."""
    hour = 60.0 / KNOT
    day = 2 * np.pi * np.arange(knots) / (24 * hour)
    cf = 1.0 + 0.05 * wander(rng, knots, 3 * hour)
    tf = 350.0 + 1.5 * wander(rng, knots, 4 * hour)
    tc = 300.0 + 2.0 * np.sin(day) + 0.5 * wander(rng, knots, 2 * hour)
    q = moves(rng, knots, (75.0, 125.0), (3, 10))
    setpoint = moves(rng, knots, (343.0, 355.0), (8, 24))
    ua = np.full(knots, Reactor.cooling) * (1 + 0.02 * wander(rng, knots, 24 * hour))
    bias = np.zeros(knots)
    codes = np.zeros(knots, dtype=np.int64)
    at = int(rng.integers(6, 13))
    while faults and at < knots:
        for code in rng.permutation(np.arange(1, len(CLASSES))):
            here = slice(at, at + int(rng.integers(12, 19)))
            codes[here] = code
            strength = rng.uniform(0.8, 1.2)
            sign = 1.0 if rng.random() < 0.5 else -1.0
            grown = np.minimum(np.arange(len(codes[here])) / (2 * hour), 1.0)
            tc[here] += 8.0 * strength * (code == 1)
            ua[here] *= 1 - 0.25 * strength * grown * (code == 2)
            bias[here] = 3.5 * strength * sign * (code == 3)
            cf[here] += 0.15 * strength * sign * (code == 4)
            at = here.stop + int(rng.integers(12, 19))
    return np.stack([cf, tf, tc, q, setpoint, ua, bias]), codes


def _run(seed: int, settings: CstrSettings) -> Simulation:
    rng = np.random.default_rng(seed)
    rows = round(settings.days * 1440 / STEP)
    times = np.arange(rows, dtype=np.float64) * STEP
    knots, codes = _disturbances(rng, int(times[-1] / KNOT) + 2, bool(settings.faults))
    pieces = smooth(list(knots), KNOT)
    reactor = Reactor()
    states = reactor.solve(pieces, times)
    drives = at_times(pieces, KNOT, times)
    c, t, tj, integral, qc = states.T
    error = t + drives[:, 6] - drives[:, 4]
    valve = np.clip(reactor.coolant_base + reactor.gain * error + integral, 0, reactor.coolant_max)
    true = np.column_stack(
        [
            drives[:, 3],
            drives[:, 1] - KELVIN,
            t + drives[:, 6] - KELVIN,
            tj - KELVIN,
            qc,
            100 * valve / reactor.coolant_max,
            drives[:, 4] - KELVIN,
        ]
    )
    seen = sense(true, _INSTRUMENTS, rng, noise=settings.noise, dirt=Dirt(scale=settings.dirt))
    fault = codes[(times / KNOT).astype(np.int64)]
    sampled = delayed(c, settings.dead_time / STEP)
    lab = sense(sampled[:, None], (_LAB,), rng, noise=settings.noise, dirt=Dirt(scale=0.0)).values[:, 0]
    taken = np.zeros(rows, dtype=np.bool_)
    taken[:: max(1, round(settings.lab_every / STEP))] = True
    taken &= rng.random(rows) >= _LAB_LOST * min(settings.dirt, 1.0)
    values = np.column_stack([seen.values, np.where(taken, lab, np.nan), fault.astype(np.float64)])
    clock = START + (times * 60e9).astype("timedelta64[ns]")
    truth: dict[str, NDArray[Any]] = {
        "C_A": c,
        "T_reactor": t - KELVIN,
        "T_jacket": tj - KELVIN,
        "q_coolant": qc,
        "C_feed": drives[:, 0],
        "T_feed": drives[:, 1] - KELVIN,
        "T_coolant_in": drives[:, 2] - KELVIN,
        "q_feed": drives[:, 3],
        "T_setpoint": drives[:, 4] - KELVIN,
        "UA": drives[:, 5],
        "bias": drives[:, 6],
        "fault": fault,
        **seen.truth(true),
    }
    return Simulation(table_of("cstr", COLUMNS, values, time=clock), truth, _plans(seed, settings))


def _plans(seed: int, settings: CstrSettings) -> Plans:
    common = {
        "data": {"plant": "cstr", "seed": seed},
        "split": {"kind": "chronological", "train": 0.6, "validation": 0.2, "test": 0.2},
        "repair": {"outliers": "mask"},
    }
    past = {"delay": f"{settings.lab_delay:g}min", "count": 1}
    fault = {"target": "fault", "normal": "normal"}
    return {
        "soft_sensor": {
            **common,
            "windows": {"lookback": "90min"},
            "task": {"kind": "soft_sensor", "target": "C_A", "past_targets": past},
        },
        "fault_diagnosis": {
            **common,
            "windows": {"lookback": "90min", "stride": 3},
            "task": {"kind": "fault_diagnosis", **fault},
        },
        "anomaly_detection": {
            **common,
            "windows": {"lookback": "30min"},
            "task": {"kind": "anomaly_detection", **fault},
        },
    }


plants.register("cstr", beside=__file__)(Plant("cstr", CstrSettings, COLUMNS, _plans, _run))

"""Centrifugal compressors that foul until they are washed: six duties, run to failure.

This module simulates compressors that are moved between six duties all day, by speed and inlet guide vanes. A deposit
on the wheel takes head and efficiency away, a few per cent of each; a change of duty moves every instrument by much
more. A unit has failed when the deposit reaches a limit; the remaining life of each row is known. With one duty it is
the same plant without regimes.

    psi = psi0(duty) (1 - 0.16 f),  eta = eta0(duty) (1 - 0.12 f),  phi = phi0(duty) (1 - 0.05 f)
    H = psi u^2,  P2/P1 = (1 + H k'/(Z R T1))^(1/k'),  k' = (k - 1)/(k eta)
    T2 = T1 (P2/P1)^k',  m = phi rho1 A u,  W = m H/eta
    df/dt = rate of the unit, df grows as time^1.5

Similarity of turbomachines and polytropic head: Lüdtke, Process Centrifugal Compressors (2004), chapters 2 and 3.

Hours, kg/s, bar, degC, MW and per cent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backmix.data.plants import plants
from backmix.data.plants.plant import Plans, Plant, Simulation, bounded, in_a_row, last_units, numbered, table_of
from backmix.data.plants.sensors import Dirt, Instrument, sense
from backmix.data.plants.signals import wander
from backmix.data.sets.dataset import Column

STEP = 4.0  # hours between rows
START = np.datetime64("2023-01-01T00:00:00", "ns")
GAS, COMPRESSIBILITY, KAPPA = 287.0, 0.98, 1.4  # J/(kg K)
TIP_SPEED, AREA = 260.0, 0.11  # m/s at full speed; m2
ROWS = (150, 320)  # rows that a unit lives
DWELL = (1, 4)  # rows that a duty lasts
DUTIES = ((82.0, 60.0), (88.0, 20.0), (92.0, 70.0), (96.0, 40.0), (100.0, 10.0), (100.0, 55.0))
"""Speed in per cent and opening angle of the guide vanes in degrees; the first ones are used when there are fewer."""
COLUMNS = (
    Column("speed_setpoint", "%"),
    Column("vane_setpoint", "deg"),
    Column("T_suction", "degC"),
    Column("P_suction", "bar"),
    Column("T_discharge", "degC"),
    Column("P_discharge", "bar"),
    Column("m_gas", "kg/s"),
    Column("power", "MW"),
    Column("vibration", "um"),
    Column("remaining_life", "d", "target"),
)
_INSTRUMENTS = (
    Instrument(0.0, 0.01, 0.0, 0, 110),
    Instrument(0.0, 0.01, 0.0, 0, 90),
    Instrument(0.2, 0.1, 0.1, -40, 80),
    Instrument(0.002, 0.001, 0.001, 0, 5),
    Instrument(0.4, 0.1, 0.2, 0, 250),
    Instrument(0.006, 0.001, 0.003, 0, 10),
    Instrument(0.06, 0.01, 0.03, 0, 60),
    Instrument(0.006, 0.001, 0.003, 0, 10),
    Instrument(0.4, 0.1, 0.2, 0, 100),
)


@dataclass(frozen=True)
class CompressorSettings:
    """What may be changed.

    units: how many compressors are run to failure
    duties: between how many duties they are moved; 1 is the same plant without regimes
    noise, dirt: multiply the instruments' errors, and how often they freeze, spike or fail
    """

    units: int = bounded(40, 5, 200)
    duties: int = bounded(6, 1, 6)
    noise: float = bounded(1.0, 0.0, 20.0)
    dirt: float = bounded(1.0, 0.0, 50.0)


class Discharge(NamedTuple):
    """What leaves a compressor, (N,) each: degC, bar, kg/s, MW."""

    temperature: NDArray[np.float64]
    pressure: NDArray[np.float64]
    mass: NDArray[np.float64]
    power: NDArray[np.float64]


def discharge(duty: NDArray[np.float64], suction: NDArray[np.float64], fouling: NDArray[np.float64]) -> Discharge:
    """The discharge at rest for duties (N, 2) and suction T, P (N, 2), with a deposit of 0 to 1, (N,)."""
    speed, vane = duty.T
    t1, p1 = suction[:, 0] + 273.15, suction[:, 1]
    u = TIP_SPEED * speed / 100
    psi = (0.50 - 0.0012 * vane) * (1 - 0.16 * fouling)
    eta = (0.80 - 0.00001 * (vane - 30.0) ** 2) * (1 - 0.12 * fouling)
    phi = (0.085 + 0.0005 * (70.0 - vane)) * (1 - 0.05 * fouling)
    head = psi * u**2
    power_of = (KAPPA - 1) / (KAPPA * eta)
    ratio = (1 + head * power_of / (COMPRESSIBILITY * GAS * t1)) ** (1 / power_of)
    mass = phi * p1 * 1e5 / (COMPRESSIBILITY * GAS * t1) * AREA * u
    return Discharge(t1 * ratio**power_of - 273.15, p1 * ratio, mass, mass * head / eta / 1e6)


def _duties(rng: np.random.Generator, rows: int, count: int) -> NDArray[np.int64]:
    """The duty of each row, (N,)."""
    codes: list[int] = []
    while len(codes) < rows:
        codes += [int(rng.integers(count))] * int(rng.integers(DWELL[0], DWELL[1], endpoint=True))
    return np.array(codes[:rows])


def _run(seed: int, settings: CompressorSettings) -> Simulation:
    rng, moved = np.random.default_rng(seed), np.random.default_rng((seed, 1))
    lengths = rng.integers(*ROWS, size=int(settings.units))
    true, life, fouling, codes = [], [], [], []
    for rows in lengths.tolist():
        deposit = (np.arange(rows) / (rows - 1)) ** 1.5
        code = _duties(moved, rows, int(settings.duties)) if settings.duties > 1 else np.full(rows, 2)
        duty = np.array(DUTIES)[code]
        suction = np.column_stack([18 + 6 * wander(rng, rows, 40), 1.05 + 0.02 * wander(rng, rows, 30)])
        out = discharge(duty, suction, deposit)
        shake = 12 + 14 * deposit + 0.08 * (duty[:, 0] - 80) ** 1.5 + 0.1 * duty[:, 1]
        true.append(np.column_stack([duty, suction, *out, shake]))
        life.append((rows - 1 - np.arange(rows)) * STEP / 24)
        fouling.append(deposit)
        codes.append(code)
    shown, left = np.concatenate(true), np.concatenate(life)
    seen = sense(shown, _INSTRUMENTS, rng, noise=settings.noise, dirt=Dirt(scale=settings.dirt))
    values = np.array(seen.values)
    values[:, :2] = shown[:, :2]  # set points are no measurements
    truth: dict[str, NDArray[Any]] = {
        "fouling": np.concatenate(fouling),
        "duty": np.concatenate(codes),
        "remaining_life": left,
        **seen.truth(shown),
        **{kind: getattr(seen, kind) & (np.arange(9) >= 2) for kind in ("bad", "frozen", "spike")},
    }
    axes = in_a_row(lengths.tolist(), START, STEP, numbered("K", int(settings.units)))
    table = table_of("compressor", COLUMNS, np.column_stack([values, left]), **axes)
    return Simulation(table, truth, _plans(seed, settings))


def _plans(seed: int, settings: CompressorSettings) -> Plans:
    common = {
        "data": {"plant": "compressor", "seed": seed},
        "split": last_units(numbered("K", int(settings.units))),
        "windows": {"lookback": "4d"},
    }
    return {
        "remaining_life": {**common, "task": {"kind": "remaining_life", "target": "remaining_life"}},
        "soft_sensor": {**common, "task": {"kind": "soft_sensor", "target": "remaining_life"}},
    }


plants.register("compressor", beside=__file__)(Plant("compressor", CompressorSettings, COLUMNS, _plans, _run))

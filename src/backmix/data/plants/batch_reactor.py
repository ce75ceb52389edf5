"""Jacketed batch reactor whose product is analysed once, at the end of each batch.

This module simulates A + B -> C, A + C -> D: product C and by-product D, both reactions exothermic,
D favoured by heat. Charges, heat transfer, catalyst and recipe differ a little from batch to batch;
a batch ends when its recipe's hold time is over, so that lengths differ.

    dMA/dt = -k1 MA MB - k2 MA MC,  dMB/dt = -k1 MA MB,
    dMC/dt =  k1 MA MB - k2 MA MC,  dMD/dt =  k2 MA MC,   k = exp(k_1 - k_2 / T)
    dT/dt  = (Qr + Qj) / sum(Mi cpi),  Qr = -dH1 k1 MA MB - dH2 k2 MA MC,  Qj = U A (Tj - T)
    dTj/dt = Fj (Tj_in - Tj)/Vj - Qj / (Vj rho_j cp_j)

Model and parameters: Cott & Macchietto, Industrial & Engineering Chemistry Research 28 (1989)
1177-1184. The temperature is held by a PI controller with a ramped set point in place of theirs.

Minutes, kmol, kJ, m3 and degrees Celsius.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.plants import plants
from backmix.data.plants.plant import Plans, Plant, Simulation, bounded, integrate, numbered, table_of
from backmix.data.plants.sensors import Dirt, Instrument, sense
from backmix.data.sets.dataset import Column

CLASSES = ("good", "off_spec")
SPECIFICATION = 43.0  # % of C by mass that a good batch reaches
STEP = 1.0  # minutes between rows
START = np.datetime64("2024-01-01T00:00:00", "ns")
MOLAR_MASS = (30.0, 100.0, 130.0, 160.0)  # kg/kmol of A, B, C, D
HEAT_CAPACITY = (75.31, 167.36, 217.57, 334.73)  # kJ/(kmol K)
REACTION_HEAT = (41840.0, 25105.0)  # kJ/kmol, -dH
KINETICS = ((20.9057, 10000.0), (38.9057, 17000.0))  # k in 1/(kmol min), temperature in K
TRANSFER = 40.842 * 6.24  # kJ/(min K), U A
JACKET = 0.6912, 1000.0 * 1.8828, 0.348  # m3, kJ/(m3 K), m3/min
COLUMNS = (
    Column("T_reactor", "degC"),
    Column("T_jacket", "degC"),
    Column("T_setpoint", "degC"),
    Column("T_jacket_setpoint", "degC"),
    Column("charge_A", "kg"),
    Column("charge_B", "kg"),
    Column("share_C", "%", "lab"),
    Column("quality", role="target", categories=CLASSES),
)
_INSTRUMENTS = (
    Instrument(0.2, 0.1, 0.1, -20, 200),
    Instrument(0.3, 0.1, 0.15, -20, 200),
    Instrument(0.0, 0.1),
    Instrument(0.1, 0.1, 0.0, 0, 150),
)
_LAB = Instrument(0.15, 0.01, 0.0, 0.0, 100.0)


@dataclass(frozen=True)
class BatchReactorSettings:
    """What may be changed.

    batches: how many
    noise, dirt: multiply the instruments' errors, and how often they freeze, spike or fail
    """

    batches: int = bounded(80, 1, 2000)
    noise: float = bounded(1.0, 0.0, 20.0)
    dirt: float = bounded(1.0, 0.0, 50.0)


@dataclass(frozen=True)
class BatchRecipe:
    """One batch: what is charged, how it is run, and in which state the plant is.

    charge: kmol of A and B; start, hold: degC at charging and while reacting
    ramp: K/min of the set point; minutes: from charging to the end
    activity: of the catalyst, multiplies k1; clean: share of the heat transfer that is left
    """

    charge: tuple[float, float] = (12.0, 12.0)
    start: float = 20.0
    hold: float = 83.0
    ramp: float = 3.0
    minutes: int = 120
    activity: float = 1.0
    clean: float = 1.0

    def setpoint(self, time: float) -> float:
        """The set point in degC, ``time`` minutes after charging."""
        return min(self.hold, self.start + self.ramp * time)


def rate_constants(temperature: float, activity: float = 1.0) -> tuple[float, float]:
    """k1 and k2 in 1/(kmol min) at ``temperature`` in degC."""
    (a, b), (c, d) = KINETICS
    kelvin = temperature + 273.15
    return activity * math.exp(a - b / kelvin), math.exp(c - d / kelvin)


def jacket_demand(error: float, integral: float, setpoint: float) -> tuple[float, float]:
    """Demand for the jacket inlet temperature in degC, before and after its limits."""
    free = setpoint + 10.0 * error + integral
    return free, min(max(free, 15.0), 120.0)


def derivatives(recipe: BatchRecipe) -> Callable[[float, Sequence[float]], tuple[float, ...]]:
    """The right-hand side for one batch: states MA, MB, MC, MD, T, Tj, I."""
    ua = TRANSFER * recipe.clean
    volume, capacity, flow = JACKET

    def rhs(time: float, state: Sequence[float]) -> tuple[float, ...]:
        a, b, c, d, t, tj, integral = state
        k1, k2 = rate_constants(t, recipe.activity)
        first, second = k1 * a * b, k2 * a * c
        made = REACTION_HEAT[0] * first + REACTION_HEAT[1] * second
        moved = ua * (tj - t)
        body = a * HEAT_CAPACITY[0] + b * HEAT_CAPACITY[1] + c * HEAT_CAPACITY[2] + d * HEAT_CAPACITY[3]
        setpoint = recipe.setpoint(time)
        error = setpoint - t
        free, demand = jacket_demand(error, integral, setpoint)
        return (
            -first - second,
            -first,
            first - second,
            second,
            (made + moved) / body,
            flow * (demand - tj) / volume - moved / (volume * capacity),
            0.15 * error + 0.05 * (demand - free),
        )

    return rhs


def solve(recipe: BatchRecipe, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """States (N, 7) at ``times`` in minutes after charging."""
    first = (*recipe.charge, 0.0, 0.0, recipe.start, recipe.start, 0.0)
    return integrate(derivatives(recipe), times, first, rtol=1e-6, atol=1e-6, max_step=10.0)


def mass_share(moles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mass shares in % of A, B, C, D for kmol (N, 4)."""
    mass = moles * np.array(MOLAR_MASS)
    share: NDArray[np.float64] = 100 * mass / mass.sum(axis=1, keepdims=True)
    return share


def _recipes(rng: np.random.Generator, count: int) -> list[BatchRecipe]:
    """Recipes of a campaign; the jacket fouls and is cleaned every 15 batches."""
    return [
        BatchRecipe(
            charge=(12.0 * (1 + 0.03 * rng.standard_normal()), 12.0 * (1 + 0.02 * rng.standard_normal())),
            start=float(rng.uniform(15, 28)),
            hold=float(83 + 1.5 * rng.standard_normal()),
            ramp=float(rng.uniform(2, 4)),
            minutes=int(rng.integers(90, 151)),
            activity=float(math.exp(0.10 * rng.standard_normal())),
            clean=float(1 - 0.02 * (number % 15) + 0.02 * rng.standard_normal()),
        )
        for number in range(count)
    ]


def _run(seed: int, settings: BatchReactorSettings) -> Simulation:
    rng = np.random.default_rng(seed)
    recipes = _recipes(rng, int(settings.batches))
    parts, true, clocks, start = [], [], [], 0.0
    for recipe in recipes:
        times = np.arange(recipe.minutes + 1, dtype=np.float64) * STEP
        states = solve(recipe, times)
        setpoint = np.array([recipe.setpoint(time) for time in times])
        demand = np.array(
            [jacket_demand(s - t, i, s)[1] for s, t, i in zip(setpoint, states[:, 4], states[:, 6], strict=True)]
        )
        parts.append(states)
        true.append(np.column_stack([states[:, 4], states[:, 5], setpoint, demand]))
        clocks.append(start + times)
        start += recipe.minutes + float(rng.integers(45, 120))  # emptying, cleaning, charging
    lengths = [len(part) for part in parts]
    last = np.cumsum(lengths) - 1
    moles, shown = np.concatenate(parts)[:, :4], np.concatenate(true)
    seen = sense(shown, _INSTRUMENTS, rng, noise=settings.noise, dirt=Dirt(scale=settings.dirt))
    share = mass_share(moles)[:, 2]
    charge = np.array([recipe.charge for recipe in recipes]) * np.array(MOLAR_MASS[:2])
    weighed = charge * (1 + 0.002 * settings.noise * rng.standard_normal(charge.shape))
    result = sense(share[last][:, None], (_LAB,), rng, noise=settings.noise, dirt=Dirt(scale=0)).values[:, 0]
    lab = np.full((len(shown), 2), np.nan)
    lab[last, 0] = result
    lab[last, 1] = result < SPECIFICATION
    batch = np.repeat(np.arange(len(recipes), dtype=np.int32), lengths)
    values = np.column_stack([seen.values, np.round(weighed, 1)[batch], lab])
    truth: dict[str, NDArray[Any]] = {
        "moles": moles,
        "T_reactor": shown[:, 0],
        "T_jacket": shown[:, 1],
        "share_C": share,
        "hold": np.array([recipe.hold for recipe in recipes]),
        "charge": charge,
        "activity": np.array([recipe.activity for recipe in recipes]),
        "clean": np.array([recipe.clean for recipe in recipes]),
        **seen.truth(shown),
    }
    clock = START + (np.concatenate(clocks) * 60e9).astype("timedelta64[ns]")
    table = table_of("batch_reactor", COLUMNS, values, time=clock, batch=batch, batch_names=numbered("B", len(recipes)))
    return Simulation(table, truth, _plans(seed, settings))


def _plans(seed: int, settings: BatchReactorSettings) -> Plans:
    common = {
        "data": {"plant": "batch_reactor", "seed": seed},
        "split": {"kind": "batch", "train": 0.6, "validation": 0.2, "test": 0.2},
    }
    whole = {"windows": {"lookback": "batch"}}
    grade = {"kind": "fault_diagnosis", "target": "quality", "normal": "good"}
    return {
        "batch_quality": {
            **common,
            "task": {"kind": "batch_quality", "target": "share_C"},
            "windows": {"lookback": "elapsed", "stride": 5},
        },
        "batch_end_time": {
            **common,
            "task": {"kind": "batch_end_time"},
            "windows": {"lookback": "elapsed", "stride": 5},
        },
        "soft_sensor": {**common, **whole, "task": {"kind": "soft_sensor", "target": "share_C"}},
        "fault_diagnosis": {**common, **whole, "task": grade},
    }


plants.register("batch_reactor", beside=__file__)(Plant("batch_reactor", BatchReactorSettings, COLUMNS, _plans, _run))

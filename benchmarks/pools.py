"""How the weights of a pool of classes should be found, on development data that no other benchmark judges by.

    BACKMIX_DATA=... python benchmarks/pools.py [--seeds 0 1 2] [--draws 10] [--reactors 4] [--kept folder]
        >> benchmarks/LOG.md

Development data: five faults drawn from the *training* files of the Tennessee Eastman process, each run cut
60/20/20 in time, so often; and simulated reactors with other seeds than that of the examples. For each of them the
networks and what stands beside them are trained once, weights are found by every rule from what was said of
held-out blocks, and the pool is judged on the test part. The ratio is the geometric mean over the sets of
(wrong windows + 1) / (those of the greatest likelihood + 1). What the models said is kept in ``--kept``, set by
set; what is there is not trained again.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

os.environ.setdefault("KERAS_BACKEND", "jax")

from scipy.optimize import minimize

from backmix.data.ledger import Ledger
from backmix.data.sources import Reading, read
from backmix.data.table import Table
from backmix.decision import Decision
from backmix.models.ensemble import Ensemble, combine, logarithms
from backmix.models.heads import Kind, heads
from backmix.training.design import design
from backmix.training.ensemble import ALONE, MOST_POWER, aims, ensemble_blocks, fit_candidates, log_linear_weights
from backmix.training.networks import train_networks
from backmix.training.plan import Plan
from backmix.training.predict import predict_network
from backmix.training.prepare import prepare
from backmix.training.prepared import Prepared

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Rule = Callable[[list[Floats], Floats, Kind, Codes], Floats]
FAULTS, EACH = 21, 5


@dataclass(frozen=True, eq=False)
class Said:
    """What C models said of a set.

    held: (C, W, O) of held-out blocks, with the truth (W, O) and the number of the block (W,)
    test: (C, V, O) of the test part, with the classes (V,) there
    """

    held: Floats
    truth: Floats
    block: Codes
    test: Floats
    wanted: Codes
    kind: Kind


def main() -> None:
    """Train once per set, weigh by every rule, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--reactors", type=int, default=4)
    parser.add_argument("--kept", type=Path)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", message=".*sklearn.utils.parallel.*")
    scores: dict[str, list[tuple[float, float]]] = {name: [] for name in RULES}
    windows = []
    for seed in arguments.seeds:
        for name, made in development(arguments.draws, arguments.reactors, seed):
            said = recalled(arguments.kept, f"{seed} {name}", made)
            windows.append(len(said.wanted))
            for rule, find in RULES.items():
                weights = find(list(said.held), said.truth, said.kind, said.block)
                scores[rule].append(judged(pooled(said.test, weights, said.kind), said.wanted, said.kind))
            print(
                seed,
                name,
                {rule: round(100 * found[-1][0], 2) for rule, found in scores.items()},
                file=sys.stderr,
                flush=True,
            )
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    seeds = " ".join(map(str, arguments.seeds))
    print(
        f"Command: `python benchmarks/pools.py --seeds {seeds} --draws {arguments.draws} "
        f"--reactors {arguments.reactors}` · commit {commit.stdout.strip()} · {datetime.now(UTC):%Y-%m-%d} · "
        f"{platform.machine()}, {os.cpu_count()} cores · {len(windows)} sets.\n"
    )
    print(
        "| rule | ratio of errors | largest | better, worse | wrong windows | log loss |\n"
        "| --- | --- | --- | --- | --- | --- |"
    )
    first = np.array([error for error, _ in next(iter(scores.values()))]) * windows
    for rule, found in scores.items():
        wrong = np.array([error for error, _ in found]) * windows
        ratios = (wrong + 1) / (first + 1)
        print(
            f"| {rule} | {np.exp(np.mean(np.log(ratios))):.3f} | {ratios.max():.2f} | {np.sum(ratios < 1)}, "
            f"{np.sum(ratios > 1)} | {100 * np.mean([error for error, _ in found]):.2f} % "
            f"| {np.mean([lost for _, lost in found]):.3f} |"
        )


def development(draws: int, reactors: int, seed: int) -> Iterator[tuple[str, Callable[[], Prepared]]]:
    """The sets: their names, and what makes them ready for training."""
    rng = np.random.default_rng(seed)
    plan = Plan.check(
        {
            "data": {"set": "tennessee_eastman", "protocol": "all"},
            "task": {"kind": "fault_diagnosis", "target": "fault"},
            "windows": {"lookback": 20},
            "split": {"kind": "chronological", "within": "batch"},
            "training": {"seed": seed},
        }
    )
    table = read(plan.data).table
    for _ in range(draws):
        faults = sorted(rng.choice(np.arange(1, FAULTS + 1), EACH, replace=False).tolist())
        yield f"faults {' '.join(map(str, faults))}", partial(_drawn, table, faults, plan)
    for number in range(1, reactors + 1):
        asked = Plan.check(
            {
                "data": {"plant": "cstr", "seed": 100 + 10 * seed + number},
                "task": {"kind": "fault_diagnosis", "target": "fault", "normal": "normal"},
                "repair": {"outliers": "mask"},
                "windows": {"lookback": "90min", "stride": 3},
                "training": {"seed": seed},
            }
        )
        yield f"reactor {100 + 10 * seed + number}", partial(_simulated, asked)


def _drawn(table: Table, faults: list[int], plan: Plan) -> Prepared:
    names = {f"d{fault:02d}" for fault in faults}
    seen = table.without(*(name for name in table.batch_names if name not in names))
    return prepare(Reading(seen, Ledger(read=len(seen))), plan)


def _simulated(plan: Plan) -> Prepared:
    return prepare(read(plan.data), plan)


def recalled(folder: Path | None, name: str, made: Callable[[], Prepared]) -> Said:
    """What was kept under this name, else what networks and candidates say that are trained now."""
    path = None if folder is None else folder / f"{name.replace(' ', '_')}.npz"
    if path is not None and path.exists():
        with np.load(path) as arrays:
            kind: Kind = "binary" if arrays["kind"] == "binary" else "classes"
            return Said(**{key: arrays[key] for key in arrays.files if key != "kind"}, kind=kind)
    said = trained(made())
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, **asdict(said))
    return said


def trained(prepared: Prepared) -> Said:
    """Networks and candidates are trained, and asked."""
    over = ensemble_blocks(prepared)
    assert not isinstance(over, Decision)
    chosen = design(prepared)
    found = fit_candidates(prepared, over)
    networks = train_networks(prepared, chosen, over, None, ALONE)
    form, outputs = chosen.architecture, prepared.task.answer.outputs
    alone = [Ensemble(form, networks.members, (), np.ones((1, outputs)))]
    alone += [
        Ensemble(form, networks.members[-1:], (one.part,), np.repeat([[0.0], [1.0]], outputs, axis=1)) for one in found
    ]
    return Said(
        held=np.stack([networks.out_of_fold, *(one.out_of_fold for one in found)]),
        truth=aims(prepared, over),
        block=over.code,
        test=np.stack([predict_network(one, prepared.test) for one in alone]).astype(float),
        wanted=np.asarray(prepared.test.truth()[:, 0], np.int64),
        kind=heads.get(prepared.task.answer.head).kind,
    )


def pooled(said: Sequence[Floats] | Floats, weights: Floats, kind: Kind) -> Floats:
    """The pool with weights (C,)."""
    chances: Floats = combine(list(said), np.repeat(weights[:, None], said[0].shape[1], axis=1), kind)
    return chances


def judged(chances: Floats, wanted: Codes, kind: Kind) -> tuple[float, float]:
    """Share of wrong windows and log loss."""
    if kind == "binary":
        chances = np.column_stack([1 - chances[:, 0], chances[:, 0]])
    told = chances[np.arange(len(wanted)), wanted]
    return float(np.mean(chances.argmax(axis=1) != wanted)), float(-np.mean(np.log(np.maximum(told, 1e-12))))


def least(said: list[Floats], truth: Floats, kind: Kind, *, squared: bool = False, penalty: float = 0.0) -> Floats:
    """The weights of the least log loss (the greatest likelihood) or squared error of chances over all windows.

    penalty: on their squared distance from equal ones
    """
    logs, equal = np.stack([logarithms(one, kind) for one in said]), np.full(len(said), 1 / len(said))

    def cost(weights: Floats) -> tuple[float, Floats]:
        chances = pooled(said, weights, kind)
        away = chances - truth
        if squared:
            middle = chances * logs if kind == "binary" else (chances * logs).sum(axis=2, keepdims=True)
            lost, slope = np.square(away).sum(axis=1), 2 * (away * chances * (logs - middle)).sum(axis=2)
        else:
            told = (1 - np.abs(away)).prod(axis=1) if kind == "binary" else (chances * truth).sum(axis=1)
            lost, slope = -np.log(np.maximum(told, 1e-12)), (away * logs).sum(axis=2)
        return (
            float(lost.mean() + penalty * np.sum(np.square(weights - equal))),
            slope.mean(axis=1) + 2 * penalty * (weights - equal),
        )

    found: Floats = minimize(cost, equal, jac=True, method="L-BFGS-B", bounds=[(0.0, MOST_POWER)] * len(said)).x
    return found


def over_blocks(how: Callable[[list[Floats]], Floats]) -> Rule:
    """Weights of the greatest likelihood in each block alone, and one of them all."""
    return lambda said, truth, kind, block: how(
        [least([one[block == code] for one in said], truth[block == code], kind) for code in np.unique(block)]
    )


RULES: dict[str, Rule] = {
    "greatest likelihood": lambda said, truth, kind, block: least(said, truth, kind),
    "least geometric mean of the losses of blocks: the default": log_linear_weights,
    "mean over blocks of each block's weights": over_blocks(lambda found: np.mean(found, axis=0)),
    "median over blocks of each block's weights": over_blocks(lambda found: np.median(found, axis=0)),
    "least squared error of chances (Brier)": lambda said, truth, kind, block: least(said, truth, kind, squared=True),
    "likelihood, penalty 0.01 toward equal": lambda said, truth, kind, block: least(said, truth, kind, penalty=0.01),
    "likelihood, penalty 1 toward equal": lambda said, truth, kind, block: least(said, truth, kind, penalty=1.0),
    "equal weights": lambda said, truth, kind, block: np.full(len(said), 1 / len(said)),
}
"""The first one is what the others are compared with."""


if __name__ == "__main__":
    main()

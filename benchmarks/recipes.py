"""Recipes of the default model on many data sets, beside the best single baseline.

    BACKMIX_DATA=... python benchmarks/recipes.py [--seeds 5] [--sets debutanizer:C ...] [--recipes auto course ...]
        [--kept results.jsonl] >> benchmarks/LOG.md

Every run is the standard plan of its set with the settings of a recipe and nothing else. The ratio is
the error (RMSE, or share of wrong classes) of the model over that of the best baseline *on the test part*, which
no one could know beforehand. Baselines learn from the same windows as the model: where it is taught by the
validation part, so are they. Results are kept line by line in ``--kept``; what is there is not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("KERAS_BACKEND", "jax")


from backmix.data.sets import plan as standard_plan
from backmix.data.sources import read
from backmix.decision import Decision
from backmix.scoring.judgement import score_baselines
from backmix.scoring.rounds import error
from backmix.simple import answering
from backmix.tasks import tasks
from backmix.training.design import design
from backmix.training.ensemble import ensemble_blocks, fit_model
from backmix.training.plan import Plan
from backmix.training.prepare import prepare

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
SETS = (
    "debutanizer:A",
    "debutanizer:B",
    "debutanizer:C",
    "tennessee_eastman:case1",
    "tennessee_eastman:case2",
    "tennessee_eastman:all",
    "cmapss_fd001:capped",
    "cmapss_fd003:capped",
    "cstr_soft_sensor",
    "soft_sensor_cstr.toml",
    "diagnosis_cstr.toml",
    "remaining_life_heat_exchanger.toml",
    "batch_end_time_batch_reactor.toml",
    "batch_quality_batch_reactor.toml",
    "daisy_cstr",
    "daisy_exchanger",
    "daisy_evaporator",
)
"""A data set with its protocol, an example plan, or one of `INLINE`."""
INLINE = {
    "cstr_soft_sensor": {"data": {"plant": "cstr"}, "task": {"kind": "soft_sensor", "target": "C_A"}},
    "daisy_cstr": {
        "data": {"set": "daisy_cstr", "protocol": "coolant_flow"},
        "task": {"kind": "soft_sensor", "target": "concentration"},
    },
    "daisy_exchanger": {
        "data": {"set": "daisy_exchanger"},
        "task": {"kind": "soft_sensor", "target": "outlet_temperature"},
    },
    "daisy_evaporator": {"data": {"set": "daisy_evaporator"}, "task": {"kind": "soft_sensor", "target": "dry_matter"}},
}
RECIPES: dict[str, dict[str, dict[str, Any]]] = {
    "auto": {},
    "course": {"model": {"recipe": "course"}},
    "ridge or lda beside": {"model": {"beside": ["ridge", "lda"]}},
    "no trees beside": {"model": {"beside": ["ridge", "pls", "ridge_statistics", "ridge_summaries", "lda"]}},
    "residual": {"model": {"learns": "residual"}},
    "taught all": {"model": {"taught": "all"}},
    "course, weight decay": {"model": {"recipe": "course"}, "training": {"weight_decay": 0.01}},
    "course, cosine": {"model": {"recipe": "course"}, "training": {"schedule": "cosine", "epochs": 60}},
    "course, averaged": {"model": {"recipe": "course"}, "training": {"average": 0.98}},
    "course, noise": {"model": {"recipe": "course", "noise": 0.1}},
    "course, 8 units": {"model": {"recipe": "course", "units": [8]}},
    "course, huber": {"model": {"recipe": "course"}, "training": {"loss": "huber"}},
    "course, skip": {"model": {"recipe": "course", "skip": True}},
    "course, summaries": {"model": {"recipe": "course", "summaries": True}},
    "course, no summaries": {"model": {"recipe": "course", "summaries": False}},
}
"""What is compared: the default, parts of it, and single changes of one plain network."""


def main() -> None:
    """Run what is missing and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("--recipes", nargs="*", default=["auto"], choices=list(RECIPES))
    parser.add_argument("--kept", type=Path)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", message=".*sklearn.utils.parallel.*")
    kept = (
        []
        if arguments.kept is None or not arguments.kept.exists()
        else [json.loads(line) for line in arguments.kept.read_text().splitlines()]
    )
    for name in arguments.sets:
        done = {(one["set"], one["recipe"], one["seed"]) for one in kept}
        wanted = [
            (recipe, seed)
            for recipe in arguments.recipes
            for seed in range(arguments.seeds)
            if (name, recipe, seed) not in done
        ]
        for found in _results(name, wanted):
            kept.append(found)
            print(json.dumps(found), file=sys.stderr, flush=True)
            if arguments.kept is not None:
                with arguments.kept.open("a") as file:
                    file.write(json.dumps(found) + "\n")
    _print(kept, arguments)


def plan_of(name: str) -> Plan:
    """The standard plan of a set."""
    if name in INLINE:
        return Plan.check(INLINE[name])
    if name.endswith(".toml"):
        return Plan.load(EXAMPLES / name)
    return Plan.check(standard_plan(*name.split(":")))


def _results(name: str, wanted: list[tuple[str, int]]) -> Any:
    """One result after the other: what does not depend on the seed is computed once."""
    if not wanted:
        return
    plan = plan_of(name)
    reading = read(plan.data, base=EXAMPLES)
    prepared, beside = {}, {}
    kind = tasks.get(plan.the_task.kind).Answer.kind
    for recipe, seed in wanted:
        if ("huber" in recipe and plan.the_task.kind == "fault_diagnosis") or (
            recipe == "residual" and plan.the_task.kind not in ("soft_sensor", "remaining_life")
        ):
            continue  # for numbers alone
        fitting = [
            part for part in RECIPES[recipe].get("model", {}).get("beside", ()) if part in answering(kind, members=True)
        ]
        changes = {**RECIPES[recipe], "training": {**RECIPES[recipe].get("training", {}), "seed": seed}}
        if fitting:
            changes["model"] = {**changes["model"], "beside": fitting}
        asked = plan.merged(changes)
        if recipe not in prepared:
            prepared[recipe] = prepare(reading, asked)
            over = ensemble_blocks(prepared[recipe])
            every = not isinstance(over, Decision)
            if every not in beside:
                beside[every] = score_baselines(prepared[recipe], over)
        ready = replace(prepared[recipe], plan=asked)
        over = ensemble_blocks(ready)
        rivals = beside[not isinstance(over, Decision)]
        start = time.perf_counter()
        ensemble = fit_model(ready, design(ready), over)
        seconds = time.perf_counter() - start
        judged = replace(rivals, prepared=ready).judge(ensemble.model, name=ensemble.name, ensemble=ensemble)
        yield _result(name, recipe, seed, judged, ensemble, seconds)


def _result(name: str, recipe: str, seed: int, judged: Any, ensemble: Any, seconds: float) -> dict[str, Any]:
    verdict = judged.verdict
    best, model = verdict.best_on_test, verdict.network
    low, high = (None if end is None else error(verdict.metric, end) for end in (model.ends.low, model.ends.high))
    weights = next((decision.value for decision in ensemble.decisions if decision.setting == "model.beside"), "")
    return {
        "set": name,
        "recipe": recipe,
        "seed": seed,
        "metric": verdict.metric,
        "error": error(verdict.metric, model.value),
        "best": best.model,
        "best_error": error(verdict.metric, best.value),
        "ends": [low, high],
        "gain": [verdict.gain_ends.low, verdict.gain_ends.high],
        "alone": None if verdict.alone is None else error(verdict.metric, verdict.alone.value),
        "outcome": verdict.outcome,
        "weights": weights,
        "seconds": round(seconds, 1),
        "baselines": {
            row.model: error(verdict.metric, row.value)
            for row in judged.scores
            if row.part == "test" and row.metric == verdict.metric and row.value is not None
        },
    }


def _print(kept: list[dict[str, Any]], arguments: argparse.Namespace) -> None:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    recipes = " ".join(f'"{name}"' if " " in name else name for name in arguments.recipes)
    print(f"\n## Recipes of the default model, {datetime.now(UTC):%Y-%m-%d}\n")
    print(
        f"Command: `python benchmarks/recipes.py --seeds {arguments.seeds} --recipes {recipes}` · commit "
        f"{commit.stdout.strip()} · {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} · "
        f"seeds 0 … {arguments.seeds - 1}.\n"
    )
    for recipe in arguments.recipes:
        print(f"### {recipe}\n")
        print(
            "| set | error: mean (spread over seeds) | networks alone | best baseline | ratio | verdicts "
            "| weights of seed 0 | seconds |\n| --- | --- | --- | --- | --- | --- | --- | --- |"
        )
        ratios = []
        for name in arguments.sets:
            found = [
                one for one in kept if one["set"] == name and one["recipe"] == recipe and one["seed"] < arguments.seeds
            ]
            if not found:
                continue
            errors = np.array([one["error"] for one in found])
            best = np.array([one["best_error"] for one in found])
            ratios.append(float(errors.mean() / best.mean()) if best.mean() > 0 else float("nan"))
            alone = [one["alone"] for one in found if one["alone"] is not None]
            spread = errors.std(ddof=1) / errors.mean() if len(errors) > 1 else 0.0
            outcomes = ", ".join(dict.fromkeys(one["outcome"] for one in found))
            networks = np.mean(alone) if alone else errors.mean()
            cells = [
                name,
                f"{errors.mean():.4g} ({100 * spread:.1f} %)",
                f"{networks:.4g}",
                f"{found[0]['best']} {best.mean():.4g}",
                f"{ratios[-1]:.3f}",
                outcomes,
                found[0]["weights"],
                f"{np.median([one['seconds'] for one in found]):.0f}",
            ]
            print(f"| {' | '.join(cells)} |")
        print(f"\nMean ratio over {len(ratios)} sets: {np.nanmean(ratios):.3f}; largest {np.nanmax(ratios):.3f}.\n")


if __name__ == "__main__":
    main()

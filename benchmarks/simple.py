"""What simple models cost and how good they are, as baselines and as members of an ensemble, without any network.

    BACKMIX_DATA=... python benchmarks/simple.py [--seeds 2] [SET ...] > results.jsonl

One line of JSON per set and seed: of each model seconds, processor seconds, the error (RMSE, or share of wrong
classes) on the validation part, for which it was held out, and on the test part; of all of them together the weights
by which an ensemble without networks would take them, and its error on the test part.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from typing import Any

import numpy as np

os.environ.setdefault("KERAS_BACKEND", "jax")

from recipes import EXAMPLES, plan_of

from backmix.data.sources import read
from backmix.data.windows.progress import complete
from backmix.data.windows.slices import slices
from backmix.data.windows.windows import Windows
from backmix.decision import Decision
from backmix.models.ensemble import combine
from backmix.models.heads import heads
from backmix.outcome import Outcome
from backmix.simple import ALIASES
from backmix.simple.blocks import Blocks
from backmix.training.beside import Candidate, baselines_of, candidates_of, fit_together
from backmix.training.ensemble import aims, ensemble_blocks, log_linear_weights, sparse_stacking_weights
from backmix.training.prepare import prepare
from backmix.training.prepared import Prepared

SETS = (
    "debutanizer:A",
    "debutanizer:B",
    "debutanizer:C",
    "daisy_cstr",
    "daisy_exchanger",
    "daisy_evaporator",
    "tennessee_eastman:case1",
    "cstr_soft_sensor",
    "batch_quality_batch_reactor.toml",
    "batch_end_time_batch_reactor.toml",
    "batch_quality_batch_dryer.toml",
    "batch_end_time_batch_dryer.toml",
    "diagnosis_cstr.toml",
    "remaining_life_heat_exchanger.toml",
    "cmapss_fd001:capped",
    "forecast_daisy_cstr.toml",
)


def main() -> None:
    """Fit and score the simple models of some sets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", default=SETS)
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    for name in arguments.sets:
        for seed in range(arguments.seeds):
            print(json.dumps(result(name, seed)), flush=True)


def result(name: str, seed: int) -> dict[str, Any]:
    """All that is measured on a set."""
    plan = plan_of(name).merged({"training": {"seed": seed}})
    prepared = prepare(read(plan.data, base=EXAMPLES), plan)
    task, over = prepared.task, ensemble_blocks(prepared)
    begun, used = time.perf_counter(), time.process_time()
    models = fit_together(prepared, over)
    candidates: list[Candidate] = []
    if not isinstance(over, Decision):
        models, candidates = candidates_of(models, task, over, plan.model.beside)
    models, baselines = baselines_of(models, task, plan.evaluation.baselines)
    found: dict[str, Any] = {
        "set": name,
        "seed": seed,
        "seconds": [round(time.perf_counter() - begun, 2), round(time.process_time() - used, 2)],
        "each": {one: round(spent, 2) for one, spent in models.seconds.items()},
        "unusable": {one: why.key for one, why in models.unusable.items()},
    }
    choosing = task.judging.selection_windows(prepared.validation)
    for one in sorted({*models.fitted, *baselines.predictors}):
        fitted = models[one]
        found[ALIASES.get(one, one)] = [
            error(task.kind, task.revise(model.predict(windows), windows), windows)
            for model, windows in ((fitted.before, choosing), (fitted.model, prepared.test))
        ]
    if not isinstance(over, Decision):
        found |= together(prepared, over, candidates)
    return found


def error(kind: str, outcome: Outcome, windows: Windows) -> float:
    """RMSE, or the share of wrong classes."""
    if kind == "regression":
        return float(np.sqrt(np.mean((outcome.values - windows.truth()) ** 2)))
    return float(np.mean(outcome.probabilities.argmax(axis=1) != windows.truth()[:, 0]))


def together(prepared: Prepared, over: Blocks, candidates: list[Candidate]) -> dict[str, Any]:
    """Weights and test error of the members as an ensemble without networks."""
    task, truth = prepared.task, aims(prepared, over)
    kind = heads.get(task.answer.head).kind
    there = np.isin(over.pool.origins, task.judging.selection_windows(over.pool).origins)
    held = [candidate.out_of_fold[there] for candidate in candidates]
    weights = (
        sparse_stacking_weights(held, truth[there])
        if kind == "regression"
        else log_linear_weights(held, truth[there], kind, over.code[there])
    )
    raw = [outputs(candidate, prepared.test) for candidate, weight in zip(candidates, weights, strict=True) if weight]
    whole = combine(raw, np.repeat(weights[weights > 0, None], truth.shape[1], axis=1), kind)
    named = zip(candidates, weights, strict=True)
    return {
        "weights": {candidate.part.name: round(float(weight), 3) for candidate, weight in named if weight},
        "together": error(task.kind, task.answer.decode(whole, prepared.test), prepared.test),
    }


def outputs(candidate: Candidate, windows: Windows) -> Any:
    """What a member says of windows, (W, O)."""
    found = []
    for at in slices(windows):
        batch = windows.gather(at)
        ended = complete(windows.subset(at)) if candidate.part.kind == "staged" else None
        found.append(candidate.part.outputs(batch.x, batch.mask, ended))
    return np.concatenate(found)


if __name__ == "__main__":
    main()

"""The defaults on a folder of plans that nobody tuned them for.

    python benchmarks/unseen.py FOLDER [--only NAME ...] [--seeds 1] [--kept results.jsonl] >> table.md

Every ``plan.toml`` (or ``*.toml``) below the folder is run whole, as ``backmix run`` does, in a folder that is
thrown away. Printed are the error of what was deployed over that of the simple model that the validation part chose
(the ratio that an engineer gets) and over the best in hindsight (which nobody could know), whether the difference is
noise, what share of the truth lies in the 90 % intervals, false alarms where a rate was promised, who got no answer,
and the time. Plans that fail are a row of their own, with the error. Results are kept line by line in ``--kept``;
what is there is not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("KERAS_BACKEND", "jax")

import backmix
from backmix.errors import BackmixError
from backmix.scoring.rounds import error
from backmix.training.plan import Plan

ASKED = 0.9
"""The share that an interval promises to hold unless the plan says otherwise."""
NOISE = ("same", "maybe_better", "maybe_worse", "too_few")
"""Outcomes whose 95 % interval of the difference contains 0, or that have none."""


def main() -> None:
    """Run what is missing and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="*", help="names of folders or plans")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--kept", type=Path)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", message=".*sklearn.utils.parallel.*")
    kept = [] if arguments.kept is None or not arguments.kept.exists() else _lines(arguments.kept)
    done = {(one["set"], one["seed"]) for one in kept}
    plans = {name: path for name, path in _plans(arguments.folder) if arguments.only is None or name in arguments.only}
    for name, path in plans.items():
        for seed in range(arguments.seeds):
            if (name, seed) in done:
                continue
            found = {"set": name, "seed": seed, **_run(path, seed)}
            kept.append(found)
            print(json.dumps(found), file=sys.stderr, flush=True)
            if arguments.kept is not None:
                with arguments.kept.open("a") as file:
                    file.write(json.dumps(found) + "\n")
    _print([one for one in kept if one["set"] in plans and one["seed"] < arguments.seeds], arguments)


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _plans(folder: Path) -> Iterator[tuple[str, Path]]:
    """Every plan below the folder with a short name: that of its own folder where it is called plan.toml."""
    for path in sorted(folder.rglob("*.toml")):
        yield (path.parent.name if path.name == "plan.toml" else path.stem), path


def _run(path: Path, seed: int) -> dict[str, Any]:
    """What a whole run of this plan gives, or the error that ended it."""
    wall, processor = time.perf_counter(), time.process_time()
    try:
        plan = Plan.load(path).merged({"training": {"seed": seed}})
        with tempfile.TemporaryDirectory() as folder:
            summary = backmix.fit(None, plan, folder=Path(folder) / "run", base=path.parent, quiet=True).summary
    except BackmixError as fault:
        return {"fault": str(fault), "task": ""}
    return {
        "task": plan.the_task.kind,
        **_compared(summary["judgement"]),
        **_covered(summary["intervals"]),
        "alarms": _alarms(summary, plan),
        "silent": sum(summary["not_judged"]["rows"].values()) + len(summary["not_judged"]["units"]),
        "units_silent": len(summary["not_judged"]["units"]),
        "judged": summary["judgement"]["windows"],
        "weights": next((one["value"] for one in summary["choices"] if one["setting"] == "model.beside"), ""),
        "seconds": round(time.perf_counter() - wall, 1),
        "processor": round(time.process_time() - processor, 1),
        "verdict": summary["verdict"]["en"],
    }


def _compared(judgement: dict[str, Any]) -> dict[str, Any]:
    """The error of the model, and those it is measured against."""

    def told(standing: dict[str, Any] | None) -> tuple[str, float | None]:
        if standing is None or standing["value"] is None:
            return "", None
        return standing["model"], error(judgement["metric"], standing["value"])

    chosen, best = told(judgement["baseline"]), told(judgement["best_on_test"])
    return {
        "metric": judgement["metric"],
        "outcome": judgement["outcome"],
        "error": told(judgement["network"])[1],
        "chosen": chosen[0],
        "chosen_error": chosen[1],
        "best": best[0],
        "best_error": best[1],
        "networks": judgement["recurrent"],
    }


def _covered(intervals: dict[str, Any] | None) -> dict[str, Any]:
    """Coverage of the intervals that a bundle gives for new rows, over all targets: the mean and the least."""
    rows = [
        row
        for row in (intervals or {}).get("coverage") or ()
        if row["method"] == "split" and row["part"] == "test" and row["share"] is not None
    ]
    if not rows:
        return {"coverage": None}
    least = min(rows, key=lambda row: row["share"])
    return {
        "coverage": float(np.mean([row["share"] for row in rows])),
        "coverage_least": least["share"],
        "coverage_ends": [least["low"], least["high"]],
        "width": least["size"],
        "level": (intervals or {}).get("level", ASKED),
    }


def _alarms(summary: dict[str, Any], plan: Plan) -> dict[str, float] | None:
    """The rate of false alarms that was promised, and the one that was found on the test part."""
    asked = getattr(plan.the_task, "false_alarm_rate", None)
    found = [
        row["value"]
        for row in summary["scores"]
        if row["part"] == "test" and row["metric"] == "false_alarm_rate" and row["model"] == summary["network"]
    ]
    if asked is None or not found or found[0] is None:
        return None
    return {"asked": asked, "found": found[0]}


def _print(kept: list[dict[str, Any]], arguments: argparse.Namespace) -> None:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    print(f"\n## Defaults on plans that nobody tuned for, {datetime.now(UTC):%Y-%m-%d}\n")
    print(
        f"Command: `python benchmarks/unseen.py FOLDER --seeds {arguments.seeds}` · commit {commit.stdout.strip()} · "
        f"{_processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} · seeds 0 … {arguments.seeds - 1}.\n"
    )
    print(
        "| set | task | error | chosen by validation | ratio | best in hindsight | ratio | verdict | networks "
        "| coverage of 90 % | false alarms | no answer | s (processor) |\n" + "| --- " * 13 + "|"
    )
    ratios = []
    for name in dict.fromkeys(one["set"] for one in kept):
        found = [one for one in kept if one["set"] == name and "fault" not in one]
        if not found:
            print(f"| {name} | – | {next(one['fault'] for one in kept if one['set'] == name)} |" + " |" * 10)
            continue
        first = found[0]
        own, chosen, best = (_mean(found, key) for key in ("error", "chosen_error", "best_error"))
        if chosen:
            ratios.append(own / chosen)
        cells = [
            name,
            first["task"],
            f"{first['metric']} {own:.4g}",
            f"{first['chosen']} {chosen:.4g}",
            f"{own / chosen:.3f}" if chosen else "–",
            f"{first['best']} {best:.4g}",
            f"{own / best:.3f}" if best else "–",
            ", ".join(dict.fromkeys(one["outcome"] for one in found)),
            "–" if first["networks"] is None else f"{100 * first['networks']:.0f} %",
            _coverage(first),
            "–" if first["alarms"] is None else f"{first['alarms']['found']:.2%} of {first['alarms']['asked']:.2%}",
            f"{first['silent']} ({first['units_silent']} units)",
            f"{np.median([one['seconds'] for one in found]):.0f} ({_mean(found, 'processor'):.0f})",
        ]
        print(f"| {' | '.join(cells)} |")
    if ratios:
        beyond = [
            one["set"]
            for one in kept
            if one.get("chosen_error") and one["error"] > 1.02 * one["chosen_error"] and one["outcome"] not in NOISE
        ]
        print(
            f"\nMean ratio to the simple model that validation chooses: {np.mean(ratios):.3f} over {len(ratios)} sets; "
            f"largest {max(ratios):.3f}; above 1.02 beyond the noise: {', '.join(dict.fromkeys(beyond)) or 'none'}."
        )
    asked = [one for one in kept if one.get("coverage") is not None]
    held = [
        one
        for one in asked
        if 0.85 <= one["coverage_least"] <= 0.95
        or (None not in one["coverage_ends"] and one["coverage_ends"][0] <= one["level"] <= one["coverage_ends"][1])
    ]
    print(
        f"Coverage within 85 to 95 %, or what was asked lies within its interval: {len(held)} of {len(asked)} runs.\n"
    )


def _mean(found: list[dict[str, Any]], key: str) -> float:
    values = [one[key] for one in found if one[key] is not None]
    return float(np.mean(values)) if values else float("nan")


def _coverage(one: dict[str, Any]) -> str:
    if one.get("coverage") is None:
        return "–"
    low, high = one["coverage_ends"]
    ends = "" if low is None else f" [{100 * low:.0f}, {100 * high:.0f}]"
    return f"{100 * one['coverage_least']:.0f} %{ends}, width {one['width']:.3g}"


def _processor() -> str:
    """The name of the processor, as its machine tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()

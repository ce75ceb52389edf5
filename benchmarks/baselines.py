"""How strong and how quick the baselines are, on the protocols of the public data sets.

    BACKMIX_DATA=<folder of data sets> python benchmarks/baselines.py [SET:PROTOCOL ...]

Prints, for every baseline, seconds to fit, the first metric on the validation part, and the
metrics of the task with their intervals on the test part; last the time of all regression baselines
on 5,000 windows of 60 rows and 7 tags. The figures to compare with are in benchmarks/LOG.md.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from backmix.data.sets import sets
from backmix.data.sources import read
from backmix.data.tag import Tag
from backmix.data.windows.windows import Windows
from backmix.scoring.judgement import baseline_frame
from backmix.scoring.scores import model_title, score_table
from backmix.tasks import tasks
from backmix.training.beside import fit_baselines
from backmix.training.plan import Plan
from backmix.training.prepare import prepare

PROTOCOLS = (
    "debutanizer:A",
    "debutanizer:B",
    "debutanizer:C",
    "tennessee_eastman:case1",
    "tennessee_eastman:case2",
    "tennessee_eastman:all",
)


def protocol(name: str) -> None:
    """Fit and score the baselines of one protocol."""
    set_name, _, chosen = name.partition(":")
    plan = Plan.model_validate(sets.get(set_name).plans[chosen])
    prepared = prepare(read(plan.data, base=Path(".")), plan)
    begin = time.perf_counter()
    fitted = fit_baselines(prepared.task, prepared.train, prepared.validation)
    spent = time.perf_counter() - begin
    rows = score_table(
        baseline_frame(fitted, prepared.task, {part: prepared.parts[part] for part in ("validation", "test")}),
        prepared.task,
    )
    counts = ", ".join(f"{part} {len(windows)}" for part, windows in prepared.parts.items())
    print(f"\n{name}: windows {counts}; fitted in {spent:.1f} s")
    for model, seconds in fitted.seconds.items():
        if model in fitted.unusable:
            print(f"  {model_title(model):28} not usable: {fitted.unusable[model].reason()}")
            continue
        mine = [row for row in rows if row.model == model]
        chosen_on = next(row for row in mine if row.part == "validation")
        tested = "; ".join(f"{row.metric} {row.text()}" for row in mine if row.part == "test" and row.value is not None)
        print(f"  {model_title(model):28} {seconds:5.1f} s  validation {chosen_on.text():24}  test {tested}")


def speed() -> None:
    """Time all regression baselines on 5,000 windows of 60 rows and 7 tags."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(6000, 60, 7))
    y = x[:, -3, 0] + 0.5 * x[:, -1, 1] + 0.1 * generator.normal(size=6000)
    windows = Windows.from_arrays(x, y)
    kind = tasks.get("soft_sensor")
    task = kind(settings=kind.Settings(target="y1"), targets=(Tag("y1", role="target"),))
    begin, used = time.perf_counter(), time.process_time()
    fit_baselines(task, windows.subset(np.arange(5000)), windows.subset(np.arange(5000, 6000)))
    print(f"\n5,000 x 60 x 7: {time.perf_counter() - begin:.1f} s, processor {time.process_time() - used:.1f} s")


if __name__ == "__main__":
    for wanted in sys.argv[1:] or PROTOCOLS:
        protocol(wanted)
    speed()

"""What is left of a refit: its folder.

This module writes the rounds, the report in both languages, the predictions and the bundles of a refit,
and reads the summary of a finished one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backmix.report.refit import RoundsReport, render_rounds
from backmix.results.folders import PREDICTIONS, ModelFolder
from backmix.rolling.contender import Contender
from backmix.rolling.refit_setup import RefitSetup
from backmix.scoring.rounds import IN_CHARGE, NEVER, NEW, Round
from backmix.scoring.scores import Sampling
from backmix.scoring.verdict import Verdict, judge
from backmix.serving.bundle import Bundle
from backmix.storage import json_ready, write_atomic, write_json
from backmix.text import LANGUAGES

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class RefitResults:
    """All that came out of the rounds.

    promoted: the challengers that were, in their order; champion: who is in charge at the end
    frames: per round the predictions of all models but the challenger on its judged rows
    """

    setup: RefitSetup
    rounds: tuple[Round, ...]
    promoted: tuple[Contender, ...]
    champion: Contender
    frames: tuple[pd.DataFrame, ...]
    sampling: Sampling


class Refit(ModelFolder):
    """A finished refit.

    summary: rounds, verdict, settings ... ready for JSON
    The bundle is that of who is in charge at the end; of an untouched champion its own bytes.
    """

    bundle_name = "champion.backmix"
    summary_name = "rounds.json"
    needed = frozenset({"rounds", "verdict", "settings"})
    missing = "refit.no_refit"


def record_refit(folder: Path, results: RefitResults) -> Refit:
    """Write everything into a folder, the summary last."""
    import pandas as pd

    report = _report(results)
    pages = {lang: render_rounds(report, lang) for lang in LANGUAGES}
    for lang, page in pages.items():
        write_atomic(folder / f"report.{lang}.html", page)
    if results.frames:
        frame = pd.concat(results.frames, ignore_index=True)
        write_atomic(folder / PREDICTIONS, lambda file: frame.to_parquet(file))
    for challenger in results.promoted:
        _with_round(challenger, results.rounds[challenger.since - 1]).save(_bundle_path(folder, challenger))
    champion = folder / Refit.bundle_name
    if results.promoted:
        write_atomic(champion, _bundle_path(folder, results.champion).read_bytes())
    elif results.setup.path is not None:
        write_atomic(champion, results.setup.path.read_bytes())
    else:
        results.champion.bundle.save(champion)
    summary = json_ready(
        {
            "verdict": {lang: report.verdict(lang) for lang in LANGUAGES},
            "metric": report.metric,
            "unit": report.unit,
            "rounds": [turn.to_dict() for turn in results.rounds],
            "promoted": [challenger.since for challenger in results.promoted],
            "in_charge_since": results.champion.since,
            "overall": None if report.overall is None else report.overall.to_dict(),
            "beside_baseline": None if report.beside is None else report.beside.to_dict(),
            "settings": settings_of(results.setup),
            "plan": results.setup.plan.to_toml(),
        }
    )
    write_json(folder / Refit.summary_name, summary)
    return Refit(folder=folder, summary=summary)


def settings_of(setup: RefitSetup) -> dict[str, Any]:
    """The settings of a refit, with what "auto" became."""
    layout = setup.layout
    return setup.plan.refit.model_dump(mode="json") | {
        "every_rows": layout.cuts[1] - layout.cuts[0],
        "window_rows": layout.window,
        "old_rows": layout.old,
        "held_rows": int(layout.held_out.sum()),
        "label_delay_rows": layout.delay,
    }


def _report(results: RefitResults) -> RoundsReport:
    import pandas as pd

    bundle = results.setup.champion.bundle
    task = bundle.preprocessing.task
    overall: Verdict | None = None
    beside: Verdict | None = None
    if results.frames:
        frame = pd.concat(results.frames, ignore_index=True)
        overall = judge(
            frame[frame["model"].isin([IN_CHARGE, NEVER])],
            task,
            network=IN_CHARGE,
            sampling=results.sampling,
            judged=NEW,
        )
        others = frame[~frame["model"].isin([NEVER])]
        if others["model"].nunique() > 1:
            beside = judge(others, task, network=IN_CHARGE, sampling=results.sampling, judged=NEW)
    return RoundsReport(
        task=task,
        rounds=results.rounds,
        overall=overall,
        beside=beside,
        settings=settings_of(results.setup),
        level=results.sampling.level,
        plan=results.setup.plan.to_toml(),
        title=results.setup.plan.report.title,
    )


def _bundle_path(folder: Path, challenger: Contender) -> Path:
    """Where the bundle of a promoted challenger is kept."""
    return folder / f"round-{challenger.since:02d}.backmix"


def _with_round(challenger: Contender, turn: Round) -> Bundle:
    """The bundle of a promoted challenger, with the round that it won."""
    return replace(
        challenger.bundle,
        scores={
            **challenger.bundle.scores,
            "round": json_ready(turn.to_dict()),
            "verdict": {lang: turn.decision.reason(lang) for lang in LANGUAGES},
        },
    )

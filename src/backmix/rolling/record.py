"""What is left of a refit: its folder.

This module writes the rounds, the report in both languages, the predictions and the bundles of a refit,
and reads the summary of a finished one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backmix.errors import InputError
from backmix.report.refit import RoundsReport, render_rounds
from backmix.rolling.contender import Contender
from backmix.rolling.stage import Stage
from backmix.scoring.rounds import IN_CHARGE, NEVER, NEW, Round
from backmix.scoring.scores import Sampling
from backmix.scoring.verdict import Verdict, judge
from backmix.serving.bundle import Bundle
from backmix.serving.folders import ModelFolder
from backmix.storage import write_atomic
from backmix.text import LANGUAGES

if TYPE_CHECKING:
    import pandas as pd

ROUNDS = "rounds.json"
CHAMPION = "champion.backmix"
PREDICTIONS = "predictions.parquet"


@dataclass(frozen=True, eq=False)
class Played:
    """All that came out of the rounds.

    promoted: the challengers that were, in their order; champion: who is in charge at the end
    frames: per round the predictions of all models but the challenger on its judged rows
    """

    stage: Stage
    rounds: tuple[Round, ...]
    promoted: tuple[Contender, ...]
    champion: Contender
    frames: tuple[pd.DataFrame, ...]
    sampling: Sampling


@dataclass(frozen=True, eq=False)
class Refit(ModelFolder):
    """A finished refit.

    summary: rounds, verdict, settings ... ready for JSON
    The bundle is that of who is in charge at the end; of an untouched champion its own bytes.
    """

    bundle_name = CHAMPION

    @classmethod
    def load(cls, folder: Path | str) -> Refit:
        """A refit from its folder; InputError when it holds no finished one."""
        folder = Path(folder)
        try:
            summary = json.loads((folder / ROUNDS).read_text("utf-8"))
        except (OSError, ValueError):
            summary = None
        if not isinstance(summary, dict) or not summary.keys() >= {"rounds", "verdict", "settings"}:
            raise InputError("refit.no_refit", where=folder)
        return cls(folder=folder, summary=summary)


def record(folder: Path, played: Played) -> Refit:
    """Write everything into a folder, the summary last."""
    import pandas as pd

    data = _report(played)
    pages = {lang: render_rounds(data, lang) for lang in LANGUAGES}
    for lang, page in pages.items():
        write_atomic(folder / f"report.{lang}.html", page)
    if played.frames:
        frame = pd.concat(played.frames, ignore_index=True)
        write_atomic(folder / PREDICTIONS, lambda file: frame.to_parquet(file))
    for one in played.promoted:
        told = played.rounds[one.since - 1]
        _kept(one, told).save(folder / f"round-{one.since:02d}.backmix")
    if played.promoted:
        write_atomic(folder / CHAMPION, (folder / f"round-{played.champion.since:02d}.backmix").read_bytes())
    elif played.stage.path is not None:
        write_atomic(folder / CHAMPION, played.stage.path.read_bytes())
    else:
        played.champion.bundle.save(folder / CHAMPION)
    summary = {
        "verdict": {lang: data.verdict(lang) for lang in LANGUAGES},
        "metric": data.metric,
        "unit": data.unit,
        "rounds": [told.to_dict() for told in played.rounds],
        "promoted": [one.since for one in played.promoted],
        "in_charge_since": played.champion.since,
        "overall": None if data.overall is None else data.overall.to_dict(),
        "beside_baseline": None if data.beside is None else data.beside.to_dict(),
        "settings": settings_of(played.stage),
        "plan": played.stage.plan.to_toml(),
    }
    write_atomic(folder / ROUNDS, json.dumps(_plain(summary), ensure_ascii=False, allow_nan=False, indent=1))
    return Refit(folder=folder, summary=json.loads((folder / ROUNDS).read_text("utf-8")))


def settings_of(stage: Stage) -> dict[str, Any]:
    """The settings that were played by, with what "auto" became."""
    layout = stage.layout
    rows = layout.cuts[1] - layout.cuts[0]
    return stage.plan.refit.model_dump(mode="json") | {
        "every_rows": rows,
        "window_rows": layout.window,
        "old_rows": layout.old,
        "held_rows": int(layout.held.sum()),
        "label_delay_rows": layout.delay,
    }


def _report(played: Played) -> RoundsReport:
    import pandas as pd

    bundle = played.stage.champion.bundle
    task = bundle.preprocessing.task
    overall: Verdict | None = None
    beside: Verdict | None = None
    if played.frames:
        frame = pd.concat(played.frames, ignore_index=True)
        overall = judge(
            frame[frame["model"].isin([IN_CHARGE, NEVER])],
            task,
            network=IN_CHARGE,
            sampling=played.sampling,
            judged=NEW,
        )
        others = frame[~frame["model"].isin([NEVER])]
        if others["model"].nunique() > 1:
            beside = judge(others, task, network=IN_CHARGE, sampling=played.sampling, judged=NEW)
    return RoundsReport(
        task=task,
        rounds=played.rounds,
        overall=overall,
        beside=beside,
        settings=settings_of(played.stage),
        level=played.sampling.level,
        plan=played.stage.plan.to_toml(),
        title=played.stage.plan.report.title,
    )


def _kept(one: Contender, told: Round) -> Bundle:
    """The bundle of a promoted challenger, with the round that it won."""
    return replace(
        one.bundle,
        scores={
            **one.bundle.scores,
            "round": _plain(told.to_dict()),
            "verdict": {lang: told.decision.reason(lang) for lang in LANGUAGES},
        },
    )


def _plain(value: Any) -> Any:
    """A value as JSON takes it: a number that is not finite is null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not (abs(value) < float("inf")):
        return None
    return value

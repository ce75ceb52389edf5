"""Champion and challengers, played forward over a table.

This module plays the rounds of a refit. At the end of a stretch a challenger is taught on what is known
then; it is judged beside the champion on the next stretch, which nobody has learned from; at the end of
that one it is promoted or not, and whoever is in charge is scored on the stretch behind. What a round
does depends on no row behind the stretch it was judged on.

    import backmix
    found = backmix.refit("champion.backmix", "newer.csv", settings={"every": "30d"})
    print(found.verdict, found.bundle)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from backmix.data.table import Table
from backmix.errors import InputError, Interrupted, PlanError, TrainingError
from backmix.rolling.contender import Contender, TaughtModel, places, teach
from backmix.rolling.record import ROUNDS, Played, Refit, record
from backmix.rolling.stage import Stage, set_stage
from backmix.scoring.predictions import prediction_frame
from backmix.scoring.rounds import CHALLENGER, IN_CHARGE, NEVER, NEW, OLD, Promotion, Round, RoundScore, compare, decide
from backmix.scoring.scores import Sampling
from backmix.scoring.verdict import Verdict, judge
from backmix.serving.bundle import Bundle
from backmix.simple import fit_baselines
from backmix.storage import hold
from backmix.text import say
from backmix.training.plan import Plan
from backmix.workflow import run_folder

if TYPE_CHECKING:
    import pandas as pd

BASELINE = "baseline"


def refit(
    source: Plan | Bundle | Path | str,
    data: Any = None,
    *,
    old: Any = None,
    settings: Mapping[str, Any] | None = None,
    folder: Path | str | None = None,
    watch: Callable[[Round, int], None] | None = None,
) -> Refit:
    """Play a champion and its challengers forward over a table, round by round.

    source: a bundle, the champion; or a plan, whose first rows train the first champion
    data: the table, as for `backmix.fit`; None for the one that the plan or the bundle names. Rows that the
        champion has learned from are old, later ones are new
    old: rows of the old training period where ``data`` has none
    settings: fields of ``[refit]``, see `RefitPlan`
    folder: where everything is kept; one under ``runs/`` when None
    watch: is told each round and how many there are

    Raises PlanError, InputError, BundleError, LeakageError, BusyError, StorageError, Interrupted.
    """
    where = Path(folder) if folder is not None else run_folder("refit")
    if (where / ROUNDS).exists():
        raise PlanError("refit.finished", where=where)
    stage = set_stage(source, data, old, settings or {})
    with hold(where):
        try:
            return record(where, play(stage, watch=watch))
        except (KeyboardInterrupt, Interrupted):
            raise Interrupted("refit.interrupted", where=where) from None


def play(stage: Stage, *, watch: Callable[[Round, int], None] | None = None) -> Played:
    """The rounds of a stage."""
    game = _Game(stage, first=stage.champion, in_charge=stage.champion)
    for number in range(1, stage.layout.count + 1):
        told = game.round(number)
        if watch is not None:
            watch(told, stage.layout.count)
    return Played(
        stage=stage,
        rounds=tuple(game.rounds),
        promoted=tuple(game.promoted),
        champion=game.in_charge,
        frames=tuple(game.frames),
        sampling=game.sampling,
    )


@dataclass
class _Game:
    """Who is in charge as time goes on, and what was told so far."""

    stage: Stage
    first: Contender
    in_charge: Contender
    rounds: list[Round] = field(default_factory=list)
    promoted: list[Contender] = field(default_factory=list)
    frames: list[pd.DataFrame] = field(default_factory=list)
    old_frame: pd.DataFrame | None = None

    @property
    def sampling(self) -> Sampling:
        """How intervals are drawn."""
        chosen = self.stage.plan.evaluation
        return Sampling(draws=chosen.resamples, level=chosen.level, seed=self.stage.plan.training.seed)

    def round(self, number: int) -> Round:
        """Teach a challenger, judge it, and decide."""
        layout, table = self.stage.layout, self.stage.table
        taught, why = self._challenge(number, table.rows(slice(0, layout.cuts[number])))
        seen = table.rows(slice(0, layout.cuts[number + 1]))
        rows = np.zeros(len(seen), bool)
        rows[slice(*layout.judged(number))] = True
        mine = self.in_charge.frame(seen, rows, model=IN_CHARGE, part=NEW)
        decision, verdicts = Promotion(False, "refit.skipped", {"why": why}), None
        if mine is None:
            decision = Promotion(False, "refit.skipped", {"why": say("refit.no_windows")})
        else:
            verdicts = self._compare(mine, seen, rows, taught)
            if taught is not None:
                decision = self._decide(mine, seen, rows, Contender(taught.bundle, number))
        told = Round(
            number=number,
            taught=places(seen, *layout.taught(number)),
            judged=places(seen, *layout.judged(number)),
            windows=0 if verdicts is None else verdicts[0].windows,
            in_charge_since=self.in_charge.since,
            in_charge=None if verdicts is None else RoundScore.of(verdicts[0].network),
            never_updated=None if verdicts is None else RoundScore.of(verdicts[0].baseline),
            baseline=None if verdicts is None or verdicts[1] is None else RoundScore.of(verdicts[1].baseline),
            baseline_name=None
            if verdicts is None or verdicts[1] is None or verdicts[1].baseline is None
            else verdicts[1].baseline.model,
            decision=decision,
        )
        self.rounds.append(told)
        if decision.promoted and taught is not None:
            self.in_charge = Contender(taught.bundle, number)
            self.promoted.append(self.in_charge)
        return told

    def _challenge(self, number: int, known: Table) -> tuple[TaughtModel | None, str]:
        """A challenger from what is known, or why there is none."""
        layout, plan = self.stage.layout, self.stage.plan
        spec = self.in_charge.bundle.preprocessing.spec
        start = self.in_charge.bundle.start("champion") if plan.refit.start == "warm" else None
        try:
            return teach(
                known,
                plan,
                start=start,
                divide=lambda table, gap: layout.divide(number, spec, seed=plan.training.seed, table=table, gap=gap),
            ), ""
        except (InputError, TrainingError) as fault:
            # a stretch without labels, or a training that diverges, must not end the watch of the plant
            return None, str(fault)

    def _compare(
        self, mine: pd.DataFrame, seen: Table, rows: Any, taught: TaughtModel | None
    ) -> tuple[Verdict, Verdict | None]:
        """The model in charge against the first champion, and against the best refitted baseline."""
        import pandas as pd

        task = self.first.bundle.preprocessing.task
        never = (
            mine.assign(model=NEVER)
            if self.in_charge is self.first
            else self.first.frame(seen, rows, model=NEVER, part=NEW)
        )
        frames = [mine] if never is None else [mine, never]
        against = compare(pd.concat(frames, ignore_index=True), task, NEVER, self.sampling)
        beside = None if taught is None else self._baselines(mine, seen, rows, taught)
        if beside is not None:
            frames.append(beside[1])
        self.frames.append(pd.concat(frames, ignore_index=True).assign(round=len(self.rounds) + 1))
        return against, None if beside is None else beside[0]

    def _baselines(
        self, mine: pd.DataFrame, seen: Table, rows: Any, taught: TaughtModel
    ) -> tuple[Verdict, pd.DataFrame] | None:
        """The best baseline by validation, fitted on the challenger's windows: the verdict, and its frame."""
        import pandas as pd

        prepared, plan = taught.prepared, self.stage.plan
        task = prepared.task
        windows = Contender(taught.bundle).windows(seen, rows)
        fitted = fit_baselines(
            task, prepared.train, prepared.validation, seed=plan.training.seed, names=plan.evaluation.baselines
        )
        if windows is None or not fitted.predictors:
            return None
        frames = [
            prediction_frame(task, told, one.predict(told), model=name, part=part)
            for name, one in fitted.predictors.items()
            for part, told in ((NEW, windows), ("validation", prepared.validation))
        ]
        frame = pd.concat([mine, *frames], ignore_index=True)
        verdict = judge(frame, task, network=IN_CHARGE, sampling=self.sampling, judged=NEW)
        if verdict.baseline is None:
            return None
        best = frame[(frame["model"] == verdict.baseline.model) & (frame["part"] == NEW)]
        return verdict, best.assign(model=BASELINE, baseline=verdict.baseline.model)

    def _decide(self, mine: pd.DataFrame, seen: Table, rows: Any, challenger: Contender) -> Promotion:
        import pandas as pd

        layout, task = self.stage.layout, self.first.bundle.preprocessing.task
        found = [mine, challenger.frame(seen, rows, model=CHALLENGER, part=NEW)]
        bound = layout.plan.bound
        if bound != "none":
            before = seen.rows(slice(0, layout.old))
            if self.old_frame is None:
                self.old_frame = self.first.frame(before, layout.held, model=NEVER, part=OLD)
            found += [self.old_frame, challenger.frame(before, layout.held, model=CHALLENGER, part=OLD)]
        if any(frame is None for frame in found):
            return Promotion(False, "refit.skipped", {"why": say("refit.no_windows")})
        return decide(
            pd.concat([frame for frame in found if frame is not None], ignore_index=True),
            task,
            bound=bound,
            sampling=self.sampling,
        )

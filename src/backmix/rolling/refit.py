"""Champion and challengers, played forward over a table.

This module plays the rounds of a refit. At the end of a stretch a challenger is trained on what is known
then; it is judged beside the champion on the next stretch, which neither has learned from; at the end of
that one it is promoted or not, and whoever is in charge is scored on the stretch behind. What a round
does depends on no row behind the stretch it was judged on.

    import backmix
    result = backmix.refit("champion.backmix", "newer.csv", settings={"every": "30d"})
    print(result.verdict, result.bundle)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from backmix.data.segments import Mask
from backmix.data.table import Table
from backmix.errors import InputError, Interrupted, PlanError, TrainingError
from backmix.results.claim import run_folder
from backmix.rolling.contender import Contender, TrainedContender, places, train_contender
from backmix.rolling.refit_record import Refit, RefitResults, record_refit
from backmix.rolling.refit_setup import RefitSetup, set_up_refit
from backmix.scoring.judgement import baseline_frame
from backmix.scoring.rounds import CHALLENGER, IN_CHARGE, NEVER, NEW, OLD, Promotion, Round, RoundScore, compare, decide
from backmix.scoring.scores import Sampling
from backmix.scoring.verdict import Verdict, judge
from backmix.serving.bundle import Bundle
from backmix.storage import hold
from backmix.text import say
from backmix.training.beside import fit_baselines
from backmix.training.plan import Plan

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
    watch: called with each round and how many there are

    Raises PlanError, InputError, BundleError, LeakageError, BusyError, StorageError, Interrupted.
    """
    where = Path(folder) if folder is not None else run_folder("refit")
    if (where / Refit.summary_name).exists():
        raise PlanError("refit.finished", where=where)
    setup = set_up_refit(source, data, old, settings or {})
    with hold(where):
        try:
            return record_refit(where, play_rounds(setup, watch=watch))
        except (KeyboardInterrupt, Interrupted):
            raise Interrupted("refit.interrupted", where=where) from None


def play_rounds(setup: RefitSetup, *, watch: Callable[[Round, int], None] | None = None) -> RefitResults:
    """All rounds of a refit, in their order."""
    state = _Refitting(setup, in_charge=setup.champion)
    for number in range(1, setup.layout.count + 1):
        turn = state.play(number)
        if watch is not None:
            watch(turn, setup.layout.count)
    return RefitResults(
        setup=setup,
        rounds=tuple(state.rounds),
        promoted=tuple(state.promoted),
        champion=state.in_charge,
        frames=tuple(state.frames),
        sampling=state.sampling,
    )


@dataclass(frozen=True, eq=False)
class _Stretch:
    """What is known when a round is decided, and the rows (N,) of it that the round is judged on."""

    number: int
    known: Table
    judged: Mask


@dataclass
class _Refitting:
    """Who is in charge as time goes on, and what has come out of the rounds so far."""

    setup: RefitSetup
    in_charge: Contender
    rounds: list[Round] = field(default_factory=list)
    promoted: list[Contender] = field(default_factory=list)
    frames: list[pd.DataFrame] = field(default_factory=list)
    old_frame: pd.DataFrame | None = None

    @property
    def sampling(self) -> Sampling:
        """How intervals are drawn."""
        evaluation = self.setup.plan.evaluation
        return Sampling(draws=evaluation.resamples, level=evaluation.level, seed=self.setup.plan.training.seed)

    def play(self, number: int) -> Round:
        """Train a challenger, judge it, and decide."""
        layout, table = self.setup.layout, self.setup.table
        trained, why = self._challenge(number, table.rows(slice(0, layout.cuts[number])))
        known = table.rows(slice(0, layout.cuts[number + 1]))
        judged = np.zeros(len(known), bool)
        judged[slice(*layout.judged_rows(number))] = True
        stretch = _Stretch(number, known, judged)
        frame = self.in_charge.frame(known, judged, model=IN_CHARGE, part=NEW)
        decision, against_first, against_baseline = Promotion(False, "refit.skipped", {"why": why}), None, None
        if frame is None:
            decision = Promotion(False, "refit.skipped", {"why": say("refit.no_windows")})
        else:
            against_first, against_baseline = self._compare(frame, stretch, trained)
            if trained is not None:
                decision = self._decide(frame, stretch, Contender(trained.bundle, number))
        baseline = None if against_baseline is None else against_baseline.baseline
        turn = Round(
            number=number,
            taught=places(known, *layout.training_rows(number)),
            judged=places(known, *layout.judged_rows(number)),
            windows=0 if against_first is None else against_first.windows,
            in_charge_since=self.in_charge.since,
            in_charge=None if against_first is None else RoundScore.of(against_first.network),
            never_updated=None if against_first is None else RoundScore.of(against_first.baseline),
            baseline=RoundScore.of(baseline),
            baseline_name=None if baseline is None else baseline.model,
            decision=decision,
        )
        self.rounds.append(turn)
        if decision.promoted and trained is not None:
            self.in_charge = Contender(trained.bundle, number)
            self.promoted.append(self.in_charge)
        return turn

    def _challenge(self, number: int, known: Table) -> tuple[TrainedContender | None, str]:
        """A challenger from what is known, or why there is none."""
        layout, plan = self.setup.layout, self.setup.plan
        spec = self.in_charge.bundle.preprocessing.spec
        start = self.in_charge.bundle.start("champion") if plan.refit.start == "warm" else None
        try:
            challenger = train_contender(
                known,
                plan,
                self.setup.file,
                start=start,
                divide=lambda table, gap: layout.divide(number, spec, seed=plan.training.seed, table=table, gap=gap),
            )
        except (InputError, TrainingError) as fault:
            # a stretch without labels, or a training that diverges, must not end the watch of the plant
            return None, str(fault)
        return challenger, ""

    def _compare(
        self, frame: pd.DataFrame, stretch: _Stretch, trained: TrainedContender | None
    ) -> tuple[Verdict, Verdict | None]:
        """The model in charge, whose frame this is, against the first champion and the best refitted baseline."""
        import pandas as pd

        first = self.setup.champion
        never_updated = (
            frame.assign(model=NEVER)
            if self.in_charge is first
            else first.frame(stretch.known, stretch.judged, model=NEVER, part=NEW)
        )
        frames = [frame] if never_updated is None else [frame, never_updated]
        task = first.bundle.preprocessing.task
        against_first = compare(pd.concat(frames, ignore_index=True), task, NEVER, self.sampling)
        against_baseline = None
        if trained is not None:
            against_baseline, baseline_frame = self._baseline(frame, stretch, trained)
            frames += [] if baseline_frame is None else [baseline_frame]
        self.frames.append(pd.concat(frames, ignore_index=True).assign(round=stretch.number))
        return against_first, against_baseline

    def _baseline(
        self, frame: pd.DataFrame, stretch: _Stretch, trained: TrainedContender
    ) -> tuple[Verdict | None, pd.DataFrame | None]:
        """The best baseline by validation, fitted on the challenger's windows: the verdict, and its frame."""
        import pandas as pd

        prepared, plan = trained.prepared, self.setup.plan
        task = prepared.task
        windows = Contender(trained.bundle).windows(stretch.known, stretch.judged)
        fitted = fit_baselines(
            task, prepared.train, prepared.validation, seed=plan.training.seed, names=plan.evaluation.baselines
        )
        if windows is None or not fitted.predictors:
            return None, None
        parts = {NEW: windows, "validation": prepared.validation}
        together = pd.concat([frame, baseline_frame(fitted, task, parts)], ignore_index=True)
        verdict = judge(together, task, network=IN_CHARGE, sampling=self.sampling, judged=NEW)
        if verdict.baseline is None:
            return None, None
        best = together[(together["model"] == verdict.baseline.model) & (together["part"] == NEW)]
        return verdict, best.assign(model=BASELINE, baseline=verdict.baseline.model)

    def _decide(self, frame: pd.DataFrame, stretch: _Stretch, challenger: Contender) -> Promotion:
        import pandas as pd

        layout, first = self.setup.layout, self.setup.champion
        frames = [frame, challenger.frame(stretch.known, stretch.judged, model=CHALLENGER, part=NEW)]
        bound = layout.plan.bound
        if bound != "none":
            old = stretch.known.rows(slice(0, layout.old))
            if self.old_frame is None:
                self.old_frame = first.frame(old, layout.held_out, model=NEVER, part=OLD)
            frames += [self.old_frame, challenger.frame(old, layout.held_out, model=CHALLENGER, part=OLD)]
        if any(part is None for part in frames):
            return Promotion(False, "refit.skipped", {"why": say("refit.no_windows")})
        return decide(
            pd.concat([part for part in frames if part is not None], ignore_index=True),
            first.bundle.preprocessing.task,
            bound=bound,
            sampling=self.sampling,
        )

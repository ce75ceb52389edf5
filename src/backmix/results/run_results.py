"""All that came out of a run, before it is written down.

This module defines `RunResults`, from which the report (`report`) and the summary (`summary`) are made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backmix.data.auditing.audit import Audit
from backmix.decision import Decision
from backmix.inspection import Insight
from backmix.scoring.coverage import CoverageResult
from backmix.scoring.judgement import Baselines, Judgement
from backmix.scoring.leakage.audit import LeakageResult
from backmix.training.design import Design
from backmix.training.ensemble import TrainedEnsemble
from backmix.training.fitting.fit import FittedNetwork
from backmix.training.prepared import Prepared


@dataclass(frozen=True, eq=False)
class RunResults:
    """What each stage of a run found.

    coverage: the intervals of the predictions; insight: what the network does inside, None where that says nothing
    place: where the data is, see `results.reading.place_of`
    """

    audit: Audit
    prepared: Prepared
    design: Design
    baselines: Baselines
    ensemble: TrainedEnsemble
    leakage: Sequence[LeakageResult]
    judgement: Judgement
    coverage: CoverageResult
    insight: Insight | None
    place: Mapping[str, str] | None

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """Everything that was decided for the user, in the order of the decisions."""
        return (
            *self.prepared.decisions,
            *self.design.decisions,
            *self.ensemble.decisions,
            *self.baselines.fitted.decisions,
        )

    @property
    def fitted(self) -> FittedNetwork:
        """The training of the network that was stopped on the validation part."""
        return self.ensemble.fitted

    @property
    def windows(self) -> dict[str, int]:
        """How many windows each part has."""
        return {name: len(part) for name, part in self.prepared.parts.items()}

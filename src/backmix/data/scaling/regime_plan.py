"""Which settings tell the operating regimes, as a plan says it.

This module stands apart from `data.scaling.regimes`, since the light runtime needs regimes but no plan.
"""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from backmix.data.scaling.regimes import MOST_REGIMES, Kind
from backmix.section import PlanSection
from backmix.text import say

LEAST_ROWS = 100


class RegimePlan(PlanSection):
    """``[scaling.regimes]``: which settings tell the regimes.

    tags: a tag with states, or setpoints; each must be an input
    kind: "state" of a tag, exact "levels", or "clusters" of settings; None: what the tags are
    count: how many clusters; None: as many as are best told apart
    least_rows: a regime of fewer training rows is scaled as all rows are
    """

    tags: tuple[str, ...] = Field(min_length=1, max_length=20)
    kind: Kind | None = None
    count: int | None = Field(default=None, ge=2, le=MOST_REGIMES)
    least_rows: int = Field(default=LEAST_ROWS, ge=2)

    @model_validator(mode="after")
    def _count_of_clusters(self) -> Self:
        if self.count is not None and self.kind != "clusters":
            raise ValueError(say("regimes.count_of_clusters"))
        return self

"""The manner of every section of a plan.

This module holds the base class of the settings that the stages declare beside the work they
set: frozen, unknown keys refused. `training.plan.Plan` puts the sections together.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class PlanSection(BaseModel):
    """Settings of one concern: immutable, every field with its default, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

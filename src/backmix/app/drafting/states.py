"""Which columns of text can be inputs.

This module says for a column of states whether a plan may use it: few states, each of which comes often enough to be
learned. A column of remarks or names of samples is none.
"""

from __future__ import annotations

import numpy as np

from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.text import say
from backmix.training.plan import ScalingPlan

LEAST_KNOWN = 0.5
"""In so many rows at least the text must stand."""
MOST_RARE = 0.1
"""A larger share of rare texts says that they are no states of a plant."""


def judge_states(table: Table, tag: Tag) -> tuple[bool, str]:
    """Whether a column of text can be an input, and why or why not."""
    sizes = ScalingPlan()
    codes = np.asarray(table.column(tag.name), np.float64)
    known = codes[np.isfinite(codes)].astype(np.int64)
    counts = np.bincount(known, minlength=len(tag.categories))
    occurring = counts[counts > 0]
    own = occurring[occurring >= sizes.rare]
    rare = 1 - own.sum() / max(1, len(known))
    columns = len(own) + (len(own) < len(occurring))
    values = {
        "count": len(occurring),
        "most": sizes.states,
        "share": f"{len(known) / max(1, len(codes)):.0%}",
        "rare": f"{rare:.0%}",
        "examples": ", ".join(name[:24] for name, count in zip(tag.categories, counts, strict=True) if count)[:80],
    }
    fine = columns <= sizes.states and rare <= MOST_RARE and len(known) >= LEAST_KNOWN * len(codes)
    return fine, say("draft.is_state" if fine else "draft.is_text", **values)

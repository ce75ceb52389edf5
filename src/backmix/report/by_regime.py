"""Scores of the test part by operating regime.

This module scores the windows of each regime apart, by the regime of the row at which a prediction is made: an error
that is small over all may be large in one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from backmix.data.scaling.regimes import UNKNOWN, Codes, Regimes

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class RegimeScore:
    """What one model is worth in one regime.

    regime: its name; None for rows in a regime that training did not show
    rows: its training rows; pooled: whether it is scaled as all rows are
    value: RMSE of the target, or the share of windows whose class is right; count: windows
    """

    model: str
    target: str
    regime: str | None
    rows: int
    pooled: bool
    metric: str
    value: float
    count: int

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


def scores_by_regime(
    frame: pd.DataFrame, regimes: Regimes | None, codes: Codes | None, models: Sequence[str]
) -> tuple[RegimeScore, ...]:
    """The scores of these models in the test part of a prediction frame; () without regimes.

    codes: (N,) the regime of each row of the table
    """
    if regimes is None or codes is None:
        return ()
    tested = frame[(frame["part"] == "test") & frame["truth"].notna() & frame["prediction"].notna()]
    code = codes[tested["origin"].to_numpy(np.int64)]
    numbers = not any(name.startswith("p:") for name in frame.columns)
    scores = []
    for target in dict.fromkeys(tested["target"]):
        for number in (*range(len(regimes.labels)), UNKNOWN):
            for model in dict.fromkeys(models):
                mine = tested[(code == number) & (tested["model"] == model) & (tested["target"] == target)]
                if mine.empty:
                    continue
                if numbers:
                    value = float(np.sqrt(((mine["prediction"] - mine["truth"]).astype(float) ** 2).mean()))
                else:
                    value = float((mine["prediction"] == mine["truth"]).mean())
                known = number != UNKNOWN
                scores.append(
                    RegimeScore(
                        model=model,
                        target=str(target),
                        regime=regimes.labels[number] if known else None,
                        rows=regimes.rows[number] if known else 0,
                        pooled=bool(regimes.pooled[number]) if known else True,
                        metric="rmse" if numbers else "accuracy",
                        value=value,
                        count=len(mine),
                    )
                )
    return tuple(scores)

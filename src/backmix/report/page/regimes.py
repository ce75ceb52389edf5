"""The section of a report about scores by operating regime.

This module shows the error in each regime of the test part, of the model and of the baseline beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from backmix.report.page.blocks import GridCell, GridRow, PageBlock, grid, name
from backmix.scoring.metrics import metrics
from backmix.scoring.scores import model_title
from backmix.text import say
from backmix.text.numbers import number

if TYPE_CHECKING:
    from backmix.report.data import ReportData


def regime_scores(data: ReportData) -> Iterator[PageBlock]:
    """A table per target: regimes by models; nothing where rows are scaled all together."""
    for target in dict.fromkeys(score.target for score in data.by_regime):
        mine = [score for score in data.by_regime if score.target == target]
        models = list(dict.fromkeys(score.model for score in mine))
        rows = []
        for regime in dict.fromkeys(score.regime for score in mine):
            scores = {score.model: score for score in mine if score.regime == regime}
            first = next(iter(scores.values()))
            label = say("regimes.never_seen") if regime is None else name(regime)
            rows.append(
                GridRow(
                    (
                        GridCell(label, note=say("regimes.pooled") if first.pooled else ""),
                        GridCell(f"{first.rows:,}", number=True),
                        GridCell(f"{first.count:,}", number=True),
                        *(
                            GridCell(number(scores[model].value) if model in scores else "–", number=True)
                            for model in models
                        ),
                    )
                )
            )
        head = [
            say("regimes.column_regime"),
            say("regimes.column_rows"),
            say("regimes.column_windows"),
            *(model_title(model) for model in models),
        ]
        caption = say("regimes.table", target=name(target), metric=metrics.get(mine[0].metric).title())
        yield PageBlock(table=grid(caption, head, rows, numbers_from=1))

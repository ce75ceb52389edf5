"""Dead times on the screen.

This module prints the result of a scan for dead times and the lines of a plan that follow from it, and saves the
picture.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from backmix.app.screen import note, show_line, show_table
from backmix.text import say

if TYPE_CHECKING:
    from backmix.data.delays.dead_time import Scan
    from backmix.data.windows.form import WindowSpec


def delays_to_dict(scan: Scan, spec: WindowSpec) -> dict[str, Any]:
    """The findings, ready for JSON."""
    from backmix.training.advice.delays import plan_lines

    return {
        "target": scan.target,
        "labels": scan.labels,
        "lags": scan.lags,
        "plan": list(plan_lines(scan, spec)),
        "found": [finding.to_dict() | {"why": finding.text()} for finding in scan.found],
    }


def show_delays(scan: Scan, spec: WindowSpec) -> None:
    """A table of all inputs, the sure ones first, and the lines to paste."""
    from backmix.training.advice.delays import plan_lines, spoken

    order = sorted(scan.found, key=lambda finding: (not finding.sure, finding.p))
    show_table(
        [say(f"dead_time.col_{key}") for key in ("tag", "delay", "interval", "strength", "sure", "why")],
        [
            (
                finding.tag,
                spoken(finding.rows, scan.step),
                f"{finding.low}–{finding.high}",
                f"{finding.strength:.2f}",
                say("dead_time.yes" if finding.sure else "dead_time.no"),
                finding.text(),
            )
            if finding.reason not in ("few", "constant")
            else (finding.tag, "–", "–", "–", say("dead_time.no"), finding.text())
            for finding in order
        ],
        title=say("dead_time.head"),
    )
    lines = plan_lines(scan, spec)
    if lines:
        show_line(say("dead_time.paste"))
        for line in lines:
            show_line(f"  {line}")


def save_picture(scan: Scan, path: Path) -> None:
    """Write the picture as an SVG file of its own."""
    from backmix.report.figures import WIDE
    from backmix.report.figures.dead_times import draw_scan
    from backmix.report.render import style
    from backmix.storage import write_atomic

    drawn = draw_scan(scan, WIDE)
    if drawn is None:
        note(say("dead_time.no_picture"))
        return
    sheet = f"<style>svg{{background:var(--card)}}{style()}</style>"
    write_atomic(path, drawn.svg.replace(">", f">{sheet}", 1))
    note(say("dead_time.picture_at", where=path))

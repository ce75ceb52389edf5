"""What backmix reads: `docs/reading.md` in both languages, with a picture of each shape.

    python docs/reading.py            # write the pages and pictures
    python docs/reading.py --check    # say what is out of date, change nothing

This module draws the shapes, and writes what the catalogue says of them and of the keys of `Layout`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from backmix.app.layout import page
from backmix.text import LANGUAGES, Language

ROOT = Path(__file__).resolve().parent.parent
PAGES: dict[Language, Path] = {"en": ROOT / "docs" / "reading.md", "zh_TW": ROOT / "docs" / "reading.zh-TW.md"}
WIDTH, HEIGHT = 64, 22
EXAMPLES: dict[str, tuple[tuple[str, ...], ...]] = {
    "wide": (("time", "FI101", "TI102"), ("08:00", "49.4", "82.7"), ("08:01", "49.5", "83.1")),
    "long": (("time", "tag", "value"), ("08:00", "FI101", "49.4"), ("08:00", "TI102", "82.7")),
    "pairs": (
        ("time", "FI101", "time", "TI102"),
        ("08:00", "49.4", "08:02", "82.7"),
        ("08:03", "49.5", "08:07", "83.1"),
    ),
}


def picture(shape: str) -> str:
    """A small table drawn as SVG: clocks blue, tags bold, values plain."""
    rows = EXAMPLES[shape]
    wide, high = WIDTH * len(rows[0]), HEIGHT * len(rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide + 2}" height="{high + 2}" '
        f'viewBox="-1 -1 {wide + 2} {high + 2}" font-family="sans-serif" font-size="12">'
    ]
    for row, cells in enumerate(rows):
        for column, cell in enumerate(cells):
            clock = rows[0][column] == "time"
            tag = cell.startswith(("FI", "TI"))
            fill = "#dbe7f5" if clock else "#eef2e6" if tag else "#ffffff"
            x, y = column * WIDTH, row * HEIGHT
            weight = ' font-weight="bold"' if row == 0 or tag else ""
            parts.append(f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" fill="{fill}" stroke="#888"/>')
            parts.append(f'<text x="{x + 6}" y="{y + 15}" fill="#222"{weight}>{cell}</text>')
    return "".join([*parts, "</svg>\n"])


def files() -> dict[Path, str]:
    """Every page and picture with its contents."""
    pictures = {ROOT / "docs" / "images" / f"shape_{shape}.svg": picture(shape) for shape in EXAMPLES}
    return {PAGES[lang]: page(lang) for lang in LANGUAGES} | pictures


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages, or with ``--check`` only compare; 1 when one is out of date."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--check", action="store_true", help="change nothing")
    check = parser.parse_args(arguments).check
    wrong = []
    for file, text in files().items():
        if not check:
            file.write_text(text, "utf-8")
        elif not file.exists() or file.read_text("utf-8") != text:
            wrong.append(f"{file.relative_to(ROOT)} is not what the catalogue gives. Run scripts/docs")
    print("\n".join(wrong), file=sys.stderr, end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

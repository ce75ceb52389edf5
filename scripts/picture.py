#!/usr/bin/env python3
"""Photograph the head of a report for the README.

    python scripts/picture.py runs/NAME/report.en.html docs/images/report.png

Needs a Chromium (`apt-get install chromium fonts-noto-cjk`); nothing in the package or its tests
does. The picture has few colours, so a palette keeps it below 300 kB.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
)
MOST_BYTES = 300_000


def photograph(report: Path, picture: Path, *, width: int, height: int, scale: float) -> None:
    """Write the first ``height`` px of a report as a PNG, ``scale`` px of the picture to one of the page."""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        sys.exit("no Chromium found. Install one: apt-get install chromium fonts-noto-cjk")
    picture.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [
                browser,
                *FLAGS,
                f"--user-data-dir={profile}",
                f"--force-device-scale-factor={scale}",
                f"--window-size={width},{height}",
                f"--screenshot={picture.resolve()}",
                report.resolve().as_uri(),
            ],
            check=True,
            timeout=120,
            capture_output=True,
        )
    shrink(picture)


def shrink(picture: Path) -> None:
    """Fewer colours until the file is small enough; exits when even 16 are too many."""
    from PIL import Image

    whole = Image.open(picture).convert("RGB")
    for colours in (256, 128, 64, 32, 16):
        whole.quantize(colours, dither=Image.Dither.NONE).save(picture, optimize=True)
        if picture.stat().st_size <= MOST_BYTES:
            return
    sys.exit(f"{picture} is {picture.stat().st_size} bytes, more than {MOST_BYTES}. Use a smaller --height")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("report", type=Path)
    parser.add_argument("picture", type=Path, nargs="?", default=Path("docs/images/report.png"))
    parser.add_argument("--width", type=int, default=1120)
    parser.add_argument("--height", type=int, default=1500)
    parser.add_argument("--scale", type=float, default=1.5)
    given = parser.parse_args()
    photograph(given.report, given.picture, width=given.width, height=given.height, scale=given.scale)
    print(f"{given.picture}: {given.picture.stat().st_size} bytes")


if __name__ == "__main__":
    main()

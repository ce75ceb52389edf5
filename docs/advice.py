"""The course's rules of thumb and what was measured: `docs/advice.md` in both languages.

    python docs/advice.py            # write the pages
    python docs/advice.py --check    # say what is out of date, change nothing

This module writes what `backmix advise --tree` shows, from the same tables and figures.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from backmix.app.advice import page
from backmix.text import LANGUAGES, Language

ROOT = Path(__file__).resolve().parent.parent
PAGES: dict[Language, Path] = {"en": ROOT / "docs" / "advice.md", "zh_TW": ROOT / "docs" / "advice.zh-TW.md"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages, or with ``--check`` only compare; 1 when one is out of date."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--check", action="store_true", help="change nothing")
    check = parser.parse_args(arguments).check
    wrong = []
    for lang in LANGUAGES:
        file, text = PAGES[lang], page(lang)
        if not check:
            file.write_text(text, "utf-8")
        elif not file.exists() or file.read_text("utf-8") != text:
            wrong.append(f"{file.relative_to(ROOT)} is not what the rules and figures give. Run scripts/docs")
    print("\n".join(wrong), file=sys.stderr, end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

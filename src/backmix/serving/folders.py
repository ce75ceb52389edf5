"""What every finished job leaves in its folder.

This module defines `ResultFolder`, a summary and a report in each language, as a backtest leaves them, and
`ModelFolder`, which has a bundle too, as runs and refits have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from backmix.serving.bundle import Bundle
from backmix.text import language


@dataclass(frozen=True, eq=False)
class ResultFolder:
    """The folder of a finished job and the summary kept there, ready for JSON."""

    folder: Path
    summary: Mapping[str, Any]

    @property
    def verdict(self) -> str:
        """The sentence on top of the report, in the language of the moment."""
        return str(self.summary["verdict"][language()])

    def to_dict(self) -> dict[str, Any]:
        """The summary and where the results are, ready for JSON."""
        return {**self.summary, "folder": str(self.folder), "report": str(self.report_path())}

    def report_path(self) -> Path:
        """The report in the language of the moment."""
        return self.folder / f"report.{language()}.html"


@dataclass(frozen=True, eq=False)
class ModelFolder(ResultFolder):
    """A result folder with a bundle."""

    bundle_name: ClassVar[str]

    def to_dict(self) -> dict[str, Any]:
        """As `ResultFolder.to_dict`, with the bundle."""
        return {**super().to_dict(), "bundle": str(self.bundle_path)}

    @property
    def bundle_path(self) -> Path:
        """The bundle file."""
        return self.folder / self.bundle_name

    @cached_property
    def bundle(self) -> Bundle:
        """The model that came out, with everything around it."""
        return Bundle.load(self.bundle_path)

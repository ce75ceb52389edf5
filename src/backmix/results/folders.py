"""What every finished job leaves in its folder.

This module defines `SummaryFolder`, a summary with a verdict, as a search leaves it. A backtest leaves a report, too
(`ResultFolder`), a run and a refit a report and a bundle (`ModelFolder`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from backmix.errors import InputError
from backmix.serving.bundle import Bundle
from backmix.storage import read_json
from backmix.text import language

if TYPE_CHECKING:
    import pandas as pd

PREDICTIONS = "predictions.parquet"


@dataclass(frozen=True, eq=False)
class SummaryFolder:
    """The folder of a finished job and the summary kept there, ready for JSON.

    summary_name, needed: the file of the summary, and the keys that it has at least
    missing, damaged: the errors for a folder without that file, and for a file without those keys
    """

    folder: Path
    summary: Mapping[str, Any]

    summary_name: ClassVar[str]
    needed: ClassVar[frozenset[str]]
    missing: ClassVar[str]
    damaged: ClassVar[str | None] = None

    @property
    def verdict(self) -> str:
        """What came out in one sentence, in the language of the moment."""
        return str(self.summary["verdict"][language()])

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """The job from its folder; InputError when it holds no finished one."""
        folder = Path(folder)
        summary = read_json(folder / cls.summary_name)
        if isinstance(summary, dict) and summary.keys() >= cls.needed:
            return cls(folder=folder, summary=summary)
        if summary is not None and cls.damaged is not None:
            raise InputError(cls.damaged, where=folder / cls.summary_name)
        raise InputError(cls.missing, where=folder)


class ResultFolder(SummaryFolder):
    """A summary folder with a report in each language and a frame of predictions."""

    def to_dict(self) -> dict[str, Any]:
        """The summary and where the results are, ready for JSON."""
        return {**self.summary, "folder": str(self.folder), "report": str(self.report_path())}

    def report_path(self) -> Path:
        """The report in the language of the moment."""
        return self.folder / f"report.{language()}.html"

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """The prediction frame of network and baselines."""
        import pandas as pd

        return pd.read_parquet(self.folder / PREDICTIONS)


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

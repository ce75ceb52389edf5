"""A bundle's network for other programs.

In: a `Bundle`, and a path whose suffix says the format.
Out: a file that the other program reads, written whole or not at all.
This module defines `Exporter` and the registry of formats. What leaves here is the network alone: scalers, repair
rules and units stay in the bundle, which is the file to run a model from.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from backmix.registry import Registry
from backmix.serving.bundle import Bundle


class Exporter(ABC):
    """Writes one format; ``suffix`` is the end of its file names."""

    suffix: ClassVar[str]

    @abstractmethod
    def write(self, bundle: Bundle, path: Path) -> None:
        """Write the bundle's network to ``path``, whole or not at all.

        Raises PlanError when ``path`` does not end in ``suffix``, StorageError when it cannot be
        written.
        """


exporters: Registry[Exporter] = Registry("exporters", package="backmix.serving.exporters")

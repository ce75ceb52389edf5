"""The file formats of Keras itself.

This module exports ``.keras`` (whole model), ``.weights.h5`` (weights only) and the legacy ``.h5``.
Plain Keras opens each of them without backmix, which is why a network with layers that Keras lacks
leaves as weights only.
"""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

from backmix.errors import PlanError
from backmix.models.shape.forms import beyond_keras
from backmix.serving.bundle import Bundle
from backmix.serving.exporters import Exporter, exporters
from backmix.storage import write_atomic


class _KerasFile(Exporter):
    """Keras writes in place; a copy beside it keeps the target whole."""

    def write(self, bundle: Bundle, path: Path) -> None:
        if bundle.composition is not None:
            raise PlanError("ensemble.not_keras", members=", ".join(bundle.shares))
        if not path.name.endswith(self.suffix):
            raise PlanError("app.export_suffix", where=path, suffix=self.suffix)
        with tempfile.TemporaryDirectory() as folder:
            draft = Path(folder) / f"model{self.suffix}"
            with warnings.catch_warnings():
                # Keras 3.15 converts its variables in a way that NumPy 2.4 deprecates; the copy is right
                warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
                self._save(bundle, draft)
            write_atomic(path, draft.read_bytes())

    def _save(self, bundle: Bundle, draft: Path) -> None:
        own = beyond_keras(bundle.architecture)
        if own:
            raise PlanError("forms.not_keras", form=", ".join(own))
        bundle.network.save(draft)


class KerasModel(_KerasFile):
    """Architecture and weights in Keras's own archive."""

    suffix = ".keras"


class KerasWeights(_KerasFile):
    """Weights only, for a network built by the same code."""

    suffix = ".weights.h5"

    def _save(self, bundle: Bundle, draft: Path) -> None:
        bundle.network.save_weights(draft)


class LegacyHdf5(_KerasFile):
    """The format that Keras used before version 3."""

    suffix = ".h5"

    def _save(self, bundle: Bundle, draft: Path) -> None:
        import logging

        # absl warns that the format is legacy; whoever asks for it by name knows
        logger = logging.getLogger("absl")
        level = logger.level
        logger.setLevel(logging.ERROR)
        try:
            super()._save(bundle, draft)
        finally:
            logger.setLevel(level)


exporters.register("keras")(KerasModel())
exporters.register("weights")(KerasWeights())
exporters.register("h5")(LegacyHdf5())

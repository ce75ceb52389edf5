"""The backends of parallel workers.

This module holds the choices of ``--on``.
"""

from __future__ import annotations

from enum import StrEnum


class Backend(StrEnum):
    """Processes of this machine, or a cluster."""

    local = "local"
    ray = "ray"
    dask = "dask"

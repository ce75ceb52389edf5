"""Where workers may run, as the command line names it.

This module holds the choices of ``--on``.
"""

from __future__ import annotations

from enum import StrEnum


class Backend(StrEnum):
    """Processes of this machine, or a cluster."""

    local = "local"
    ray = "ray"
    dask = "dask"

"""The bytes of a file.

This module opens files, at most as many bytes as the plan allows, and refuses what is no file: a device or a pipe has
no end.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from backmix.data.reading.reading import ReadPlan
from backmix.errors import InputError

_PIECE = 1 << 24


def source_name(plan: ReadPlan, path: Path) -> str:
    """How messages call a file: as the plan does."""
    return plan.file or str(path)


def check_regular(path: Path, where: str) -> None:
    """Refuse what is no ordinary file, before it is opened: opening a pipe waits for ever."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    except (OSError, ValueError) as fault:
        reason = getattr(fault, "strerror", None) or str(fault)
        raise InputError("read.unreadable", where=where, fault=reason) from None
    if not stat.S_ISREG(mode):
        raise InputError("read.not_regular", where=where)


def take(path: Path, plan: ReadPlan, where: str) -> bytes:
    """The bytes of a file, at most as many as the plan allows."""
    check_regular(path, where)
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > plan.limit:
                raise InputError("read.too_large", where=where, limit=f"{plan.limit_mb:g}")
            return file.read(size)  # as long as it was when it was opened; the limit alone would be asked for at once
    except OSError as fault:
        raise InputError("read.unreadable", where=where, fault=fault.strerror or str(fault)) from None

"""Whether training fits into memory, before anything is allocated.

This module compares the memory that a training needs with what is free. When it is too little, the error names a
batch size that fits.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from backmix.errors import TrainingError
from backmix.models.architecture import Architecture
from backmix.models.shape.size import memory

KEEP = 256 * 2**20
"""Windows are gathered once and kept when all of them take no more than this."""
_CGROUP = Path("/sys/fs/cgroup")
SHARE = 0.8
"""Part of the free memory that a training may plan to use; estimates are not exact."""


def budget(limit: int | None) -> int:
    """Bytes that a training may take: the limit, or a share of what is free."""
    return limit if limit is not None else int(SHARE * available())


def available() -> int:
    """Bytes that this process can still take: free memory, or what a container or rlimit leaves."""
    bounds = [_meminfo("MemAvailable")]
    for most, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        with suppress(OSError, ValueError):  # "max" is no number: no bound
            bounds.append(int((_CGROUP / most).read_text()) - int((_CGROUP / used).read_text()))
    with suppress(ImportError, OSError, ValueError, IndexError):
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_DATA)
        if soft != resource.RLIM_INFINITY:
            pages = int(Path("/proc/self/statm").read_text().split()[5])
            bounds.append(soft - pages * os.sysconf("SC_PAGE_SIZE"))
    known = [bound for bound in bounds if bound is not None]
    return max(0, min(known)) if known else 4 * 2**30


def check_memory(architecture: Architecture, batch_size: int, *, rows: int, free: int) -> int:
    """Bytes that training needs at this batch size; rows: T of a window.

    Raises TrainingError (training.memory) naming the largest batch size that fits, or
    (training.memory_hopeless) when not even one window does.
    """
    need = estimate(architecture, batch_size, rows=rows)
    if need <= free:
        return need
    fits = batch_size
    while fits > 1 and estimate(architecture, fits, rows=rows) > free:
        fits //= 2
    key = "training.memory" if estimate(architecture, fits, rows=rows) <= free else "training.memory_hopeless"
    raise TrainingError(key, batch_size=batch_size, rows=rows, need=spell(need), free=spell(free), fits=fits)


def estimate(architecture: Architecture, batch_size: int, *, rows: int) -> int:
    """Bytes of one training step together with the two batches that are under way."""
    batch = batch_size * rows * (4 * architecture.features + architecture.masked)
    return memory(architecture, batch_size, rows=rows) + 2 * batch


def spell(size: float) -> str:
    """A size as a person says it.

    >>> spell(3 * 2**30)
    '3.0 GB'
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TB"


def _meminfo(field: str) -> int | None:
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
    with suppress(ValueError, OSError, AttributeError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None

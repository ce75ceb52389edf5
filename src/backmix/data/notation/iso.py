"""The quick way through texts that are all ISO times.

This module makes the texts of dates plain, and reads a column in which every cell is an ISO time chunk by chunk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from backmix.data.notation.cells import normal
from backmix.data.reading.columns import NAT, Times

if TYPE_CHECKING:
    import pyarrow as pa

_ISO = r"^\d{4}[-/]\d{2}[-/]\d{2}(?:[ T]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:\d{2})?)?$"
_SECONDS = len("2024-05-02 10:30:00")


class IsoTimes(NamedTuple):
    """Times (N,), NaT where a cell is empty; UTC when ``aware``, else those of a clock on the wall."""

    times: Times
    aware: bool


def clean_dates(chunk: pa.Array) -> pa.Array:
    """Chinese dates in plain separators: 113年5月2日 10時30分 becomes 113/5/2 10:30."""
    import pyarrow.compute as pc

    plain, wide = normal(chunk)
    if wide:
        for pattern, by in (
            ("[年月]", "/"),
            ("日", " "),
            (r"[時点點](\d)", r":\1"),
            ("[時点點]$", ":00"),
            (r"分(\d)", r":\1"),
            ("[分秒]", ""),
            (" +", " "),
        ):
            plain = pc.replace_substring_regex(plain, pattern=pattern, replacement=by)
        plain = pc.utf8_trim_whitespace(plain)
    return plain


def iso_times(chunks: list[pa.Array]) -> IsoTimes | None:
    """The quick way for years of four digits, two-digit months and days, all with or all without offset.

    Chunk by chunk, so that the texts are never in memory twice.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    kinds = [pa.timestamp("ns"), pa.timestamp("ns", "UTC")]
    times = np.full(sum(map(len, chunks)), NAT)
    row = 0
    for chunk in chunks:
        stop = row + len(chunk)
        if chunk.null_count < len(chunk):
            clean = chunk if _plain_seconds(chunk) else clean_dates(chunk)
            if clean is not chunk:
                if pc.all(pc.match_substring_regex(clean, _ISO)).as_py() is not True:
                    return None
                clean = pc.replace_substring(clean, pattern="/", replacement="-")
            for kind in kinds:
                try:
                    moments = pc.cast(clean, kind)
                except pa.ArrowInvalid:  # 24:00, 30 February, or the other kind of clock
                    continue
                kinds = [kind]
                times[row:stop] = moments.to_numpy(zero_copy_only=False)
                break
            else:
                return None
        row = stop
    return IsoTimes(times, kinds[0].tz is not None)


def _plain_seconds(chunk: pa.Array) -> bool:
    """Whether all texts look like 2024-05-02 10:30:00: as long, and with these signs between."""
    import pyarrow as pa

    if chunk.null_count or not pa.types.is_large_string(chunk.type):
        return False
    _, ends, raw = chunk.buffers()
    bounds = np.frombuffer(ends, np.int64)[chunk.offset : chunk.offset + len(chunk) + 1]
    if (np.diff(bounds) != _SECONDS).any():
        return False
    signs = np.frombuffer(raw, np.uint8)[bounds[0] : bounds[-1]].reshape(-1, _SECONDS)
    dates = all((signs[:, place] == ord("-")).all() for place in (4, 7))
    clock = all((signs[:, place] == ord(":")).all() for place in (13, 16))
    return bool(dates and clock and np.isin(signs[:, 10], (ord(" "), ord("T"))).all())

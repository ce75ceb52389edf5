"""The first rows of a large file.

This module makes a small file of the beginning of a large one, unpacked, so that its layout can be looked at without
reading all of it. A workbook has no beginning that could be read alone.
"""

from __future__ import annotations

import lzma
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from backmix.data.sources.packing import is_member, opened, packed_as

HEAD = 1 << 22
"""So many bytes of text."""
HEAD_ROWS = 20_000
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_PARQUET = b"PAR1"


@contextmanager
def head_of(path: Path, large: int) -> Iterator[Path]:
    """A file that holds the first rows of a file above ``large`` bytes; else, or of a workbook, the file itself."""
    if not path.is_file() or path.stat().st_size <= large:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        head = _head(path, Path(folder))
        yield path if head is None else head


def _head(path: Path, folder: Path) -> Path | None:
    kind = packed_as(path)
    try:
        if kind is None:
            with path.open("rb") as file:
                name, raw = path.name, file.read(HEAD)
        elif kind == ".zip":
            with zipfile.ZipFile(path) as archive:
                member = min((entry for entry in archive.infolist() if is_member(entry)), key=lambda m: m.filename)
                with archive.open(member) as inside:
                    name, raw = PurePosixPath(member.filename).name, inside.read(HEAD)
        else:
            with path.open("rb") as packed, opened(packed, kind) as file:
                name, raw = path.name.removesuffix(path.suffix), file.read(HEAD)
    except (OSError, ValueError, RuntimeError, NotImplementedError, EOFError, *_DAMAGED):
        return None  # whoever reads the whole file says what is wrong with it
    out = folder / name
    if raw.startswith(_PARQUET):
        return _rows(path, out) if kind is None else None
    if raw.startswith(_WORKBOOKS):
        return None
    end = raw.rfind(b"\n") + 1 or raw.rfind(b"\r") + 1
    out.write_bytes(raw[:end] if end else raw)
    return out


_DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError)


def _rows(path: Path, out: Path) -> Path | None:
    """The first rows of a Parquet file."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            parquet.write_table(pa.Table.from_batches([next(file.iter_batches(HEAD_ROWS))]), out)
    except (pa.ArrowException, OSError, StopIteration):
        return None
    return out

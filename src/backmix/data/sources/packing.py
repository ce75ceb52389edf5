"""The bytes of a file.

This module opens files, at most as many bytes as the plan allows, and unpacks gzip, bzip2, xz and zip while it counts:
what a packed file claims about its size is not believed. A device or a pipe is no file: it has no end.
"""

from __future__ import annotations

import io
import lzma
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from backmix.data.reading.reading import ReadPlan
from backmix.errors import InputError

PACKED = (".gz", ".bz2", ".xz", ".zip")
_MAGIC = {b"\x1f\x8b": ".gz", b"BZh": ".bz2", b"\xfd7zXZ\x00": ".xz"}
_ZIP = b"PK\x03\x04"
_NOT_READ = {b"7z\xbc\xaf\x27\x1c": "7z", b"Rar!\x1a\x07": "rar", b"\x28\xb5\x2f\xfd": "zst"}
_TAR, _TAR_AT = b"ustar", 257
_PIECE = 1 << 22
RATIO, RATIO_FROM = 250, 100_000_000
"""A file that unpacks to so many times its size, and to more than so many bytes, was made to fill a disk."""
MOST_MEMBERS = 10_000
DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    OSError,
    OverflowError,
    UnicodeDecodeError,
)
"""What the standard library raises for a packed file that is damaged."""


class Span(io.RawIOBase):
    """So many bytes of a file from where it stands."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._left = file, size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._file.read(min(len(buffer), self._left))
        buffer[: len(piece)] = piece
        self._left -= len(piece)
        return len(piece)


def source_name(plan: ReadPlan, path: Path) -> str:
    """How messages call a file: as the plan does."""
    return plan.file if isinstance(plan.file, str) else str(path)


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


def packed_as(path: Path) -> str | None:
    """How a file is packed, by its ending or its first bytes; None when it is not, and for a workbook."""
    suffix = path.suffix.lower()
    if suffix in PACKED and suffix != ".zip":
        return suffix
    try:
        with path.open("rb") as file:
            head = file.read(6)
    except OSError:
        return suffix if suffix in PACKED else None
    if head.startswith(_ZIP) and _holds_workbook(path):
        return None
    if suffix == ".zip" or head.startswith(_ZIP):
        return ".zip"
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)


def _holds_workbook(path: Path) -> bool:
    """Whether a zip file is a workbook itself, whatever its ending; one that is damaged may be."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except DAMAGED:
        return path.suffix.lower() != ".zip"
    return any(name in ("[Content_Types].xml", "mimetype") or name.startswith("xl/") for name in names)


def check_packer(head: bytes, where: str) -> None:
    """Refuse a file that is packed as no other module here unpacks it; ``head``: its first 512 bytes."""
    kind = next((kind for magic, kind in _NOT_READ.items() if head.startswith(magic)), None)
    if kind is None and head[_TAR_AT:].startswith(_TAR):
        kind = "tar"
    if kind is not None:
        raise InputError("read.other_packer", where=where, kind=kind)


def check_ratio(unpacked: int, packed: int, where: str) -> None:
    """Refuse a file that unpacks to absurdly many bytes."""
    if unpacked > RATIO_FROM and unpacked > RATIO * packed:
        raise InputError("read.bomb", where=where, size=f"{packed / 1e6:.1f}", ratio=RATIO)


def unpack(path: Path, kind: str, plan: ReadPlan, where: str) -> Iterator[tuple[str, bytes]]:
    """Each member of a packed file with its name, in order of the names.

    Raises InputError: read.too_large, read.bomb, read.damaged, read.locked, read.no_members.
    """
    check_regular(path, where)
    try:
        size = path.stat().st_size
        if kind != ".zip":
            name = PurePosixPath(where.replace("\\", "/")).name
            with path.open("rb") as packed, opened(packed, kind) as file:
                yield (
                    name.removesuffix(path.suffix) if path.suffix.lower() == kind else name,
                    _read(file, 0, size, plan, where),
                )
            return
        total = 0
        with zipfile.ZipFile(path) as archive:
            members = sorted((m for m in archive.infolist() if is_member(m)), key=lambda member: member.filename)
            if not members or len(members) > MOST_MEMBERS:
                raise InputError("read.no_members", where=where, count=len(members), most=MOST_MEMBERS)
            for member in members:
                with archive.open(member) as file:
                    raw = _read(file, total, size, plan, where)
                total += len(raw)
                yield member.filename, raw
    except (*DAMAGED, RuntimeError) as fault:
        text = str(fault).split("\n")[0][:160]
        if "password" in text or "encrypt" in text:  # how zipfile asks for a password
            raise InputError("read.locked_file", where=where) from None
        if not isinstance(fault, DAMAGED):
            raise
        raise InputError("read.damaged", where=where, kind=kind[1:], fault=text) from None


def is_member(member: zipfile.ZipInfo) -> bool:
    """No folder, and nothing that a desktop leaves in archives."""
    name = PurePosixPath(member.filename).name
    return not member.is_dir() and not name.startswith((".", "__")) and not member.filename.startswith("__MACOSX")


def opened(packed: IO[bytes], kind: str) -> Any:
    import bz2
    import gzip

    if kind == ".gz":
        return gzip.GzipFile(fileobj=packed)
    return bz2.BZ2File(packed) if kind == ".bz2" else lzma.LZMAFile(packed)


def _read(file: IO[bytes], before: int, packed: int, plan: ReadPlan, where: str) -> bytes:
    """All bytes of a member, counted while they come."""
    made = io.BytesIO()
    while piece := file.read(_PIECE):
        made.write(piece)
        total = before + made.tell()
        if total > plan.limit:
            raise InputError("read.too_large", where=where, limit=f"{plan.limit_mb:g}")
        check_ratio(total, packed, where)
    return made.getvalue()

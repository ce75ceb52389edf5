"""The zip file of a bundle.

This module writes and reads a zip whose members are listed with size and sha256 in ``manifest.json``. Files are not
trusted: only known member names are accepted, sizes are limited before and while members are unpacked, every digest
must match, and nothing is extracted to disk. The digests find damage; they do not prove who made the file.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from backmix.errors import BackmixError, BundleError
from backmix.storage import write_atomic

FORMAT = 1
"""The bundle format this release writes, and the newest it reads."""
MANIFEST = "manifest.json"
MOST_BYTES: Mapping[str, int] = {
    MANIFEST: 100_000,
    "architecture.json": 100_000,
    "recipe.json": 20_000_000,
    "read.json": 1_000_000,
    "file.json": 20_000_000,
    "plan.toml": 1_000_000,
    "scores.json": 5_000_000,
    "mixture.json": 100_000,
    "intervals.json": 20_000_000,
    "weights.safetensors": 500_000_000,
    "report.en.html": 5_000_000,
    "report.zh_TW.html": 5_000_000,
}
"""The members a bundle may have, and how large each may be unpacked."""
OPTIONAL = frozenset({"file.json", "intervals.json", "mixture.json", "report.en.html", "report.zh_TW.html"})


def pack(path: Path, members: Mapping[str, bytes], *, version: str) -> None:
    """Write the members and their manifest to ``path``, whole or not at all.

    The same members give the same file, byte for byte.
    """
    listed = {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for name, data in sorted(members.items())
    }
    manifest = json.dumps({"format": FORMAT, "backmix": version, "members": listed}, indent=1).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in [(MANIFEST, manifest), *sorted(members.items())]:
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    write_atomic(path, buffer.getvalue())


class Members:
    """The members of a bundle file, each checked against the manifest when the file is opened.

    Raises BundleError for a file that is no bundle; see `unpack`.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._bytes, self._last = path, unpack(path), MANIFEST

    def __contains__(self, name: str) -> bool:
        return name in self._bytes

    def read(self, name: str) -> bytes:
        """The bytes of a member."""
        self._last = name
        return self._bytes[name]

    def json(self, name: str) -> dict[str, Any]:
        """A member that holds a JSON object; BundleError when it holds anything else."""
        return read_json(self.read(name), self.path, name)

    @contextmanager
    def parsing(self) -> Iterator[None]:
        """Inside this block whatever a malformed member causes is a BundleError that names the member read last."""
        from safetensors import SafetensorError

        try:
            yield
        except (
            BackmixError,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            IndexError,
            OverflowError,
            SafetensorError,
        ):
            raise BundleError("bundle.malformed", where=self.path, member=self._last) from None


def unpack(path: Path) -> dict[str, bytes]:
    """The members of a bundle file, every one checked against the manifest.

    Raises BundleError: what is wrong with the file, and what to do.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _checked(archive, path)
    except FileNotFoundError:
        raise BundleError("bundle.not_found", where=path) from None
    except OSError as fault:
        raise BundleError("bundle.unreadable", where=path, fault=fault.strerror or str(fault)) from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, UnicodeDecodeError):
        raise BundleError("bundle.damaged", where=path) from None


def _checked(archive: zipfile.ZipFile, path: Path) -> dict[str, bytes]:
    names = [entry.filename for entry in archive.infolist()]
    for entry in archive.infolist():
        if entry.filename not in MOST_BYTES or names.count(entry.filename) > 1:
            raise BundleError("bundle.foreign_member", where=path, member=ascii(entry.filename)[:60])
        if entry.file_size > MOST_BYTES[entry.filename]:
            raise BundleError(
                "bundle.member_too_large",
                where=path,
                member=entry.filename,
                size=entry.file_size,
                limit=MOST_BYTES[entry.filename],
            )
    if MANIFEST not in names:
        raise BundleError("bundle.damaged", where=path)
    manifest = read_json(_bounded(archive, MANIFEST, path), path, MANIFEST)
    version = manifest.get("format")
    if not isinstance(version, int) or isinstance(version, bool) or not isinstance(manifest.get("members"), dict):
        raise BundleError("bundle.malformed", where=path, member=MANIFEST)
    if version > FORMAT:
        raise BundleError(
            "bundle.newer", where=path, format=version, known=FORMAT, release=ascii(manifest.get("backmix"))[:30]
        )
    required = set(MOST_BYTES) - OPTIONAL - {MANIFEST}
    if missing := sorted(required - set(names)):
        raise BundleError("bundle.missing_member", where=path, member=missing[0])
    members = {}
    for name in names:
        if name == MANIFEST:
            continue
        data = _bounded(archive, name, path)
        listed = manifest["members"].get(name)
        if not isinstance(listed, dict) or listed.get("sha256") != hashlib.sha256(data).hexdigest():
            raise BundleError("bundle.altered", where=path, member=name)
        members[name] = data
    return members


def _bounded(archive: zipfile.ZipFile, name: str, path: Path) -> bytes:
    """A member's bytes, read no further than its limit whatever its header claims."""
    limit = MOST_BYTES[name]
    with archive.open(name) as member:
        data = member.read(limit + 1)
    if len(data) > limit:
        raise BundleError("bundle.member_too_large", where=path, member=name, size=len(data), limit=limit)
    return data


def read_json(data: bytes, path: Path, member: str) -> dict[str, Any]:
    """A JSON object from bytes of unknown origin; BundleError when it is anything else."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise BundleError("bundle.malformed", where=path, member=member) from None
    if not isinstance(value, dict):
        raise BundleError("bundle.malformed", where=path, member=member)
    return value

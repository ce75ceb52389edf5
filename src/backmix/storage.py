"""Atomic writes and locks of folders.

This module writes files whole: after a crash there is the old file or the new one, never a part of it. A folder has
one writer at a time. Everything that the package writes to disk goes through here.

    write_atomic(path, content)    temporary file in the same folder, fsync, rename, fsync of the folder
    write_json(path, value)        the same for a value as JSON, which `read_json` reads back
    hold(folder)                   the lock of a run folder; a second process learns who holds it
"""

from __future__ import annotations

import errno
import json
import math
import os
import secrets
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from backmix.errors import BusyError, StorageError
from backmix.text import say

LOCK = ".lock"
_PREFIX, _SUFFIX = ".partial-", ".tmp"
_PATIENCE = 0.5  # seconds to wait until the holder has written its name
_REASONS = {
    errno.ENOSPC: "storage.reason_full",
    errno.EDQUOT: "storage.reason_quota",
    errno.EFBIG: "storage.reason_too_large",
    errno.EACCES: "storage.reason_permission",
    errno.EPERM: "storage.reason_permission",
    errno.EROFS: "storage.reason_read_only",
    errno.ENOTDIR: "storage.reason_not_a_folder",
    errno.EEXIST: "storage.reason_not_a_folder",
    errno.EISDIR: "storage.reason_is_a_folder",
    errno.EIO: "storage.reason_device",
}


def write_atomic(path: str | Path, content: bytes | str | Callable[[BinaryIO], None]) -> None:
    """Write a whole file or leave the old one untouched, whatever happens in between.

    ``content`` is the bytes, the text (UTF-8), or a function that writes into an open binary file.
    Raises StorageError (storage.cannot_write) when the disk refuses; the temporary file is removed then, and after a
    kill by the next `hold` of the folder. StorageError (storage.unconfirmed) means that the new file is in place, but
    that the disk did not confirm it.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> write_atomic(folder / "note.txt", "old")
    >>> write_atomic(folder / "note.txt", lambda file: file.write(b"new") and None)
    >>> (folder / "note.txt").read_text()
    'new'
    """
    target = Path(path)
    with loud(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.parent / f"{_PREFIX}{secrets.token_hex(6)}{_SUFFIX}"
        try:
            with open(draft, "xb") as file:
                if callable(content):
                    content(file)
                else:
                    file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, target)
        except BaseException:
            with suppress(OSError):
                os.unlink(draft)
            raise
    with loud(target, "storage.unconfirmed"):
        _sync_folder(target.parent)


def write_json(path: str | Path, value: Any) -> None:
    """Write a value as JSON, as `write_atomic` does."""
    write_atomic(path, json.dumps(json_ready(value), ensure_ascii=False, allow_nan=False, indent=1))


def read_json(path: str | Path) -> Any:
    """What a file of JSON holds; None when it is not there, or holds something else."""
    try:
        return json.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError):
        return None


def json_ready(value: Any) -> Any:
    """A value as JSON takes it: text as keys, lists for tuples, null for a number that is not finite.

    >>> json_ready({1: (0.5, float("nan"))})
    {'1': [0.5, None]}
    """
    if isinstance(value, Mapping):
        return {str(key): json_ready(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_ready(item) for item in value]
    if hasattr(value, "item") and not isinstance(value, str):  # a number of NumPy
        return json_ready(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def remove(path: str | Path) -> None:
    """Delete a file if it is there; StorageError when the disk refuses."""
    with loud(Path(path)):
        Path(path).unlink(missing_ok=True)


@contextmanager
def hold(folder: str | Path) -> Iterator[Path]:
    """Be the only writer of a folder inside a ``with`` block; the folder is created when missing.

    The lock belongs to the operating system: it ends with the process, however that ends. Drafts
    left behind by a killed writer are removed. Raises BusyError (storage.busy) that names the
    holder when somebody else has it, StorageError when the folder cannot be written.
    """
    folder = Path(folder)
    with loud(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        with loud(folder):
            taken = _lock(lock)
        if not taken:
            raise BusyError("storage.busy", where=folder, **_holder(lock))
        with loud(folder):
            # with the lock held, so that no draft of a live writer is removed
            for draft in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
                draft.unlink(missing_ok=True)
            _sign(
                lock,
                json.dumps(
                    {
                        "pid": os.getpid(),
                        "host": socket.gethostname(),
                        "since": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
                    }
                ),
            )
        try:
            yield folder
        finally:
            with suppress(OSError):  # the name is only a courtesy; closing releases the lock
                os.ftruncate(lock, 0)
    finally:
        os.close(lock)


@contextmanager
def loud(path: str | Path, key: str = "storage.cannot_write") -> Iterator[None]:
    """Turn an error of the operating system into a StorageError about ``path``."""
    try:
        yield
    except OSError as fault:
        known = _REASONS.get(fault.errno or 0)
        reason = say(known) if known else (fault.strerror or type(fault).__name__)
        raise StorageError(key, where=path, reason=reason) from fault


def _sync_folder(folder: Path) -> None:
    """Make a rename durable; not needed where a folder cannot be opened (Windows)."""
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sign(lock: int, text: str) -> None:
    os.ftruncate(lock, 0)
    os.pwrite(lock, text.encode(), 0) if hasattr(os, "pwrite") else os.write(lock, text.encode())


def _holder(lock: int) -> dict[str, Any]:
    """Who holds the lock; waits a moment for a holder that has only just taken it."""
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        os.lseek(lock, 0, os.SEEK_SET)
        with suppress(ValueError, KeyError, TypeError):
            signature = json.loads(os.read(lock, 4096))
            return {"pid": int(signature["pid"]), "host": str(signature["host"]), "since": str(signature["since"])}
        time.sleep(0.02)
    return {"pid": "?", "host": "?", "since": "?"}


if sys.platform == "win32":
    import msvcrt

    def _lock(lock: int) -> bool:
        # one byte far beyond the text, because others cannot read a locked byte
        os.lseek(lock, 1 << 30, os.SEEK_SET)
        try:
            msvcrt.locking(lock, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        os.lseek(lock, 0, os.SEEK_SET)
        return True
else:
    import fcntl

    def _lock(lock: int) -> bool:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

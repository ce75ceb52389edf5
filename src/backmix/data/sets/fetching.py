"""Where the files of a set come from, and the proof that they are the published ones.

This module finds a file in the mirror that ``BACKMIX_DATA`` names, else in the cache, else at its
public address. Its sha256 decides in all three. On a closed network it gives up within seconds
and says what to do.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import socket
import threading
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from backmix.data.sets.dataset import DataFile, DataSet
from backmix.errors import InputError, StorageError
from backmix.storage import write_atomic

MIRROR = "BACKMIX_DATA"
CONNECT_SECONDS = 4.0
"""How long one attempt to reach a host may take, name resolution included."""
READ_SECONDS = 30.0
_BLOCK = 1 << 20


def fetch(found: DataSet) -> dict[str, Path]:
    """All files of a set by their path in the mirror; see `backmix.data.sets.fetch`.

    Raises InputError (sets.mirror_missing, sets.altered, sets.offline, sets.refused,
    sets.download_altered) and StorageError (sets.cache).
    """
    places = {file.path: _local(found, file) for file in found.files}
    missing = [file for file in found.files if places[file.path] is None]
    if missing:
        _reach(found, missing[0])
    return {file.path: places[file.path] or _download(found, file) for file in found.files}


def at_hand(found: DataSet) -> bool:
    """Whether every file is here and unaltered."""
    try:
        return all(_local(found, file) is not None for file in found.files)
    except InputError:
        return False


def cache_folder() -> Path:
    """The folder of downloaded files."""
    import pooch

    return Path(pooch.os_cache("backmix"))


def sha256(path: Path) -> str:
    """The sha256 of a file in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _mirror() -> Path | None:
    named = os.environ.get(MIRROR)
    if not named:
        return None
    folder = Path(named).expanduser()
    if not folder.is_dir():
        raise InputError("sets.mirror_missing", where=str(folder))
    return folder


def _local(found: DataSet, file: DataFile) -> Path | None:
    """The file in the mirror or the cache; an altered file is never passed over in silence."""
    for folder in (_mirror(), cache_folder()):
        if folder is None:
            continue
        place = folder / file.path
        if place.is_file():
            got = sha256(place)
            if got != file.sha256:
                raise InputError("sets.altered", where=str(place), name=found.name, got=got[:12], want=file.sha256[:12])
            return place
    return None


def _download(found: DataSet, file: DataFile) -> Path:
    """Bring one file into the cache, trying its addresses in order."""
    fault: InputError | None = None
    for url in file.urls:
        try:
            return _retrieve(found, file, url)
        except InputError as met:
            fault = fault or met
    assert fault is not None, f"{file.path} has no address"
    raise fault


def _retrieve(found: DataSet, file: DataFile, url: str) -> Path:
    import pooch
    import requests

    place = cache_folder() / file.path
    packed = file.carrier is not None
    try:
        got = Path(
            pooch.retrieve(
                url,
                known_hash=f"sha256:{file.carrier or file.sha256}",
                fname=place.name + (".gz" if packed else ""),
                path=place.parent,
                downloader=_Downloader(file.size),
            )
        )
    except requests.exceptions.HTTPError as fault:
        code = fault.response.status_code if fault.response is not None else "?"
        raise InputError("sets.refused", name=found.name, url=url, code=code, file=file.path) from None
    except requests.exceptions.RequestException as fault:
        raise _offline(found, file, url, type(fault).__name__) from None
    except ValueError:  # how pooch reports that the hash does not agree
        raise InputError("sets.download_altered", name=found.name, url=url, file=file.path) from None
    except OSError as fault:
        cause = fault.strerror or str(fault)
        raise StorageError("sets.cache", where=str(place.parent), cause=cause) from None
    if not packed:
        return got
    content = _unpack(got, file.size)
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise InputError("sets.download_altered", name=found.name, url=url, file=file.path)
    write_atomic(place, content)
    got.unlink()
    return place


@dataclass(frozen=True)
class _Downloader:
    """How pooch gets a file: closes what it opens, and takes no more than ``most`` bytes and a block."""

    most: int

    def __call__(self, url: str, output_file: str, _: Any) -> None:
        import requests

        timeout = (CONNECT_SECONDS, READ_SECONDS)
        with requests.get(url, stream=True, timeout=timeout) as answer, Path(output_file).open("wb") as file:
            answer.raise_for_status()
            for block in answer.iter_content(_BLOCK):
                file.write(block)
                if file.tell() > self.most:
                    break  # not the published file; its hash will say so


def _unpack(packed: Path, size: int) -> bytes:
    """At most one byte more than the file should have, so that a bomb stays small."""
    with gzip.open(packed, "rb") as file:
        return file.read(size + 1)


def _offline(found: DataSet, file: DataFile, url: str, cause: str) -> InputError:
    return InputError("sets.offline", name=found.name, file=file.path, host=urlsplit(url).hostname or url, cause=cause)


def _reach(found: DataSet, file: DataFile) -> None:
    """Give up early when no address can be reached.

    The connection timeout of an HTTP client starts after name resolution and counts for every
    address of a host anew; behind a firewall that swallows packets that adds up to a minute. One
    attempt in a thread of its own has one limit for all of it.
    """
    doors = {_door(url): url for url in reversed(file.urls)}
    causes = {url: _attempt(door) for door, url in doors.items()}
    if None not in causes.values():
        url, cause = list(causes.items())[-1]
        raise _offline(found, file, url, str(cause))


def _attempt(door: tuple[str, int]) -> str | None:
    """Why this host and port cannot be reached; None when they can."""
    outcome: list[Any] = ["timeout"]

    def knock() -> None:
        try:
            socket.create_connection(door, timeout=CONNECT_SECONDS).close()
            outcome[0] = None
        except OSError as fault:
            outcome[0] = type(fault).__name__ if fault.strerror is None else fault.strerror

    thread = threading.Thread(target=knock, daemon=True, name="backmix-reach")
    thread.start()
    thread.join(CONNECT_SECONDS)
    cause: str | None = outcome[0]
    return cause


def _door(url: str) -> tuple[str, int]:
    """Host and port that a connection for ``url`` goes to first."""
    parts = urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
        behind = urlsplit(proxy if "//" in proxy else f"//{proxy}")
        return behind.hostname or "", behind.port or 8080
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)

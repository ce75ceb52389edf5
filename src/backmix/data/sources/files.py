"""Several files as one table.

This module finds the files that a plan means (a name, a pattern, a folder, a list, the members of a packed file), reads
each by the same plan, and appends their rows.
"""

from __future__ import annotations

import glob
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from backmix.data.reading.appending import append
from backmix.data.reading.columns import RawTable
from backmix.data.reading.reading import ReadPlan
from backmix.data.sources import of_file, sources
from backmix.data.sources.packing import MOST_MEMBERS, check_regular, packed_as, unpack
from backmix.errors import InputError


def read_file(plan: ReadPlan, base: Path) -> RawTable:
    """The raw columns of everything that ``file`` of a plan means.

    Raises InputError: read.no_match, read.too_many_files, read.packed_in_packed, and those of each source.
    """
    names = file_names(plan, base)
    tables: list[tuple[str, RawTable]] = []
    left = plan.limit_mb
    for name in names:
        for part, raw, size in _tables(plan.model_copy(update={"file": name, "limit_mb": left}), base / name, name):
            tables.append((part, raw))
            left = max(left - size / 1e6, 1e-6)
    where = plan.file if isinstance(plan.file, str) else names[0] if len(names) == 1 else f"{len(names)} files"
    return append(_short(tables), where, "file")


def file_names(plan: ReadPlan, base: Path) -> list[str]:
    """The names of the files, in the order of their numbers and letters; those of a list as they stand there."""
    given = [plan.file] if isinstance(plan.file, str) else list(plan.file or ())
    names: list[str] = []
    for name in given:
        path = base / name
        if path.is_dir():
            names += _natural(os.path.join(name, entry.name) for entry in path.iterdir() if _is_table(entry))
        elif glob.has_magic(name) and not path.exists():
            matches = (match for match in glob.iglob(str(path), recursive=True) if not os.path.isdir(match))
            names += _natural(os.path.relpath(match, base) if not os.path.isabs(name) else match for match in matches)
        else:
            names.append(name)
    names = list(dict.fromkeys(names))
    if not names:
        raise InputError("read.no_match", where=", ".join(given))
    if len(names) > MOST_MEMBERS:
        raise InputError("read.too_many_files", where=", ".join(given), count=len(names), most=MOST_MEMBERS)
    return names


def holds_tables(folder: Path) -> bool:
    """Whether a folder holds files of tables, and is none that ``backmix convert`` wrote."""
    entries = list(folder.iterdir())
    return not any(entry.suffix == ".npy" for entry in entries) and any(map(_is_table, entries))


def _is_table(path: Path) -> bool:
    suffixes = {suffix for _, source in sources for suffix in source.suffixes}
    name = path.name.lower()
    for packed in (".gz", ".bz2", ".xz"):
        name = name.removesuffix(packed)
    return path.is_file() and not name.startswith((".", "~$")) and PurePosixPath(name).suffix in suffixes | {".zip"}


def _natural(names: Iterator[str]) -> list[str]:
    """Names in the order of the numbers in them: day2 before day10."""
    return sorted(names, key=lambda name: [(int(p), "") if p.isdigit() else (0, p) for p in re.split(r"(\d+)", name)])


def _short(tables: list[tuple[str, RawTable]]) -> list[tuple[str, RawTable]]:
    """The files' names without their folders, when they are different without."""
    short = [re.split(r"[/\\]", name)[-1] for name, _ in tables]
    if len(set(short)) < len(short):
        return tables
    return [(name, raw) for name, (_, raw) in zip(short, tables, strict=True)]


def _tables(plan: ReadPlan, path: Path, name: str) -> Iterator[tuple[str, RawTable, int]]:
    """The tables of one file with their names and sizes: one, or one for each member of an archive."""
    check_regular(path, name)
    kind = packed_as(path)
    if kind is None:
        yield name, of_file(path, name).read(plan, path), path.stat().st_size
        return
    for member, raw in unpack(path, kind, plan, name):
        inside = plan.model_copy(update={"file": f"{name}/{member}" if kind == ".zip" else name})
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / (re.sub(r"[^\w.\-]", "_", PurePosixPath(member).name)[-80:] or "table")
            copy.write_bytes(raw)
            size = len(raw)
            del raw
            if packed_as(copy) is not None:
                raise InputError("read.packed_in_packed", where=inside.file)
            yield str(inside.file), of_file(copy, str(inside.file)).read(inside, copy), size

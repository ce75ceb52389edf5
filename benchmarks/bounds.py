"""Files of absurd size: each must end in one line, within 2 GB of memory and 20 s, with the right reason.

    python benchmarks/bounds.py

Each file is read by a process of its own, whose time and peak memory are measured; the small table is read within
6,000,000 kB of address space. The exit code is 1 when a bound does not hold.
"""

from __future__ import annotations

import gzip
import os
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

SECONDS, BYTES = 20, 2_000_000_000
READ = """
import json, re, sys
from backmix.data.sources import ReadPlan, read
from backmix.errors import BackmixError
try:
    table = read(ReadPlan(**json.loads(sys.argv[1]))).table
    said = f"{len(table)} rows"
except BackmixError as fault:
    said = str(fault)
print(1024 * int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]))
print(said)
"""


def small(path: Path) -> None:
    """A table of 20 kB."""
    path.write_text(
        "time,a,b\n" + "".join(f"2024-05-{1 + at // 24:02d} {at % 24:02d}:00:00,{at},1.5\n" for at in range(700))
    )


def cell(path: Path) -> None:
    """One cell of 300 MB."""
    path.write_bytes(b"time,a\n2024-05-01 00:00:00," + b"x" * 300_000_000 + b"\n2024-05-01 01:00:00,1\n")


def late_cell(path: Path) -> None:
    """One cell of 300 MB behind many rows."""
    path.write_bytes(b"a,b\n" + b"1.5,2\n" * 100_000 + b"1," + b"x" * 300_000_000 + b"\n1,2\n")


def open_quote(path: Path) -> None:
    """A quotation mark that is never closed."""
    path.write_bytes(b"a,b\n" + b"1.5,2\n" * 100_000 + b'1,"' + b"2.5,1\n" * 50_000_000)


def name(path: Path) -> None:
    """One name of 300 MB."""
    path.write_bytes(b"time," + b"x" * 300_000_000 + b"\n2024-05-01 00:00:00,1\n")


def columns(path: Path) -> None:
    """300,000 columns."""
    path.write_bytes(
        ",".join(f"T{at}" for at in range(300_000)).encode() + b"\n" + b",".join([b"1.5"] * 300_000) + b"\n"
    )


def parquet(path: Path) -> None:
    """300 million bytes in a Parquet file of about 1 MB."""
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"a": pa.array([b"x" * 300_000_000], pa.large_string())}), path, compression="zstd")


def parquet_rows(path: Path) -> None:
    """300 million bytes of equal numbers in a Parquet file."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"a": np.zeros(37_500_000)}), path)


def gzip_bomb(path: Path) -> None:
    """4 GB in a gzip file."""
    with gzip.open(path, "wb", compresslevel=9) as file:
        file.write(b"a,b\n")
        for _ in range(400):
            file.write(b"1.5,2\n" * 1_700_000)


def zip_bomb(path: Path) -> None:
    """4 GB in a zip file."""
    _zipped(path, "a.csv", b"1.5,2\n" * 1_700_000)


def _zipped(path: Path, member: str, piece: bytes) -> None:
    archive = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED)
    with archive, archive.open(member, "w", force_zip64=True) as file:
        for _ in range(400):
            file.write(piece)


def workbook(path: Path) -> None:
    """A workbook with a member of 4 GB."""
    _zipped(path, "xl/worksheets/sheet1.xml", b"<row></row>" * 930_000)


CASES: tuple[tuple[str, Callable[[Path], None] | None, dict[str, object], str], ...] = (
    ("small.csv", small, {}, "700 rows"),
    ("small.csv", small, {"limit_mb": 1e30}, "700 rows"),
    ("cell.csv", cell, {}, "a row is longer than"),
    ("late_cell.csv", late_cell, {}, "a row is longer than"),
    ("open_quote.csv", open_quote, {}, "quotation mark"),
    ("name.csv", name, {}, "a row is longer than"),
    ("columns.csv", columns, {}, "has 300000 columns"),
    ("cell.parquet", parquet, {}, "unpacks to more than"),
    ("rows.parquet", parquet_rows, {}, "unpacks to more than"),
    ("bomb.csv.gz", gzip_bomb, {}, "unpacks to more than"),
    ("bomb.zip", zip_bomb, {}, "unpacks to more than"),
    ("bomb.xlsx", workbook, {}, "larger than the limit"),
    ("/dev/zero", None, {}, "a device, a pipe or a folder"),
    ("pipe.csv", lambda path: os.mkfifo(path), {}, "a device, a pipe or a folder"),
    ("small.csv", small, {"encoding": "rot13"}, "does not turn bytes into the text"),
)


def main() -> int:
    """Write each file, read it, and say what it took."""
    import json

    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for file, write, keys, expected in CASES:
            path = Path(folder) / file
            if write is not None:
                write(path)
            arguments = json.dumps({"file": str(path), **keys})
            limit = 6_000_000 * 1024 if file == "small.csv" else None
            start = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-c", READ, arguments],
                capture_output=True,
                text=True,
                timeout=300,
                preexec_fn=(lambda size=limit: resource.setrlimit(resource.RLIMIT_AS, (size, size))) if limit else None,  # type: ignore[misc]
            )
            seconds = time.perf_counter() - start
            lines = done.stdout.splitlines() or ["0", done.stderr.strip().splitlines()[-1] if done.stderr else "killed"]
            peak, said = int(lines[0]), " ".join(lines[1:])
            good = expected in said and len(lines) == 2 and seconds < SECONDS and peak < BYTES
            failed += not good
            print(
                f"{'ok  ' if good else 'FAIL'} {file:16} {seconds:5.1f} s {peak / 1e6:6.0f} MB  {said[:150]}",
                flush=True,
            )
            if write is not None:
                path.unlink()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""SQL on a real PostgreSQL, started from the system's own binaries; skipped where there are none."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from backmix.data.sources import ReadPlan, read
from backmix.errors import InputError

FOUND = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) if os.name == "posix" else []
pytestmark = pytest.mark.skipif(not FOUND, reason="PostgreSQL is not installed")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a new PostgreSQL that listens on a socket in its own folder, nowhere else."""
    pytest.importorskip("psycopg")
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # short, for a socket's path has 107 bytes at most
    folder.chmod(0o755)
    data, binaries = folder / "data", FOUND[-1].parent
    user = "postgres" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
    if user is not None:
        shutil.chown(folder, user)

    def run(*command: str) -> None:
        subprocess.run(
            command,
            check=True,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=60,
            user=user,
            group=user,
            extra_groups=None if user is None else (),
        )

    try:
        run(str(binaries / "initdb"), "-D", str(data), "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync")
        run(
            str(binaries / "pg_ctl"),
            "-D",
            str(data),
            "-w",
            "-l",
            str(folder / "log"),
            "-o",
            f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off",
            "start",
        )
        try:
            yield f"postgresql://postgres@/postgres?host={folder}"
        finally:
            run(str(binaries / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def plant(server: str) -> str:
    """A historian's table with times with and without zone, decimals, truth values, text and gaps."""
    import psycopg

    with psycopg.connect(server) as connection:
        connection.execute(
            "create table log (ts timestamptz, local timestamp, temp double precision, flow numeric(9,3),"
            " pump boolean, state text, raw text)"
        )
        connection.execute("create sequence counter")
        connection.execute("""insert into log
            select '2024-05-02 08:00+08'::timestamptz + n * interval '1 min', '2024-05-02'::timestamp, 20 + n,
                   case when n = 3 then null else n + 0.125 end, n % 2 = 0, case when n < 5 then '運轉' else '停機' end,
                   case when n = 7 then 'Bad Input' else (n * 1.5)::text end
            from generate_series(0, 9) n""")
    return server


def test_a_query_on_postgresql(plant: str) -> None:
    reading = read(ReadPlan(sql=plant, query="select ts, temp, flow, pump, state, raw from log order by ts desc"))
    table = reading.table
    assert table.names == ("temp", "flow", "pump", "state", "raw")
    assert str(table.time[0])[:16] == "2024-05-02T00:00"
    assert table.step == 60.0
    np.testing.assert_array_equal(table.column("temp"), 20.0 + np.arange(10))
    assert np.flatnonzero(np.isnan(table.column("flow"))).tolist() == [3]
    assert table.column("flow")[1] == 1.125
    assert table.column("pump").tolist() == [1, 0] * 5
    assert table.tag("state").categories == ("停機", "運轉")
    assert reading.ledger.status_texts() == {"raw": {"Bad Input": 1}}
    assert reading.ledger.read == 10


def test_colons_and_casts_are_no_parameters(plant: str) -> None:
    plan = ReadPlan(
        sql=plant, query="select ts, temp::float8 as v, '10:30:x' as c from log where ts > '2024-05-02 08:01+08'"
    )
    assert read(plan).table.names == ("v", "c")


def test_nothing_can_be_written(plant: str) -> None:
    with pytest.raises(InputError, match="the data base refuses"):
        read(ReadPlan(sql=plant, query="with gone as (delete from log returning *) select ts, temp from gone"))
    with pytest.raises(InputError) as fault:
        read(ReadPlan(sql=plant, query="select nextval('counter') as x"))
    assert str(fault.value).endswith(
        "— the data base refuses: cannot execute nextval() in a read-only transaction. Mend the address or the query"
    )


def test_a_fault_of_the_query_is_one_line(plant: str) -> None:
    with pytest.raises(InputError, match=r'the data base refuses: relation "logs" does not exist') as fault:
        read(ReadPlan(sql=plant, query="select * from logs"))
    assert "\n" not in str(fault.value)


def test_a_result_beyond_the_limit(plant: str) -> None:
    query = "select now() + n * interval '1 s' as t, n as x from generate_series(1, 300000) n"
    with pytest.raises(InputError, match="is larger than the limit of 1 MB"):
        read(ReadPlan(sql=plant, query=query, limit_mb=1))

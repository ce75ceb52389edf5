"""A large plain file that is read piece by piece gives what the reader of the whole text gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backmix.data.reading.reading import Reading
from backmix.data.sources import ReadPlan, csv_pieces, read
from backmix.errors import InputError

ROWS = 3000


def lines(clock: str = "s", end: str = "\n") -> list[str]:
    start = np.datetime64("2024-01-01T00:00:00") + np.arange(ROWS) * 7
    times = [str(time).replace("T", " ") for time in start]
    times = [time.replace("-", "/") if clock == "slash" else time + "+08:00" * (clock == "zone") for time in times]
    cells = [f"{at / 7:.4f},{'' if at % 11 == 0 else at - 500},{at * 1e-9!r}" for at in range(ROWS)]
    body = [f"{time},{cell}{end}" for time, cell in zip(times, cells, strict=True)]
    return [f"time,T101,FC-2,壓力{end}", *body]


def changed(row: int, text: str, by: str) -> list[str]:
    found = lines()
    assert text in found[row]
    found[row] = found[row].replace(text, by, 1)
    return found


CASES = {
    "plain": lines(),
    "crlf": lines(end="\r\n"),
    "zone": lines("zone"),
    "slash": lines("slash"),
    "no_end": [*lines()[:-1], lines()[-1].rstrip("\n")],
    "footer": [*lines(), "Average,1,2,3\n"],
}
ODD = {
    "mark": ["\ufeff", *lines()],
    "midnight": changed(2000, "2024-01-01 03:53:13", "2024-01-01 24:00"),
    "mixed_clock": changed(2000, "2024-01-01 03:53:13", "2024-01-01 03:53:13Z"),
    "word": changed(2900, ",2399,", ",Bad Input,"),
    "comma": changed(2900, ",2399,", ',"2,399",'),
    "thousands": changed(2900, "2024-01-01 05:38:13", '"2024-01-01 05:38:13"'),
    "blank": [*lines()[:2000], "\n", *lines()[2000:]],
    "comment": [*lines()[:2000], "# stopped\n", *lines()[2000:]],
    "ragged": changed(2900, ",2399,", ",2399,1,"),
    "zero": changed(2900, ",2399,", ",23\x0099,"),
    "return": [*lines()[:2000], "\r", *lines()[2000:]],
    "late_chinese": changed(2900, ",2399,", ",停機,"),
    "twice": [*lines()[:2000], lines()[1999], *lines()[2000:]],
}


def result(path: Path, encoding: str | None = None) -> Reading | str:
    try:
        return read(ReadPlan(file=str(path), encoding=encoding))
    except InputError as fault:
        return str(fault)


def same(one: Reading | str, other: Reading | str) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    a, b = one.table, other.table
    assert a.time is not None
    assert b.time is not None
    equal = np.array_equal(np.asarray(a.values).view(np.int64), np.asarray(b.values).view(np.int64))
    quality = (a.quality is None) == (b.quality is None) and (
        a.quality is None or b.quality is None or np.array_equal(a.quality, b.quality)
    )
    return (
        equal
        and quality
        and np.array_equal(a.time, b.time)
        and a.tags == b.tags
        and (one.ledger, one.evidence) == (other.ledger, other.evidence)
    )


@pytest.mark.parametrize("name", [*CASES, *ODD])
@pytest.mark.parametrize("encoding", ["utf-8", "cp950"])
def test_pieces_and_the_whole_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, encoding: str) -> None:
    path = tmp_path / "plant.csv"
    text = "".join((CASES | ODD)[name])
    if encoding == "cp950":
        text = text.removeprefix("\ufeff")
    path.write_bytes(text.encode(encoding))
    whole = result(path)
    monkeypatch.setattr(csv_pieces, "LARGE", 1000)
    monkeypatch.setattr(csv_pieces, "_HEAD", 1 << 15)
    monkeypatch.setattr(csv_pieces, "_PIECE", 1 << 12)
    if encoding == "utf-8" and name in CASES:
        assert csv_pieces.read_pieces(ReadPlan(file=str(path)), path, "plant.csv") is not None
    assert same(result(path), whole)

"""Plant files written and read on the spot, used all over the tests of reading."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from backmix.data.sources import Reading, ReadPlan, read
from backmix.errors import InputError
from backmix.text import speak


def take(folder: Path, content: str | bytes, name: str = "plant.csv", **plan: object) -> Reading:
    """Write a file and read it as the plan says."""
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return read(ReadPlan(file=name, **plan), base=folder)


def refused(folder: Path, content: str | bytes, name: str = "plant.csv", **plan: object) -> str:
    """The sentence with which a file is refused."""
    with pytest.raises(InputError) as fault:
        take(folder, content, name, **plan)
    assert fault.value.exit_code == 3
    assert [entry.name for entry in folder.iterdir()] == [name]  # nothing was written
    with speak("zh_TW"):
        assert "\n" not in str(fault.value)
    assert "\n" not in str(fault.value)
    return str(fault.value)


def counts(reading: Reading) -> dict[str, int]:
    """Reason -> count, over all tags."""
    found: Counter[str] = Counter()
    for note in reading.ledger.notes:
        found[note.reason.removeprefix("read.reason_")] += note.count
    return found

"""The ledger of what was done to the data, and its account of rows."""

from __future__ import annotations

import json

import numpy as np
import pytest

from backmix.data.ledger import Account, Ledger, Note, account
from backmix.data.quality import Quality
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.text import LANGUAGES, sentences


def _table(quality: list[list[int]]) -> Table:
    q = np.array(quality, np.uint8)
    values = np.where(q == Quality.BAD, np.nan, 1.0)
    return Table(values, tuple(Tag(f"T{i}") for i in range(q.shape[1])), quality=q)


def test_account_adds_up() -> None:
    ledger = Ledger(5).add(
        Note("dropped", "repair.reason_merged", 2), Note("repaired", "repair.reason_held", 1, tag="T0")
    )
    found = account(ledger, _table([[1], [0], [0]]))
    assert (found.read, found.used, found.repaired, found.dropped) == (5, 2, 1, 2)
    assert found.reasons == (("repair.reason_merged", 2),)
    assert found.sentence("en") == "5 rows read = 2 used + 1 repaired + 2 dropped"


def test_an_uncertain_value_is_no_repair_unless_the_ledger_says_so() -> None:
    table = _table([[1, 0], [0, 1], [0, 0]])
    ledger = Ledger(3).add(
        Note("marked", "repair.reason_spike", 1, tag="T0"), Note("repaired", "repair.reason_held", 1, tag="T1")
    )
    assert account(ledger, table).repaired == 1
    assert account(ledger, table, repaired=np.array([True, True, True])).repaired == 3


def test_a_row_of_the_grid_was_never_read() -> None:
    ledger = Ledger(2).add(
        Note("added", "repair.reason_grid_row", 1), Note("repaired", "repair.reason_held", 1, tag="T0")
    )
    found = account(ledger, _table([[0], [1], [0]]))
    assert (found.read, found.used + found.repaired, found.dropped) == (2, 2, 0)
    assert found.reasons == (("repair.reason_grid_row", 1),)


def test_a_lost_row_is_a_fault_of_the_program() -> None:
    with pytest.raises(AssertionError, match="3 rows read"):
        account(Ledger(3), _table([[0], [0]]))
    with pytest.raises(AssertionError):
        Account(read=1, used=2, repaired=0, dropped=-1)


def test_notes_without_a_count_are_left_out_and_order_is_kept() -> None:
    ledger = Ledger(1).add(Note("dropped", "repair.reason_merged", 0))
    later = Ledger(9).add(Note("marked", "repair.reason_spike", 2, tag="a"))
    assert ledger.notes == ()
    assert ledger.merge(later).merge(later.notes).notes == later.notes * 2
    assert ledger.merge(later).read == 1


def test_status_texts_are_counted_by_tag_and_text() -> None:
    note = Note("marked", "read.reason_status_text", 3, tag="T1", example="Bad Input")
    assert Ledger(9).add(note, note).status_texts() == {"T1": {"Bad Input": 6}}


def test_a_ledger_is_ready_for_json() -> None:
    ledger = Ledger(1).add(Note("added", "repair.reason_grid_row", 1, example="#1"))
    assert json.loads(json.dumps(ledger.to_dict()))["notes"][0]["action"] == "added"


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_reason_of_repair_reads_as_a_note(lang: str) -> None:
    reasons = [name for name in sentences("repair") if name.startswith("reason_")]
    assert len(reasons) > 5
    for name in reasons:
        for action in ("converted", "repaired", "marked", "dropped", "added"):
            text = Note(action, f"repair.{name}", 2, tag="T", example="#7").sentence(lang)
            assert "2" in text
            assert "#7" in text

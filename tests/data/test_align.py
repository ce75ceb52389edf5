"""A new table in the form of the trained one: bad-input rows 32, 33 and 35 and what belongs to them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backmix.data.quality import Quality
from backmix.data.reading.align import align
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.errors import InputError

TAGS = (Tag("F", unit="m3/h"), Tag("P", unit="bar"), Tag("T", unit="degC", low=0, high=200))
VALUES = np.arange(12.0).reshape(4, 3)


def table(names: str = "FPT", **changes: object) -> Table:
    return Table(VALUES, tuple(Tag(name, **changes) for name in names), source="new.csv")


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(3)))
def test_row_32_the_order_of_columns_does_not_matter(order: list[int]) -> None:
    given_table = Table(VALUES[:, order], tuple(TAGS[at] for at in order))
    found = align(given_table, TAGS)
    np.testing.assert_array_equal(found.table.values, VALUES)
    assert found.table.tags == TAGS
    assert [n.reason for n in found.ledger.notes] == ([] if order == [0, 1, 2] else ["read.reason_reordered"])


def test_row_33_a_renamed_column_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(InputError) as fault:
        align(Table(VALUES, (Tag("F"), Tag("P"), Tag("T_1")), source="new.csv"), TAGS)
    assert str(fault.value) == "new.csv — there is no column 'T'. Did you mean 'T_1'? Found: F, P, T_1"
    assert fault.value.exit_code == 3


def test_row_35_a_further_column_is_noted() -> None:
    found = align(table("FPT"), TAGS[:2])
    assert found.table.names == ("F", "P")
    assert [(n.reason, n.tag, n.count) for n in found.ledger.notes] == [("read.reason_extra_column", "T", 4)]
    assert found.ledger.read == 4


def test_another_unit_is_refused_and_another_spelling_is_not() -> None:
    with pytest.raises(InputError) as fault:
        align(Table(VALUES, (Tag("F"), Tag("P"), Tag("T", unit="degF")), source="new.csv"), TAGS)
    assert str(fault.value) == (
        "new.csv — column 'T' is in degF, the model was trained in degC. Convert the values, or correct the unit"
    )
    spelt = Table(VALUES, (Tag("F", unit="m³/h"), Tag("P"), Tag("T", unit="°C")))
    assert align(spelt, TAGS).table.tags == TAGS


def test_an_input_without_a_value_is_refused_and_a_target_is_not() -> None:
    empty = Table(np.array([[1.0, np.nan]]), (Tag("F"), Tag("y")), source="new.csv")
    assert len(align(empty, [Tag("F"), Tag("y", role="target")]).table) == 1
    with pytest.raises(InputError) as fault:
        align(empty, [Tag("F"), Tag("y")])
    assert str(fault.value) == (
        "new.csv — column 'y' has no usable value in any row. Mend the export, or give the tag role = \"ignored\""
    )


def test_classes_keep_the_codes_of_training() -> None:
    trained = Tag("mode", categories=("cold", "hot", "off"))
    new = Table(
        np.array([[0.0], [1.0], [np.nan], [2.0]]),
        (Tag("mode", categories=("hot", "off", "warm")),),
        quality=np.zeros((4, 1), np.uint8),
    )
    found = align(new, [trained])
    np.testing.assert_array_equal(found.table.values[:, 0], [1, 2, np.nan, np.nan])
    assert [(n.reason, n.example, n.count) for n in found.ledger.notes] == [("read.reason_unknown_class", "warm", 1)]
    assert found.table.quality is not None
    assert found.table.quality[3, 0] == Quality.BAD
    np.testing.assert_array_equal(new.values[:, 0], [0, 1, np.nan, 2])


def test_numbers_and_classes_are_not_exchanged() -> None:
    with pytest.raises(InputError, match="column 'F' holds texts such as 'a', the model was trained on numbers"):
        align(Table(VALUES[:, :1], (Tag("F", categories=("a", "b")),)), [Tag("F")])
    with pytest.raises(InputError, match="column 'F' holds numbers, the model was trained on the classes a, b"):
        align(Table(VALUES[:, :1], (Tag("F"),)), [Tag("F", categories=("a", "b"))])

"""Columns that are added to a table."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from backmix.data.quality import Quality
from backmix.data.table import Table
from backmix.data.tag import Tag

NAMES = "abcdef"
CELLS = st.one_of(st.just(np.nan), st.floats(-1e6, 1e6, width=32))


@st.composite
def sheets(draw: st.DrawFn, rows: int, dtype: type) -> tuple[list[Tag], np.ndarray, np.ndarray | None]:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    unit = draw(st.sampled_from(["degC", "bar"]))
    values = np.array([[draw(CELLS) for _ in names] for _ in range(rows)], dtype=dtype)
    quality = None
    if draw(st.booleans()):
        quality = np.where(np.isnan(values), Quality.BAD, draw(st.sampled_from([0, 1]))).astype(np.uint8)
    return [Tag(name, unit=unit) for name in names], values, quality


@given(data=st.data(), dtypes=st.tuples(*(st.sampled_from([np.float32, np.float64]),) * 2))
def test_columns_are_put_behind_or_in_the_place_of_their_namesakes(data: st.DataObject, dtypes: tuple) -> None:
    tags, values, quality = data.draw(sheets(3, dtypes[0]))
    more, added, told = data.draw(sheets(3, dtypes[1]))
    table = Table(values, tuple(tags), quality=quality)
    found = table.with_columns(more, added, quality=told)
    new = [tag.name for tag in more]
    assert found.names == (*table.names, *(name for name in new if name not in table.names))
    assert found.values.dtype == np.result_type(*dtypes)
    assert (found.quality is None) == (quality is None and told is None)
    for name in found.names:
        source, codes, at = (added, told, new.index(name)) if name in new else (values, quality, table.index(name))
        np.testing.assert_array_equal(found.column(name), source[:, at])
        assert found.tag(name) == (more[at] if name in new else tags[at])
        if found.quality is not None:
            expected = np.where(np.isnan(source[:, at]), 2, 0) if codes is None else codes[:, at]
            np.testing.assert_array_equal(found.quality[:, found.index(name)], expected)


def test_one_column_may_be_flat_and_a_float32_table_stays_one() -> None:
    table = Table(np.zeros((3, 2), np.float32), (Tag("a"), Tag("b")))
    found = table.with_columns([Tag("c")], np.arange(3, dtype=np.float32))
    assert found.values.dtype == np.float32
    assert found.column("c").tolist() == [0.0, 1.0, 2.0]
    assert table.names == ("a", "b")

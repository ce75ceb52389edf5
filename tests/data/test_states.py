"""States of inputs as numbers: what is learned, and what is answered for rare, unseen and missing states."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backmix.data.quality import Quality
from backmix.data.states import StateCoding, code_states, learn_states
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.errors import InputError
from backmix.text import LANGUAGES


def table_of(words: list[str | None], name: str = "Recipe") -> Table:
    names = tuple(sorted({word for word in words if word is not None}))
    codes = [np.nan if word is None else names.index(word) for word in words]
    flow = np.arange(float(len(words)))
    return Table(np.column_stack([flow, codes]), (Tag("FI101"), Tag(name, categories=names)))


def learned(words: list[str | None], *, most: int = 12, rare: int = 1) -> StateCoding:
    table = table_of(words)
    (coding,) = learn_states(table, rows=np.ones(len(table), bool), most=most, rare=rare)
    return coding


def test_two_states_are_one_column_and_more_are_one_each() -> None:
    assert learned(["OPEN", "CLOSED"]).columns == ("Recipe = OPEN",)
    assert learned(["B", "A", "C"]).columns == ("Recipe = A", "Recipe = B", "Recipe = C")
    assert learned(["A", "A"]).columns == ("Recipe = A",)
    coded = code_states(table_of(["OPEN", "CLOSED", None]), [learned(["OPEN", "CLOSED"])]).table
    np.testing.assert_array_equal(coded.column("Recipe = OPEN"), [1.0, 0.0, np.nan])
    assert coded.names == ("FI101", "Recipe = OPEN")


def test_rare_states_share_a_column_and_an_unseen_one_joins_them_with_doubt() -> None:
    coding = learned([*["A"] * 6, *["B"] * 5, "C", "D"], rare=5)
    assert coding.columns == ("Recipe = A", "Recipe = B", "Recipe = other")
    coded = code_states(table_of(["A", "C", "Z", None]), [coding])
    np.testing.assert_array_equal(
        coded.table.values[:, 1:], [[1, 0, 0], [0, 0, 1], [0, 0, 1], [np.nan, np.nan, np.nan]]
    )
    assert coded.table.quality is not None
    assert coded.table.quality[:, 1].tolist() == [Quality.GOOD, Quality.GOOD, Quality.UNCERTAIN, Quality.BAD]
    (note,) = coded.notes
    assert (note.reason, note.count, note.example, note.tag) == ("read.reason_unseen_state", 1, "Z", "Recipe")
    assert all(note.sentence(lang) for lang in LANGUAGES)


def test_an_unseen_state_without_rare_ones_says_nothing() -> None:
    """Every column takes the share of its state in training: 0 after standard scaling."""
    coding = learned(["A", "A", "B", "C"])
    assert code_states(table_of(["Z"]), [coding]).table.values[0, 1:].tolist() == [0.5, 0.25, 0.25]
    two = learned(["OPEN", "CLOSED", "OPEN", "OPEN"])
    assert code_states(table_of(["JAMMED"]), [two]).table.values[0, 1:].tolist() == [0.75]


def test_a_state_called_other_keeps_its_name() -> None:
    coding = learned([*["other"] * 6, *["A"] * 6, "B"], rare=3)
    assert coding.columns == ("Recipe = A", "Recipe = other", "Recipe = others")


def test_too_many_states_are_refused_with_the_count() -> None:
    words = [f"R{n:02d}" for n in range(20) for _ in range(3)]
    with pytest.raises(InputError, match=r"20 states with at least 2 .* \[scaling\] states = 20"):
        learned(words, rare=2)
    assert len(learned(words, rare=2, most=20).columns) == 20
    assert learned(words, rare=4).columns == ("Recipe = other",)  # all of them rare but for the first


def test_a_name_that_is_taken_is_refused() -> None:
    table = table_of(["A", "B"]).with_columns([Tag("Recipe = B")], np.zeros(2))
    with pytest.raises(InputError, match="has a column of that name"):
        learn_states(table, rows=np.ones(2, bool), most=12, rare=1)


def test_numbers_where_states_are_wanted_are_refused() -> None:
    numbers = Table(np.zeros((2, 1)), (Tag("Recipe"),))
    with pytest.raises(InputError, match="Recipe"):
        code_states(numbers, [learned(["A", "B"])])
    with pytest.raises(InputError, match="Recipe"):
        code_states(Table(np.zeros((2, 1)), (Tag("Recipes"),)), [learned(["A", "B"])])
    empty = Table(np.full((2, 1), np.nan), (Tag("Recipe"),))
    assert np.isnan(code_states(empty, [learned(["A", "B"])]).table.values).all()


WORDS = st.lists(st.one_of(st.none(), st.text(max_size=4), st.sampled_from(["A", "B"])), min_size=1, max_size=40)


@given(words=WORDS, more=WORDS, rare=st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_any_states_code_to_finite_numbers_and_come_back_equal(
    words: list[str | None], more: list[str | None], rare: int
) -> None:
    table = table_of([*words, *more])
    rows = np.arange(len(table)) < len(words)
    if all(word is None for word in (*words, *more)):
        return  # a column without a single state is one of numbers
    if all(word is None for word in words):
        with pytest.raises(InputError):
            learn_states(table, rows=rows, most=100, rare=rare)
        return
    (coding,) = learn_states(table, rows=rows, most=100, rare=rare)
    assert set(coding.tag.categories) == {word for word in words if word is not None}
    assert StateCoding.from_dict(json.loads(json.dumps(coding.to_dict()))) == coding
    coded = code_states(table, [coding]).table
    numbers = coded.values[:, 1:]
    missing = np.array([word is None for word in (*words, *more)])
    assert (np.isnan(numbers).all(axis=1) == missing).all()
    assert ((numbers[~missing] >= 0) & (numbers[~missing] <= 1)).all()
    if len(coding.columns) > 1 and coding.pools:
        np.testing.assert_array_equal(numbers[~missing].sum(axis=1), 1.0)
    other = table_of([*words, *("?" for _ in more)])
    assert learn_states(other, rows=rows, most=100, rare=rare)[0] == coding


@pytest.mark.parametrize(
    "change",
    [
        {"own": ["Z"]},
        {"own": []},
        {"own": ["A", "A"]},
        {"shares": [0.5]},
        {"shares": [2.0, 0.0, 0.0]},
        {"shares": ["a", "b", "c"]},
        {"own": [1, 2]},
        {"more": 1},
    ],
)
def test_a_malformed_coding_is_refused(change: dict[str, object]) -> None:
    data = learned(["A", "B"]).to_dict() | change
    with pytest.raises((ValueError, KeyError, TypeError)):
        StateCoding.from_dict(data)

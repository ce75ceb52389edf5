"""The pages that say what shows each item of the course are true and up to date."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def course() -> ModuleType:
    """`docs/course.py`, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("course", ROOT / "docs" / "course.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["course"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_every_row_says_what_is_true(course: ModuleType) -> None:
    """Files exist, tests and labs name their item or letter, the program knows the commands."""
    assert list(course.faults(course.load())) == []


def test_the_pages_are_up_to_date(course: ModuleType) -> None:
    for lang, page in course.PAGES.items():
        assert page.read_text("utf-8") == course.render(course.load(), lang), "run scripts/docs"


def test_both_pages_have_the_same_rows(course: ModuleType) -> None:
    found = course.load()
    for row in (*found.items, *found.letters):
        assert all(row.title[lang].strip() for lang in ("en", "zh_TW"))
        for lang in ("en", "zh_TW"):
            assert f"\n| {row.name} | {row.title[lang]} |" in course.render(found, lang)


def test_what_a_docstring_names(course: ModuleType) -> None:
    for words, names in [
        ("Course item 38.", {"38"}),
        ("Trap W: off by one.", {"W"}),
        ("Course items 43 (Adam, RMSprop), 44 (clipping) and 45: all.", {"43", "44", "45"}),
        ("Course items 15 and 16, traps J and O, bad inputs 6 and 26", {"15", "16", "J", "O"}),
        ("Course items 55 to 57, 66; letter G: .h5", {"55", "56", "57", "66", "G"}),
        ("Course items 24-26, 32: 7 more", {"24", "25", "26", "32"}),
        ("Row 27 of the list; A law of 64 bits", set()),
    ]:
        assert course.named(words) == names, words


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"where": ("src/backmix/nowhere.py",)}, "38: src/backmix/nowhere.py does not exist"),
        ({"show": ("tests/test_course.py::test_nothing",)}, "38: tests/test_course.py::test_nothing does not exist"),
        (
            {"show": ("tests/test_course.py::test_what_a_docstring_names",)},
            "38: the docstring of tests/test_course.py::test_what_a_docstring_names does not name it",
        ),
        ({"show": ("backmix run plan.toml",)}, "38: neither a test nor an executed lab names it"),
        ({"show": ("docs/lab/99_nothing",)}, "38: docs/lab/source/99_nothing.py does not exist"),
        ({"show": ()}, "38: nothing shows it, or it lives nowhere"),
        ({"show": ("make tea",)}, "38: 'make tea' is neither a command, a test nor a lab"),
    ],
)
def test_what_is_not_true_is_found(course: ModuleType, changes: dict[str, tuple[str, ...]], fault: str) -> None:
    found = course.load()
    items = tuple(replace(row, **changes) if row.name == "38" else row for row in found.items)
    assert fault in list(course.faults(replace(found, items=items)))


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("backmix fly plan.toml", "there is no command 'fly'"),
        ("backmix run plan.toml --sideways", "No such option: --sideways"),
        ("backmix data get", "Missing parameter: name"),
        ("backmix run examples/nothing.toml", "examples/nothing.toml does not exist"),
        ("backmix predict a.backmix b.csv --history never", "'never' is not one of"),
    ],
)
def test_a_command_that_the_program_does_not_know_is_found(course: ModuleType, line: str, fault: str) -> None:
    (said,) = course.command_faults(line)
    assert fault in said


def test_a_row_twice_or_out_of_order_is_found(course: ModuleType) -> None:
    found = course.load()
    for items in ((*found.items, found.items[0]), found.items[::-1]):
        assert any("in order, each once" in fault for fault in course.faults(replace(found, items=items)))
    assert course.missing(replace(found, items=found.items[1:], letters=found.letters[:-1]))[0] == "1"
    assert course.missing(replace(found, letters=found.letters[:-1]))[-1] == "Z"


def test_every_item_and_letter_has_a_row(course: ModuleType) -> None:
    assert course.missing(course.load()) == []

"""Names of the release before: each works on, with one warning that says what it is now."""

from __future__ import annotations

import sys
from importlib import import_module

import pytest

from backmix.earlier import MOVED, RENAMED
from backmix.serving.bundle import Bundle
from backmix.workflow import Run


@pytest.mark.parametrize("earlier", sorted(MOVED))
def test_a_moved_module_is_found_with_one_warning(earlier: str) -> None:
    sys.modules.pop(earlier, None)
    home = import_module(MOVED[earlier])
    public = next(name for name, value in vars(home).items() if getattr(value, "__module__", "") == home.__name__)
    with pytest.warns(DeprecationWarning, match=f"{earlier} is now {MOVED[earlier]}") as caught:
        module = import_module(earlier)
    assert len(caught) == 1
    assert getattr(module, public) is getattr(home, public)
    with pytest.raises(AttributeError, match="no_such_name"):
        module.no_such_name  # noqa: B018


@pytest.mark.parametrize(("home", "earlier"), [(home, name) for home, names in RENAMED.items() for name in names])
def test_a_renamed_class_is_found_where_it_was(home: str, earlier: str) -> None:
    where = next(old for old, new in MOVED.items() if new == home)
    sys.modules.pop(where, None)
    with pytest.warns(DeprecationWarning, match=f"{where} is now {home}"):
        found = getattr(import_module(where), earlier)
    assert found is getattr(import_module(home), RENAMED[home][earlier])


def test_what_never_was_is_still_an_import_error() -> None:
    with pytest.raises(ImportError):
        import_module("backmix.evaluation.nothing")


def test_a_bundle_still_has_its_recipe(sensor_run: Run) -> None:
    bundle = Bundle.load(sensor_run.bundle_path)
    with pytest.warns(DeprecationWarning, match="preprocessing"):
        assert bundle.recipe is bundle.preprocessing

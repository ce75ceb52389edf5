"""Names of the release before: each works on, with one warning that says what it is now."""

from __future__ import annotations

import sys
from importlib import import_module

import pytest

from backmix.earlier import LEFT, MOVED, OF_TASK, RENAMED
from backmix.results.run import Run
from backmix.serving.bundle import Bundle
from frames import diagnosis


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


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (module, name)
        for module in ("backmix.workflow", "backmix.data.windows", "backmix.data.reading")
        for name in LEFT[module]
    ],
)
def test_a_name_that_left_its_module_is_found_with_one_warning(module: str, name: str) -> None:
    with pytest.warns(DeprecationWarning, match=rf"{module}\.{name} is now") as caught:
        found = getattr(import_module(module), name)
    assert len(caught) == 1
    assert found is getattr(import_module(LEFT[module][name]), name)


def test_what_left_a_module_that_moved_is_found_in_its_new_home() -> None:
    sys.modules.pop("backmix.training.space", None)
    with pytest.warns(DeprecationWarning, match=r"backmix\.training\.space is now"):
        earlier = import_module("backmix.training.space")
    for name, home in LEFT["backmix.training.sections.space"].items():
        assert getattr(earlier, name) is getattr(import_module(home), name)


def test_what_never_was_is_still_an_import_error() -> None:
    with pytest.raises(ImportError):
        import_module("backmix.evaluation.nothing")


def test_a_bundle_still_has_its_recipe(sensor_run: Run) -> None:
    bundle = Bundle.load(sensor_run.bundle_path)
    with pytest.warns(DeprecationWarning, match="preprocessing"):
        assert bundle.recipe is bundle.preprocessing


@pytest.mark.parametrize("earlier", sorted(OF_TASK))
def test_an_attribute_of_a_task_is_found_in_its_part(earlier: str) -> None:
    task = diagnosis("calm", "leak")
    part, _, name = OF_TASK[earlier].partition(".")
    with pytest.warns(DeprecationWarning, match=f"task.{earlier} is now task.{part}.{name}") as caught:
        value = getattr(task, earlier)
    assert len(caught) == 1
    assert value == getattr(getattr(task, part), name)


def test_what_a_task_never_had_it_has_not() -> None:
    with pytest.raises(AttributeError, match="'FaultDiagnosis' object has no attribute 'moon'"):
        diagnosis("calm", "leak").moon  # noqa: B018

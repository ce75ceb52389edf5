"""The pages about the rooms are what the code gives, and the rooms keep their size."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

from backmix.app.main import COMMANDS
from backmix.registry import Registry

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "backmix"
FOLDERS = sorted({path.parent for path in PACKAGE.rglob("*.py")} - {PACKAGE})

MOST_FILES = 12
MOST_LINES = 450

# Written on 2026-11-30, and can only shrink: whoever parts a folder or a file takes its line out.
LARGE_FOLDERS: dict[str, int] = {}
"""Folders with more files than a folder may have, each with the number that it must not exceed."""
LONG_FILES: dict[str, int] = {}
"""Files with more lines than a file may have, each with the number that it must not exceed."""
SILENT: set[str] = set()
"""Packages whose docstring does not yet say what enters and what leaves."""


@pytest.fixture(scope="module")
def architecture() -> ModuleType:
    """`docs/architecture.py`, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("architecture", ROOT / "docs" / "architecture.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["architecture"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_the_notes_fit_the_code(architecture: ModuleType) -> None:
    """Every room has its words in both languages; every class, folder and test that is named exists."""
    assert sorted(architecture.faults(architecture.rooms())) == []


def test_picture_and_pages_are_up_to_date(architecture: ModuleType) -> None:
    house = architecture.rooms()
    assert architecture.PICTURE.read_text("utf-8") == architecture.picture(house), "run scripts/docs"
    for lang, page in architecture.PAGES.items():
        assert page.read_text("utf-8") == architecture.page(house, lang), "run scripts/docs"


def test_the_check_says_what_is_out_of_date(
    architecture: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    old = tmp_path / "architecture.md"
    old.write_text(architecture.PAGES["en"].read_text("utf-8") + "by hand\n", "utf-8")
    assert architecture.main(["--check"]) == 0
    monkeypatch.setattr(architecture, "PAGES", {"en": old})
    assert architecture.main(["--check"]) == 1
    assert capsys.readouterr().err == "docs: architecture.md is not what the code gives. Run scripts/docs\n"
    assert old.read_text("utf-8").endswith("by hand\n")


def test_no_arrow_leads_up_or_sideways(architecture: ModuleType) -> None:
    """A room imports rooms of lower layers alone, and those that the import law orders are all drawn."""
    house = architecture.rooms()
    layer = {room.name: room.layer for room in house}
    assert {name for names in architecture.layers() for name in names} - {"native"} <= layer.keys()
    for room in house:
        for other in room.imports:
            assert layer[other] > room.layer, f"{room.name} imports {other}"


def test_imports_are_read_as_python_runs_them(architecture: ModuleType, tmp_path: Path) -> None:
    """At the top of a module an import is early; in a function or for types alone it is late."""
    for name, text in {
        "top/__init__.py": '"""Top."""\n',
        "top/one.py": "from backmix.low import x\nfrom backmix.top.two import y\nimport numpy\n",
        "top/two.py": "def f():\n    from backmix import deep\n    import backmix.low.inner\n",
        "top/three.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from backmix.types import T\n",
        "low/__init__.py": "",
        "low/inner.py": "class A:\n    from backmix.deep import z\n",
        "deep.py": "",
        "types.py": "",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    house = architecture.rooms(tmp_path, [("top",), ("low", "deep"), ("gone",)])
    assert [(room.name, room.layer) for room in house] == [("top", 0), ("low", 1), ("deep", 1), ("types", 2)]
    assert house[0].imports == {"low": True, "deep": False, "types": False}
    assert house[1].imports == {"deep": True}


def test_the_picture_shows_each_import_once(architecture: ModuleType) -> None:
    house = architecture.rooms()
    drawing = ElementTree.fromstring(architecture.picture(house))  # noqa: S314  # our own drawing
    titles = [element.text for element in drawing.iter("{http://www.w3.org/2000/svg}title")][1:]
    assert sorted(titles) == sorted(
        f"{room.name} imports {other}" + ("" if early else " when needed")
        for room in house
        for other, early in room.imports.items()
    )
    names = [element.text for element in drawing.iter("{http://www.w3.org/2000/svg}tspan")]
    assert names == [room.name for room in house]
    for box in drawing.iter("{http://www.w3.org/2000/svg}rect"):
        assert float(box.get("x", 0)) + float(box.get("width", 0)) <= architecture.WIDTH


def test_every_link_of_the_pages_leads_somewhere(architecture: ModuleType) -> None:
    for page in architecture.PAGES.values():
        text = page.read_text("utf-8")
        targets = re.findall(r"\]\(([^)#]+)\)", text)
        assert targets
        for target in targets:
            assert (page.parent / target).exists() or target == "parts.md", target  # parts.md comes next
        heads = set(re.findall(r"^### (\w+)$", text, re.MULTILINE))
        inside = set(re.findall(r"\]\(#(\w+)\)", text))
        assert inside
        assert inside <= heads


def _scanned() -> set[str]:
    """The folders that a registry searches: there, one part is one file."""
    found = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        if "Registry(" in path.read_text("utf-8"):
            name = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")
            for value in vars(importlib.import_module(name)).values():
                if isinstance(value, Registry):
                    found.add("/".join(value.package.split(".")[1:]))
    return found


def test_a_folder_holds_at_most_twelve_files() -> None:
    """Except where a registry looks for parts, where each command is a file, and the package itself, whose modules
    are rooms of their own."""
    parts = _scanned()
    assert {"models/cells", "report/figures", "scoring/metrics"} <= parts
    commands = {path.stem for path in (PACKAGE / "app" / "commands").glob("*.py")}
    assert commands == {"__init__", *COMMANDS}
    counts = {
        name: sum(1 for _ in folder.glob("*.py"))
        for folder in FOLDERS
        if (name := folder.relative_to(PACKAGE).as_posix()) not in parts | {"app/commands"}
    }
    assert _too_large(counts, MOST_FILES, LARGE_FOLDERS) == []


def test_a_file_has_at_most_450_lines() -> None:
    counts = {
        path.relative_to(PACKAGE).as_posix(): len(path.read_text("utf-8").splitlines())
        for path in sorted(PACKAGE.rglob("*.py"))
    }
    assert _too_large(counts, MOST_LINES, LONG_FILES) == []


def test_no_class_name_repeats() -> None:
    """A class is found by its name alone: no two modules have one of the same name."""
    homes = _class_homes(PACKAGE)
    assert len(homes) > 200
    assert {name: modules for name, modules in homes.items() if len(modules) > 1} == {}


def _class_homes(package: Path) -> dict[str, list[str]]:
    """Every class below a folder, also those inside functions, and the modules that define one of its name."""
    homes: dict[str, list[str]] = {}
    for path in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                homes.setdefault(node.name, []).append(path.relative_to(package).as_posix())
    return homes


def test_a_repeated_class_name_is_found(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("class A:\n    class B: ...\n", "utf-8")
    (tmp_path / "two.py").write_text("def f():\n    class B: ...\n", "utf-8")
    assert _class_homes(tmp_path) == {"A": ["one.py"], "B": ["one.py", "two.py"]}


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Also with imports inside functions and those for types alone. Modules of ``data`` may still meet in a circle."""
    graph = _imports(PACKAGE, "backmix")
    assert "backmix.training.plan" in graph["backmix.training.prepare"]
    assert "backmix.inspection" in graph["backmix.explanation"], "an import for types alone counts"
    assert _circle(graph, apart="backmix.data") == []


def _imports(package: Path, root: str) -> dict[str, set[str]]:
    """Module -> all modules of the package that it imports, wherever the import stands."""
    paths = {
        ".".join((root, *path.relative_to(package).with_suffix("").parts)).removesuffix(".__init__"): path
        for path in package.rglob("*.py")
    }
    graph: dict[str, set[str]] = {name: set() for name in paths}
    for name, path in paths.items():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module is not None:
                named = {f"{node.module}.{alias.name}" for alias in node.names}
                graph[name] |= (named & paths.keys()) | ({node.module} if named - paths.keys() else set())
            elif isinstance(node, ast.Import):
                graph[name] |= {alias.name for alias in node.names}
        graph[name] &= paths.keys() - {name}
    return graph


def _circle(graph: dict[str, set[str]], *, apart: str) -> list[str]:
    """The modules of a circle in their order; [] when there is none. Imports within ``apart`` are left out."""

    def inside(name: str) -> bool:
        return name == apart or name.startswith(f"{apart}.")

    order = TopologicalSorter(
        {name: {other for other in others if not (inside(name) and inside(other))} for name, others in graph.items()}
    )
    try:
        order.prepare()
    except CycleError as fault:
        circle: list[str] = fault.args[1]
        return circle
    return []


def test_a_circle_is_found_wherever_its_imports_stand(tmp_path: Path) -> None:
    (tmp_path / "low").mkdir()
    for name, text in {
        "one.py": "def f():\n    from top.low import two\n",
        "low/__init__.py": "",
        "low/two.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from top.three import T\n",
        "three.py": "import top.one\n",
        "four.py": "from top.one import f\n",
    }.items():
        (tmp_path / name).write_text(text, "utf-8")
    graph = _imports(tmp_path, "top")
    assert sorted(set(_circle(graph, apart="top.none"))) == ["top.low.two", "top.one", "top.three"]
    assert _circle(graph, apart="top") == []


def _too_large(counts: dict[str, int], most: int, excused: dict[str, int]) -> list[str]:
    faults = [
        f"{name} has {count}, at most {excused.get(name, most)}: part it by noun"
        for name, count in counts.items()
        if count > excused.get(name, most)
    ]
    return faults + [
        f"{name} keeps the law now: take it off the list" for name in excused if counts.get(name, 0) <= most
    ]


def test_what_is_too_large_is_found_and_lists_only_shrink() -> None:
    assert _too_large({"a": 13, "b": 12, "c": 20, "d": 21}, 12, {"c": 20, "d": 20}) == [
        "a has 13, at most 12: part it by noun",
        "d has 21, at most 20: part it by noun",
    ]
    assert _too_large({"a": 12}, 12, {"a": 15, "gone": 13}) == [
        "a keeps the law now: take it off the list",
        "gone keeps the law now: take it off the list",
    ]


def test_every_package_says_what_enters_and_what_leaves() -> None:
    """Its docstring has a line that begins with "In:", one with "Out:", and no more than it takes to read at a glance."""
    silent = set()
    for folder in FOLDERS:
        text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text("utf-8"))) or ""
        labels = re.findall(r"^(In|Out): \S", text, re.MULTILINE)
        if labels != ["In", "Out"]:
            silent.add(folder.relative_to(PACKAGE).as_posix())
        else:
            assert len(text.splitlines()) <= 16, f"{folder}: say it shorter"
    assert silent == SILENT

"""What an installation brings: all that is imported, kernels where a compiler is, no engine of hundreds of MB."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CONFIGURATION = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT = CONFIGURATION["project"]
NATIVE = ROOT / "native"
OPTIONAL = {name for extra in PROJECT["optional-dependencies"].values() for name in extra}
BROUGHT = {"requests": "pooch", "pydantic-core": "pydantic", "threadpoolctl": "scikit-learn"}
"""Packages that another one cannot be installed without, and which."""
HEAVY = re.compile(r"(torch|tensorflow|triton|nvidia-|cuda|jax-cuda|jax-rocm)", re.IGNORECASE)


def _name(requirement: str) -> str:
    return re.split(r"[\s\[<>=!~;]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def _imported() -> set[str]:
    """The packages that any module of ours imports, anywhere in it."""
    found: set[str] = set()
    for path in (ROOT / "src" / "backmix").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - {"backmix"}


def test_what_is_imported_is_declared_and_what_is_declared_is_used() -> None:
    declared = {_name(line) for line in PROJECT["dependencies"]}
    optional = {_name(line) for line in OPTIONAL}
    homes = packages_distributions()
    used = {name.lower().replace("_", "-") for package in _imported() for name in homes.get(package, [package])}
    brought = {name for name, carrier in BROUGHT.items() if carrier in declared}
    assert used - declared - optional - brought == set(), "imported, but not declared"
    # never imported by name: the engine behind Keras, the reader behind pandas.to_parquet, the zones of zoneinfo
    assert declared - used - {"jax", "pyarrow", "tzdata"} == set(), "declared, but not used"


@pytest.mark.parametrize("lock", ["run.txt", "test.txt"])
def test_the_lock_holds_no_heavy_engine_and_a_hash_for_everything(lock: str) -> None:
    text = (ROOT / "requirements" / lock).read_text("utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    assert lines
    assert [line for line in lines if HEAVY.match(line)] == []
    assert [line for line in lines if "--hash=sha256:" not in line] == []


def test_nothing_of_the_package_is_kept_out_of_the_wheel() -> None:
    """The wheel holds what git does not ignore; templates, catalogues and styles must be among it."""
    files = [
        str(path)
        for path in (ROOT / "src" / "backmix").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    assert {".py", ".toml", ".css", ".jinja", ".typed"} <= {Path(name).suffix or Path(name).name for name in files}
    ignored = subprocess.run(
        ["git", "check-ignore", "--stdin"],
        input="\n".join(files),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if ignored.returncode == 128:
        pytest.skip("not a git working copy")
    assert ignored.stdout.split() == []


def test_what_builds_an_isolated_wheel_builds_the_editable_install_too() -> None:
    requires = set(CONFIGURATION["build-system"]["requires"])
    assert CONFIGURATION["build-system"]["build-backend"] == "scikit_build_core.build"
    assert requires <= set(CONFIGURATION["dependency-groups"]["build"])
    assert {_name(line) for line in requires} >= {"nanobind", "jaxlib"}


def test_a_build_that_fails_ends_in_a_package_without_kernels() -> None:
    settings = CONFIGURATION["tool"]["scikit-build"]
    assert settings["cmake"]["source-dir"] == "native"
    assert {"if": {"failed": True}, "wheel": {"cmake": False}} in settings["overrides"]


def test_the_kernels_are_made_for_any_machine_and_bring_no_threads_of_their_own() -> None:
    """Tuned to the machine that compiles, a wheel dies on an older one; OpenMP beside another pool spins."""
    forbidden = re.compile(r"-m(?:arch|tune|cpu)=|/arch:|-Ofast|-ffast-math|[-/]f?openmp|\(OpenMP|omp\.h|pragma omp")
    texts = {
        path: path.read_text("utf-8")
        for path in [*NATIVE.rglob("*"), ROOT / "pyproject.toml"]
        if path.suffix in {".txt", ".cmake", ".cpp", ".h", ".toml"}
    }
    assert NATIVE / "CMakeLists.txt" in texts
    assert {path.name: forbidden.findall(text) for path, text in texts.items() if forbidden.search(text)} == {}


def test_every_source_of_the_kernels_is_built() -> None:
    """A source that is forgotten links all the same; the module then fails when it is loaded."""
    listed = re.findall(r"[\w/]+\.cpp\b", (NATIVE / "CMakeLists.txt").read_text("utf-8"))
    assert sorted(listed) == sorted(path.relative_to(NATIVE).as_posix() for path in NATIVE.rglob("*.cpp"))


def test_where_a_compiler_is_the_kernels_are() -> None:
    """Otherwise a mistake in them would go unseen: the install falls back to a package without."""
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    if not any(map(shutil.which, ("c++", "g++", "clang++"))) or not headers.exists():
        pytest.skip("no compiler")
    assert find_spec("backmix.native") is not None
    from backmix import native

    assert native.instruction_set() in {"avx512", "avx2", "neon", "portable"}
    assert native.threads() >= 1


def test_the_kernels_and_how_they_are_built_are_in_the_repository() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--others", "--ignored", "--exclude-standard", "native"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 128:
        pytest.skip("not a git working copy")
    assert listed.stdout.split() == []  # nothing that an sdist would lack


def test_a_wheel_is_tried_on_every_machine_it_is_built_for() -> None:
    wheels = CONFIGURATION["tool"]["cibuildwheel"]
    assert wheels["build"] == [f"cp3{minor}-*" for minor in (11, 12, 13, 14)]
    assert "from backmix import native" in wheels["test-command"]
    assert (ROOT / wheels["environment"]["PIP_BUILD_CONSTRAINT"]).exists()

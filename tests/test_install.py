"""What an installation brings: everything that is imported, and no engine of hundreds of megabytes."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
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
    files = [str(path) for path in (ROOT / "src" / "backmix").rglob("*")
             if path.is_file() and "__pycache__" not in path.parts]
    assert {".py", ".toml", ".css", ".jinja", ".typed"} <= {Path(name).suffix or Path(name).name for name in files}
    ignored = subprocess.run(["git", "check-ignore", "--stdin"], input="\n".join(files), cwd=ROOT,
                             capture_output=True, text=True, check=False)
    if ignored.returncode == 128:
        pytest.skip("not a git working copy")
    assert ignored.stdout.split() == []

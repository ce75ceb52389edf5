"""Members of other packages that are not part of their public interface: each is known here, bounded, and there."""

from __future__ import annotations

import ast
import re
import tomllib
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PRIVATE = {
    "joblib._parallel_backends": "LokyBackend._prepare_worker_env",
    "joblib.executor": "get_memmapping_executor",
    "keras.src.api_export": "REGISTERED_OBJS_TO_NAMES",
    "keras": "Model._flatten_layers",
}
"""Module -> what of it we use. A package that stands here has an upper bound in pyproject.toml."""
PACKAGES = sorted({module.partition(".")[0] for module in PRIVATE})


def _requirement(package: str) -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return next(line for line in project["dependencies"] if re.match(rf"{package}\b", line))


@pytest.mark.parametrize("module", sorted(PRIVATE))
def test_a_private_member_is_there(module: str) -> None:
    found = import_module(module)
    for name in PRIVATE[module].split("."):
        found = getattr(found, name)


def test_a_call_of_joblib_has_the_mark_by_which_its_workers_are_kept() -> None:
    from joblib import Parallel

    assert Parallel(n_jobs=1)._id


@pytest.mark.parametrize("package", PACKAGES)
def test_its_package_is_bounded_at_the_next_minor_release(package: str) -> None:
    major, minor = (int(number) for number in version(package).split(".")[:2])
    assert f"<{major}.{minor + 1}" in _requirement(package)


def test_boosted_trees_are_where_they_are_read_and_the_next_release_is_shut_out() -> None:
    """`simple.boosting` makes arrays of them; tests/models/test_parts.py compares these with what is predicted."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    model = HistGradientBoostingRegressor(max_iter=1).fit([[float(n)] for n in range(50)], range(50))
    ((tree,),) = model._predictors
    fields = {"is_leaf", "value", "feature_idx", "num_threshold", "left", "right"}
    assert fields <= set(tree.nodes.dtype.names)
    major, minor = (int(number) for number in version("scikit-learn").split(".")[:2])
    assert f"<{major}.{minor + 1}" in _requirement("scikit-learn")


def test_no_other_private_module_is_imported() -> None:
    imported = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and not node.module.startswith(("backmix", "__")):
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
                imported |= {
                    name for name in names if any(part == "src" or part.startswith("_") for part in name.split("."))
                }
    known = {f"{module}.{name.partition('.')[0]}" for module, name in PRIVATE.items()}
    known |= {*PRIVATE, *(module.rpartition(".")[0] for module in PRIVATE)}
    assert imported <= known, imported - known
    assert imported, "the search finds those that are known"

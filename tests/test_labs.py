"""The labs run, and the notebooks that lie beside them are what comes out."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HOME = Path(__file__).parent.parent / "docs" / "lab"
NAMES = sorted(path.stem for path in (HOME / "source").glob("*.py"))


@pytest.fixture(scope="module")
def labs() -> ModuleType:
    """`docs/lab/labs.py`, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("labs", HOME / "labs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["labs"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def as_in_jupyter() -> Iterator[None]:
    """Keras's own warnings about NumPy 2 are shown there and stop nothing."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="__array__ implementation doesn't accept a copy")
        yield


@pytest.mark.usefixtures("as_in_jupyter")
@pytest.mark.parametrize("name", NAMES)
def test_a_lab_gives_the_notebooks_that_are_there(labs: ModuleType, name: str) -> None:
    """All but what was measured is the same to the last letter, in both languages."""
    path = HOME / "source" / f"{name}.py"
    assert labs.differences(path, labs.execute(labs.read(path), path.name)) == []


@pytest.mark.parametrize("lang", ["en", "zh_TW"])
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_one_by_the_rules(name: str, lang: str) -> None:
    """The schema of nbformat 4.5, as far as these notebooks use it."""
    book = json.loads((HOME / lang / f"{name}.ipynb").read_text("utf-8"))
    assert book.keys() == {"cells", "metadata", "nbformat", "nbformat_minor"}
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    assert book["metadata"]["kernelspec"].keys() >= {"name", "display_name"}
    assert book["metadata"]["language_info"]["name"] == "python"
    identities = [cell["id"] for cell in book["cells"]]
    assert len(set(identities)) == len(identities)
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", identity) for identity in identities)
    count = 0
    for cell in book["cells"]:
        common = {"cell_type", "id", "metadata", "source"}
        assert isinstance(cell["metadata"], dict)
        assert is_text(cell["source"])
        if cell["cell_type"] == "markdown":
            assert cell.keys() == common
            continue
        assert cell["cell_type"] == "code"
        assert cell.keys() == common | {"execution_count", "outputs"}
        count += 1
        assert cell["execution_count"] == count
        for output in cell["outputs"]:
            if output["output_type"] == "stream":
                assert output.keys() == {"output_type", "name", "text"}
                assert output["name"] == "stdout"
                assert is_text(output["text"])
            else:
                assert output["output_type"] == "execute_result"
                assert output.keys() == {"output_type", "execution_count", "data", "metadata"}
                assert output["execution_count"] == count
                assert all(is_text(content) for content in output["data"].values())
    assert count > 4


def is_text(lines: Any) -> bool:
    """Lines, each but the last with its end."""
    return (
        isinstance(lines, list)
        and all(isinstance(line, str) for line in lines)
        and all(line.endswith("\n") for line in lines[:-1])
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_lab_is_written_in_both_languages_and_ends_with_an_exercise(labs: ModuleType, name: str) -> None:
    cells = labs.read(HOME / "source" / f"{name}.py")
    words = {lang: [cell.text for cell in cells if cell.kind == lang] for lang in labs.LANGUAGES}
    order = [cell.kind for cell in cells if not cell.code]
    assert order == ["en", "zh_TW"] * (len(order) // 2)
    assert not cells[-1].code
    assert "## Exercise" in words["en"][-1]
    assert "## 練習" in words["zh_TW"][-1]
    for english, chinese in zip(words["en"], words["zh_TW"], strict=True):
        assert english.count("\n#") == chinese.count("\n#"), english
        assert english.count("$$") == chinese.count("$$"), english
        assert not re.search(r"[一-鿿]", english)
        assert re.search(r"[一-鿿]", chinese)


def test_there_are_no_other_notebooks() -> None:
    for lang in ("en", "zh_TW"):
        assert sorted(path.stem for path in (HOME / lang).iterdir()) == NAMES


def test_outputs_are_those_of_a_notebook(labs: ModuleType) -> None:
    class Drawing:
        def __repr__(self) -> str:
            return "Drawing"

        def _repr_svg_(self) -> str:
            return "<svg/>"

    cells = [
        labs.Cell("en", "# A"),
        labs.Cell("", "print(1)\nx = 2"),
        labs.Cell("measured", "x + 1"),
        labs.Cell("", "None"),
    ]
    done = labs.execute(cells, "example")
    assert [list(cell.outputs) for cell in done] == [
        [],
        [{"output_type": "stream", "name": "stdout", "text": ["1\n"]}],
        [{"output_type": "execute_result", "execution_count": None, "data": {"text/plain": ["3"]}, "metadata": {}}],
        [],
    ]
    (output,) = labs._run("drawing", {"drawing": Drawing()}, "place")
    assert output["data"] == {"text/plain": ["Drawing"], "image/svg+xml": ["<svg/>"]}
    book = labs.notebook(done, "en")
    other = labs.notebook([*done[:2], labs.Cell("measured", "x + 1"), done[3]], "en")
    assert labs.compared(book) == labs.compared(other)
    assert book != other


def test_a_fault_of_a_source_says_where(labs: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("# %% en\n# words\n# %% fr\n# mots\n", "utf-8")
    with pytest.raises(ValueError, match=r"bad\.py:3 — cell of kind 'fr'\. Use one of: en, zh_TW, measured"):
        labs.read(tmp_path / "bad.py")
    with pytest.raises(ZeroDivisionError) as caught:
        labs.execute([labs.Cell("", "1 / 0")], "bad.py")
    assert caught.value.__notes__ == ["in cell 1 of bad.py:\n1 / 0"]

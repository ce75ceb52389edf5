"""The labs: one source each, executed into a notebook in English and one in Traditional Chinese.

    python docs/lab/labs.py            # execute every lab, write the notebooks
    python docs/lab/labs.py 03         # only labs whose name begins so
    python docs/lab/labs.py --check    # execute, compare with the notebooks that are there, write nothing

This module reads ``docs/lab/source/*.py``. A source is a list of cells, each under a line of its own:

    # %% en             words in English, as comments, Markdown
    # %% zh_TW          the same in Traditional Chinese
    # %%                code, the same in both notebooks
    # %% measured       code whose output depends on the machine: executed, shown, not compared

Cells are executed one after the other in one namespace. What is printed becomes the output; the value of a
cell's last expression too, with its drawing where it has one (``_repr_svg_``, ``_repr_html_``). The
notebooks are written with the standard library, in nbformat 4.5, and open in Jupyter.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import io
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parent
LANGUAGES = ("en", "zh_TW")
KINDS = ("en", "zh_TW", "", "measured")
KERNEL = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


@dataclass(frozen=True)
class Cell:
    """One cell: its kind (a language, "" for code, "measured"), its text, and what executing it gave."""

    kind: str
    text: str
    outputs: tuple[dict[str, Any], ...] = ()

    @property
    def code(self) -> bool:
        """Whether it is executed."""
        return self.kind not in LANGUAGES


def sources() -> list[Path]:
    """The sources of all labs, in order."""
    return sorted((HOME / "source").glob("*.py"))


def read(path: Path) -> list[Cell]:
    """The cells of a source; ValueError names the line of a head that is none."""
    cells: list[Cell] = []
    head = re.compile(r"^# %%\s*(\S*)\s*$", re.MULTILINE)
    text = path.read_text("utf-8")
    marks = list(head.finditer(text))
    for mark, end in zip(marks, [*(m.start() for m in marks[1:]), len(text)], strict=True):
        kind, body = mark[1], text[mark.end() : end].strip("\n")
        if kind not in KINDS:
            line = text[: mark.start()].count("\n") + 1
            raise ValueError(f"{path.name}:{line} — cell of kind {kind!r}. Use one of: en, zh_TW, measured, or nothing")
        if kind in LANGUAGES:
            body = "\n".join(line.removeprefix("#").removeprefix(" ") for line in body.splitlines())
        cells.append(Cell(kind, body))
    return cells


def execute(cells: Sequence[Cell], name: str) -> list[Cell]:
    """The cells with their outputs; an error of a cell comes through, with a note that says which cell."""
    names: dict[str, Any] = {"__name__": "__main__"}
    done = []
    for number, cell in enumerate(cells, 1):
        if not cell.code:
            done.append(cell)
            continue
        try:
            done.append(replace(cell, outputs=tuple(_run(cell.text, names, f"{name}, cell {number}"))))
        except Exception as fault:
            fault.add_note(f"in cell {number} of {name}:\n{cell.text}")
            raise
    return done


def _run(text: str, names: dict[str, Any], place: str) -> Iterator[dict[str, Any]]:
    tree = ast.parse(text)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed, value = io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, place, "exec"), names)  # noqa: S102  # our own labs
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), place, "eval"), names)  # noqa: S307
    if printed.getvalue():
        yield {"output_type": "stream", "name": "stdout", "text": _lines(printed.getvalue())}
    if value is not None:
        data = {"text/plain": _lines(repr(value))}
        for mime, way in (("image/svg+xml", "_repr_svg_"), ("text/html", "_repr_html_")):
            if hasattr(value, way):
                data[mime] = _lines(getattr(value, way)())
        yield {"output_type": "execute_result", "execution_count": None, "data": data, "metadata": {}}


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def notebook(cells: Sequence[Cell], lang: str) -> dict[str, Any]:
    """The notebook in one language, as nbformat 4.5 wants it."""
    found: list[dict[str, Any]] = []
    count = 0
    for number, cell in enumerate(cells, 1):
        common = {"id": f"cell-{number}", "metadata": {}, "source": _lines(cell.text)}
        if cell.code:
            count += 1
            outputs = [
                output | ({"execution_count": count} if "execution_count" in output else {}) for output in cell.outputs
            ]
            tags = {"metadata": {"tags": ["measured"]}} if cell.kind == "measured" else {}
            found.append({"cell_type": "code", "execution_count": count, "outputs": outputs} | common | tags)
        elif cell.kind == lang:
            found.append({"cell_type": "markdown"} | common)
    return {"cells": found, "metadata": KERNEL, "nbformat": 4, "nbformat_minor": 5}


def write(book: dict[str, Any]) -> str:
    """A notebook as the text of its file."""
    return json.dumps(book, ensure_ascii=False, indent=1) + "\n"


def compared(book: dict[str, Any]) -> list[str]:
    """What must be the same on every machine, line by line: all but the outputs of measured cells."""
    cells = [
        cell | {"outputs": []} if "measured" in cell["metadata"].get("tags", ()) else cell for cell in book["cells"]
    ]
    return write(book | {"cells": cells}).splitlines()


def differences(path: Path, cells: Sequence[Cell]) -> list[str]:
    """How the notebooks of a source that are on disk differ from executed cells; empty when they do not."""
    found = []
    for lang in LANGUAGES:
        place = HOME / lang / f"{path.stem}.ipynb"
        if not place.exists():
            found.append(f"{place.name} ({lang}) is missing. Run scripts/labs")
            continue
        old, new = compared(json.loads(place.read_text("utf-8"))), compared(notebook(cells, lang))
        found += difflib.unified_diff(old, new, f"{lang}/{place.name}", "executed now", lineterm="", n=1)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Execute and write, or compare; 1 when a notebook is not what its source gives."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("names", nargs="*", help="labs whose names begin so; all when left out")
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args(arguments)
    os.environ.setdefault("KERAS_BACKEND", "jax")
    wrong: list[str] = []
    for path in sources():
        if options.names and not path.name.startswith(tuple(options.names)):
            continue
        cells = execute(read(path), path.name)
        if options.check:
            wrong += differences(path, cells)
            continue
        for lang in LANGUAGES:
            place = HOME / lang / f"{path.stem}.ipynb"
            place.parent.mkdir(exist_ok=True)
            place.write_text(write(notebook(cells, lang)), "utf-8")
        print(path.stem)
    print("\n".join(wrong), file=sys.stderr, end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

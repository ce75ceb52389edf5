"""The course and what shows it: the tables of `docs/course.md` in both languages.

    python docs/course.py            # write the pages
    python docs/course.py --check    # say what is wrong, change nothing

This module reads `docs/course.toml`, finds what is wrong with it (a file that is not there, a test
that does not name its item, a command that the program does not know), and writes the pages.
"""

from __future__ import annotations

import argparse
import ast
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGES = {"en": ROOT / "docs" / "course.md", "zh_TW": ROOT / "docs" / "course.zh-TW.md"}
ITEMS = range(1, 90)
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LABS = "docs/lab/"

_NUMBERS = r"\d+(?:\s*\([^)]*\))?"
_JOIN = r"\s*(?:,\s*and|,|and|to|-)\s*"
_ITEMS = re.compile(rf"\b[Ii]tems?\s+({_NUMBERS}(?:{_JOIN}{_NUMBERS})*)")
_LETTERS = re.compile(r"\b(?:[Tt]raps?|[Ll]etters?)\s+([A-Z]\b(?:(?:,\s*and|,|\s+and)\s+[A-Z]\b)*)")


@dataclass(frozen=True)
class Row:
    """One line of a table.

    name: "38" for an item, "W" for a letter; title: by language; where: files and folders of the repository
    show: commands (``backmix …``), tests (``tests/…::test_…``) and labs (``docs/lab/01_…``)
    """

    name: str
    title: dict[str, str]
    where: tuple[str, ...]
    show: tuple[str, ...]


@dataclass(frozen=True)
class Course:
    """The whole of `course.toml`: items, letters, headings of groups of items, and the words of the pages."""

    items: tuple[Row, ...]
    letters: tuple[Row, ...]
    groups: dict[int, dict[str, str]]
    words: dict[str, dict[str, str]]


def load(path: Path = ROOT / "docs" / "course.toml") -> Course:
    """The course as it stands in the file."""
    found = tomllib.loads(path.read_text("utf-8"))
    return Course(
        tuple(_row(entry, "item") for entry in found["item"]),
        tuple(_row(entry, "letter") for entry in found["letter"]),
        {int(entry["first"]): {"en": entry["en"], "zh_TW": entry["zh_TW"]} for entry in found["group"]},
        found["words"],
    )


def _row(entry: dict[str, Any], key: str) -> Row:
    return Row(
        str(entry[key]),
        {"en": entry["en"], "zh_TW": entry["zh_TW"]},
        tuple(entry.get("where", ())),
        tuple(entry["show"]),
    )


def named(words: str) -> set[str]:
    """The items and letters that a sentence names.

    >>> sorted(named("Course items 24-26, 32: outputs; traps V and X."))
    ['24', '25', '26', '32', 'V', 'X']
    """
    found = set()
    for match in _ITEMS.finditer(words):
        bare = re.sub(r"\([^)]*\)", "", match[1])
        for first, last in re.findall(r"(\d+)(?:\s*(?:to|-)\s*(\d+))?", bare):
            found |= {str(n) for n in range(int(first), int(last or first) + 1)}
    for match in _LETTERS.finditer(words):
        found |= set(re.findall(r"\b[A-Z]\b", match[1]))
    return found


@cache
def tests() -> dict[str, str]:
    """Every test function as ``tests/…::test_…``, with its docstring."""
    found = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found[f"{path.relative_to(ROOT).as_posix()}::{node.name}"] = ast.get_docstring(node) or ""
    return found


def missing(course: Course) -> list[str]:
    """Items and letters without a row."""
    names = {row.name for row in (*course.items, *course.letters)}
    return [name for name in (*map(str, ITEMS), *LETTERS) if name not in names]


def faults(course: Course) -> Iterator[str]:
    """What is wrong with the rows, one sentence each; nothing when all is well."""
    for rows, whole in ((course.items, [str(n) for n in ITEMS]), (course.letters, list(LETTERS))):
        names = [row.name for row in rows]
        if names != [name for name in whole if name in names]:
            yield f"{', '.join(names)}: rows are not {whole[0]} … {whole[-1]} in order, each once"
    for row in (*course.items, *course.letters):
        yield from (f"{row.name}: {fault}" for fault in _faults(row))


def _faults(row: Row) -> Iterator[str]:
    if not row.show or (row.name not in LETTERS and not row.where):
        yield "nothing shows it, or it lives nowhere"
    for path in row.where:
        if not (ROOT / path).exists():
            yield f"{path} does not exist"
    proofs = 0
    for shown in row.show:
        if shown.startswith("backmix "):
            yield from command_faults(shown)
        elif shown.startswith("tests/"):
            proofs += 1
            if shown not in tests():
                yield f"{shown} does not exist"
            elif row.name not in named(tests()[shown]):
                yield f"the docstring of {shown} does not name it"
        elif shown.startswith(LABS):
            proofs += row.name not in LETTERS
            yield from _lab_faults(row.name, shown)
        else:
            yield f"{shown!r} is neither a command, a test nor a lab"
    if not proofs:
        yield "neither a test nor an executed lab names it"


def _lab_faults(name: str, lab: str) -> Iterator[str]:
    source = ROOT / LABS / "source" / f"{Path(lab).name}.py"
    if not source.exists():
        yield f"{source.relative_to(ROOT)} does not exist"
    elif name not in named(source.read_text("utf-8").split("\n", 1)[0]):
        yield f"the first line of {source.relative_to(ROOT)} does not name it"


def command_faults(line: str) -> Iterator[str]:
    """Why the program would not take a command line; files of the repository that it names must exist."""
    import typer
    from typer.main import get_command

    from backmix.app.main import build

    _, *words = shlex.split(line)
    for word in words:
        if word.startswith(("examples/", "docs/")) and not (ROOT / word).exists():
            yield f"{word} does not exist"
    command: Any = get_command(build())
    context: Any = command.make_context("backmix", [], resilient_parsing=True)
    try:
        while hasattr(command, "commands"):
            if not words or words[0] not in command.commands:
                yield f"`{line}`: there is no command {(words or [''])[0]!r}"
                return
            command = command.commands[words[0]]
            group = hasattr(command, "commands")
            context = command.make_context(
                words.pop(0), [] if group else words, parent=context, resilient_parsing=group
            )
    except typer.Exit:
        return
    except Exception as fault:
        yield f"`{line}`: {fault}"


def render(course: Course, lang: str) -> str:
    """The page in one language."""
    words = course.words
    parts = [words["title"][lang], "", words["about"][lang], "", words["head"][lang], "| --- | --- | --- | --- |"]
    for row in course.items:
        if int(row.name) in course.groups:
            parts.append(f"| | **{course.groups[int(row.name)][lang]}** | | |")
        parts.append(f"| {row.name} | {row.title[lang]} | {_links(row.where)} | {_shown(row.show, lang)} |")
    parts += ["", words["letters"][lang], "", words["letters_head"][lang], "| --- | --- | --- |"]
    parts += [f"| {row.name} | {row.title[lang]} | {_shown(row.show, lang)} |" for row in course.letters]
    return "\n".join(parts) + "\n"


def _links(paths: Sequence[str]) -> str:
    return "<br>".join(f"[{path.removeprefix('src/backmix/')}](../{path})" for path in paths)


def _shown(shown: Sequence[str], lang: str) -> str:
    parts = []
    for one in shown:
        if one.startswith(LABS):
            name = Path(one).name
            parts.append(f"[lab {name}](lab/{lang}/{name}.ipynb)")
        elif one.startswith("tests/"):
            path, _, function = one.partition("::")
            parts.append(f"[{path.removeprefix('tests/')}](../{path})`::{function}`")
        else:
            parts.append(f"`{one}`")
    return "<br>".join(parts)


def _candidates(name: str) -> str:
    """The tests that a missing row could point to."""
    found = [test for test, words in tests().items() if name in named(words)]
    return f"; it is named by {', '.join(found)}" if found else "; no test names it"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages, or with ``--check`` only compare; 1 when something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--check", action="store_true", help="change nothing")
    check = parser.parse_args(arguments).check
    course = load()
    wrong = [
        *(f"{name}: has no row in docs/course.toml{_candidates(name)}" for name in missing(course)),
        *faults(course),
    ]
    for lang, page in PAGES.items():
        text = render(course, lang)
        if not check:
            page.write_text(text, "utf-8")
        elif not page.exists() or page.read_text("utf-8") != text:
            wrong.append(f"{page.relative_to(ROOT)} is not what docs/course.toml gives. Run scripts/docs")
    print("\n".join(wrong), file=sys.stderr, end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

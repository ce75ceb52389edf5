"""The rooms of the package and what flows between them: `docs/architecture.md` in both languages.

    python docs/architecture.py            # write the picture and the pages
    python docs/architecture.py --check    # say what is out of date, change nothing

This module reads the imports of `src/backmix` and the order of the layers in `pyproject.toml`. A room is
a package or a module directly below `backmix`. English sentences are the docstrings of the code; what
only a person can say (the Chinese sentences, the few nouns, the tests that hold the laws) is in
`docs/rooms.toml`.
"""

from __future__ import annotations

import argparse
import ast
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import log
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "backmix"
ROOMS = ROOT / "docs" / "rooms.toml"
PICTURE = ROOT / "docs" / "images" / "architecture.svg"
PAGES = {"en": ROOT / "docs" / "architecture.md", "zh_TW": ROOT / "docs" / "architecture.zh-TW.md"}


@dataclass(frozen=True)
class Room:
    """A package or module directly below `backmix`.

    layer: its place in the order, 0 on top; files: of the room, folders below it included
    imports: room -> whether it is loaded with this room; False where every import waits until it is needed
    """

    name: str
    layer: int
    files: tuple[Path, ...]
    imports: Mapping[str, bool]

    @property
    def home(self) -> Path:
        """The file whose docstring speaks for the room."""
        return self.files[0]

    @property
    def path(self) -> str:
        """Where the room is in the repository: a folder or a file."""
        home = self.home.parent if self.home.name == "__init__.py" else self.home
        return home.relative_to(ROOT).as_posix()

    @property
    def lines(self) -> int:
        """How many lines it has, to the nearest step of a coarse ladder, so that the picture seldom changes."""
        count = sum(len(path.read_text("utf-8").splitlines()) for path in self.files)
        ladder = [step * 10**power for power in range(5) for step in (10, 15, 20, 30, 50, 70)]
        return min(ladder, key=lambda step: abs(log(step / max(count, 1))))

    @property
    def inside(self) -> dict[str, Path]:
        """The packages directly inside the room: name -> the file whose docstring speaks for it."""
        return {
            path.parent.name: path
            for path in self.files
            if path.name == "__init__.py" and path.parent.parent == self.home.parent
        }


# reading the code


@cache
def tree(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text("utf-8"))


def layers(path: Path = ROOT / "pyproject.toml") -> list[tuple[str, ...]]:
    """The rooms from top to bottom as the import law orders them; rooms of one layer do not know one another."""
    contracts = tomllib.loads(path.read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    for contract in contracts:
        if contract["type"] == "layers" and contract.get("containers", ["backmix"]) == ["backmix"]:
            return [
                tuple(name.strip(" ()").removeprefix("backmix.") for name in layer.replace(":", "|").split("|"))
                for layer in contract["layers"]
            ]
    raise LookupError(f"{path}: no contract orders the packages below backmix")


def rooms(package: Path = PACKAGE, order: Sequence[Sequence[str]] | None = None) -> list[Room]:
    """All rooms from top to bottom; those that the import law does not name stand below the others."""
    sources = _sources(package)
    order = layers() if order is None else order
    named = {name for layer in order for name in layer}
    known = [[name for name in layer if name in sources] for layer in (*order, sorted(sources.keys() - named))]
    return [
        Room(name, number, sources[name], _imports(name, sources))
        for number, layer in enumerate(layer for layer in known if layer)
        for name in layer
    ]


def _sources(package: Path) -> dict[str, tuple[Path, ...]]:
    sources: dict[str, tuple[Path, ...]] = {}
    for path in sorted(package.iterdir()):
        if (path / "__init__.py").exists():
            first = path / "__init__.py"
            sources[path.name] = (first, *(file for file in sorted(path.rglob("*.py")) if file != first))
        elif path.suffix == ".py" and path.stem != "__init__":
            sources[path.stem] = (path,)
    return sources


def _imports(name: str, sources: Mapping[str, tuple[Path, ...]]) -> dict[str, bool]:
    found: dict[str, bool] = {}
    for path in sources[name]:
        for other, early in _imported(tree(path), early=True):
            if other != name and other in sources:
                found[other] = found.get(other, False) or early
    return found


def _imported(node: ast.AST, *, early: bool) -> Iterator[tuple[str, bool]]:
    """Rooms that a piece of code imports, and whether it does so as soon as it is loaded."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            modules = [alias.name for alias in child.names]
        elif isinstance(child, ast.ImportFrom) and child.module == "backmix":
            modules = [f"backmix.{alias.name}" for alias in child.names]
        elif isinstance(child, ast.ImportFrom):
            modules = [child.module or ""]
        else:
            modules = []
        for module in modules:
            if module.startswith("backmix."):
                yield module.split(".")[1], early
        late = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) or (
            isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        )
        yield from _imported(child, early=early and not late)


@cache
def registries() -> dict[str, str]:
    """Kind of part -> the package that is searched for it, as the calls of ``Registry`` in the code say."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Registry":
                texts = [keyword for keyword in node.keywords if isinstance(keyword.value, ast.Constant)]
                words = {keyword.arg: ast.literal_eval(keyword.value) for keyword in texts}
                words |= dict(zip(("kind", "package"), map(ast.literal_eval, node.args), strict=False))
                found[words["kind"]] = words["package"]
    return dict(sorted(found.items()))


def nouns(room: Room) -> dict[str, tuple[Path, str]]:
    """The public classes of a room: name -> (file, first line of the docstring)."""
    found = {}
    for path in room.files:
        for node in tree(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name] = (path, (ast.get_docstring(node) or "").split("\n", 1)[0])
    return found


# the picture

WIDTH, ROW, STEP, LEFT, TOP = 900, 30, 25, 22, 10
LONGEST = 250
"""Width of the longest box in px."""
STYLE = """
.card { fill: #ffffff; stroke: #d0d7de } .stripe { fill: #f6f8fa } .box { fill: #2f6f9f }
.way { stroke: #9aa7b4; stroke-width: 1.2; fill: none } .head { fill: #6b7a89 }
.early { fill: #2f6f9f } .late { fill: #ffffff; stroke: #2f6f9f; stroke-width: 1.6 }
text { font-family: system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: #57606a; font-size: 13px }
.name { fill: #1f2328; font-weight: 600; font-size: 14px }
@media (prefers-color-scheme: dark) {
.card { fill: #0d1117; stroke: #30363d } .stripe { fill: #161b22 } .box { fill: #4f93c8 }
.way { stroke: #56606b } .head { fill: #8b98a5 } .early { fill: #6cb0e4 } .late { fill: #0d1117; stroke: #6cb0e4 }
text { fill: #9198a1 } .name { fill: #f0f6fc } }
"""


def picture(house: Sequence[Room]) -> str:
    """The rooms as boxes on a diagonal, what they import below them: a drawing that is the same for the same code."""
    place = {room.name: number for number, room in enumerate(house)}
    largest = max(room.lines for room in house)
    height = 2 * TOP + ROW * len(house)
    marks = [f'<rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>']
    for room in house:
        if room.layer % 2:
            y = TOP + ROW * place[room.name]
            marks.append(f'<rect class="stripe" x="1" y="{y}" width="{WIDTH - 2}" height="{ROW}"/>')
    dots = []
    for room in house:
        x, y = _at(place[room.name])
        importers = [place[other.name] for other in house if room.name in other.imports]
        if importers:
            marks.append(f'<path class="way" d="M{_at(min(importers))[0]} {y}H{x - 12}"/>')
            marks.append(f'<path class="head" d="M{x - 5} {y}l-8 -4v8z"/>')
        if room.imports:
            lowest = _at(max(place[other] for other in room.imports))[1]
            marks.append(f'<path class="way" d="M{x} {y}V{lowest}"/>')
        for other, early in sorted(room.imports.items(), key=lambda pair: place[pair[0]]):
            kind, when = ("early", "") if early else ("late", " when needed")
            dots.append(
                f'<circle class="{kind}" cx="{x}" cy="{_at(place[other])[1]}" r="4">'
                f"<title>{room.name} imports {other}{when}</title></circle>"
            )
    marks += dots
    for room in house:
        x, y = _at(place[room.name])
        wide = max(10, round(LONGEST * room.lines / largest))
        marks.append(f'<rect class="box" x="{x - 5}" y="{y - 9}" width="{wide}" height="18" rx="3"/>')
        marks.append(
            f'<text x="{x + wide + 3}" y="{y + 4.5}"><tspan class="name">{room.name}</tspan> {room.lines:,}</text>'
        )
    title = "The rooms of backmix from top to bottom, and which imports which"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
            f'viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{title}">',
            f"<title>{title}</title>",
            f"<style>{STYLE}</style>",
            *marks,
            "</svg>\n",
        ]
    )


def _at(number: int) -> tuple[int, int]:
    """Where a room's box begins, and the middle of its row."""
    return LEFT + STEP * number, TOP + ROW * number + ROW // 2


# the pages


@cache
def notes() -> Mapping[str, Any]:
    """What `docs/rooms.toml` says: ``room`` -> name -> keys, and ``words`` -> language -> keys."""
    return tomllib.loads(ROOMS.read_text("utf-8"))


def faults(house: Sequence[Room]) -> Iterator[str]:
    """What `docs/rooms.toml` lacks or has too much, one sentence each; nothing when all is well."""
    by_name = {room.name: room for room in house}
    for name in notes()["room"].keys() - by_name.keys():
        yield f"docs/rooms.toml, [room.{name}]: there is no such room in src/backmix. Rename or delete the table"
    for name, room in by_name.items():
        note, where = notes()["room"].get(name, {}), f"docs/rooms.toml, [room.{name}]"
        if not note.get("zh_TW", "").strip():
            yield f"{where}: zh_TW is missing. Write there in Chinese what the docstring of {room.path} says"
        for noun in note.get("nouns", {}).keys() - nouns(room).keys():
            yield f"{where} nouns: {room.path} has no public class {noun}. Name the one that is meant now"
        for folder in note.get("inside", {}).keys() - room.inside.keys():
            yield f"{where} inside: {room.path} has no package {folder}. Delete it there, too"
        for folder in room.inside.keys() - note.get("inside", {}).keys():
            yield f"{where} inside: {folder} is missing. Add it with its meaning in Chinese"
        for path in note.get("laws", ()):
            if not (ROOT / path).exists():
                yield f"{where} laws: {path} does not exist. Name the file that holds the laws now"


def page(house: Sequence[Room], lang: str) -> str:
    """The page in one language."""
    words = notes()["words"][lang]
    lines = [f"# {words['title']}", "", words["other"], "", words["about"], ""]
    lines += [f"![{words['title']}](images/{PICTURE.name})", "", words["read"], "", words["add"]]
    lines += [f"| `{kind}` | {_link(_place(package))} |" for kind, package in registries().items()]
    lines += ["", words["rooms"], ""]
    for room in house:
        lines += [f"### {room.name}", "", _link(room.path), "", *_prose(room, lang), *_points(room, house, lang), ""]
    return "\n".join(lines).rstrip() + "\n"


def _prose(room: Room, lang: str) -> Iterator[str]:
    """What is said of a room, as Markdown: ``In:`` and ``Out:`` are points of a list, indented lines stay with them."""
    words = notes()["words"][lang]
    text = _docstring(room.home) if lang == "en" else notes()["room"].get(room.name, {}).get("zh_TW", "").strip()
    in_list = False
    for line in text.splitlines():
        label, _, rest = line.partition(": ")
        if label in ("In", "Out"):
            yield f"- **{words[label.lower()]}** {rest}"
            in_list = True
        elif in_list and line.startswith("    "):
            yield f"  {line.strip()}"
        else:
            yield from [""] if in_list and line else []
            yield line
            in_list = False
    yield ""


def _points(room: Room, house: Sequence[Room], lang: str) -> Iterator[str]:
    """What is known of a room, one point of a list each."""
    words, note = notes()["words"][lang], notes()["room"].get(room.name, {})
    inside = {name: (path.parent, _docstring(path).split("\n", 1)[0]) for name, path in room.inside.items()}
    classes = {name: found for name, found in nouns(room).items() if name in note.get("nouns", {})}
    for key, entries in (("inside", inside), ("nouns", classes)):
        yield from [f"- {words[key]}"] if entries else []
        for name in sorted(entries, key=list(note.get(key, entries)).index if key == "nouns" else None):
            path, english = entries[name]
            meaning = english if lang == "en" else note.get(key, {}).get(name, "")
            yield f"  - [`{name}`](../{path.relative_to(ROOT).as_posix()}){words['dash']}{meaning}"
    kinds = [kind for kind, package in registries().items() if f"{package}.".startswith(f"backmix.{room.name}.")]
    early, late = ([other.name for other in house if room.imports.get(other.name) is when] for when in (True, False))
    own = [path for path in (f"tests/{room.name}", f"tests/test_{room.name}.py") if (ROOT / path).exists()]
    for key, names in (
        ("kinds", [f"`{kind}`" for kind in kinds]),
        ("imports", [f"[{name}](#{name})" for name in early]),
        ("needed", [f"[{name}](#{name})" for name in late]),
        ("laws", [_link(path) for path in (*own, *note.get("laws", ()))]),
    ):
        yield from [f"- {words[key].format(names=words['comma'].join(names))}"] if names else []
    yield from [] if room.imports else [f"- {words['alone']}"]


def _docstring(path: Path) -> str:
    return ast.get_docstring(tree(path)) or ""


def _place(module: str) -> str:
    """Where a package or module is in the repository."""
    path = PACKAGE.joinpath(*module.split(".")[1:])
    return (path if path.is_dir() else path.with_suffix(".py")).relative_to(ROOT).as_posix()


def _link(path: str) -> str:
    return f"[{path}](../{path})"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write picture and pages, or with ``--check`` only compare; 1 when something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--check", action="store_true", help="change nothing")
    check = parser.parse_args(arguments).check
    house = rooms()
    wrong = sorted(faults(house))
    for path, text in {PICTURE: picture(house), **{file: page(house, lang) for lang, file in PAGES.items()}}.items():
        if not check:
            path.write_text(text, "utf-8")
        elif not path.exists() or path.read_text("utf-8") != text:
            wrong.append(f"docs: {path.name} is not what the code gives. Run scripts/docs")
    print("\n".join(wrong), file=sys.stderr, end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

"""Keys of the catalogue that the code puts together from parts, and what may stand in their blanks.

This module walks the syntax trees of the package. A blank is filled by reading on: a loop over words that are written
out, a name that is one of some words, a constructor or function and everything that it is called with, a `Literal`, a
constant of the module. Where the words come from anywhere else it says that it does not know.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any, get_args

import backmix
from backmix.text import stages

SOURCE = Path(backmix.__file__).parent
KEY = re.compile(rf"(?:{'|'.join([*stages(), 'figures'])})\.\w*(?:\{{\}}\w*)+")
MOST_STEPS = 8


class UnknownError(Exception):
    """The words that may stand in a blank are not to be read from the code."""


@dataclass(frozen=True, eq=False)
class Module:
    """A module of the package with its tree, and the node around each node."""

    path: Path
    tree: ast.Module
    around: dict[ast.AST, ast.AST]

    @property
    def name(self) -> str:
        """The dotted name."""
        parts = self.path.relative_to(SOURCE.parent).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def outwards(self, node: ast.AST) -> Iterator[ast.AST]:
        """The nodes around a node, the nearest first."""
        while (node := self.around.get(node)) is not None:  # type: ignore[assignment]
            yield node

    def imports(self, name: str, other: Module) -> bool:
        """Whether it has ``name`` from another module."""
        return any(
            isinstance(node, ast.ImportFrom) and node.module == other.name and name in {a.name for a in node.names}
            for node in ast.walk(self.tree)
        )


@dataclass(frozen=True)
class KeyForm:
    """A key with blanks. where: file and line; keys: all keys that it can be, None when that is not to be read."""

    form: str
    where: str
    keys: frozenset[str] | None


@cache
def modules() -> tuple[Module, ...]:
    """All modules of the package."""
    read = []
    for path in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        around = {inside: node for node in ast.walk(tree) for inside in ast.iter_child_nodes(node)}
        read.append(Module(path, tree, around))
    return tuple(read)


@cache
def calls() -> dict[str, list[tuple[Module, ast.Call]]]:
    """Every call, by the last word of what is called."""
    made: dict[str, list[tuple[Module, ast.Call]]] = defaultdict(list)
    for module in modules():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                made[node.func.id if isinstance(node.func, ast.Name) else node.func.attr].append((module, node))
    return made


def key_forms() -> tuple[KeyForm, ...]:
    """Every key with blanks in the package, but for those that may lack a sentence (`title_of`)."""
    return tuple(
        KeyForm(form, f"{module.path.relative_to(SOURCE)}:{node.lineno}", _keys(module, node))
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.JoinedStr) and KEY.fullmatch(form := form_of(node)) and not _may_lack(module, node)
    )


def form_of(node: ast.JoinedStr) -> str:
    """A text with ``{}`` for its blanks."""
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)


def _may_lack(module: Module, node: ast.AST) -> bool:
    call = module.around[node]
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "title_of"


def _keys(module: Module, node: ast.JoinedStr) -> frozenset[str] | None:
    try:
        parts = [
            {str(part.value)} if isinstance(part, ast.Constant) else _words(module, part.value, 0)  # type: ignore[attr-defined]
            for part in node.values
        ]
    except UnknownError:
        return None
    return frozenset(map("".join, product(*parts)))


def _words(module: Module, node: ast.expr, steps: int) -> set[str]:
    """Every text that an expression may be."""
    if steps > MOST_STEPS:
        raise UnknownError
    match node:
        case ast.Constant(value=str(text)):
            return {text}
        case ast.Constant(value=None):
            return set()  # where a key is asked for, there is one
        case ast.IfExp():
            return _words(module, node.body, steps + 1) | _words(module, node.orelse, steps + 1)
        case ast.Name():
            return _of_name(module, node, steps + 1)
        case ast.Subscript(value=ast.Name() as name):
            return _any_of([_values(module, value, steps) for value in _assigned(module, name)])
        case ast.Call(func=ast.Attribute(value=ast.Dict() as known, attr="get"), args=[_, otherwise]):
            return _values(module, known, steps) | _words(module, otherwise, steps + 1)
        case ast.Attribute(value=ast.Name(id="self"), attr=field):
            return _of_field(module, node, field, steps + 1)
        case ast.Call(func=ast.Name(id=name)):
            return _any_of([_words(where, value, steps + 1) for where, value in _returned(module, name)])
    raise UnknownError


def _any_of(sets: list[set[str]]) -> set[str]:
    if not sets:
        raise UnknownError
    return set().union(*sets)


def _values(module: Module, node: ast.expr, steps: int) -> set[str]:
    """What stands behind the keys of a dictionary, or in a sequence."""
    if isinstance(node, ast.Dict):
        return _any_of([_words(module, value, steps + 1) for value in node.values])
    return _items(module, node, steps)


def _items(module: Module, node: ast.expr, steps: int) -> set[str]:
    """What a loop over an expression goes through."""
    match node:
        case ast.Tuple() | ast.List() | ast.Set():
            return _any_of(
                [
                    _items(module, entry.value, steps + 1)
                    if isinstance(entry, ast.Starred)
                    else _words(module, entry, steps + 1)
                    for entry in node.elts
                ]
                or [set()]
            )
        case ast.Dict():
            return _any_of([_words(module, key, steps + 1) for key in node.keys if key is not None])
        case ast.IfExp():
            return _items(module, node.body, steps + 1) | _items(module, node.orelse, steps + 1)
        case ast.Call(func=ast.Name(id="enumerate" | "sorted" | "tuple"), args=[inner, *_]):
            return _items(module, inner, steps + 1)
        case ast.DictComp(key=ast.Name() as key):
            return _of_name(module, key, steps + 1)
        case ast.Call(func=ast.Name(id="get_args"), args=[ast.Name(id=name)]):
            return set(map(str, get_args(_constant(module, node, name))))
        case ast.Name():
            try:
                assigned = _assigned(module, node)
            except UnknownError:
                return _texts(_constant(module, node, node.id))
            return _any_of([_items(module, value, steps + 1) for value in assigned])
    raise UnknownError


def _constant(module: Module, node: ast.AST, name: str) -> Any:
    """What a name that is imported, in a function or at the top, stands for."""
    for scope in [outer for outer in module.outwards(node) if isinstance(outer, ast.FunctionDef | ast.Module)]:
        for inner in ast.walk(scope):
            if isinstance(inner, ast.ImportFrom) and name in {alias.asname or alias.name for alias in inner.names}:
                return getattr(import_module(str(inner.module)), name)
    raise UnknownError


def _texts(value: Any) -> set[str]:
    if isinstance(value, tuple | list | dict | set | frozenset) and all(isinstance(entry, str) for entry in value):
        return set(value)
    raise UnknownError


def _assigned(module: Module, name: ast.Name) -> list[ast.expr]:
    """What is assigned to a name, in the nearest scope that does."""
    for scope in module.outwards(name):
        if not isinstance(scope, ast.FunctionDef | ast.Module):
            continue
        found = []
        for node in ast.walk(scope):
            targets = node.targets if isinstance(node, ast.Assign) else []
            if isinstance(node, ast.AnnAssign) and node.value is not None:
                targets = [node.target]
            if any(isinstance(target, ast.Name) and target.id == name.id for target in targets):
                found.append(node.value)  # type: ignore[attr-defined]
        if found:
            return found
    raise UnknownError


def _returned(module: Module, name: str) -> list[tuple[Module, ast.expr]]:
    """What a function returns, of this module or one that it imports from."""
    for other in modules():
        if other is not module and not module.imports(name, other):
            continue
        for node in other.tree.body:
            if isinstance(node, ast.FunctionDef) and node.name == name:
                return [(other, r.value) for r in ast.walk(node) if isinstance(r, ast.Return) and r.value is not None]
    raise UnknownError


def _of_name(module: Module, name: ast.Name, steps: int) -> set[str]:
    """What a local may be: a loop variable, a parameter, or what was assigned to it."""
    for node in module.outwards(name):
        loops = (
            node.generators if isinstance(node, ast.ListComp | ast.GeneratorExp | ast.SetComp | ast.DictComp) else []
        )
        for loop in [*loops, *([node] if isinstance(node, ast.For) else [])]:
            if name.id in {inner.id for inner in ast.walk(loop.target) if isinstance(inner, ast.Name)}:
                return _of_loop(module, name.id, loop.target, loop.iter, steps)
        if isinstance(node, ast.FunctionDef):
            arguments = [arg.arg for arg in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
            if name.id in arguments:
                return _of_parameter(module, node, name.id, arguments, steps)
    return _any_of([_words(module, value, steps) for value in _assigned(module, name)])


def _of_loop(module: Module, name: str, target: ast.expr, over: ast.expr, steps: int) -> set[str]:
    if isinstance(target, ast.Name):
        return _items(module, over, steps)
    places = [
        place
        for place, part in enumerate(target.elts if isinstance(target, ast.Tuple) else [])
        if isinstance(part, ast.Name) and part.id == name
    ]
    match over:
        case ast.Call(func=ast.Name(id="enumerate"), args=[inner, *_]) if places == [1]:
            return _items(module, inner, steps)
        case ast.Tuple(elts=entries) if places and all(isinstance(entry, ast.Tuple) for entry in entries):
            return _any_of([_words(module, entry.elts[places[0]], steps) for entry in entries])  # type: ignore[attr-defined]
    raise UnknownError


def _of_parameter(module: Module, function: ast.FunctionDef, name: str, arguments: list[str], steps: int) -> set[str]:
    """What a function is called with."""
    method = isinstance(module.around[function], ast.ClassDef)
    made = []
    for other, call in calls()[function.name]:
        if isinstance(call.func, ast.Attribute) != method:
            continue
        if not method and other is not module and not other.imports(function.name, module):
            continue
        given = _given(other, call, name, arguments.index(name) - method)
        made += [_words(where, value, steps) for where, value in given]
        if not given and not method:  # a method of this name may be another one
            made.append(_words(module, _default(function, name), steps))
    return _any_of(made)


def _default(function: ast.FunctionDef, name: str) -> ast.expr:
    plain = [*function.args.posonlyargs, *function.args.args]
    defaults = dict(zip([arg.arg for arg in reversed(plain)], reversed(function.args.defaults), strict=False))
    named = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    defaults |= {arg.arg: value for arg, value in named if value is not None}
    if name not in defaults:
        raise UnknownError
    return defaults[name]


def _given(module: Module, call: ast.Call, name: str, place: int) -> list[tuple[Module, ast.expr]]:
    """What a call passes for an argument; of a function that is spread out (``*order(data)``) all that it returns."""
    for keyword in call.keywords:
        if keyword.arg == name:
            return [(module, keyword.value)]
        if keyword.arg is None:
            raise UnknownError
    for index, given in enumerate(call.args[: place + 1]):
        if isinstance(given, ast.Starred):
            if not isinstance(given.value, ast.Call) or not isinstance(given.value.func, ast.Name):
                raise UnknownError
            returned = [
                (where, part) for where, value in _returned(module, given.value.func.id) for part in _either(value)
            ]
            if not all(isinstance(part, ast.Tuple) for _, part in returned):
                raise UnknownError
            return [(where, part.elts[place - index]) for where, part in returned]  # type: ignore[attr-defined]
    return [(module, call.args[place])] if place < len(call.args) else []


def _either(node: ast.expr) -> list[ast.expr]:
    """Both ends of a choice."""
    return [*_either(node.body), *_either(node.orelse)] if isinstance(node, ast.IfExp) else [node]


def _of_field(module: Module, node: ast.AST, field: str, steps: int) -> set[str]:
    """What a field of a class may be: the words of its `Literal`, or all that instances are made with."""
    owner = next((outer for outer in module.outwards(node) if isinstance(outer, ast.ClassDef)), None)
    if owner is None:
        raise UnknownError
    kinds = {
        inner.target.id: inner.annotation
        for inner in owner.body
        if isinstance(inner, ast.AnnAssign) and isinstance(inner.target, ast.Name)
    }
    fields = list(kinds)
    if field not in kinds:
        raise UnknownError
    if isinstance(kinds[field], ast.Name):
        words = get_args(getattr(import_module(module.name), kinds[field].id, None))  # type: ignore[attr-defined]
        if words and all(isinstance(word, str) for word in words):
            return set(words)
    sites = [
        site
        for other, call in calls()[owner.name]
        if other is module or other.imports(owner.name, module)
        for site in _given(other, call, field, fields.index(field))
    ]
    return _any_of([_words(other, given, steps) for other, given in sites])

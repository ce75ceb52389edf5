"""The words of the project: `docs/glossary.md` in both languages, from `docs/glossary.toml`.

    python docs/glossary.py            # write the pages, and lower the ceilings of what is left of old names
    python docs/glossary.py --check    # say what is out of date or not to be used, change nothing

This module also finds the words that are not to be used: in names, in docstrings and comments, and in the catalogue.
`docs/glossary_ceilings.toml` says how many of them a room may still hold; a ceiling can only go down.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import sys
import tokenize
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from backmix.text import LANGUAGES, Language

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "backmix"
SOURCE = ROOT / "docs" / "glossary.toml"
CEILINGS = ROOT / "docs" / "glossary_ceilings.toml"
PAGES: dict[Language, Path] = {"en": ROOT / "docs" / "glossary.md", "zh_TW": ROOT / "docs" / "glossary.zh-TW.md"}

Scope = Literal["code", "prose", "text", "zh"]
SCOPES: tuple[Scope, ...] = ("code", "prose", "text", "zh")


@dataclass(frozen=True)
class Use:
    """A word that is not to be used, where it stands, and the term that is meant.

    room: the package or module below `backmix`; line: of the file, from 1
    """

    scope: Scope
    word: str
    term: str
    room: str
    file: str
    line: int
    context: str

    def __str__(self) -> str:
        return f'{self.file}:{self.line} — {self.context!r} holds "{self.word.lstrip("=")}". Say: {self.term}'


@cache
def glossary() -> dict[str, Any]:
    """The glossary as it is written."""
    return tomllib.loads(SOURCE.read_text("utf-8"))


@cache
def ceilings() -> dict[str, dict[str, int]]:
    """How many uses of a word a room may still hold: room -> "scope word" -> count."""
    return tomllib.loads(CEILINGS.read_text("utf-8"))


def words(scope: Scope) -> Iterator[tuple[str, str]]:
    """The words that a scope does not use, each with the term that is meant."""
    for term in glossary()["term"].values():
        for word in term.get(f"not_in_{scope}", []):
            yield word, term["zh_TW" if scope == "zh" else "en"]


def holds(name: str, word: str) -> bool:
    """Whether a name in code holds a word.

    >>> holds("mixture_weights", "mixture"), holds("MixtureOf", "mixture"), holds("Choices", "=Choice")
    (True, True, False)
    """
    if word.startswith("="):
        return name == word[1:]
    return word in re.findall(r"[a-z]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())


def defined_names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """The names that a module defines, with their lines: classes, functions, arguments, locals, attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr, node.lineno
        elif isinstance(node, ast.alias) and node.asname:
            yield node.asname, node.lineno


def prose(source: str, tree: ast.AST) -> Iterator[tuple[str, int]]:
    """The docstrings and comments of a module, with their lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value.value, node.lineno
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string, token.start[0]


def code_uses(path: Path) -> Iterator[Use]:
    """The words in the names, the prose and the sentences of a file of the package."""
    source = path.read_text("utf-8")
    tree = ast.parse(source)
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    file = path.relative_to(ROOT).as_posix()
    allowed = set(glossary()["allow"]["names"])
    for name, line in defined_names(tree):
        if name not in allowed:
            for word, term in words("code"):
                if holds(name, word):
                    yield Use("code", word, term, room, file, line, name)
    for text, line in prose(source, tree):
        for word, term, context in _spoken(text, "prose"):
            yield Use("prose", word, term, room, file, line, context)
    for sentence, line in _declared(tree):
        yield from _sentence_uses(sentence, file, line)


def text_uses(path: Path) -> Iterator[Use]:
    """The words in a file of the catalogue, or in one beside a registered part, in both languages."""
    file = path.relative_to(ROOT).as_posix()
    lines = path.read_text("utf-8").splitlines()
    for key, sentence in _sentences(tomllib.loads("\n".join(lines))):
        line = next((n for n, text in enumerate(lines, 1) if text == f"[{key}]"), 1)
        yield from _sentence_uses(sentence, file, line)


def _speaks(path: Path) -> bool:
    """Whether a TOML file holds sentences: those of the catalogue, and those that a part declares beside it."""
    part = path.with_suffix(".py")
    return path.parent.name == "text" or (part.is_file() and "beside=__file__" in part.read_text("utf-8"))


def _sentences(table: Mapping[str, Any], head: str = "") -> Iterator[tuple[str, Mapping[str, str]]]:
    """The sentences of a file, each with the name of its table: ``name``, or ``part.name`` beside a part."""
    for key, entry in table.items():
        if set(entry) == set(LANGUAGES):
            yield head + key, entry
        else:
            yield from _sentences(entry, f"{head}{key}.")


def _sentence_uses(sentence: Mapping[str, str], file: str, line: int) -> Iterator[Use]:
    """The words in a sentence, in both languages."""
    scopes: tuple[tuple[Language, Scope], ...] = (("en", "text"), ("zh_TW", "zh"))
    for lang, scope in scopes:
        for word, term, context in _spoken(sentence[lang], scope):
            yield Use(scope, word, term, "text", file, line, context)


def _declared(tree: ast.AST) -> Iterator[tuple[dict[str, str], int]]:
    """The sentences that a module writes out, in all languages, for a part that it registers."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            texts = {
                str(key.value): str(value.value)
                for key, value in zip(node.keys, node.values, strict=True)
                if isinstance(key, ast.Constant) and isinstance(value, ast.Constant)
            }
            if set(texts) == set(LANGUAGES):
                yield texts, node.lineno


def _spoken(text: str, scope: Scope) -> Iterator[tuple[str, str, str]]:
    """The words in a text, each with the term that is meant and what stands around it."""
    text = " ".join(re.sub(r"``.*?``|`.*?`|\{[^{}]*\}", " ", text).split())
    for pattern in glossary()["allow"].get("zh" if scope == "zh" else "text", []):
        text = re.sub(pattern, " ", text)
    for word, term in words(scope):
        form = word if scope == "zh" else rf"(?<!\w){word}(?!\w)"
        for match in re.finditer(form, text, re.IGNORECASE):
            yield word, term, text[max(0, match.start() - 20) : match.end() + 20]


@cache
def uses() -> tuple[Use, ...]:
    """All words that are not to be used, of the package and its catalogue."""
    code = [use for path in sorted(PACKAGE.rglob("*.py")) for use in code_uses(path)]
    return (*code, *(use for path in sorted(PACKAGE.rglob("*.toml")) if _speaks(path) for use in text_uses(path)))


def excess(counted: Sequence[Use], limits: Mapping[str, Mapping[str, int]]) -> tuple[Use, ...]:
    """The uses in every room that holds more of a word than it may."""
    counts = Counter((use.room, f"{use.scope} {use.word}") for use in counted)
    over = {place for place, count in counts.items() if count > limits.get(place[0], {}).get(place[1], 0)}
    return tuple(use for use in counted if (use.room, f"{use.scope} {use.word}") in over)


def lowered(counted: Sequence[Use], limits: Mapping[str, Mapping[str, int]]) -> str:
    """The ceilings brought down to what is left, as the text of their file."""
    counts = Counter((use.room, f"{use.scope} {use.word}") for use in counted)
    head = [line for line in CEILINGS.read_text("utf-8").splitlines() if line.startswith("#")]
    tables = []
    for room in sorted(limits):
        left = {word: min(most, counts[room, word]) for word, most in sorted(limits[room].items())}
        rows = [f'"{word}" = {most}' for word, most in left.items() if most]
        tables += [f"[{room}]", *rows, ""] if rows else []
    return "\n".join([*head, "", *tables]).rstrip() + "\n"


def page(lang: Language) -> str:
    """The glossary in one language."""
    data = glossary()
    title = data["words"][lang]
    parts = [f"# {title['title']}", title["other"], title["about"].strip()]
    for key, group in data["group"].items():
        rows = ["| " + " | ".join(title["columns"]) + " |", "| --- | --- | --- | --- | --- |"]
        rows += [_row(term, title, lang) for term in data["term"].values() if term["group"] == key]
        parts += [f"## {group[lang]}", "\n".join(rows)]
    parts += [f"## {title['places']}", "\n".join(f"- {key}: {name[lang]}" for key, name in data["standard"].items())]
    return "\n\n".join(parts) + "\n"


def _row(term: Mapping[str, Any], title: Mapping[str, Any], lang: Language) -> str:
    """A term as a row of the page's table."""
    zh = lang == "zh_TW"
    names = (term["zh_TW"], term["en"]) if zh else (term["en"], term["zh_TW"])
    avoid = ("、" if zh else ", ").join(_avoided(term, zh=zh)) or title["dash"]
    places = ", ".join(f"[{place}](#{_anchor(title['places'])})" for place in term.get("standard", [])) or title["dash"]
    return "| " + " | ".join((f"**{names[0]}**", names[1], term["meaning"][lang], avoid, places)) + " |"


def _anchor(heading: str) -> str:
    """The name of a heading in the address of a page."""
    return heading.lower().replace(" ", "-")


def _avoided(term: Mapping[str, Any], *, zh: bool) -> list[str]:
    """The words that are not to be used for a term, in the page's language; names in code as code."""
    if zh:
        return [*map(_plain, term.get("not_in_zh", [])), *term.get("not_meant", {}).get("zh_TW", [])]
    code = [f"`{word.lstrip('=')}`" for word in term.get("not_in_code", [])]
    other = [*term.get("not_in_prose", []), *term.get("not_in_text", [])]
    spoken = [word for word in dict.fromkeys(map(_plain, other)) if f"`{word}`" not in code]
    return [*code, *spoken, *term.get("not_meant", {}).get("en", [])]


def _plain(word: str) -> str:
    """A word without the marks of a regular expression."""
    return word.replace("\\", "")


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages and lower the ceilings, or with ``--check`` only compare; 1 when something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--check", action="store_true", help="change nothing")
    check = parser.parse_args(arguments).check
    counted = uses()
    wrong = [str(use) for use in excess(counted, ceilings())]
    for lang in LANGUAGES:
        file, text = PAGES[lang], page(lang)
        if not check:
            file.write_text(text, "utf-8")
        elif not file.exists() or file.read_text("utf-8") != text:
            wrong.append(f"{file.relative_to(ROOT)} is not what docs/glossary.toml gives. Run scripts/docs")
    if not check:
        CEILINGS.write_text(lowered(counted, ceilings()), "utf-8")
    print("\n".join(wrong), file=sys.stderr, end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

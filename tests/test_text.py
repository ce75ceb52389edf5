"""The catalogue: every sentence in both languages, none missing, none left over."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Mapping
from pathlib import Path

import pytest

import backmix
from backmix.data.plants import plants
from backmix.data.sets import sets
from backmix.registry import sentences_beside
from backmix.text import LANGUAGES, Sentence, say, sentences, speak, stages

SOURCE = Path(backmix.__file__).parent
KEYS = [f"{stage}.{name}" for stage in stages() for name in sentences(stage)]
BESIDE: Mapping[str, Sentence] = {
    f"{path.parent.name}.{part}" + ("" if name == "title" else f".{name}"): sentence
    for path in sorted(SOURCE.rglob("*.py"))
    if "beside=__file__)" in path.read_text("utf-8") and path.name != "__init__.py"
    for part, spoken in sentences_beside(str(path)).items()
    for name, sentence in spoken.items()
}
"""What stands beside registered parts, by key; their kind is called as their folder is."""


def _blanks(text: str) -> set[str]:
    return {re.split(r"[.\[]", field)[0] for _, field, _, _ in string.Formatter().parse(text) if field is not None}


def _used() -> tuple[set[str], list[re.Pattern[str]]]:
    """Keys written out in the source, and patterns of keys put together from parts."""
    form = re.compile(r"[a-z_]+(?:\.[a-zA-Z0-9_]+){1,2}")
    written, patterns = set(), []
    for path in SOURCE.rglob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        pieces = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in pieces:
                if form.fullmatch(node.value):
                    written.add(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = [re.escape(v.value) if isinstance(v, ast.Constant) else r"[\w.]+" for v in node.values]
                if parts[0].startswith(tuple(rf"{stage}\." for stage in [*stages(), "figures"])):
                    patterns.append(re.compile("".join(parts)))
    for path in SOURCE.rglob("*.jinja"):
        written |= set(form.findall(path.read_text("utf-8")))
    return written, patterns


@pytest.mark.parametrize("stage", sorted({*stages(), "sets", "plants", "figures"}))
def test_sentences_have_both_languages_with_the_same_blanks(stage: str) -> None:
    beside = {key: sentence for key, sentence in BESIDE.items() if key.startswith(f"{stage}.")}
    spoken: Mapping[str, Sentence] = {**sentences(stage), **beside}  # type: ignore[dict-item]
    assert spoken
    for key, sentence in spoken.items():
        assert set(sentence) == set(LANGUAGES), key
        assert _blanks(sentence["en"]) == _blanks(sentence["zh_TW"]), key
        assert sentence["en"].strip(), key
        assert "\n" not in sentence["en"] + sentence["zh_TW"], key


def test_every_sentence_is_said_somewhere() -> None:
    written, patterns = _used()
    figures = [key for key in BESIDE if key.startswith("figures.")]
    unsaid = [key for key in KEYS + figures if key not in written and not any(p.fullmatch(key) for p in patterns)]
    assert figures
    assert unsaid == []


def test_every_sentence_beside_a_set_or_plant_is_about_it_or_a_column_of_it() -> None:
    asked = {
        f"{kind.kind}.{family}{name}"
        for kind in (sets, plants)
        for _, part in kind
        for family, name in [
            (part.name, ""),
            (part.name, ".about"),
            *((getattr(part, "family", None) or part.name, f".{c.text or c.name}") for c in part.columns),
        ]
    }
    assert {key for key in BESIDE if not key.startswith("figures.")} == asked


def test_every_key_that_is_raised_or_said_has_a_sentence() -> None:
    called = re.compile(
        r"(?:say|Error|Undefined|Unusable|Decision|Note|Finding)\(\s*(?:\w+,\s*)?\"([a-z_]+(?:\.[a-zA-Z0-9_]+)+)\""
    )
    files = [path for path in SOURCE.rglob("*.py") if path.name != "registry.py"]  # whose example is no part
    asked = {key for path in files for key in called.findall(path.read_text("utf-8"))}
    assert len(asked) > 100
    known = {*KEYS, *BESIDE}
    assert {key for key in asked if key.split(".")[0] in [*stages(), "figures"] and key not in known} == set()


def test_language_is_chosen_for_a_block_only() -> None:
    with speak("zh_TW"):
        chinese = say("app.interrupted")
    assert chinese == "已中斷"
    assert say("app.interrupted") == "interrupted"

"""One term for one thing: words that the glossary rules out are not used, and its pages are up to date."""

from __future__ import annotations

import importlib.util
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "docs" / "glossary.toml"
STANDARDS = tomllib.loads(SOURCE.read_text("utf-8"))["standard"]
TERMS = tomllib.loads(SOURCE.read_text("utf-8"))["term"]

ROOMS_DONE = ("inspection", "report", "results", "rolling", "scoring", "serving", "tasks", "text", "tuning")
"""Rooms that hold no word of an earlier time and get no ceiling any more."""


@pytest.fixture(scope="module")
def glossary() -> ModuleType:
    """`docs/glossary.py`, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("glossary", ROOT / "docs" / "glossary.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["glossary"] = module
    spec.loader.exec_module(module)
    return module


def test_no_room_holds_more_of_a_word_than_it_may(glossary: ModuleType) -> None:
    over = glossary.excess(glossary.uses(), glossary.ceilings())
    assert not over, "\n".join(map(str, over))


def test_ceilings_are_only_for_rooms_that_are_not_done_and_for_words_that_are_ruled_out(glossary: ModuleType) -> None:
    limits = glossary.ceilings()
    known = {f"{scope} {word}" for scope in glossary.SCOPES for word, _ in glossary.words(scope)}
    assert not set(limits) & set(ROOMS_DONE)
    assert {word for room in limits.values() for word in room} <= known
    assert all(most > 0 for room in limits.values() for most in room.values())


def test_the_ceilings_can_only_go_down(glossary: ModuleType) -> None:
    here = glossary.Use("code", "=told", "names of values", "app", "src/backmix/app/x.py", 1, "told")
    lowered = tomllib.loads(
        glossary.lowered([here], {"app": {"code =told": 3, "code =said": 2}, "data": {"code =at": 1}})
    )
    assert lowered == {"app": {"code =told": 1}}
    more = tomllib.loads(glossary.lowered([here, here], {"app": {"code =told": 1}}))
    assert more == {"app": {"code =told": 1}}
    assert glossary.excess([here, here], {"app": {"code =told": 1}}) == (here, here)


def test_the_pages_are_what_the_glossary_gives(glossary: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert glossary.main(["--check"]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(TERMS))
def test_a_term_is_whole_in_both_languages(name: str, glossary: ModuleType) -> None:
    term, data = TERMS[name], glossary.glossary()
    assert term["group"] in data["group"]
    assert set(term.get("standard", [])) <= set(STANDARDS)
    for text in (term["en"], term["zh_TW"], term["meaning"]["en"], term["meaning"]["zh_TW"]):
        assert text.strip() == text != ""
    assert set(term) <= {
        *("group", "en", "zh_TW", "meaning", "standard", "not_meant"),
        *(f"not_in_{scope}" for scope in glossary.SCOPES),
    }


def test_no_term_is_ruled_out_by_another_one(glossary: ModuleType) -> None:
    chinese = [term["zh_TW"] for term in TERMS.values()]
    assert not [(term, word) for term in chinese for word, _ in glossary.words("zh") if word in term]
    english = [term["en"] for term in TERMS.values()]
    assert not [(term, word) for term in english for word, _ in glossary.words("text") if word == term]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("class MixtureOf: ...", {("code", "mixture")}),
        ("def f(mixture_weights): ...", {("code", "mixture")}),
        ("for told in range(3): ...", {("code", "=told")}),
        ("def f():\n    found = 1\n    return found.found", {("code", "=found")}),
        ("def f(x):\n    x.held = 1", {("code", "=held")}),
        ("from m import n as said", {("code", "=said")}),
        ("mixture.call(mixture=1).told", set()),  # used, not defined here
        ("found_rows = 1  # a mixture of\n", {("prose", "mixture")}),
        ('"""A blend\nof networks."""', {("prose", "blend")}),
        ('"""The key ``mixture`` and `blend` stay."""', set()),
        ("recipe = taught = 1", set()),  # keys of plans and of JSON
    ],
)
def test_words_are_found_in_code(
    source: str, found: set[tuple[str, str]], glossary: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(glossary, "ROOT", tmp_path)
    monkeypatch.setattr(glossary, "PACKAGE", tmp_path)
    (tmp_path / "room.py").write_text(source, "utf-8")
    assert {(use.scope, use.word) for use in glossary.code_uses(tmp_path / "room.py")} == found


@pytest.mark.parametrize(
    ("en", "zh", "found"),
    [
        ("a mixture of networks", "網路", {("text", "mixture")}),
        ("the mixtures", "網路", set()),
        ("set [model] recipe = 'auto'", "網路", set()),
        ("the recipe of a model", "網路", {("text", "recipe")}),
        ("epoch {epoch}", "第 {epoch} 輪", set()),
        ("epoch", "第 3 個 epoch", {("zh", "epoch")}),
        ("threshold", "閾值", {("zh", "閾值")}),
        ("mass", "質量流量", set()),
    ],
)
def test_words_are_found_in_the_catalogue(
    en: str, zh: str, found: set[tuple[str, str]], glossary: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(glossary, "ROOT", tmp_path)
    (tmp_path / "a.toml").write_text(f'[key]\nen = "{en}"\nzh_TW = "{zh}"\n', "utf-8")
    assert {(use.scope, use.word) for use in glossary.text_uses(tmp_path / "a.toml")} == found

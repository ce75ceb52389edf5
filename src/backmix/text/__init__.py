"""Every sentence a person reads, in English and Traditional Chinese.

In: a key of the catalogue, ``stage.name`` (``data.empty_file``), and values for the blanks (``str.format``).
Out: the sentence in the language of the moment (`say`).
The catalogue is one TOML file per stage beside this module, one table per sentence, both languages side by side,
so that neither can be forgotten:

    [empty_file]
    en = "{where} is empty. Export the table again with its header row."
    zh_TW = "{where} 是空檔。請連同標題列重新匯出。"

A registered part declares its sentences where it is registered, or in a file beside it (see `registry`); their keys
begin with its kind and name (``tasks.level``, ``tasks.level.remark``).
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.resources import files
from typing import Any, Literal, get_args

Language = Literal["en", "zh_TW"]
LANGUAGES: tuple[Language, ...] = get_args(Language)

Sentence = Mapping[Language, str]
"""The same in every language."""

_declared: dict[str, Sentence] = {}
_spoken: ContextVar[Language | None] = ContextVar("backmix_language", default=None)


def language() -> Language:
    """The language of the moment: the one set by `speak`, else ``BACKMIX_LANG``, else English.

    >>> with speak("zh_TW"):
    ...     language()
    'zh_TW'
    """
    chosen = _spoken.get()
    if chosen is not None:
        return chosen
    return "zh_TW" if os.environ.get("BACKMIX_LANG", "").replace("-", "_").startswith("zh") else "en"


@contextmanager
def speak(lang: Language) -> Iterator[None]:
    """Use one language inside a ``with`` block."""
    token = _spoken.set(lang)
    try:
        yield
    finally:
        _spoken.reset(token)


def declare(key: str, sentence: Sentence) -> None:
    """Add a sentence to the catalogue; ValueError when a language is missing, or one too many is there.

    >>> declare("example.level", {"en": "level", "zh_TW": "液位"})
    >>> say("example.level", "zh_TW")
    '液位'
    """
    if set(sentence) != set(LANGUAGES):
        raise ValueError(f"{key} is given in {', '.join(sentence) or 'no language'}: give it in {', '.join(LANGUAGES)}")
    _declared[key] = sentence


def declared() -> Mapping[str, Sentence]:
    """The sentences that registered parts have declared, by key."""
    return dict(_declared)


def say(key: str, lang: Language | None = None, /, **values: Any) -> str:
    """The sentence of ``key`` (``stage.name``) in ``lang`` with its blanks filled.

    Raises KeyError for a key that the catalogue lacks: that is a fault of the program.
    """
    sentence = _sentence(key)
    if sentence is None:
        raise KeyError(key)
    return sentence[lang or language()].format(**values)


def title_of(key: str, lang: Language | None = None, /, *, otherwise: str) -> str:
    """The sentence of ``key``; ``otherwise`` for a part that brings none.

    >>> title_of("app.interrupted", "en", otherwise=""), title_of("sets.mine", otherwise="mine")
    ('interrupted', 'mine')
    """
    return otherwise if _sentence(key) is None else say(key, lang)


def _sentence(key: str) -> Sentence | None:
    if key in _declared:
        return _declared[key]
    stage, _, name = key.partition(".")
    return sentences(stage).get(name)


@cache
def sentences(stage: str) -> dict[str, dict[Language, str]]:
    """All sentences of one stage in the catalogue: name -> language -> text; none where there is no file."""
    file = files(__name__) / f"{stage}.toml"
    return tomllib.loads(file.read_text("utf-8")) if file.is_file() else {}


def stages() -> list[str]:
    """The stages that have sentences, in alphabetical order."""
    return sorted(f.name.removesuffix(".toml") for f in files(__name__).iterdir() if f.name.endswith(".toml"))
